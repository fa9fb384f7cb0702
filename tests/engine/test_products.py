"""Every product of front and rest, and every partition in components, gives one answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg, sparse

import reference
from at_theta import deviance_and_gradient, theta_for
from designs import KINDS, design
from henderson.engine.criterion import Criterion
from henderson.engine.factor import connected as components
from henderson.engine.factor import product
from henderson.engine.factor.dense_product import DenseProduct
from henderson.engine.factor.iterative import pairs as pairs_module
from henderson.engine.factor.pattern_product import PatternProduct
from henderson.engine.factor.split_product import SplitProduct
from henderson.engine.fit import fit_design
from henderson.engine.moments_at import moments_of


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.mark.parametrize("which", ["crossed", "crossed slopes", "three crossed", "loadings"])
def test_all_products_give_one_answer(which, monkeypatch):
    data = design(which)
    values = []
    monkeypatch.setattr(product, "PATTERN_COST", 0.0)
    monkeypatch.setattr(product, "CALLS", 0.0)
    for stored, dense, kind in ((0, 1e9, DenseProduct), (1e9, 0, PatternProduct), (0, 0, SplitProduct)):
        monkeypatch.setattr(product, "PATTERN_LIMIT", stored)
        monkeypatch.setattr(product, "DENSE_LIMIT", dense)
        criterion = Criterion.of(*data)
        assert isinstance(criterion.system.product, kind)
        theta = theta_for(criterion, singular=False)
        values.append((*deviance_and_gradient(criterion, theta), moments_of(criterion, reference.g_of(data, theta)).t2))
    for answers in zip(*values):
        for other in answers[1:]:
            np.testing.assert_allclose(other, answers[0], rtol=1e-10)


@pytest.mark.parametrize("which", ["nested", "nested slopes", "three levels", "only loadings"])
def test_many_components_give_the_answer_of_one(which, monkeypatch):
    data = design(which, weighted=True)
    values = []
    for small in (1000, 0):
        monkeypatch.setattr(components, "SMALL", small)
        criterion = Criterion.of(*data)
        assert (len(criterion.system.places) == 1 and not criterion.system.places[0].is_batch) == (small > 0)
        for singular in (False, True):
            theta = theta_for(criterion, singular)
            moments = moments_of(criterion, reference.g_of(data, theta))
            values.append((*deviance_and_gradient(criterion, theta), moments.t1, moments.t2, moments.f1, moments.f2))
        values.append(fit_design(*data).b_cov())
    for one, other in zip(values[:3], values[3:]):
        for a, b in zip(one, other):
            np.testing.assert_allclose(a, b, atol=1e-9 * np.abs(a).max())


@pytest.mark.parametrize("density", [0.0, 0.01, 0.2])
@pytest.mark.parametrize("q", [1, 2])
def test_one_piece_is_found_without_a_graph(density, q, monkeypatch):
    """Levels that a few rounds reach from one are in one piece; where they do not reach, the graph says."""
    rng, levels = np.random.default_rng(3), 60
    met = rng.random((80, levels)) < density
    met[rng.integers(80, size=levels), np.arange(levels)] = True  # no level without rows
    pairs = sparse.csr_array(np.repeat(met, q, axis=1).astype(float))
    own = sparse.csr_array(linalg.block_diag(*[np.ones((q, q))] * levels))
    plain = components.components([pairs], own, [(q, levels)])
    monkeypatch.setattr(components, "MANY", 0)
    asked = components.components([pairs], own, [(q, levels)])
    assert [place.shape for place in asked] == [place.shape for place in plain]
    assert (len(plain) == 1) is (density == 0.2)
    assert components._is_reached(pairs, np.repeat(np.arange(levels), q)) is (density == 0.2)


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_squares_are_made_of_some_rows_at_a_time(piece, monkeypatch):
    monkeypatch.setattr(pairs_module, "PIECE", piece)
    rng = np.random.default_rng(4)
    dense = rng.normal(size=(9, 5)) * (rng.random((9, 5)) < 0.4)
    dense[[0, 3, 8]] = 0.0
    v = rng.normal(size=5)
    np.testing.assert_allclose(pairs_module._squared_times(sparse.csr_array(dense), v), dense**2 @ v, atol=1e-14)
