"""Satterthwaite's degrees of freedom, as lmerTest has them.

With φ = (θ, ρ) the variance parameters, A = 2 H⁻¹ their asymptotic covariance (H the exact Hessian of the deviance) and
v(φ) = l'Φl, the variance of a contrast (Giesbrecht and Burns 1985):

    df(l) = 2 v² / (∇v' A ∇v),      ∂Φ/∂g_i = −ΦP_iΦ.

For several rows R, R cov R' = U D U' splits F into independent t² with df ν_m along the rows of U'R, and (Fai and
Cornelius 1996) the denominator df is 2E / (E − q), E = Σ ν_m / (ν_m − 2), which matches the mean of F.

θ rather than G is the coordinate: at a singular fit the derivatives along a zero of λ vanish, so that parameter drops
out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.inference.contrast_rows import Turned, covariance_of, errors_of, independent_rows, units_of
from henderson.inference.fit_moments import FitMoments
from henderson.inference.identified import Unidentified, flat_directions
from henderson.inference.information import coordinates_of, curvature, hessian_theta
from henderson.numerics.linalg import positive_inverse

FloatArray = np.ndarray

#: degrees of freedom above which the spread of a variance is rounding
NO_SPREAD = 1e14
#: ratio of eigenvalues of a covariance of rows below which the smaller have lost half of their digits
UNLIKE = 1e-8
#: distance of two covariances that are the same but for rounding
SAME = 1e-8


@dataclass(frozen=True)
class Satterthwaite:
    """Satterthwaite's rule at one fit: df of a contrast from the gradient of its variance.

    Attributes
    ----------
    to_beta : (p, p) array
        From the working basis, in which the others are (see `FitMoments`).
    phi : (p, p) array
    gradient : (k + 1, p, p) array
        ∂Φ/∂(θ, ρ).
    covariance : (k + 1, k + 1) array
        Asymptotic covariance of (θ, ρ).
    unidentified : Unidentified
        What the data do not tell.
    notes : tuple of str
    """

    to_beta: FloatArray
    phi: FloatArray
    gradient: FloatArray
    covariance: FloatArray
    unidentified: Unidentified
    notes: tuple[str, ...] = ()

    def df(self, rows: FloatArray) -> FloatArray:
        """2 v² / (∇v' A ∇v) of each row, (r,)."""
        known = ~self.unidentified.touches(rows)
        rows = rows @ self.to_beta
        variance = ((rows @ self.phi) * rows).sum(1)
        slope = ((rows @ self.gradient) * rows).sum(axis=2).T
        spread = ((slope @ self.covariance) * slope).sum(1)
        known &= variance > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(known, or_infinite(2 * variance**2 / spread), np.nan)

    def f_test(self, rows: FloatArray, values: FloatArray, cov: FloatArray | Turned) -> tuple[float, float]:
        """F and Fai and Cornelius' denominator df.

        Their directions U depend on the units of the rows, lmerTest's are those of R as given. Where these would lose a
        row, R is taken in units of standard errors; where rows are all but dependent, as those of a polynomial of
        calendar years are, what makes them orthonormal in the working basis is.
        """
        rows, values = independent_rows(rows, values, errors_of(cov))
        inner = covariance_of(rows, cov)
        if not _are_told(inner):
            unit = units_of(errors_of(inner))
            rows, values, inner = rows / unit[:, None], values / unit, inner / np.outer(unit, unit)
        if not _are_told(inner):
            rows, values, inner = self._orthonormal(rows, values, cov)
        size, directions = np.linalg.eigh(inner)
        if not _are_told(inner):
            return np.nan, np.nan
        statistic = float(np.mean((directions.T @ values) ** 2 / size))
        return statistic, matched_df(self.df(directions.T @ rows))

    def _orthonormal(
        self, rows: FloatArray, values: FloatArray, cov: FloatArray | Turned
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """TR, Tq and T(R cov R')T' with T such that TR is orthonormal in the working basis, where cov is σ²Φ."""
        turned = rows @ self.to_beta
        orthonormal, triangle = np.linalg.qr(turned.T)
        if isinstance(cov, Turned):
            cov, whole = cov.cov, self.phi
        else:
            whole = self.to_beta @ self.phi @ self.to_beta.T
        own, theirs = errors_of(cov), errors_of(whole)
        scale = float(np.mean((own / theirs) ** 2))
        if np.abs(cov - scale * whole).max() > SAME * np.outer(own, own).max():
            return rows, values, np.full((len(rows),) * 2, np.nan)
        t = np.linalg.inv(triangle).T
        return t @ rows, t @ values, scale * (orthonormal.T @ self.phi @ orthonormal)


def _are_told(cov: FloatArray) -> bool:
    """Whether the smallest eigenvalue of a covariance is more than rounding of the largest."""
    size = np.linalg.eigvalsh(cov) if np.isfinite(cov).all() else np.array([np.nan])
    return bool(size[0] > UNLIKE * size[-1])


def or_infinite(df: FloatArray) -> FloatArray:
    """Degrees of freedom; those of a variance that no estimated parameter moves are infinite, not rounding."""
    return np.where(df > NO_SPREAD, np.inf, df)


def matched_df(nu: FloatArray) -> float:
    """The df of the F whose mean is that of an average of independent F(1, ν_m).

    Two when some ν_m ≤ 2, where that mean does not exist.

    Examples
    --------
    >>> matched_df(np.array([10.0, 10.0])), round(matched_df(np.array([10.0, 20.0])), 4)
    (10.0, 13.0769)
    """
    if np.isnan(nu).any():
        return np.nan
    if np.ptp(nu) <= 1e-8 * abs(nu[0]) or np.isposinf(nu).all():
        return float(nu.mean())
    if (nu <= 2 + 1e-8).any():
        return 2.0
    excess = float(np.sum(2 / (nu - 2)))
    return 2 * (excess + len(nu)) / excess


def satterthwaite(fitted: FitMoments) -> Satterthwaite:
    """Satterthwaite's method at a fit, ML or REML."""
    fitted = fitted.working
    at, to = curvature(fitted), coordinates_of(fitted)
    inverse = positive_inverse(hessian_theta(fitted, at, to))
    notes = []
    if inverse.n_negative:
        notes.append(
            f"the Hessian of the variance parameters has {inverse.n_negative} negative eigenvalue(s); "
            "Satterthwaite's df leave those directions out"
        )
    flat = flat_directions(fitted, at)
    if flat.note:
        notes.append(flat.note)
    unidentified = Unidentified.of(fitted, flat)
    gradient = np.tensordot(to.jacobian.T, unidentified.by_g, 1)
    return Satterthwaite(fitted.to_beta, fitted.phi, gradient, 2 * inverse.matrix, unidentified, tuple(notes))
