"""Diagonals of the inverse from probes: variances level by level, W_ll and a_jWa_j', and of forms by row.

Ã⁻¹ is close to the identity, so of s'Ws = s'A Ã⁻¹A's, A = ΛL⁻ᵀ, the parts with the identity and with the slow
directions are formed, and only A(Ã⁻¹ − I − UNU')A' comes from probes z (Hutchinson's estimator; Bekas, Kokiopoulou and
Saad 2007):

    W ≈ blockdiag(AA') + AU N U'A' + Σ_z A(Ã⁻¹z − z − UNU'z) (Az)' / 64,   N = M⁻¹ − I

The spread over probes is the Monte-Carlo error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True)
class LevelVariances:
    """Variances level by level, and the standard errors over probes of every entry.

    Attributes
    ----------
    front, front_error : (q_f, q_f, J) arrays
        a_j W a_j' of every level of the front.
    own, own_error : lists of (q, q, L) arrays
        W_ll of every level of the rest.
    """

    front: FloatArray
    own: LevelBlocks
    front_error: FloatArray
    own_error: LevelBlocks


def level_variances(operator: Deflated) -> LevelVariances:
    """The variances of all levels."""
    pairs = operator.scaled.pairs
    known = [np.zeros((0, 0, 0)), *own_blocks(operator.scaled)]
    if pairs.q:
        known[0] = pairs.front_diagonals(known[1:])
    total, squares = ([np.zeros_like(one) for one in known] for _ in range(2))
    for one, other, weight in outer_parts(operator):
        parts = [(pairs.to_front(one), pairs.to_front(other))] if pairs.q else [(known[0],) * 2]
        place = 0
        for size, n in pairs.sizes:
            a, b = (C[place : place + size * n].reshape(n, size, -1).transpose(1, 2, 0) for C in (one, other))
            parts.append((a, b))
            place += size * n
        for k, (a, b) in enumerate(parts):
            added = _even(np.einsum("akj,bkj->abj", a, b))
            if weight == 1.0:  # of slow directions, exactly
                known[k] = known[k] + added
                continue
            total[k] += added
            for probe in range(a.shape[1]):
                squares[k] += np.square(_even(a[:, probe][:, None] * b[:, probe]))
    found = [one + own / PROBES for one, own in zip(known, total)]
    spread = [np.maximum(two - one**2 / PROBES, 0.0) / (PROBES - 1) for one, two in zip(total, squares)]
    error = [np.sqrt(one / PROBES) for one in spread]
    return LevelVariances(found[0], found[1:], error[0], error[1:])


def _even(blocks: FloatArray) -> FloatArray:
    return (blocks + blocks.transpose(1, 0, 2)) / 2
