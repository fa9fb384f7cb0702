"""Sums over the levels of a large front, a slice of them at a time: no arrays over all levels but those asked for.

With D_j = (I + A_jG)⁻¹ of a model without a rest, the scores are G_j = Z_j'V⁻¹[X y] = D_j a_j, a_j = Z_j'[X y], and an
evaluation needs

    G_j v      Σ_j G_j Q G_j'      Σ_j h_j'D_jA_jh_j and Σ_j h_j'G_j for h_j = E e_j

The scores themselves would take as much memory as the sums over the rows.
"""

from __future__ import annotations

import numpy as np

from henderson.numerics import small

FloatArray = np.ndarray

#: doubles of a_j over all levels from which that is worth while
LARGE = 1_000_000


def along(D: FloatArray, zx: FloatArray, v: FloatArray) -> FloatArray:
    """G_j v for D (q, q, J), a (q, m, J) and v (m,): (q, J)."""
    return small.multiply(D, (v @ zx)[:, None])[:, 0]


def square(D: FloatArray, zx: FloatArray, Q: FloatArray) -> FloatArray:
    """Σ_j G_j Q G_j' for symmetric Q (m, m): (q, q)."""
    q, m, n_levels = zx.shape
    out = np.zeros((q, q))
    for part in small.slices(n_levels, q * (q + 3 * m)):
        G = small.multiply(D[:, :, part], zx[:, :, part])
        out += small.outer_sum(np.matmul(Q, G), G)
    return out


def forms(
    D: FloatArray, zz: FloatArray, zx: FloatArray, directions: FloatArray, e: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Σ_j h_j'D_jA_jh_j (k, k) and Σ_j h_j'G_j (k, m) for h_j = E e_j, directions E (k, q, q) and e (q, J)."""
    (k, q, _), (_, m, n_levels) = directions.shape, zx.shape
    quadratic, linear, turned = np.zeros((k, k)), np.zeros((k, m)), directions.transpose(1, 0, 2)
    for part in small.slices(n_levels, q * (3 * k + 2 * m + q)):
        h, d = np.matmul(turned, e[:, part]), D[:, :, part]
        quadratic += small.gram(h, small.multiply(d, small.multiply(zz[:, :, part], h)))
        linear += small.gram(h, small.multiply(d, zx[:, :, part]))
    return quadratic, linear
