"""S += Z'C in place, for Z with few entries a row: SciPy's products of a sparse matrix and a dense one, without the
zeros that their public forms begin with, which may be more than all the rows.

`add_product` adds to all sums of a level, where they lie side by side; `Places.add` to one sum of every level, and
multiplies on the way: no array of the products is written and read again, as it would be for `numpy.bincount`. Where
rows of one place follow each other these are summed first: an addition to the place before has to wait for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import _sparsetools

FloatArray = np.ndarray

#: rows to a place, one after the other, from which they are summed first; rows that are looked at before all are
TOGETHER, FEW = 8, 256


def add_product(out: FloatArray, where: np.ndarray, loadings: FloatArray, columns: FloatArray) -> None:
    """out[where[i, a]] += loadings[i, a] columns[i], row after row.

    Parameters
    ----------
    out : (r, m) float64 array, C-contiguous
        Changed in place.
    where : (n, q) int array
        Rows of `out`.
    loadings : (n, q) float64 array
    columns : (n, m) float64 array

    Examples
    --------
    >>> out = np.zeros((2, 1))
    >>> add_product(out, np.array([[0], [1], [1]]), np.array([[1.0], [1.0], [2.0]]), np.array([[1.0], [2.0], [3.0]]))
    >>> out.tolist()
    [[1.0], [8.0]]
    """
    (n, q), (r, m) = where.shape, out.shape
    if not out.flags.c_contiguous or loadings.shape != (n, q) or columns.shape != (n, m):
        raise ValueError("out must be C-contiguous, and rows of as many loadings and columns")
    if n and (where.min() < 0 or where.max() >= r):
        raise IndexError(f"rows of out are 0 to {r - 1}")
    index = np.int32 if max(r, n * q) < 2**31 else np.int64
    starts, places = np.arange(0, n * q + 1, max(q, 1), dtype=index), np.ascontiguousarray(where, index)
    _sparsetools.csc_matvecs(
        r, n, m, starts, places.ravel(), np.ascontiguousarray(loadings).ravel(),
        np.ascontiguousarray(columns).ravel(), out.reshape(-1),
    )  # fmt: skip


@dataclass(frozen=True)
class Places:
    """Where rows are added, for several columns.

    Attributes
    ----------
    where : (n,) int32 or int64 array
        Of runs of rows with one place, that of each run.
    rows : (n,) array of the same type
        0, 1, …, n − 1.
    size : int
        Places that there are.
    starts : (n,) int array, or None
        The first row of each run; None where each row is one.
    n : int
        Rows.

    Examples
    --------
    >>> out = np.zeros(2)
    >>> Places.of(np.array([0, 1, 1]), 2).add(out, np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]))
    >>> out.tolist()
    [1.0, 8.0]
    """

    where: np.ndarray
    rows: np.ndarray
    size: int
    starts: np.ndarray | None
    n: int

    @classmethod
    def of(cls, where: np.ndarray, size: int) -> Places:
        """Of the place of every row, (n,), each from 0 to size − 1."""
        if len(where) and (where.min() < 0 or where.max() >= size):
            raise IndexError(f"places are 0 to {size - 1}")
        index, n, starts = np.int32 if max(size, len(where)) < 2**31 else np.int64, len(where), _runs(where)
        where = np.ascontiguousarray(where if starts is None else where[starts], index)
        return cls(where, np.arange(len(where), dtype=index), size, starts, n)

    def add(self, out: FloatArray, loadings: FloatArray, column: FloatArray) -> None:
        """out[where[i]] += loadings[i] column[i], row after row.

        Parameters
        ----------
        out : (size,) float64 array, contiguous
            Changed in place.
        loadings, column : (n,) float64 arrays
        """
        n = self.n
        if not out.flags.c_contiguous or out.shape != (self.size,) or loadings.shape != (n,) or column.shape != (n,):
            raise ValueError(f"out must be contiguous, of {self.size} places, and there are {n} rows")
        if self.starts is not None:
            column = np.add.reduceat(loadings * column, self.starts)
            loadings = np.ones(len(column))
        _sparsetools.coo_matvec(
            len(self.where), self.where, self.rows, np.ascontiguousarray(loadings), np.ascontiguousarray(column), out
        )


def _runs(where: np.ndarray) -> np.ndarray | None:
    """The first row of each run of rows with one place; None where runs are short."""
    for some in (where[:FEW], where):
        starts = np.flatnonzero(some[1:] != some[:-1])
        if TOGETHER * (len(starts) + 1) > len(some):
            return None
    return np.concatenate([[0], starts + 1])
