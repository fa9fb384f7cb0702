"""Structures by visit made of a correlation matrix and variances: Σ_st = √(v_s v_t) C_st(r), or v C_st(r).

ψ = (variances, r), φ = (log variances, φ_r). A `Correlation` says C, its derivatives in r, and r(φ_r); `OneVariance`
and `EachVariance` do the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from henderson.covariance.residual.structure import AT_END, ByVisit, Kind, Mapped, Pairs, several, variance_labels
from henderson.numerics.jets import exp, joined

FloatArray = np.ndarray


class Correlation(ABC):
    """A kind of correlation matrix of T visits.

    Parameters
    ----------
    n_visits, largest : int
        T, and the rows of the largest series.
    """

    def __init__(self, n_visits: int, largest: int) -> None:
        self.n_visits, self.largest = n_visits, largest

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """Length of r."""

    @abstractmethod
    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """Of r."""

    @abstractmethod
    def matrix(self, r: FloatArray) -> FloatArray:
        """C, (T, T)."""

    @abstractmethod
    def first(self, r: FloatArray) -> FloatArray:
        """∂C/∂r, (m, T, T)."""

    @abstractmethod
    def second(self, r: FloatArray) -> FloatArray:
        """∂²C/∂r∂r', (m, m, T, T)."""

    @abstractmethod
    def natural(self, phi: Any) -> Any:
        """r of φ_r."""

    @abstractmethod
    def working(self, r: FloatArray) -> FloatArray:
        """φ_r of r."""

    @abstractmethod
    def start(self, pairs: Pairs) -> FloatArray:
        """r from products of residuals."""

    def at_boundary(self, r: FloatArray, within: float = AT_END) -> np.ndarray:
        """Correlations at ±1."""
        return np.abs(r) > 1 - within


class _OfCorrelation(Mapped, ByVisit):
    """What both share."""

    correlation: ClassVar[type[Correlation]]

    def __init__(self, n_visits: int, largest: int, unit: float = 1.0) -> None:
        super().__init__(n_visits, largest, unit)
        self.kind = self.correlation(n_visits, largest)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and hash(self) == hash(other)

    def __hash__(self) -> int:
        return hash((type(self), self.n_visits, self.largest))


class OneVariance(_OfCorrelation):
    """v C(r)."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """A variance, then correlations."""
        return ("variance", *several("correlation", self.kind.n_parameters))

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Var`` and the correlations' names."""
        return ("Var", *self.kind.names(visits))

    def matrix(self, psi: FloatArray) -> FloatArray:
        """v C."""
        return psi[0] * self.kind.matrix(psi[1:])

    def first_matrix(self, psi: FloatArray) -> FloatArray:
        """C, and v ∂C."""
        return np.concatenate([self.kind.matrix(psi[1:])[None], psi[0] * self.kind.first(psi[1:])])

    def second_matrix(self, psi: FloatArray) -> FloatArray:
        """∂C beside v, and v ∂²C."""
        out = super().second_matrix(psi)
        out[0, 1:] = out[1:, 0] = self.kind.first(psi[1:])
        out[1:, 1:] = psi[0] * self.kind.second(psi[1:])
        return out

    def working(self, psi: FloatArray) -> FloatArray:
        """log v, and the correlations' φ."""
        return np.concatenate([np.log(psi[:1]), self.kind.working(psi[1:])])

    def _natural(self, phi: Any) -> Any:
        return joined([exp(phi[:1]), self.kind.natural(phi[1:])])

    def start(self, pairs: Pairs) -> FloatArray:
        """Mean square, and the correlations' start."""
        return np.concatenate([[pairs.variance], self.kind.start(pairs)])

    def at_boundary(self, psi: FloatArray, within: float = AT_END) -> np.ndarray:
        """The correlations' ends."""
        return np.concatenate([[False], self.kind.at_boundary(psi[1:], within)])


class EachVariance(_OfCorrelation):
    """√(v_s v_t) C_st(r)."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """T variances, then correlations."""
        return several("variance", self.n_visits) + several("correlation", self.kind.n_parameters)

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Var(VIS1)``, … and the correlations' names."""
        return (*variance_labels(visits), *self.kind.names(visits))

    def _split(self, psi: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.sqrt(psi[: self.n_visits]), psi[self.n_visits :]

    def matrix(self, psi: FloatArray) -> FloatArray:
        """D C D."""
        sd, r = self._split(psi)
        return np.outer(sd, sd) * self.kind.matrix(r)

    def _by_variance(self, sd: FloatArray) -> FloatArray:
        """∂(log √(v_s v_t))/∂v_a = (δ_as + δ_at)/(2 v_a), (T, T, T)."""
        unit = np.eye(len(sd))
        return (unit[:, :, None] + unit[:, None, :]) / (2 * sd**2)[:, None, None]

    def first_matrix(self, psi: FloatArray) -> FloatArray:
        """Of the variances, then of the correlations."""
        sd, r = self._split(psi)
        both = np.outer(sd, sd)
        return np.concatenate([self._by_variance(sd) * (both * self.kind.matrix(r)), both * self.kind.first(r)])

    def second_matrix(self, psi: FloatArray) -> FloatArray:
        """∂² log √(v_s v_t)/∂v_a² = −(δ_as + δ_at)/(2 v_a²)."""
        T = self.n_visits
        sd, r = self._split(psi)
        both, by = np.outer(sd, sd), self._by_variance(sd)
        out = super().second_matrix(psi)
        own = both * self.kind.matrix(r)
        out[:T, :T] = by[:, None] * by * own
        each = np.arange(T)
        out[each, each] -= by / (sd**2)[:, None, None] * own
        out[:T, T:] = by[:, None] * (both * self.kind.first(r))
        out[T:, :T] = out[:T, T:].swapaxes(0, 1)
        out[T:, T:] = both * self.kind.second(r)
        return out

    def working(self, psi: FloatArray) -> FloatArray:
        """log v, and the correlations' φ."""
        T = self.n_visits
        return np.concatenate([np.log(psi[:T]), self.kind.working(psi[T:])])

    def _natural(self, phi: Any) -> Any:
        T = self.n_visits
        return joined([exp(phi[:T]), self.kind.natural(phi[T:])])

    def start(self, pairs: Pairs) -> FloatArray:
        """Mean squares by visit, and the correlations' start."""
        return np.concatenate([pairs.variances, self.kind.start(pairs)])

    def at_boundary(self, psi: FloatArray, within: float = AT_END) -> np.ndarray:
        """Variances far below the others, and the correlations' ends."""
        v = psi[: self.n_visits]
        return np.concatenate([v < within**2 * v.max(), self.kind.at_boundary(psi[self.n_visits :], within)])
