"""Intervals of all parameters as they are shown: standard deviations, correlations, σ, fixed effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from henderson.compat.statsmodels.results import MixedLMResults

Parameters = Sequence[str] | str | None


def wald(results: MixedLMResults, level: float, **options: Any) -> pd.DataFrame:
    """Estimate ± quantile × standard error; the variance parameters' by the delta method, cut at their bounds."""
    from henderson.inference.hypotheses import coef_table
    from henderson.numerics.distributions import t_quantile

    errors = results.variance_errors()
    half = t_quantile((1 + level) / 2, np.inf) * errors["se"]
    low, high = errors["estimate"] - half, errors["estimate"] + half
    is_correlation = errors.index.str.startswith("cor_")
    low = low.where(low > np.where(is_correlation, -1, 0), np.where(is_correlation, -1.0, 0.0))
    high = high.where(~is_correlation | (high < 1), 1.0)
    variances = pd.DataFrame({"lower": low, "upper": high}).where(errors["se"].notna(), np.nan)
    return pd.concat([variances, coef_table(results.inference, level)[["lower", "upper"]]])


def profile(results: MixedLMResults, level: float, *, parameters: Parameters = None, **options: Any) -> pd.DataFrame:
    """Where the likelihood profile says: |ζ| = z. Only the parameters asked for are profiled."""
    options.setdefault("level", max(0.99, level))
    return results.profile(parameters, **options).interval(level)


def boot(results: MixedLMResults, level: float, *, n: int = 1000, interval: str = "percentile", **options: Any) -> Any:
    """What the replicates of a bootstrap say; `interval` is percentile, basic or bca."""
    return results.bootstrap(n, **options).interval(interval, level)


#: name -> (results, level, options) -> table with columns lower, upper
METHODS: dict[str, Callable[..., pd.DataFrame]] = {"wald": wald, "profile": profile, "boot": boot}


def interval_table(
    results: Any, method: str, level: float, *, parameters: Parameters = None, **options: Any
) -> pd.DataFrame:
    """Intervals of all parameters, or of some.

    Rows are in one order whatever the method: standard deviations and correlations, sigma, the fixed effects,
    a bootstrap's own statistics.

    Parameters
    ----------
    results : MixedLMResults
    method : str
        A name in `METHODS`.
    level : float
    parameters : str or sequence of str, optional
        Which, in this order; lme4's names (``.sig01``, ``.sigma``, ``(Intercept)``) are understood, and
        ``theta_`` and ``beta_`` for all covariance parameters and all fixed effects.
    **options
        For the method.

    Raises
    ------
    ValueError
        For a method that there is not; the message lists those there are.
    """
    from henderson.design.variance_parameters import find, variance_parameters
    from henderson.tables.result_frame import ResultFrame

    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
    variances = [(p.name, p.alias) for p in variance_parameters(results.engine.design)]
    fixed = [(n, "(Intercept)" if n == "Intercept" else n) for n in results.engine.design.x_names]
    names = variances + fixed
    if parameters is None:
        order = [name for name, _ in names]
    else:
        groups = {"theta_": variances, "beta_": fixed}
        order = []
        for asked in [parameters] if isinstance(parameters, str) else parameters:
            chosen = groups[asked] if asked in groups else [names[i] for i in find(asked, names, "parameter")]
            order += [name for name, _ in chosen if name not in order]
        if method == "profile":
            options["parameters"] = order
    table = METHODS[method](results, level, **options)
    rest = [name for name in table.index if name not in order] if parameters is None else []
    ordered = table.loc[[name for name in order if name in table.index] + rest]
    return ResultFrame.of(
        ordered.rename_axis("parameter"), f"{level:.4g} intervals: {method}", table.attrs.get("notes", ())
    )
