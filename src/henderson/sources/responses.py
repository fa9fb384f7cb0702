"""Many responses, rows × responses, of any make, read a block of columns at a time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError
from henderson.sources.columns import to_float
from henderson.sources.frames import read_table
from henderson.sources.table import Table

FloatArray = np.ndarray


@dataclass(frozen=True)
class ResponseBlocks:
    """Responses.

    Attributes
    ----------
    names : pandas.Index of length B
    n : int
        Rows.
    values : array (n, B), or Table
        An array may be on disk: blocks of its columns are read when they are asked for.
    rows : (n,) int array, or None
        Where the rows of the data stand in it; None: in order.
    """

    names: pd.Index
    n: int
    values: Any
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)

    def block(self, start: int, stop: int) -> FloatArray:
        """Responses start … stop − 1, (n, ≤ stop − start) float64; NaN where one is missing."""
        if isinstance(self.values, Table):
            found = np.column_stack([to_float(self.values[n], str(n)) for n in self.names[start:stop]])
        else:
            found = np.asarray(self.values[:, start:stop], np.float64)
        return found if self.rows is None else found[self.rows]


def response_blocks(Y: Any, index: pd.Index, labelled: bool) -> ResponseBlocks:
    """Responses for the rows of a table.

    Parameters
    ----------
    Y : (n, B) array, memory map or anything with `shape` and slices; table; path of a ``.npy`` file
    index : pandas.Index of length n
        Of the table.
    labelled : bool
        Whether the table came with its index.

    Raises
    ------
    DataError
        When it has another number of rows, other labels, or is not two-dimensional.
    """
    if isinstance(Y, str | os.PathLike):
        path = os.fspath(Y)
        if not path.endswith(".npy"):
            raise DataError(f"Y on disk is a .npy file or an open array, not {path}")
        try:
            Y = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read Y from {path}: {error}") from error
    if isinstance(Y, list | tuple):
        Y = np.asarray(Y)
    n, rows = len(index), None
    if hasattr(Y, "shape") and not hasattr(Y, "columns") and not hasattr(Y, "schema"):
        if len(Y.shape) != 2:
            raise DataError(f"Y has rows × responses, two dimensions; this has {len(Y.shape)}")
        if np.dtype(Y.dtype).kind not in "fiub":
            raise DataError(f"Y must hold numbers, it has dtype {Y.dtype}")
        found = ResponseBlocks(pd.RangeIndex(Y.shape[1]), Y.shape[0], Y)
    else:
        table = read_table(Y)
        names = pd.Index(list(table.names))
        if not names.is_unique:
            raise DataError(f"Y has two columns named {names[names.duplicated()][0]!r}")
        for name in names:
            to_float(table[name], str(name))
        if labelled and table.labelled and not table.index.equals(index):
            if not table.index.is_unique or not index.isin(table.index).all():
                raise DataError("the index of Y is not that of the data; give an array to match rows by position")
            rows = table.index.get_indexer(index)
        found = ResponseBlocks(names, n if rows is not None else table.n, table, rows)
    if found.n != n:
        raise DataError(f"Y has {found.n} rows, the data {n}")
    if not len(found):
        raise DataError("Y has no responses")
    return found
