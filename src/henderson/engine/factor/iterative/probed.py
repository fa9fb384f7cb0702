"""log|C| and its derivatives from probes: stochastic Lanczos quadrature, and the derivative of the very same number.

With Ã = L⁻¹CL⁻ᵀ, slow directions U and N starts z of random signs, made orthogonal to U (Ubaru, Chen and Saad 2017),

    log|C| ≈ log|P| + log|M| + tr(B − I) + Σ_i z_i' (log(B) − B + I) z_i / N,
    tr(B − I) = s − tr M⁻¹(ÃU)'ÃU   on what is orthogonal to the s columns of U

That trace is known, since the blocks on Ã's diagonal are the identity: with it goes what z'Bz varies by, and
where B is close to the identity that is most of what z' log(B) z varies by.

    d log|C| ≈ tr(Ŵ dC),   Ŵ = L⁻ᵀYL⁻¹ + E,   Y = Y_U + Σ_i V_i(K_i − |z_i|² e_1e_1')V_i' / N
    Y_U = UM⁻¹U' + U M⁻¹(ÃU)'ÃU M⁻¹ U' − ÃU M⁻¹U' − U M⁻¹(ÃU)'
    E_l = L_l⁻ᵀ(I − (ÃY)_ll)L_l⁻¹, the product's upper triangle mirrored: what L's own derivative adds

E is zero when Y is Ã⁻¹, and takes out what probes say wrongly of the diagonal. Ŵ stands where ExactRest has C⁻¹:

    rest:   Σ_l (SΛŴ)_ll           front:  Σ_j D_j a_j ΛŴΛ' a_j' D_j'

Everything is kept for each probe apart, so that the spread over probes gives the Monte-Carlo error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from henderson.engine.factor.iterative.lanczos import Krylov, lanczos
from henderson.engine.factor.iterative.levels import LevelBlocks, outer, places, times
from henderson.engine.factor.iterative.scaled import Deflated, Images

FloatArray = np.ndarray

#: doubles of the vectors that a block of probes keeps, and steps that are expected of it
BUDGET, EXPECTED = 40_000_000, 10
#: probes of a block
FEWEST, MOST = 4, 16


@dataclass(frozen=True)
class Probed:
    """What N probes say.

    Attributes
    ----------
    log_det : (N,) array
        log|C| of each probe alone; their mean is the estimate.
    first : list of (q, q, N) arrays
        Σ_l (SΛŴ)_ll for every block of the rest.
    weighed : list of (q, q, N) arrays
        Σ_l (SΛŴΛ'S)_ll.
    borrowed : (q_f, q_f, N) array
        Σ_j D_j a_j ΛŴΛ' a_j' D_j'.
    steps : int
        Most steps of a recurrence.
    truncation : (N,) array
        What the last step of each recurrence added to its log|C|.
    slow : (R, s) array
        Directions found along which B is far from the identity.
    """

    log_det: FloatArray
    first: list[FloatArray]
    weighed: list[FloatArray]
    borrowed: FloatArray
    steps: int
    truncation: FloatArray
    slow: FloatArray


def signs(n_rest: int, count: int, seed: int) -> FloatArray:
    """Random signs (R, N); more of them leave the first as they are."""
    out = np.empty((n_rest, count))
    for start in range(0, count, FEWEST):
        width = min(FEWEST, count - start)
        drawn = np.random.default_rng([seed, start]).integers(0, 2, (n_rest, FEWEST), np.int8)
        out[:, start : start + width] = 2.0 * drawn[:, :width] - 1.0
    return out


def at_once(n_rest: int, n_front: int) -> int:
    """Probes of a block whose vectors fit the budget."""
    return int(np.clip(BUDGET // (EXPECTED * (3 * n_rest + n_front)), FEWEST, MOST))


def probe(operator: Deflated, z: FloatArray, D: FloatArray, tolerance: float) -> Probed:
    """The log-determinant and its derivatives.

    Parameters
    ----------
    operator : Deflated
    z : (R, N) array
        Signs.
    D : (q_f, q_f, J) array
        Of the front, see `front.shrink`.
    tolerance : float
        See `lanczos`.
    """
    width = at_once(len(z), operator.scaled.pairs.q * operator.scaled.pairs.n_levels)
    parts = [
        _block(operator, operator.orthogonal(z[:, start : start + width]), D, tolerance)
        for start in range(0, z.shape[1], width)
    ]
    blocks = range(len(parts[0].first))
    return Probed(
        np.concatenate([part.log_det for part in parts]),
        [np.concatenate([part.first[k] for part in parts], axis=2) for k in blocks],
        [np.concatenate([part.weighed[k] for part in parts], axis=2) for k in blocks],
        np.concatenate([part.borrowed for part in parts], axis=2),
        max(part.steps for part in parts),
        np.concatenate([part.truncation for part in parts]),
        np.concatenate([part.slow for part in parts], axis=1),
    )


def _block(operator: Deflated, z: FloatArray, D: FloatArray, tolerance: float) -> Probed:
    """The same of a block of probes.

    1. recurrences, their value and K
    2. sums over steps of what Y needs, slow directions (the same for each probe) added
    3. E, and with it all sums over levels
    """
    scaled, pairs = operator.scaled, operator.scaled.pairs
    krylov = lanczos(operator, z, tolerance)  # 1
    value, K = krylov.logarithm()
    value += operator.trace - krylov.square * (krylov.alpha[0] - 1.0)
    K[:, 0, 0] -= krylov.square
    slow, of_slow = operator.slow_part
    mixed_slow = Images(*(np.asarray(one @ of_slow) for one in slow))
    inner = [np.zeros((q, q, n, z.shape[1])) for q, n in pairs.sizes]  # Σ s q'
    outside = [np.zeros((q, q, n, z.shape[1])) for q, n in pairs.sizes]  # Σ q q'
    weighed = [np.zeros((q, q, z.shape[1])) for q, _ in pairs.sizes]  # Σ s s'
    borrowed = np.zeros((pairs.q, pairs.q, z.shape[1]))
    for own, (mixed_q, mixed_s, mixed_h) in _mixed(krylov, K):  # 2
        for k, (sq, qq) in enumerate(zip(outer(own.s, mixed_q, pairs.sizes), outer(own.q, mixed_q, pairs.sizes))):
            inner[k] += sq
            outside[k] += qq
        _add_sums(weighed, own.s, mixed_s, pairs.sizes)
        borrowed += _front_sum(D, own.h, mixed_h)
    for k, (sq, qq) in enumerate(
        zip(outer(slow.s, mixed_slow.q, pairs.sizes), outer(slow.q, mixed_slow.q, pairs.sizes))
    ):
        inner[k] += sq.sum(axis=3, keepdims=True)
        outside[k] += qq.sum(axis=3, keepdims=True)
    of_s = [np.zeros((q, q, slow.s.shape[1])) for q, _ in pairs.sizes]
    _add_sums(of_s, slow.s, mixed_slow.s, pairs.sizes)
    for total, part in zip(weighed, of_s):
        total += part.sum(axis=2, keepdims=True)
    borrowed += _front_sum(D, slow.h, mixed_slow.h).sum(axis=2, keepdims=True)
    first = []
    sums = _front_derivatives(operator, D)  # 3
    for k, (low, inverse, own, lam) in enumerate(zip(scaled.low, scaled.inverse, scaled.own, scaled.lam)):
        E = _own(low, inverse, lam[:, :, 0], inner[k], outside[k])
        turned = np.einsum("ab,bcln,dc->adln", lam[:, :, 0], E, lam[:, :, 0], optimize=True)
        first.append(inner[k].sum(axis=2) + np.einsum("abl,bc,cdln->adn", own, lam[:, :, 0], E, optimize=True))
        borrowed += np.einsum("fgabl,abln->fgn", sums[k], turned, optimize=True)
    log_det = scaled.log_det + operator.log_det + value
    return Probed(log_det, first, weighed, borrowed, len(krylov.V), krylov.truncation(), _found(krylov))


def _mixed(krylov: Krylov, K: FloatArray) -> Iterator[tuple]:
    """The images of every step, and Σ_s K_ts of the images of step s."""
    m = len(krylov.images)
    for t in range(m):
        yield (
            krylov.images[t],
            tuple(sum(K[:, t, s] * krylov.images[s][i] for s in range(m)) for i in range(3)),
        )


def _front_sum(D: FloatArray, h: FloatArray, mixed: FloatArray) -> FloatArray:
    """Σ_j D_j h_j mixed_j' D_j' of every column, (q_f, q_f, k)."""
    q = len(D)
    if not q:
        return np.zeros((0, 0, h.shape[1]))
    if q == 1:
        return np.einsum("j,jk,jk->k", D[0, 0] ** 2, h, mixed)[None, None]
    one, two = (times([D], own).reshape(-1, q, h.shape[1]) for own in (h, mixed))
    return np.einsum("jak,jbk->abk", one, two)


def _add_sums(out: list[FloatArray], A: FloatArray, B: FloatArray, sizes: tuple[tuple[int, int], ...]) -> None:
    """Add Σ_l A_lB_l' of every column, (q, q, k) a block."""
    start = 0
    for total, (q, n) in zip(out, sizes):
        one, two = (C[start : start + q * n].reshape(n, q, -1) for C in (A, B))
        total += np.einsum("lak,lbk->abk", one, two)
        start += q * n


def _own(low: FloatArray, inverse: FloatArray, lam: FloatArray, inner: FloatArray, outside: FloatArray) -> FloatArray:
    """E of every level of a block, (q, q, L, k), from Σ s q' and Σ q q'."""
    moved = np.einsum("ba,bcln->acln", lam, inner) + outside
    B = np.einsum("abl,bcln,cdl->adln", inverse, moved, low, optimize=True)  # (ÃY)_ll
    q = len(B)
    for a in range(q):
        for b in range(a):
            B[a, b] = B[b, a]
    for a in range(q):
        B[a, a] -= 1.0
    return -np.einsum("bal,bcln,cdl->adln", inverse, B, inverse, optimize=True)


def _front_derivatives(operator: Deflated, D: FloatArray) -> list[FloatArray]:
    """Σ_j a_jl' N a_jl for N the symmetric part of D_j[f]'D_j[g]: (q_f, q_f, q, q, L) for every block of the rest."""
    pairs, q = operator.scaled.pairs, operator.scaled.pairs.q
    out = [np.zeros((q, q, own, own, n)) for own, n in pairs.sizes]
    for f in range(q):
        for g in range(f + 1):
            N = D[f][:, None] * D[g][None]
            found: LevelBlocks = pairs.diagonals((N + N.transpose(1, 0, 2)) / 2)
            for k, one in enumerate(found):
                out[k][f, g] = out[k][g, f] = one
    return out


#: eigenvalues of B that are worth a slow direction, and how well they must be known
SLOW, FAST, KNOWN = 0.4, 2.5, 0.3


def _found(krylov: Krylov) -> FloatArray:
    """Ritz vectors far from where the others are, (R, s): of each recurrence those that it knows."""
    w, s = krylov.eigen()
    far = ((w < SLOW) | (w > FAST)) & (np.abs(krylov.beta[-1][:, None] * s[:, -1]) < KNOWN * w) & (w > 0)
    out = [sum(V[:, k] * s[k, t, i] for t, V in enumerate(krylov.V)) for k, i in zip(*np.nonzero(far))]
    return np.stack(out, axis=1) if out else np.zeros((len(krylov.V[0]), 0))


def constants(operator_low: LevelBlocks) -> FloatArray:
    """L'1 of every effect of every block: what the front can make as well, (R, Σ q)."""
    rows = places(operator_low)
    n_rest = rows[-1].stop
    out = np.zeros((n_rest, sum(len(low) for low in operator_low)))
    column = 0
    for low, own in zip(operator_low, rows):
        for a in range(len(low)):
            out[own.start + a : own.stop : len(low), column] = 1.0
            column += 1
    return times(operator_low, out, transpose=True)


def orthonormal(directions: FloatArray, keep: float = 1e-8) -> FloatArray:
    """An orthonormal basis of directions (R, s), those that repeat others left out."""
    size = np.sqrt(np.einsum("rk,rk->k", directions, directions))
    scaled = directions[:, size > 0] / size[size > 0]
    values, vectors = np.linalg.eigh(scaled.T @ scaled)
    good = values > keep * max(float(values.max(initial=0.0)), 1e-300)
    basis, _ = np.linalg.qr(scaled @ vectors[:, good])
    return basis
