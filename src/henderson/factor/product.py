"""The front's part of the Schur complement, S = Z_r'Z_r − Σ_j a_j' M_j a_j with M_j = T_j'T_j and a_j = Z_j'Z_r (q, R).

S has the same nonzeros at every θ. Two ways to form it, chosen by cost and memory (`choose`):

- `PatternProduct`: every product a_kr a_ls is formed once; S is then one sparse matrix-vector product for each pair of the
  front's effects. The same matrix, transposed, gives a_j W a_j' for the derivatives.
- `DenseProduct`: rows T_j a_j are laid out densely, a slice of levels at a time, and multiplied by BLAS.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.linalg import blas

#: stored products of a pattern: 12 bytes each
PATTERN_LIMIT = 30_000_000
#: doubles of a dense slice
DENSE_SLICE = 4_000_000
#: cost of one stored product against one dense multiply-add
PATTERN_COST = 25.0


def pair_count(zr: list[sparse.csr_array]) -> int:
    """Pairs of rest effects that meet in a level, summed over levels."""
    if not zr:
        return 0
    counts = np.diff(zr[0].indptr).astype(np.int64)
    return int((counts * (counts + 1) // 2).sum())


def choose_pattern(zr: list[sparse.csr_array], n_rest: int, one_component: bool) -> bool:
    """Whether the stored pattern is the cheaper way (always, where S falls apart)."""
    q = len(zr)
    stored = pair_count(zr) * (q * (q + 1) // 2)
    if not one_component:
        return True
    dense = float(zr[0].shape[0]) * q * n_rest**2 / 2 if zr else 0.0
    return stored <= PATTERN_LIMIT and stored * PATTERN_COST <= dense


class Pattern:
    """The nonzeros of S (lower triangle), and where Z_r'Z_r goes among them.

    Attributes
    ----------
    row, column : (nnz,) int arrays
    rr : (nnz,) array
        Values of Z_r'Z_r there.
    pairs : index of the stored products: (first entry, second entry, position, level)
    """

    def __init__(self, zr: list[sparse.csr_array], rr: sparse.csr_array) -> None:
        R = rr.shape[0]
        lower = sparse.coo_array(sparse.tril(rr))
        own = lower.row.astype(np.int64) * R + lower.col
        if zr:
            first, second, level = _pairs(zr[0].indptr)
            indices = zr[0].indices.astype(np.int64)
            keys = indices[first] * R + indices[second]
        else:
            first = second = level = keys = np.zeros(0, np.int64)
        diagonal = np.arange(R, dtype=np.int64) * (R + 1)
        positions, (at_own, at_keys) = _rank([own, keys], diagonal, R)
        self.row, self.column = positions // R, positions % R
        self.rr = np.bincount(at_own, lower.data, len(positions))
        self.pairs = (first, second, at_keys, level)

    def __len__(self) -> int:
        return len(self.row)


def _pairs(indptr: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every row of a csr pattern all pairs of its entries, the second not after the first."""
    counts = np.diff(indptr).astype(np.int64)
    level_of = np.repeat(np.arange(len(counts)), counts)
    entry = np.arange(int(indptr[-1]), dtype=np.int64)
    rank = entry - indptr[:-1].astype(np.int64)[level_of]
    first = np.repeat(entry, rank + 1)
    ends = np.cumsum(rank + 1)
    second = np.arange(len(first), dtype=np.int64) - np.repeat(ends - rank - 1, rank + 1)
    second += np.repeat(indptr[:-1].astype(np.int64)[level_of], rank + 1)
    return first, second, np.repeat(level_of, rank + 1)


def _rank(keys: list[np.ndarray], more: np.ndarray, R: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The distinct keys, sorted, and the place of each key among them."""
    if R * R <= 50_000_000:
        seen = np.zeros(R * R, bool)
        for one in (*keys, more):
            seen[one] = True
        distinct = np.flatnonzero(seen)
        place = np.empty(R * R, np.int32)
        place[distinct] = np.arange(len(distinct), dtype=np.int32)
        return distinct, [place[one] for one in keys]
    distinct = np.unique(np.concatenate([*keys, more]))
    return distinct, [np.searchsorted(distinct, one) for one in keys]


class PatternProduct:
    """S and its derivative's traces from stored products."""

    def __init__(self, zr: list[sparse.csr_array], pattern: Pattern) -> None:
        self.pattern = pattern
        self.q = len(zr)
        first, second, position, level = pattern.pairs
        shape = (len(pattern), zr[0].shape[0] if zr else 0)
        self.products: dict[tuple[int, int], sparse.csr_array] = {}
        skeleton: sparse.csr_array | None = None
        for k in range(self.q):
            for l in range(k + 1):
                values = zr[k].data[first] * zr[l].data[second]
                if k != l:
                    values += zr[k].data[second] * zr[l].data[first]
                if skeleton is None:  # the order of entries is found once, by sending their numbers through
                    numbers = sparse.coo_array((np.arange(len(values), dtype=float), (position, level)), shape=shape)
                    skeleton = numbers.tocsr()
                    order = skeleton.data.astype(np.int64)
                self.products[k, l] = sparse.csr_array((values[order], skeleton.indices, skeleton.indptr), shape=shape)
        off = pattern.row != pattern.column
        self.twice = 1.0 + off  # an entry below the diagonal stands for two

    def schur(self, T: np.ndarray) -> np.ndarray:
        """Values of S on the pattern; T (q, q, J)."""
        out = self.pattern.rr.copy()
        for (k, l), product in self.products.items():
            out -= product @ np.einsum("aj,aj->j", T[:, k], T[:, l])
        return out

    def sandwich(self, W: np.ndarray) -> np.ndarray:
        """a_j W a_j' (q, q, J) for W given on the pattern."""
        out = np.empty((self.q, self.q, next(iter(self.products.values())).shape[1]))
        weighted = W * self.twice
        for (k, l), product in self.products.items():
            out[k, l] = product.T @ weighted if k == l else (product.T @ weighted) / 2
            out[l, k] = out[k, l]
        return out


class DenseProduct:
    """S and its derivative's traces by BLAS, for a rest that is one dense matrix.

    a_j is laid out densely, (levels, q, R): once for all where that is small, else a slice of levels at a time.
    """

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

    def schur(self, T: np.ndarray) -> np.ndarray:
        """S, (R, R) in Fortran order, lower triangle."""
        S = np.asfortranarray(self.rr.toarray())
        for part, dense in self._slices():
            S = blas.dsyrk(-1.0, self._rows(T[:, :, part], dense).T, beta=1.0, c=S, lower=1, overwrite_c=1)
        return S

    def sandwich(self, W: np.ndarray) -> np.ndarray:
        """a_j W a_j' (q, q, J) for W (R, R) in Fortran order, lower triangle valid."""
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

    def sandwich_sum(self, W: np.ndarray, D: np.ndarray) -> np.ndarray:
        """Σ_j D_j a_j W a_j' D_j' (q, q)."""
        if self.q == 1 and self.held is None:  # tr(W Σ_j D_j² a_j'a_j): half the work of a_j W
            M = np.zeros((self.n_rest, self.n_rest), order="F")
            for part, dense in self._slices():
                M = blas.dsyrk(1.0, self._rows(D[:, :, part], dense).T, beta=1.0, c=M, lower=1, overwrite_c=1)
            return np.array([[2.0 * np.vdot(M, W) - np.diag(M) @ np.diag(W)]])
        inner = self.sandwich(W)
        return np.einsum("abj,bcj,dcj->ad", D, inner, D, optimize=True)
