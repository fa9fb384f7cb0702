"""tr V⁻¹V_iV⁻¹V_j where levels have known relationships, from differences of exact traces.

    tr V⁻¹(ZEZ')V⁻¹V_j = −∂/∂g_j tr V⁻¹(ZEZ')

Moving G along uu' for u = e_a and e_a + e_b serves every direction, and stays inside the cone: centred differences
where G is inside, one-sided ones of the same order where it is singular. Two factors a direction, which is what the
columns of a dense product would cost many times over.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

from henderson.engine.factor.front import invertible
from henderson.engine.factor.system import Factor

FloatArray = np.ndarray

#: how far G is moved, relative to the size of uu' in it
STEP = 1e-4


def second_traces(factor: Factor) -> FloatArray:
    """T2 of the G parameters, (k, k)."""
    blocks = factor.system.blocks
    out = np.zeros((blocks.n_g, blocks.n_g))
    for l, block in enumerate(blocks.blocks):
        changes = {}
        for a, b in combinations_with_replacement(range(block.q), 2):
            u = np.zeros(block.q)
            u[[a, b]] = 1.0
            changes[a, b] = _change(factor, l, np.outer(u, u))
        for j, E in zip(block.g_parameters, block.layout.basis()):
            along = [np.zeros((own.q, own.q)) for own in blocks.blocks]
            for (a, b), change in changes.items():
                if a == b:  # E = Σ_a (E_aa − Σ_b≠a E_ab) e_ae_a' + Σ_a<b E_ab (e_a + e_b)(e_a + e_b)'
                    weight = E[a, a] - (E[a].sum() - E[a, a])
                else:
                    weight = E[a, b]
                along = [one + weight * own for one, own in zip(along, change)]
            for own, moved in zip(blocks.blocks, along):
                out[own.g_parameters, j] = -np.einsum("iab,ab->i", own.layout.basis(), moved)
    return (out + out.T) / 2


def _change(factor: Factor, l: int, along: FloatArray) -> list[FloatArray]:
    """∂/∂h of Σ_j (Z'V⁻¹Z)_jj of every block when G of block l is moved by h along."""
    lam, G = factor.lam[l], factor.covariance(l)
    inside = invertible(lam, 1.0, STEP)
    size = float(1.0 / np.einsum("ab,ab->", np.linalg.inv(lam @ lam.T), along)) if inside else 1.0
    h = factor.step(l, along, STEP * size)

    def traces(step: float) -> list[FloatArray]:
        return factor.moved(l, G + step * along).traces[1]

    if inside:
        return [(up - down) / (2 * h) for up, down in zip(traces(h), traces(-h))]
    own, one, two = factor.traces[1], traces(h), traces(2 * h)
    return [(-3 * a + 4 * b - c) / (2 * h) for a, b, c in zip(own, one, two)]
