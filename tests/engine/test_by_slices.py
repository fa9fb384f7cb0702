"""A large front is evaluated slice by slice, and says what it says as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from henderson import lmer
from henderson.engine.factor import system
from henderson.numerics import small

CLOSE = 1e-9  # relative: the order of sums differs


def table(n=6000, levels=700):
    rng = np.random.default_rng(5)
    g = rng.integers(levels, size=n)
    x, f = rng.standard_normal(n), rng.integers(3, size=n)
    b = rng.standard_normal((levels, 2)) * [1.0, 0.4]
    return {"y": 1 + x + b[g, 0] + b[g, 1] * x + rng.standard_normal(n), "x": x, "f": f.astype(str), "g": g}


@pytest.mark.parametrize("formula", ["y ~ x + f + (x | g)", "y ~ x + (1 | g)", "y ~ x + (1 | g) + (0 + x | g)"])
@pytest.mark.parametrize("reml", [True, False])
def test_the_same_fit(monkeypatch, formula, reml):
    data = table()
    whole = lmer(formula, data, REML=reml)
    with monkeypatch.context() as patch:
        patch.setattr(system, "LARGE", 0)
        patch.setattr(small, "SLICE_BYTES", 1 << 10)
        sliced = lmer(formula, data, REML=reml)
        point = sliced.engine.criterion.at(sliced.engine.criterion.blocks.theta(sliced.engine.near().lam))
        found = point.deviance, point.gradient, point.hessian_model, point.certificate
        assert point.factor.by_slices
        assert not point.factor.front.T.size
        covariances, other = sliced.engine.b_cov(), sliced.refit(data["y"] + data["x"])
    point = whole.engine.criterion.at(point.theta)
    assert not point.factor.by_slices
    for one, expected in zip(found, (point.deviance, point.gradient, point.hessian_model, point.certificate)):
        np.testing.assert_allclose(one, expected, rtol=CLOSE, atol=CLOSE)
    np.testing.assert_allclose(sliced.theta, whole.theta, rtol=1e-7)
    for one, expected in zip(covariances, whole.engine.b_cov()):
        np.testing.assert_allclose(one, expected, rtol=1e-6)
    again = whole.refit(data["y"] + data["x"])
    np.testing.assert_allclose(other.llf, again.llf, rtol=CLOSE)
    np.testing.assert_allclose(other.params, again.params, rtol=1e-7)
