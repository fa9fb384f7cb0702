"""A glance where levels are much alike: one low point is enough, and anything else calls for a survey."""

from __future__ import annotations

import numpy as np
import pytest

from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.search.glance import MOST, glance, is_alone
from henderson.engine.search.look import Look
from henderson.engine.search.lows import ways
from henderson.engine.search.optimize import minimize
from henderson.engine.search.search import search
from henderson.engine.search.survey import Survey

#: deviance by which two ways to one minimum may differ
END = 1e-6


def alike(formula, seed=1, levels=18):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(levels), rng.integers(7, 12, size=levels))
    data = {"g": g, "x": rng.normal(size=len(g)), "h": np.arange(len(g)) % 5}
    effects = rng.normal(size=(2, levels))[:, g]
    data["y"] = rng.normal(size=len(g)) + effects[0] + effects[1] * data["x"] + rng.normal(size=5)[data["h"]]
    return Criterion.of(*design_from_formula(formula, data))


@pytest.mark.parametrize(
    "formula", ["y ~ x + (1 | g)", "y ~ x + (x | g)", "y ~ x + (x || g)", "y ~ x + (x | g) + (1 | h)"]
)
def test_levels_much_alike_need_no_survey(formula):
    model = alike(formula)
    assert Look.of(model).is_mild
    found = search(model)
    assert found.starts == 1
    assert 0 < found.surveyed <= MOST
    rng = np.random.default_rng(0)
    for _ in range(4):
        other = minimize(model.at, model.at(rng.normal(size=model.blocks.n_theta))).point
        assert found.optimum.point.deviance < other.deviance + END


def test_the_points_are_the_criterions_and_the_end_is_next_to_the_lowest():
    model = alike("y ~ x + (x | g)")
    survey, end = Survey.of(model), search(model).optimum.point
    seen = glance(survey)
    for theta, deviance in zip(seen.theta, seen.deviance):
        assert model.at(theta).deviance == pytest.approx(deviance, abs=END)
    assert is_alone(survey, seen, end.theta, end.deviance)
    assert not is_alone(survey, seen, 40.0 * end.theta, end.deviance)  # far from the low point
    assert not is_alone(survey, seen, end.theta, seen.deviance[0] + 1.0)  # something is lower


def test_two_minima_are_not_taken_for_one():
    rng = np.random.default_rng(202)
    y = np.r_[np.round(rng.normal(size=30), 1), np.round(2.2 * rng.normal(size=10), 1)]
    g = np.r_[np.zeros(30, int), np.arange(1, 11)]
    model = Criterion.of(*design_from_formula("y ~ 1 + (1 | g)", {"y": y, "g": g}), reml=False)
    survey = Survey.of(model)
    end = minimize(model.at, model.at(np.array([0.01]))).point  # certified, 26 above the lowest
    assert end.deviance == pytest.approx(160.87, abs=0.01)
    assert not is_alone(survey, glance(survey), end.theta, end.deviance)


def test_a_minimum_at_zero_right_beside_one_inside():
    # 80.4755 inside, 80.3265 with the variance of b:a at zero; the largest level has ten times the rows of the others
    rng = np.random.default_rng(252)
    a, b = np.r_[np.zeros(20, int), np.repeat(np.arange(1, 6), 2)], np.tile([0, 1], 15)
    data = {"y": rng.normal(size=30) + 2 * rng.normal(size=6)[a], "a": a, "b": b}
    model = Criterion.of(*design_from_formula("y ~ 1 + (1 | a/b)", data), reml=False)
    assert search(model).optimum.point.deviance == pytest.approx(80.326525, abs=1e-5)
    assert search(model, np.array([1.0, 1.0])).optimum.point.deviance == pytest.approx(80.326525, abs=1e-5)


def test_low_points_on_a_slope_of_one_basin_are_of_that_basin():
    rng = np.random.default_rng(2)
    g, x = rng.integers(0, 18, 180), rng.normal(size=180)
    found = []
    for _ in range(8):
        effects = rng.normal(size=(2, 18))[:, g]
        data = {"y": effects[0] + 0.5 * effects[1] * x + rng.normal(size=180), "g": g, "x": x}
        model = Criterion.of(*design_from_formula("y ~ x + (x || g)", data))
        end, survey = search(model).optimum.point, Survey.of(model)
        seen = glance(survey)
        found.append((np.count_nonzero(seen.deviance < end.deviance + 30.0), search(model).surveyed <= MOST))
        way = ways(survey, seen.theta[:1], end.theta, 3)[0]
        place = [np.log1p([one.a * t[one.parameters[0]] ** 2 for one in survey.cones]) for t in (*way, end.theta)]
        np.testing.assert_allclose(np.diff(place, axis=0), np.broadcast_to(place[1] - place[0], (3, 2)), atol=1e-8)
    assert (2, True) in found  # two low points, and no survey


def test_many_parameters_are_not_for_a_glance():
    assert glance(Survey.of(alike("y ~ x + (x | g) + (x | h)"))) is None
