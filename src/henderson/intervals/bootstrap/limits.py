"""Bootstrap intervals from replicates (Efron and Tibshirani 1993, chapters 13 and 14).

With t* the replicates of an estimate t, Q their quantiles, z_a = Φ⁻¹(a):

    percentile  (Q(a/2), Q(1 − a/2))
    basic       (2t − Q(1 − a/2), 2t − Q(a/2))
    bca         quantiles at Φ(z_0 + (z_0 + z)/(1 − â (z_0 + z))), z_0 = Φ⁻¹(share of t* below t),
                â = Σ(t̄ − t_j)³ / 6 (Σ(t̄ − t_j)²)^{3/2}, t_j the estimate without group j
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr, ndtri

FloatArray = np.ndarray
#: replicates (B,), estimate, level, acceleration → limits
Limits = Callable[[FloatArray, float, float, float], tuple[float, float]]


def percentile(replicates: FloatArray, estimate: float, level: float, acceleration: float) -> tuple[float, float]:
    """Quantiles of the replicates."""
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def basic(replicates: FloatArray, estimate: float, level: float, acceleration: float) -> tuple[float, float]:
    """Quantiles reflected at the estimate."""
    low, high = percentile(replicates, estimate, level, acceleration)
    return 2 * estimate - high, 2 * estimate - low


def bca(replicates: FloatArray, estimate: float, level: float, acceleration: float) -> tuple[float, float]:
    """Quantiles corrected for bias and for a standard error that changes with the parameter."""
    n = len(replicates)
    below = (replicates < estimate).sum() + 0.5 * (replicates == estimate).sum()
    z0 = ndtri(np.clip(below / n, 0.5 / n, 1 - 0.5 / n))
    z = z0 + ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = np.quantile(replicates, ndtr(z0 + z / (1 - acceleration * z)))
    return float(low), float(high)


#: the kinds of interval
LIMITS: dict[str, Limits] = {"percentile": percentile, "basic": basic, "bca": bca}


def acceleration_of(jackknife: FloatArray) -> FloatArray:
    """â of each column of leave-one-group-out estimates (groups, m), NaN rows left out."""
    difference = np.nanmean(jackknife, 0) - jackknife
    cubes, squares = np.nansum(difference**3, 0), np.nansum(difference**2, 0)
    return np.where(squares > 0, cubes / (6 * np.where(squares > 0, squares, 1.0) ** 1.5), 0.0)
