"""Correlation that decays with the distance in time: AR(1), at equal steps or with gaps, and Ornstein and Uhlenbeck's.

    R_rs = ρ^|t_r − t_s|,   b_1 = ε_1,   b_r = ρ^g_r b_{r−1} + √(1 − ρ^2g_r) ε_r,   g_r = t_r − t_{r−1}

so L_rs = ρ^(t_r − t_s) w_s with w_1 = 1, w_s = √(1 − ρ^2g_s). AR(1) counts time in whole steps and has ρ = sin φ; in
continuous time ρ = cos²φ belongs to the smallest gap and lies between 0 and 1. With v = cos φ and sin φ, ρ² or ρ is
1 − v², and w_s = v h(g_s) where h has no zero: λ is smooth at ρ = ±1.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from henderson.covariance.correlated import Correlation
from henderson.errors import DataError

FloatArray = np.ndarray

#: distances that differ by less than this share of the smallest are one
SAME = 1e-9
#: distances of which a matrix each is in memory, and all their pairs
MOST = 2_500


class Markov(Correlation):
    """What the two have in common.

    Parameters
    ----------
    times : sequence of float, optional
        Increasing; None: 0, 1, 2, …, for any number of effects.
    """

    #: log |ρ| = power log(1 − v²)
    power: float

    def __init__(self, times: Sequence[float] | None = None) -> None:
        self.times = None if times is None else tuple(float(t) for t in times)

    @property
    def suffix(self) -> str:
        """The times."""
        return "" if self.times is None else f"({','.join(f'{t:.17g}' for t in self.times)})"

    def n(self, q: int) -> int:
        """One; none of a single effect."""
        return int(q > 1)

    def distances(self, q: int) -> FloatArray:
        """|t_r − t_s|, (q, q), in units of ρ's."""
        if self.times is not None and len(self.times) != q:
            raise ValueError(f"{self.label} of {len(self.times)} times for {q} effects")
        times = np.arange(q) if self.times is None else np.array(self.times)
        return np.abs(np.subtract.outer(times, times)) / self.unit(times)

    @abstractmethod
    def unit(self, times: FloatArray) -> float:
        """The distance that ρ belongs to."""

    def shown(self, q: int) -> str:
        """At the smallest distance."""
        return "of the effects nearest in time, from which the others follow"

    @abstractmethod
    def rho(self, angle: float) -> tuple[float, float, float, float]:
        """ρ, ∂ρ/∂φ, v, and (∂ρ/∂φ)/v."""

    @abstractmethod
    def bent(self, angle: float, a: FloatArray) -> FloatArray:
        """∂²/∂φ² of ρ^a."""

    @abstractmethod
    def angle(self, rho: float) -> float:
        """φ of ρ, which may be out of its range."""

    def root(self, phi: FloatArray, q: int) -> FloatArray:
        """ρ^(t_r − t_s) w_s."""
        if q == 1:
            return np.eye(1)
        a = self.distances(q)
        rho, _, v, _ = self.rho(float(phi[0]))
        return np.tril(_powers(rho, a)) * np.append(1.0, v * self._h(v, a.diagonal(-1)))

    def turn(self, phi: FloatArray, q: int) -> FloatArray:
        """By the product rule, ∂w = −g ρ^(2g−1) ∂ρ / w."""
        if q == 1:
            return np.zeros((0, 1, 1))
        a = self.distances(q)
        gaps = a.diagonal(-1)
        rho, slope, v, ratio = self.rho(float(phi[0]))
        h = self._h(v, gaps)
        own = a * _powers(rho, np.maximum(a - 1, 0.0)) * slope * np.append(1.0, v * h)
        own += _powers(rho, a) * np.append(0.0, -gaps * _powers(rho, np.maximum(2 * gaps - 1, 0.0)) * ratio / h)
        return np.tril(own)[None]

    def bend(self, phi: FloatArray, q: int) -> FloatArray:
        """Of ρ^|t_r − t_s|."""
        if q == 1:
            return np.zeros((0, 0, 1, 1))
        return self.bent(float(phi[0]), self.distances(q))[None, None]

    def nearest(self, cor: FloatArray) -> FloatArray:
        """From the mean correlation at the smallest distance, its sign from odd distances."""
        a = self.distances(len(cor))
        known = np.tril(~np.isnan(cor), -1)
        if not known.any():
            return np.array([self.angle(0.0)])
        least = a[known].min()
        mean = float(cor[known & (np.abs(a - least) < SAME * least)].mean())
        size = min(abs(mean), 1.0) ** (1 / least)
        odd = cor[known & (np.abs(a % 2 - 1) < SAME)]
        sign = np.sign(mean) if least % 2 == 1 or not len(odd) else np.sign(odd.mean())
        return np.array([self.angle(float(sign * size))])

    def patterns(self, q: int) -> FloatArray:
        """Equal distances, the smallest first."""
        if q == 1:
            return np.zeros((0, 1, 1))
        a = self.distances(q)
        ordered = np.sort(a[np.tril_indices(q, -1)])
        first = ordered[np.append(True, np.diff(ordered) > SAME * ordered[0])]
        if len(first) > MOST:
            raise DataError(
                f"{self.label}() of {q} times has {len(first):,} distances between them, more than a fit can take: "
                f"{MOST:,}. Times rounded to a grid have fewer; residual='car1(time | group)' takes any times"
            )
        return np.stack([np.abs(a - d) <= SAME * ordered[0] for d in first]).astype(float)

    def _h(self, v: float, gaps: FloatArray) -> FloatArray:
        """√((1 − ρ^2g) / v²), (len(gaps),)."""
        if v * v < 1e-300:
            return np.sqrt(2 * self.power * gaps)
        with np.errstate(divide="ignore"):
            log = self.power * np.log1p(-min(v * v, 1.0))
        return np.sqrt(-np.expm1(2 * gaps * log)) / abs(v)


class Ar1Correlation(Markov):
    """ρ^steps, ρ = sin φ between −1 and 1."""

    label = "ar1"
    power = 0.5

    def unit(self, times: FloatArray) -> float:
        """A step."""
        return 1.0

    def rho(self, angle: float) -> tuple[float, float, float, float]:
        """sin φ."""
        return np.sin(angle), np.cos(angle), np.cos(angle), 1.0

    def bent(self, angle: float, a: FloatArray) -> FloatArray:
        """a (a − 1) ρ^(a−2) cos²φ − a ρ^a."""
        rho = np.sin(angle)
        return a * (a - 1) * _powers(rho, np.maximum(a - 2, 0.0)) * (1 - rho**2) - a * _powers(rho, a)

    def angle(self, rho: float) -> float:
        """arcsin ρ."""
        return float(np.arcsin(np.clip(rho, -1.0, 1.0)))

    def trials(self, q: int) -> FloatArray:
        """ρ from −1 to 1."""
        return np.linspace(-np.pi / 2, np.pi / 2, 17)[:, None][:, : self.n(q)]


class OuCorrelation(Markov):
    """exp(−γ |t_r − t_s|), ρ = cos²φ between 0 and 1 that of the smallest gap."""

    label = "ou"
    power = 1.0

    def unit(self, times: FloatArray) -> float:
        """The smallest gap."""
        return float(np.diff(times).min()) if len(times) > 1 else 1.0

    def rho(self, angle: float) -> tuple[float, float, float, float]:
        """cos²φ."""
        return np.cos(angle) ** 2, -np.sin(2 * angle), np.sin(angle), -2 * np.cos(angle)

    def bent(self, angle: float, a: FloatArray) -> FloatArray:
        """a ρ^(a−1) (4 (a − 1) (1 − ρ) + 2 − 4ρ)."""
        rho = np.cos(angle) ** 2
        return a * _powers(rho, np.maximum(a - 1, 0.0)) * (4 * (a - 1) * (1 - rho) + 2 - 4 * rho)

    def angle(self, rho: float) -> float:
        """arccos √ρ."""
        return float(np.arccos(np.sqrt(np.clip(rho, 0.0, 1.0))))

    def trials(self, q: int) -> FloatArray:
        """ρ from 1 to 0."""
        return np.linspace(0.0, np.pi / 2, 9)[:, None][:, : self.n(q)]


def _powers(rho: float, a: FloatArray) -> FloatArray:
    """ρ^a; 0⁰ is 1."""
    return np.power(rho, a)
