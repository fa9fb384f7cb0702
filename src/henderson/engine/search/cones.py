"""The covariances of a small model, and the lengths at which its deviance is smooth.

A level with the information A sees a covariance G as A⁻¹ + G, so what matters of a change of G is its size relative to
I/a + G, a being the largest information on an effect: below I/a nothing is seen, above it what is seen goes by ratios
(the affine-invariant metric of positive matrices). With I/a + G = TT', steps dλ = T ds of one length are alike
everywhere, however large G is along one direction and however small along another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from henderson.engine.sums.blocks import Blocks
from henderson.numerics import lapack

FloatArray = np.ndarray

#: smallest pivot of a covariance, by its element, that is no rounding
PIVOT = 1e-12


@dataclass(frozen=True)
class Cone:
    """One unstructured covariance, or one standard deviation.

    Attributes
    ----------
    parameters : (q(q + 1)/2,) int array
        Its θ, column by column of the lower triangle.
    q : int
        Effects.
    a : float
        Largest information on one of them in a level.
    n_levels : int
    """

    parameters: np.ndarray
    q: int
    a: float
    n_levels: int

    def lam(self, theta: FloatArray) -> FloatArray:
        """λ of θ (B, k), (B, q, q)."""
        lam = np.zeros((len(theta), self.q, self.q))
        row, column = _triangle(self.q)
        lam[:, row, column] = theta[:, self.parameters]
        return lam


def cones(blocks: Blocks, information: Sequence[FloatArray] | None = None) -> list[Cone]:
    """The covariances of a model whose θ are entries of λ, block after block.

    Parameters
    ----------
    blocks : Blocks
    information : sequence of (q,) arrays, optional
        Largest information on each effect, block by block; that of an average level is one in the working basis.
    """
    out = []
    for k, block in enumerate(blocks.blocks):
        largest = np.ones(block.q) if information is None else np.maximum(information[k], 1e-300)
        for structure, own, rows in zip(block.layout.structures, block.layout.theta_of, block.layout.terms):
            parameters, q = block.parameters[own], rows.stop - rows.start
            if not structure.linear:
                continue
            if q > 1 and len(parameters) == q * (q + 1) // 2:
                out.append(Cone(parameters, q, float(largest[rows].max()), block.n_levels))
            else:
                a = largest[rows][: len(parameters)].tolist()
                out += [Cone(parameters[[i]], 1, one, block.n_levels) for i, one in enumerate(a)]
    return out


def frames(of: Sequence[Cone], theta: FloatArray) -> FloatArray:
    """∂θ/∂s of steps s whose length is that of the metric, at θ (B, k), (B, k, k); the identity outside the cones."""
    batch, k = theta.shape
    out = np.zeros((batch, k, k))
    out.reshape(batch, -1)[:, :: k + 1] = 1.0
    for one in of:
        if one.q == 1:
            (place,) = one.parameters
            out[:, place, place] = np.sqrt(1.0 / one.a + theta[:, place] ** 2)
            continue
        lam = one.lam(theta)
        T = _root(lam, one.a)
        to, by, row, column = _entries(one.q)
        out[:, one.parameters[to], one.parameters[by]] = T[:, row, column]
    return out


def _root(lam: FloatArray, a: float) -> FloatArray:
    """T, lower triangular with TT' = λλ' + I/a, (B, q, q); by rotations where λ is so large that the sum lost I/a."""
    square = lam @ lam.transpose(0, 2, 1)
    square.reshape(len(lam), -1)[:, :: lam.shape[-1] + 1] += 1.0 / a
    try:
        return lapack.cholesky(square[0])[None] if len(square) == 1 else np.linalg.cholesky(square)
    except np.linalg.LinAlgError:
        small = np.broadcast_to(np.eye(lam.shape[-1]) / np.sqrt(a), lam.shape)
        R = np.linalg.qr(np.concatenate([lam.transpose(0, 2, 1), small], axis=1)).R
        return R.transpose(0, 2, 1) * np.sign(np.einsum("bii->bi", R))[:, None, :]


def roots(G: FloatArray) -> FloatArray:
    """Lower triangles of the Cholesky factors of semidefinite G (N, q, q), column by column, (N, q(q + 1)/2)."""
    left, out = G.copy(), []
    for j in range(G.shape[1]):
        own = left[:, j, j]
        pivot = np.sqrt(np.where(own > PIVOT * G[:, j, j], own, 0.0))
        column = left[:, j:, j] / np.where(pivot > 0, pivot, 1.0)[:, None] * (pivot > 0)[:, None]
        left[:, j:, j:] -= column[:, :, None] * column[:, None]
        out.append(column)
    return np.concatenate(out, axis=1)


@lru_cache(maxsize=64)
def _triangle(q: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a lower triangle, column by column."""
    column, row = np.triu_indices(q)
    return row, column


@lru_cache(maxsize=64)
def _entries(q: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of dλ[r, c] = Σ_s T[r, s] ds[s, c]: places of (r, c) and (s, c) in a lower triangle column by column, r and s."""
    row, column = _triangle(q)
    to, by = np.nonzero((column[:, None] == column) & (row[:, None] >= row))
    return to, by, row[to], row[by]
