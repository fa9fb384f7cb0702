"""Tails and quantiles of t and F, and limits of a probability; infinite degrees of freedom are the normal and χ².

scipy.special is imported where it is used: `import henderson` stays cheap.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FloatArray = np.ndarray

#: degrees of freedom from which quantiles of t are the normal's with a few corrections: they agree to rounding
MANY_DF = 1000.0


def t_pvalue(statistic: Any, df: Any) -> FloatArray:
    """Two-sided p of a t statistic; df = ∞: the normal.

    Examples
    --------
    >>> t_pvalue([1.96, 1.96], [10, np.inf]).round(4)
    array([0.0784, 0.05  ])
    """
    from scipy.special import ndtr, stdtr

    size, df = -np.abs(np.asarray(statistic, float)), np.asarray(df, float)
    finite = np.where(np.isfinite(df), df, 1.0)
    return np.where(np.isnan(df), np.nan, 2 * np.where(np.isposinf(df), ndtr(size), stdtr(finite, size)))


def t_quantile(probability: float, df: Any) -> FloatArray:
    """Quantile of t; df = ∞: the normal.

    Examples
    --------
    >>> t_quantile(0.975, [10, np.inf]).round(4)
    array([2.2281, 1.96  ])
    """
    from scipy.special import ndtri, stdtrit

    df = np.asarray(df, float)
    z = ndtri(probability)
    out = np.where(np.isnan(df), np.nan, z)
    many = df >= MANY_DF
    out[many] = _near_normal(z, df[many])
    few = df < MANY_DF
    out[few] = stdtrit(df[few], probability)
    return out


def _near_normal(z: float, df: FloatArray) -> FloatArray:
    """Quantiles of t from the normal's, by the expansion in 1/df (Abramowitz and Stegun 26.7.5, with one more term)."""
    z2, u = z * z, 1.0 / df
    terms = (
        (z2 + 1) / 4,
        ((5 * z2 + 16) * z2 + 3) / 96,
        (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384,
        ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160,
        (((((27 * z2 + 339) * z2 + 930) * z2 - 1782) * z2 - 765) * z2 + 17955) / 368640,
    )
    out = np.zeros_like(u)
    for term in reversed(terms):
        out = (out + term) * u
    return np.asarray(z * (1.0 + out))


def f_pvalue(statistic: Any, num_df: Any, den_df: Any) -> FloatArray:
    """Upper tail of F; den_df = ∞: χ² of num_df · F.

    Examples
    --------
    >>> f_pvalue([3.0, 3.0], 2, [10, np.inf]).round(4)
    array([0.0954, 0.0498])
    """
    from scipy.special import chdtrc, fdtrc

    statistic, num_df, den_df = (np.asarray(a, float) for a in (statistic, num_df, den_df))
    finite = np.where(np.isfinite(den_df), den_df, 1.0)
    tail = np.where(np.isposinf(den_df), chdtrc(num_df, num_df * statistic), fdtrc(num_df, finite, statistic))
    return np.where(np.isnan(den_df) | np.isnan(statistic), np.nan, tail)


def binomial_interval(successes: Any, trials: Any, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Clopper and Pearson's exact limits of a probability.

    Examples
    --------
    >>> lower, upper = binomial_interval([6, 0], [20, 20])
    >>> lower.round(4), upper.round(4)
    (array([0.1189, 0.    ]), array([0.5428, 0.1684]))
    """
    from scipy.special import betaincinv

    k, n = np.asarray(successes, float), np.asarray(trials, float)
    tail = (1 - level) / 2
    lower = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, tail), 0.0)
    upper = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - tail), 1.0)
    return lower, upper
