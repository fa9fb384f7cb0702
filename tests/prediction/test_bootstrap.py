"""Limits by the parametric bootstrap: where the approximation is good the two agree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson import DataError, lmer

# 400 replicates: a quantile at 2.5 % has a standard error of 6 % of the standard error, and a length of 5 %
RTOL = 0.15
# of 150
FEWER = 0.25


@pytest.fixture(scope="module")
def fit():
    data = {"x": np.tile(np.linspace(0, 1, 6), 40), "g": np.repeat(np.arange(40), 6)}
    y = henderson.simulate("y ~ x + (1 | g)", data, beta=[1, 2], varcorr=1.0, sigma=1.0, seed=4)["sim_1"]
    return lmer("y ~ x + (1 | g)", {**data, "y": y.to_numpy()})


@pytest.mark.parametrize("interval", ["confidence", "prediction"])
def test_with_many_groups_it_is_the_analytic_interval(fit, interval):
    new = {"x": [0.5, 0.5, 0.0], "g": [3, 99, 7]}
    options = {"re": "all", "interval": interval, "new_levels": "population"}
    want = fit.predict(new, **options)
    found = fit.predict(new, method="bootstrap", n_boot=400, seed=2, **options)
    np.testing.assert_allclose(found["estimate"], want["estimate"])
    np.testing.assert_allclose(found["upper"] - found["lower"], want["upper"] - want["lower"], rtol=RTOL)
    np.testing.assert_allclose(found["se"], want["se"], rtol=RTOL)
    assert found["df"].isna().all()


def test_a_seed_gives_the_same_limits(fit):
    options = {"se": True, "method": "bootstrap", "n_boot": 20}
    one, again, other = (fit.predict({"x": [0.1]}, seed=seed, **options) for seed in (5, 5, 6))
    pd.testing.assert_frame_equal(one, again)
    assert one["upper"][0] != other["upper"][0]


def test_what_has_no_meaning_is_refused(fit):
    for options, message in (
        ({"method": "bootstrap"}, "goes with se=True or interval="),
        ({"method": "bootstrap", "se": True, "ddf": "KR"}, "has no degrees of freedom"),
        ({"method": "jackknife"}, "method must be"),
        ({"method": "bootstrap", "se": True, "n_boot": 1}, "n_boot must be"),
    ):
        with pytest.raises(ValueError, match=message):
            fit.predict({"x": [0.1]}, **options)
    light = lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
    light.remove_data()
    with pytest.raises(DataError, match="method='bootstrap'"):
        light.predict({"Batch": ["A"]}, re="all", se=True, method="bootstrap")


@pytest.fixture(scope="module")
def trial():
    rng = np.random.default_rng(7)
    data = pd.DataFrame({"id": np.repeat(np.arange(60), 4), "visit": np.tile(np.arange(4), 60)})
    data["site"], data["x"] = data["id"] % 12, rng.normal(size=240)
    e = rng.normal(size=(60, 4))
    for t in range(1, 4):
        e[:, t] = 0.6 * e[:, t - 1] + 0.8 * e[:, t]
    data["y"] = data["x"] + rng.normal(size=12)[data["site"]] + e.ravel()
    return lmer("y ~ x + (1 | site)", data, residual="ar1(visit | id)")


@pytest.mark.parametrize("interval", ["confidence", "prediction"])
def test_where_residuals_correlate_it_is_the_analytic_interval_too(trial, interval):
    new = {"x": [0.5, -1.0, 0.0], "site": [3, 99, 7], "visit": [0, 1, 3], "id": [1, 1, 999]}
    options = {"re": "all", "interval": interval, "new_levels": "population"}
    want = trial.predict(new, **options)
    found = trial.predict(new, method="bootstrap", n_boot=150, seed=2, **options)
    np.testing.assert_allclose(found["estimate"], want["estimate"])
    np.testing.assert_allclose(found["upper"] - found["lower"], want["upper"] - want["lower"], rtol=FEWER)
    np.testing.assert_allclose(found["se"], want["se"], rtol=FEWER)


def test_means_where_residuals_correlate(trial):
    want = trial.predict({"x": [0.5]}, se=True)
    found = trial.predict({"x": [0.5]}, se=True, method="bootstrap", n_boot=150, seed=3)
    np.testing.assert_allclose(found["upper"] - found["lower"], want["upper"] - want["lower"], rtol=FEWER)
