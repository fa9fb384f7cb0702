"""What is given beside a table (weights, offset, groups, a Series of the caller's) in the table's order of rows.

A pandas Series says by its index which row each entry belongs to. So where the table has an index, entries are
matched by it, or refused; never by position when the labels disagree. What has no index is in the table's order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError
from henderson.sources.columns import Array, to_array


def aligned(values: Any, index: pd.Index, name: str, *, labelled: bool = True) -> Array:
    """The entries of `values` in the order of a table's rows.

    Parameters
    ----------
    values : array_like
    index : pandas.Index of length n
        Of the table.
    name : str
        For the error.
    labelled : bool
        Whether the table came with its index; else its rows are known by their number, and labels that are not such
        numbers say nothing.

    Returns
    -------
    (n,) array
        As long as `values` when these have no index.

    Raises
    ------
    DataError
        When labels repeat or a row's is not there.

    Examples
    --------
    >>> aligned(pd.Series([1, 2, 3], index=list("cab")), pd.Index(list("abc")), "weights").tolist()
    [2, 3, 1]
    """
    array = to_array(values, name)
    if not isinstance(values, pd.Series | pd.DataFrame) or values.index.equals(index):
        return array
    own = values.index
    if not labelled:
        is_reordered = len(own) == len(index) and own.is_unique and own.isin(index).all()
        return array[own.get_indexer(index)] if is_reordered else array
    if not own.is_unique:
        raise DataError(
            f"the index of {name!r} is not that of the data and has labels that repeat, so its entries cannot be "
            "matched to rows; give an array to match them by position"
        )
    if not index.isin(own).all():
        absent = index[~index.isin(own)]
        raise DataError(
            f"the index of {name!r} is not that of the data: it has no label {absent.tolist()[0]!r}"
            + (f", nor {len(absent) - 1} others" if len(absent) > 1 else "")
            + "; give an array to match its entries by position"
        )
    return array[np.asarray(own.get_indexer(index))]
