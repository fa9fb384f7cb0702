"""Kenward and Roger's F where a split plot's analysis of variance gives it exactly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.inference.ddf.kenward_roger import scale_and_df

EXACT = 1e-6  # relative; the optimum's last digits


@pytest.mark.parametrize("levels", [2, 3, 4])
@pytest.mark.parametrize("den_df", [1, 2, 3, 4])
def test_few_denominator_degrees_of_freedom(levels, den_df):
    """Two are the corner: the approximating F has no mean there, and rounding once made F = 0 of 2.58."""
    plots = levels + den_df  # whole plots, unevenly on the levels: still one stratum, so F is exact
    plot = np.repeat(np.arange(plots), 6)
    treated = np.arange(plots) % levels
    rng = np.random.default_rng(levels)
    y = 3 * rng.normal(size=plots)[plot] + rng.normal(size=plot.size)
    data = pd.DataFrame({"y": y, "a": treated[plot].astype(str), "plot": plot})
    means = data.groupby("plot").y.mean().to_numpy()
    within = [means[treated == level] for level in range(levels)]
    between = sum(len(one) * (one.mean() - means.mean()) ** 2 for one in within) / (levels - 1)
    error = sum(((one - one.mean()) ** 2).sum() for one in within) / den_df
    row = henderson.lmer("y ~ a + (1 | plot)", data).anova(ddf="kenward-roger").loc["a"]
    np.testing.assert_allclose([row.F, row.den_df], [between / error, den_df], rtol=EXACT)


@pytest.mark.parametrize("asked", [{"ddf": "KR"}, {"ddf": "kenward-roger-observed"}, {"cov": "kenward-roger"}])
def test_a_fit_by_ml_is_refused_before_it_is_made(asked, monkeypatch):
    monkeypatch.setattr("henderson.engine.fit.fit_design", None)
    with pytest.raises(ValueError, match=r"REML=True, or use ddf='satterthwaite'"):
        henderson.lmer("y ~ 1 + (1 | g)", {"y": [1.0, 2, 3, 5], "g": list("aabb")}, REML=False, **asked)


def test_close_to_two_denominator_degrees_of_freedom():
    """pbkrtest 0.5.2's aux and ddf: auto.noise (emmeans) without six rows, size * type + side + (1 | side:size)."""
    scaling, den_df = scale_and_df(2, 4.01317061739474, 2.00662322627802)
    assert scaling == 1.0
    np.testing.assert_allclose(den_df, 1.991963179, rtol=1e-8)


def test_an_effect_for_each_row_without_residual_is_refused():
    """A pure AR(1) in bars: where the residual variance ends at zero, V⁻¹ by its effects is all cancellation, and the
    method once gave 0.9 of a standard error. Satterthwaite's table is that of the same process among the residuals."""
    rng = np.random.default_rng(1)
    series = rng.normal(size=(20, 8)) * np.where(np.arange(8) > 0, 0.8, 1.0)
    for visit in range(1, 8):
        series[:, visit] += 0.6 * series[:, visit - 1]
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 8), "t": np.tile(np.arange(8), 20), "x": rng.normal(size=160)})
    data["y"] = 1 + 0.5 * data["x"] + series.ravel()
    fit = henderson.lmer("y ~ x + t + ar1(0 + t | g)", data)
    assert fit.sigma < 1e-2
    with pytest.raises(ValueError, match="residual variance is all but zero"):
        _ = fit.with_inference(ddf="kenward-roger").bse
    same = henderson.lmer("y ~ x + t", data, residual="ar1(t | g)")
    np.testing.assert_allclose(fit.bse, same.bse, rtol=1e-4)
