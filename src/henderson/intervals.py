"""Intervals of all parameters as they are shown: standard deviations, correlations, σ, fixed effects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from .results import MixedLMResults


def wald(results: MixedLMResults, level: float, **options: Any) -> pd.DataFrame:
    """Estimate ± quantile × standard error; the variance parameters' by the delta method, cut at their bounds."""
    from .inference.core import t_quantile
    from .inference.hypotheses import coef_table

    errors = results.variance_errors()
    half = t_quantile((1 + level) / 2, np.inf) * errors["se"]
    low, high = errors["estimate"] - half, errors["estimate"] + half
    is_correlation = errors.index.str.startswith("cor_")
    low = low.where(low > np.where(is_correlation, -1, 0), np.where(is_correlation, -1.0, 0.0))
    high = high.where(~is_correlation | (high < 1), 1.0)
    variances = pd.DataFrame({"lower": low, "upper": high}).where(errors["se"].notna(), np.nan)
    return pd.concat([variances, coef_table(results.inference, level)[["lower", "upper"]]])


def profile(results: MixedLMResults, level: float, **options: Any) -> pd.DataFrame:
    """Where the likelihood profile says: |ζ| = z."""
    return results.profile(**options).interval(level)


def boot(results: MixedLMResults, level: float, *, n: int = 1000, interval: str = "percentile", **options: Any) -> Any:
    """What the replicates of a bootstrap say; `interval` is percentile, basic or bca."""
    return results.bootstrap(n, **options).interval(interval, level)


#: name -> (results, level, options) -> table with columns lower, upper
METHODS: dict[str, Callable[..., pd.DataFrame]] = {"wald": wald, "profile": profile, "boot": boot}


def interval_table(results: Any, method: str, level: float, **options: Any) -> pd.DataFrame:
    """Intervals of all parameters.

    Raises
    ------
    ValueError
        For a method that there is not; the message lists those there are.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
    return METHODS[method](results, level, **options)
