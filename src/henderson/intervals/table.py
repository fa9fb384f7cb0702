"""Intervals of all parameters as they are shown: standard deviations, correlations, σ, fixed effects."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from henderson.arguments import names, probability
from henderson.contract.design import Design
from henderson.design.intercept import other_spelling
from henderson.design.variance_parameters import find, variance_parameters
from henderson.engine.fit import Fit
from henderson.engine.residual.fit import StructuredFit
from henderson.inference.inference import Inference
from henderson.intervals.profile.curve import scale_of_range
from henderson.numerics.distributions import t_quantile
from henderson.tables.result_frame import ResultFrame
from henderson.typing import BootstrapInterval, BootstrapKind

Parameters = Sequence[str] | None


def wald(
    fit: Fit, inference: Inference, level: float, parameters: Parameters, *, transform: bool = False
) -> pd.DataFrame:
    """Estimate ± quantile × standard error; the variance parameters' by the delta method, cut at their bounds.

    With `transform` those of variance parameters are symmetric on a scale without bounds, as nlme's ``intervals()``:
    the logarithm of standard deviations, variances, ranges and ratios, log((ρ − a)/(b − ρ)) of correlations between a
    and b.

    Standard errors of variances are computed when some are asked for.
    """
    from henderson.inference.hypotheses import coef_table
    from henderson.intervals.variance_errors import standard_errors

    fixed = coef_table(inference, level)[["lower", "upper"]]
    if parameters is not None and set(parameters) <= {*inference.names}:
        # a column may be called as the intercept is: then both rows
        return fixed.reindex(list(parameters)) if fixed.index.is_unique else fixed.loc[list(parameters)]
    errors = standard_errors(fit)
    low, high = (_transformed if transform else _symmetric)(fit, errors, level)
    variances = pd.DataFrame({"lower": low, "upper": high}).where(errors["se"].notna(), np.nan)
    table = pd.concat([variances, fixed])
    table.attrs["notes"] = errors.attrs.get("notes", ())
    return table


def _symmetric(fit: Fit, errors: pd.DataFrame, level: float) -> tuple[pd.Series, pd.Series]:
    """Limits symmetric in the parameter itself, SAS's of variances and ranges of the residuals."""
    half = t_quantile((1 + level) / 2, np.inf) * errors["se"]
    low, high = errors["estimate"] - half, errors["estimate"] + half
    of_residual = {p.name: p for p in variance_parameters(fit.design) if p.kind == "residual"}
    free: list[str] = []
    if isinstance(fit, StructuredFit) and of_residual:
        kinds = fit.structure.kinds
        free = [name for name, p in of_residual.items() if kinds[p.row] not in ("variance", "range")]
        low, high = _of_variances(errors, [name for name in of_residual if name not in free], low, high, level)
    is_correlation = errors.index.str.startswith("cor_")
    signed = is_correlation | errors.index.isin(free)
    floor = np.where(is_correlation, -1.0, np.where(signed, -np.inf, 0.0))
    return low.where(low > floor, floor), high.where(~is_correlation | (high < 1), 1.0)


def _transformed(fit: Fit, errors: pd.DataFrame, level: float) -> tuple[pd.Series, pd.Series]:
    """Limits symmetric in s, value = f(s): f(s ± z se/f')."""
    low, high, z = errors["estimate"].copy(), errors["estimate"].copy(), float(t_quantile((1 + level) / 2, np.inf))
    ranges = fit.structure.ranges if isinstance(fit, StructuredFit) else ()
    for p in variance_parameters(fit.design):
        own = ranges[p.row] if p.kind == "residual" else {"cor": (-1.0, 1.0)}.get(p.kind, (0.0, np.inf))
        estimate, se = float(errors["estimate"][p.name]), float(errors["se"][p.name])
        if np.isfinite(se):
            scale = scale_of_range(*own)
            s, half = scale.coordinate(np.array(estimate)), z * se / scale.slope(estimate)
            low[p.name], high[p.name] = (float(scale.value(s + sign * half)) for sign in (-1, 1))
    return low, high


def _of_variances(
    errors: pd.DataFrame, names: Sequence[str], low: pd.Series, high: pd.Series, level: float
) -> tuple[pd.Series, pd.Series]:
    """Limits of variances and ranges of the residuals, as SAS has them: from χ² with 2 (estimate/se)² df."""
    from scipy.special import chdtri

    low, high = low.copy(), high.copy()
    for name in names:
        estimate, se = float(errors["estimate"][name]), float(errors["se"][name])
        df = 2 * (estimate / se) ** 2
        low[name], high[name] = (df * estimate / chdtri(df, (1 + sign * level) / 2) for sign in (-1, 1))
    return low, high


def profile(
    fit: Fit, inference: Inference, level: float, parameters: Parameters, *, reml: bool = False
) -> pd.DataFrame:
    """Where the likelihood profile says: |ζ| = z. Only the parameters asked for are profiled."""
    from henderson.intervals.profile import profile_fit

    alone = isinstance(fit, StructuredFit)  # whose profiles cost a search a point
    return profile_fit(fit, parameters, level=level if alone else max(0.99, level), reml=reml, alone=alone).interval(
        level
    )


def boot(
    fit: Fit,
    inference: Inference,
    level: float,
    parameters: Parameters,
    *,
    n: int = 1000,
    interval: BootstrapInterval = "percentile",
    kind: BootstrapKind = "parametric",
    statistic: Callable[..., Any] | None = None,
    seed: Any = None,
    within: bool = False,
    progress: bool | None = None,
) -> pd.DataFrame:
    """What the replicates of a bootstrap say."""
    from henderson.intervals.bootstrap.bootstrap import bootstrap_fit

    draws = bootstrap_fit(fit, n, kind=kind, statistic=statistic, seed=seed, within=within, progress=progress)
    return draws.interval(interval, level)


#: name -> (fit, inference, level, parameters, options of its own) -> table with columns lower, upper
METHODS: dict[str, Callable[..., pd.DataFrame]] = {"wald": wald, "profile": profile, "boot": boot}


def interval_table(
    fit: Fit, inference: Inference, method: str, level: float, *, parameters: str | Parameters = None, **options: Any
) -> pd.DataFrame:
    """Intervals of all parameters, or of some.

    Rows are in one order whatever the method: standard deviations and correlations, sigma, the fixed effects,
    a bootstrap's own statistics.

    Parameters
    ----------
    fit : Fit
    inference : Inference
        Covariance and degrees of freedom of the fixed effects, for Wald's.
    method : {"wald", "profile", "boot"}
    level : float
    parameters : str or sequence of str, optional
        Which, in this order; lme4's names (``.sig01``, ``.sigma``, ``(Intercept)``) are understood, and
        ``theta_`` and ``beta_`` for all covariance parameters and all fixed effects.
    **options
        Of the method: keyword arguments of the functions in `METHODS`.

    Raises
    ------
    ValueError
        For a method that there is not, or an option that is another method's.
    """
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
    takes = {p.name for p in inspect.signature(METHODS[method]).parameters.values() if p.kind is p.KEYWORD_ONLY}
    if strange := sorted(set(options) - takes):
        known = ", ".join(sorted(takes)) or "none"
        raise ValueError(f"{strange[0]}= is not an option of method={method!r}; its options: {known}")
    level = probability(level, "level")
    order = None if parameters is None else names_of(fit.design, parameters)
    table = METHODS[method](fit, inference, level, order, **options)
    wanted = names_of(fit.design, ["theta_", "beta_"]) if order is None else order
    rest = [name for name in table.index if name not in wanted] if order is None else []
    ordered = table.loc[[name for name in wanted if name in table.index] + rest]
    return ResultFrame.of(
        ordered.rename_axis("parameter"), f"{level:.4g} intervals: {method}", table.attrs.get("notes", ())
    )


def names_of(design: Design, parameters: str | Sequence[str]) -> list[str]:
    """Names of the parameters asked for, each once."""
    variances = [(p.name, p.alias) for p in variance_parameters(design)]
    fixed = [(name, other_spelling(name)) for name in design.x_names]
    groups, known = {"theta_": variances, "beta_": fixed}, variances + fixed
    out: dict[str, None] = {}
    for asked in names(parameters, "parameters"):
        chosen = groups[asked] if asked in groups else [known[i] for i in find(asked, known)]
        out |= dict.fromkeys(name for name, _ in chosen)
    return list(out)
