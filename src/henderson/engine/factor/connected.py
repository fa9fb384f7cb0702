"""The rest's connected components: which effects are tied to which.

Two effects of the rest are tied when a row, or a level of the front, loads on both. Levels are kept whole. Nested
models fall apart into many small components, crossed ones stay in one piece; nobody has to say which it is.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from henderson.engine.factor.places import ComponentColumns, ComponentShape

#: up to this many effects one dense matrix is cheaper than any structure
SMALL = 48
#: pairs from which it is asked first whether all is in one piece, and rounds that may take: of many pairs SciPy's graph
#: takes several times the memory that they do
MANY, ROUNDS = 100_000, 8


def whole(sizes: list[tuple[int, int]]) -> ComponentColumns:
    """The rest in one piece; `sizes` is (q, levels) of each block."""
    shape = ComponentShape(tuple((k, q, n) for k, (q, n) in enumerate(sizes)))
    return ComponentColumns(shape, np.arange(shape.size))


def components(
    zr: list[sparse.csr_array], rr: sparse.csr_array, sizes: list[tuple[int, int]]
) -> list[ComponentColumns]:
    """The rest in its components; `sizes` is (q, levels) of each block."""
    R = rr.shape[0]
    if R <= SMALL:
        return [whole(sizes)]
    level_of = _levels(sizes)  # (R,) level, numbered through all blocks
    if zr and zr[0].nnz > MANY and _is_reached(zr[0], level_of):
        return [whole(sizes)]
    count, label = _connect(zr, rr, level_of, sum(levels for _, levels in sizes))
    if count == 1:
        return [whole(sizes)]
    block_of = np.repeat(np.arange(len(sizes)), [levels for _, levels in sizes])
    order = np.lexsort((block_of, label))  # levels by component, then by block
    table = np.zeros((count, len(sizes)), int)
    np.add.at(table, (label, block_of), 1)
    starts = np.concatenate([[0], np.cumsum(table.sum(axis=1))])
    first_column = np.concatenate(
        [offset + np.arange(levels) * q for offset, (q, levels) in zip(_offsets(sizes), sizes)]
    )
    padded = np.where(table > 0, 2 ** np.ceil(np.log2(np.maximum(table, 1))).astype(int), 0)
    alike, which = np.unique(padded, axis=0, return_inverse=True)
    which = which.ravel()
    places: list[ComponentColumns] = []
    for s, counts in enumerate(alike):
        members = np.flatnonzero(which == s)
        size = int(sum(q * c for (q, _), c in zip(sizes, counts)))
        if len(members) * 40 < size * size:
            for c in members:
                shape = ComponentShape(tuple((k, q, int(table[c, k])) for k, (q, _) in enumerate(sizes) if table[c, k]))
                levels = order[starts[c] : starts[c + 1]]
                places.append(ComponentColumns(shape, _columns(first_column, levels, block_of, sizes)))
            continue
        shape = ComponentShape(tuple((k, q, int(m)) for k, ((q, _), m) in enumerate(zip(sizes, counts)) if m))
        columns = np.full((size, len(members)), R)
        for position, c in enumerate(members):
            levels, row = order[starts[c] : starts[c + 1]], 0
            for k, (q, _) in enumerate(sizes):
                mine = levels[block_of[levels] == k]
                columns[row : row + len(mine) * q, position] = (first_column[mine][:, None] + np.arange(q)).ravel()
                row += int(counts[k]) * q
        places.append(ComponentColumns(shape, columns))
    return places


def locate(places: list[ComponentColumns], R: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every column of the rest its place, its row there, and which of the components alike it is in; (R,) each."""
    owner, local, member = (np.zeros(R, np.int64) for _ in range(3))
    for k, place in enumerate(places):
        if place.is_batch:
            row, which = np.nonzero(place.columns < R)
            mine = place.columns[row, which]
            owner[mine], local[mine], member[mine] = k, row, which
        else:
            owner[place.columns], local[place.columns] = k, np.arange(len(place.columns))
    return owner, local, member


def _offsets(sizes: list[tuple[int, int]]) -> np.ndarray:
    return np.cumsum([0, *(q * levels for q, levels in sizes)])[:-1]


def _levels(sizes: list[tuple[int, int]]) -> np.ndarray:
    """The level, numbered through all blocks, of each column of the rest."""
    out, first = [], 0
    for q, levels in sizes:
        out.append(np.repeat(np.arange(first, first + levels), q))
        first += levels
    return np.concatenate(out) if out else np.zeros(0, int)


def _columns(first: np.ndarray, levels: np.ndarray, block_of: np.ndarray, sizes: list[tuple[int, int]]) -> np.ndarray:
    return np.concatenate([first[level] + np.arange(sizes[block_of[level]][0]) for level in levels])


def _is_reached(pairs: sparse.csr_array, level_of: np.ndarray) -> bool:
    """Whether from one level of the front all levels of the rest are reached, through others of the front, in a few
    rounds; `pairs` (J, R) says which meet."""
    met = sparse.csr_array((np.ones(pairs.nnz, np.float32), pairs.indices, pairs.indptr), shape=pairs.shape)
    largest = int(np.diff(pairs.indptr).argmax())
    front = np.zeros(pairs.shape[0], np.float32)
    front[largest] = 1.0
    reached = np.zeros(level_of[-1] + 1, bool)
    for _ in range(ROUNDS):
        before = np.count_nonzero(reached)
        reached[level_of[(met.T @ front) > 0]] = True
        count = np.count_nonzero(reached)
        if count in (before, len(reached)):
            break
        front = ((met @ reached[level_of].astype(np.float32)) > 0).astype(np.float32)
    return bool(reached.all())


def _connect(
    zr: list[sparse.csr_array], rr: sparse.csr_array, level_of: np.ndarray, n_levels: int
) -> tuple[int, np.ndarray]:
    """Connected components of the rest's levels, through the rows and through the front."""
    own = rr.tocoo()
    rows, columns, size = [level_of[own.row]], [level_of[own.col]], n_levels
    if zr:
        indptr = zr[0].indptr
        rows.append(n_levels + np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)))
        columns.append(level_of[zr[0].indices])
        size += len(indptr) - 1
    row, column = np.concatenate(rows), np.concatenate(columns)
    graph = sparse.coo_array((np.ones(len(row), np.int8), (row, column)), shape=(size, size))
    _, label = csgraph.connected_components(graph.tocsr(), directed=False)
    present, label = np.unique(label[:n_levels], return_inverse=True)
    return len(present), label.ravel()
