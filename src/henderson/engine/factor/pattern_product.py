"""The front's part of the Schur complement from stored products.

Every product a_kr a_ls of two rest columns that meet in a level of the front is formed once. S, on its pattern of
nonzeros, is then one sparse matrix-vector product for each pair of the front's effects; the same matrix, transposed,
gives a_j W a_j' for the derivatives.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from henderson.engine.factor.connected import locate
from henderson.engine.factor.groups import Groups
from henderson.engine.factor.places import ComponentColumns, Placement
from henderson.engine.factor.rest import Rest
from henderson.numerics.distinct import distinct


class Pattern:
    """The nonzeros of S (lower triangle), and where Z_r'Z_r goes among them.

    Attributes
    ----------
    row, column : (nnz,) int arrays
    rr : (nnz,) array
        Values of Z_r'Z_r there.
    pairs : tuple of arrays
        Index of the stored products: first entry, second entry, position; and where each level's begin.
    """

    def __init__(self, zr: list[sparse.csr_array], rr: sparse.csr_array) -> None:
        R = rr.shape[0]
        lower = sparse.coo_array(sparse.tril(rr))
        own = lower.row.astype(np.int64) * R + lower.col
        if zr:
            first, second, starts = row_pairs(zr[0].indptr)
            indices = zr[0].indices.astype(np.int64)
            keys = indices[first] * R + indices[second]
        else:
            first = second = keys = np.zeros(0, np.int64)
            starts = np.zeros(1, np.int64)
        diagonal = np.arange(R, dtype=np.int64) * (R + 1)
        positions, (at_own, at_keys) = _rank([own, keys], diagonal, R)
        self.row, self.column = positions // R, positions % R
        self.rr = np.bincount(at_own, lower.data, len(positions))
        self.pairs = (first, second, at_keys, starts)

    def __len__(self) -> int:
        return len(self.row)


def row_pairs(indptr: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every row of a csr pattern all pairs of its entries, the second not after the first; and where rows begin."""
    indptr = indptr.astype(np.int64)
    counts = np.diff(indptr)
    starts = np.concatenate([[0], np.cumsum(counts * (counts + 1) // 2)])
    row_start = np.repeat(indptr[:-1], counts)  # of each entry's row
    entry = np.arange(indptr[-1])
    repeats = entry - row_start + 1  # the entry's partners: those of its row up to itself
    first = np.repeat(entry, repeats)
    before = np.cumsum(repeats) - repeats - row_start
    return first, np.arange(len(first)) - np.repeat(before, repeats), starts


def _rank(keys: list[np.ndarray], more: np.ndarray, R: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The distinct keys, sorted, and the place of each key among them."""
    if R * R <= 50_000_000:
        seen = np.zeros(R * R, bool)
        for one in (*keys, more):
            seen[one] = True
        found = np.flatnonzero(seen)
        place = np.empty(R * R, np.int32)
        place[found] = np.arange(len(found), dtype=np.int32)
        return found, [place[one] for one in keys]
    found = distinct(np.concatenate([*keys, more]))
    return found, [np.searchsorted(found, one) for one in keys]


def placements(places: list[ComponentColumns], pattern: Pattern, R: int) -> list[Placement]:
    """For every place, which entries of the pattern it takes and where."""
    owner, local, member = locate(places, R)
    out = []
    for k, part in enumerate(places):
        entries = np.flatnonzero(owner[pattern.row] == k) if len(places) > 1 else np.arange(len(pattern))
        r, c = local[pattern.row[entries]], local[pattern.column[entries]]
        if not part.is_batch:
            low, high = np.maximum(r, c), np.minimum(r, c)
            out.append(Placement(entries, low + high * len(part.columns), None))
        else:
            m, n_members = part.columns.shape
            which = member[pattern.row[entries]]
            out.append(Placement(entries, (r * m + c) * n_members + which, (c * m + r) * n_members + which))
    return out


def fill(place: ComponentColumns, at: Placement, values: np.ndarray) -> np.ndarray:
    """A matrix of every component of a place from values on the pattern."""
    if not place.is_batch:
        S = np.zeros((len(place.columns),) * 2, order="F")
        S.ravel(order="K")[at.flat] = values[at.entries]
        return S
    m, n_members = place.columns.shape
    S = np.zeros((m, m, n_members))
    flat = S.reshape(-1)
    flat[at.flat] = flat[at.mirror] = values[at.entries]
    return S


def _groups(place: ComponentColumns, at: Placement) -> Groups | None:
    """Groups of scalar effects of one component."""
    if place.is_batch or any(q > 1 for _, q, _ in place.shape.parts):
        return None
    column, row = np.divmod(at.flat, place.shape.size)
    return Groups.of(row, column, place.shape.size)


class PatternProduct:
    """S and its derivative's traces from stored products."""

    def __init__(self, zr: list[sparse.csr_array], rr: sparse.csr_array, places: list[ComponentColumns]) -> None:
        self.zr, self.q, self.n_rest, self.places = zr, len(zr), rr.shape[0], places
        self.pattern = pattern = Pattern(zr, rr)
        self.entries = placements(places, pattern, self.n_rest)
        self.groups = [_groups(place, at) for place, at in zip(places, self.entries)]
        first, second, position, indptr = pattern.pairs
        shape = (len(pattern), zr[0].shape[0] if zr else 0)
        self.products: dict[tuple[int, int], sparse.csc_array] = {}
        for k in range(self.q):  # pairs come level after level: that is compressed by column as it stands
            for l in range(k + 1):
                values = zr[k].data[first] * zr[l].data[second]
                if k != l:
                    values += zr[k].data[second] * zr[l].data[first]
                self.products[k, l] = sparse.csc_array((values, position, indptr), shape=shape)
        off = pattern.row != pattern.column
        self.twice = 1.0 + off  # an entry below the diagonal stands for two

    def schur(self, T: np.ndarray) -> list[np.ndarray]:
        """S of every place, for T (q, q, J); where effects meet in groups, at the entries of the pattern."""
        values = self.pattern.rr - self.summed(T)
        return [
            values[at.entries] if groups else fill(place, at, values)
            for place, at, groups in zip(self.places, self.entries, self.groups)
        ]

    def gram(self, K: np.ndarray) -> list[np.ndarray]:
        """Σ_j a_j'K_j'K_j a_j of every place, as `schur` has it: what levels of the front hold of the rest."""
        values = self.summed(K)
        return [fill(place, at, values) for place, at in zip(self.places, self.entries)]

    def summed(self, K: np.ndarray) -> np.ndarray:
        """The same at the entries of the pattern."""
        values = np.zeros(len(self.pattern))
        for (k, l), product in self.products.items():
            values += product @ np.einsum("aj,aj->j", K[:, k], K[:, l])
        return values

    def sandwich(self, rest: Rest) -> np.ndarray:
        """a_j W a_j' (q, q, J), W = ΛC⁻¹Λ'."""
        n_levels = self.zr[0].shape[0] if self.zr else 0
        out = np.empty((self.q, self.q, n_levels))
        weighted = rest.weights_on(self.entries, len(self.pattern)) * self.twice
        for (k, l), product in self.products.items():
            out[k, l] = product.T @ weighted if k == l else (product.T @ weighted) / 2
            out[l, k] = out[k, l]
        return out

    def to_rest(self, h: np.ndarray) -> np.ndarray:
        """Σ_j a_j'h_j (R, k) for h (q, k, J)."""
        out = np.zeros((self.n_rest, h.shape[1]))
        for a, one in enumerate(self.zr):
            out += one.T @ np.ascontiguousarray(h[a].T)
        return out

    def to_front(self, B: np.ndarray) -> np.ndarray:
        """a_j B (q, k, J) for B (R, k)."""
        return np.stack([(one @ B).T for one in self.zr]) if self.zr else np.zeros((0, B.shape[1], 0))
