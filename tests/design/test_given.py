"""Parameters that were given by names, and designs whose response is not there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.design.given import Given, given_parameters
from henderson.design.without_response import design_without_response
from henderson.errors import FormulaError

DATA = {"x": [0.0, 1.0, 2.0] * 4, "g": list("aaabbbcccddd"), "h": list("uvw") * 4}
FORMULA = "y ~ x + (x | g) + (1 | h)"
COV = [[4.0, 1.0], [1.0, 9.0]]


@pytest.fixture(scope="module")
def design():
    return design_without_response(FORMULA, DATA)[0]


def test_a_covariance_is_sigma_squared_lam_lam(design):
    given = given_parameters(design, beta=[1, 2], varcorr={"g": COV, "h": 0.25}, sigma=0.5)
    np.testing.assert_allclose(0.25 * given.lam[0] @ given.lam[0].T, COV, rtol=1e-14)
    np.testing.assert_allclose(0.25 * given.lam[1] @ given.lam[1].T, [[0.25]], rtol=1e-14)
    again = given_parameters(design, beta=[1, 2], theta=given.theta(design), sigma=0.5)
    for one, other in zip(given.lam, again.lam):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "g",
    [
        pd.DataFrame(COV, index=["(Intercept)", "x"], columns=["(Intercept)", "x"]).iloc[::-1, ::-1],
        {"(Intercept)": 4.0, "x": 9.0, ("(Intercept)", "x"): 1.0},
        {"Intercept": 4.0, "x": 9.0, ("x", "Intercept"): 1.0},
    ],
    ids=["frame in another order", "entries", "statsmodels' spelling"],
)
def test_ways_to_write_a_covariance(design, g):
    given = given_parameters(design, beta={"x": 2, "Intercept": 1}, varcorr={"g": g, "h": 1}, sigma=1.0)
    np.testing.assert_allclose(given.lam[0] @ given.lam[0].T, COV, rtol=1e-14)
    assert given.beta.tolist() == [1.0, 2.0]


def test_a_table_of_variances_and_theta_of_a_fit_are_the_same():
    sleepstudy = henderson.datasets.load("sleepstudy")
    fit = henderson.lmer("Reaction ~ Days + (Days || Subject)", sleepstudy)
    table = given_parameters(fit.design, beta=fit.params, varcorr=fit.varcorr)
    theta = given_parameters(fit.design, beta=fit.params, theta=fit.theta, sigma=fit.sigma)
    assert table.sigma == pytest.approx(fit.sigma, rel=1e-14)
    np.testing.assert_allclose(np.concatenate([a.ravel() for a in table.lam]), theta.theta(fit.design), rtol=1e-12)


def test_terms_on_one_factor_side_by_side():
    design, _ = design_without_response("y ~ x + (x || g)", DATA)
    whole = given_parameters(design, beta=[0, 0], varcorr={"g": [4.0, 9.0]}, sigma=1.0)
    each = given_parameters(design, beta=[0, 0], varcorr={"g": 4.0, "g.1": 9.0}, sigma=1.0)
    assert [one.tolist() for one in whole.lam] == [one.tolist() for one in each.lam] == [[[2.0]], [[3.0]]]
    with pytest.raises(ValueError, match="different terms"):
        given_parameters(design, beta=[0, 0], varcorr={"g": COV}, sigma=1.0)


def test_what_is_not_given_stays():
    design, _ = design_without_response("y ~ x + (1 | g)", DATA)
    was = Given(np.array([1.0, 2.0]), (np.array([[3.0]]),), 2.0)
    same = given_parameters(design, otherwise=was)
    assert (same.beta.tolist(), same.lam[0].tolist(), same.sigma) == ([1.0, 2.0], [[3.0]], 2.0)
    assert given_parameters(design, beta={"x": 5}, otherwise=was).beta.tolist() == [1.0, 5.0]
    other = given_parameters(design, sigma=4.0, otherwise=was)
    assert other.sigma * other.lam[0][0, 0] == was.sigma * was.lam[0][0, 0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"varcorr": {"g": COV, "h": 1}, "sigma": 1}, r"beta= is missing: a number for each of \(Intercept\), x"),
        ({"beta": {"x": 1}, "varcorr": {"g": COV, "h": 1}, "sigma": 1}, r"beta lacks \(Intercept\)"),
        ({"beta": {"z": 1}}, "sigma= is missing"),
        ({"beta": {"z": 1}, "varcorr": {"g": COV, "h": 1}, "sigma": 1}, "beta names 'z'"),
        ({"beta": [1.0], "varcorr": {"g": COV, "h": 1}, "sigma": 1}, "2 fixed effects"),
        ({"beta": [1, 2], "varcorr": {"g": COV}, "sigma": 1}, "varcorr lacks 'h'"),
        ({"beta": [1, 2], "varcorr": {"g": COV, "k": 1}, "sigma": 1}, "'k', which is no grouping factor"),
        ({"beta": [1, 2], "varcorr": {"g": [[1, 2], [2, 1]], "h": 1}, "sigma": 1}, "'g'.*not positive semidefinite"),
        ({"beta": [1, 2], "varcorr": {"g": [[1, 2], [0, 9]], "h": 1}, "sigma": 1}, "'g'.*not symmetric"),
        ({"beta": [1, 2], "varcorr": {"g": 4, "h": 1}, "sigma": 1}, r"'g'.*2 variances.*\(Intercept\), x"),
        ({"beta": [1, 2], "varcorr": {"g": {"z": 4}, "h": 1}, "sigma": 1}, "names 'z'; its effects are"),
        ({"beta": [1, 2], "varcorr": 4, "sigma": 1}, r"varcorr must be a dict of grouping factors \(g, h\)"),
        ({"beta": [1, 2], "sigma": 1}, "varcorr= .or theta=. is missing"),
        ({"beta": [1, 2], "theta": [1.0], "sigma": 1}, "theta has 1 entries, the model 4"),
        ({"beta": [1, 2], "theta": [1.0], "varcorr": {}, "sigma": 1}, "two ways"),
        ({"beta": [1, 2], "varcorr": {"g": COV, "h": 1}, "sigma": 0}, "sigma must be a positive number"),
        ({"beta": [1, np.nan], "varcorr": {"g": COV, "h": 1}, "sigma": 1}, "beta must be finite"),
    ],
)
def test_errors_name_the_culprit(design, options, says):
    with pytest.raises(ValueError, match=says):
        given_parameters(design, **options)


def test_the_response_is_not_looked_for():
    design, rows = design_without_response("log(rt) ~ x + (1 | g)", DATA)
    assert (design.y_name, design.formula, rows.n) == ("log(rt)", "log(rt) ~ x + (1 | g)", 12)
    holes = {**DATA, "y": [np.nan] * 12}
    assert design_without_response("y ~ . + (1 | g)", {k: holes[k] for k in "xgy"})[0].x_names == ("(Intercept)", "x")
    assert design_without_response("~ x + (1 | g)", holes)[1].n == 12
    with pytest.raises(FormulaError, match="no column 'z'"):
        design_without_response("y ~ z + (1 | g)", DATA)
    with pytest.raises(FormulaError, match="a formula is text"):
        design_without_response(None, DATA)
