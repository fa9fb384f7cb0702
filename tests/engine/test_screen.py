"""Descents from many starts at once: the criterion's derivatives, and the ends of the engine's own descents."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from henderson import lmer
from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.search import others
from henderson.engine.search import search as searching
from henderson.engine.search.cones import cones, frames
from henderson.engine.search.optimize import minimize
from henderson.engine.search.screen import _derivatives, ends, is_cheap
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
    deviance, gradient, hessian, frame = _derivatives(survey, cones(survey.blocks, survey.information), theta)
    for b, one in enumerate(theta):
        point, F = model.at(one), frame[b]
        assert deviance[b] == pytest.approx(point.deviance, abs=1e-8)
        assert gradient[b] == pytest.approx(F.T @ point.gradient, abs=DIFFERENCES)
        moved = [model.at(one + e).gradient - model.at(one - e).gradient for e in 1e-4 * np.eye(len(one))]
        expected = F.T @ (np.array(moved) / 2e-4) @ F
        assert hessian[b] == pytest.approx(expected, rel=DIFFERENCES, abs=10 * DIFFERENCES)


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_step_has_the_length_of_the_change_relative_to_what_is_seen(formula):
    survey = Survey.of(criterion(formula))
    of, rng = cones(survey.blocks, survey.information), np.random.default_rng(4)
    theta, step = 3.0 * rng.normal(size=(5, survey.blocks.n_theta)), 1e-6 * rng.normal(size=survey.blocks.n_theta)
    moved = theta + frames(of, theta) @ step
    for one in of:
        before, after = one.lam(theta), one.lam(moved)
        T = np.linalg.cholesky(before @ before.transpose(0, 2, 1) + np.eye(one.q) / one.a)
        expected = np.linalg.norm(np.linalg.solve(T, after - before), axis=(1, 2))
        np.testing.assert_allclose(expected, np.linalg.norm(step[one.parameters]), rtol=1e-6)


@pytest.mark.parametrize("formula", FORMULAS)
def test_none_ends_above_the_engines_descent(formula):
    model = criterion(formula, seed=3)
    starts = np.random.default_rng(2).normal(size=(6, model.blocks.n_theta))
    theta, deviance = ends(Survey.of(model), starts)
    lowest = min(minimize(model.at, model.at(start)).point.deviance for start in starts)
    assert deviance.min() == pytest.approx(lowest, abs=END)
    for one, value in zip(theta, deviance):
        assert model.at(one).deviance == pytest.approx(value, abs=END)


def few_rows_far_from_zero():
    """14 rows, no fixed intercept, y far from zero: minima of rank one at 6, 36 and 38 degrees, 182.0, 182.4, 179.4."""
    x = [-970, 1939, -296, 529, -59, 1783, 1520, 833, -2004, 252, 884, 1204, -418, 2022]
    g = [6, 3, 2, 3, 0, 0, 4, 4, 4, 2, 7, 7, 4, 4]
    y = [1117.038608, 1062.493631, 1030.006661, 1054.333717, 1020.324198, 984.594769, 1096.308850, 1071.168882,
         1090.625651, 987.190665, 1037.953689, 1100.758067, 1020.986866, 1080.758926]  # fmt: skip
    return pd.DataFrame({"x": x, "g": g, "y": y})


def test_many_low_points_cost_few_descents_of_the_engine(monkeypatch):
    formula, data = "y ~ 0 + x + (x | g)", few_rows_far_from_zero()
    model, again = (Criterion.of(*design_from_formula(formula, data), reml=False) for _ in range(2))
    assert is_cheap(Survey.of(model))
    found = searching.search(model)
    assert found.starts > 1
    for module in (searching, others):
        monkeypatch.setattr(module, "is_cheap", lambda survey: False)
    assert searching.search(again).optimum.point.deviance > found.optimum.point.deviance - END
    assert model.evaluations < again.evaluations


@pytest.mark.filterwarnings("ignore:singular fit")
@pytest.mark.parametrize("seed", range(8))
def test_each_start_ends_in_its_own_basin_in_any_order_of_rows(seed):
    data = few_rows_far_from_zero()
    rows = data.iloc[np.random.default_rng(seed).permutation(len(data))]
    model = Criterion.of(*design_from_formula("y ~ 0 + x + (x | g)", rows), reml=False)
    angles = np.radians([10.0, 20.0, 36.0, 43.0])
    starts = 80.0 * np.column_stack([np.cos(angles), np.sin(angles), 0 * angles])
    assert ends(Survey.of(model), starts)[1].round(3).tolist() == [181.963, 181.963, 182.352, 179.364]
    assert lmer("y ~ 0 + x + (x | g)", rows, REML=False).deviance == pytest.approx(179.364133, abs=1e-5)
