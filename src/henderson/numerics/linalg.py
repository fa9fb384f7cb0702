"""Inverses of symmetric matrices whose rows may be in very different units: every one scales the diagonal to one first.

With s = √|diag A| (1 where that is zero), A⁻¹ = s⁻¹ (s⁻¹ A s⁻¹)⁻¹ s⁻¹, and the matrix in the middle is free of units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FloatArray = np.ndarray


def symmetric(matrix: FloatArray) -> FloatArray:
    """(A + A') / 2."""
    return (matrix + matrix.T) / 2


def sizes(matrix: FloatArray) -> FloatArray:
    """√|diag A|, one where that is zero."""
    size = np.sqrt(np.abs(np.diag(matrix)))
    return np.where(size > 0, size, 1.0)


def scaled_inverse(matrix: FloatArray) -> FloatArray:
    """Inverse of a symmetric matrix.

    Raises
    ------
    numpy.linalg.LinAlgError
        When it has none.

    Examples
    --------
    >>> scaled_inverse(np.diag([4.0, 2.0**-80])).diagonal().tolist() == [0.25, 2.0**80]
    True
    """
    size = sizes(matrix)
    return symmetric(np.linalg.inv(matrix / size[:, None] / size)) / size[:, None] / size


def pseudo_inverse(matrix: FloatArray, tolerance: float = 1e-15) -> FloatArray:
    """Moore–Penrose inverse of the scaled symmetric matrix, scaled back; eigenvalues below the tolerance are zero."""
    size = sizes(matrix)
    found = np.linalg.pinv(matrix / size[:, None] / size, rcond=tolerance, hermitian=True)
    return symmetric(found) / size[:, None] / size


@dataclass(frozen=True)
class PositiveInverse:
    """Inverse over the directions in which a symmetric matrix is positive.

    Attributes
    ----------
    matrix : (k, k) array
    n_negative, n_flat : int
        Directions left out because curvature is negative, or none.
    """

    matrix: FloatArray
    n_negative: int
    n_flat: int


def positive_inverse(matrix: FloatArray, tolerance: float = 1e-8, size: FloatArray | None = None) -> PositiveInverse:
    """Inverse of the positive part of a symmetric matrix; its rows are divided by `size` (the diagonal's).

    Examples
    --------
    >>> positive_inverse(np.diag([4.0, 0.0, 1e12])).matrix.diagonal().tolist()
    [0.25, 0.0, 1e-12]
    """
    size = sizes(matrix) if size is None else size
    values, vectors = np.linalg.eigh(symmetric(matrix / size[:, None] / size))
    good = values > tolerance
    root = vectors[:, good] / np.sqrt(values[good])
    inverse = (root @ root.T) / size[:, None] / size
    return PositiveInverse(inverse, int((values < -tolerance).sum()), int((np.abs(values) <= tolerance).sum()))


def spans_constant(X: FloatArray) -> bool:
    """Whether a constant is a combination of the columns of X (n, p).

    Examples
    --------
    >>> dummies = np.array([[1.0, 0], [1, 0], [0, 1]])
    >>> spans_constant(dummies), spans_constant(dummies[:, :1])
    (True, False)
    """
    size = np.sqrt(np.einsum("ij,ij->j", X, X))
    X, ones = X / np.where(size > 0, size, 1.0), np.ones(len(X))
    return bool(np.abs(X @ np.linalg.lstsq(X, ones, rcond=None)[0] - ones).max(initial=0.0) < 1e-8)
