"""Predictions of a model whose residuals have a covariance structure.

The mean of a row, x'β̂, has the standard error and the degrees of freedom that all tables give it. A new observation of
a series that the fit does not have adds z'Gz and its residual's variance R_ii,

    v = x'Φx + z'Gz + R_ii      df = 2v² / (∇v'A∇v), A the covariance of the variance parameters (Satterthwaite)

Given what was observed of its own series (`own`), with e = y − Xβ̂, V the covariance of the series' rows and C that of
the new row with them,

    ŷ = x'β̂ + z'b̂ + R_new,series (V⁻¹e)_series      v = R_ii − CV⁻¹C' + aΦa',  a = x − CV⁻¹X

the variances taken as known; standard errors are given where there are no random effects beside the structure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from henderson.contract.residual import ResidualRows
from henderson.design.replay_residual import new_residual_rows
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.model import to_user_units
from henderson.engine.residual.rows import own_variances, solved_residuals
from henderson.errors import DataError, NotAvailable
from henderson.inference.ddf.satterthwaite import satterthwaite
from henderson.inference.fit_moments import FitMoments
from henderson.inference.inference import Inference
from henderson.numerics.distributions import t_quantile
from henderson.prediction.new_rows import Targets
from henderson.prediction.request import PredictionRequest

FloatArray = np.ndarray


def structured_predictions(
    fit: StructuredFit,
    inference: Inference | None,
    targets: Targets,
    newdata: Any,
    own: FloatArray,
    request: PredictionRequest,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Estimate, standard error, df and limits of m rows, (m,) each; NaN where none are asked for.

    Parameters
    ----------
    fit : StructuredFit
    inference : Inference, or None
        Of the fixed effects; None: estimates only.
    targets : Targets
    newdata : table, or None
        Where the rows stand in their series; None: the fit's own rows.
    own : (m,) array
        1/w of each row.
    request : PredictionRequest

    Raises
    ------
    NotAvailable
        For standard errors that are not made for such models; the message says which are.
    """
    m, new = len(targets.mean), request.interval == "prediction"
    if request.se and request.method == "bootstrap":
        fit.refuse_structure("predict(method='bootstrap')")
    if request.se and request.conditional:
        raise NotAvailable(
            "standard errors of predictions with random effects are not available for a model with the residual "
            f"structure {fit.design.residual.label}; predict(re='none', se=True) has those of the mean"  # type: ignore[union-attr]
        )
    estimate = targets.estimates(fit.b) if request.conditional else targets.mean
    places = _places(fit, newdata) if request.own or new else None
    if places is not None and newdata is not None:
        functions, fitted = fit.structure.term.variance, targets.estimates(fit.b)
        covariates = (fitted if one.of_fitted else v for one, v in zip(functions, places.covariates))
        places = replace(places, covariates=tuple(covariates))
    if request.own:
        assert places is not None
        added, reduced, weights = _from_series(fit, places, targets, own)
        estimate = estimate + added
    none = np.full(m, np.nan)
    if inference is None:
        return estimate, none, none, none, none
    X = np.where(fit.kept, targets.X, 0.0)
    if request.own:
        a = X - weights
        variance = reduced + np.einsum("ij,jk,ik->i", a[:, fit.kept], fit.vcov, a[:, fit.kept], optimize=True)
        df = np.full(m, np.inf)
    elif new:
        assert places is not None
        variance, df = _new_observation(fit, inference, targets, places, own)
    else:
        variance, df = inference.se(X) ** 2, inference.df(X)
    se = np.sqrt(np.maximum(variance, 0.0))
    se = np.where(np.isnan(estimate), np.nan, se)
    half = t_quantile((1 + request.level) / 2, df) * se
    return estimate, se, df, estimate - half, estimate + half


def _places(fit: StructuredFit, newdata: Any) -> ResidualRows:
    """Where rows stand in their series."""
    if newdata is None:
        places = fit.observed_for("predict() without new data").residual
        assert places is not None
        return places
    if fit.design.specs is None or isinstance(newdata, np.ndarray):
        raise DataError("predictions with the residuals' structure need a table that has its columns")
    places = new_residual_rows(fit.design, newdata)
    if places.where.ndim == 1 and (places.where < 0).any():
        name = fit.design.residual.places[0]  # type: ignore[union-attr]
        raise DataError(f"{name!r} has a value in row {int(np.argmin(places.where))} that the fit does not have")
    if places.strata is not None and (places.strata < 0).any():
        name = fit.design.residual.stratum  # type: ignore[union-attr]
        raise DataError(f"{name!r} has a value in row {int(np.argmin(places.strata))} that the fit does not have")
    return places


def _own_variance(fit: StructuredFit, places: ResidualRows) -> FloatArray:
    """Variance of each row's residual for weight one, (m,)."""
    return own_variances(fit.structure, fit.psi, places)


def _together(places: ResidualRows, other: ResidualRows | None) -> tuple[Any, ...]:
    """Rows as units of one row, (m, 1, …); with `other`, one unit of all rows of both."""
    if other is None:
        return (
            places.where[:, None],
            None if places.strata is None else places.strata[:, None],
            tuple(v[:, None] for v in places.covariates),
        )
    return (
        np.concatenate([places.where, other.where]),
        None if places.strata is None or other.strata is None else np.concatenate([places.strata, other.strata]),
        tuple(np.concatenate([v, w]) for v, w in zip(places.covariates, other.covariates)),
    )


def _from_series(
    fit: StructuredFit, places: ResidualRows, targets: Targets, own: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What a row's own series adds to its prediction (m,), the variance that it leaves (m,), and CV⁻¹X (m, p)."""
    rows = fit.observed_for("predict(conditional=True)")
    series = rows.residual
    assert series is not None
    solved = solved_residuals(fit.blocks, fit.block_point, rows)
    added, weights = np.zeros(len(own)), np.zeros((len(own), rows.X.shape[1]))
    left = _own_variance(fit, places) * own
    order = np.argsort(series.codes, kind="stable")
    ends = np.searchsorted(series.codes[order], np.arange(fit.design.residual.n_series + 1))  # type: ignore[union-attr]
    for code in np.unique(places.codes[places.codes >= 0]):
        mine, seen = np.flatnonzero(places.codes == code), order[ends[code] : ends[code + 1]]
        R = fit.structure.cov(fit.psi, *_together(places[mine], series[seen]))
        k = len(mine)
        C = R[:k, k:] * np.sqrt(own[mine])[:, None] / np.sqrt(rows.unit_weights[seen])
        added[mine] = C @ solved[seen]
        if not fit.design.terms:
            V = R[k:, k:] / np.sqrt(np.outer(rows.unit_weights[seen], rows.unit_weights[seen]))
            half = np.linalg.solve(V, C.T).T
            weights[mine] = half @ rows.X[seen]
            left[mine] -= (half * C).sum(1)
    return added, left, weights


def _new_observation(
    fit: StructuredFit, inference: Inference, targets: Targets, places: ResidualRows, own: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Variance of a new observation about its prediction, and its degrees of freedom, (m,)."""
    fitted = FitMoments.of(fit).working
    model, rule = fit.blocks, satterthwaite(fitted)
    X = np.where(fit.kept, targets.X, 0.0)
    rows = X[:, fit.kept] @ fitted.to_beta
    slope = np.empty((len(own), model.k))
    slope_of_mean = np.einsum("ra,iab,rb->ri", rows, rule.unidentified.by_g, rows, optimize=True) * fit.scale
    first = fit.structure.first(fit.psi, *_together(places, None))[:, :, 0, 0] * own
    variance = inference.se(X) ** 2 + _own_variance(fit, places) * own
    user = to_user_units(model)
    slope[:, :] = slope_of_mean
    slope[:, model.n_g :] += first.T @ user[model.n_g :, model.n_g :]
    for term, layout, to, T, lam in zip(targets.terms, model.layouts, model.g_of, model.roots, fit.lam):
        if term is None:
            continue
        z = term.columns
        variance = variance + np.einsum("ia,ab,ib->i", z, fit.sigma**2 * lam @ lam.T, z, optimize=True)
        turned = z @ T
        by_g = np.einsum("ia,kab,ib->ik", turned, layout.basis(), turned, optimize=True)
        slope[:, to] += by_g * fit.scale
    spread = user_covariance(fitted, rule.covariance)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = 2 * variance**2 / np.einsum("ia,ab,ib->i", slope, spread, slope, optimize=True)
    return variance, df


def user_covariance(fitted: FitMoments, covariance: FloatArray) -> FloatArray:
    """Covariance of the working variance parameters (G̃, ψ̃) from that of the coordinates, (k, k)."""
    from henderson.inference.information import coordinates_of

    jacobian = coordinates_of(fitted).jacobian
    return jacobian @ covariance @ jacobian.T
