"""S += Z'C in place, for Z with few entries a row: SciPy's product of a sparse matrix and a dense one, without the
matrix of zeros that its public form begins with, which may be larger than all the rows.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import _sparsetools

FloatArray = np.ndarray


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
