"""How far out a lower minimum can be: nothing beyond is below what is known."""

from __future__ import annotations

import numpy as np
import pytest

from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.search.cones import roots
from henderson.engine.search.far import KNOWN, reach
from henderson.engine.search.survey import Survey

#: rounding of a deviance
ROUNDING = 1e-7


def survey_of(formula, seed, reml):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(14), rng.integers(8, 20, size=14))
    data = {"g": g, "x": rng.normal(size=len(g)), "z": rng.normal(size=len(g)), "h": rng.integers(0, 9, len(g))}
    effects = rng.normal(size=(2, 14))[:, g]
    data["y"] = effects[0] + 0.5 * effects[1] * data["x"] + rng.normal(size=9)[data["h"]] + rng.normal(size=len(g))
    return Survey.of(Criterion.of(*design_from_formula(formula, data), reml=reml))


def drawn(survey, far, which, rng):
    """θ of which one covariance has a variance of more than `far` along some direction, and the others any."""
    theta = np.zeros((200, survey.blocks.n_theta))
    for i, one in enumerate(survey.cones):
        direction = np.linalg.qr(rng.normal(size=(200, one.q, one.q)))[0]
        values = rng.uniform(0.0, 12.0, size=(200, one.q)) * rng.integers(0, 2, size=(200, one.q))
        if i == which:
            values[:, 0] = far + rng.exponential(1.0, size=200)
        G = (direction * (np.expm1(values) / one.a)[:, None]) @ direction.transpose(0, 2, 1)
        theta[:, one.parameters] = roots(G)
    return theta


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(
    "formula", ["y ~ x + (x | g)", "y ~ 1 + (x || g)", "y ~ x + (1 | g) + (1 | h)", "y ~ x + (x + z | g)"]
)
def test_nothing_further_out_is_lower_than_what_is_known(formula, reml):
    rng, closed = np.random.default_rng(7), 0
    for seed in range(3):
        survey = survey_of(formula, seed, reml)
        known = np.zeros((len(KNOWN), survey.blocks.n_theta))
        known[:, survey.blocks.standard_deviations[0]] = KNOWN[:, None]
        lowest, found = survey.deviances(known).min(), reach(survey, survey.cones)
        for which, (far, proven) in enumerate(zip(found.ends, found.closed)):
            if proven:
                closed += 1
                assert survey.deviances(drawn(survey, far, which, rng)).min() > lowest - ROUNDING
    assert closed  # it says something


def test_the_parts_of_a_deviance_rise_and_fall():
    survey = survey_of("y ~ x + (x | g) + (1 | h)", 1, True)
    theta = np.random.default_rng(0).normal(size=(20, survey.blocks.n_theta))
    rising, falling = survey.parts(theta)
    larger_rising, larger_falling = survey.parts(1.2 * theta)
    assert (larger_rising >= rising).all()
    assert (larger_falling <= falling).all()
    apart = survey.deviances(theta) - (rising + survey.nu * falling)
    np.testing.assert_allclose(apart, apart[0], atol=ROUNDING)


def test_effects_that_explain_every_row_are_looked_for_far_out():
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(11), [3, *[2] * 10])
    data = {"y": rng.normal(size=23), "x": rng.normal(size=23), "g": g}
    data["y"][2] = data["y"][:2] @ np.linalg.solve([[1, 1], data["x"][:2]], [1, data["x"][2]])  # three on a line
    survey = Survey.of(Criterion.of(*design_from_formula("y ~ 1 + (x | g)", data)))
    found = reach(survey, survey.cones)
    assert not found.closed[0]
    assert found.ends[0] > 15.0
