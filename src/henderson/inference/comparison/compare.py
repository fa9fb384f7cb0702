"""Comparisons of nested models: likelihood ratios, Kenward–Roger's F, the parametric bootstrap.

    T = d(small) − d(large) ~ χ² with the difference of the numbers of parameters

REML criteria are comparable only between models with the same fixed part, so models that differ there are refitted by
ML.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from henderson.arguments import shown
from henderson.engine.fit import Fit
from henderson.inference.choose import infer
from henderson.inference.comparison.chibar import mixture
from henderson.inference.comparison.nested import check_nested, residual_within, same_residual, structure_of
from henderson.inference.comparison.submodels import (
    by,
    check_same_rows,
    coefficients_in,
    fit_from,
    likelihood_of,
    likelihood_ratio,
    same_fixed_part,
    shift_of,
    span_of,
)
from henderson.inference.comparison.without_random import LinearFit, is_linear_results, linear_fit
from henderson.tables.result_frame import ResultFrame
from henderson.typing import Fitted

FloatArray = np.ndarray

Method = Literal["lr", "kenward-roger", "bootstrap"]
METHODS: tuple[Method, ...] = get_args(Method)


def compare(
    *models: object, method: Method = "lr", refit: bool | None = None, n: int | None = None, seed: int | None = None
) -> pd.DataFrame:
    """Compare nested models.

    Parameters
    ----------
    *models : results, Fit, or statsmodels' OLS or WLS results
        Two or more, in any order; one at least a mixed model.
    method : {"lr", "kenward-roger", "bootstrap"}
        Likelihood ratios; or, of two models, Kenward and Roger's F test of the fixed effects by which they differ; or
        the likelihood ratio with its distribution simulated under the smaller model.
    refit : bool, optional
        Refit REML fits by ML (likelihood ratios). By default when fixed parts differ or criteria are mixed; REML
        criteria of models that have the same fixed part are compared as they are, and the notes say so.
    n : int, optional
        Responses that the bootstrap draws; by default 1000.
    seed : int, optional
        Of the bootstrap.

    Returns
    -------
    DataFrame
        Index: formula. For likelihood ratios, columns npar, aic, bic, loglik, deviance, statistic, df, p, and
        p_chibar: the χ̄² p-value where the models differ by one variance (or one random effect) and its mixture is
        known, else NaN. `attrs["notes"]` says what was refitted.

    Raises
    ------
    DataError
        When the models have different rows, responses or weights.
    ValueError
        For an unknown method; fewer than two models; models that are not nested where that can be seen (fixed
        parts, offsets, random terms).
    TypeError
        For what is no fitted model.

    Examples
    --------
    >>> import henderson
    >>> sleepstudy = henderson.datasets.load("sleepstudy")
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> simpler = henderson.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    >>> compare(simpler, fit)[["npar", "deviance", "statistic", "df"]].round(3)
                                        npar  deviance  statistic   df
    model
    Reaction ~ Days + (1 | Subject)        4  1786.465        NaN  NaN
    Reaction ~ Days + (Days | Subject)     6  1743.628     42.837  2.0
    """
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"unknown method {shown(method)}; there are {', '.join(METHODS)}")
    if len(models) < 2:
        raise ValueError("compare needs at least two models")
    for name, given, of in (("refit", refit, "lr"), ("n", n, "bootstrap"), ("seed", seed, "bootstrap")):
        if given is not None and method != of:
            raise ValueError(f"{name}= goes with method={of!r}, not {method!r}")
    fits = _fits(models)
    check_same_rows(fits)
    if method == "lr":
        return _likelihood_ratios(fits, refit)
    if len(fits) != 2 or not all(isinstance(fit, Fit) for fit in fits):
        raise ValueError(f"method {method!r} compares two models, both with random effects")
    if method == "kenward-roger":
        return kr_compare(*fits)
    return bootstrap_compare(*fits, n=1000 if n is None else n, seed=seed)


def _fits(models: Sequence[Any]) -> list[Any]:
    """What is to be compared: fits, or linear models."""
    mixed = [None if is_linear_results(model) else fit_from(model) for model in models]
    first = next((fit for fit in mixed if fit is not None), None)
    if first is None:
        raise TypeError("compare needs at least one mixed model, such as lmer(...) returns")
    return [linear_fit(model, first) if fit is None else fit for model, fit in zip(models, mixed)]


def _likelihood_ratios(fits: Sequence[Any], wanted: bool | None) -> pd.DataFrame:
    notes = []
    same = all(same_fixed_part(fits[0], fit) for fit in fits[1:])
    mixed = len({fit.reml for fit in fits}) > 1
    if wanted is False and (mixed or (fits[0].reml and not same)):
        raise ValueError(
            "REML fits with different fixed parts, or REML and ML fits, cannot be compared; leave refit out"
        )
    if wanted or (wanted is None and (mixed or (fits[0].reml and not same))):
        notes.append("refitted by ML: " + ", ".join(fit.design.formula or "model" for fit in fits if fit.reml))
        fits = [replace(fit, reml=False) if isinstance(fit, LinearFit) else by(fit, reml=False) for fit in fits]
    elif fits[0].reml:
        notes.append("REML likelihoods, not refitted by ML: the fixed parts are the same")
    fits = sorted(fits, key=lambda fit: likelihood_of(fit).n_parameters)
    nested = [True, *(residual_within(small, large) for small, large in pairwise(fits))]
    for small, large, is_nested in zip(fits, fits[1:], nested[1:]):
        if is_nested:
            check_nested(small, large)
    counted = _counted(fits)
    rows = []
    for k, (fit, (parameters, n)) in enumerate(zip(fits, counted)):
        at = likelihood_of(fit)
        row = {
            "npar": at.n_parameters,
            "aic": at.deviance + 2 * parameters,
            "bic": at.deviance + np.log(n) * parameters,
            "loglik": -at.deviance / 2,
            "deviance": at.deviance,
        }
        tested = k and nested[k] and at.n_parameters > likelihood_of(fits[k - 1]).n_parameters
        rows.append(row | (_ratio(fits[k - 1], fit, same) if tested else dict.fromkeys(_RATIO, np.nan)))
    names = [_name(fit, k, fits) for k, fit in enumerate(fits)]
    frame = pd.DataFrame(rows, index=pd.Index(names))
    if any(structure_of(fit) is not None for fit in fits):
        first, second = frame["aic"].idxmin(), frame["bic"].idxmin()
        if first == second:
            notes.append(f"the lowest AIC and BIC are those of {first}")
        else:
            notes.append(f"the lowest AIC is that of {first}; the lowest BIC is that of {second}")
    for k, is_nested in enumerate(nested):
        if not is_nested:
            notes.append(f"{names[k - 1]} is not nested in {names[k]}: no likelihood ratio; see their AIC and BIC")
    for small, large in pairwise(fits):
        known = mixture(small.design.terms, large.design.terms) if same and same_residual(small, large) else None
        if known is not None:
            notes.append(f"p_chibar of {large.design.formula or 'the larger model'}: chi-bar-square, {known}")
    frame.index.name = "model"
    return ResultFrame.of(frame, "Likelihood-ratio tests", tuple(notes))


def _counted(fits: Sequence[Any]) -> list[tuple[int, int]]:
    """Parameters and observations that AIC and BIC count, of one kind for all: where residuals of any have a structure
    those of SAS and mmrm (`StructuredFit.penalty`)."""
    structured = [fit for fit in fits if structure_of(fit) is not None]
    if not structured:
        return [(fit.n_parameters, fit.n) for fit in fits]
    n = min(fit.penalty.n_bic for fit in structured)
    return [(fit.n_parameters - (int(fit.kept.sum()) if fit.reml else 0), n) for fit in fits]


def _name(fit: Any, k: int, fits: Sequence[Any]) -> str:
    """A model's formula, with the structure of its residuals where the models differ in that."""
    formula, residual = fit.design.formula or f"model {k + 1}", structure_of(fit)
    if all(same_residual(fit, other) for other in fits):
        return formula
    return f"{formula}, {residual.label}" if residual is not None else formula


_RATIO = ("statistic", "df", "p", "p_chibar")


def _ratio(small: Any, large: Any, same_fixed: bool) -> dict[str, float]:
    """Statistic, df, p and χ̄² p of two fits."""
    from scipy.special import chdtrc

    one, two = likelihood_of(small), likelihood_of(large)
    statistic, df = likelihood_ratio(one, two), float(two.n_parameters - one.n_parameters)
    known = mixture(small.design.terms, large.design.terms) if same_fixed and same_residual(small, large) else None
    return {
        "statistic": statistic,
        "df": df,
        "p": float(chdtrc(df, statistic)) if df else np.nan,
        "p_chibar": known.pvalue(statistic) if known is not None else np.nan,
    }


def restriction(small: Fit, large: Fit) -> tuple[FloatArray, FloatArray]:
    """R and r with {β : Rβ = r} the fixed parts of the large model that are in the small one, (k, p) over all columns
    and (k,); r is not zero where the small model has coefficients given, as an offset.

    Raises
    ------
    ValueError
        When the small model's columns, or the difference of their offsets, are not in the span of the large one's.
    """
    given = shift_of(small, large)
    if given is None:
        raise ValueError("the fixed parts are not nested: their offsets differ")
    z, x = span_of(small, large)
    b = coefficients_in(z, x)
    if b is None:
        raise ValueError("the fixed parts are not nested")
    if b.shape[1] >= b.shape[0]:
        raise ValueError("the models have the same fixed part")
    size = np.sqrt(np.einsum("ij,ij->j", x, x))
    scaled = b * size[:, None]
    left, _, _ = np.linalg.svd(scaled / np.linalg.norm(scaled, axis=0))
    rows = np.zeros((b.shape[0] - b.shape[1], len(large.kept)))
    rows[:, large.kept] = left[:, b.shape[1] :].T * size
    return rows, rows[:, large.kept] @ given


def _smaller_first(one: Any, other: Any) -> list[Fit]:
    """Two fits, the one with fewer parameters first: R's users write the larger one first."""
    return sorted((fit_from(one), fit_from(other)), key=lambda fit: likelihood_of(fit).n_parameters)


def kr_compare(small: Fitted, large: Fitted) -> pd.DataFrame:
    """Kenward and Roger's F test of the fixed effects by which two models differ.

    Parameters
    ----------
    small, large : Fit or MixedLMResults
        The same random part, in either order; fits by ML are refitted by REML.

    Returns
    -------
    DataFrame
        One row; columns num_df, den_df, F, p.

    Examples
    --------
    >>> import henderson
    >>> cake = henderson.datasets.load("cake")
    >>> small = henderson.lmer("angle ~ temp + (1 | recipe:replicate)", cake)
    >>> large = henderson.lmer("angle ~ temp + recipe + (1 | recipe:replicate)", cake)
    >>> kr_compare(small, large).round(3).to_dict("records")
    [{'num_df': 2.0, 'den_df': 42.0, 'F': 0.249, 'p': 0.781}]
    """
    null, full = _smaller_first(small, large)
    check_same_rows([null, full])
    notes = () if full.reml else ("refitted by REML",)
    test = infer(by(full, reml=True), ddf="kenward-roger").f_test(*restriction(null, full))
    frame = pd.DataFrame(
        {"num_df": [test.num_df], "den_df": [test.den_df], "F": [test.F], "p": [test.p]},
        index=pd.Index([full.design.formula or "large"], name="model"),
    )
    return ResultFrame.of(frame, f"Kenward-Roger test against {null.design.formula or 'the small model'}", notes)


def bootstrap_compare(small: Fitted, large: Fitted, *, n: int = 1000, seed: int | None = None) -> pd.DataFrame:
    """The likelihood-ratio test with its null distribution simulated under the small model.

    Parameters
    ----------
    small, large : Fit or MixedLMResults
        In either order; refitted by ML when they are REML fits.
    n : int
        Number of responses drawn.
    seed : int, optional

    Returns
    -------
    DataFrame
        One row; columns statistic, df, p (the χ² approximation), p_boot = (1 + #{T* ≥ T}) / (1 + n), n.

    Examples
    --------
    >>> import henderson
    >>> cake = henderson.datasets.load("cake")
    >>> small = henderson.lmer("angle ~ temp + (1 | recipe:replicate)", cake)
    >>> large = henderson.lmer("angle ~ temp + recipe + (1 | recipe:replicate)", cake)
    >>> test = bootstrap_compare(small, large, n=100, seed=1)
    >>> test[["statistic", "df", "p"]].round(3).to_dict("records")
    [{'statistic': 0.53, 'df': 2.0, 'p': 0.767}]
    >>> bool(0.6 < test["p_boot"].iloc[0] < 0.95)
    True
    """
    null, full = _smaller_first(small, large)
    for fit in (null, full):
        fit.observed_for("compare(method='bootstrap')")
    check_same_rows([null, full])
    check_nested(null, full)
    notes = ("refitted by ML",) if null.reml or full.reml else ()
    null, full = by(null, reml=False), by(full, reml=False)
    ratio = _ratio(null, full, False)
    drawn = _ratios_under(null, full, n, seed)
    extreme = int((drawn >= ratio["statistic"] - 1e-9).sum())
    frame = pd.DataFrame(
        {
            "statistic": [ratio["statistic"]],
            "df": [ratio["df"]],
            "p": [ratio["p"]],
            "p_boot": [(1 + extreme) / (1 + n)],
            "n": [n],
        },
        index=pd.Index([full.design.formula or "large"], name="model"),
    )
    return ResultFrame.of(frame, f"Parametric bootstrap test against {null.design.formula or 'the small model'}", notes)


def _ratios_under(small: Fit, large: Fit, n: int, seed: int | None) -> FloatArray:
    """Likelihood-ratio statistics of two models for responses simulated under the small one, (n,)."""
    from henderson.engine.many.draws import block_size, blocks, entropy_of, parametric
    from henderson.engine.many.refits import Refitter

    refitters = Refitter.of(small), Refitter.of(large)
    batch = min(refitter.batch for refitter in refitters)
    pieces = blocks(parametric(small), n, entropy_of(seed), block_size(small.n), batch)
    out = np.empty(n)
    for which, y in pieces:
        one, two = (refitter(y).deviance for refitter in refitters)
        out[which] = one - two
    return out
