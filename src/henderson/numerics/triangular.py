"""Inverses from a Cholesky factor, by halves, so that products do the work.

    L = [L₁    ]      L⁻¹ = [K₁            ]      (LL')⁻¹ = K'K
        [L₂₁ L₂]            [−K₂L₂₁K₁    K₂]

LAPACK's `dpotri` does the same in narrow columns, and takes a third more time at an order of a thousand.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas, lapack

FloatArray = np.ndarray

#: order up to which LAPACK inverts a triangle
PIECE = 96


def inverse_of_factored(low: FloatArray) -> FloatArray:
    """(LL')⁻¹ of a lower triangle L (n, n) in Fortran order: its lower triangle, in Fortran order; L stays.

    Examples
    --------
    >>> low = np.asfortranarray([[2.0, 0.0], [1.0, 1.0]])
    >>> np.tril(inverse_of_factored(low)).tolist()
    [[0.5, 0.0], [-0.5, 1.0]]
    """
    if len(low) <= PIECE:
        return lapack.dpotri(low, lower=1)[0]
    return lapack.dlauum(lower_inverse(low), lower=1, overwrite_c=1)[0]


def lower_inverse(low: FloatArray) -> FloatArray:
    """L⁻¹ of a lower triangle, what is above it not looked at: (n, n) in Fortran order, zeros above."""
    out = np.zeros(low.shape, order="F")
    _fill(low, out)
    return out


def _fill(low: FloatArray, out: FloatArray) -> None:
    n = len(low)
    if n <= PIECE:
        out[...] = lapack.dtrtri(np.tril(low), lower=1)[0]
        return
    h = n // 2
    _fill(low[:h, :h], out[:h, :h])
    _fill(low[h:, h:], out[h:, h:])
    below = blas.dtrmm(-1.0, out[h:, h:], low[h:, :h], lower=1)
    out[h:, :h] = blas.dtrmm(1.0, out[:h, :h], below, side=1, lower=1, overwrite_b=1)
