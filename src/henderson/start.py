"""Where a search begins: one scoring step on the variances from λ = I.

V is linear in the entries of G, so a step of average-information scoring from any G is close to a quadratic unbiased estimate
(MINQUE, Rao 1971) with that G as its guess. The step is cut back to a positive definite matrix.
"""

from __future__ import annotations

import numpy as np

from .criterion import Criterion, Evaluation

#: smallest and largest variance that a start may have, relative to the residual's share
FLOOR, CEILING = 0.02, 50.0


def one_step(criterion: Criterion) -> Evaluation:
    """The criterion at the start."""
    blocks = criterion.blocks
    guess = criterion.at(blocks.theta([np.eye(block.q) for block in blocks.blocks]))
    information = guess.information([block.layout.basis() for block in blocks.blocks])
    gradient = np.zeros(blocks.n_theta)
    for block, N in zip(blocks.blocks, guess.certificate):
        gradient[block.parameters] = np.einsum("iab,ab->i", block.layout.basis(), N)
    step = -np.linalg.lstsq(information, gradient, rcond=1e-10)[0]
    lam = []
    for block in blocks.blocks:
        G = np.eye(block.q) + np.tensordot(step[block.parameters], block.layout.basis(), 1)
        values, vectors = np.linalg.eigh(G)
        G = (vectors * np.clip(values, FLOOR, CEILING)) @ vectors.T
        lam.append(block.layout.nearest(G))
    return criterion.at(blocks.theta(lam))

