"""Predictions for new rows: the mean, and with the conditional modes of the levels that the fit knows.

ŷ = Xβ̂ + offset + Σ_k z_k'b̂_k; a level that the fit does not have contributes its mean, zero, when that is allowed.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from henderson.design.from_arrays import given_columns
from henderson.design.intercept import LME4, STATSMODELS
from henderson.design.replay import NewTerm, new_columns
from henderson.engine.fit import Fit
from henderson.errors import DataError, ValueWarning
from henderson.inference.contrast_rows import needs_dropped
from henderson.inference.fit_moments import FitMoments
from henderson.sources.columns import to_array
from henderson.sources.factors import differ_in_type, match, unknown_levels

FloatArray = np.ndarray

_MOST_ROWS = 5


def predict_new(
    fit: Fit,
    beta: FloatArray,
    newdata: Any,
    *,
    random: bool = False,
    new_levels: str = "raise",
    groups: Any = None,
    exog_re: Any = None,
    offset: Any = None,
    transform: bool = True,
) -> FloatArray:
    """Predictions, (m,).

    Parameters
    ----------
    fit : Fit
    beta : (p,) array
        Fixed effects, zero where a column was dropped.
    newdata : table; for a design made of arrays, or without `transform`, an (m, p) array or DataFrame
    random : bool
        Add the conditional modes.
    new_levels : {"raise", "zero"}
        What to do with levels that the fit does not have.
    groups : (m,) array_like, optional
        Label of each row, for a fit whose groups were given as an array.
    exog_re : (m, q) array_like, optional
        Columns that vary by group, for a design made of arrays.
    offset : (m,) array_like, optional
        Known part of the mean, for a fit whose offset was given as an array.
    transform : bool
        False: `newdata` are the columns of X as they are.

    Returns
    -------
    (m,) array
        NaN, with a `ValueWarning`, where the mean is not estimable: it needs a column that was dropped as redundant.

    Raises
    ------
    DataError
        For a level that is not in the fit, unless `new_levels` is "zero"; names the factor, the level and its row.
        Labels of another type than the fit's (text for numbers) raise in any case.

    Warns
    -----
    ValueWarning
        For rows whose mean is not estimable since columns of X were dropped as redundant.
    """
    if new_levels not in ("raise", "zero"):
        raise ValueError(f"new_levels must be 'raise' or 'zero', not {new_levels!r}")
    mean, terms = mean_and_terms(
        fit, beta, newdata, random=random, groups=groups, exog_re=exog_re, offset=offset, transform=transform
    )
    return _with_effects(mean, terms, fit, new_levels)


def mean_and_terms(
    fit: Fit,
    beta: FloatArray,
    newdata: Any,
    *,
    random: bool,
    groups: Any = None,
    exog_re: Any = None,
    offset: Any = None,
    transform: bool = True,
) -> tuple[FloatArray, tuple[NewTerm, ...]]:
    """Xβ + offset of new rows, (m,), and, when `random`, what each random term says of them; see `predict_new`."""
    specs = fit.design.specs
    if specs is not None and exog_re is not None:
        raise ValueError("exog_re= goes with a model made of arrays; here its columns are made from the table")
    if specs is not None and transform and not isinstance(newdata, np.ndarray):
        rows = new_columns(fit.design, newdata, random=random, groups=groups, offset=offset)
        return _mean(fit, rows.X, beta) + rows.offset, rows.terms
    if specs is not None and random:
        raise ValueError("random effects of a model made by a formula need a table of its variables")
    X = given_columns(newdata, fit.design.x_names, "exog")
    mean = _mean(fit, X, beta) + _given_offset(fit, offset, len(X))
    if not random:
        return mean, ()
    return mean, (_given_term(fit, groups, exog_re, len(X)),)


def _mean(fit: Fit, X: FloatArray, beta: FloatArray) -> FloatArray:
    """Xβ, (m,); NaN, with a `ValueWarning`, where it is not estimable, such as in a cell without data: what it would be
    depends on which of the columns was dropped."""
    mean = X @ beta
    if fit.kept.all():
        return mean
    null = FitMoments.of(fit).null_space
    needs = needs_dropped(np.nan_to_num(X), null, fit.kept, np.sqrt(np.diag(fit.vcov)))
    rows = np.flatnonzero(needs.any(axis=1))
    if len(rows):
        names = ", ".join(np.asarray(fit.design.x_names)[~fit.kept][needs.any(axis=0)])
        shown = ", ".join(map(str, rows[:_MOST_ROWS])) + (", …" if len(rows) > _MOST_ROWS else "")
        warnings.warn(
            f"not estimable: the prediction{'s' if len(rows) > 1 else ''} in row{'s' if len(rows) > 1 else ''} {shown} "
            f"need{'' if len(rows) > 1 else 's'} {names}, dropped as redundant",
            ValueWarning,
            stacklevel=5,
        )
    return np.where(needs.any(axis=1), np.nan, mean)


def _with_effects(mean: FloatArray, terms: tuple[NewTerm, ...], fit: Fit, new_levels: str) -> FloatArray:
    for term, b in zip(terms, fit.b):
        if term.complaint is not None and (new_levels == "raise" or term.is_other_type):
            hint = "" if term.is_other_type else "; new_levels='zero' predicts it at the mean"
            raise DataError(term.complaint + hint)
        mean = mean + term.times(b)
    return mean


def _given_offset(fit: Fit, offset: Any, m: int) -> FloatArray:
    if offset is None:
        if fit.design.has_offset:
            raise DataError("the model has an offset: give offset=, its values in the new rows, or a table")
        return np.zeros(m)
    values = np.asarray(to_array(offset, "offset"), float)
    if len(values) != m:
        raise DataError(f"offset has {len(values)} entries, exog {m} rows")
    return values


def _given_term(fit: Fit, groups: Any, exog_re: Any, m: int) -> NewTerm:
    """The random effects of a design made of arrays."""
    term = fit.design.terms[0]
    if len(fit.design.terms) > 1 or term.label != term.group:
        raise ValueError("components given as matrices have no new rows: use vc_formula and a table, not exog_vc")
    is_intercept = term.names in ((LME4,), (STATSMODELS,))
    if groups is None or (exog_re is None and not is_intercept):
        needed = "groups=, the label of each new row" + (
            "" if is_intercept else f", and exog_re=, its columns {', '.join(term.names)}"
        )
        raise ValueError(
            f"the model was given as arrays, not by a formula; for predictions with random effects give {needed}"
        )
    labels = to_array(groups, "groups")
    columns = np.ones((m, 1)) if exog_re is None else given_columns(exog_re, term.names, "exog_re")
    for role, found in (("groups", labels), ("exog_re", columns)):
        if len(found) != m:
            raise DataError(f"{role} has {len(found)} rows, exog {m}")
    codes = match(labels, term.levels)
    complaint = unknown_levels("groups", labels, codes, term.levels) if (codes < 0).any() else None
    is_other = complaint is not None and differ_in_type(labels, term.levels)
    return NewTerm(codes, columns, None, complaint, is_other, {"groups": labels})
