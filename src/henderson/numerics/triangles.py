"""Symmetric matrices by their lower triangles alone, column after column: LAPACK's packed form, n (n + 1) / 2 numbers.

A_ij, i ≥ j, is the (i + j (2n − j − 1) / 2)-th      tr AB = Σ a_k b_k, off the diagonal twice
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas, lapack

FloatArray = np.ndarray
IntArray = np.ndarray

#: columns up to which a product is made by columns
FEW = 6


def size(n: int) -> int:
    """Numbers of an (n, n) matrix."""
    return n * (n + 1) // 2


def places(n: int, one: IntArray, other: IntArray) -> IntArray:
    """Where entries stand, each row and column in either order.

    Examples
    --------
    >>> places(3, np.array([0, 2, 1]), np.array([0, 1, 2])).tolist()
    [0, 4, 4]
    """
    before = np.arange(n, dtype=one.dtype)
    before = before * (2 * n - before - 1) // 2
    return np.maximum(one, other) + before[np.minimum(one, other)]


def diagonal(n: int) -> IntArray:
    """Where the diagonal stands, (n,)."""
    at = np.arange(n)
    return places(n, at, at)


def unpacked(triangle: FloatArray, n: int) -> FloatArray:
    """The matrix (n, n) in Fortran order, what is above the diagonal not to be looked at."""
    return np.asarray(lapack.dtpttr(n, triangle, uplo="L")[0])


def times(triangle: FloatArray, B: FloatArray) -> FloatArray:
    """The matrix times B (n, k), in Fortran order.

    Examples
    --------
    >>> times(np.array([1.0, 3.0, 2.0]), np.array([[1.0], [1.0]])).tolist()
    [[4.0], [5.0]]
    """
    n, k = B.shape
    if k > FEW:
        return np.asarray(blas.dsymm(1.0, unpacked(triangle, n), np.asfortranarray(B), lower=1))
    out = np.empty((n, k), order="F")
    for own, column in zip(out.T, B.T):
        own[:] = blas.dspmv(n, 1.0, triangle, column, lower=1)
    return out


def doubled(lower: FloatArray) -> FloatArray:
    """The triangle of a matrix with what is off the diagonal twice: its product with a triangle is tr AB.

    Examples
    --------
    >>> doubled(np.array([[1.0, 0.0], [3.0, 2.0]])).tolist()
    [1.0, 6.0, 2.0]
    """
    n = len(lower)
    out = lapack.dtrttp(lower, uplo="L")[0]
    out *= 2.0
    out[diagonal(n)] *= 0.5
    return np.asarray(out)
