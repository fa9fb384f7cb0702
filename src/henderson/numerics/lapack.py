"""LAPACK on matrices of a few rows: what `numpy.linalg` does, without the ten microseconds that it takes to begin.

A search factors, inverts and diagonalises matrices as small as the number of its parameters some fifty times; on those
the general functions' checks cost more than the arithmetic.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.linalg import lapack

FloatArray = np.ndarray

#: eigenvalues below this share of the largest, by size, count as zero where a singular system is solved
TINY = 1e-10


def cholesky(matrix: FloatArray) -> FloatArray:
    """L lower triangular with LL' = matrix.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where the matrix is not positive definite.

    Examples
    --------
    >>> cholesky(np.array([[4.0, 2.0], [2.0, 10.0]]))
    array([[2., 0.],
           [1., 3.]])
    """
    if not len(matrix):
        return np.zeros((0, 0))
    low, info = lapack.dpotrf(matrix, lower=1)
    if info:
        raise np.linalg.LinAlgError("the matrix is not positive definite")
    return low


def inverse_lower(low: FloatArray) -> FloatArray:
    """L⁻¹ of a lower triangular matrix with a diagonal that is not zero."""
    return lapack.dtrtri(low, lower=1)[0] if len(low) else np.zeros((0, 0))


def inverse(matrix: FloatArray) -> FloatArray:
    """The inverse of a square matrix.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where the matrix is singular.
    """
    return solve(matrix, np.identity(len(matrix)))


def solve(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """x with matrix x = right, (k,) or (k, m).

    Raises
    ------
    numpy.linalg.LinAlgError
        Where the matrix is singular.
    """
    if not right.size:
        return np.zeros(right.shape)
    x, info = lapack.dgesv(matrix, right)[2:]
    if info:
        raise np.linalg.LinAlgError("the matrix is singular")
    return x


def triangle(matrix: FloatArray) -> FloatArray:
    """R upper triangular, (min(m, k), k), with R'R = A'A of a matrix A (m, k).

    Examples
    --------
    >>> abs(triangle(np.array([[3.0, 3.0], [4.0, 4.0]])).round(12))
    array([[5., 5.],
           [0., 0.]])
    """
    if not matrix.size:
        return np.zeros((min(matrix.shape), matrix.shape[1]))
    found = lapack.dgeqrf(matrix)[0][: len(matrix.T)]
    return np.where(_upper(found.shape), found, 0.0)


@lru_cache(maxsize=64)
def _upper(shape: tuple[int, int]) -> np.ndarray:
    return np.triu(np.ones(shape, bool))


def eigen(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues (ascending) and eigenvectors (columns) of a symmetric matrix, of which the lower triangle is read.

    Examples
    --------
    >>> eigen(np.diag([3.0, 1.0]))[0]
    array([1., 3.])
    """
    if not len(matrix):
        return np.zeros(0), np.zeros((0, 0))
    values, vectors, info = lapack.dsyevd(matrix, lower=1)
    if info:
        raise np.linalg.LinAlgError("the eigenvalues did not converge")
    return values, vectors


def symmetric_solve(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """The shortest x that minimises |matrix x − right| for a symmetric matrix; tiny eigenvalues count as zero.

    Parameters
    ----------
    matrix : (k, k) array
    right : (k,) array
    """
    values, vectors = eigen(matrix)
    along = right @ vectors
    size = np.abs(values)
    kept = size > TINY * size.max(initial=0.0)
    return vectors @ (np.divide(along, values, out=np.zeros_like(along), where=kept))
