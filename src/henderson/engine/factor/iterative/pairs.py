"""The sparse counts between the front and the rest, laid out for products with many columns at once.

a_j = Z_j'Z_r is held as one sparse matrix A (J q, R), the front's effects of a level side by side, by rows and by
columns, so that both A B and A'H run along the stored entries:

    S B = Z_r'Z_r B − A' M A B          for block-diagonal M, which is never multiplied out
    S_ll = (Z_r'Z_r)_ll − Σ_j a_jl' M_j a_jl      the blocks of single levels of the rest, which are
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
from scipy import sparse

from henderson.engine.factor.iterative.levels import LevelBlocks, block_matrix, times
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray
#: entries that are squared at a time
PIECE = 1 << 20
#: products of pairs of one level of the front up to which S is formed: for each stored pair, and in all
FOR_EACH, IN_ALL = 50, 1e8


class FrontVariances(Protocol):
    """A rest that knows its variances at the front's levels."""

    def sandwich(self) -> FloatArray:
        """a_j W a_j' (q, q, J)."""


class Pairs:
    """The front's part of products with S (see `product` for those of a rest that is factored).

    Parameters
    ----------
    zr : list of q csr arrays (J, R)
        Row a of Z_j'Z_r; empty without a front.
    rr : (R, R) csr array
        Z_r'Z_r.
    sizes : list of (q, levels)
        Of the blocks of the rest.
    """

    def __init__(self, zr: list[sparse.csr_array], rr: sparse.csr_array, sizes: Sequence[tuple[int, int]]) -> None:
        self.rr, self.sizes, self.q = rr, tuple(sizes), len(zr)
        self.n_rest, self.n_levels = rr.shape[0], zr[0].shape[0] if zr else 0
        self.by_front = _interleaved(zr) if zr else sparse.csr_array((0, self.n_rest))
        self.by_rest = sparse.csr_array(self.by_front.T.tocsr())

    @property
    def are_few(self) -> bool:
        """Whether S has few entries, and is as cheap to form as some products with it."""
        products = self.q * float((np.diff(self.by_front.indptr).astype(float) ** 2).sum())
        return products <= min(FOR_EACH * self.by_front.nnz, IN_ALL)

    def front_of(self, B: FloatArray) -> FloatArray:
        """A B, (J q, k) for B (R, k)."""
        return np.asarray(self.by_front @ np.ascontiguousarray(B))

    def rest_of(self, H: FloatArray) -> FloatArray:
        """A'H, (R, k) for H (J q, k)."""
        return np.asarray(self.by_rest @ np.ascontiguousarray(H))

    def to_front(self, B: FloatArray) -> FloatArray:
        """a_j B (q, k, J) for B (R, k)."""
        return self.front_of(B).reshape(self.n_levels, self.q, B.shape[1]).transpose(1, 2, 0)

    def to_rest(self, h: FloatArray) -> FloatArray:
        """Σ_j a_j'h_j (R, k) for h (q, k, J)."""
        return self.rest_of(h.transpose(2, 0, 1).reshape(-1, h.shape[1]))

    @lazy
    def own(self) -> LevelBlocks:
        """(Z_r'Z_r)_ll of every level, (q, q, L) a block."""
        out, start = [], 0
        for q, n in self.sizes:
            block = np.empty((q, q, n))
            part = self.rr[start : start + q * n, start : start + q * n]
            for a in range(q):
                for b in range(q):
                    diagonal = part.diagonal(b - a)
                    block[a, b] = diagonal[min(a, b) :: q][:n]
            out.append(block)
            start += q * n
        return out

    def diagonals(self, M: FloatArray) -> LevelBlocks:
        """Σ_j a_jl'M_ja_jl of every level l of the rest, for symmetric M (q, q, J)."""
        if not self.q:
            return [np.zeros((q, q, n)) for q, n in self.sizes]
        if self.q == 1 and all(q == 1 for q, _ in self.sizes):
            whole = _squared_times(self.by_rest, M[0, 0])
            ends = np.cumsum([0, *(n for _, n in self.sizes)])
            return [whole[start:end][None, None] for start, end in pairwise(ends)]
        moved = sparse.csr_array(block_matrix([M]) @ self.by_front).T.tocsr()  # (R, J q), row r: M_j a_jr
        out, start = [], 0
        for q, n in self.sizes:
            block = np.zeros((q, q, n))
            for a in range(q):
                one = self.by_rest[start + a : start + q * n : q]
                for b in range(a + 1):
                    other = moved[start + b : start + q * n : q]
                    block[a, b] = block[b, a] = np.asarray(one.multiply(other).sum(axis=1)).ravel()
            out.append(block)
            start += q * n
        return out

    def front_diagonals(self, E: LevelBlocks) -> FloatArray:
        """Σ_l a_jl E_l a_jl' of every level j of the front, for symmetric E (q, q, L): (q, q, J)."""
        if self.q == 1 and all(q == 1 for q, _ in self.sizes):
            whole = np.concatenate([block[0, 0] for block in E])
            return _squared_times(self.by_front, whole)[None, None]
        weights = block_matrix(E)
        moved = sparse.csr_array(self.by_front @ weights)
        out = np.empty((self.q, self.q, self.n_levels))
        for a in range(self.q):
            one = self.by_front[a :: self.q]
            for b in range(a + 1):
                out[a, b] = out[b, a] = np.asarray(one.multiply(moved[b :: self.q]).sum(axis=1)).ravel()
        return out

    def sandwich(self, rest: FrontVariances) -> FloatArray:
        """a_j W a_j' (q, q, J): the rest's."""
        return rest.sandwich()

    def schur_times(self, M: FloatArray, B: FloatArray) -> tuple[FloatArray, FloatArray]:
        """S B (R, k) for S = Z_r'Z_r − A'MA, and A B (J q, k)."""
        H = self.front_of(B)
        if not self.q:
            return self.rr @ B, H
        return self.rr @ B - self.rest_of(times([M], H)), H


def _squared_times(A: sparse.csr_array, v: FloatArray) -> FloatArray:
    """Σ_j A_ij² v_j of every row i; of some rows at a time, so that the squares take no memory of their own."""
    out = np.empty(A.shape[0])
    cuts = np.searchsorted(A.indptr, np.arange(0, A.nnz, PIECE), side="right") - 1
    for low, high in pairwise([*np.unique([0, *cuts]).tolist(), len(out)]):
        here = slice(A.indptr[low], A.indptr[high])
        squares = (A.data[here] ** 2, A.indices[here], A.indptr[low : high + 1] - A.indptr[low])
        out[low:high] = sparse.csr_array(squares, shape=(high - low, A.shape[1])) @ v
    return out


def _interleaved(zr: list[sparse.csr_array]) -> sparse.csr_array:
    """Rows j of every matrix side by side: (J q, R)."""
    if len(zr) == 1:
        return zr[0]
    q, n_levels = len(zr), zr[0].shape[0]
    stacked = sparse.csr_array(sparse.vstack(zr, format="csr"))
    return sparse.csr_array(stacked[(np.arange(n_levels)[:, None] + n_levels * np.arange(q)).ravel()])
