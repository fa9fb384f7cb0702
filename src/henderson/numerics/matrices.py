"""Short forms for a few small matrices, without the overhead that general functions have on them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import linalg

from henderson.numerics.lapack import cholesky, inverse_lower

FloatArray = np.ndarray


def inner_products(stack: FloatArray, matrix: FloatArray) -> FloatArray:
    """tr(S_i'M) of the matrices of a stack (k, q, r) with one (q, r): (k,)."""
    return stack.reshape(len(stack), -1) @ matrix.ravel()


def combination(weights: FloatArray, stack: FloatArray) -> FloatArray:
    """Σ_i w_i S_i of a stack (k, q, r)."""
    return (weights @ stack.reshape(len(stack), -1)).reshape(stack.shape[1:])


def block_diagonal(parts: Sequence[FloatArray]) -> FloatArray:
    """The block-diagonal matrix of some matrices; of one, itself."""
    return parts[0] if len(parts) == 1 else np.asarray(linalg.block_diag(*parts))


def smallest_singular_value(matrix: FloatArray) -> float:
    """The smallest singular value of a square matrix; infinite where there is none."""
    return singular_range(matrix)[0] if len(matrix) else np.inf


def singular_range(matrix: FloatArray) -> tuple[float, float]:
    """The smallest and the largest singular value of a square matrix; up to order 2 without an iteration.

    Examples
    --------
    >>> singular_range(np.array([[0.0, 2.0], [3.0, 0.0]]))
    (2.0, 3.0)
    """
    if len(matrix) == 1:
        only = abs(float(matrix[0, 0]))
        return only, only
    if len(matrix) == 2:  # σ₁² + σ₂² and σ₁σ₂ are known
        (a, b), (c, d) = matrix.tolist()
        total, product = a * a + b * b + c * c + d * d, abs(a * d - b * c)
        largest = math.sqrt((total + math.sqrt(max(total * total - 4.0 * product * product, 0.0))) / 2.0)
        return product / largest if largest > 0.0 else 0.0, largest
    values = np.linalg.svd(matrix, compute_uv=False)
    return float(values[-1]), float(values[0])


def turning(square: FloatArray, wanted: FloatArray) -> FloatArray:
    """M with M S M' = W of two square matrices S and W: I where one is not positive definite.

    Examples
    --------
    >>> turning(np.diag([4.0, 1.0]), np.diag([1.0, 9.0])).tolist()
    [[0.5, 0.0], [0.0, 3.0]]
    """
    try:
        return cholesky(wanted) @ inverse_lower(cholesky(square))
    except np.linalg.LinAlgError:
        return np.eye(len(square))
