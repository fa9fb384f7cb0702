"""Levels that are alike are added up, and told apart in whichever way is cheaper."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from henderson.engine.search import kinds


@pytest.mark.parametrize("scale", [1.0, 1e-299])
@pytest.mark.parametrize("n_rest", [0, 3])
def test_kinds_told_apart_without_order_are_those_in_order(n_rest, scale, monkeypatch):
    """A a percent apart; where percents are too many for 16 bits, too."""
    rng, n_levels = np.random.default_rng(2), 900
    zz = np.where(rng.random(n_levels) < 0.1, scale, 1.0) * rng.integers(1, 30, n_levels)
    zr = [sparse.csr_array(rng.poisson(1.0, (n_levels, n_rest)).astype(float))] if n_rest else []
    cross = SimpleNamespace(
        zz=zz[None, None], zx=rng.normal(size=(1, 3, n_levels)), zr=zr, rx=np.zeros((n_rest, 3)), p=2
    )
    in_order = kinds.kinds_of(cross, apart=False)
    monkeypatch.setattr(kinds, "MANY", 0)
    found = kinds.kinds_of(cross, apart=False)
    for one, other in zip(found, in_order):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    every = kinds.kinds_of(cross, apart=True)
    np.testing.assert_allclose(every[2].sum(axis=0), found[2].sum(axis=0), rtol=1e-12)
    assert found[1].sum() == every[1].sum() == n_levels
