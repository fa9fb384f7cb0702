"""The engine against the model's definition in n × n algebra (`reference`), and its own promises."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import reference
from designs import KINDS, N, design
from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.factor import connected as components
from henderson.engine.factor import product
from henderson.engine.factor.dense_product import DenseProduct
from henderson.engine.factor.pattern_product import PatternProduct
from henderson.engine.factor.split_product import SplitProduct
from henderson.engine.fit import fit_design
from henderson.engine.moments_at import moments_of
from henderson.engine.search.moment_estimate import moment_covariances
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.errors import DataError
from oracle_data import load_oracle

EXACT = 1e-10  # relative; two ways of computing one number
DIFFERENCES = 2e-6  # central differences with step 1e-5


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


def theta_for(criterion: Criterion, singular: bool) -> np.ndarray:
    theta = 0.3 + 0.5 * np.random.default_rng(5).normal(size=criterion.blocks.n_theta)
    if singular:
        theta[1:] = 0.0
    return theta


def differences(function, theta: np.ndarray, step: float = 1e-5) -> np.ndarray:
    return np.array([(function(theta + h) - function(theta - h)) / (2 * step) for h in step * np.eye(len(theta))])


def deviance_and_gradient(criterion: Criterion, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """At a user's θ: half of ∂d/∂λ in the basis is `products`, and λ̃ = T⁻¹λ."""
    point = criterion.at_lam(criterion.lam_of(theta), theta)
    gradient = np.zeros(len(theta))
    for block, T, product_ in zip(criterion.blocks.blocks, criterion.basis.roots, point.products):
        own = theta[block.parameters]
        gradient[block.parameters] = 2.0 * block.layout.pull_back(own, np.linalg.solve(T.T, product_))
    return point.deviance, gradient


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("singular", [True, False])
def test_deviance_and_gradient(kind, reml, singular):
    data = design(kind, weighted=reml)
    criterion = Criterion.of(*data, reml=reml)
    theta = theta_for(criterion, singular)
    deviance, gradient = deviance_and_gradient(criterion, theta)
    np.testing.assert_allclose(deviance, reference.deviance(data, theta, reml), rtol=1e-12)
    tolerance = DIFFERENCES * np.abs(gradient).max()
    np.testing.assert_allclose(gradient, differences(criterion.deviance, theta), atol=tolerance)


@pytest.mark.parametrize("singular", [True, False])
def test_moments(kind, singular):
    data = design(kind, weighted=not singular)
    criterion = Criterion.of(*data)
    g = reference.g_of(data, theta_for(criterion, singular))
    ours, theirs = moments_of(criterion, g), reference.moments(data, g)
    for name in ("f0", "f1", "f2", "t1", "t2"):
        expected = getattr(theirs, name)
        np.testing.assert_allclose(getattr(ours, name), expected, atol=EXACT * np.abs(expected).max(), err_msg=name)
    np.testing.assert_allclose([ours.log_det, ours.r2], [theirs.log_det, theirs.r2], rtol=EXACT)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("reml", [True, False])
def test_fit_is_a_certified_optimum(kind, reml, seed):
    data = design(kind, seed=seed, weighted=reml)
    fit = fit_design(*data, reml=reml)
    assert fit.optimum.converged
    assert fit.optimum.boundary_gain < 1e-9  # deviance; what the boundary's most negative direction still promises
    value = reference.deviance(data, fit.theta, reml)
    np.testing.assert_allclose(fit.deviance, value, rtol=1e-12)
    rng = np.random.default_rng(seed)
    for scale in (1e-3, 1e-2, 0.1, 1.0):  # nothing near or far is lower
        for _ in range(5):
            other = fit.theta + scale * rng.normal(size=len(fit.theta))
            assert reference.deviance(data, other, reml) > value - 1e-8


def test_modes_and_their_covariances(kind):
    data = design(kind, weighted=True)
    fit = fit_design(*data)
    covariances = fit.b_cov()
    for k, (modes, covariance) in enumerate(reference.modes(data, fit.theta, True)):
        np.testing.assert_allclose(fit.b[k], modes, atol=EXACT * max(np.abs(modes).max(), fit.sigma))
        np.testing.assert_allclose(covariances[k], covariance, atol=EXACT * fit.sigma**2)


def test_cross_products_of_parts_add_up(kind):
    data = design(kind, weighted=True)
    rows = data.rows
    blocks = Blocks.of(data.design.terms, [rows])
    basis = Basis.of(data.design, [rows], blocks)
    whole = CrossProducts.of(data.design, [rows], blocks, basis)
    cuts = [0, 17, 64, N]
    parts = [CrossProducts.of(data.design, [rows[slice(*cut)]], blocks, basis) for cut in pairwise(cuts)]
    total = parts[0] + parts[1] + parts[2]
    assert total.n == whole.n
    np.testing.assert_allclose(total.log_weights, whole.log_weights, rtol=1e-12)
    for name in ("xy", "zz", "zx", "rx"):
        np.testing.assert_allclose(getattr(total, name), getattr(whole, name), atol=1e-11, err_msg=name)
    np.testing.assert_allclose(total.rr.toarray(), whole.rr.toarray(), atol=1e-11)
    assert len(total.zr) == len(whole.zr)
    for one, other in zip(total.zr, whole.zr):
        np.testing.assert_allclose(one.toarray(), other.toarray(), atol=1e-11)
        assert np.array_equal(one.indices, total.zr[0].indices)


@pytest.mark.parametrize("which", ["crossed", "crossed slopes", "three crossed", "loadings"])
def test_all_products_give_one_answer(which, monkeypatch):
    data = design(which)
    values = []
    monkeypatch.setattr(product, "PATTERN_COST", 0.0)
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


def test_moment_estimate_solves_the_moment_equations(kind):
    """Its equations, written with V_i = ∂V/∂G_i over the rows: e'V_ie = σ²(tr V_i + Σ_l G_l tr V_iV_l)."""
    data = design(kind, weighted=False)
    rows = data.rows
    blocks = Blocks.of(data.design.terms, [rows])
    basis = Basis.of(data.design, [rows], blocks)
    cross = CrossProducts.of(data.design, [rows], blocks, basis)
    found = moment_covariances(blocks, cross)
    V = reference.derivatives(data)
    y = rows.response
    e = y - rows.X @ np.linalg.lstsq(rows.X, y, rcond=None)[0]
    k = len(V)
    left = np.ones((k + 1, k + 1)) * N
    left[:k, :k] = np.einsum("iab,jba->ij", V, V)
    left[k, :k] = left[:k, k] = np.einsum("iaa->i", V)
    solution = np.linalg.lstsq(left, np.append(np.einsum("a,iab,b->i", e, V, e), e @ e), rcond=None)[0]
    expected = solution[:k] / max(solution[k], 1e-2 * (e @ e) / N)
    user = [T @ G @ T.T for T, G in zip(basis.roots, found)]
    np.testing.assert_allclose(blocks.theta(user), expected, atol=1e-7 * np.abs(expected).max())


def test_a_start_changes_nothing_but_the_path(kind):
    data = design(kind)
    fit = fit_design(*data)
    again = fit_design(*data, start=fit.theta)
    np.testing.assert_allclose(again.deviance, fit.deviance, atol=1e-8)
    with pytest.raises(ValueError, match="start has"):
        fit_design(*data, start=np.ones(40))
    with pytest.raises(ValueError, match="not finite"):
        fit_design(*data, start=np.full(len(fit.theta), np.nan))


def test_a_start_in_other_units_is_only_a_start():
    """θ = 10⁶ once counted as an optimum: out there the deviance is flat to its rounding."""
    import henderson

    sleepstudy = henderson.datasets.load("sleepstudy")
    formula = "Reaction ~ Days + (Days | Subject)"
    best = henderson.lmer(formula, sleepstudy).deviance
    for size in (1e3, 1e6, 1e8):
        assert henderson.lmer(formula, sleepstudy, start=[size, 0.0, size]).deviance == pytest.approx(best, abs=1e-7)


def test_a_fit_pickles_and_computes_on(kind):
    fit = fit_design(*design(kind))
    again = pickle.loads(pickle.dumps(fit))
    for one, other in zip(again.b_cov(), fit.b_cov()):
        np.testing.assert_allclose(one, other, atol=1e-12)


def with_columns(data, X, *names):
    return replace(data.design, x_names=(*data.design.x_names, *names)), replace(data.rows, X=X)


def test_redundant_columns_are_left_out():
    data = design("slopes")
    x = data.rows.X
    X = np.column_stack([x, x[:, 1] * 3 - x[:, 0] * 2, np.full(N, 4.0)])
    fit, narrow = fit_design(*with_columns(data, X, "copy", "constant")), fit_design(*data)
    assert fit.kept.tolist() == [True, True, True, False, False]
    np.testing.assert_allclose(fit.beta[:3], narrow.beta, rtol=1e-9)
    assert np.isnan(fit.beta[3:]).all()
    np.testing.assert_allclose(fit.vcov, narrow.vcov, rtol=1e-9)


def test_a_nearly_redundant_column_is_kept():
    data = design("slopes")
    close = data.rows.X[:, 1] + 1e-5 * np.random.default_rng(0).normal(size=N)
    fit = fit_design(*with_columns(data, np.column_stack([data.rows.X, close]), "close"))
    assert fit.kept.all()


def test_a_perfect_response_is_refused():
    data = design("slopes")
    with pytest.raises(DataError, match="explain y exactly"):
        fit_design(data.design, replace(data.rows, y=data.rows.X @ [1.0, 2.0, 3.0], offset=None))


def test_an_evaluation_does_not_change_with_later_ones():
    criterion = Criterion.of(*design("crossed slopes"))
    theta = theta_for(criterion, singular=False)
    point = criterion.at(theta)
    criterion.at(theta * 2)  # workspace shared between points once made this one's gradient wrong
    np.testing.assert_array_equal(point.gradient, criterion.at(theta).gradient)


def test_the_lower_of_two_minima():
    """57 rows, 3 and 3 correlated effects: one basin ends, certified, 0.9 above the other; lme4 ends between them."""
    table = load_oracle("two_minima")
    data = {name: np.asarray(column) for name, column in table["data"].items()}
    fit = fit_design(*design_from_formula("y ~ f * x + (f * x | g) + (x + z | h)", data))
    assert fit.deviance < table["deviance"] + 1e-6
