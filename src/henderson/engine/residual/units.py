"""Independent blocks of rows, and which of them have the same covariance matrix.

Rows are tied by their series and by the levels of random effects that they share; what is tied is a block, and blocks
are independent. The covariance of a block is a function of where its rows stand (visits or times, strata, covariates of
variance functions) and of its columns of Z. Blocks that agree in all of that share one matrix: they are a *unit*. A
trial with dropout has few units, one for each pattern of visits.

1. the blocks are the connected components of rows, series and levels
2. within a block rows are put in order of series and place
3. blocks of one size are compared by a hash of their rows; units of one size make a `Batch`
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from henderson.contract.design import Design
from henderson.contract.relation import Relation
from henderson.contract.rows import Rows, TermRows
from henderson.errors import DataError
from henderson.numerics.hashing import mixed

FloatArray = np.ndarray
IntArray = np.ndarray

#: rows of one block, above which its dense matrices are refused
LARGEST = 4000
#: doubles of one array of a chunk of units
AT_ONCE = 1 << 21
#: rounds in which it is asked whether all is in one piece, before components are looked for
ROUNDS = 4


@dataclass(frozen=True)
class TermPlaces:
    """Where the rows of a batch's units stand in one random term.

    Attributes
    ----------
    columns : (U, n, q) array
        Covariates whose coefficients vary by level.
    codes : (U, n) int array, or None
        Level of each row, numbered within the unit; None with `kernel`.
    kernel : (U, n, n) array, or None
        zz' of rows that may load on several levels.
    relationships : (U, n, n) array, or None
        A_jj' of the levels of two rows; None where levels are independent.
    """

    columns: FloatArray
    codes: IntArray | None
    kernel: FloatArray | None = None
    relationships: FloatArray | None = None

    def kernel_of(self, G: FloatArray) -> FloatArray:
        """ZGZ' of each unit for a level's covariance G (q, q): (U, n, n)."""
        if self.kernel is not None:
            return G[0, 0] * self.kernel
        assert self.codes is not None
        found = self.columns @ G @ self.columns.transpose(0, 2, 1)
        if self.relationships is not None:
            return found * self.relationships
        return found if self.one_level else np.where(self.same, found, 0.0)

    @cached_property
    def one_level(self) -> bool:
        """Whether every unit has one level."""
        return self.codes is not None and not self.codes.any()

    @cached_property
    def same(self) -> np.ndarray:
        """Whether two rows are of one level, (U, n, n) bool."""
        assert self.codes is not None
        return np.asarray(self.codes[:, :, None] == self.codes[:, None, :])


@dataclass(frozen=True)
class Batch:
    """U units of n rows each.

    Attributes
    ----------
    where : (U, n) int array or (U, n, d) float array
    strata : (U, n) int array, or None
    covariates : tuple of (U, n) arrays
    same : (U, n, n) bool array, or None
        Whether two rows are of one series; None where every unit is one series.
    terms : tuple of TermPlaces
    counts : (U,) int array
        Blocks of each unit.
    rows : (B, n) int array
        Rows of each block in the data, blocks of one unit together.
    """

    where: np.ndarray
    strata: IntArray | None
    covariates: tuple[np.ndarray, ...]
    same: np.ndarray | None
    terms: tuple[TermPlaces, ...]
    counts: IntArray
    rows: IntArray

    @property
    def n(self) -> int:
        """Rows of a unit."""
        return int(self.rows.shape[1])

    @property
    def n_units(self) -> int:
        """U."""
        return len(self.counts)

    def in_basis(self, roots: tuple[FloatArray, ...]) -> Batch:
        """The same with the columns of each term times its T."""
        terms = []
        for one, T in zip(self.terms, roots):
            if one.kernel is not None:
                terms.append(replace(one, kernel=T[0, 0] ** 2 * one.kernel))
            else:
                terms.append(replace(one, columns=one.columns @ T))
        return replace(self, terms=tuple(terms))

    @property
    def unit_of(self) -> IntArray:
        """The unit of each block, (B,)."""
        return np.repeat(np.arange(self.n_units), self.counts)

    def __getitem__(self, units: slice | np.ndarray) -> Batch:
        """Some of the units, in their order."""
        chosen = np.zeros(self.n_units, bool)
        chosen[units] = True

        def part(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else array[chosen]

        return Batch(
            self.where[chosen],
            part(self.strata),
            tuple(own[chosen] for own in self.covariates),
            part(self.same),
            tuple(
                TermPlaces(one.columns[chosen], part(one.codes), part(one.kernel), part(one.relationships))
                for one in self.terms
            ),
            self.counts[chosen],
            self.rows[np.repeat(chosen, self.counts)],
        )


def blocks_of(design: Design, rows: Rows) -> IntArray:
    """Number of the independent block of each row, (n,)."""
    series = rows.residual
    assert series is not None
    codes = series.codes
    if not rows.terms:
        return codes
    n_series, offset, one, other = design.residual.n_series, 0, [], []  # type: ignore[union-attr]
    offset, of_series = n_series, TermRows(codes, np.empty((rows.n, 0)))
    for term, own in zip(design.terms, rows.terms):
        if own.codes is not None:
            owner = of_series.owners(own.codes, n_series)
            one.append(codes if owner is None else np.arange(n_series))
            other.append(offset + (own.codes if owner is None else owner))
        else:
            entries = own.given_loadings.tocoo()
            one.append(codes[entries.coords[0]])
            other.append(offset + entries.coords[1])
        if term.related is not None:
            levels = offset + np.stack(term.related.relation.root.nonzero())
            one.append(levels[0])
            other.append(levels[1])
        offset += term.n_levels
    ends = np.concatenate(one), np.concatenate(other)
    if _is_reached(ends, offset)[codes].all():
        return np.zeros_like(codes)
    graph = sparse.coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(offset, offset))
    return connected_components(graph, directed=False)[1][codes]


def _is_reached(ends: tuple[IntArray, IntArray], size: int) -> np.ndarray:
    """What a few rounds along the edges reach from the first, (size,) bool: all, where factors are crossed."""
    one, other = ends
    out, count = np.zeros(size, bool), 0
    out[one[:1]] = True
    for _ in range(ROUNDS):
        out[other[out[one]]] = True
        out[one[out[other]]] = True
        before, count = count, int(np.count_nonzero(out))
        if count in (before, size):
            break
    return out


def sizes_of_blocks(design: Design, rows: Rows) -> IntArray:
    """Rows of each independent block, (B,)."""
    found = np.bincount(blocks_of(design, rows))
    return found[found > 0]


def batches_of(design: Design, rows: Rows) -> tuple[Batch, ...]:
    """The units of a design's rows, those of one size together.

    Raises
    ------
    DataError
        When a block has more rows than dense matrices take.
    """
    residual = rows.residual
    assert residual is not None
    block = np.unique(blocks_of(design, rows), return_inverse=True)[1].ravel()
    sizes = np.bincount(block)
    if int(sizes.max()) > LARGEST:
        groups = [term.group for term in design.terms]
        plain = design.residual is not None and design.residual.is_plain
        crossed = " and ".join(dict.fromkeys(groups if plain else [*groups, residual_group(design)]))
        tied = f"the rows that {crossed} tie together are {int(sizes.max())}"
        if plain:
            raise DataError(
                f"{tied}; with fix=, same= or bound=False this takes matrices of them, which have up to {LARGEST} rows "
                "(the fit, tests, means, intervals and predictions take any number)"
            )
        raise DataError(
            f"{tied}; with a residual covariance structure up to {LARGEST} rows may depend on each other here, and in "
            "a fit any number by way of up to 3000 random effects"
        )
    where = residual.where
    places = [where[:, d] for d in range(where.shape[1])][::-1] if where.ndim == 2 else [where]
    order = np.lexsort((*places, residual.codes, block))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    signature = _signature(design, rows)[order]
    found = []
    for n in np.unique(sizes):
        of_size = np.flatnonzero(sizes == n)
        at = order[starts[of_size][:, None] + np.arange(n)]
        hashed = signature[starts[of_size][:, None] + np.arange(n)]
        found.append(_with_relatives(batch_of(rows, at, hashed), design, rows))
    return tuple(found)


def residual_group(design: Design) -> str:
    """Name of the series, for messages."""
    assert design.residual is not None
    return design.residual.group or "the rows"


def _signature(design: Design, rows: Rows) -> np.ndarray:
    """Hash of everything but levels and series that a row's part of its block's covariance depends on, (n,) uint64;
    which relatives they are is part of it."""
    residual = rows.residual
    assert residual is not None
    columns: list[np.ndarray] = [residual.where] if residual.where.ndim == 1 else list(residual.where.T)
    if residual.strata is not None:
        columns.append(residual.strata)
    columns += list(residual.covariates)
    for term, own in zip(design.terms, rows.terms):
        columns += list(own.columns.T)
        if term.related is not None and own.codes is not None:
            columns.append(own.codes)
    if rows.terms and rows.weights is not None:
        columns.append(rows.weights)
    out = hash_of(columns, (rows.n,))
    for k, own in enumerate(rows.terms):
        if own.codes is None:  # loadings are compared as numbers, row by row
            entries = own.given_loadings.tocsr()
            hashed = mixed(entries.data.view(np.uint64)) + mixed(entries.indices.astype(np.uint64))
            ends = np.concatenate([[np.uint64(0)], np.cumsum(hashed, dtype=np.uint64)])
            out = mixed(out + ends[entries.indptr[1:]] - ends[entries.indptr[:-1]] + np.uint64(k))
    return out


def hash_of(columns: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Hash of the numbers that some arrays have at each place, uint64 of their shape."""
    out = np.zeros(shape, np.uint64)
    for k, column in enumerate(columns):
        bits = column.astype(np.uint64) if column.dtype.kind in "iu" else (column + 0.0).view(np.uint64)
        out = mixed(out + mixed(bits) + np.uint64(k))
    return out


def _local(codes: IntArray) -> IntArray:
    """Codes (B, n) numbered within each block by first appearance."""
    n = codes.shape[1]
    first = (codes[:, :, None] == codes[:, None, :]).argmax(axis=2) if n <= 64 else _first_appearance(codes)
    is_first = first == np.arange(n)
    rank = np.cumsum(is_first, axis=1) - 1
    return np.take_along_axis(rank, first, axis=1)


def _first_appearance(codes: IntArray) -> IntArray:
    out = np.empty_like(codes)
    for b, row in enumerate(codes):
        _, first, inverse = np.unique(row, return_index=True, return_inverse=True)
        out[b] = first[inverse.ravel()]
    return out


def batch_of(rows: Rows, at: IntArray, hashed: np.ndarray | None) -> Batch:
    """Blocks of one size, `at` (B, n) their rows in order, as a batch of units: those whose `hashed` (B, n) agree; None
    where all do."""
    residual = rows.residual
    assert residual is not None
    n = at.shape[1]
    local = [_local(residual.codes[at])] if rows.terms else []
    local += [_local(own.codes[at]) for own in rows.terms if own.codes is not None]
    if not local and (hashed is None or (hashed == hashed[:1]).all()):
        counts = np.array([len(at)])
    else:
        hashed = np.zeros(at.shape, np.uint64) if hashed is None else hashed
        key = np.zeros(len(at), np.uint64)
        for j in range(n):
            here = hashed[:, j]
            for own in local:
                here = mixed(here + own[:, j].astype(np.uint64))
            key = mixed(key + here)
        unit = np.unique(key, return_inverse=True)[1].ravel()
        at, counts = at[np.argsort(unit, kind="stable")], np.bincount(unit)
    one = at[np.concatenate([[0], np.cumsum(counts)[:-1]])]  # a block of each unit
    series = residual.codes[one]
    several = rows.terms and (series != series[:, :1]).any()
    return Batch(
        residual.where[one],
        None if residual.strata is None else residual.strata[one],
        tuple(own[one] for own in residual.covariates),
        series[:, :, None] == series[:, None, :] if several else None,
        tuple(_places(own, rows.weights, one) for own in rows.terms),
        counts,
        at,
    )


def _places(own: TermRows, weights: FloatArray | None, one: IntArray) -> TermPlaces:
    """A term's rows `one` (U, n), times √w."""
    root = np.ones(one.shape) if weights is None else np.sqrt(weights[one])
    if own.codes is not None:
        return TermPlaces(own.columns[one] * root[:, :, None], _local(own.codes[one]))
    loads = own.given_loadings.tocsr()
    kernels = np.stack([(loads[part] @ loads[part].T).toarray() for part in one])
    return TermPlaces(np.ones((*one.shape, 1)), None, kernels * root[:, :, None] * root[:, None, :])


def _with_relatives(batch: Batch, design: Design, rows: Rows) -> Batch:
    """A batch with the relationships between the levels of its units' rows."""
    if not design.is_related:
        return batch
    one = batch.rows[np.cumsum(batch.counts) - batch.counts]
    terms = list(batch.terms)
    for k, (term, own) in enumerate(zip(design.terms, rows.terms)):
        if term.related is not None and own.codes is not None:
            terms[k] = replace(terms[k], relationships=_relationships(term.related.relation, own.codes[one]))
    return replace(batch, terms=tuple(terms))


def _relationships(relation: Relation, codes: IntArray) -> FloatArray:
    """A_jj' of the levels (U, n) of units' rows, (U, n, n).

    Levels of two units are no relatives, so that columns of A of a row of each may be summed and told apart again.
    """
    out, (J, n) = np.empty((*codes.shape, codes.shape[1])), (relation.root.shape[0], codes.shape[1])
    step = max(1, AT_ONCE // J)
    for start in range(0, n, step):
        some = codes[:, start : start + step]
        asked = np.zeros((some.shape[1], J))
        asked[np.arange(len(asked))[:, None], some.T] = 1.0
        columns = relation.to_levels(relation.to_independent(asked[None]))[0]
        out[:, :, start : start + step] = columns[:, codes].transpose(1, 2, 0)
    return out


def chunks(n_units: int, doubles: int) -> Iterator[slice]:
    """Slices of the units whose arrays, of so many doubles a unit, stay moderate."""
    step = max(1, AT_ONCE // max(doubles, 1))
    for start in range(0, n_units, step):
        yield slice(start, min(start + step, n_units))
