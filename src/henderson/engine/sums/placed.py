"""Sums whose levels get other places: among those of more rows, or without levels that have no rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse

from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts

FloatArray = np.ndarray


def placed(cross: CrossProducts, own: Blocks, blocks: Blocks, places: Sequence[np.ndarray]) -> CrossProducts:
    """Sums in the places of other blocks, of the same terms and with the same front.

    Parameters
    ----------
    cross : CrossProducts
    own, blocks : Blocks
        Those of the sums, and those that they get.
    places : sequence of (J,) int arrays
        For each block the new place of each level, both in the design's order; −1 for levels that have no rows, which
        are left out.
    """
    where = [
        _in_engine(old.ranked(np.arange(old.n_levels)), place, new.ranked)
        for old, new, place in zip(own.blocks, blocks.blocks, places)
    ]
    zz, zx, n_front, at = cross.zz, cross.zx, 0, np.zeros(0, np.intp)
    if blocks.front is not None:
        n_front, at = blocks.blocks[blocks.front].n_levels, where[blocks.front]
        zz, zx = (_spread(one, at, n_front) for one in (zz, zx))
    rest = np.empty(own.n_rest, np.intp)
    for k in blocks.rest:
        q, old = blocks.blocks[k].q, own.offsets[k] + np.arange(own.blocks[k].size)
        effects = blocks.offsets[k] + where[k][:, None] * q + np.arange(q)
        rest[old] = np.where(where[k][:, None] < 0, -1, effects).ravel()
    size, there = blocks.n_rest, rest >= 0
    rx = np.zeros((size, cross.p + 1))
    rx[rest[there]] = cross.rx[there]
    rr = _moved(cross.rr, rest, rest, (size, size))
    zr = [_moved(one, at, rest, (n_front, size)) for one in cross.zr]
    return replace(cross, zz=zz, zx=zx, zr=zr, rr=rr, rx=rx)


def _in_engine(old: np.ndarray, place: np.ndarray, ranked: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Of each level in the engine's old order its place in the engine's new one; −1 for none."""
    out, there = np.full(len(old), -1, np.intp), place >= 0
    out[old[there]] = ranked(place[there])
    return out


def _spread(stack: FloatArray, at: np.ndarray, n_levels: int) -> FloatArray:
    out, there = np.zeros((*stack.shape[:2], n_levels)), at >= 0
    out[:, :, at[there]] = stack[:, :, there]
    return out


def _moved(one: sparse.csr_array, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    """The same entries elsewhere; levels without rows have none."""
    entries = one.tocoo()
    i, j = entries.coords
    out = sparse.csr_array((entries.data, (rows[i], columns[j])), shape=shape)
    out.sort_indices()
    return out
