"""Rows as targets of predictions: their columns of the fixed part, and what each random term says of them.

ŷ = Xβ̂ + offset + Σ_k z_k'b̂_k; a level that the fit does not have contributes its mean, zero, when that is allowed.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from henderson.design.from_arrays import given_columns
from henderson.design.intercept import LME4, STATSMODELS
from henderson.design.replay import NewTerm, Wanted, new_columns
from henderson.engine.fit import Fit
from henderson.errors import DataError, ValueWarning, users_level
from henderson.inference.contrast_rows import needs_dropped
from henderson.inference.fit_moments import FitMoments
from henderson.sources.columns import to_array
from henderson.sources.factors import differ_in_type, match, unknown_levels
from henderson.sources.frames import is_matrix

FloatArray = np.ndarray

_MOST_ROWS = 5


@dataclass(frozen=True)
class Targets:
    """What is to be predicted.

    Attributes
    ----------
    X : (m, p) array
        Columns of the fixed part; NaN where a variable is missing.
    mean : (m,) array
        Xβ̂ and the offset; NaN where it is not estimable.
    terms : tuple of NewTerm or None
        What each random term says of the rows; None for one that has no part.
    """

    X: FloatArray
    mean: FloatArray
    terms: tuple[NewTerm | None, ...]

    def __getitem__(self, rows: np.ndarray) -> Targets:
        terms = tuple(None if one is None else one[rows] for one in self.terms)
        return Targets(self.X[rows], self.mean[rows], terms)

    def of_columns(self, columns: Sequence[Sequence[bool]]) -> Targets:
        """The same where only some columns of a term are in; a term without any is as it is: none, or new."""
        parts = tuple(
            term
            if term is None or all(own) or not any(own)
            else replace(term, columns=np.where(own, term.columns, 0.0))
            for term, own in zip(self.terms, columns)
        )
        return replace(self, terms=parts)

    def refuse_unknown(self, new_levels: str) -> None:
        """Raise a `DataError` for levels that the fit does not have, unless they may be new ones; for labels of another
        type than the fit's in any case."""
        for term in self.terms:
            if term is not None and term.complaint is not None and (new_levels == "raise" or term.is_other_type):
                hint = "" if term.is_other_type else "; new_levels='population' takes it for a new one, at the mean"
                raise DataError(term.complaint + hint)

    def estimates(self, b: Sequence[FloatArray]) -> FloatArray:
        """Xβ̂ + Zb̂, (m,), for effects b (J, q) of each term; zero for levels that the fit does not have."""
        out = self.mean
        for term, own in zip(self.terms, b):
            if term is not None:
                out = out + term.times(own)
        return out


def own_targets(fit: Fit, wanted: Sequence[Wanted], what: str) -> Targets:
    """The rows that were fitted, for `what` (a method's name), which the error names when they were let go."""
    rows = fit.observed_for(what)
    terms: list[NewTerm | None] = []
    for term, own, which in zip(fit.design.terms, rows.terms, wanted):
        if which is None:
            terms.append(None)
        elif own.codes is None:
            terms.append(NewTerm(None, own.columns, _widened(own.given_loadings, term.n_levels, which == "new")))
        else:
            terms.append(NewTerm(own.codes if which == "known" else np.full(rows.n, -1), own.columns))
    return Targets(rows.X, rows.mean(fit.beta, fit.kept), tuple(terms))


def _widened(loadings: sparse.csr_array, n_effects: int, as_new: bool) -> sparse.csr_array:
    """Z with a last column for new effects; with all of a row there when they are to be new ones, alike and apart."""
    if not as_new:
        return sparse.csr_array(
            (loadings.data, loadings.indices, loadings.indptr), shape=(loadings.shape[0], n_effects + 1)
        )
    size = np.sqrt(np.asarray(loadings.multiply(loadings).sum(axis=1)).ravel())
    n = len(size)
    return sparse.csr_array((size, np.full(n, n_effects), np.arange(n + 1)), shape=(n, n_effects + 1))


def read_targets(
    fit: Fit,
    newdata: Any,
    wanted: Sequence[Wanted],
    *,
    groups: Any = None,
    exog_re: Any = None,
    offset: Any = None,
    transform: bool = True,
) -> Targets:
    """New rows as targets of predictions.

    Parameters
    ----------
    fit : Fit
    newdata : table; for a design made of arrays, or without `transform`, an (m, p) array or DataFrame
    wanted : sequence of {"known", "new", None}
        What is wanted of each random term; see `new_columns`.
    groups : (m,) array_like, optional
        Label of each row, for a fit whose groups were given as an array.
    exog_re : (m, q) array_like, optional
        Columns that vary by group, for a design made of arrays.
    offset : (m,) array_like, optional
        Known part of the mean, for a fit whose offset was given as an array.
    transform : bool
        False: `newdata` are the columns of X as they are.

    Raises
    ------
    DataError
        When a column is not there.

    Warns
    -----
    ValueWarning
        For rows whose mean is not estimable since columns of X were dropped as redundant: they are NaN.
    """
    specs = fit.design.specs
    if specs is not None and exog_re is not None:
        raise ValueError("exog_re= goes with a model made of arrays; here its columns are made from the table")
    if specs is not None and transform and not is_matrix(newdata):
        rows = new_columns(fit.design, newdata, wanted, groups=groups, offset=offset)
        return Targets(rows.X, _mean(fit, rows.X) + rows.offset, rows.terms)
    X = given_columns(newdata, fit.design.x_names, "exog")
    if specs is not None and any(wanted):
        terms = tuple(None if which is None else _as_in_X(fit, X, k, which) for k, which in enumerate(wanted))
        return Targets(X, _mean(fit, X) + _given_offset(fit, offset, len(X)), terms)
    mean = _mean(fit, X) + _given_offset(fit, offset, len(X))
    terms = (_given_term(fit, groups, exog_re, len(X), wanted[0]),) if any(wanted) else ()
    return Targets(X, mean, terms)


def _mean(fit: Fit, X: FloatArray) -> FloatArray:
    """Xβ̂, (m,); NaN, with a `ValueWarning`, where it is not estimable, such as in a cell without data: what it would be
    depends on which of the columns was dropped."""
    mean = X @ np.nan_to_num(fit.beta)
    if fit.kept.all():
        return mean
    moments, errors = FitMoments.of(fit), np.sqrt(np.diag(fit.vcov))
    needs = needs_dropped(np.nan_to_num(X), moments.null_space, fit.kept, errors, moments.told)
    rows = np.flatnonzero(needs.any(axis=1))
    if len(rows):
        names = ", ".join(np.asarray(fit.design.x_names)[~fit.kept][needs.any(axis=0)])
        shown = ", ".join(map(str, rows[:_MOST_ROWS])) + (", …" if len(rows) > _MOST_ROWS else "")
        warnings.warn(
            f"not estimable: the prediction{'s' if len(rows) > 1 else ''} in row{'s' if len(rows) > 1 else ''} {shown} "
            f"need{'' if len(rows) > 1 else 's'} {names}, dropped as redundant",
            ValueWarning,
            stacklevel=users_level(),
        )
    return np.where(needs.any(axis=1), np.nan, mean)


def _as_in_X(fit: Fit, X: FloatArray, k: int, which: Wanted) -> NewTerm:
    """The columns of a random term on new levels, where X has them."""
    term, names = fit.design.terms[k], list(fit.design.x_names)
    if which == "known" or term.loaded or not set(term.names) <= {*names, LME4, STATSMODELS}:
        raise ValueError("random effects of a model made by a formula need a table of its variables")
    columns = [np.ones(len(X)) if name in (LME4, STATSMODELS) else X[:, names.index(name)] for name in term.names]
    return NewTerm(np.full(len(X), -1), np.column_stack(columns))


def _given_offset(fit: Fit, offset: Any, m: int) -> FloatArray:
    if offset is None:
        if fit.design.has_offset:
            raise DataError("the model has an offset: give offset=, its values in the new rows, or a table")
        return np.zeros(m)
    values = np.asarray(to_array(offset, "offset"), float)
    if len(values) != m:
        raise DataError(f"offset has {len(values)} entries, exog {m} rows")
    return values


def _given_term(fit: Fit, groups: Any, exog_re: Any, m: int, which: Wanted) -> NewTerm:
    """The random effects of a design made of arrays."""
    term = fit.design.terms[0]
    if len(fit.design.terms) > 1 or term.label != term.group:
        raise ValueError("components given as matrices have no new rows: use vc_formula and a table, not exog_vc")
    is_intercept = term.names in ((LME4,), (STATSMODELS,))
    if which == "new" and exog_re is None and not is_intercept:
        raise ValueError(
            "the model was given as arrays, not by a formula; for limits of new observations give exog_re=, "
            f"its columns {', '.join(term.names)}"
        )
    if which == "new":
        own = np.ones((m, 1)) if exog_re is None else given_columns(exog_re, term.names, "exog_re")
        return NewTerm(np.full(m, -1), own)
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
