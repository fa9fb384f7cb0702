"""Quantiles of statistics whose tail is known: sf(c; ν) = α solved for many degrees of freedom at once.

The secant method on log sf, which is nearly linear in c. Where there are many different ν the quantile, a
smooth function of 1/ν, is computed at Chebyshev points in 1/ν and interpolated (to 1e-8).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import chebyshev

_MANY = 14
_LEAST_DF = 3.0  # below, quantiles change too fast with 1/ν


def tail_quantile(
    sf: Callable[[np.ndarray, np.ndarray], np.ndarray], tail: float, df: np.ndarray, n_tests: float
) -> np.ndarray:
    """The c with sf(c, df) = tail, for each of `df`.

    Parameters
    ----------
    sf : callable
        Decreasing in its first argument; both arguments and the result (k,).
    tail : float
    df : (k,) array
        Where not positive or NaN, the result is NaN.
    n_tests : float
        Number of independent t tests whose largest size is a first guess at the statistic.

    Examples
    --------
    >>> from henderson.numerics.distributions import t_pvalue
    >>> tail_quantile(t_pvalue, 0.05, np.array([10.0, np.inf]), 1).round(6)
    array([2.228139, 1.959964])
    """
    df = np.asarray(df, float)
    out = np.full(df.shape, np.nan)
    ok = df > 0
    different, back = np.unique(df[ok], return_inverse=True)
    if len(different) > _MANY and different[0] >= _LEAST_DF:
        first, last = 1 / different[-1], 1 / different[0]
        middle, half = (first + last) / 2, (last - first) / 2
        # half can underflow to zero when the df are nearly the same: then any of them will do
        points = chebyshev.chebpts1(_MANY)
        at_points = _secant(sf, tail, 1 / (middle + half * points), n_tests)
        series = chebyshev.chebfit(points, at_points, _MANY - 1)
        values = chebyshev.chebval((1 / different - middle) / half if half else 0 * different, series)
    else:
        values = _secant(sf, tail, different, n_tests)
    out[ok] = values[back]
    return out


def _secant(
    sf: Callable[[np.ndarray, np.ndarray], np.ndarray], tail: float, df: np.ndarray, n_tests: float
) -> np.ndarray:
    from henderson.numerics.distributions import t_quantile

    target = np.log(tail)

    def gap(c: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(sf(c, df), 1e-300)) - target

    new = t_quantile((1 + (1 - tail) ** (1 / n_tests)) / 2, df)
    old = 1.03 * new
    old_gap = gap(old)
    for _ in range(60):
        new_gap = gap(new)
        change = np.where(new_gap == old_gap, 1.0, new_gap - old_gap)
        step = np.where(new_gap == old_gap, 0.0, -new_gap * (new - old) / change)
        old, old_gap = new, new_gap
        new = new + np.clip(step, -0.4 * np.abs(new), 0.4 * np.abs(new))
        if np.all(np.abs(new - old) <= 1e-11 * np.abs(new)):
            break
    return new
