"""A correlation for each lag: toep (SAS TOEP), variance and covariances, linear; toeph (TOEPH) √(v_s v_t) r_|s−t|.

The search runs on partial autocorrelations π_l = tanh φ_l, for which the matrix is always positive definite. Durbin and
Levinson's recursion turns them into autocorrelations, with prediction coefficients a (a_1, …) and variance w:

    r_l = Σ_j a_j r_{l−j} + π_l w,   a ← (a − π_l reversed(a), π_l),   w ← w (1 − π_l²).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from henderson.covariance.residual.scaled import Correlation, EachVariance, OneVariance
from henderson.covariance.residual.structure import AT_END, Kind, Pairs, several
from henderson.numerics.jets import exp, joined, tanh, total

FloatArray = np.ndarray


def autocorrelations(partial: Any) -> Any:
    """r of lags 1, …, m from the partial autocorrelations, (m,)."""
    found, w = partial[:1], 1 - partial[:1] * partial[:1]
    a = partial[:1]
    for lag in range(1, len(partial)):
        own = partial[lag : lag + 1]
        found = joined([found, total(a * found[::-1]) + own * w])
        a = joined([a - a[::-1] * _spread(own, lag), own])
        w = w * (1 - own * own)
    return found


def _spread(one: Any, m: int) -> Any:
    """An array of one, m times."""
    return one[np.zeros(m, int)]


def partial_autocorrelations(r: FloatArray) -> FloatArray:
    """The reverse, (m,); ones where what is earlier leaves no variance."""
    out = np.ones(len(r))
    a, w = np.zeros(0), 1.0
    for lag in range(len(r)):
        if not w > 0:
            break
        out[lag] = (r[lag] - a @ r[:lag][::-1]) / w
        a = np.append(a - out[lag] * a[::-1], out[lag])
        w *= 1 - out[lag] ** 2
    return out


@lru_cache(maxsize=16)
def lags(n_visits: int) -> np.ndarray:
    """|s − t|, (T, T), not to be written to."""
    each = np.arange(n_visits)
    found = np.abs(np.subtract.outer(each, each))
    found.setflags(write=False)
    return found


class ByLag(Correlation):
    """C_st = r_|s−t|."""

    @property
    def n_parameters(self) -> int:
        """T − 1."""
        return self.n_visits - 1

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Corr(lag 1)``, …"""
        return tuple(f"Corr(lag {lag})" for lag in range(1, self.n_visits))

    def matrix(self, r: FloatArray) -> FloatArray:
        """r by lag, one on the diagonal."""
        return np.concatenate([[1.0], r])[lags(self.n_visits)]

    def first(self, r: FloatArray) -> FloatArray:
        """Ones at a lag."""
        return (lags(self.n_visits) == np.arange(1, self.n_visits)[:, None, None]).astype(float)

    def second(self, r: FloatArray) -> FloatArray:
        """Zero."""
        m = self.n_parameters
        return np.zeros((m, m, self.n_visits, self.n_visits))

    def natural(self, phi: Any) -> Any:
        """Autocorrelations of tanh φ."""
        return autocorrelations(tanh(phi)) if self.n_visits > 1 else phi

    def working(self, r: FloatArray) -> FloatArray:
        """artanh of the partial autocorrelations."""
        return np.arctanh(partial_autocorrelations(r))

    def start(self, pairs: Pairs) -> FloatArray:
        """Mean correlations by lag, halved towards zero until they are of a process."""
        r = np.array([pairs.mean_correlation(lag) for lag in range(1, self.n_visits)])
        while len(r) and np.abs(partial_autocorrelations(r)).max() > 0.95:
            r = 0.8 * r
        return r

    def at_boundary(self, r: FloatArray, within: float = AT_END) -> np.ndarray:
        """All, where the earlier visits leave next to nothing of the last: w = Π (1 − π_l²)."""
        left = np.prod(1 - partial_autocorrelations(r) ** 2)
        return np.full(len(r), bool(len(r)) and not left > 2 * within)


class Toeplitz(OneVariance):
    """Variance v, covariances c_1, …, c_{T−1} by lag."""

    name = "toep"
    by_difference = True
    linear = True
    correlation = ByLag

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """v, then covariances."""
        return ("variance", *several("covariance", self.kind.n_parameters))

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Var``, ``Cov(lag 1)``, …"""
        return ("Var", *(f"Cov(lag {lag})" for lag in range(1, self.n_visits)))

    def matrix(self, psi: FloatArray) -> FloatArray:
        """ψ by lag."""
        return psi[lags(self.n_visits)]

    def first_matrix(self, psi: FloatArray) -> FloatArray:
        """Ones at a lag."""
        return (lags(self.n_visits) == np.arange(self.n_visits)[:, None, None]).astype(float)

    def second_matrix(self, psi: FloatArray) -> FloatArray:
        """Zero."""
        return np.zeros((self.n_visits,) * 4)

    def working(self, psi: FloatArray) -> FloatArray:
        """log v, and the correlations' φ."""
        return super().working(_relative(psi))

    def _natural(self, phi: Any) -> Any:
        v = exp(phi[:1])
        m = self.kind.n_parameters
        return joined([v, _spread(v, m) * self.kind.natural(phi[1:])])

    def start(self, pairs: Pairs) -> FloatArray:
        """Mean square, and mean correlations of it."""
        own = super().start(pairs)
        own[1:] *= own[0]
        return own

    def at_boundary(self, psi: FloatArray, within: float = AT_END) -> np.ndarray:
        """The correlations' ends."""
        return super().at_boundary(_relative(psi), within)


def _relative(psi: FloatArray) -> FloatArray:
    return np.concatenate([psi[:1], psi[1:] / psi[0]])


class HeterogeneousToeplitz(EachVariance):
    """√(v_s v_t) r_|s−t|."""

    name = "toeph"
    correlation = ByLag
