"""The front's part of the Schur complement when the rest is one large dense matrix and a_j = Z_j'Z_r is sparse.

A few columns of the rest are met by most levels (popular items), most by few; `blocks` puts the popular ones first.
With the rows T_j a_j cut into popular and rare columns, [P Q]: P'P goes through BLAS, Q'P is sparse by dense, Q'Q
sparse by sparse. The cut is where that costs least.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.linalg import blas

from henderson.engine.factor.rest import Rest

#: nanoseconds of a multiply-add in a dense, a sparse-by-dense and a sparse-by-sparse product
DENSE, MIXED, SPARSE = 0.025, 0.4, 6.0
#: doubles of one slice of dense rows
SLICE = 4_000_000


class SplitProduct:
    """S and its derivative's traces, from sparse rows with popular and rare columns."""

    groups = None  # of its S no entry is known to be zero

    def __init__(self, zr: list[sparse.csr_array], rr: sparse.csr_array) -> None:
        self.zr, self.rr, self.q, (self.n_levels, self.n_rest) = zr, rr, len(zr), zr[0].shape
        self.level = np.repeat(np.arange(self.n_levels), np.diff(zr[0].indptr))
        self.cut = _cut(zr[0])

    def _gram(self, coefficients: np.ndarray) -> np.ndarray:
        """Σ_j a_j'K_j'K_j a_j (R, R) for coefficients K (q, q, J), in Fortran order; its lower triangle."""
        k, out = self.cut, np.zeros((self.n_rest, self.n_rest), order="F")
        for a in range(self.q):  # one row of K_j a_j for every level
            data = sum(coefficients[a, b, self.level] * self.zr[b].data for b in range(self.q))
            rows = sparse.csr_array((data, self.zr[0].indices, self.zr[0].indptr), shape=self.zr[0].shape).tocsc()
            P, Q = rows[:, :k].toarray(order="C"), rows[:, k:]
            out[:k, :k] += blas.dsyrk(1.0, P.T, lower=1)
            out[k:, :k] += Q.T @ P
            out[k:, k:] += (Q.T @ Q).toarray(order="F")
        return out

    def schur(self, T: np.ndarray) -> list[np.ndarray]:
        """S of the one place, (R, R) in Fortran order, lower triangle."""
        S = self._gram(T)
        np.negative(S, out=S)
        row = np.repeat(np.arange(self.n_rest), np.diff(self.rr.indptr))
        S[row, self.rr.indices] += self.rr.data
        return [S]

    def gram(self, K: np.ndarray) -> list[np.ndarray]:
        """Σ_j a_j'K_j'K_j a_j of the one place, (R, R) in Fortran order, lower triangle."""
        return [self._gram(K)]

    def sandwich(self, rest: Rest) -> np.ndarray:
        """a_j W a_j' (q, q, J), W = ΛC⁻¹Λ'."""
        out = np.empty((self.q, self.q, self.n_levels))
        step, indptr = max(1, SLICE // self.n_rest), self.zr[0].indptr
        parts = [slice(k, min(k + step, self.n_levels)) for k in range(0, self.n_levels, step)]
        jobs = [(a, part) for part in parts for a in range(self.q)]
        for (a, part), weighed in zip(jobs, rest.weigh_rows(self.zr[a][part] for a, part in jobs)):
            entries = slice(int(indptr[part.start]), int(indptr[part.stop]))
            row = self.level[entries] - part.start
            moved = weighed[row, self.zr[0].indices[entries]]
            for b in range(self.q):
                out[a, b, part] = np.bincount(row, moved * self.zr[b].data[entries], part.stop - part.start)
        return out

    def sandwich_sum(self, rest: Rest, D: np.ndarray) -> np.ndarray:
        """Σ_j D_j a_j W a_j' D_j' (1, 1) of one effect a level, for less than the sandwiches take."""
        return np.array([[rest.trace_with(self._gram(D))]])  # tr(W Σ_j D_j² a_j'a_j)

    def to_rest(self, h: np.ndarray) -> np.ndarray:
        """Σ_j a_j'h_j (R, k) for h (q, k, J)."""
        return sum(one.T @ np.ascontiguousarray(h[a].T) for a, one in enumerate(self.zr))

    def to_front(self, B: np.ndarray) -> np.ndarray:
        """a_j B (q, k, J) for B (R, k)."""
        return np.stack([(one @ B).T for one in self.zr])


def _cut(pattern: sparse.csr_array) -> int:
    """How many of the first columns to call popular: the cut that costs least."""
    n_levels, R = pattern.shape
    level = np.repeat(np.arange(n_levels), np.diff(pattern.indptr))
    costs = {}
    for k in sorted({int(R * share) for share in np.linspace(0.0, 1.0, 21)}):
        rare = np.bincount(level[pattern.indices >= k], minlength=n_levels).astype(float)
        costs[k] = DENSE * n_levels * k**2 / 2 + MIXED * rare.sum() * k + SPARSE * (rare**2).sum()
    return min(costs, key=lambda k: costs[k])
