"""Moment estimates of the variances from sums of squares of level totals: MINQUE(0).

With e the least-squares residual, A_kl = Z_k'Z_l and its blocks A_jj' between levels, but for the fixed effects

    E Σ_j (Z_kj'e)(Z_kj'e)' = σ² Σ_j A_jj + Σ_l σ² Σ_jj' A_jj' G_l A_jj''
    E e'e = σ² (n + Σ_l tr(G_l Σ_j A_jj))

which is linear in σ² and the entries of σ²G. In balanced data of one factor, or of nested ones, that is where the
likelihood has its maximum, if no variance is negative there. For the restricted one, also of crossed factors, A is Z'MZ
with M = I − X(X'X)⁻¹X', and n is n − p: with R_j = Z_j'X L⁻ᵀ, X'X = LL', the blocks are A_jj' − R_jR_j'', and of what
is quadratic in them

    |A − RR'|² = |A|² − 2 ⟨A, RR'⟩ + |R'R|²

(where a term of several effects is crossed with others R is left out). It costs no factorisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.numerics.lapack import cholesky, inverse_lower, symmetric_solve
from henderson.numerics.matrices import combination, inner_products

#: parameters up to which the estimate is better than a blank guess
MANY = 20
#: doubles of a dense copy of the cross-products, where a term has several effects
DENSE_LIMIT = 4_000_000


@dataclass(frozen=True)
class MomentEquations:
    """The equations, of which a response changes the right-hand side alone.

    Attributes
    ----------
    blocks : Blocks
    matrix : (k + 1, k + 1) array
        Of the G parameters and σ².
    bases : list of (k_k, q, q) arrays
        Directions of each block's parameters.
    """

    blocks: Blocks
    matrix: np.ndarray
    bases: list[np.ndarray]

    @classmethod
    def of(cls, blocks: Blocks, cross: CrossProducts, *, reml: bool) -> MomentEquations | None:
        """Of a design; None where they are dear, or a poor guess: of levels that are not independent, too."""
        if blocks.n_g > MANY or blocks.are_related:
            return None
        scalar = all(block.q == 1 for block in blocks.blocks)
        if not scalar and max(len(cross.zr) * cross.zz.shape[2], blocks.n_rest) * blocks.n_rest > DENSE_LIMIT:
            return None
        squares = _scalar_squares(blocks, cross) if scalar else _squares(blocks, cross)
        sizes = _sizes(blocks, cross)
        n, rows_left = blocks.n_g, cross.n
        if reml and cross.p and (scalar or not blocks.rest):
            rows_left -= cross.p
            _take_out_fixed(blocks, cross, sizes, squares)
        matrix = np.zeros((n + 1, n + 1))
        matrix[n, n] = rows_left
        bases = [block.layout.basis() for block in blocks.blocks]
        for k, block in enumerate(blocks.blocks):
            rows = block.g_parameters
            matrix[rows, n] = matrix[n, rows] = inner_products(bases[k], sizes[k])
            for l, other in enumerate(blocks.blocks):
                one, two = (bases[i].reshape(len(bases[i]), -1) for i in (k, l))
                linked = one @ squares[k, l].reshape(one.shape[1], -1) @ two.T
                matrix[rows[:, None], other.g_parameters] = linked
        return cls(blocks, matrix, bases)

    def covariances(self, cross: CrossProducts) -> list[np.ndarray]:
        """G of every block relative to σ², (q, q), not always positive semidefinite, for the y of some
        cross-products."""
        right = np.zeros(len(self.matrix))
        right[-1] = cross.xy[-1, -1]
        for block, basis, total in zip(self.blocks.blocks, self.bases, _totals(self.blocks, cross)):
            right[block.g_parameters] = inner_products(basis, total)
        solution = symmetric_solve(self.matrix, right)
        g = solution[:-1] / max(float(solution[-1]), 1e-2 * right[-1] / cross.n)
        return [combination(g[block.g_parameters], basis) for block, basis in zip(self.blocks.blocks, self.bases)]


def _places(blocks: Blocks) -> dict[int, slice]:
    """Columns of each block of the rest."""
    return {k: slice(blocks.offsets[k], blocks.offsets[k] + blocks.blocks[k].size) for k in blocks.rest}


def _owners(blocks: Blocks) -> np.ndarray:
    """Block of each column of the rest, (R,)."""
    owner = np.zeros(blocks.n_rest, int)
    for k, place in _places(blocks).items():
        owner[place] = k
    return owner


def _sizes(blocks: Blocks, cross: CrossProducts) -> list[np.ndarray]:
    """Σ_j A_jj of every block."""
    sizes: list[np.ndarray] = [np.zeros(0)] * len(blocks.blocks)
    if (f := blocks.front) is not None:
        sizes[f] = cross.zz.sum(axis=2)
    for k, place in _places(blocks).items():
        q, own = blocks.blocks[k].q, cross.rr[place, place]
        sizes[k] = np.array([[own.diagonal(b - a)[min(a, b) :: q].sum() for b in range(q)] for a in range(q)])
    return sizes


def _totals(blocks: Blocks, cross: CrossProducts) -> list[np.ndarray]:
    """Σ_j (Z_j'e)(Z_j'e)' of every block."""
    totals: list[np.ndarray] = [np.zeros(0)] * len(blocks.blocks)
    if (f := blocks.front) is not None:
        totals[f] = cross.zx[:, -1] @ cross.zx[:, -1].T
    for k, place in _places(blocks).items():
        e = cross.rx[place, -1].reshape(-1, blocks.blocks[k].q)
        totals[k] = e.T @ e
    return totals


def _scalar_squares(blocks: Blocks, cross: CrossProducts) -> dict[tuple[int, int], np.ndarray]:
    """|A_kl|² as (1, 1, 1, 1)."""
    size = len(blocks.blocks)
    owner, squares = _owners(blocks), np.zeros((size, size))
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
    places = _places(blocks)
    if (f := blocks.front) is not None:
        q = blocks.blocks[f].q
        flat = cross.zz.reshape(q * q, -1)
        out[f, f] = (flat @ flat.T).reshape(q, q, q, q).transpose(0, 2, 1, 3)
        zr = np.stack([one.toarray() for one in cross.zr]) if cross.zr else np.zeros((q, 0, 0))
        for l, place in places.items():
            out[f, l] = _gram(zr[:, :, place], q, blocks.blocks[l].q)
            out[l, f] = out[f, l].transpose(2, 3, 0, 1)
    rr = cross.rr.toarray() if places else np.zeros((0, 0))
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


def _take_out_fixed(
    blocks: Blocks, cross: CrossProducts, sizes: list[np.ndarray], squares: dict[tuple[int, int], np.ndarray]
) -> None:
    """Make Σ_j A_jj and the squares of A those of A − RR'; of scalar terms, or of one block."""
    p = cross.p
    root = inverse_lower(cholesky(cross.xy[:p, :p]))
    R = [root @ own for own in blocks.split(cross.zx[:, :p], cross.rx[:, :p])]  # (q, p, J)
    grams = []  # Σ_j R_j[a, m] R_j[b, n], (q, q, p, p)[a, b, m, n]
    for k, own in enumerate(R):
        q, flat = len(own), own.reshape(len(own) * p, -1)
        grams.append((flat @ flat.T).reshape(q, p, q, p).transpose(0, 2, 1, 3))
        sizes[k] = sizes[k] - grams[k].trace(axis1=2, axis2=3)
    between = _between_scalars(blocks, cross, R) if blocks.rest else {(0, 0): _between(cross.zz, R[0])}
    for (k, l), own in squares.items():
        q, q_other = len(grams[k]), len(grams[l])
        fixed = grams[k].reshape(q * q, -1) @ grams[l].reshape(q_other * q_other, -1).T
        twice = between[k, l]
        squares[k, l] = own - twice - twice.transpose(1, 0, 3, 2) + fixed.reshape(own.shape)


def _between(A: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Σ_j A_j[a, c] (R_jR_j')[b, d] as (q, q, q, q)[a, b, c, d]."""
    q = len(A)
    own = np.einsum("amj,bmj->abj", R, R)
    return (A.reshape(q * q, -1) @ own.reshape(q * q, -1).T).reshape((q,) * 4).transpose(0, 2, 1, 3)


def _between_scalars(blocks: Blocks, cross: CrossProducts, R: list[np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
    """⟨A_kl, R_kR_l'⟩ as (1, 1, 1, 1)."""
    size, f = len(blocks.blocks), blocks.front
    owner, between = _owners(blocks), np.zeros((size, size))
    rest = np.concatenate([R[k][0] for k in blocks.rest], axis=1)  # (p, R)
    for k, place in _places(blocks).items():
        moved = cross.rr[:, place] @ R[k][0].T
        between[k] += np.bincount(owner, np.einsum("jm,mj->j", moved, rest), size)
    if f is not None:
        between[f, f] = np.einsum("j,mj,mj->", cross.zz[0, 0], R[f][0], R[f][0])
        for one in cross.zr:
            shared = np.bincount(owner, np.einsum("jm,mj->j", one.T @ R[f][0].T, rest), size)
            between[f] += shared
            between[:, f] += shared
    return {(k, l): between[k, l].reshape(1, 1, 1, 1) for k in range(size) for l in range(size)}
