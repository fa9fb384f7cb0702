"""Descents from many starts at once: the criterion's derivatives, and the ends of the engine's own descents."""

from __future__ import annotations

import numpy as np
import pytest

from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.search import search as searching
from henderson.engine.search.optimize import minimize
from henderson.engine.search.screen import STEP, _derivatives, ends, is_cheap
from henderson.engine.search.survey import Survey

#: central differences with steps of a thousandth, of derivatives of the order of ten to a thousand
DIFFERENCES = 1e-4
#: deviance that two descents to one minimum may differ by
END = 1e-6

FORMULAS = ["y ~ x + (x | g)", "y ~ x + (x || g) + (1 | h)", "y ~ x + (1 | g) + (1 | h)"]


def criterion(formula, reml=True, seed=0):
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, 5, 40), rng.integers(0, 4, 40)
    data = {"y": rng.normal(size=40) + 0.5 * rng.normal(size=5)[g], "x": rng.normal(size=40), "g": g, "h": h}
    design, rows = design_from_formula(formula, data)
    return Criterion.of(design, rows, reml=reml)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("formula", FORMULAS)
def test_differences_are_the_derivatives(formula, reml):
    model = criterion(formula, reml)
    survey = Survey.of(model)
    theta = np.random.default_rng(1).normal(size=(4, model.blocks.n_theta))
    deviance, gradient, hessian = _derivatives(survey, theta, np.full(theta.shape, STEP))
    for b, one in enumerate(theta):
        point = model.at(one)
        assert deviance[b] == pytest.approx(point.deviance, abs=1e-8)
        assert gradient[:, b] == pytest.approx(point.gradient, abs=DIFFERENCES)
        moved = [model.at(one + e).gradient - model.at(one - e).gradient for e in STEP * np.eye(len(one))]
        assert hessian[:, :, b] == pytest.approx(np.array(moved) / (2 * STEP), rel=DIFFERENCES, abs=10 * DIFFERENCES)


@pytest.mark.parametrize("formula", FORMULAS)
def test_none_ends_above_the_engines_descent(formula):
    model = criterion(formula, seed=3)
    starts = np.random.default_rng(2).normal(size=(6, model.blocks.n_theta))
    theta, deviance = ends(Survey.of(model), starts)
    lowest = min(minimize(model.at, model.at(start)).point.deviance for start in starts)
    assert deviance.min() == pytest.approx(lowest, abs=END)
    for one, value in zip(theta, deviance):
        assert model.at(one).deviance == pytest.approx(value, abs=END)


def test_several_low_points_cost_few_descents_of_the_engine(monkeypatch):
    model, again = (criterion("y ~ x + (x | g)", seed=4) for _ in range(2))
    assert is_cheap(Survey.of(model))
    found = searching.search(model)
    assert found.starts > 1
    monkeypatch.setattr(searching, "is_cheap", lambda survey: False)
    assert searching.search(again).optimum.point.deviance == pytest.approx(found.optimum.point.deviance, abs=END)
    assert model.evaluations < again.evaluations
