"""The equations by pairs of levels, C = Λ'SΛ + A⁻¹ ⊗ I, and the plan of their Cholesky factor.

S = Z'WZ has a block (q_k, q_l) for two levels that meet in a row, A⁻¹ of related levels an entry for two that are
parent and offspring, or have offspring together; of others A is I. Both patterns are the same at every θ.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from henderson.engine.sums.blocks import Block, Blocks
from henderson.errors import DataError
from henderson.numerics.distinct import distinct
from henderson.numerics.memory import free_memory
from henderson.numerics.sparse.plan import Plan
from henderson.numerics.sparse.tree import minimum_degree

FloatArray = np.ndarray

#: share of the free memory that a factor may take
SHARE = 0.8


@dataclass(frozen=True, eq=False)
class BlockPairs:
    """Levels j of one block and j' of another (or the same: j ≥ j') that meet.

    Attributes
    ----------
    first, second : int
        The blocks, by their places in the rest; first ≥ second.
    row, column : (m,) intp arrays
        j and j'.
    S : (m, q_k, q_l) array
    prior : (m,) array, or None
        (A⁻¹)_jj' of pairs within a block.
    valid : (m, q_k, q_l) bool array
        Entries of the lower triangle, a pair of two levels being all of it.
    """

    first: int
    second: int
    row: np.ndarray
    column: np.ndarray
    S: FloatArray
    prior: FloatArray | None
    valid: np.ndarray

    @property
    def is_diagonal(self) -> np.ndarray:
        """Where both levels are one, (m,)."""
        return (self.row == self.column) if self.first == self.second else np.zeros(len(self.row), bool)


class SparsePairs:
    """All pairs, and the plan.

    Parameters
    ----------
    rr : (R, R) csr array
        S.
    blocks : Blocks
        Without a front.
    order : (levels in all,) array, optional
        Of elimination, of the levels of all blocks; default: minimum degree.
    """

    def __init__(self, rr: sparse.csr_array, blocks: Blocks, order: np.ndarray | None = None) -> None:
        own = [blocks.blocks[k] for k in blocks.rest]
        self.q = [block.q for block in own]
        self.levels = [block.n_levels for block in own]
        self.n_effects = blocks.n_rest
        self.relations = [block.relation for block in own]
        offsets = [blocks.offsets[k] for k in blocks.rest]
        self.slices = [slice(start, start + block.size) for start, block in zip(offsets, own)]
        entries = sparse.coo_array(rr)
        row, column = (one.astype(np.intp) for one in entries.coords)
        ends = np.cumsum([block.size for block in own])
        at = np.searchsorted(ends, row, "right"), np.searchsorted(ends, column, "right")
        self.pairs = []
        for k in range(len(own)):
            for l in range(k + 1):
                mine = (at[0] == k) & (at[1] == l)
                where = row[mine] - offsets[k], column[mine] - offsets[l]
                found = _pairs_of(k, l, own, *where, entries.data[mine])
                if len(found.row):
                    self.pairs.append(found)
        self.plan = self._planned(offsets, self._order() if order is None else order)

    def _order(self) -> np.ndarray:
        """Of the levels, by minimum degree."""
        starts = np.cumsum([0, *self.levels])
        row = np.concatenate([starts[one.first] + one.row for one in self.pairs])
        column = np.concatenate([starts[one.second] + one.column for one in self.pairs])
        n = int(starts[-1])
        lower = sparse.coo_array((np.ones(len(row)), (row, column)), shape=(n, n))
        return minimum_degree(sparse.csc_array(lower + lower.T))

    def _planned(self, offsets: list[int], by_level: np.ndarray) -> Plan:
        """The plan that an order of the levels leads to, which keeps the effects of each together."""
        q = np.repeat(self.q, self.levels)
        first = np.concatenate([[0], np.cumsum(q)])[by_level]  # blocks stand in the order of their levels
        width = q[by_level]
        order = np.repeat(first - np.concatenate([[0], np.cumsum(width)[:-1]]), width) + np.arange(self.n_effects)
        rows, columns = [], []
        for one in self.pairs:
            qk, ql = self.q[one.first], self.q[one.second]
            down = offsets[one.first] + one.row[:, None, None] * qk + np.arange(qk)[:, None]
            across = offsets[one.second] + one.column[:, None, None] * ql + np.arange(ql)
            rows.append(np.broadcast_to(down, one.valid.shape)[one.valid])
            columns.append(np.broadcast_to(across, one.valid.shape)[one.valid])
        return Plan.of(np.concatenate(rows), np.concatenate(columns), self.n_effects, order)

    @property
    def fits(self) -> bool:
        """Whether there is the memory for the factor."""
        free = free_memory()
        return free is None or self.plan.bytes <= SHARE * free

    def check_memory(self) -> None:
        """Raise DataError where there is not the memory for the factor of related levels."""
        if not self.fits:
            free = free_memory() or 0.0
            raise DataError(
                f"relmat: the mixed-model equations of {self.n_effects:,} effects have a Cholesky factor of "
                f"{self.plan.entries:,} numbers, which takes {self.plan.bytes / 1e9:.1f} GB of memory, and "
                f"{free / 1e9:.1f} GB are free; leave out animals that are neither recorded nor ancestors of those "
                "that are"
            )

    def weighed(self, entries: FloatArray) -> SparsePairs:
        """The same with another S, where this one's holds the numbers, from one, of its entries (e,)."""
        other, known = copy(self), np.append(0.0, entries)
        other.pairs = [replace(one, S=known[one.S.astype(np.intp)]) for one in self.pairs]
        return other

    def entries_of(self, blocks: Sequence[FloatArray]) -> FloatArray:
        """The entries, by their numbers, of a symmetric matrix that is a block for each pair, (e,)."""
        out = np.zeros(1 + max(int(one.S.max()) for one in self.pairs))
        for one, block in zip(self.pairs, blocks):
            out[one.S.astype(np.intp)] = block
        return out[1:]

    def values(self, lam: Sequence[FloatArray], signs: Sequence[FloatArray] | None = None) -> FloatArray:
        """The entries of C at λ of every block, (e,); with `signs` J (q,) those of Λ'SΛ + A⁻¹ ⊗ J."""
        out = []
        for one in self.pairs:
            block = lam[one.first].T @ one.S @ lam[one.second]
            if one.prior is not None:
                own = np.ones(self.q[one.first]) if signs is None else signs[one.first]
                block += one.prior[:, None, None] * np.diag(own)
            out.append(block[one.valid])
        return np.concatenate(out)

    def blocks_of(self, values: FloatArray) -> list[FloatArray]:
        """A symmetric matrix' entries as a block (m, q_k, q_l) for each pair."""
        out, start = [], 0
        for one in self.pairs:
            size = int(one.valid.sum())
            block = np.zeros(one.valid.shape)
            block[one.valid] = values[start : start + size]
            if one.first == one.second:
                same = one.is_diagonal
                block[same] += np.tril(block[same], -1).transpose(0, 2, 1)
            start += size
            out.append(block)
        return out

    def scaled(self, B: FloatArray, matrices: Sequence[FloatArray]) -> FloatArray:
        """(I ⊗ M)B with M of every block, for B (R, k)."""
        out = np.empty_like(B)
        for rows, q, M in zip(self.slices, self.q, matrices):
            if q == 1:
                out[rows] = M[0, 0] * B[rows]
            else:
                out[rows] = (M @ B[rows].reshape(-1, q, B.shape[1])).reshape(-1, B.shape[1])
        return out

    def prior_times(self, B: FloatArray) -> FloatArray:
        """(A⁻¹ ⊗ I)B of every block, (R, k)."""
        out = B.copy()
        for rows, q, relation in zip(self.slices, self.q, self.relations):
            if relation is not None:
                out[rows] = (relation.precision @ B[rows].reshape(-1, q * B.shape[1])).reshape(-1, B.shape[1])
        return out


def _pairs_of(
    k: int, l: int, own: Sequence[Block], row: np.ndarray, column: np.ndarray, data: FloatArray
) -> BlockPairs:
    """The pairs of levels of two blocks, from the entries of S between them."""
    qk, ql, across = own[k].q, own[l].q, own[l].n_levels
    j, a = np.divmod(row, qk)
    i, c = np.divmod(column, ql)
    if k == l:
        lower = j >= i
        j, a, i, c, data = j[lower], a[lower], i[lower], c[lower], data[lower]
    keys = j * across + i
    prior_keys, prior_data = np.zeros(0, np.intp), np.zeros(0)
    if k == l:
        relation, n = own[k].relation, own[k].n_levels
        A = sparse.coo_array(sparse.tril(sparse.eye_array(n) if relation is None else relation.precision))
        prior_keys, prior_data = A.coords[0].astype(np.intp) * n + A.coords[1], A.data
    unique = distinct(np.concatenate([keys, prior_keys]))
    S = np.zeros((len(unique), qk, ql))
    S[np.searchsorted(unique, keys), a, c] = data
    valid = np.ones(S.shape, bool)
    prior = None
    if k == l:
        prior = np.zeros(len(unique))
        prior[np.searchsorted(unique, prior_keys)] = prior_data
        valid[unique // across == unique % across] = np.tril(np.ones((qk, ql), bool))
    return BlockPairs(k, l, unique // across, unique % across, S, prior, valid)
