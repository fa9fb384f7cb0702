"""One correlation of all visits: cs (SAS CS), variance v and covariance c, linear; csh (CSH) √(v_s v_t) ρ.

For the covariance of m rows to be positive definite the correlation is above −1/(m − 1), m the largest series' rows:
ρ = a + (1 − a)/(1 + e^{−φ}), a = −1/(m − 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from henderson.covariance.residual.scaled import Correlation, EachVariance, OneVariance
from henderson.covariance.residual.structure import AT_END, Kind, Pairs
from henderson.numerics.jets import exp, joined, tanh

FloatArray = np.ndarray


class Exchangeable(Correlation):
    """C_st = ρ for s ≠ t."""

    @property
    def low(self) -> float:
        """a, the end of ρ's range."""
        return -1.0 / max(self.largest - 1, 1)

    @property
    def n_parameters(self) -> int:
        """One."""
        return 1

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Corr``."""
        return ("Corr",)

    def matrix(self, r: FloatArray) -> FloatArray:
        """ρ off the diagonal."""
        return np.where(np.eye(self.n_visits, dtype=bool), 1.0, r[0])

    def first(self, r: FloatArray) -> FloatArray:
        """Ones off the diagonal."""
        return (1.0 - np.eye(self.n_visits))[None]

    def second(self, r: FloatArray) -> FloatArray:
        """Zero."""
        return np.zeros((1, 1, self.n_visits, self.n_visits))

    def natural(self, phi: Any) -> Any:
        """a + (1 − a)(1 + tanh(φ/2))/2."""
        return (1 + self.low) / 2 + (1 - self.low) / 2 * tanh(phi * 0.5)

    def working(self, r: FloatArray) -> FloatArray:
        """Its inverse."""
        return 2 * np.arctanh((2 * r - 1 - self.low) / (1 - self.low))

    def start(self, pairs: Pairs) -> FloatArray:
        """The mean correlation, inside its range."""
        return np.array([np.clip(pairs.mean_correlation(), 0.8 * self.low, 0.95)])

    def at_boundary(self, r: FloatArray, within: float = AT_END) -> np.ndarray:
        """ρ at either end."""
        return (r > 1 - within) | (r < self.low + within)


class CompoundSymmetry(OneVariance):
    """Variance v, covariance c."""

    name = "cs"
    by_difference = True
    linear = True
    ordered = False
    correlation = Exchangeable

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """v and c."""
        return ("variance", "covariance")

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Var`` and ``Cov``."""
        return ("Var", "Cov")

    def matrix(self, psi: FloatArray) -> FloatArray:
        """v on the diagonal, c beside it."""
        return np.where(np.eye(self.n_visits, dtype=bool), psi[0], psi[1])

    def first_matrix(self, psi: FloatArray) -> FloatArray:
        """I and 11' − I."""
        unit = np.eye(self.n_visits)
        return np.stack([unit, 1 - unit])

    def second_matrix(self, psi: FloatArray) -> FloatArray:
        """Zero."""
        return np.zeros((2, 2, self.n_visits, self.n_visits))

    def working(self, psi: FloatArray) -> FloatArray:
        """log v, and the correlation's φ."""
        return super().working(np.array([psi[0], psi[1] / psi[0]]))

    def _natural(self, phi: Any) -> Any:
        v = exp(phi[:1])
        return joined([v, v * self.kind.natural(phi[1:])])

    def start(self, pairs: Pairs) -> FloatArray:
        """Mean square, and the mean correlation of it."""
        v, r = super().start(pairs)
        return np.array([v, v * r])

    def at_boundary(self, psi: FloatArray, within: float = AT_END) -> np.ndarray:
        """The correlation's ends."""
        return super().at_boundary(np.array([psi[0], psi[1] / psi[0]]), within)


class HeterogeneousCompoundSymmetry(EachVariance):
    """√(v_s v_t) ρ."""

    name = "csh"
    ordered = False
    correlation = Exchangeable

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """The correlation is above −1/(m − 1)."""
        assert isinstance(self.kind, Exchangeable)
        return (*super().ranges[:-1], (self.kind.low, 1.0))
