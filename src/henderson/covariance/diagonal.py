"""Independent effects, each with its own variance: θ is the diagonal of λ."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from henderson.covariance.structure import Filled, Inside, Structure

FloatArray = np.ndarray

#: effects of which all sets are listed
SETS = 4


class Diagonal(Filled):
    """Independent effects, each with its own variance."""

    name = "diagonal"

    def entries(self, q: int) -> FloatArray:
        """The diagonal, (q, 2)."""
        return np.column_stack([np.arange(q), np.arange(q)])

    def theta_of_cov(self, cov: FloatArray) -> FloatArray:
        """Roots of the variances; zero where one is negative."""
        return np.sqrt(np.maximum(np.diag(cov), 0.0))

    def whiten(self, gram: FloatArray, correlate: bool = True) -> FloatArray:
        """Every effect scaled by its own column."""
        scale = np.sqrt(np.diag(gram))
        return np.diag(1 / np.where(scale > 0, scale, 1.0))

    def of_ranks(self, q: int) -> list[FloatArray]:
        """Effects that have a variance: each set of up to SETS, of more all."""
        lam, sizes = self.lam(self.unspecial(q), q), range(1, q + 1) if q <= SETS else [q]
        return [lam[:, own] for r in sizes for own in combinations(range(q), r)]

    def rays(self, q: int) -> FloatArray:
        """One variance at a time."""
        return self.basis(q)

    def without_weakest(self, lam: FloatArray, sizes: FloatArray) -> FloatArray:
        """Less the effect with the smallest standard deviation."""
        out = lam.copy()
        out[np.argmin(sizes * np.abs(np.diag(lam)))] = 0.0
        return out

    def at_zero(self, lam: FloatArray) -> FloatArray:
        """Effects without variance."""
        return np.asarray(np.diag(lam) == 0)

    def inside(self, lam: FloatArray, zero: float) -> list[Inside]:
        """One variance at a time, those that are not zero."""
        return [Inside(np.diag(unit)) for unit in np.eye(len(lam))[np.diag(lam) ** 2 > zero]]

    def mixture(self, had: Structure | None, r: int, q: int) -> tuple[tuple[int, ...], tuple[float, ...]] | None:
        """One more independent effect: one more variance, ½χ²_0 + ½χ²_1."""
        if had is not None and had.name == self.name and q == r + 1:
            return (0, 1), (0.5, 0.5)
        return super().mixture(had, r, q)
