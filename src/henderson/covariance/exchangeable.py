"""Compound symmetry: every two effects have one correlation, −1/(q − 1) ≤ ρ ≤ 1.

R = (1 + (q − 1)ρ) P + (1 − ρ) (I − P), P the mean over the effects. With one variance G = α²P + β²(I − P) has the root
λ = αP + β(I − P), linear in θ = (α, β); with a variance for each effect R has the root
√q cos φ P + √(q/(q−1)) sin φ (I − P), since its eigenvalues have the mean one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from henderson.covariance.correlated import Correlation, joined
from henderson.covariance.roots import factor_of
from henderson.covariance.structure import Shown, Structure

FloatArray = np.ndarray


def projections(q: int) -> FloatArray:
    """P and I − P, (2, q, q); of one effect P alone."""
    mean = np.full((q, q), 1 / q)
    return np.stack([mean, np.eye(q) - mean])[: min(q, 2)]


def correlated_pairs(q: int) -> FloatArray:
    """Ones off the diagonal, (1, q, q); none of one effect."""
    return (np.ones((q, q)) - np.eye(q))[None][: int(q > 1)]


class CompoundSymmetry(Structure):
    """One variance and one correlation."""

    name = "homcs"

    def n_theta(self, q: int) -> int:
        """α and β."""
        return min(q, 2)

    def lam(self, theta: FloatArray, q: int) -> FloatArray:
        """αP + β(I − P)."""
        return np.tensordot(theta, projections(q), 1)

    def jacobian(self, theta: FloatArray, q: int) -> FloatArray:
        """P, I − P."""
        return projections(q)

    def basis(self, q: int) -> FloatArray:
        """The variance and the covariance."""
        return np.concatenate([np.eye(q)[None], correlated_pairs(q)])

    def theta_of_cov(self, cov: FloatArray) -> FloatArray:
        """Roots of the mean eigenvalues on P and I − P; zero where one is negative."""
        q = len(cov)
        rank = np.array([1, q - 1])[: min(q, 2)]
        return np.sqrt(np.maximum(np.tensordot(projections(q), cov, 2) / rank, 0.0))

    def rays(self, q: int) -> FloatArray:
        """P, I − P."""
        return projections(q)

    def without_weakest(self, lam: FloatArray, sizes: FloatArray) -> FloatArray:
        """Less the smaller of α and β."""
        theta = self.theta(lam)
        theta[np.argmin(theta)] = 0.0
        root = self.lam(theta, len(lam))
        return factor_of(root @ root.T)

    def meaning(self, names: Sequence[str]) -> str:
        """One variance, and one correlation."""
        return "cs: one variance, and one correlation of every two effects"

    def display(self, names: Sequence[str]) -> tuple[Shown, ...]:
        """The standard deviation and the correlation."""
        return tuple(Shown(k, 0, joined(names)) for k in range(min(len(names), 2)))


class ExchangeableCorrelation(Correlation):
    """One correlation for every pair."""

    label = "cs"

    def n(self, q: int) -> int:
        """One; none of a single effect."""
        return int(q > 1)

    def _sizes(self, q: int) -> FloatArray:
        return np.sqrt([q, q / (q - 1)])

    def root(self, phi: FloatArray, q: int) -> FloatArray:
        """√q cos φ P + √(q/(q−1)) sin φ (I − P)."""
        if q == 1:
            return np.eye(1)
        return np.tensordot(self._sizes(q) * [np.cos(phi[0]), np.sin(phi[0])], projections(q), 1)

    def turn(self, phi: FloatArray, q: int) -> FloatArray:
        """Its derivative."""
        if q == 1:
            return np.zeros((0, 1, 1))
        return np.tensordot(self._sizes(q) * [-np.sin(phi[0]), np.cos(phi[0])], projections(q), 1)[None]

    def bend(self, phi: FloatArray, q: int) -> FloatArray:
        """∂² of q cos²φ P + q/(q−1) sin²φ (I − P)."""
        if q == 1:
            return np.zeros((0, 0, 1, 1))
        weight = self._sizes(q) ** 2 * [-2 * np.cos(2 * phi[0]), 2 * np.cos(2 * phi[0])]
        return np.tensordot(weight, projections(q), 1)[None, None]

    def nearest(self, cor: FloatArray) -> FloatArray:
        """From the mean correlation."""
        q = len(cor)
        pairs = cor[np.tril_indices(q, -1)]
        rho = float(pairs[~np.isnan(pairs)].mean()) if not np.isnan(pairs).all() else 0.0
        return np.array([np.arccos(np.sqrt(np.clip((1 + (q - 1) * rho) / q, 0.0, 1.0)))])

    def patterns(self, q: int) -> FloatArray:
        """All pairs."""
        return correlated_pairs(q)

    def shown(self, q: int) -> str:
        """Of all."""
        return "of every two effects"

    def trials(self, q: int) -> FloatArray:
        """ρ from 1 to −1/(q − 1)."""
        return np.linspace(0.0, np.pi / 2, 9)[:, None][:, : self.n(q)]
