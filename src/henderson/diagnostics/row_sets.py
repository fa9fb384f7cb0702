"""Sets of rows that are left out together: single rows, the levels of a factor, folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from henderson.engine.fit import Fit
from henderson.engine.given import check_estimated
from henderson.engine.many.deletions import Sets
from henderson.errors import DataError
from henderson.formula.tokens import bare

#: what `by` may say in place of None
ROWS = "rows"


@dataclass(frozen=True)
class RowSets:
    """Sets of rows with names.

    Attributes
    ----------
    sets : Sets
        m of them.
    labels : pandas.Index of length m
        The rows' labels, or the levels.
    name : str or None
        Of the factor; None for rows.
    """

    sets: Sets
    labels: pd.Index
    name: str | None


def row_sets(fit: Fit, by: Any, what: str) -> RowSets:
    """The rows of a fit one by one, or the rows of each level of a factor.

    Parameters
    ----------
    fit : Fit
    by : None, str, or (n,) array_like
        None or "rows": single rows. A grouping factor of the model, a variable of its fixed part, or a label for each
        row that was fitted (or of the data that were given; a Series is matched by its index).
    what : str
        The method that asks, for its errors.

    Raises
    ------
    NotAvailable
        For a fit without rows, or one whose parameters were given.
    DataError
        For a name that the model does not have (with those that it has), labels of another length or missing ones, and
        fewer than two levels.
    """
    rows = fit.observed_for(what)
    check_estimated(fit, what)
    if by is None or (isinstance(by, str) and by == ROWS and not _has(fit, by)):
        return RowSets(Sets.of_codes(np.arange(fit.n), fit.n), rows.index, None)
    codes, levels, name = _factor(fit, by, what)
    if len(levels) < 2:
        raise DataError(f"{what}: {name} has one level; leaving it out leaves no rows")
    return RowSets(Sets.of_codes(codes, len(levels)), levels, name)


def _has(fit: Fit, name: str) -> bool:
    """Whether the model has a factor or a variable of this name."""
    return name in fit.observed.factors or name in fit.observed.columns or name in _groups(fit)


def _groups(fit: Fit) -> list[str]:
    """Grouping factors whose levels may be left out, and the series."""
    series = fit.design.residual
    found = [term.group for term, own in zip(fit.design.terms, fit.observed.terms) if own.codes is not None]
    return found + ([series.group] if series is not None and series.group else [])


def _factor(fit: Fit, by: Any, what: str) -> tuple[np.ndarray, pd.Index, str]:
    """Codes (n,), levels that occur, name."""
    design, rows = fit.design, fit.observed
    if not isinstance(by, str):
        return _labels(fit, by, what)
    by = by if _has(fit, by) else bare(by)
    by = by if by in rows.factors or by in rows.columns else design.group_called(by)
    for term, own in zip(design.terms, rows.terms):
        if own.codes is not None and (by == term.label or sorted(by.split(":")) == sorted(term.group.split(":"))):
            codes: np.ndarray = own.codes
            levels: Any = term.levels
            if term.related is not None:  # ancestors may have no rows
                there, codes = np.unique(codes, return_inverse=True)
                levels = levels[there]
            return codes, levels.rename(term.group) if levels.nlevels == 1 else levels, term.group
    series = design.residual
    if series is not None and rows.residual is not None and series.group and by == series.group:
        return rows.residual.codes, series.levels.rename(by) if series.levels.nlevels == 1 else series.levels, by
    if rows.groups is not None and by in (design.specs.groups, design.specs.group_column):
        return rows.groups, design.specs.group_levels.rename(by), by
    if by in rows.factors:
        levels = design.specs.terms.levels[by] if design.specs is not None else None
        codes, found = pd.factorize(rows.factors[by], sort=True)
        return codes, pd.Index(found if levels is None else levels[found], name=by), by
    if by in rows.columns:
        codes, values = pd.factorize(rows.columns[by], sort=True)
        return codes, pd.Index(values, name=by), by
    known = ", ".join(dict.fromkeys([*_groups(fit), *rows.factors, *rows.columns]))
    raise DataError(f"{what}: by={by!r} is not in the model, which has {known}; give the labels of the rows instead")


def _labels(fit: Fit, by: Any, what: str) -> tuple[np.ndarray, pd.Index, str]:
    """One label a row of the fit, or of the data that were given."""
    rows, design = fit.observed, fit.design
    given = by if isinstance(by, pd.Series) else pd.Series(np.asarray(by))
    if isinstance(by, pd.Series) and by.index.is_unique and len(rows.index) and rows.index.isin(by.index).all():
        values = by.loc[rows.index]
    elif len(given) == design.n + design.n_missing and rows.positions is not None:
        values = given.iloc[rows.positions]
    else:
        values = given
    if len(values) != fit.n:
        raise DataError(f"{what}: by has {len(values)} labels, {fit.n} rows were fitted")
    codes, levels = pd.factorize(values, sort=True)
    if (codes < 0).any():
        raise DataError(f"{what}: by has missing labels")
    name = str(getattr(by, "name", None) or "group")
    return codes, pd.Index(levels, name=name), name
