"""Crossed effects whose equations stay sparse: chains, trees, cycles, two ratings a user, pieces hardly connected.

The levels of all factors are the nodes of a graph, with an edge where two meet in a row. Eliminated in rounds, levels
that meet one or two others first (`numerics.sparse.rounds`), such a graph leaves little, whatever its length, while a
front would join all that one large level meets, and iteration takes as many steps as the graph is long.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from henderson.engine.factor.sparse.pairs import SparsePairs
from henderson.engine.factor.sparse.system import SparseSystem
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.numerics.sparse.rounds import by_rounds

#: pairs of effects that meet, for each effect and each effect of a level, beyond which elimination fills all there is,
#: and no order is looked for
DENSE = 6


def crossed_system(cross: CrossProducts, blocks: Blocks, most: float) -> SparseSystem | None:
    """The equations of crossed effects with a sparse factor; None where that takes more than `most` multiplications, or
    more memory than there is.

    Parameters
    ----------
    cross : CrossProducts
    blocks : Blocks
        With a front or without.
    most : float
    """
    order = elimination_order(cross, blocks, most)
    if order is None:
        return None
    cross, blocks = without_front(cross, blocks)
    planned = SparsePairs(cross.rr, blocks, order)
    return SparseSystem(cross, blocks, planned) if planned.fits else None


def elimination_order(cross: CrossProducts, blocks: Blocks, most: float) -> np.ndarray | None:
    """An order of all levels, those of blocks without a front in their order in the rest, as `crossed_system` asks."""
    pairs = sum(one.nnz for one in cross.zr) + cross.rr.nnz / 2
    width = max(block.q for block in blocks.blocks)
    if pairs > DENSE * width * blocks.n_effects:
        return None
    cross, blocks = without_front(cross, blocks)
    return by_rounds(level_graph(cross.rr, blocks), most / width**3)


def without_front(cross: CrossProducts, blocks: Blocks) -> tuple[CrossProducts, Blocks]:
    """The same cross-products with all effects in the rest."""
    front = blocks.front
    if front is None:
        return cross, blocks
    rest = tuple(sorted(range(len(blocks.blocks)), key=lambda k: blocks.blocks[k].n_levels))
    ends = np.cumsum([0, *(blocks.blocks[k].size for k in rest)])
    whole = replace(blocks, front=None, rest=rest, offsets=dict(zip(rest, ends.tolist())), n_rest=int(ends[-1]))
    R, (q, n_levels) = whole.n_rest, cross.zz.shape[1:]
    moved = np.concatenate([whole.offsets[k] + np.arange(blocks.blocks[k].size) for k in blocks.rest])
    own = whole.offsets[front] + np.arange(q * n_levels).reshape(n_levels, q)
    rx = np.empty((R, cross.p + 1))
    rx[moved], rx[own.ravel()] = cross.rx, cross.zx.transpose(2, 0, 1).reshape(q * n_levels, -1)
    entries = cross.rr.tocoo()
    parts = [(moved[entries.row], moved[entries.col], entries.data)]
    parts += [(own[:, a], own[:, b], cross.zz[a, b]) for a in range(q) for b in range(q)]
    for a, one in enumerate(cross.zr):
        entries = one.tocoo()
        row, column = own[entries.row, a], moved[entries.col]
        parts += [(row, column, entries.data), (column, row, entries.data)]
    row, column, data = (np.concatenate(each) for each in zip(*parts))
    rr = sparse.csr_array((data, (row, column)), shape=(R, R))
    zz, zx = np.zeros((0, 0, 0)), np.zeros((0, cross.p + 1, 0))
    return replace(cross, zz=zz, zx=zx, zr=[], rr=rr, rx=rx), whole


def level_graph(rr: sparse.csr_array, blocks: Blocks) -> sparse.csc_array:
    """Which levels of all blocks meet, (levels, levels): blocks in their order in the rest."""
    own = [blocks.blocks[k] for k in blocks.rest]
    starts = np.cumsum([0, *(block.n_levels for block in own)])
    level = np.concatenate([start + np.repeat(np.arange(b.n_levels), b.q) for start, b in zip(starts, own)])
    entries = rr.tocoo()
    where = level[entries.row], level[entries.col]
    return sparse.csc_array((np.ones(len(entries.data)), where), shape=(starts[-1], starts[-1]))
