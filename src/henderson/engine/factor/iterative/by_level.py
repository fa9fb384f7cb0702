"""Variances level by level from probes: blocks on the diagonal of W = ΛC⁻¹Λ', and of a_jWa_j'.

Ã⁻¹ is close to the identity, so of diagonal blocks of A Ã⁻¹ A' (with A = aΛL⁻ᵀ for the front's levels, ΛL⁻ᵀ for the
rest's own) the blocks of AA', and what U adds to them, are formed, and only A(Ã⁻¹ − I − UNU')A' comes from probes
(Hutchinson's estimator; Bekas, Kokiopoulou and Saad 2007).
"""

from __future__ import annotations

import numpy as np

from henderson.engine.factor.iterative.conjugate import solve
from henderson.engine.factor.iterative.levels import LevelBlocks, times
from henderson.engine.factor.iterative.probed import signs
from henderson.engine.factor.iterative.scaled import Deflated

FloatArray = np.ndarray

#: probes, and columns of a block of them
PROBES, AT_ONCE = 64, 16
#: where their signs come from
SEED = 1_000_003


def level_variances(operator: Deflated) -> tuple[FloatArray, LevelBlocks]:
    """a_j W a_j' of every level of the front (q_f, q_f, J), and W_ll of every level of the rest.

    1. what the identity and the slow directions have, exactly
    2. the rest of Ã⁻¹ from signs z: A(Ã⁻¹z − z − UNU'z) against Az, N = M⁻¹ − I
    """
    scaled, pairs, U = operator.scaled, operator.scaled.pairs, operator.U
    N = operator.M_inverse - np.eye(U.shape[1])
    q, sizes = pairs.q, pairs.sizes

    def in_effects(y: FloatArray) -> FloatArray:
        return times(scaled.lam, times(scaled.inverse, y, transpose=True))

    own = [  # 1
        np.einsum("abl,bcl,dcl->adl", lam, np.einsum("bal,bcl->acl", low, low), lam, optimize=True)
        for lam, low in zip(scaled.lam, scaled.inverse)
    ]
    front = pairs.front_diagonals(own) if q else np.zeros((0, 0, 0))
    slow = in_effects(U)
    parts = [(slow, slow @ N, 1.0)]
    drawn = signs(pairs.n_rest, PROBES, SEED)
    for start in range(0, PROBES, AT_ONCE):  # 2
        z = drawn[:, start : start + AT_ONCE]
        left = solve(operator, z) - z - U @ (N @ (U.T @ z))
        parts.append((in_effects(z), in_effects(left), 1.0 / PROBES))
    for one, other, weight in parts:
        place = 0
        for block, (size, n) in zip(own, sizes):
            a, b = (C[place : place + size * n].reshape(n, size, -1) for C in (one, other))
            block += weight * _even(np.einsum("lak,lbk->abl", a, b))
            place += size * n
        if q:
            a, b = (pairs.to_front(C) for C in (one, other))
            front = front + weight * _even(np.einsum("akj,bkj->abj", a, b))
    return front, own


def _even(blocks: FloatArray) -> FloatArray:
    return (blocks + blocks.transpose(1, 0, 2)) / 2
