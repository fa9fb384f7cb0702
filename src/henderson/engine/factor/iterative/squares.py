"""Sums of squares of Q = Z'V⁻¹Z from probes: what tr V⁻¹V_iV⁻¹V_j needs (see `factor.squares`).

    K_kl[a, b, c, d] = Σ_jj' Q_jj'[a, c] Q_jj'[b, d] = E Σ_j (Q(r⊗e_c))_j[a] (Q(r⊗e_d))_j[b]   over signs r of l

Where G may be divided by, Q = G⁻¹ − X with X = G⁻¹WG⁻¹ on the diagonal, and only X's square comes from probes: it is
the small part.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from henderson.engine.factor.front import invertible
from henderson.engine.factor.iterative.probed import signs
from henderson.engine.factor.squares import DIVISIBLE, Sums
from henderson.engine.factor.system import Factor

FloatArray = np.ndarray

#: probes of each effect
PROBES = 16


def squares_by_probes(factor: Factor) -> Sums:
    """K_kl for every pair of blocks, (q_k, q_k, q_l, q_l)."""
    blocks = factor.system.blocks.blocks
    out = {(k, l): np.zeros((a.q, a.q, b.q, b.q)) for k, a in enumerate(blocks) for l, b in enumerate(blocks)}
    traces = factor.traces[1]
    for l, block in enumerate(blocks):
        lam = factor.lam[l]
        divided = invertible(lam, factor.system.cross.n / block.n_levels, DIVISIBLE)
        inverse = np.linalg.inv(lam @ lam.T) if divided else np.zeros_like(lam)
        drawn = _starts(block.n_levels, l + 1)
        count = drawn.shape[1]
        images = []  # of each effect c: Q(r⊗e_c) of every block, (q_k, s, J_k)
        for c in range(block.q):
            start = [np.zeros((other.q, count, other.n_levels)) for other in blocks]
            start[l][c] = drawn.T
            image = factor.marginal(start)
            image[l] = image[l] - inverse[:, c][:, None, None] * drawn.T
            images.append(image)
        for k, c, d in product(range(len(blocks)), range(block.q), range(block.q)):
            out[k, l][:, :, c, d] += np.einsum("asj,bsj->ab", images[c][k], images[d][k]) / count
        if divided:
            n, taken = block.n_levels, block.n_levels * inverse - traces[l]  # Σ_j X_jj
            out[l, l] += n * np.einsum("ac,bd->abcd", inverse, inverse)
            out[l, l] -= np.einsum("ac,bd->abcd", inverse, taken) + np.einsum("ac,bd->abcd", taken, inverse)
    for k in range(len(blocks)):
        for l in range(k):
            both = (out[k, l] + out[l, k].transpose(2, 3, 0, 1)) / 2
            out[k, l], out[l, k] = both, both.transpose(2, 3, 0, 1)
    return out


def _starts(n_levels: int, seed: int) -> FloatArray:
    """Columns r with Σ rr' the number of them times I, (levels, s): signs, or of few levels each one itself."""
    return np.sqrt(n_levels) * np.eye(n_levels) if n_levels <= 2 * PROBES else signs(n_levels, PROBES, seed)
