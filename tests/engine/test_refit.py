"""Refits: another response on the same design, the other likelihood from the same sums; a fresh fit is the judge."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from designs import KINDS, design
from henderson.engine.criterion import Criterion
from henderson.engine.fit import fit_design, refit
from henderson.engine.many.refits import Refitter
from henderson.engine.sums.response import Columns
from henderson.errors import DataError

#: sums in another order, after a change of y's scale
SUMS = 1e-9
#: two descents to one optimum: deviance; and estimates, whose error is the root of its
DEVIANCE, ESTIMATES = 1e-7, 1e-4
#: standard errors that a bootstrap's replicate may be from its optimum
REPLICATE = 0.03


def other_response(rows, seed=5):
    return rows.y[::-1] + np.random.default_rng(seed).normal(size=rows.n)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_only_the_products_with_y_change(kind, weighted):
    made, rows = design(kind, weighted=weighted)
    new = rows.with_response(1e3 + 50 * other_response(rows))
    before, fresh = Criterion.of(made, rows), Criterion.of(made, new)
    theta = np.random.default_rng(1).normal(size=fresh.blocks.n_theta)
    for columns in (None, Columns.of(rows, before.blocks, before.basis)):  # part by part, and all rows at once
        swapped = before.with_response(new, columns)
        assert swapped.basis.y_scale == pytest.approx(fresh.basis.y_scale, rel=SUMS)
        np.testing.assert_allclose(swapped.basis.beta0, fresh.basis.beta0, rtol=SUMS, atol=SUMS)
        for name in ("xy", "zx", "rx"):
            one, two = getattr(swapped.system.cross, name), getattr(fresh.system.cross, name)
            np.testing.assert_allclose(one, two, rtol=SUMS, atol=1e-7)
        assert swapped.at(theta).deviance == pytest.approx(fresh.at(theta).deviance, abs=DEVIANCE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_factor_is_used_again(kind):
    made, rows = design(kind)
    first = Criterion.of(made, rows)
    theta = np.random.default_rng(1).normal(size=first.blocks.n_theta)
    known = first.at(theta)
    assert known.gradient.size  # its pieces are there, and must not be mistaken for those of another response
    other = first.with_response(rows.with_response(other_response(rows)))
    for criterion in (other, Criterion.of(made, rows, reml=False)):
        shared, own = criterion.at_known(known), criterion.at(theta)
        assert shared.deviance == pytest.approx(own.deviance, abs=DEVIANCE)
        np.testing.assert_allclose(shared.gradient, own.gradient, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(shared.hessian_model, own.hessian_model, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_refit_ends_where_a_fit_does(kind, reml):
    made, rows = design(kind)
    fit, y = fit_design(made, rows, reml=reml), other_response(rows)
    again, fresh = refit(fit, y), fit_design(made, rows.with_response(y), reml=reml)
    assert again.optimum.converged
    assert again.deviance <= fresh.deviance + 1e-6
    if abs(again.deviance - fresh.deviance) < DEVIANCE:
        np.testing.assert_allclose(again.beta, fresh.beta, rtol=ESTIMATES, atol=ESTIMATES)
    back = refit(again, rows.y)
    assert back.deviance <= fit.deviance + 1e-6


@pytest.mark.parametrize("kind", ["slopes", "crossed slopes", "nested"])
def test_the_other_likelihood_needs_no_rows(kind):
    made, rows = design(kind)
    light = fit_design(made, rows).without_rows()
    assert refit(light, reml=False).deviance == pytest.approx(fit_design(made, rows, reml=False).deviance, abs=1e-6)
    with pytest.raises(DataError, match="rows"):
        refit(light, rows.y)


def test_a_saved_fit_refits():
    made, rows = design("crossed slopes")
    fit, y = fit_design(made, rows), other_response(rows)
    loaded = pickle.loads(pickle.dumps(fit))
    assert refit(loaded, y).deviance == pytest.approx(refit(fit, y).deviance, abs=DEVIANCE)


def test_a_response_that_x_explains_is_refused():
    made, rows = design("slopes")
    fit = fit_design(made, rows)
    exact = rows.X @ np.arange(1.0, rows.X.shape[1] + 1) + rows.known
    with pytest.raises(DataError, match="exactly"):
        refit(fit, exact)


def test_replicates_one_by_one_are_close_to_their_optima():
    made, rows = design("crossed slopes")
    fit = fit_design(made, rows)
    y = np.column_stack([rows.y + np.random.default_rng(b).normal(size=rows.n) for b in range(4)])
    found = Refitter(fit, None, 1)(y)
    assert found.converged.all()
    for b in range(4):
        exact = refit(fit, y[:, b])
        error = float(np.sqrt(np.diag(exact.vcov)).min())
        np.testing.assert_allclose(found.beta[b], exact.beta, atol=REPLICATE * error)
        assert found.deviance[b] == pytest.approx(exact.deviance, abs=1e-4)
