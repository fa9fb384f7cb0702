"""Every product of front and rest, and every partition in components, gives one answer."""

from __future__ import annotations

import numpy as np
import pytest

import reference
from at_theta import deviance_and_gradient, theta_for
from designs import KINDS, design
from henderson.engine.criterion import Criterion
from henderson.engine.factor import connected as components
from henderson.engine.factor import product
from henderson.engine.factor.dense_product import DenseProduct
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
