"""A sparse G with GCG' close to the identity, for C of few entries a row (Kolotilin and Yeremin 1993).

Row i of G is on i and those of its neighbours J in C that come before it, the few to which C ties it most:

    g = C_JJ⁻¹e_i / √(C_JJ⁻¹)_ii

so that (GCG')_ii = 1 and log|C| = −2 Σ log G_ii + log|GCG'|: the first is what the effects' variances given those
neighbours have in their product, the second is near zero. Effects of fewest neighbours come first, which keeps GCG'
sparse as well. All rows with as many neighbours are solved for at once.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve_triangular

from henderson.engine.factor.iterative.scaled import Images

FloatArray = np.ndarray

#: most neighbours of a row
NEIGHBOURS = 8
#: numbers of the matrices that are solved at a time, and rows of GCG' that are formed
PIECE, ROWS = 4_000_000, 4_096


class ByInverse:
    """GCG'.

    Parameters
    ----------
    C : (R, R) csr array
        Positive definite.
    """

    def __init__(self, C: sparse.csr_array) -> None:
        order = np.argsort(np.diff(C.indptr), kind="stable")
        root = np.sqrt(C.diagonal())[order]
        turn = sparse.csr_array((1.0 / root, (np.arange(len(root)), order)), shape=C.shape)
        self.G = sparse.csr_array(sparse.csr_array(_inverse(sparse.csr_array(turn @ C @ turn.T))) @ turn)
        self.C, self.G_transposed, self.order, self.root = C, sparse.csr_array(self.G.T), order, root
        self.diagonal = np.asarray(self.G[np.arange(len(root)), order]).ravel()
        self.log_det = -2.0 * float(np.log(self.diagonal).sum())

    def images(self, y: FloatArray) -> Images:
        """What GCG'y passes through: q = G'y, s = Cq."""
        q = np.asarray(self.G_transposed @ y)
        return Images(q, np.asarray(self.C @ q), q[:0])

    def product(self, images: Images) -> FloatArray:
        """GCG'y of what it passes through, (R, k)."""
        return np.asarray(self.G @ images.s)

    def lead_to(self, x: FloatArray) -> FloatArray:
        """y with G'y = x, (R, k)."""
        upper = self.G_transposed[self.order]
        index = sparse.get_index_dtype(maxval=max(upper.shape[0], upper.nnz))  # SciPy 1.15 solves with short ones alone
        parts = upper.data, upper.indices.astype(index), upper.indptr.astype(index)
        upper = sparse.csr_array(parts, shape=upper.shape)
        return np.asarray(spsolve_triangular(upper, np.ascontiguousarray(x[self.order]), lower=False))

    def square(self) -> float:
        """tr (GCG')²."""
        total = 0.0
        for start in range(0, self.G.shape[0], ROWS):
            total += float(np.square((self.G[start : start + ROWS] @ self.C @ self.G_transposed).data).sum())
        return total


def _inverse(C: sparse.csr_array) -> sparse.csr_array:
    """G of a matrix with unit diagonal, lower triangular."""
    n = C.shape[0]
    C.sort_indices()
    low = sparse.csr_array(sparse.tril(C, -1, format="csr"))
    row = np.repeat(np.arange(n), np.diff(low.indptr))
    by_size = np.lexsort((-np.abs(low.data), row))
    first = by_size[np.arange(low.nnz) - low.indptr[row] < NEIGHBOURS]
    count = np.bincount(row[first], minlength=n)
    start = np.cumsum(count) - count
    near = low.indices[first].astype(np.int64)
    entry = np.repeat(np.arange(n, dtype=np.int64), np.diff(C.indptr)) * n + C.indices
    rows, columns, values = [], [], []
    for m in np.unique(count):
        own = np.flatnonzero(count == m)
        for i in np.array_split(own, len(own) * (m + 1) ** 2 // PIECE + 1):
            J = np.concatenate([near[start[i][:, None] + np.arange(m)], i[:, None]], axis=1)
            pair = J[:, :, None] * n + J[:, None]
            at = np.minimum(np.searchsorted(entry, pair), len(entry) - 1)
            last = np.zeros((len(i), m + 1, 1))
            last[:, -1] = 1.0
            g = np.linalg.solve(np.where(entry[at] == pair, C.data[at], 0.0), last)[:, :, 0]
            rows.append(np.repeat(i, m + 1))
            columns.append(J.ravel())
            values.append((g / np.sqrt(g[:, -1:])).ravel())
    found = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_array(found, shape=C.shape)
