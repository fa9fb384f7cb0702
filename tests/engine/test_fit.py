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
from henderson.engine.fit import fit_design
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.errors import DataError
from oracle_data import load_oracle

EXACT = 1e-10  # relative; two ways of computing one number


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


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


def test_the_lower_of_two_minima():
    """57 rows, 3 and 3 correlated effects: one basin ends, certified, 0.9 above the other; lme4 ends between them."""
    table = load_oracle("two_minima")
    data = {name: np.asarray(column) for name, column in table["data"].items()}
    fit = fit_design(*design_from_formula("y ~ f * x + (f * x | g) + (x + z | h)", data))
    assert fit.deviance < table["deviance"] + 1e-6
