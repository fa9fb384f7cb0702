"""Diagonals of the inverse from probes: variances level by level, W_ll and a_jWa_j', and of forms by row.

Ã⁻¹ is close to the identity, so of s'Ws = s'A Ã⁻¹A's, A = ΛL⁻ᵀ, the parts with the identity and with the slow
directions are formed, and only A(Ã⁻¹ − I − UNU')A' comes from probes z (Hutchinson's estimator; Bekas, Kokiopoulou and
Saad 2007):

    W ≈ blockdiag(AA') + AU N U'A' + Σ_z A(Ã⁻¹z − z − UNU'z) (Az)' / 64,   N = M⁻¹ − I
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from henderson.engine.factor.iterative.conjugate import solve
from henderson.engine.factor.iterative.levels import LevelBlocks, times
from henderson.engine.factor.iterative.probed import signs
from henderson.engine.factor.iterative.scaled import Deflated, Scaled

FloatArray = np.ndarray

#: probes, and columns of a block of them
PROBES, AT_ONCE = 64, 16
#: where their signs come from
SEED = 1_000_003


def own_blocks(scaled: Scaled) -> LevelBlocks:
    """AA' of every level, (q, q, L) a block."""
    return [
        np.einsum("abl,bcl,dcl->adl", lam, np.einsum("bal,bcl->acl", low, low), lam, optimize=True)
        for lam, low in zip(scaled.lam, scaled.inverse)
    ]


def outer_parts(operator: Deflated) -> Iterator[tuple[FloatArray, FloatArray, float]]:
    """Vectors F, H (R, k) and weights: W less its `own_blocks` is the sum of weight F H'."""
    scaled, U = operator.scaled, operator.U
    N = operator.M_inverse - np.eye(U.shape[1])

    def in_effects(y: FloatArray) -> FloatArray:
        return times(scaled.lam, times(scaled.inverse, y, transpose=True))

    slow = in_effects(U)
    yield slow, slow @ N, 1.0
    drawn = signs(scaled.pairs.n_rest, PROBES, SEED)
    for start in range(0, PROBES, AT_ONCE):
        z = drawn[:, start : start + AT_ONCE]
        left = solve(operator, z) - z - U @ (N @ (U.T @ z))
        yield in_effects(z), in_effects(left), 1.0 / PROBES


def level_variances(operator: Deflated) -> tuple[FloatArray, LevelBlocks]:
    """a_j W a_j' of every level of the front (q_f, q_f, J), and W_ll of every level of the rest."""
    pairs = operator.scaled.pairs
    own = own_blocks(operator.scaled)
    front = pairs.front_diagonals(own) if pairs.q else np.zeros((0, 0, 0))
    for one, other, weight in outer_parts(operator):
        place = 0
        for block, (size, n) in zip(own, pairs.sizes):
            a, b = (C[place : place + size * n].reshape(n, size, -1) for C in (one, other))
            block += weight * _even(np.einsum("lak,lbk->abl", a, b))
            place += size * n
        if pairs.q:
            a, b = (pairs.to_front(C) for C in (one, other))
            front = front + weight * _even(np.einsum("akj,bkj->abj", a, b))
    return front, own


def _even(blocks: FloatArray) -> FloatArray:
    return (blocks + blocks.transpose(1, 0, 2)) / 2
