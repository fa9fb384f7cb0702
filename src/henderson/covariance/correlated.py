"""Variances times a correlation: G = D R(φ) D, with one standard deviation for all effects or one for each.

λ = D L(φ) with LL' = R. What R may be is a `Correlation`: a family with few parameters φ, one class each. Angles stand
for correlations, ρ = sin φ, so that ρ = ±1 is an ordinary point of λ(φ) and the deviance has its boundary as a smooth
minimum, as it has at θ = 0 of a variance. Of several standard deviations each is a square, d_r = θ_r²: a negative one
would change the signs of correlations.

    ∂λ = ∂D L + D ∂L        ∂²G_φφ = D ∂²R D        ∂²G_dφ = ∂D ∂R D + D ∂R ∂D

SAS's parameters are variances and correlations, ψ(θ); with K = ∂θ/∂ψ

    ∂G/∂ψ = Σ_a K_a. ∂G/∂θ_a        ∂²G/∂ψ∂ψ = K' (∂²G/∂θ∂θ − Σ_i ∂G/∂ψ_i ∂²ψ_i/∂θ∂θ) K
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from henderson.covariance.diagonal import Diagonal
from henderson.covariance.structure import Inside, Shown, Structure
from henderson.covariance.unstructured import Unstructured

FloatArray = np.ndarray

#: ∂ψ/∂θ below which a parameter is at the end of its range
BOUNDARY = 1e-9
#: variance below which an effect has no correlation to be told
NOTHING = 1e-14


class Correlation(ABC):
    """A family of correlation matrices R(φ) of q effects.

    Attributes
    ----------
    label : str
        What a formula calls it: ``"ar1"``.
    """

    label: ClassVar[str]

    @property
    def suffix(self) -> str:
        """What tells one of the family from another, as a name has it: ``"(0,1,2.5)"``; empty when nothing does."""
        return ""

    @abstractmethod
    def n(self, q: int) -> int:
        """Number of φ."""

    @abstractmethod
    def root(self, phi: FloatArray, q: int) -> FloatArray:
        """L(φ) with LL' = R, (q, q)."""

    @abstractmethod
    def turn(self, phi: FloatArray, q: int) -> FloatArray:
        """∂L/∂φ_i, (n, q, q)."""

    @abstractmethod
    def bend(self, phi: FloatArray, q: int) -> FloatArray:
        """∂²R/∂φ_i∂φ_j, (n, n, q, q)."""

    @abstractmethod
    def nearest(self, cor: FloatArray) -> FloatArray:
        """φ of the member near to a symmetric matrix with unit diagonal, NaN where an entry is not known."""

    @abstractmethod
    def patterns(self, q: int) -> FloatArray:
        """Where off the diagonal members have equal entries, symmetric ones, (k, q, q); those to be shown first."""

    def places(self, q: int) -> list[tuple[int, int]]:
        """Where in R the first correlation of each φ is."""
        patterns = self.patterns(q)[: self.n(q)]
        return [min((int(r), int(s)) for r, s in np.argwhere(np.tril(pattern))) for pattern in patterns]

    @abstractmethod
    def shown(self, q: int) -> str:
        """What the correlations in a table are: ``"of neighbours"``."""

    @abstractmethod
    def trials(self, q: int) -> FloatArray:
        """Members from one end of the family to the other, as φ, (m, n)."""


class Correlated(Structure):
    """G = D R(φ) D.

    Parameters
    ----------
    correlation : Correlation
    homogeneous : bool
        One standard deviation for all effects; else one for each.
    """

    linear = False
    convex = False

    def __init__(self, correlation: Correlation, homogeneous: bool, name: str) -> None:
        self.correlation, self.homogeneous = correlation, homogeneous
        self.name = name + correlation.suffix  # type: ignore[misc]  # of the instance: a family has many members

    def _n_sd(self, q: int) -> int:
        return 1 if self.homogeneous else q

    def n_theta(self, q: int) -> int:
        """Standard deviations, and the correlation's own."""
        return self._n_sd(q) + self.correlation.n(q)

    def _split(self, theta: FloatArray, q: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """d (q,), ∂d/∂θ (n_sd, q), φ."""
        own, phi = theta[: self._n_sd(q)], theta[self._n_sd(q) :]
        if self.homogeneous:
            return np.full(q, own[0]), np.ones((1, q)), phi
        return own**2, np.diag(2 * own), phi

    def lam(self, theta: FloatArray, q: int) -> FloatArray:
        """D L(φ)."""
        d, _, phi = self._split(theta, q)
        return d[:, None] * self.correlation.root(phi, q)

    def jacobian(self, theta: FloatArray, q: int) -> FloatArray:
        """∂D L, D ∂L."""
        d, step, phi = self._split(theta, q)
        own = step[:, :, None] * self.correlation.root(phi, q)
        return np.concatenate([own, d[:, None] * self.correlation.turn(phi, q)])

    def second_covariance(self, theta: FloatArray, q: int) -> FloatArray:
        """∂²G/∂θ_i∂θ_j from R and its derivatives."""
        d, step, phi = self._split(theta, q)
        L, turn = self.correlation.root(phi, q), self.correlation.turn(phi, q)
        half = turn @ L.T
        k, n = len(step), self.n_theta(q)
        out = np.zeros((n, n, q, q))
        both = np.einsum("ar,bs->abrs", step, step) * (L @ L.T)
        out[:k, :k] = both + both.transpose(0, 1, 3, 2)
        if not self.homogeneous:
            for r in range(q):
                out[r, r, r] += 2 * d * (L[r] @ L.T)
                out[r, r, :, r] += 2 * d * (L[r] @ L.T)
        mixed = np.einsum("ar,s,jrs->ajrs", step, d, half + half.transpose(0, 2, 1))
        out[:k, k:] = mixed + mixed.transpose(0, 1, 3, 2)
        out[k:, :k] = out[:k, k:].transpose(1, 0, 2, 3)
        out[k:, k:] = d[:, None] * self.correlation.bend(phi, q) * d
        return out

    def natural(self, theta: FloatArray, q: int) -> tuple[FloatArray, FloatArray] | None:
        """∂G/∂ψ (n, q, q) and ∂²G/∂ψ∂ψ (n, n, q, q); None at the boundary, where ψ does not move with θ."""
        to, bend = self._to_natural(theta, q)
        half = self.jacobian(theta, q) @ self.lam(theta, q).T
        if np.abs(to).max(axis=1, initial=0.0).min(initial=np.inf) < BOUNDARY:
            return None
        back = np.linalg.inv(to)
        first = np.tensordot(back.T, half + half.transpose(0, 2, 1), 1)
        inner = self.second_covariance(theta, q) - np.einsum("iab,irs->abrs", bend, first)
        return first, np.einsum("ai,abrs,bj->ijrs", back, inner, back, optimize=True)

    def _to_natural(self, theta: FloatArray, q: int) -> tuple[FloatArray, FloatArray]:
        """∂ψ_i/∂θ_a (n, n) and ∂²ψ_i/∂θ_a∂θ_b (n, n, n)."""
        k, n, phi = self._n_sd(q), self.n_theta(q), self._split(theta, q)[2]
        first, second, own = np.zeros((n, n)), np.zeros((n, n, n)), theta[: self._n_sd(q)]
        power = 2 if self.homogeneous else 4  # a variance is θ², or d² = θ⁴
        first[range(k), range(k)] = power * own ** (power - 1)
        second[range(k), range(k), range(k)] = power * (power - 1) * own ** (power - 2)
        half = self.correlation.turn(phi, q) @ self.correlation.root(phi, q).T
        slope, bend = half + half.transpose(0, 2, 1), self.correlation.bend(phi, q)
        for i, (r, s) in enumerate(self.correlation.places(q)):
            first[k + i, k:] = slope[:, r, s]
            second[k + i, k:, k:] = bend[:, :, r, s]
        return first, second

    def basis(self, q: int) -> FloatArray:
        """The variance and equal correlations; where variances differ, the entries of G."""
        if not self.homogeneous:
            return Unstructured().basis(q)
        return np.concatenate([np.eye(q)[None], self.correlation.patterns(q)])

    def theta_of_cov(self, cov: FloatArray) -> FloatArray:
        """Root of the mean variance, or of each; φ of the correlations."""
        variance = np.maximum(np.diag(cov), 0.0)
        if self.homogeneous:
            variance = np.full(len(cov), variance.mean())
        size = np.sqrt(variance)
        known = size > np.sqrt(NOTHING) * max(1.0, float(size.max(initial=0.0)))
        inverse = np.where(known, 1 / np.where(known, size, 1.0), 0.0)
        cor = inverse[:, None] * cov * inverse
        cor[~known] = cor[:, ~known] = np.nan
        np.fill_diagonal(cor, 1.0)
        phi = self.correlation.nearest(cor) if len(cov) > 1 else np.zeros(0)
        return np.concatenate([size[:1] if self.homogeneous else np.sqrt(size), phi])

    def whiten(self, gram: FloatArray, correlate: bool = True) -> FloatArray:
        """One scale for all effects, or each its own."""
        return super().whiten(gram) if self.homogeneous else Diagonal().whiten(gram)

    def _members(self, q: int) -> FloatArray:
        """Correlation matrices from one end of the family to the other, (m, q, q)."""
        roots = [self.correlation.root(phi, q) for phi in self.correlation.trials(q)]
        return np.stack([root @ root.T for root in roots])

    def family(self, lam: FloatArray, size: float) -> list[FloatArray]:
        """θ of the trials."""
        q = len(lam)
        factor = size / np.sqrt((lam**2).sum())
        own = self.theta(lam)[: self._n_sd(q)] * (factor if self.homogeneous else np.sqrt(factor))
        return [np.concatenate([own, phi]) for phi in self.correlation.trials(q)]

    def rays(self, q: int) -> FloatArray:
        """Correlation matrices of the family; from λ = 0 it can grow into each."""
        return self._members(q)

    def off_boundary(self, N: FloatArray) -> tuple[FloatArray, FloatArray]:
        """From λ = 0: all effects in step, or along the nonnegative weights of the lowest eigenvector."""
        slope, direction = super().off_boundary(N)
        if self.homogeneous:
            return slope, direction
        q = N.shape[-1]
        for member in (np.eye(q), *self._members(q)):
            masked = N * member
            weight = np.abs(np.linalg.eigh(masked)[1][..., 0])
            for d in (weight, *(np.broadcast_to(alone, weight.shape) for alone in np.eye(q))):
                own = np.einsum("...r,...rs,...s->...", d, masked, d)
                lower = own < slope
                slope = np.where(lower, own, slope)
                grown = d[..., :, None] * member * d[..., None, :]
                direction = np.where(lower[..., None, None], grown, direction)
        return slope, direction

    def inside(self, lam: FloatArray, zero: float) -> list[Inside]:
        """The θ along which G moves."""
        q = len(lam)
        theta = self.theta(lam)
        half = self.jacobian(theta, q) @ self.lam(theta, q).T
        change = half + half.transpose(0, 2, 1)
        bent = self.second_covariance(theta, q)
        moves = [i for i, one in enumerate(change) if np.abs(one).max(initial=0.0) > zero]
        return [Inside(change[i], bent=bent[i][moves]) for i in moves]

    def meaning(self, names: Sequence[str]) -> str:
        """What the shown correlations are."""
        return f"{self.correlation.label}: the correlation is that {self.correlation.shown(len(names))}"

    def display(self, names: Sequence[str]) -> tuple[Shown, ...]:
        """Standard deviations, and as many correlations as there are φ, each at its first place."""
        q = len(names)
        own = [Shown(r, r, joined(names) if self.homogeneous else names[r]) for r in range(self._n_sd(q))]
        for pattern, (r, s) in zip(self.correlation.patterns(q), self.correlation.places(q)):
            several = self.homogeneous or pattern.sum() > 2
            own.append(
                Shown(r, s, joined(names) if several and self.correlation.n(q) == 1 else f"{names[r]}.{names[s]}")
            )
        return tuple(sorted(own, key=lambda row: (row.column, row.row)))


def joined(names: Sequence[str]) -> str:
    """Names of effects that share a parameter: all of a few, else the first and the last.

    Examples
    --------
    >>> joined(["a", "b"]), joined([f"t[{k}]" for k in range(10)])
    ('a.b', 't[0]...t[9]')
    """
    return ".".join(names) if len(names) <= 4 else f"{names[0]}...{names[-1]}"
