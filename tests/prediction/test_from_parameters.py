"""Responses at given parameters: moments of many draws, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson import lmer

# 20,000 draws: standard errors of 0.7 % in means and 1 % in variances, times four
N, MANY = 20_000, 0.04


@pytest.fixture(scope="module")
def rows():
    index = pd.Index(list("abcdef"))
    return pd.DataFrame({"x": [0.0, 1, 2, 0, 1, 2], "g": list("uuuvvv"), "h": list("pqrpqr")}, index=index)


def test_moments_without_a_fit(rows):
    cov = np.array([[1.0, 0.3], [0.3, 0.5]])
    found = henderson.simulate(
        "y ~ x + (x | g) + (1 | h)",
        rows,
        beta={"(Intercept)": 1, "x": 2},
        varcorr={"g": cov, "h": 2.0},
        sigma=0.5,
        n=N,
        seed=1,
    )
    assert found.index.equals(rows.index)
    z = np.column_stack([np.ones(6), rows["x"]])
    same_g, same_h = (np.equal.outer(rows[f].to_numpy(), rows[f].to_numpy()) for f in "gh")
    V = same_g * (z @ cov @ z.T) + 2.0 * same_h + 0.25 * np.eye(6)
    np.testing.assert_allclose(found.mean(axis=1), 1 + 2 * rows["x"], atol=MANY * np.sqrt(V.max()))
    np.testing.assert_allclose(np.cov(found), V, atol=MANY * V.max())
    one = henderson.simulate("~ x + (x | g)", rows, beta=[1, 2], theta=[1, 0, 1], sigma=1, seed=3)
    again = henderson.simulate("y ~ x + (x | g)", rows, beta=[1, 2], theta=[1, 0, 1], sigma=1, seed=3)
    pd.testing.assert_frame_equal(one, again)


def test_a_fit_of_what_was_drawn_finds_the_parameters():
    data = {"x": np.tile(np.linspace(0, 1, 10), 400), "g": np.repeat(np.arange(400), 10)}
    y = henderson.simulate("y ~ x + (1 | g)", data, beta=[1, 3], varcorr=4.0, sigma=0.5, seed=2)["sim_1"]
    fit = lmer("y ~ x + (1 | g)", {**data, "y": y.to_numpy()})
    np.testing.assert_allclose(fit.fixef["x"], 3, atol=4 * fit.bse["x"])
    np.testing.assert_allclose([fit.varcorr["vcov"][0], fit.sigma], [4, 0.5], rtol=0.3)


def test_missing_rows_have_no_response(rows):
    found = henderson.simulate(
        "y ~ x + (1 | g)", rows.assign(x=[0, np.nan, 2, 0, 1, 2]), beta=[1, 2], varcorr=1, sigma=1
    )
    assert found["sim_1"].isna().tolist() == [False, True, False, False, False, False]


def test_a_fit_at_other_parameters():
    data = henderson.datasets.load("Dyestuff")
    fit = lmer("Yield ~ 1 + (1 | Batch)", data)
    new = {"Batch": ["A", "new"]}
    params = {"beta": {"(Intercept)": 100.0}, "varcorr": {"Batch": 9.0}, "sigma": 1e-6}
    found = fit.simulate(N, new, params=params, seed=1)
    np.testing.assert_allclose(found.mean(axis=1), 100, atol=MANY * 3)
    np.testing.assert_allclose(found.var(axis=1), 9, rtol=MANY)
    own = fit.simulate(3, params={"sigma": fit.sigma}, seed=1)
    pd.testing.assert_frame_equal(own, fit.simulate(3, seed=1))
    pd.testing.assert_frame_equal(fit.simulate(3, params={"varcorr": fit.varcorr}, seed=1), own, rtol=1e-6)


def test_what_is_missing_or_unknown_is_named(rows):
    formula = "y ~ x + (1 | g)"
    for options, message in (
        ({"beta": [1, 2], "varcorr": 1.0}, "sigma= is missing"),
        ({"beta": [1, 2], "sigma": 1.0}, "varcorr= .or theta=. is missing"),
        ({"beta": [1], "varcorr": 1, "sigma": 1}, r"beta has shape \(1,\)"),
        ({"beta": {"z": 1}, "varcorr": 1, "sigma": 1}, "beta names 'z'"),
        ({"beta": {"x": 1}, "varcorr": 1, "sigma": 1}, r"beta lacks \(Intercept\)"),
        ({"beta": [1, 2], "varcorr": {"k": 1}, "sigma": 1}, "varcorr names 'k'"),
        ({"beta": [1, 2], "theta": [1, 2], "sigma": 1}, "theta has 2 entries"),
        ({"beta": [1, 2], "varcorr": 1, "sigma": 1, "n": 1.5}, "n must be a number of draws"),
    ):
        with pytest.raises(ValueError, match=message):
            henderson.simulate(formula, rows, **options)
    fit = lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
    with pytest.raises(
        ValueError, match="params is a dict of beta, theta, varcorr, sigma, psi; 'scale' is none of them"
    ):
        fit.simulate(params={"scale": 1})
