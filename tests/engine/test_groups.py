"""Effects of the rest that meet in groups: the same factor, inverse and traces as by one dense matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from henderson import lmer
from henderson.engine.criterion import Criterion
from henderson.engine.factor import groups as module
from henderson.engine.factor import product
from henderson.engine.factor.groups import Groups
from henderson.engine.factor.rest_dense import DenseComponent, mirrored
from henderson.engine.factor.rest_grouped import GroupedComponent
from henderson.engine.factor.squares import squares
from henderson.engine.moments_at import moments_of

#: one matrix eliminated in two orders
ROUNDING = 1e-10


def ratings(seed: int = 1) -> pd.DataFrame:
    """Students of four departments rate its lecturers, and some who teach in all; schools cross them."""
    rng = np.random.default_rng(seed)
    n, student = 700, rng.integers(100, size=700)
    known = rng.random(n) < 0.3
    lecturer = np.where(known, rng.integers(8, size=n), 8 + 12 * (student % 4) + rng.integers(12, size=n))
    data = pd.DataFrame({"s": student, "d": lecturer, "school": rng.integers(5, size=n), "x": rng.normal(size=n)})
    effects = sum(rng.normal(size=len(data))[data[name]] for name in ("s", "d", "school"))
    return data.assign(y=data["x"] + effects + rng.normal(size=n))


@pytest.fixture
def fitted(monkeypatch):
    """A fit whose rest is in groups, and the component."""
    monkeypatch.setattr(module, "MANY", 10)
    monkeypatch.setattr(module, "LARGEST", 12)
    monkeypatch.setattr(module, "FULL", 1.0)
    monkeypatch.setattr(module, "CALL", 0.0)
    monkeypatch.setattr(module, "MOVED", 0.0)
    monkeypatch.setattr(product, "CALLS", -np.inf)
    fit = lmer("y ~ x + (1 | s) + (1 | d) + (1 | school)", ratings())
    factor = fit.engine.at_optimum().factor
    (part,) = factor.rest.parts
    assert isinstance(part, GroupedComponent)
    return fit, factor, part


def dense_twin(factor) -> DenseComponent:
    return DenseComponent(factor.system.places[0], factor.rest.parts[0].S, factor.rest.lam)


def test_groups_are_apart(fitted):
    part = fitted[2]
    found, S = part.groups, part.full_S
    every = np.sort(np.concatenate([found.core, *found.own]))
    np.testing.assert_array_equal(every, np.arange(len(S)))
    assert len(found.own) == 4  # the departments
    for k, own in enumerate(found.own):
        others = np.concatenate([one for l, one in enumerate(found.own) if l != k])
        assert not S[np.ix_(own, others)].any()
        unmet = np.delete(found.core, found.rows[k])
        assert not S[np.ix_(own, unmet)].any()


def test_the_factor_is_that_of_one_matrix(fitted):
    _, factor, part = fitted
    other, at = dense_twin(factor), factor.system.product.entries[0]
    B = np.random.default_rng(2).normal(size=(len(part.S), 3))
    assert part.log_det == pytest.approx(other.log_det, rel=ROUNDING)
    np.testing.assert_allclose(part.inner(part.half(B)), other.inner(other.half(B)), rtol=ROUNDING)
    np.testing.assert_allclose(part.back(part.half(B)), other.back(other.half(B)), rtol=ROUNDING, atol=ROUNDING)
    np.testing.assert_allclose(part.weigh(B), other.weigh(B), rtol=ROUNDING, atol=ROUNDING)
    np.testing.assert_allclose(part.weights_at(at), other.weights_at(at), rtol=ROUNDING, atol=ROUNDING)
    np.testing.assert_allclose(part.inverse_diagonal, other.inverse_diagonal, rtol=ROUNDING)
    np.testing.assert_allclose(mirrored(part.inverse()), mirrored(other.inverse()), rtol=ROUNDING, atol=ROUNDING)
    np.testing.assert_allclose(part.weight_stack(), other.weight_stack(), rtol=ROUNDING, atol=ROUNDING)


def test_products_with_what_the_rows_say_are_those_of_one_matrix(fitted):
    """Z'V⁻¹Z times effects: S by the front's columns, and as a matrix."""
    factor = fitted[1]
    rng = np.random.default_rng(3)
    parts = [rng.normal(size=(1, 2, one.n_levels)) for one in factor.system.blocks.blocks]
    front, rest = factor.system.blocks.join(parts, [np.arange(2)] * len(parts), 2)
    found, kept = (factor.marginal(parts), factor.bilinear(front, rest)), factor.rest.parts
    factor.rest.parts = [dense_twin(factor)]
    other = factor.marginal(parts), factor.bilinear(front, rest)
    factor.rest.parts = kept
    for one, two in zip(found[0], other[0], strict=True):
        np.testing.assert_allclose(one, two, rtol=ROUNDING, atol=ROUNDING)
    np.testing.assert_allclose(found[1], other[1], rtol=ROUNDING)


def test_sums_of_squares_are_those_of_one_matrix(fitted):
    """tr V⁻¹V_iV⁻¹V_j, and of the tables that come from it."""
    fit, factor, _ = fitted
    found, kept = squares(factor), factor.rest.parts
    factor.rest.parts = [dense_twin(factor)]
    other = squares(factor)
    factor.rest.parts = kept
    assert set(found) == set(other)
    for pair, value in other.items():
        np.testing.assert_allclose(found[pair], value, rtol=ROUNDING)
    # by matrices over the rows
    engine = fit.engine
    Z = [rows.matrix(term.n_levels).toarray() for rows, term in zip(engine.rows.terms, engine.design.terms)]
    inverse = np.linalg.inv(np.eye(engine.n) + sum(lam[0, 0] ** 2 * z @ z.T for z, lam in zip(Z, engine.lam)))
    turned = [z.T @ inverse for z in Z]
    T2 = [[np.vdot(one @ z, one @ z) for z in Z] for one in turned]
    np.testing.assert_allclose(engine.moments_in_user_units.t2, T2, rtol=1e-8)


def test_beside_slopes_too(fitted, monkeypatch):
    """Levels of the front with two effects: the same moments."""
    engine = lmer("y ~ x + (x | s) + (1 | d)", ratings()).engine
    assert isinstance(engine.at_optimum().factor.rest.parts[0], GroupedComponent)
    monkeypatch.setattr(module, "MANY", np.inf)
    other = moments_of(Criterion.of(engine.design, engine.rows), engine.g)
    found = moments_of(engine.criterion, engine.g)
    for name in ("f1", "t1", "f2", "t2"):
        np.testing.assert_allclose(getattr(found, name), getattr(other, name), rtol=1e-8, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("zero", [(56,), (5,), (5, 56)], ids=["d", "school", "both"])
def test_a_variance_may_be_zero(fitted, zero, monkeypatch):
    """Traces without dividing by λ."""
    engine = fitted[0].engine
    monkeypatch.setattr(module, "MANY", np.inf)
    whole = Criterion.of(engine.design, engine.rows)
    theta = engine.at_optimum().theta.copy()
    for block in whole.blocks.blocks:
        if block.n_levels in zero:
            theta[block.parameters] = 0.0
    point, other = engine.criterion.at(theta), whole.at(theta)
    assert isinstance(point.factor.rest.parts[0], GroupedComponent)
    assert not isinstance(other.factor.rest.parts[0], GroupedComponent)
    assert point.deviance == pytest.approx(other.deviance, rel=ROUNDING)
    np.testing.assert_allclose(point.gradient, other.gradient, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(point.hessian_model, other.hessian_model, rtol=1e-8, atol=1e-8)
    for one, two in zip(point.factor.traces[1], other.factor.traces[1]):
        np.testing.assert_allclose(one, two, rtol=1e-9)


def test_groups_that_do_not_pay_are_none():
    n = module.MANY
    row, column = np.tril_indices(n)
    assert Groups.of(row, column, n) is None  # all meet
    assert Groups.of(np.arange(n), np.arange(n), n) is None  # none meet: there is no core
    every = np.arange(n)
    assert Groups.of(np.append(every, every), np.append(every, 0 * every), n) is None  # all calls: all meet the first
