"""Hypotheses of terms beside covariates far from zero are those of the covariate less its mean.

The sequential rows of `x * f`, x at 10⁸ of its spreads, came from a QR decomposition of X, whose digits times a mean
are nothing: F of f was off by half, type II lost one of the two degrees of freedom of x:f, containment counted effects
that are there as none, and tests of `0 + f` (at x = 0, far away) died of a singular matrix.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import henderson
from henderson import lmer

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

#: digits that X carries, moved so far for a spread of one
RTOL = {2.0**13: 1e-8, 2.0**27: 1e-5, 2.0**33: 2e-4}
DDF = ["satterthwaite", "kenward-roger", "containment", "between-within", "residual"]


@cache
def fitted(formula, move):
    rng = np.random.default_rng(1)
    g, f = np.repeat(np.arange(10), 7), rng.choice(list("abc"), 70)
    x = np.round(rng.normal(size=70) * 1024) / 1024
    y = 3 + 0.5 * x + 0.4 * x * (f == "b") + rng.normal(size=10)[g] * (1 + 0.5 * x) + rng.normal(size=70)
    return lmer(formula, {"y": y, "x": x + move, "f": f, "g": g})


#: formula -> terms whose hypotheses of each type do not know where zero is
FORMULAS = {
    "y ~ x * f + (x | g)": {1: ["x", "f", "x:f"], 2: ["x", "f", "x:f"], 3: ["x:f"]},
    "y ~ 0 + f + f:x + (1 | g)": {1: ["f", "f:x"], 3: ["f:x"]},
    "y ~ 0 + f + x + (x | g)": {1: ["f", "x"], 2: ["x"], 3: ["x"]},
}


@pytest.mark.parametrize("move", RTOL)
@pytest.mark.parametrize("formula", FORMULAS)
def test_terms(formula, move):
    near, far = fitted(formula, 0.0), fitted(formula, move)
    for kind, terms in FORMULAS[formula].items():
        if "x * f" in formula and kind == 2:
            terms = ["x", "x:f"]  # f without x:f is of the mean of x, and with it, of zero
        for ddf in DDF:
            one, two = (fit.anova(kind, ddf=ddf).loc[terms] for fit in (near, far))
            np.testing.assert_allclose(two, one, rtol=RTOL[move], atol=RTOL[move], err_msg=f"{kind} {ddf}")
    one, two = (fit.with_inference(cov="CR2").anova(1).loc[terms] for fit in (near, far))
    np.testing.assert_allclose(two, one, rtol=RTOL[move], atol=RTOL[move])


@pytest.mark.parametrize("ddf", DDF)
def test_a_hypothesis_far_from_the_data_has_an_f(ddf):
    """Of `0 + f + x`, f is of means at x = 0. There the three are all but one: F is of the line through x, f apart."""
    far = fitted("y ~ 0 + f + x + (x | g)", 2.0**20)
    test = far.anova(3, ddf=ddf).loc["f"]
    L = np.eye(4)[:3]
    B = far.engine.basis
    W = np.linalg.cholesky(far.engine.turned_vcov).T @ (L @ B.to_beta).T
    expected = np.square(np.linalg.lstsq(W, np.eye(4), rcond=None)[0].T @ (L @ far.params)).sum() / 3
    if ddf != "kenward-roger":  # whose covariance is another
        assert test["F"] == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(test["den_df"])


def test_after_saving_without_rows(tmp_path):
    far = fitted("y ~ x * f + (x | g)", 2.0**27)
    far.save(tmp_path / "far.json", remove_data=True, format="henderson")
    light = henderson.load(tmp_path / "far.json")
    for kind in (1, 2, 3):
        np.testing.assert_allclose(light.anova(kind), far.anova(kind), rtol=1e-7)
