"""Linear algebra on many small matrices at once, stored levels last: (q, q, J), (q, m, J).

Each operation is a few vector operations over the J levels, so the loop is over entries of one small matrix and the
work runs at memory speed. Callers pass slices of levels that fit the cache (`slices`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

FloatArray = np.ndarray

#: bytes of one slice of levels: half of a core's usual level-2 cache
SLICE_BYTES = 1 << 19


def slices(n_levels: int, doubles_per_level: int) -> Iterable[slice]:
    """Slices of the levels whose arrays together fit the cache."""
    step = max(256, SLICE_BYTES // (8 * max(doubles_per_level, 1)))
    if 0 < n_levels <= step:
        return (slice(None),)
    return [slice(start, min(start + step, n_levels)) for start in range(0, n_levels, step)]


def diagonals(a: FloatArray) -> FloatArray:
    """The diagonals of (q, q, J) in C order: a view (q, J)."""
    q = len(a)
    return a.reshape(q * q, -1)[:: q + 1]


def cholesky(c: FloatArray) -> FloatArray:
    """Lower Cholesky factors of c (q, q, J), in place of its lower triangle; the rest is zero.

    NaN, and no warning, where a matrix is not positive definite; `log_det` says so.
    """
    q = c.shape[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        for s in range(q):
            for k in range(s):
                c[s:, s] -= c[s:, k] * c[s, k]
            np.sqrt(c[s, s], out=c[s, s])
            if s + 1 < q:
                c[s + 1 :, s] /= c[s, s]
                c[s, s + 1 :] = 0.0
    return c


def log_det(low: FloatArray) -> float:
    """Σ_j log|L_jL_j'| for factors L (q, q, J).

    Raises
    ------
    numpy.linalg.LinAlgError
        When a matrix was not positive definite, so that nothing is computed from its factor.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        total = 2.0 * float(np.log(diagonals(low)).sum())
    if not np.isfinite(total):
        raise np.linalg.LinAlgError("the mixed-model equations are not positive definite")
    return total


def solve_lower(low: FloatArray, rhs: FloatArray) -> FloatArray:
    """L⁻¹ rhs for L (q, q, J) and rhs (q, m, J), in place of rhs."""
    for r in range(low.shape[0]):
        for k in range(r):
            rhs[r] -= low[r, k] * rhs[k]
        rhs[r] /= low[r, r]
    return rhs


def multiply(a: FloatArray, b: FloatArray) -> FloatArray:
    """a b level by level: (q, k, J) × (k, m, J) → (q, m, J)."""
    return a * b if len(b) == 1 else np.asarray(np.einsum("abj,bmj->amj", a, b))


def quadratic(d: FloatArray, a: FloatArray, h: FloatArray) -> FloatArray:
    """Σ_j h_j' d_j a_j h_j for symmetric d_j a_j, d and a (q, q, J), h (q, k, J): (k, k)."""
    out = np.zeros((h.shape[1],) * 2)
    for part in slices(h.shape[2], 3 * h.shape[0] * h.shape[1] + 3 * a.shape[0] ** 2):
        out += gram(h[:, :, part], multiply(multiply(d[:, :, part], a[:, :, part]), h[:, :, part]))
    return out


def outer_sum(a: FloatArray, b: FloatArray) -> FloatArray:
    """Σ_j a_j b_j' for (q, m, J) and (r, m, J): (q, r)."""
    return np.asarray(a.reshape(len(a), -1) @ b.reshape(len(b), -1).T)


def left(matrix: FloatArray, b: FloatArray) -> FloatArray:
    """matrix b with one (r, q) matrix for all levels: (q, m, J) → (r, m, J)."""
    q = b.shape[0]
    if matrix.shape == (1, 1):
        return matrix[0, 0] * b
    return (matrix @ b.reshape(q, -1)).reshape(matrix.shape[0], *b.shape[1:])


def symmetric(matrix: FloatArray, a: FloatArray) -> FloatArray:
    """matrix' a_j matrix for (q, q, J): (r, r, J)."""
    q = a.shape[0]
    if matrix.shape == (1, 1):
        return matrix[0, 0] ** 2 * a
    right = np.matmul(matrix.T, a.reshape(q, q, -1))  # (q, r, J): the second index transformed
    return left(matrix.T, right)


def congruence(D: FloatArray, inner: FloatArray) -> FloatArray:
    """D_j inner_j D_j' level by level, (q, q, J)."""
    return multiply(multiply(D, inner), D.transpose(1, 0, 2))


def gram(a: FloatArray, b: FloatArray) -> FloatArray:
    """Σ_j a_j' b_j for (q, k, J) and (q, m, J): (k, m)."""
    if not len(a):
        return np.zeros((a.shape[1], b.shape[1]))
    out = a[0] @ b[0].T
    for r in range(1, len(a)):
        out += a[r] @ b[r].T
    return out


def inner_sum(a: FloatArray) -> FloatArray:
    """Σ_j a_j' a_j for (q, m, J): (m, m)."""
    out = a[0] @ a[0].T
    for r in range(1, len(a)):
        out += a[r] @ a[r].T
    return out


def solve_upper(low: FloatArray, rhs: FloatArray) -> FloatArray:
    """L⁻ᵀ rhs for L (q, q, J) and rhs (q, m, J), in place of rhs."""
    q = low.shape[0]
    for r in range(q - 1, -1, -1):
        for k in range(r + 1, q):
            rhs[r] -= low[k, r] * rhs[k]
        rhs[r] /= low[r, r]
    return rhs
