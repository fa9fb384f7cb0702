"""A correlation of each two neighbours, products between others: ad v Π ρ_k, and adh (SAS ANTE(1)) √(v_s v_t) Π ρ_k."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from henderson.covariance.residual.scaled import Correlation, EachVariance, OneVariance
from henderson.covariance.residual.structure import Pairs
from henderson.numerics.jets import tanh

FloatArray = np.ndarray


class Neighbours(Correlation):
    """C_st = ρ_s ρ_{s+1} … ρ_{t−1} for s < t, ρ = tanh φ."""

    @property
    def n_parameters(self) -> int:
        """T − 1."""
        return self.n_visits - 1

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Corr(VIS1, VIS2)``, …"""
        return tuple(f"Corr({one}, {other})" for one, other in pairwise(visits))

    @property
    def _between(self) -> np.ndarray:
        """Whether ρ_k stands between visits s and t, (T − 1, T, T)."""
        each = np.arange(self.n_visits)
        low, high = np.minimum.outer(each, each), np.maximum.outer(each, each)
        k = np.arange(self.n_visits - 1)[:, None, None]
        return (low <= k) & (k < high)

    def _product(self, r: FloatArray, without: tuple[int, ...] = ()) -> FloatArray:
        factors = np.where(self._between, r[:, None, None], 1.0)
        return np.delete(factors, without, axis=0).prod(axis=0)

    def matrix(self, r: FloatArray) -> FloatArray:
        """Products of what stands between."""
        return self._product(r)

    def first(self, r: FloatArray) -> FloatArray:
        """The products without ρ_k, where it stands between."""
        out = [own * self._product(r, (k,)) for k, own in enumerate(self._between)]
        return np.array(out).reshape(len(r), self.n_visits, self.n_visits)

    def second(self, r: FloatArray) -> FloatArray:
        """The products without two of them."""
        between, m = self._between, len(r)
        out = np.zeros((m, m, self.n_visits, self.n_visits))
        for k in range(m):
            for j in range(k):
                out[k, j] = out[j, k] = between[k] * between[j] * self._product(r, (j, k))
        return out

    def natural(self, phi: Any) -> Any:
        """tanh φ."""
        return tanh(phi)

    def working(self, r: FloatArray) -> FloatArray:
        """artanh ρ."""
        return np.arctanh(r)

    def start(self, pairs: Pairs) -> FloatArray:
        """The neighbours' correlations, where nothing is known their mean."""
        own = np.diagonal(pairs.correlations, 1) if self.n_visits > 1 else np.zeros(0)
        return np.clip(np.where(np.isfinite(own), own, pairs.mean_correlation(1)), -0.9, 0.95)


class Antedependence(OneVariance):
    """v Π ρ_k."""

    name = "ad"
    memory = 1
    correlation = Neighbours

    @property
    def free_pairs(self) -> tuple[tuple[int, int], ...]:
        """Neighbours."""
        return tuple(pairwise(range(self.n_visits)))


class HeterogeneousAntedependence(EachVariance):
    """√(v_s v_t) Π ρ_k."""

    name = "adh"
    memory = 1
    correlation = Neighbours

    @property
    def free_pairs(self) -> tuple[tuple[int, int], ...]:
        """Neighbours."""
        return tuple(pairwise(range(self.n_visits)))
