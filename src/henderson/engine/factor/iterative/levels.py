"""Block-diagonal matrices with one (q, q) block a level, and vectors in the order of the effects.

Blocks of a group of levels are (q, q, L), levels last; vectors are (L q, k), the effects of a level side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import sparse

FloatArray = np.ndarray
#: (q, q, L) for every group of levels
LevelBlocks = list[np.ndarray]


def places(blocks: Sequence[FloatArray]) -> list[slice]:
    """Rows of each group in a vector."""
    ends = np.cumsum([0, *(block.shape[0] * block.shape[2] for block in blocks)])
    return [slice(int(start), int(end)) for start, end in pairwise(ends)]


def times(blocks: Sequence[FloatArray], B: FloatArray, *, transpose: bool = False) -> FloatArray:
    """The block-diagonal matrix (or its transpose) times B (Σ L q, k)."""
    if len(blocks) == 1 and len(blocks[0]) == 1:
        return blocks[0][0, 0][:, None] * B
    out = np.empty_like(B)
    for block, rows in zip(blocks, places(blocks)):
        q = len(block)
        if q == 1:
            np.multiply(block[0, 0][:, None], B[rows], out=out[rows])
            continue
        own, to = B[rows].reshape(-1, q, B.shape[1]), out[rows].reshape(-1, q, B.shape[1])
        for a in range(q):
            to[:, a] = 0.0
            for b in range(q):
                entry = block[b, a] if transpose else block[a, b]
                to[:, a] += entry[:, None] * own[:, b]
    return out


def spread(matrices: Sequence[FloatArray], n_levels: Sequence[int]) -> LevelBlocks:
    """The same (q, q) matrix for every level of a group."""
    return [np.broadcast_to(one[:, :, None], (*one.shape, n)) for one, n in zip(matrices, n_levels)]


def block_matrix(blocks: Sequence[FloatArray]) -> sparse.csr_array:
    """The block-diagonal matrix, sparse, (Σ L q, Σ L q)."""
    parts = []
    for block in blocks:
        q, _, n = block.shape
        data = np.ascontiguousarray(block.transpose(2, 0, 1))
        parts.append(sparse.bsr_array((data, np.arange(n), np.arange(n + 1)), shape=(n * q, n * q)))
    return sparse.csr_array(sparse.block_diag(parts, format="csr"))


def outer(A: FloatArray, B: FloatArray, sizes: Sequence[tuple[int, int]]) -> list[FloatArray]:
    """A_jB_j' of every level and column, (q, q, L, k) for groups of `sizes` (q, L); A and B (Σ L q, k)."""
    out, start = [], 0
    for q, n in sizes:
        one, two = (C[start : start + q * n].reshape(n, q, -1) for C in (A, B))
        found = np.empty((q, q, n, A.shape[1]))
        for a in range(q):
            for b in range(q):
                np.multiply(one[:, a], two[:, b], out=found[a, b])
        out.append(found)
        start += q * n
    return out
