"""Covariance by distance in time or space, v f(d): car1, sp_exp, sp_gau; a file of its own has sp_mat.

    car1    ρ^(d/u)         φ = log(−log ρ)     SAS SP(POW), nlme corCAR1
    sp_exp  exp(−d/r)       φ = log r           SAS SP(EXP), nlme corExp
    sp_gau  exp(−(d/r)²)    φ = log r           SAS SP(GAU), nlme corGaus

with d the Euclidean distance. Another unit of time or space shifts φ. A range has that unit, and ρ is the correlation
at some distance u. Were u one, ρ would be no number where times are in years and rows correlate for hours, and Kenward
and Roger's correction, which is not the same in all parameters, would depend on the unit. So u is the smallest gap
between two rows of a series, ρ what ar1's is of neighbours, and a user reads ρ^(1/u).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from henderson.covariance.residual.structure import AT_END, Kind, Mapped, Pairs, PlaceKind
from henderson.numerics.jets import exp, joined

FloatArray = np.ndarray

#: points of the grid for a start, between a hundredth of the smallest distance and a hundred times the largest
GRID = 60
#: above zero
SMALLEST = float(np.finfo(float).smallest_subnormal)
#: exponent of a number whose products with others are finite
MOST = 300.0


class ByDistance(Mapped):
    """v f(d; s), where s are one or two shape parameters, φ = (log v, φ_s)."""

    places: ClassVar[PlaceKind] = "coordinates"
    by_difference = True

    @abstractmethod
    def shape(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """f at distances, of the same shape as `d`."""

    @abstractmethod
    def shape_first(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """∂f/∂s, (m, *d.shape)."""

    @abstractmethod
    def shape_second(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """∂²f/∂s∂s', (m, m, *d.shape)."""

    @abstractmethod
    def shape_natural(self, phi: Any) -> Any:
        """s of φ_s."""

    @abstractmethod
    def shape_working(self, s: FloatArray) -> FloatArray:
        """φ_s of s."""

    @abstractmethod
    def of_range(self, r: float) -> FloatArray:
        """s at which residuals r apart hardly correlate, for a start."""

    def variants(self, s: FloatArray) -> list[FloatArray]:
        """Kinds of shape, s among them, whose ranges are all to be tried."""
        return [s]

    def at_range(self, s: FloatArray, r: float) -> FloatArray:
        """Shape of the kind of s at a range."""
        return self.of_range(r)

    def cov(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """v f."""
        return psi[0] * self.shape(psi[1:], distances(where))

    def first(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """f and v ∂f."""
        d = distances(where)
        return np.concatenate([self.shape(psi[1:], d)[None], psi[0] * self.shape_first(psi[1:], d)])

    def second(self, psi: FloatArray, where: np.ndarray) -> FloatArray:
        """∂f beside v, and v ∂²f."""
        d = distances(where)
        out = np.zeros((len(psi), len(psi), *d.shape))
        out[0, 1:] = out[1:, 0] = self.shape_first(psi[1:], d)
        out[1:, 1:] = psi[0] * self.shape_second(psi[1:], d)
        return out

    def working(self, psi: FloatArray) -> FloatArray:
        """log v, and the shape's φ."""
        return np.concatenate([np.log(psi[:1]), self.shape_working(psi[1:])])

    def _natural(self, phi: Any) -> Any:
        return joined([exp(phi[:1]), self.shape_natural(phi[1:])])

    def start(self, pairs: Pairs) -> FloatArray:
        """Mean square, and the shape on a grid of ranges whose f is nearest to the products of residuals."""
        d, product = pairs.distance, pairs.product / pairs.variance
        if not len(d):
            return np.concatenate([[pairs.variance], self.of_range(1.0)])
        grid = np.geomspace(0.1 * d.min(), 10 * d.max(), GRID)
        candidates = [self.of_range(r) for r in grid]
        errors = [np.mean((product - self.shape(s, d)) ** 2) for s in candidates]
        return np.concatenate([[pairs.variance], candidates[int(np.argmin(errors))]])

    def at_boundary(self, psi: FloatArray, within: float = AT_END) -> np.ndarray:
        """Nothing: a range has no end that distances do not set, see `is_degenerate`."""
        return np.zeros(len(psi), bool)

    def is_degenerate(self, psi: FloatArray, distance: FloatArray) -> bool:
        """Whether rows do not correlate at any of some distances (m,), or correlate fully at all of them."""
        f = self.shape(psi[1:], distance)
        return bool(len(f) and (f.max() < AT_END or f.min() > 1 - AT_END))


def distances(where: np.ndarray) -> FloatArray:
    """Euclidean distances of rows, (..., n, n), of coordinates (..., n, d)."""
    if where.shape[-1] == 1:
        return np.abs(where[..., :, None, 0] - where[..., None, :, 0])
    apart = where[..., :, None, :] - where[..., None, :, :]
    return np.sqrt(np.einsum("...d,...d->...", apart, apart))


class ContinuousTime(ByDistance):
    """v ρ^(d/u), ρ = exp(−e^φ)."""

    name = "car1"
    memory = 1
    places: ClassVar[PlaceKind] = "time"

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """The correlation is positive."""
        return (*super().ranges[:-1], (0.0, 1.0))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """A variance and a correlation at distance u."""
        return ("variance", "correlation")

    @property
    def powers(self) -> FloatArray:
        """Of the correlation at distance one."""
        return np.array([1.0, 1 / self.unit])

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Var`` and ``Corr``."""
        return ("Var", "Corr")

    def shape(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """ρ^g, g = d/u."""
        return _power(s, d / self.unit)

    def shape_first(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """g ρ^(g − 1)."""
        g = d / self.unit
        return (g * _power(s, g - 1))[None]

    def shape_second(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """g (g − 1) ρ^(g − 2)."""
        g = d / self.unit
        return (g * (g - 1) * _power(s, g - 2))[None, None]

    def shape_natural(self, phi: Any) -> Any:
        """exp(−e^φ)."""
        return exp(-exp(phi))

    def shape_working(self, s: FloatArray) -> FloatArray:
        """log(−log ρ); a ρ that underflows is the smallest number."""
        return np.log(-np.log(np.maximum(s, SMALLEST)))

    def of_range(self, r: float) -> FloatArray:
        """e^(−u/r), away from the ends that numbers have."""
        return np.exp(-np.array([np.clip(self.unit / r, 1e-12, 300.0)]))


def _power(s: FloatArray, g: FloatArray) -> FloatArray:
    """ρ^g; a ρ that underflows is the smallest number."""
    return np.exp(np.minimum(np.log(max(float(s[0]), SMALLEST)) * g, MOST))


class _ByRange(ByDistance):
    """Shapes of one range r."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """A variance and a range."""
        return ("variance", "range")

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Var`` and ``Range``."""
        return ("Var", "Range")

    def shape_natural(self, phi: Any) -> Any:
        """e^φ."""
        return exp(phi)

    def shape_working(self, s: FloatArray) -> FloatArray:
        """log r."""
        return np.log(s)

    def of_range(self, r: float) -> FloatArray:
        """Itself."""
        return np.array([r])


class Exponential(_ByRange):
    """v exp(−d/r)."""

    name = "sp_exp"
    memory = 1  # along a line

    def shape(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """exp(−d/r)."""
        return np.exp(-d / s[0])

    def shape_first(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """f u/r, u = d/r."""
        u = d / s[0]
        return (np.exp(-u) * u / s[0])[None]

    def shape_second(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """f (u² − 2u)/r²."""
        u = d / s[0]
        return (np.exp(-u) * u * (u - 2) / s[0] ** 2)[None, None]


class Gaussian(_ByRange):
    """v exp(−(d/r)²)."""

    name = "sp_gau"

    def shape(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """exp(−(d/r)²)."""
        return np.exp(-((d / s[0]) ** 2))

    def shape_first(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """2 f u/r, u = (d/r)²."""
        u = (d / s[0]) ** 2
        return (2 * np.exp(-u) * u / s[0])[None]

    def shape_second(self, s: FloatArray, d: FloatArray) -> FloatArray:
        """f (4u² − 6u)/r²."""
        u = (d / s[0]) ** 2
        return (np.exp(-u) * (4 * u**2 - 6 * u) / s[0] ** 2)[None, None]
