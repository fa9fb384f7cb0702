"""Components of which no two are alike: by scores what sums by pattern give, and in a whole fit what single fits do."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.design.from_formula import design_from_formula
from henderson.engine.many import pieces as pieces_module
from henderson.engine.many import unlike_components
from henderson.engine.many.components import components
from henderson.engine.many.pieces import Responses, pieces, x_forms
from henderson.engine.many.small_components import PatternProducts
from henderson.engine.many.unlike_components import ScoreProducts
from henderson.numerics.newton import minimize_batch

#: sums of the same products in another order
RTOL, ATOL = 1e-10, 1e-10
#: two searches that end at the same optimum
FIT = 1e-6

FORMULAS = [
    "~ x + (1 + x | g)",
    "~ x + (1 | g) + (0 + x | g)",
    "~ x + I(x**2) + (1 + x + I(x**2) | g)",
    "~ x + (1 | g)",
    "~ 0 + x + (0 + x | g)",
]


def problem(many: int = 5, n_groups: int = 9) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(8)
    g = np.sort(np.concatenate([np.arange(n_groups).repeat(3), rng.integers(n_groups, size=40)]))
    x = rng.standard_normal(len(g))
    effects = rng.standard_normal((n_groups, 2, many))
    Y = 1 + effects[g, 0] + effects[g, 1] * x[:, None] + rng.standard_normal((len(g), many))
    return pd.DataFrame({"x": x, "g": g}), Y


def at_roots(formula: str, monkeypatch, alike: float, reml: bool):
    """Everything at some roots, and the kind of products it came from."""
    monkeypatch.setattr(unlike_components, "ALIKE", alike)
    data, Y = problem()
    design, rows = design_from_formula("y" + formula, data.assign(y=Y[:, 0]))[:2]
    parts = components(design, rows, np.ones(rows.X.shape[1], bool))
    responses = Responses.of(parts, Y)
    theta = np.random.default_rng(2).uniform(0.3, 1.2, (parts.layout.n_theta, Y.shape[1]))
    root = parts.layout.lam(theta)
    v = np.random.default_rng(3).standard_normal((parts.p, Y.shape[1]))
    kinds = {type(one) for one in responses.products}
    return pieces(parts, responses, root, reml=reml), x_forms(parts, responses, root, v), kinds


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("together", [unlike_components.TOGETHER, 12])
def test_scores_give_what_patterns_do(formula, reml, together, monkeypatch):
    monkeypatch.setattr(unlike_components, "TOGETHER", together)
    found, forms, kinds = at_roots(formula, monkeypatch, np.inf, reml)
    assert kinds == {ScoreProducts}
    expected, expected_forms, kinds = at_roots(formula, monkeypatch, 0, reml)
    assert kinds == {PatternProducts}
    for field in fields(found):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        np.testing.assert_allclose(one, other, rtol=RTOL, atol=ATOL, err_msg=field.name)
    np.testing.assert_allclose(forms, expected_forms, rtol=RTOL, atol=ATOL)


@pytest.mark.filterwarnings("ignore::henderson.errors.SingularMatrixWarning")
@pytest.mark.parametrize("formula", FORMULAS[:4])
def test_each_response_is_fitted_as_by_itself(formula):
    data, Y = problem()
    found = henderson.fit_many(formula, data, Y)
    assert found.converged.all()
    for b in range(Y.shape[1]):
        fit = henderson.lmer("y" + formula, data.assign(y=Y[:, b]))
        assert found.deviance[b] == pytest.approx(fit.deviance, abs=FIT)
        np.testing.assert_allclose(found.estimate[b], fit.params, rtol=FIT, atol=FIT)
        np.testing.assert_allclose(found.se[b], fit.bse, rtol=1e-4)
        np.testing.assert_allclose(found.df[b], fit.summary().coefficients["df"], rtol=1e-3)


def test_what_suits_them():
    """Unlike components of few effects, and more than one response."""
    data, Y = problem()
    alike = pd.DataFrame({"x": np.tile(np.arange(8.0), 8), "g": np.repeat(np.arange(8), 8)})
    kinds = {}
    for name, table, y in (("unlike", data, Y), ("one response", data, Y[:, :1]), ("alike", alike, Y[:64])):
        design, rows = design_from_formula("y ~ x + (x | g)", table.assign(y=y[:, 0]))[:2]
        kinds[name] = [type(one) for one in Responses.of(components(design, rows, np.ones(2, bool)), y).products]
    assert kinds == {"unlike": [ScoreProducts], "one response": [PatternProducts], "alike": [PatternProducts]}


def test_a_short_last_step_is_taken_untried():
    """The minimum of a quartic in each member: as far as with the last step tried, in one evaluation less."""
    target = np.array([0.3, -0.2, 2.0])

    def evaluate(x, members):
        gap = x[0] - target[members]
        return gap**2 + gap**4, (2 * gap + 4 * gap**3)[None], (2 + 12 * gap**2)[None, None]

    tried, untried = (minimize_batch(evaluate, np.zeros((1, 3)), trust=trust) for trust in (False, True))
    assert untried.converged.all()
    assert untried.evaluations < tried.evaluations
    np.testing.assert_allclose(untried.x, target[None], atol=1e-9)


def test_components_that_are_drawn_are_of_one_response():
    data, Y = problem()
    design, rows = design_from_formula("y ~ x + (x | g)", data.assign(y=Y[:, 0]))[:2]
    parts = components(design, rows, np.ones(2, bool))
    (products,) = Responses.of(parts, Y).products
    with pytest.raises(ValueError, match="one response"):
        pieces_module.at_root(parts.shapes[0], products, np.ones((2, 2, 5)), np.ones((9, 5)))
