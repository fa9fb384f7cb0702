"""The data as the engine sees them: inner products of the columns of [Z X y], summed over rows.

`CrossProducts` of the parts of a table add up to those of the whole, given one basis. With a_j = Z_j'[Z_r X y] for
level j of the front they hold: Z_j'Z_j and Z_j'[X y] as stacks, levels last; Z_j'Z_r sparse, one (J, R) matrix for each
of the front's effects, all with one pattern; Z_r'Z_r sparse, Z_r'[X y] and [X y]'[X y] dense.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from scipy import sparse

from henderson.contract.design import Design
from henderson.contract.rows import Rows, TermRows
from henderson.engine.sums.basis import CHUNK, Basis
from henderson.engine.sums.blocks import Block, Blocks

#: rows of one part: its working columns stay below the size that the allocator returns to the system
BATCH = 1 << 18


@dataclass(frozen=True)
class CrossProducts:
    """Inner products in the working basis (weights and scales are inside).

    Attributes
    ----------
    n : int
    log_weights : float
        Σ log w.
    xy : (p + 1, p + 1) array
        [X y]'[X y].
    zz : (q, q, J) array
        Front: Z_j'Z_j.
    zx : (q, p + 1, J) array
        Front: Z_j'[X y].
    zr : list of q csr arrays (J, R)
        Front: row a of Z_j'Z_r; all share `indptr` and `indices`.
    rr : (R, R) csr array
        Z_r'Z_r, both triangles.
    rx : (R, p + 1) array
        Z_r'[X y].
    """

    n: int
    log_weights: float
    xy: np.ndarray
    zz: np.ndarray
    zx: np.ndarray
    zr: list[sparse.csr_array]
    rr: sparse.csr_array
    rx: np.ndarray

    @property
    def p(self) -> int:
        """Columns of X."""
        return len(self.xy) - 1

    @classmethod
    def of(cls, design: Design, chunks: Iterable[Rows], blocks: Blocks, basis: Basis) -> CrossProducts:
        """Sum over the rows of a design, in any number of chunks, `BATCH` rows at a time."""
        parts = (part for rows in chunks for part in rows.chunks(BATCH))
        return reduce(add, (cls._of_part(part, blocks, basis) for part in parts))

    @classmethod
    def _of_part(cls, rows: Rows, blocks: Blocks, basis: Basis) -> CrossProducts:
        columns, Z = _working_columns(rows, blocks, basis)
        m, R = basis.p + 1, blocks.n_rest
        codes = [_codes(rows.terms[block.terms[0]], block) for block in blocks.blocks]
        zz, zx, zr = np.zeros((0, 0, 0)), np.zeros((0, m, 0)), []
        rr, rx = sparse.csr_array((R, R)), np.zeros((R, m))
        xy = columns[:, :m]
        if R:
            Zr = sparse.hstack(
                [
                    _sparse(rows.terms[blocks.blocks[k].terms[0]], codes[k], Z[k], blocks.blocks[k].n_levels)
                    for k in blocks.rest
                ],
                format="csr",
            )
            rr, rx = sparse.csr_array(Zr.T @ Zr), np.asarray(Zr.T @ xy)
        if blocks.front is not None:
            n_levels = blocks.blocks[blocks.front].n_levels
            sums = _level_sums(codes[blocks.front], Z[blocks.front], columns, n_levels)
            zx, zz = np.ascontiguousarray(sums[:, :m]), np.ascontiguousarray(sums[:, m:])
            if R:
                zr = _front_rest(codes[blocks.front], Z[blocks.front], n_levels, Zr)
        return cls(len(columns), rows.log_weights, xy.T @ xy, zz, zx, zr, rr, rx)

    def __add__(self, other: CrossProducts) -> CrossProducts:
        """Cross-products of both parts together."""
        return CrossProducts(
            self.n + other.n,
            self.log_weights + other.log_weights,
            self.xy + other.xy,
            self.zz + other.zz,
            self.zx + other.zx,
            _one_pattern([a + b for a, b in zip(self.zr, other.zr)]),
            self.rr + other.rr,
            self.rx + other.rx,
        )


def _codes(term: TermRows, block: Block) -> np.ndarray:
    return np.zeros(0, np.int32) if term.codes is None else block.ranked(term.codes).astype(np.int32)


def _indicator(codes: np.ndarray, values: np.ndarray, n_levels: int) -> sparse.csr_array:
    """(m, J) with one entry a row."""
    return sparse.csr_array((values, codes, np.arange(len(codes) + 1, dtype=np.int32)), shape=(len(codes), n_levels))


def _working_columns(rows: Rows, blocks: Blocks, basis: Basis) -> tuple[np.ndarray, list[np.ndarray]]:
    """[X̃ ỹ Z̃_front], rows contiguous, and Z̃ of every block (the front's is a part of the first)."""
    n, m = rows.n, basis.p + 1
    q = [block.q for block in blocks.blocks]
    xy = np.empty((n, m + (0 if blocks.front is None else q[blocks.front])))
    Z = [xy[:, m:] if k == blocks.front else np.empty((n, size)) for k, size in enumerate(q)]
    start = 0
    for part in rows.chunks(CHUNK):
        here = slice(start, start + part.n)
        basis.rows(part, xy[here, :m])
        for k, block in enumerate(blocks.blocks):
            basis.columns(part, block.terms, k, Z[k][here])
        start += part.n
    return xy, Z


def _level_sums(codes: np.ndarray, Z: np.ndarray, columns: np.ndarray, n_levels: int) -> np.ndarray:
    """Σ over the rows of each level of z times the columns, (q, m, J)."""
    out = np.empty((Z.shape[1], columns.shape[1], n_levels))
    for a in range(len(out)):
        out[a] = (_indicator(codes, np.ascontiguousarray(Z[:, a]), n_levels).T @ columns).T
    return out


def _sparse(term: TermRows, codes: np.ndarray, Z: np.ndarray, n_levels: int) -> sparse.csr_array:
    """A block of Z as a sparse matrix (m, J q), effects of a level side by side."""
    if term.loadings is not None:
        return sparse.csr_array(sparse.diags_array(Z[:, 0]) @ term.loadings)
    m, q = Z.shape
    indices = (codes[:, None] * q + np.arange(q, dtype=np.int32)).ravel()
    return sparse.csr_array((Z.ravel(), indices, np.arange(0, m * q + 1, q, dtype=np.int32)), shape=(m, n_levels * q))


def _front_rest(codes: np.ndarray, Z: np.ndarray, n_levels: int, Zr: sparse.csr_array) -> list[sparse.csr_array]:
    """Z_j'Z_r, one (J, R) matrix for each effect of the front."""
    transposed = (_indicator(codes, np.ascontiguousarray(Z[:, a]), n_levels).T.tocsr() for a in range(Z.shape[1]))
    return _one_pattern([sparse.csr_array(one @ Zr) for one in transposed])


def _one_pattern(matrices: list[sparse.csr_array]) -> list[sparse.csr_array]:
    """The same matrices, sorted and stored on the union of their patterns."""
    for one in matrices:
        one.sort_indices()
    first = matrices[0] if matrices else None
    if first is None or all(
        np.array_equal(first.indptr, one.indptr) and np.array_equal(first.indices, one.indices) for one in matrices[1:]
    ):
        return matrices
    ones = [sparse.csr_array((np.ones(one.nnz), one.indices, one.indptr), shape=one.shape) for one in matrices]
    union = sum(ones[1:], ones[0])
    union.sort_indices()
    row = np.repeat(np.arange(union.shape[0], dtype=np.int64), np.diff(union.indptr))
    keys = row * union.shape[1] + union.indices
    filled = []
    for one in matrices:
        data = np.zeros(union.nnz)
        mine = np.repeat(np.arange(one.shape[0], dtype=np.int64), np.diff(one.indptr)) * one.shape[1] + one.indices
        data[np.searchsorted(keys, mine)] = one.data
        filled.append(sparse.csr_array((data, union.indices, union.indptr), shape=union.shape))
    return filled
