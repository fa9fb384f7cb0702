"""The lowest minimum of models with correlated effects: wherever it is, and in whatever order the rows are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import eigh, logm

from henderson import lmer
from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.fit import fit_design
from henderson.engine.search.lattice import RADIUS, lattice, positions
from henderson.engine.search.look import Look
from henderson.engine.search.lows import _apart, elsewhere, lows, roots
from henderson.engine.search.optimize import minimize
from henderson.engine.search.rank_one import LOWEST
from henderson.engine.search.screen import ends
from henderson.engine.search.survey import Survey

#: deviance by which two descents to one minimum may differ
END = 1e-6

WEIGHTED = {
    "x": [823, 210, 810, -804, 496, -405, -1000, 474, 1153, -222, 687, -1045, -566, 639, -513, -555, 457, 906, -57,
          -1658, 662, -421, 2313, 269, -1761, -63, -757, -315, 331, -293],
    "z": [-57, -35, -61, -75, 84, 103, -45, 43, -79, -7, -21, 47, 106, 109, -28, -22, -5, -6, -87, 25, -60, 53, -62,
          39, 69, -100, 26, -53, -67, -63],
    "g": [2, 2, 2, 0, 0, 0, 2, 0, 0, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 2, 2, 1, 1, 0],
    "h": [2, 0, 0, 2, 0, 2, 2, 2, 1, 0, 1, 0, 0, 0, 2, 2, 2, 0, 1, 0, 0, 0, 1, 1, 2, 0, 1, 0, 2, 0],
    "y": [0.587, 0.324, -1.284, -0.985, 0.112, 0.009, -1.295, -0.419, 1.823, -0.579, 1.372, 1.703, -1.036, 0.622,
          -0.248, -0.124, -0.448, -0.164, -0.787, 0.669, 0.78, 0.282, -0.53, 0.155, -0.096, 0.518, 0.155, -0.231,
          2.733, 0.66],
    "w": [1.33, 2.37, 0.31, 0.31, 3.37, 6.51, 1.77, 1.53, 2.51, 0.78, 2.91, 13.12, 1.54, 1.49, 1.4, 1.87, 0.83, 0.84,
          2.24, 0.74, 0.8, 0.58, 8.91, 0.93, 0.69, 0.15, 1.94, 2.06, 4.34, 0.89],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:singular fit")
@pytest.mark.parametrize("unit", [1.0, 1e-3])
def test_the_order_of_the_rows_does_not_decide_between_two_minima(unit):
    # both singular and certified, half a unit of deviance apart; one descent in ten ends in the lower
    data = pd.DataFrame(WEIGHTED)
    data["z"] = unit * data["z"]
    found = []
    for seed in range(6):
        rows = data.iloc[np.random.default_rng(seed).permutation(len(data))]
        found.append(lmer("y ~ x + z + (1 | h) + (z | g)", rows, weights=rows["w"].to_numpy()).deviance)
    assert np.ptp(found) < END
    assert found[0] - 2 * np.log(unit) == pytest.approx(122.907234, abs=1e-5)


def at_odds(seed):
    """One large group with little noise, and small ones with much."""
    rng = np.random.default_rng(seed)
    sizes = np.r_[rng.integers(20, 60), rng.integers(1, 4, size=rng.integers(6, 12))]
    g = np.repeat(np.arange(len(sizes)), sizes)
    data = {"x": rng.normal(size=len(g)), "g": g}
    data["y"] = (rng.normal(size=len(g)) + 2 * rng.normal(size=len(sizes))[g]) * np.where(g == 0, 0.2, 1.0)
    return data


def test_a_minimum_at_a_large_covariance_of_one_direction():
    # 58 residual standard deviations along one direction; from two of 450 random starts a descent ends there
    fit = lmer("y ~ x + (x | g)", at_odds([91, 28, 7]), REML=False)
    assert fit.deviance == pytest.approx(80.094359, abs=1e-5)


def test_a_lattice_is_even():
    points = lattice(((2, 5),), 1000)
    place = positions(points.values[0], points.vectors[0])
    distance = np.sqrt(((place[:, None] - place) ** 2).sum(axis=2))
    assert np.sort(distance, axis=1)[:, 1].max() < RADIUS  # nobody is alone
    assert np.sort(distance, axis=1)[:, 1].min() > 0.6  # nor crowded
    assert (points.values[0].min(axis=1) == 0).sum() > 20  # covariances of rank one are there


def test_a_lattice_finds_the_bottoms_of_a_function():
    points = lattice(((2, 6),), 1000)
    place = positions(points.values[0], points.vectors[0])
    bottoms = place[[20, 150]]
    value = np.min([((place - bottom) ** 2).sum(axis=1) + i for i, bottom in enumerate(bottoms)], axis=0)
    assert points.low(10 * value).tolist()[:2] == [20, 150]  # and what is lowest of a face beside them


def test_a_plateau_has_one_low_point():
    points = lattice(((1, 4), (1, 4)), 100)
    assert points.low(np.zeros(25)).tolist()[0] == 0
    assert len(points.low(np.zeros(25))) <= 4  # the first of each face


@pytest.mark.parametrize("q", [1, 2, 3])
def testroots_of_singular_covariances_too(q):
    rng = np.random.default_rng(q)
    for rank in range(q + 1):
        half = rng.normal(size=(5, q, rank))
        G = half @ half.transpose(0, 2, 1)
        lam = np.zeros((5, q, q))
        column, row = np.triu_indices(q)
        lam[:, row, column] = roots(G)
        np.testing.assert_allclose(lam @ lam.transpose(0, 2, 1), G, atol=1e-6)


@pytest.mark.parametrize("formula", ["y ~ x + (x | g)", "y ~ 1 + (x | g) + (1 | h)"])
def test_low_points_are_where_the_criterion_says(formula):
    data = at_odds(3)
    data["h"] = np.arange(len(data["y"])) % 3
    criterion = Criterion.of(*design_from_formula(formula, data))
    survey = Survey.of(criterion)
    seen = lows(survey)
    assert seen.surveyed > 100
    assert (np.diff(seen.deviance) >= -END).all()
    for theta, deviance in zip(seen.theta, seen.deviance):
        assert criterion.at(theta).deviance == pytest.approx(deviance, abs=END)


def test_distances_of_covariances_are_those_of_their_logarithms_and_of_their_ratios():
    data = at_odds(3)
    data["h"] = np.arange(len(data["y"])) % 3
    survey = Survey.of(Criterion.of(*design_from_formula("y ~ 1 + (x | g) + (1 | h)", data)))
    theta = np.array([[2.0, 0.3, 0.5, 0.4], [0.1, 0.2, 0.0, 1.0], [1.0, -0.5, 0.7, 0.0]])
    square, metric, other = _apart(survey, theta)
    for i in (1, 2):
        logarithms = ratios = 0.0
        for one in survey.cones:
            first, second = (lam @ lam.T for lam in one.lam(theta[[0, i]]))
            unit = np.eye(one.q) / one.a
            apart = logm(np.eye(one.q) + one.a * first) - logm(np.eye(one.q) + one.a * second)
            logarithms += np.linalg.norm(apart) ** 2
            ratios += (np.log(eigh(unit + second, unit + first, eigvals_only=True)) ** 2).sum()
        assert square[i - 1] == pytest.approx(logarithms, rel=1e-9)
        assert metric[i - 1] == pytest.approx(ratios, rel=1e-9)
    assert other.tolist() == [True, True]  # a slope's direction, and the second factor, are at zero
    assert _apart(survey, theta[[0, 0]])[2].tolist() == [False]


def test_the_basin_of_an_end_is_not_descended_into_again():
    criterion = Criterion.of(*design_from_formula("y ~ x + (x | g)", at_odds(4)))
    survey = Survey.of(criterion)
    seen = lows(survey)
    rest = elsewhere(survey, seen, seen.theta[0], seen.deviance[0])
    assert len(rest.theta) < len(seen.theta)
    assert len(elsewhere(survey, seen, seen.theta[0], np.inf).theta) == len(seen.theta)  # all are lower than that


def test_many_correlated_effects_are_left_to_the_grid_of_their_standard_deviations():
    rng = np.random.default_rng(0)
    data = at_odds(5) | {"y": rng.normal(size=len(at_odds(5)["y"]))}
    data |= {name: rng.normal(size=len(data["y"])) for name in ("a", "b", "c")}
    few, many = (
        Look.of(Criterion.of(*design_from_formula(formula, data)))
        for formula in ("y ~ 1 + (x | g)", "y ~ 1 + (0 + a + b + c + x | g)")
    )
    assert not few.on_grid
    assert many.on_grid
    assert many.lows(singular=True) is None


def test_large_covariances_a_few_degrees_apart_may_be_of_two_basins():
    # rank one at -47.3 and -48.1 degrees, 270 residual standard deviations: 107.08 and 105.22
    data = {
        "y": [101.934, 97.41, 99.985, 97.841, 101.394, 97.64, 99.856, 99.944, 99.848, 98.151, 99.072, 100.499, 98.173,
              97.954, 98.283, 96.865, 103.201, 100.088],
        "g": [5, 2, 2, 1, 7, 2, 4, 4, 0, 1, 2, 0, 6, 2, 0, 1, 7, 7],
        "x": [0.687, -0.387, 1.235, -0.182, -0.483, -0.157, -0.371, -1.849, -0.468, -0.328, 0.088, 0.844, 0.688, -0.561,
              1.663, -0.016, -1.793, -0.684],
    }  # fmt: skip
    criterion = Criterion.of(*design_from_formula("y ~ 0 + x + (x | g)", data), reml=False)
    survey = Survey.of(criterion)
    end = minimize(criterion.at, criterion.at(np.array([182.0, -197.5, 0.0]))).point
    assert end.deviance == pytest.approx(107.0783, abs=1e-3)
    seen = elsewhere(survey, lows(survey), end.theta, end.deviance)
    assert ends(survey, seen.theta[seen.deviance < end.deviance + 8.0])[1].min() == pytest.approx(105.21836, abs=1e-4)


def test_a_minimum_of_rank_one_is_seen_among_three_effects():
    """One large variance in a direction that a lattice does not have: 50.7476 where all its points led to 55.5647."""
    y = [2.69, 3.8, 3.25, 3.16, 2.13, 3.71, 3.22, 2.56, 2.48, 1.91, 2.44, 1.67, 3.0, 3.56, 1.94, 3.22, 2.43, 2.12, 3.02]
    y += [2.62, 2.56, -0.68, 1.45, 1.17, 0.2, -0.37, 1.23, -1.47, -1.83]
    x = [-0.79, 1.99, 0.42, 0.05, -1.02, 0.09, 0.35, -0.28, -0.12, -0.32, -0.4, -1.8, -0.45, 1.47, 0.07, -0.77, -0.85]
    x += [-1.38, 0.55, -0.66, -0.89, 0.89, 1.5, -0.05, 0.44, 0.06, 0.24, 0.94, 0.74]
    z = [0.59, 0.5, -1.25, -0.19, -0.22, 0.31, 1.27, -0.69, -0.31, 1.66, 0.37, -0.12, -0.16, -1.38, 1.23, -1.48, 0.49]
    z += [1.73, -0.4, -0.41, 0.02, -1.59, -0.35, 0.95, -0.49, -0.83, 1.52, 0.3, 0.49]
    data = {"y": y, "x": x, "z": z, "g": np.repeat(np.arange(5), [21, 2, 2, 2, 2])}
    data = {name: np.array(column) for name, column in data.items()}
    design, rows = design_from_formula("y ~ x + (x + z | g)", data)
    assert fit_design(design, rows, reml=False).deviance == pytest.approx(50.74764, abs=1e-4)
    survey = Survey.of(Criterion.of(design, rows, reml=False))
    seen = lows(survey)
    for theta, deviance in zip(seen.theta, seen.deviance):
        assert survey.deviances(theta[None])[0] == pytest.approx(deviance, abs=END)
    G = [lam @ lam.T for lam in survey.cones[0].lam(seen.theta)]
    of_rank_one = [np.linalg.eigvalsh(one)[1] < 1e-9 * np.trace(one) for one in G]
    assert sum(of_rank_one) >= LOWEST
