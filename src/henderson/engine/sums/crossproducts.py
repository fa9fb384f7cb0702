"""The data as the engine sees them: inner products of the columns of [Z X y], summed over rows.

`CrossProducts` of the parts of a table add up to those of the whole, given one basis. With a_j = Z_j'[Z_r X y] for
level j of the front they hold: Z_j'Z_j and Z_j'[X y] as stacks, levels last; Z_j'Z_r sparse, one (J, R) matrix for each
of the front's effects, all with one pattern; Z_r'Z_r sparse, Z_r'[X y] and [X y]'[X y] dense.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import sparse

from henderson.contract.design import Design
from henderson.contract.rows import Rows, TermRows
from henderson.engine.sums.basis import Basis, stacked
from henderson.engine.sums.blocks import Block, Blocks
from henderson.engine.sums.by_level import BATCH, LevelSums, rows_at_once
from henderson.engine.sums.front_sums import FrontSums
from henderson.engine.sums.gram import CHUNK
from henderson.engine.sums.packed import pack, unpack
from henderson.errors import DataError

#: share of entries that are not zero, from which a matrix is full
FULL = 0.2
#: inner product of two columns of a full matrix, in units of their lengths, that is rounding
ROUNDING = 1e-13


@dataclass(frozen=True)
class Counts:
    """What is left of cross-products that were let go.

    Attributes
    ----------
    n, p : int
        Rows, and columns of X kept.
    log_weights : float
        Σ log w.
    """

    n: int
    p: int
    log_weights: float

    @property
    def refusal(self) -> DataError:
        """What to say to who asks for more."""
        return DataError(
            "the likelihood at other parameters needs the cross-products of the data, which were left out of the "
            "file because they are large: save with crossproducts=True to keep them"
        )

    def __getattr__(self, name: str) -> Any:
        if name in ("xy", "zz", "zx", "zr", "rr", "rx"):
            raise self.refusal
        raise AttributeError(name)


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

    @property
    def counts(self) -> Counts:
        """Their sizes."""
        return Counts(self.n, self.p, self.log_weights)

    def _arrays(self) -> dict[str, np.ndarray]:
        """All of it: one pattern for `zr`, one triangle of `rr`."""
        upper = sparse.csr_array(sparse.triu(self.rr))
        arrays = {"xy": self.xy, "zz": self.zz, "zx": self.zx, "rx": self.rx, "rr": upper.data, "rr_at": upper.indices}
        arrays["rr_rows"] = upper.indptr
        if self.zr:
            arrays |= {"zr": np.stack([one.data for one in self.zr]), "zr_at": self.zr[0].indices}
            arrays["zr_rows"] = self.zr[0].indptr
        return arrays

    def takes_more_than(self, n_bytes: int) -> bool:
        """Whether a file would need so much for it, quickly deflated; no more is deflated than it takes to know."""
        total = 0
        for array in sorted(self._arrays().values(), key=lambda array: -array.nbytes):
            total += len(pack(array, 1)["data"])
            if total > n_bytes:
                return True
        return False

    def to_state(self) -> dict[str, Any]:
        """All of it in few bytes."""
        packed = {name: pack(array) for name, array in self._arrays().items()}
        return {"n": self.n, "log_weights": self.log_weights, "arrays": packed}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> CrossProducts:
        """The reverse."""
        a = {name: unpack(packed) for name, packed in state["arrays"].items()}
        R = len(a["rx"])
        upper = sparse.csr_array((a["rr"], a["rr_at"], a["rr_rows"]), shape=(R, R))
        rr = sparse.csr_array(upper + sparse.triu(upper, 1).T)
        zr = [
            sparse.csr_array((data, a["zr_at"], a["zr_rows"]), shape=(a["zz"].shape[2], R)) for data in a.get("zr", ())
        ]
        return cls(state["n"], state["log_weights"], a["xy"], a["zz"], a["zx"], zr, rr, a["rx"])

    def __getstate__(self) -> dict[str, Any]:
        return self.to_state()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(type(self).from_state(state).__dict__)

    @classmethod
    def of(cls, design: Design, chunks: Iterable[Rows], blocks: Blocks, basis: Basis) -> CrossProducts:
        """Sum over the rows of a design, in any number of chunks."""
        sums = Sums(blocks, basis)
        for rows in chunks:
            for part in parts_of(rows, blocks):
                sums.add(part)
        return sums.total()

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

    def __sub__(self, other: CrossProducts) -> CrossProducts:
        """Cross-products of the rows that are not in the other part."""
        return CrossProducts(
            self.n - other.n,
            self.log_weights - other.log_weights,
            self.xy - other.xy,
            self.zz - other.zz,
            self.zx - other.zx,
            _one_pattern([a - b for a, b in zip(self.zr, other.zr)]),
            self.rr - other.rr,
            self.rx - other.rx,
        )


class Sums:
    """Cross-products of the parts that were added so far: dense ones in place, sparse ones merged when asked for."""

    def __init__(self, blocks: Blocks, basis: Basis) -> None:
        self.blocks, self.basis, m = blocks, basis, basis.p + 1
        self.n, self.log_weights, self.xy = 0, 0.0, np.zeros((m, m))
        front = None if blocks.front is None else blocks.blocks[blocks.front]
        q, n_levels = (0, 0) if front is None else (front.q, front.n_levels)
        self.front = FrontSums(q, m, n_levels)
        self.rx = {k: LevelSums(blocks.blocks[k].q, m, blocks.blocks[k].n_levels) for k in blocks.rest}
        self.pairs: list[tuple[int, list[sparse.csr_array]]] = []  # (parts in it, front × rest …, rest × rest)

    def add(self, rows: Rows) -> None:
        """Add some rows of a design."""
        blocks = self.blocks
        columns, Z = working_columns(rows, blocks, self.basis)
        codes = [codes_of(rows.terms[block.terms[0]], block) for block in blocks.blocks]
        self.n += rows.n
        self.log_weights += rows.log_weights
        self.xy += columns @ columns.T
        if blocks.front is not None:
            self.front.add(codes[blocks.front], Z[blocks.front], columns)
        if not blocks.rest:
            return
        rest = []
        for k in blocks.rest:
            term, block = rows.terms[blocks.blocks[k].terms[0]], blocks.blocks[k]
            rest.append(sparse_columns(term, codes[k], Z[k], block.n_levels))
            if term.codes is None:
                self.rx[k].sums += np.asarray(rest[-1].T @ columns.T).T
            else:
                self.rx[k].add(codes[k], Z[k], columns)
        Zr = rest[0] if len(rest) == 1 else sparse.hstack(rest, format="csr")
        own = _gram(Zr)
        if blocks.front is None:
            self._merge([own])
        else:
            n_levels = blocks.blocks[blocks.front].n_levels
            self._merge([*_front_rest(codes[blocks.front], Z[blocks.front], n_levels, Zr), own])

    def __add__(self, other: Sums) -> Sums:
        """Those of both, which have one basis and one numbering of the levels."""
        out = Sums.__new__(Sums)
        out.blocks, out.basis = self.blocks, self.basis
        out.n, out.log_weights = self.n + other.n, self.log_weights + other.log_weights
        out.xy, out.front = self.xy + other.xy, self.front + other.front
        out.rx = {k: one + other.rx[k] for k, one in self.rx.items()}
        pairs = [own for one in (self, other) if (own := one._all_pairs())]
        out.pairs = [(1, [sum(each[1:], each[0]) for each in zip(*pairs)])] if pairs else []
        return out

    def _all_pairs(self) -> list[sparse.csr_array]:
        """The sparse sums of all parts, which are kept in their place."""
        while len(self.pairs) > 1:
            (n, last), (size, before) = self.pairs.pop(), self.pairs.pop()
            self.pairs.append((n + size, [one + other for one, other in zip(before, last)]))
        return self.pairs[0][1] if self.pairs else []

    def _merge(self, new: list[sparse.csr_array]) -> None:
        """Keep sums of 1, 2, 4, … parts, so that an entry is copied as often as the number of parts can be halved."""
        size = 1
        while self.pairs and self.pairs[-1][0] == size:
            new = [one + other for one, other in zip(self.pairs.pop()[1], new)]
            size *= 2
        self.pairs.append((size, new))

    def total(self) -> CrossProducts:
        """The sums."""
        blocks, m = self.blocks, self.basis.p + 1
        zr: list[sparse.csr_array] = []
        rr, rx = no_entries(blocks.n_rest), np.zeros((blocks.n_rest, m))
        for k in blocks.rest:
            rows = slice(blocks.offsets[k], blocks.offsets[k] + blocks.blocks[k].size)
            rx[rows] = self.rx[k].sums.transpose(2, 0, 1).reshape(-1, m)
        if self.pairs:
            *front, rr = self._all_pairs()
            zr = _one_pattern(front)
        return CrossProducts(self.n, self.log_weights, self.xy, *self.front.total(), zr, rr, rx)


@lru_cache(maxsize=8)
def no_entries(size: int) -> sparse.csr_array:
    return sparse.csr_array((size, size))


def _rows_at_once(rows: Rows, blocks: Blocks) -> int:
    if blocks.front is None:
        return BATCH
    front = blocks.blocks[blocks.front]
    codes = rows.terms[front.terms[0]].codes
    return BATCH if codes is None else rows_at_once(codes, front.n_levels)


def parts_of(rows: Rows, blocks: Blocks) -> Iterator[Rows]:
    """Rows in parts of the length that sums by level are made of."""
    return rows.chunks(_rows_at_once(rows, blocks))


def codes_of(term: TermRows, block: Block) -> np.ndarray:
    """Level of each row in the engine's order; empty where rows have loadings."""
    return np.zeros(0, np.intp) if term.codes is None else block.ranked(term.codes)


def _gram(Z: sparse.csr_array) -> sparse.csr_array:
    """Z'Z; of a matrix that is full, by dense products, whose entries that are rounding are zeros."""
    m, R = Z.shape
    if Z.nnz <= FULL * m * R or R < 2:
        return sparse.csr_array(Z.T @ Z)
    dense = Z.toarray()
    out = dense.T @ dense
    size = np.sqrt(out.diagonal())
    out[np.abs(out) < ROUNDING * size[:, None] * size] = 0.0
    return sparse.csr_array(out)


def _indicator(codes: np.ndarray, values: np.ndarray, n_levels: int) -> sparse.csr_array:
    """(m, J) with one entry a row."""
    indices, indptr = codes.astype(np.int32), np.arange(len(codes) + 1, dtype=np.int32)
    return sparse.csr_array((values, indices, indptr), shape=(len(codes), n_levels))


def working_columns(rows: Rows, blocks: Blocks, basis: Basis) -> tuple[np.ndarray, list[np.ndarray]]:
    """[X̃ ỹ]' (m, n), and Z̃' (q, n) of every block; not copied where they stand so in the rows."""
    given = rows.side_by_side if basis.is_as_given else None
    if given is not None and all(term.codes is not None for term in rows.terms):
        return given.T, [stacked(rows, block.terms).T for block in blocks.blocks]
    columns, Z = np.empty((basis.p + 1, rows.n)), [np.empty((block.q, rows.n)) for block in blocks.blocks]
    start = 0
    for part in rows.chunks(CHUNK):
        here = slice(start, start + part.n)
        basis.rows(part, columns[:, here].T)
        for k, block in enumerate(blocks.blocks):
            basis.columns(part, block.terms, k, Z[k][:, here].T)
        start += part.n
    return columns, Z


def sparse_columns(term: TermRows, codes: np.ndarray, Z: np.ndarray, n_levels: int) -> sparse.csr_array:
    """A block of Z as a sparse matrix (m, J q), effects of a level side by side, from Z' (q, m)."""
    if term.loadings is not None:
        return sparse.csr_array(sparse.diags_array(Z[0]) @ term.loadings)
    q, m = Z.shape
    indices = (codes.astype(np.int32)[:, None] * q + np.arange(q, dtype=np.int32)).ravel()
    return sparse.csr_array((Z.T.ravel(), indices, np.arange(0, m * q + 1, q, dtype=np.int32)), shape=(m, n_levels * q))


def _front_rest(codes: np.ndarray, Z: np.ndarray, n_levels: int, Zr: sparse.csr_array) -> list[sparse.csr_array]:
    """Z_j'Z_r, one (J, R) matrix for each effect of the front."""
    transposed = (_indicator(codes, one, n_levels).T.tocsr() for one in Z)
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
