"""Limits of rows with effects of levels that the fit does not have: their variance is a difference of mean squares.

A new level's effect has variance z'Gz, and what estimates it is a difference: in the balanced one-way layout
(MSA − MSE)/n with J − 1 degrees of freedom for MSA. Satterthwaite's df belong to sums. Of a difference they go to zero
with it, limits to infinity, and where the estimate is zero nothing is left of its uncertainty. So, with v the variance
of a row's error, V that of v̂ (by the expected information along G, at zero too) and d the df that v would have were
the effects of all levels seen, 2v²/V at cG for large c,

    m = √(Vd/2)      s = m − v      v ~ m d/χ²_d − s, but no less than what is left of v without new levels, r

is v's fiducial distribution: that of the one-way layout, where m is the multiple of MSA and s that of MSE, known much
better (Fisher 1935; Weerahandi 1993 for such differences in general). Limits are ± x,

    E[2Φ(x/√v) − 1] = level

over that distribution. With s ≤ 0, v is a sum and Satterthwaite's t is as it was; at s = 0 they are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

import numpy as np

from henderson.engine.likelihood import information
from henderson.engine.moments_at import moments_at
from henderson.inference.fit_moments import FitMoments
from henderson.inference.information import curvature, tangent
from henderson.numerics.distributions import MANY_DF, t_quantile
from henderson.numerics.lapack import cholesky
from henderson.numerics.linalg import positive_inverse, scaled_inverse
from henderson.numerics.threads import blas_threads

FloatArray = np.ndarray

#: c² of effects that are as good as seen: the share of everything else is 1/c² and less
SEEN = 1e6
#: points of the mean over χ²_d
POINTS = 32
#: steps of log d between which quantiles of χ²_d are interpolated: 1e-5 of them
STEPS = 50
#: rows that are solved for together: their points fit the processor's cache
CHUNK = 1 << 11
#: rows, spread over many, from whose solutions those of all are guessed
SAMPLE = 1 << 9
#: relative step of Newton's that is the last: the error after it is about its square
LAST_STEP = 1e-5
#: χ² from which on its quantiles are numbers that have digits, and the most that log d/χ²_d may be
TINY, MOST_LOG = 1e-250, 600.0
#: degrees of freedom of the t with the same limits are between these
LEAST_DF, MOST_DF = 0.02, 1e6


@dataclass(frozen=True)
class Known:
    """How well the G parameters are known, relative to σ², in the working basis.

    Attributes
    ----------
    now : (k + 1, k + 1) array
        Covariance of their estimates, the residual's last.
    seen : (k, k) array
        The same were the effects of all levels seen: at `g`.
    g : (k,) array
        cG.
    """

    now: FloatArray
    seen: FloatArray
    g: FloatArray

    @classmethod
    def of(cls, fitted: FitMoments) -> Known:
        """At a fit, in its working basis.

        A variance may be zero: what its levels' effects have of the residual's, J/n in the basis, is added before G is
        made large.
        """
        criterion = fitted.fit.criterion
        lam = [
            cholesky(SEEN * (one @ one.T + np.eye(len(one)) * block.n_levels / fitted.fit.n))
            for block, one in zip(criterion.blocks.blocks, fitted.fit.at_optimum().lam)
        ]
        with blas_threads(criterion.order):
            far = moments_at(criterion.elsewhere().at_lam(lam, np.zeros(criterion.blocks.n_theta)))
            whole = far.with_residual
            phi = scaled_inverse(whole.f0[: whole.p, : whole.p])
            seen = _covariance(information(whole, phi), tangent(fitted))
        return cls(_covariance(curvature(fitted).expected, tangent(fitted)), seen[:-1, :-1], far.g)


def _covariance(twice: FloatArray, along: FloatArray | None) -> FloatArray:
    """Inverse of the information, of which `twice` is given, along the directions in which G can move."""
    if along is None:
        return positive_inverse(twice / 2).matrix
    return np.asarray(along @ positive_inverse(along.T @ twice @ along / 2).matrix @ along.T)


@dataclass(frozen=True)
class Differences:
    """Variances of m rows as differences of mean squares, (m,) each, in units of the variances.

    Attributes
    ----------
    df : (m,) array
        d; infinite for rows whose variance is a sum.
    mean_square : (m,) array
        m.
    least : (m,) array
        r.
    """

    df: FloatArray
    mean_square: FloatArray
    least: FloatArray

    @classmethod
    def of(cls, known: Known, variance: FloatArray, slope: FloatArray, fresh: FloatArray, g: FloatArray) -> Differences:
        """From the variances of rows relative to σ² (m,).

        Parameters
        ----------
        known : Known
        variance : (m,) array
        slope : (m, k + 1) array
            Their derivatives along the parameters, the residual's last.
        fresh : (m, k) array
            What effects of new levels have of it.
        g : (k,) array
            The estimates.
        """
        own, at_seen = np.where(fresh != 0, slope[:, :-1], 0.0), fresh @ known.g
        with np.errstate(divide="ignore", invalid="ignore"):
            df = 2 * at_seen**2 / np.einsum("mi,ij,mj->m", fresh, known.seen, fresh, optimize=True)
            mean_square = np.sqrt(df / 2 * np.einsum("mi,ij,mj->m", slope, known.now, slope, optimize=True))
        is_sum = ~(mean_square > variance) | ~np.isfinite(mean_square)
        least = np.clip(variance - own @ g, 0.0, variance)
        return cls(np.where(is_sum, np.inf, df), np.where(is_sum, variance, mean_square), least)

    def times(self, scale: float) -> Differences:
        """In other units."""
        return Differences(self.df, scale * self.mean_square, scale * self.least)

    def equivalent_df(self, variance: FloatArray, by: FloatArray, moved: FloatArray, level: float) -> FloatArray:
        """Degrees of freedom of the t that has the same limits, (m,).

        Parameters
        ----------
        variance : (m,) array
            The square of the rows' standard errors.
        by : (m,) array
            Degrees of freedom of the rows whose variance is a sum.
        moved : (m,) array
            What that square has beyond the variance: what counts estimated parameters.
        level : float
        """
        out = np.array(by)
        rows = np.flatnonzero(np.isfinite(self.df) & np.isfinite(by) & (variance > 0))
        grid = np.geomspace(LEAST_DF, MOST_DF, 4001)
        normal = float(t_quantile((1 + level) / 2, np.array([np.inf]))[0])
        excess = np.log(np.maximum(t_quantile((1 + level) / 2, grid) / normal - 1, 1e-300))
        ratios = self._ratios(rows, variance, moved)
        guess: FloatArray | None = None
        if len(rows) > 4 * SAMPLE:
            terms = _quadratic(ratios)
            solved = np.log(_half_widths(ratios[:: len(rows) // SAMPLE], level))
            guess = terms @ np.linalg.lstsq(terms[:: len(rows) // SAMPLE], solved, rcond=None)[0]
            guess = np.clip(guess, solved.min(), solved.max())
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            first = None if guess is None else np.exp(guess[part])
            beyond = _half_widths(ratios[part], level, first) / normal - 1
            found = np.interp(np.log(np.maximum(beyond, 1e-300)), excess[::-1], np.log(grid)[::-1])
            out[rows[part]] = np.where(beyond > 0, np.exp(found), np.inf)
        return out

    def _ratios(self, rows: np.ndarray, variance: FloatArray, moved: FloatArray) -> FloatArray:
        """d, m and r of some rows in units of their variance, (rows, 3)."""
        own = variance[rows]
        return np.column_stack([
            self.df[rows], (self.mean_square[rows] + moved[rows]) / own, (self.least[rows] + moved[rows]) / own
        ])  # fmt: skip


def _quadratic(ratios: FloatArray) -> FloatArray:
    """Terms up to the second order of log d, 1/m and r, (rows, 10): log x is nearly a sum of them."""
    out = np.ones((10, len(ratios)))
    for row, one in enumerate((np.log(ratios[:, 0]), 1 / ratios[:, 1], ratios[:, 2]), start=1):
        out[row] = one - one[0]
    for row, (i, j) in enumerate(combinations_with_replacement((1, 2, 3), 2), start=4):
        np.multiply(out[i], out[j], out=out[row])
    return out.T


def _half_widths(ratios: FloatArray, level: float, first: FloatArray | None = None) -> FloatArray:
    """x with E[2Φ(x/√v) − 1] = level, v = max(m d/χ²_d − s, r), of d, m and r in units of the variance, s = m − 1.

    (m,), by Newton's steps on a concave function from a `first` guess.
    """
    from scipy.special import ndtr, ndtri

    df, mean_square, least = ratios.T
    weight, ratio = _inverse_chi_squares(df)
    sd = np.sqrt(np.maximum(mean_square[:, None] * ratio - (mean_square[:, None] - 1), least[:, None]))
    sd = np.maximum(sd, 1e-150)
    normal = float(ndtri((1 + level) / 2))
    x = normal * np.exp(np.log(sd) @ weight) if first is None else first
    for _ in range(30):
        u = x[:, None] / sd
        short = level - (2 * ndtr(u) - 1) @ weight
        slope = (np.exp(-u * u / 2) / sd) @ weight * np.sqrt(2 / np.pi)
        step = short / np.maximum(slope, 1e-300)
        after = np.clip(x + step, x / 4, 4 * x)
        if np.abs(after / x - 1).max(initial=0.0) < LAST_STEP:
            return after
        x = after
    return x


@cache
def _points() -> tuple[FloatArray, FloatArray]:
    """Gauss's points between 0 and 1, and their weights, (POINTS,)."""
    u, weight = np.polynomial.legendre.leggauss(POINTS)
    return (u + 1) / 2, weight / 2


def _inverse_chi_squares(df: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights (s,) of points of a distribution, and d/χ²_d at them, (m, s).

    A third power takes the points to where χ² is small; log χ²_d is linear in log d between steps. Where χ² is too
    small for a number, P(χ²_d < 2x) = x^(d/2) / Γ(d/2 + 1).
    """
    from scipy.special import gammaincinv, gammaln

    u, weight = _points()
    place = STEPS * np.log(np.clip(df, LEAST_DF, MANY_DF))
    below = np.floor(place)
    steps, at = np.unique(below, return_inverse=True)
    logs = []
    for half in (np.exp(steps / STEPS)[:, None] / 2, np.exp((steps + 1) / STEPS)[:, None] / 2):
        x = gammaincinv(half, u**3)
        small = (3 * np.log(u) + gammaln(half + 1)) / half
        logs.append(np.where(x > TINY, np.log(np.maximum(x, TINY)), small) - np.log(half))
    between = logs[0][at] + (place - below)[:, None] * (logs[1] - logs[0])[at]
    return 3 * u**2 * weight, np.exp(np.minimum(-between, MOST_LOG))
