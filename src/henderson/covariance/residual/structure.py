"""`ResidualStructure`: what the rest of the library asks of a covariance within a series; one class a kind.

A structure has two sets of coordinates:

- ψ, the *natural* parameters, SAS's: variances, covariances or correlations, the overall variance among them; ψ₀ is a
  variance. Moments, information and Kenward and Roger's second derivatives are computed there: ∂V/∂ψ, ∂²V/∂ψ∂ψ'.
- φ, the *working* ones, on which a search runs: any φ in ℝᵏ gives a positive definite covariance.

A new structure says its parameters, `cov`, `first`, `second`, the map between the coordinates and a start, and a line
in `structures` makes it known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from henderson.numerics.jets import Jet

FloatArray = np.ndarray
#: of a natural parameter; variances and covariances scale with σ², the others do not
Kind = Literal["variance", "covariance", "correlation", "range", "smoothness", "ratio", "exponent"]

#: what says where a row stands
PlaceKind = Literal["visits", "time", "coordinates", "none"]

#: where parameters of a kind may lie, unless a structure says otherwise
RANGES: dict[Kind, tuple[float, float]] = {
    "variance": (0.0, np.inf),
    "covariance": (-np.inf, np.inf),
    "correlation": (-1.0, 1.0),
    "range": (0.0, np.inf),
    "smoothness": (0.0, np.inf),
    "ratio": (0.0, np.inf),
    "exponent": (-np.inf, np.inf),
}

#: distance from the end of its range (of a correlation: from ±1) at which a parameter counts as at the boundary, and
#: below which nothing is computed any more: of 1 − ρ² every digit would be rounding, and of the deviance as many
AT_END, NEAREST = 1e-6, 1e-8


class ResidualStructure(ABC):
    """A kind of covariance matrix of the residuals of one series.

    Parameters
    ----------
    n_visits : int
        T, number of visits; zero where places are numbers.
    largest : int
        Rows of the largest series.
    unit : float
        Of time, see `ResidualTerm`.

    Attributes
    ----------
    name : str
        What `ResidualTerm.structure` calls it.
    places : {"visits", "time", "coordinates", "none"}
        What says where a row stands in its series.
    linear : bool
        Whether the covariance is linear in ψ.
    ordered : bool
        Whether the order of visits matters, or the distance of places.
    memory : int, or None
        How many rows before it, in the order of places, a row depends on when those are known; None: on all.
    by_difference : bool
        Whether the covariance depends on differences of places only.
    """

    name: ClassVar[str]
    places: ClassVar[PlaceKind] = "visits"
    linear: ClassVar[bool] = False
    ordered: ClassVar[bool] = True
    memory: ClassVar[int | None] = None
    by_difference: ClassVar[bool] = False
    unit: float = 1.0

    def __init__(self, n_visits: int, largest: int, unit: float = 1.0) -> None:
        self.n_visits, self.largest, self.unit = n_visits, largest, unit

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), self.n_visits, self.largest, self.unit))

    # ---- parameters

    @property
    @abstractmethod
    def kinds(self) -> tuple[Kind, ...]:
        """What each natural parameter is, (k,); the first is a variance."""

    @abstractmethod
    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """Names of the natural parameters, for labels of the T visits."""

    @property
    def n_parameters(self) -> int:
        """k."""
        return len(self.kinds)

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Open interval in which each parameter lies, whatever the others are."""
        return tuple(RANGES[kind] for kind in self.kinds)

    @property
    def powers(self) -> FloatArray:
        """Powers of ψ that are the parameters in the user's unit of time, (k,): one, but for correlations in time."""
        return np.ones(self.n_parameters)

    # ---- covariance at places; where is (..., n) visits, or (..., n, d) coordinates

    @abstractmethod
    def cov(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """The covariance of rows that stand there, (..., n, n)."""

    @abstractmethod
    def first(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """Its derivatives in ψ, (k, ..., n, n)."""

    @abstractmethod
    def second(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """Its second derivatives, (k, k, ..., n, n)."""

    # ---- coordinates for a search

    @abstractmethod
    def working(self, psi: FloatArray) -> FloatArray:
        """φ of ψ, (k,)."""

    @abstractmethod
    def natural(self, phi: FloatArray) -> FloatArray:
        """ψ of φ, (k,)."""

    @abstractmethod
    def jacobian(self, phi: FloatArray) -> FloatArray:
        """∂ψ_i/∂φ_a, (k, k)."""

    @abstractmethod
    def curvature(self, phi: FloatArray, slope: FloatArray) -> FloatArray:
        """Σ_i slope_i ∂²ψ_i/∂φ_a∂φ_b, (k, k): what a gradient in ψ adds to a Hessian in φ."""

    # ---- a start, and ends

    @abstractmethod
    def start(self, pairs: Pairs) -> FloatArray:
        """ψ near what products of residuals of a series say, inside its range."""

    @abstractmethod
    def at_boundary(self, psi: FloatArray, within: float = AT_END) -> np.ndarray:
        """Which parameters are `within` a distance of an end of their range, (k,) bool."""

    def is_beyond(self, psi: FloatArray) -> bool:
        """Whether the covariance is so near to a singular one that few digits of its inverse are known."""
        return bool(self.at_boundary(psi, NEAREST).any())


@dataclass(frozen=True)
class Pairs:
    """Products of residuals of one series, for a start.

    Attributes
    ----------
    cov : (T, T) array
        Mean product of each pair of visits, NaN where no series has both; (0, 0) where places are numbers.
    counts : (T, T) array
        How many there are.
    variance : float
        Mean square.
    distance, product : (m,) arrays
        Of pairs of different rows, where places are numbers.
    """

    cov: FloatArray
    counts: FloatArray
    variance: float
    distance: FloatArray
    product: FloatArray

    @property
    def independent(self) -> Pairs:
        """The same with products of nearly zero."""
        return replace(
            self,
            cov=np.where(np.eye(len(self.cov), dtype=bool), self.cov, 0.05 * self.cov),
            product=0.05 * self.product,
        )

    @property
    def alike(self) -> Pairs:
        """The same with one variance, and products of zero."""
        return replace(self, cov=self.variance * np.eye(len(self.cov)), product=np.zeros_like(self.product))

    def falling(self, rho: float) -> Pairs:
        """Products as if correlations were ρ^lag, or |ρ|^(d/D), D the median distance, in place of what they are."""
        T = np.arange(len(self.cov))
        sd = np.sqrt(self.variances)
        apart = self.distance / np.median(self.distance) if len(self.distance) else self.distance
        return replace(
            self,
            cov=np.outer(sd, sd) * rho ** np.abs(np.subtract.outer(T, T)),
            product=self.variance * abs(rho) ** apart,
        )

    @property
    def variances(self) -> FloatArray:
        """Of each visit, (T,), where nothing is known the mean."""
        own = np.diag(self.cov)
        return np.where(np.isfinite(own) & (own > 1e-4 * self.variance), own, self.variance)

    @property
    def correlations(self) -> FloatArray:
        """Of the visits, NaN where no series has both, (T, T), within ±0.95."""
        sd = np.sqrt(self.variances)
        return np.clip(self.cov / np.outer(sd, sd), -0.95, 0.95)

    def mean_correlation(self, lag: int | None = None) -> float:
        """Of all pairs of visits, or those of a lag; zero where there are none.

        Covariances are summed, and what variances allow them: the mean of their ratios is nearer to zero where few
        series have both visits.
        """
        T, sd = len(self.cov), np.sqrt(self.variances)
        s, t = np.triu_indices(T, 1) if lag is None else (np.arange(T - lag), np.arange(lag, T))
        known = np.isfinite(self.cov[s, t])
        s, t = s[known], t[known]
        counts = self.counts[s, t]
        total = float(counts @ (sd[s] * sd[t]))
        return float(np.clip(counts @ self.cov[s, t] / total, -0.95, 0.95)) if total else 0.0


class Mapped(ResidualStructure):
    """Structures whose map φ → ψ is written once, for arrays and jets (`_natural`)."""

    @abstractmethod
    def _natural(self, phi: Any) -> Any:
        """ψ of φ: arrays → arrays, jets → jets."""

    def natural(self, phi: FloatArray) -> FloatArray:
        """ψ of φ."""
        return np.asarray(self._natural(np.asarray(phi, float)))

    def jacobian(self, phi: FloatArray) -> FloatArray:
        """∂ψ/∂φ, by forward differentiation."""
        return np.asarray(self._natural(Jet.variables(phi)).first)

    def curvature(self, phi: FloatArray, slope: FloatArray) -> FloatArray:
        """Σ slope_i ∂²ψ_i, by forward differentiation."""
        return np.tensordot(slope, self._natural(Jet.variables(phi)).second, 1)


class ByVisit(ResidualStructure):
    """Structures of T visits, whose rows' covariance is cut out of one T × T matrix.

    Attributes
    ----------
    free_pairs : sequence of pairs of int
        Visits between which the correlation is a parameter of no other pair.
    """

    @property
    def has_own_variances(self) -> bool:
        """Whether each visit has a variance of its own."""
        return self.n_visits > 1 and self.kinds.count("variance") == self.n_visits

    @property
    def free_pairs(self) -> Sequence[tuple[int, int]]:
        """None."""
        return ()

    def scaled(self, psi: FloatArray, factors: FloatArray) -> FloatArray:
        """ψ with the visits' standard deviations times `factors` (T,), where each has its own; correlations stay."""
        out = psi.copy()
        out[: self.n_visits] *= factors**2
        return out

    @abstractmethod
    def matrix(self, psi: FloatArray) -> FloatArray:
        """Covariance of all visits, (T, T)."""

    @abstractmethod
    def first_matrix(self, psi: FloatArray) -> FloatArray:
        """Its derivatives, (k, T, T)."""

    def second_matrix(self, psi: FloatArray) -> FloatArray:
        """Its second derivatives, (k, k, T, T)."""
        k, T = self.n_parameters, self.n_visits
        return np.zeros((k, k, T, T))

    def cov(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """Rows and columns of the matrix."""
        return self.matrix(psi)[_pairs(where)]

    def first(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """Rows and columns of its derivatives."""
        return self.first_matrix(psi)[(slice(None), *_pairs(where))]

    def second(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """Rows and columns of its second derivatives."""
        return self.second_matrix(psi)[(slice(None), slice(None), *_pairs(where))]


def _pairs(where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return where[..., :, None], where[..., None, :]


def several(kind: Kind, n: int) -> tuple[Kind, ...]:
    """`kind`, n times."""
    return (kind,) * n


def variance_labels(visits: Sequence[str]) -> tuple[str, ...]:
    """``Var(VIS1)``, …"""
    return tuple(f"Var({visit})" for visit in visits)
