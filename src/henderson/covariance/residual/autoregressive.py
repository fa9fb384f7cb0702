"""Visits one apart: ar1 (SAS AR(1)) v ρ^|s−t|, and ar1h (ARH(1)) √(v_s v_t) ρ^|s−t|."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from henderson.covariance.residual.scaled import Correlation, EachVariance, OneVariance
from henderson.covariance.residual.structure import Pairs
from henderson.covariance.residual.toeplitz import lags
from henderson.numerics.jets import tanh

FloatArray = np.ndarray


class LagPower(Correlation):
    """C_st = ρ^|s−t|, ρ = tanh φ."""

    @property
    def n_parameters(self) -> int:
        """One."""
        return 1

    def names(self, visits: Sequence[str]) -> tuple[str, ...]:
        """``Corr``."""
        return ("Corr",)

    def matrix(self, r: FloatArray) -> FloatArray:
        """ρ^lag."""
        return self._by_lag(r[0] ** np.arange(self.n_visits))

    def first(self, r: FloatArray) -> FloatArray:
        """lag ρ^(lag − 1)."""
        lag = np.arange(self.n_visits)
        return self._by_lag(lag * r[0] ** np.maximum(lag - 1, 0))[None]

    def second(self, r: FloatArray) -> FloatArray:
        """lag (lag − 1) ρ^(lag − 2)."""
        lag = np.arange(self.n_visits)
        return self._by_lag(lag * (lag - 1) * r[0] ** np.maximum(lag - 2, 0))[None, None]

    def _by_lag(self, values: FloatArray) -> FloatArray:
        """The value of its lag for each pair of visits, (T, T)."""
        return values[lags(self.n_visits)]

    def natural(self, phi: Any) -> Any:
        """tanh φ."""
        return tanh(phi)

    def working(self, r: FloatArray) -> FloatArray:
        """artanh ρ."""
        return np.arctanh(r)

    def start(self, pairs: Pairs) -> FloatArray:
        """The mean correlation at lag one; without such pairs the root of that at the smallest lag."""
        for lag in range(1, self.n_visits):
            found = pairs.mean_correlation(lag)
            if found:
                return np.array([np.clip(np.sign(found) * abs(found) ** (1 / lag), -0.9, 0.95)])
        return np.zeros(1)


class Autoregressive(OneVariance):
    """v ρ^|s−t|."""

    name = "ar1"
    memory = 1
    by_difference = True
    correlation = LagPower


class HeterogeneousAutoregressive(EachVariance):
    """√(v_s v_t) ρ^|s−t|."""

    name = "ar1h"
    memory = 1
    correlation = LagPower
