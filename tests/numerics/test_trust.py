"""Steps within a radius: none is better of many, and what is promised is what the quadratic model says."""

from __future__ import annotations

import numpy as np
import pytest

from henderson.numerics.trust import trust_steps

#: share of the radius by which a step may be longer, and of the decrease that it may miss: where the gradient along the
#: direction that leads down is rounding, what is left of it is divided by little
LEFT = 1e-6


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("hard", [False, True])
def test_no_point_on_the_sphere_or_inside_is_lower(k, hard):
    rng = np.random.default_rng(k)
    hessian = rng.normal(size=(30, k, k)) * 10 ** rng.uniform(-2, 2, size=(30, 1, 1))
    hessian = hessian + hessian.transpose(0, 2, 1)
    gradient, radius = rng.normal(size=(30, k)), 10 ** rng.uniform(-2, 1, size=30)
    if hard:  # nothing along the direction that leads down most
        lowest = np.linalg.eigh(hessian)[1][:, :, 0]
        gradient -= lowest * (lowest * gradient).sum(axis=1)[:, None]
    step, promised = trust_steps(gradient, hessian, radius)
    assert (np.linalg.norm(step, axis=1) <= radius * (1 + LEFT)).all()

    def decrease(s):
        return -(np.einsum("bk,...bk->...b", gradient, s) + 0.5 * np.einsum("...bk,bkl,...bl->...b", s, hessian, s))

    np.testing.assert_allclose(decrease(step), promised, rtol=LEFT, atol=LEFT)
    direction = rng.normal(size=(500, 30, k))
    direction *= (rng.uniform(size=(500, 30)) ** (1 / k) / np.linalg.norm(direction, axis=2))[:, :, None]
    nearby = step + 1e-3 * radius[:, None] * rng.normal(size=(500, 30, k))
    nearby *= np.minimum(1.0, radius / np.linalg.norm(nearby, axis=2))[:, :, None]
    for others in (direction * radius[:, None], nearby):
        assert (decrease(others).max(axis=0) <= promised * (1 + LEFT) + LEFT).all()
