"""Which rows of a table a user means by `subset`."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError
from henderson.sources.alignment import aligned
from henderson.sources.columns import kind_of, to_array, to_float
from henderson.sources.table import Table


def find_rows(subset: Any, table: Table, data: Any) -> np.ndarray | None:
    """Positions of the rows that `subset` keeps; None for all.

    Parameters
    ----------
    subset : boolean array or Series, query string, or labels (pandas) or positions of rows, or None
    table, data
        The table, and what it was read from.
    """
    if subset is None:
        return None
    if isinstance(subset, str):
        rows = _query(subset, table)
    elif isinstance(subset, slice):
        rows = (
            np.arange(table.n)[data.index.slice_indexer(subset.start, subset.stop, subset.step)]
            if isinstance(data, pd.DataFrame)
            else np.arange(table.n)[subset]
        )
    else:
        rows = _select(subset, table, data)
    if len(rows) == 0:
        raise DataError("subset keeps no rows")
    return rows


def _select(subset: Any, table: Table, data: Any) -> np.ndarray:
    values = to_array(subset, "subset")
    if kind_of(values) == "bool":
        values = aligned(subset, table.index, "subset", labelled=table.labelled)
        if len(values) != table.n:
            raise DataError(f"subset has {len(values)} entries, the data {table.n} rows")
        return np.flatnonzero(to_float(values, "subset") == 1)
    if len(values) == table.n > 2 and kind_of(values) == "number" and set(values) <= {0, 1}:
        raise DataError("subset holds 0 and 1 for each row: use booleans to say which rows to keep")
    if isinstance(data, pd.DataFrame):
        try:
            return np.arange(table.n)[np.asarray(pd.Series(np.arange(table.n), data.index).loc[values])]
        except KeyError as error:
            raise DataError(f"subset names rows that the data does not have: {error.args[0]}") from None
    if values.dtype.kind not in "iu" or (len(values) and (values.min() < -table.n or values.max() >= table.n)):
        raise DataError(f"subset must hold booleans or positions of rows from 0 to {table.n - 1}")
    return np.arange(table.n)[values]


def _query(text: str, table: Table) -> np.ndarray:
    try:
        used = {node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)}
    except SyntaxError:
        used = {name for name in table.names if isinstance(name, str) and name in text}
    frame = pd.DataFrame({name: table[name] for name in table.names if name in used})
    try:
        mask: Any = frame.eval(text, engine="python")
    except Exception as error:  # the user's own text: it can raise anything
        raise DataError(f"subset {text!r} cannot be evaluated: {error}") from error
    if np.shape(mask) != (table.n,) or kind_of(found := to_array(mask, "subset")) != "bool":
        raise DataError(f"subset {text!r} must say True or False for each row")
    return np.flatnonzero(to_float(found, "subset") == 1)
