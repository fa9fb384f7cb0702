"""A θ to try, and the deviance and its gradient there, in the user's units."""

from __future__ import annotations

import numpy as np

from henderson.engine.criterion import Criterion


def theta_for(criterion: Criterion, singular: bool) -> np.ndarray:
    theta = 0.3 + 0.5 * np.random.default_rng(5).normal(size=criterion.blocks.n_theta)
    if singular:
        theta[1:] = 0.0
    return theta


def deviance_and_gradient(criterion: Criterion, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """At a user's θ: half of ∂d/∂λ in the basis is `products`, and λ̃ = T⁻¹λ."""
    point = criterion.at_lam(criterion.lam_of(theta), theta)
    gradient = np.zeros(len(theta))
    for block, T, product_, N in zip(criterion.blocks.blocks, criterion.basis.roots, point.products, point.certificate):
        own, turn = theta[block.parameters], np.linalg.inv(T)
        gradient[block.parameters] = 2.0 * block.layout.pull_back(own, turn.T @ product_, turn.T @ N @ turn)
    return point.deviance, gradient
