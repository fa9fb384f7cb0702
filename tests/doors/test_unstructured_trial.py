"""A trial with one row for each patient and visit, `(0 + visit | patient)`: as many effects as rows, which lme4 fits
when it is told to. The covariance of the visits and the residual variance cannot be told apart; their sum can.

The numbers: lme4 1.1-31 with ``lmerControl(check.nobs.vs.nRE = "ignore")``, lmerTest and pbkrtest on the table below.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson import DataError, ValueWarning, lmer

# lme4's standard errors are listed to seven digits; pbkrtest inverts an information that is singular here
RTOL, RTOL_KR = 2e-5, 2e-3

FORMULA = "y ~ visit * arm + (0 + visit | patient)"
SE = [0.5001017, 0.5584414, 0.6911331, 0.7147369, 0.7162234, 0.7979845, 0.9839170, 1.0250918]
KR_SE = [0.5021829, 0.5615529, 0.6942246, 0.7180623, 0.7202577, 0.8033976, 0.9887064, 1.0319655]
KR_DF = [35.28070, 35.36723, 36.67047, 35.25990, 35.40588, 35.76862, 36.18218, 36.36867]


@pytest.fixture(scope="module")
def trial():
    rng, n, visits = np.random.default_rng(0), 40, 4
    covariance = [[4, 2, 1, 0.5], [2, 5, 2, 1], [1, 2, 6, 2], [0.5, 1, 2, 7.0]]
    effects = rng.multivariate_normal(np.zeros(visits), covariance, n)
    arm = np.repeat(np.array(["c", "t"])[np.arange(n) % 2], visits)
    table = pd.DataFrame(
        {
            "patient": np.repeat(np.arange(n), visits),
            "visit": np.tile([f"v{i}" for i in range(visits)], n),
            "arm": arm,
            "y": effects.ravel() + 1 + 0.5 * (arm == "t"),
        }
    )
    rng.normal(size=len(table)), rng.uniform(0.5, 2, len(table))
    return table[rng.random(len(table)) < 0.9]


def test_refused_by_default_and_told_how_to_override(trial):
    with pytest.raises(DataError, match=r"160 random effects .* 150 rows.*check_identified='warn'"):
        lmer(FORMULA, trial)


def test_fixed_effects_are_lme4s(trial):
    with pytest.warns(ValueWarning, match="cannot be told apart") as heard:
        fit = lmer(FORMULA, trial, check_identified="warn")
    assert len(heard) == 1
    assert heard[0].filename == __file__
    assert fit.converged
    np.testing.assert_allclose(fit.deviance, 638.2720534, atol=1e-6)
    np.testing.assert_allclose(fit.bse_fe, SE, rtol=RTOL)
    kenward_roger = fit.with_inference(ddf="kenward-roger").coef_table
    np.testing.assert_allclose(kenward_roger.se, KR_SE, rtol=RTOL_KR)
    np.testing.assert_allclose(kenward_roger.df, KR_DF, rtol=RTOL_KR)


def test_what_is_not_identified_is_said(trial):
    fit = lmer(FORMULA, trial, check_identified="ignore")
    assert "do not identify" in str(fit.summary())
    assert fit.coef_table.df.notna().all()
    assert fit.emmeans("arm | visit").contrasts("trt.vs.ctrl", ref="c").frame.df.notna().all()


def test_a_cell_without_data_is_said_to_be_not_estimable():
    rng = np.random.default_rng(1)
    data = henderson.datasets.load("sleepstudy").assign(
        a=rng.choice(list("pq"), 180), b=rng.choice(list("uvw"), 180), twice=lambda table: 2 * table.Days
    )
    data = data[~((data.a == "p") & (data.b == "u"))]
    new = data.assign(a="p", b="u").iloc[:1]
    for fit in (
        lmer("Reaction ~ a * b + Days + twice + (1 | Subject)", data),
        henderson.mixedlm("Reaction ~ a * b + Days + twice", data, groups="Subject").fit(),
    ):
        with pytest.warns(ValueWarning, match=r"not estimable: the prediction in row 0 needs .*b\[T.w\]") as heard:
            fit.predict(new)
        assert heard[0].filename == __file__
        with pytest.warns(ValueWarning, match="in rows 0, 1, 2, 3, 4, … need"):
            fit.predict(data.assign(a="p", b="u"), random=True)
        with pytest.warns(ValueWarning, match="needs twice, dropped"):
            fit.predict(data.iloc[[3]].assign(twice=0.5))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_allclose(fit.predict(data, random=True), fit.fittedvalues)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_the_profile_of_what_is_not_identified_ends_with_notes(trial):
    fit = lmer(FORMULA, trial, check_identified="ignore")
    interval = fit.conf_int(method="profile", parameters=["sigma"])
    assert np.isnan(interval.loc["sigma", "lower"])
    assert "no lower limit" in str(interval)
