"""Moment estimates of the variances from sums of squares of level totals, MINQUE(0) but for the fixed effects.

With e the least-squares residual, A_kl = Z_k'Z_l and its blocks A_jj' between levels, nearly

    E Σ_j (Z_kj'e)(Z_kj'e)' = σ² Σ_j A_jj + Σ_l σ² Σ_jj' A_jj' G_l A_jj''
    E e'e = σ² (n + Σ_l tr(G_l Σ_j A_jj))

which is linear in σ² and the entries of σ²G. It costs no factorisation.
"""

from __future__ import annotations

import numpy as np

from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.numerics.lapack import symmetric_solve
from henderson.numerics.matrices import combination, inner_products

#: parameters up to which the estimate is better than a blank guess
MANY = 20
#: doubles of a dense copy of the cross-products, where a term has several effects
DENSE_LIMIT = 4_000_000


def moment_covariances(blocks: Blocks, cross: CrossProducts) -> list[np.ndarray] | None:
    """G of every block relative to σ², (q, q), not always positive semidefinite; None where it is dear or poor."""
    if blocks.n_g > MANY:
        return None
    scalar = all(block.q == 1 for block in blocks.blocks)
    if not scalar and max(len(cross.zr) * cross.zz.shape[2], blocks.n_rest) * blocks.n_rest > DENSE_LIMIT:
        return None
    squares = _scalar_squares(blocks, cross) if scalar else _squares(blocks, cross)
    sizes, totals = _sums(blocks, cross)
    n = blocks.n_g
    equations, right = np.zeros((n + 1, n + 1)), np.zeros(n + 1)
    equations[n, n], right[n] = cross.n, cross.xy[-1, -1]
    bases = [block.layout.basis() for block in blocks.blocks]
    for k, block in enumerate(blocks.blocks):
        rows = block.g_parameters
        equations[rows, n] = equations[n, rows] = inner_products(bases[k], sizes[k])
        right[rows] = inner_products(bases[k], totals[k])
        for l, other in enumerate(blocks.blocks):
            one, two = (bases[i].reshape(len(bases[i]), -1) for i in (k, l))
            linked = one @ squares[k, l].reshape(one.shape[1], -1) @ two.T
            equations[rows[:, None], other.g_parameters] = linked
    solution = symmetric_solve(equations, right, 1e-10)
    g = solution[:-1] / max(float(solution[-1]), 1e-2 * right[n] / cross.n)
    return [combination(g[block.g_parameters], basis) for block, basis in zip(blocks.blocks, bases)]


def _places(blocks: Blocks) -> dict[int, slice]:
    """Columns of each block of the rest."""
    return {k: slice(blocks.offsets[k], blocks.offsets[k] + blocks.blocks[k].size) for k in blocks.rest}


def _sums(blocks: Blocks, cross: CrossProducts) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Σ_j A_jj and Σ_j (Z_j'e)(Z_j'e)' of every block."""
    sizes: list[np.ndarray] = [np.zeros(0)] * len(blocks.blocks)
    totals: list[np.ndarray] = [np.zeros(0)] * len(blocks.blocks)
    if (f := blocks.front) is not None:
        sizes[f], totals[f] = cross.zz.sum(axis=2), cross.zx[:, -1] @ cross.zx[:, -1].T
    for k, place in _places(blocks).items():
        q, own = blocks.blocks[k].q, cross.rr[place, place]
        sizes[k] = np.array([[own.diagonal(b - a)[min(a, b) :: q].sum() for b in range(q)] for a in range(q)])
        e = cross.rx[place, -1].reshape(-1, q)
        totals[k] = e.T @ e
    return sizes, totals


def _scalar_squares(blocks: Blocks, cross: CrossProducts) -> dict[tuple[int, int], np.ndarray]:
    """|A_kl|² as (1, 1, 1, 1)."""
    size = len(blocks.blocks)
    owner, squares = np.zeros(blocks.n_rest, int), np.zeros((size, size))
    for k, place in _places(blocks).items():
        owner[place] = k
    row = owner[np.repeat(np.arange(blocks.n_rest), np.diff(cross.rr.indptr))]
    np.add.at(squares, (row, owner[cross.rr.indices]), cross.rr.data**2)
    if (f := blocks.front) is not None:
        squares[f, f] = (cross.zz**2).sum()
        for one in cross.zr:
            shared = np.bincount(owner[one.indices], one.data**2, size)
            squares[f] += shared
            squares[:, f] += shared
    return {(k, l): squares[k, l].reshape(1, 1, 1, 1) for k in range(size) for l in range(size)}


def _squares(blocks: Blocks, cross: CrossProducts) -> dict[tuple[int, int], np.ndarray]:
    """Σ_jj' A_jj'[a, c] A_jj'[b, d] as (q_k, q_k, q_l, q_l)[a, b, c, d]."""
    out = {}
    places, rr = _places(blocks), cross.rr.toarray()
    if (f := blocks.front) is not None:
        q = blocks.blocks[f].q
        flat = cross.zz.reshape(q * q, -1)
        out[f, f] = (flat @ flat.T).reshape(q, q, q, q).transpose(0, 2, 1, 3)
        zr = np.stack([one.toarray() for one in cross.zr]) if cross.zr else np.zeros((q, 0, 0))
        for l, place in places.items():
            out[f, l] = _gram(zr[:, :, place], q, blocks.blocks[l].q)
            out[l, f] = out[f, l].transpose(2, 3, 0, 1)
    for k, rows in places.items():
        q = blocks.blocks[k].q
        for l, columns in places.items():
            own = rr[rows, columns].reshape(-1, q, rr[rows, columns].shape[1]).transpose(1, 0, 2)
            out[k, l] = _gram(own, q, blocks.blocks[l].q)
    return out


def _gram(A: np.ndarray, q: int, q_other: int) -> np.ndarray:
    """Of A (q, J, J' q'): Σ_jj' A[a, j, j'c] A[b, j, j'd]."""
    flat = A.reshape(q, -1, q_other).transpose(0, 2, 1).reshape(q * q_other, -1)
    return (flat @ flat.T).reshape(q, q_other, q, q_other).transpose(0, 2, 1, 3)
