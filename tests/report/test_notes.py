"""What a singular fit says of itself: the term and the direction, in the user's names, once."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from henderson import SingularMatrixWarning, datasets, lmer


def correlated(slope):
    """Lines whose slopes are a multiple of their intercepts."""
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(12), 8)
    x = np.tile(np.arange(8.0), 12)
    b = rng.normal(size=12)
    return pd.DataFrame({"g": g, "x": x, "y": 3 * b[g] + slope * b[g] * x + 0.3 * rng.normal(size=96)})


@pytest.mark.parametrize(("slope", "sign"), [(1.0, "1"), (-1.0, "-1")])
def test_a_correlation_of_one_is_named(slope, sign):
    with pytest.warns(SingularMatrixWarning, match=rf"g: the correlation of \(Intercept\) and x is {sign}\. .*docs"):
        fit = lmer("y ~ x + (x | g)", correlated(slope))
    assert fit.is_singular
    assert fit.varcorr["sdcor"][2] == pytest.approx(slope, abs=1e-6)
    assert f"and x is {sign}" in str(fit.summary())
    assert f"and x is {sign}" in repr(fit)


def test_a_variance_of_zero_is_named_once():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff2"))
    assert len(said) == 1
    assert "Batch: the variance of (Intercept) is zero" in str(said[0].message)
    assert said[0].filename == __file__


def test_a_regular_fit_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))


def test_a_direction_has_no_variance_in_the_modes():
    """The weights are in the user's units: the combination of the conditional modes is zero."""
    from henderson.engine.boundary import directions_without_variance

    rng = np.random.default_rng(2)
    data = correlated(1.0).assign(z=lambda d: rng.normal(size=len(d)) * 50)
    data["y"] += 0.02 * data["z"] * rng.normal(size=12)[data["g"]]
    with pytest.warns(SingularMatrixWarning):
        fit = lmer("y ~ x + z + (x + z | g)", data)
    (one, *_) = directions_without_variance(fit.engine)
    combined = fit.ranef["g"].to_numpy() @ one.weights
    assert np.abs(combined).max() < 1e-3 * np.abs(fit.ranef["g"].to_numpy()[:, 0]).max()


def test_double_bars_with_a_factor_say_what_they_do():
    data = datasets.load("sleepstudy")
    data["half"] = np.where(data["Days"] < 5, "early", "late")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularMatrixWarning)
        fit = lmer("Reaction ~ half + (half || Subject)", data)
        split = lmer("Reaction ~ half + (half || Subject)", data, doublevert="split")
    assert "|| with the factor half: its effects are independent" in str(fit.summary())
    assert "|| with the factor half: the effects of its levels are correlated" in str(split.summary())
    assert "||" not in "".join(lmer("Reaction ~ Days + (Days || Subject)", data).summary().notes)
