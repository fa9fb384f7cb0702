"""New rows → where they stand in the series of a residual covariance."""

from __future__ import annotations

from typing import Any

import numpy as np

from henderson.contract.design import Design
from henderson.contract.residual import ResidualRows
from henderson.design.replay import numeric_column
from henderson.design.residual_term import Days, Labels
from henderson.errors import DataError
from henderson.sources.frames import read_table
from henderson.sources.table import Table


def new_residual_rows(design: Design, newdata: Any) -> ResidualRows:
    """Places of new rows in the series of a design.

    Parameters
    ----------
    design : Design
        Made by `design_from_formula` with a residual covariance.
    newdata : table

    Returns
    -------
    ResidualRows
        Codes of series are −1 for one that the design does not have; so are visits and strata. Times and covariates are
        NaN where they are missing, and so are covariates that are fitted values: who predicts puts them there.

    Raises
    ------
    DataError
        When a column is not there.

    Examples
    --------
    >>> from henderson.design.from_formula import design_from_formula
    >>> data = {"y": [1.0, 2, 4, 3, 5, 4, 2, 3], "visit": [1, 2] * 4, "id": [1, 1, 2, 2, 3, 3, 4, 4]}
    >>> design, _ = design_from_formula("y ~ 1", data, residual="ar1(visit | id)")
    >>> places = new_residual_rows(design, {"visit": [2, 3, 1], "id": [4, 1, 9]})
    >>> places.codes.tolist(), places.where.tolist()
    ([3, 0, -1], [1, -1, 0])
    """
    spec, table = design.specs.residual, read_table(newdata)
    if spec is None:
        raise DataError("the model's residuals are independent: rows have no places in a series")
    env = design.specs.environment
    codes = _codes(spec.series, table) if spec.series.columns else np.full(table.n, -1)
    if spec.visits is not None:
        where = _codes(spec.visits, table)
    else:
        where = np.empty((table.n, len(spec.places)))
        for k, own in enumerate(spec.places):
            where[:, k] = _days(own, table) if isinstance(own, Days) else numeric_column(own, table, env)
    covariates = tuple(
        np.full(table.n, np.nan)
        if own is None
        else _codes(own, table)
        if isinstance(own, Labels)
        else numeric_column(own, table, env)
        for own in spec.variance
    )
    return ResidualRows(codes, where, None if spec.strata is None else _codes(spec.strata, table), covariates)


def _days(days: Days, table: Table) -> np.ndarray:
    return days.times({days.column: table[days.column]})


def _codes(labels: Labels, table: Table) -> np.ndarray:
    return labels.codes({name: table[name] for name in labels.columns}, table.n)
