"""Predictions of a model whose residuals have a covariance structure.

The mean of a row, x'β̂, has the standard error and the degrees of freedom that all tables give it. With random effects,
for a new observation, or given what was observed of the row's own series (`own`), with e = y − Xβ̂,

    ŷ = x'β̂ + z'b̂ [+ R_new,series (V⁻¹e)_series]

`structured_errors` has the variance of the error, what the estimated variances add to it, and degrees of freedom.
A new observation is one of a series that the fit does not have; given its own series it is of that. A row that was
observed is predicted as it was, without error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.residual import ResidualRows
from henderson.contract.rows import Rows
from henderson.design.replay import Wanted
from henderson.design.replay_residual import new_residual_rows
from henderson.engine.residual.fit import StructuredFit, by_relatives
from henderson.engine.residual.rows import own_variances, solved_given_effects, solved_residuals
from henderson.errors import DataError
from henderson.inference.inference import Inference
from henderson.numerics.distributions import t_quantile
from henderson.prediction.given import Given
from henderson.prediction.new_rows import Targets
from henderson.prediction.request import PredictionRequest
from henderson.prediction.structured_bootstrap import structured_pivots
from henderson.prediction.structured_errors import OBSERVED, StructuredErrors
from henderson.prediction.targets import together
from henderson.prediction.told import Told
from henderson.sources.columns import to_array
from henderson.sources.factors import differ_in_type, match, unknown_levels
from henderson.sources.frames import is_matrix, read_table

FloatArray = np.ndarray


def structured_predictions(
    fit: StructuredFit,
    inference: Inference | None,
    targets: Targets,
    given: Given,
    own: FloatArray,
    request: PredictionRequest,
    errors_of: Callable[[str | None], StructuredErrors],
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Estimate, standard error, df and limits of m rows, (m,) each; NaN where none are asked for.

    Parameters
    ----------
    fit : StructuredFit
    inference : Inference, or None
        Of the fixed effects; None: estimates only.
    targets : Targets
    given : Given
        The rows as the user has them: where they stand in their series, and responses that are given.
    own : (m,) array
        1/w of each row.
    request : PredictionRequest
    errors_of : callable
        Name of a method of degrees of freedom, or None for known variance parameters, to the errors by it.
    """
    newdata, new = given.newdata, request.interval == "prediction"
    if request.se and request.conditional:
        fit.refuse_negative("standard errors of predictions with random effects")
    places, is_whole = (
        places_of(fit, newdata, targets) if request.own or new else None,
        set(request.wanted) <= {"known"},
    )
    if request.own and newdata is None and is_whole:
        estimate, se, df, lower, upper = _observed(fit.observed.y, request)
        return estimate, se, df, lower, upper
    if not request.own or newdata is None:
        targets.refuse_unknown(request.new_levels)
        return _without_responses(fit, inference, targets, places, own, request, errors_of)
    assert places is not None
    _refuse_other_type(fit, newdata, places)
    every: list[Wanted] = ["known"] * len(fit.design.terms)
    whole = targets if is_whole else given.targets(fit, every)
    told = Told(fit, newdata, whole, targets, request.wanted, places, own)
    if not told.tells_of_new_levels():
        targets.refuse_unknown(request.new_levels)
    out, rest = np.empty((5, len(own))), np.ones(len(own), bool)
    if is_whole:  # a row that was observed is what it was
        rest = np.isnan(told.given)
        out[:] = _observed(told.given, request)
    for rows, found in _given_responses(fit, inference, told, rest.copy(), request, errors_of):
        out[:, rows], rest[rows] = found, False
    if rest.any():
        out[:, rest] = _without_responses(fit, inference, targets[rest], places[rest], own[rest], request, errors_of)
    estimate, se, df, lower, upper = out
    return estimate, se, df, lower, upper


def _observed(y: FloatArray, request: PredictionRequest) -> FloatArray:
    """What is said of rows that were observed, (5, m): they are what they were, without error."""
    zero = np.zeros(len(y))
    return np.stack([y, zero, zero + np.inf, y, y] if request.se else [y, *[zero + np.nan] * 4])


def _given_responses(
    fit: StructuredFit,
    inference: Inference | None,
    told: Told,
    asked: np.ndarray,
    request: PredictionRequest,
    errors_of: Callable[[str | None], StructuredErrors],
) -> Iterator[tuple[np.ndarray, FloatArray]]:
    """Rows among those that are asked for, (m,) bool, that responses of new rows tell of, and their predictions."""
    errors, se = errors_of(_rule_name(inference, request)), inference is not None
    groups = told.groups(errors)
    if not groups:
        return
    predict = told.conditioned(errors)
    for known, every in groups:
        rows = every[asked[every]]
        if not len(rows):
            continue
        observed = request.variance_uncertainty == "observed"
        estimate, found = predict(known, told.y[known], rows, se=se, observed=observed)
        out = np.full((5, len(rows)), np.nan)
        out[0] = estimate
        if found is not None:
            variance = found.variance + (found.added if request.variance_uncertainty else 0.0)
            exact = (
                found.variance <= OBSERVED * own_variances(fit.structure, fit.psi, told.places[rows]) * told.own[rows]
            )
            out[1:] = _limits(out[0], np.where(exact, 0.0, variance), np.where(exact, np.inf, found.df), request.level)
        yield rows, out


def _without_responses(
    fit: StructuredFit,
    inference: Inference | None,
    targets: Targets,
    places: ResidualRows | None,
    own: FloatArray,
    request: PredictionRequest,
    errors_of: Callable[[str | None], StructuredErrors],
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Predictions that are given what was fitted."""
    estimate = targets.estimates(fit.b) if request.conditional else targets.mean
    if request.own:
        assert places is not None
        estimate = estimate + _from_series(fit, places, own)
    none = np.full(len(own), np.nan)
    if inference is None:
        return estimate, none, none, none, none
    if request.method == "bootstrap":
        return _by_bootstrap(fit, targets, places, own, estimate, request, errors_of(None))
    variance, df = _variance(fit, inference, targets, places, own, request, errors_of)
    return estimate, *_limits(estimate, variance, df, request.level)


def _limits(
    estimate: FloatArray, variance: FloatArray, df: FloatArray, level: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Standard error, df and limits of rows, (m,) each; NaN where something is missing."""
    missing = np.isnan(estimate) | np.isnan(df)
    se, df = np.where(missing, np.nan, np.sqrt(np.maximum(variance, 0.0))), np.where(missing, np.nan, df)
    half = t_quantile((1 + level) / 2, df) * se
    return se, df, estimate - half, estimate + half


def _by_bootstrap(
    fit: StructuredFit,
    targets: Targets,
    places: ResidualRows | None,
    own: FloatArray,
    estimate: FloatArray,
    request: PredictionRequest,
    errors: StructuredErrors,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Limits by quantiles of pivots; standard errors by their mean square."""
    kept = np.where(fit.kept, targets.X, 0.0)
    plain = np.sqrt(errors(kept, targets.terms, own, places=places).variance)
    drawn = structured_pivots(fit, targets, places, own, request.n_boot, request.seed)
    tail = (1 - request.level) / 2
    lower, upper = np.quantile(drawn, [tail, 1 - tail], axis=1)
    lost = np.where(np.isnan(estimate), np.nan, 0.0)
    se = plain * np.sqrt((drawn**2).mean(axis=1)) + lost
    return estimate, se, np.full(len(plain), np.nan), estimate + lower * plain, estimate + upper * plain


def _variance(
    fit: StructuredFit,
    inference: Inference,
    targets: Targets,
    places: ResidualRows | None,
    own: FloatArray,
    request: PredictionRequest,
    errors_of: Callable[[str | None], StructuredErrors],
) -> tuple[FloatArray, FloatArray]:
    """Variance and degrees of freedom of each row, (m,)."""
    name = _rule_name(inference, request)
    X, kept = np.nan_to_num(targets.X), np.where(fit.kept, targets.X, 0.0)
    if not (request.conditional or request.own or places is not None):
        return inference.se(X) ** 2, np.full(len(X), np.inf) if name is None else inference.df(X)
    errors, observed = errors_of(name), request.variance_uncertainty == "observed"
    found = errors(kept, targets.terms, own, places=places, known=request.own, observed=observed)
    variance = found.variance + (found.added if request.variance_uncertainty else 0.0)
    if not (request.conditional or request.own):  # the mean's own variance is that of other tables
        of_mean = errors(kept, (None,) * len(targets.terms), own)
        return found.variance - of_mean.variance + inference.se(X) ** 2, found.df
    if places is None or not request.own:
        return variance, found.df
    exact = found.variance <= OBSERVED * own_variances(fit.structure, fit.psi, places) * own
    return np.where(exact, 0.0, variance), np.where(exact, np.inf, found.df)


def _rule_name(inference: Inference | None, request: PredictionRequest) -> str | None:
    """The method whose rule errors go by; None: the variance parameters are taken as known."""
    is_known = not request.variance_uncertainty and request.ddf is None
    return None if inference is None or is_known else inference.ddf


def _unknown(newdata: Any, name: str, codes: np.ndarray, levels: pd.Index | None) -> str:
    """What to say of visits or strata that the fit does not have."""
    table = read_table(newdata)
    if name in table and levels is not None:
        return unknown_levels(name, table[name], codes, levels)
    return f"{name!r} has a value in row {int(np.argmin(codes))} that the fit does not have"


def places_of(fit: StructuredFit, newdata: Any, targets: Targets) -> ResidualRows:
    """Where rows stand in their series; variances that follow fitted values have those of new rows."""
    if newdata is None:
        places = fit.observed_for("predict() without new data").residual
        assert places is not None
        return places
    if fit.design.specs is None or is_matrix(newdata):
        raise DataError("predictions with the residuals' structure need a table that has its columns")
    places, term = new_residual_rows(fit.design, newdata), fit.design.residual
    assert term is not None
    if places.where.ndim == 1 and (places.where < 0).any():
        raise DataError(_unknown(newdata, term.places[0], places.where, term.visits))
    if places.strata is not None and (places.strata < 0).any():
        raise DataError(_unknown(newdata, term.stratum, places.strata, term.strata))
    functions, fitted = fit.structure.term.variance, targets.estimates(fit.b)
    covariates = (fitted if one.of_fitted else v for one, v in zip(functions, places.covariates))
    return replace(places, covariates=tuple(covariates))


def _refuse_other_type(fit: StructuredFit, newdata: Any, places: ResidualRows) -> None:
    """Raise a `DataError` for labels of series that no series of the fit can have, being of another type: their rows
    would be taken for those of new series."""
    series = fit.design.specs.residual.series
    if not series.columns or (places.codes >= 0).any():
        return
    parts = (series.levels,) if series.crossing is None else series.crossing.parts
    table = read_table(newdata)
    for name, levels in zip(series.columns, parts):
        labels = to_array(table[name], name)
        if differ_in_type(labels, levels):
            raise DataError(unknown_levels(name, labels, match(labels, levels), levels))


def _from_series(fit: StructuredFit, places: ResidualRows, own: FloatArray) -> FloatArray:
    """What a row's own series adds to its prediction, (m,)."""
    added = np.zeros(len(own))
    if not (places.codes >= 0).any():
        return added
    rows = fit.observed_for("predict(conditional=True)")
    series = rows.residual
    assert series is not None
    solved = _solved_residuals(fit, rows)
    order = np.argsort(series.codes, kind="stable")
    ends = np.searchsorted(series.codes[order], np.arange(fit.design.residual.n_series + 1))  # type: ignore[union-attr]
    for code in np.unique(places.codes[places.codes >= 0]):
        mine, seen = np.flatnonzero(places.codes == code), order[ends[code] : ends[code + 1]]
        R = fit.structure.cov(fit.psi, *together(places[mine], series[seen]))
        k = len(mine)
        C = R[:k, k:] * np.sqrt(own[mine])[:, None] / np.sqrt(rows.unit_weights[seen])
        added[mine] = C @ solved[seen]
    return added


def _solved_residuals(fit: StructuredFit, rows: Rows) -> FloatArray:
    """V⁻¹(y − Xβ̂) in the unit of 1/y, (n,)."""
    if fit.design.is_related:
        point = by_relatives(fit)
        return (point.U @ point.v) * np.sqrt(rows.unit_weights) / fit.basis.y_scale
    if not fit.has_blocks:
        return solved_given_effects(
            fit.structure, fit.psi, rows, rows.y - rows.mean(fit.beta, fit.kept) - rows.random_part(fit.b)
        )
    return solved_residuals(fit.blocks, fit.block_point, rows)
