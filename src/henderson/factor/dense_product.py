"""The front's part of the Schur complement by BLAS, for a rest that is one dense matrix.

a_j = Z_j'Z_r is laid out densely, (levels, q, R): once for all where that is small, else a slice of levels at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.linalg import blas

from . import small
from .rest import Rest

#: doubles of a dense slice
DENSE_SLICE = 4_000_000


class DenseProduct:
    """S and its derivative's traces by BLAS."""

    def __init__(self, zr: list[sparse.csr_array], rr: sparse.csr_array) -> None:
        self.rr = rr
        self.q, (self.n_levels, self.n_rest) = len(zr), zr[0].shape
        self.indptr, self.indices = zr[0].indptr.astype(np.int64), zr[0].indices.astype(np.int64)
        self.data = np.stack([one.data for one in zr])
        self.level = np.repeat(np.arange(self.n_levels), np.diff(self.indptr))
        self.step = max(1, DENSE_SLICE // (self.q * self.n_rest))
        self.held = [*self._laid_out()] if self.step >= self.n_levels else None

    def _laid_out(self) -> Iterator[tuple[slice, np.ndarray]]:
        for start in range(0, self.n_levels, self.step):
            part = slice(start, min(start + self.step, self.n_levels))
            entries = slice(int(self.indptr[part.start]), int(self.indptr[part.stop]))
            dense = np.zeros((part.stop - part.start, self.q, self.n_rest))
            flat = (self.level[entries] - start) * (self.q * self.n_rest) + self.indices[entries]
            for a in range(self.q):
                dense.ravel()[flat + a * self.n_rest] = self.data[a, entries]
            yield part, dense

    def _slices(self) -> Iterator[tuple[slice, np.ndarray]]:
        """a_j (levels, q, R) of a slice of levels."""
        yield from self._laid_out() if self.held is None else self.held

    def _rows(self, coefficients: np.ndarray, dense: np.ndarray) -> np.ndarray:
        """coefficients_j a_j as rows, (levels q, R)."""
        if self.q == 1:
            return coefficients[0, 0, :, None] * dense[:, 0]
        return np.matmul(coefficients.transpose(2, 0, 1), dense).reshape(-1, self.n_rest)

    def schur(self, T: np.ndarray) -> list[np.ndarray]:
        """S of the one place, (R, R) in Fortran order, lower triangle."""
        S = np.asfortranarray(self.rr.toarray())
        for part, dense in self._slices():
            S = blas.dsyrk(-1.0, self._rows(T[:, :, part], dense).T, beta=1.0, c=S, lower=1, overwrite_c=1)
        return [S]

    def sandwich(self, rest: Rest) -> np.ndarray:
        """a_j W a_j' (q, q, J), W = ΛC⁻¹Λ'."""
        W = rest.only.scaled_inverse
        out = np.empty((self.q, self.q, self.n_levels))
        for part, dense in self._slices():
            moved = blas.dsymm(1.0, W, dense.reshape(-1, self.n_rest).T, lower=1).T.reshape(dense.shape)
            out[:, :, part] = np.matmul(moved, dense.transpose(0, 2, 1)).transpose(1, 2, 0)
        return out

    def to_rest(self, h: np.ndarray) -> np.ndarray:
        """Σ_j a_j'h_j (R, k) for h (q, k, J)."""
        out = np.zeros((self.n_rest, h.shape[1]), order="F")
        for part, dense in self._slices():
            rows = h[:, :, part].transpose(2, 0, 1).reshape(-1, h.shape[1])
            out += dense.reshape(-1, self.n_rest).T @ rows
        return out

    def to_front(self, B: np.ndarray) -> np.ndarray:
        """a_j B (q, k, J) for B (R, k)."""
        out = np.empty((self.q, B.shape[1], self.n_levels))
        for part, dense in self._slices():
            out[:, :, part] = (dense.reshape(-1, self.n_rest) @ B).reshape(-1, self.q, B.shape[1]).transpose(1, 2, 0)
        return out

    def sandwich_sum(self, rest: Rest, D: np.ndarray) -> np.ndarray:
        """Σ_j D_j a_j W a_j' D_j' (q, q)."""
        if self.q == 1 and self.held is None:  # tr(W Σ_j D_j² a_j'a_j): half the work of a_j W
            W = rest.only.scaled_inverse
            M = np.zeros((self.n_rest, self.n_rest), order="F")
            for part, dense in self._slices():
                M = blas.dsyrk(1.0, self._rows(D[:, :, part], dense).T, beta=1.0, c=M, lower=1, overwrite_c=1)
            return np.array([[2.0 * np.vdot(M, W) - np.diag(M) @ np.diag(W)]])
        return small.congruence(D, self.sandwich(rest)).sum(axis=2)
