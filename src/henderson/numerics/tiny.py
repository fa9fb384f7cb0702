"""Stacks of symmetric matrices (..., k, k), those of one or two rows entry by entry: a call of LAPACK or BLAS for each
would take longer than its arithmetic. What is made of them stands in memory entry after entry."""

from __future__ import annotations

import math

import numpy as np

FloatArray = np.ndarray

#: products up to which BLAS is called for each: a step of NumPy takes as long as a few dozen
FEW = 50


def inverses(C: FloatArray) -> tuple[FloatArray, FloatArray]:
    """C⁻¹ (U, k, k) and log|C| (U,) of matrices, those of up to two rows entry by entry.

    Raises
    ------
    numpy.linalg.LinAlgError
        When one is not positive definite.
    """
    if C.shape[-1] > 2:
        low = np.linalg.cholesky(C)
        half = np.linalg.inv(low)
        return half.transpose(0, 2, 1) @ half, 2.0 * np.log(np.einsum("uii->ui", low)).sum(axis=1)
    pivot, out = C[:, 0, 0], np.empty((*C.shape[1:], len(C)))
    if not (pivot > 0).all():
        raise np.linalg.LinAlgError("a matrix is not positive definite")
    log = np.log(pivot)
    out[0, 0] = 1 / pivot
    if len(out) > 1:
        slope = C[:, 1, 0] / pivot
        left = C[:, 1, 1] - slope * C[:, 1, 0]
        if not (left > 0).all():
            raise np.linalg.LinAlgError("a matrix is not positive definite")
        log += np.log(left)
        out[1, 1] = 1 / left
        out[0, 1] = out[1, 0] = -slope / left
        out[0, 0] -= slope * out[1, 0]
    return np.moveaxis(out, 2, 0), log


def products(a: FloatArray, b: FloatArray) -> FloatArray:
    """a b of stacks of square matrices, many of up to two rows entry by entry."""
    k, stack = a.shape[-1], np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if k > 2 or math.prod(stack) <= FEW:
        return np.asarray(a @ b)
    out = np.empty((k, k, *stack))
    for i, j in np.ndindex(k, k):
        np.multiply(a[..., i, 0], b[..., 0, j], out=out[i, j])
        if k > 1:
            out[i, j] += a[..., i, 1] * b[..., 1, j]
    return np.moveaxis(out, (0, 1), (-2, -1))
