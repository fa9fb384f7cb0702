"""A covariate far from zero (a calendar year) once gave Satterthwaite 607 degrees of freedom for 17, Kenward and
Roger a negative F, and variance parameters no standard errors: they were computed in the user's units."""

from __future__ import annotations

import numpy as np
import pytest

import henderson
from henderson.intervals.variance_errors import standard_errors

#: what the units test asks of the optimum when units change
RTOL = 1e-8


@pytest.fixture(scope="module")
def sleepstudy():
    return henderson.datasets.load("sleepstudy")


@pytest.mark.parametrize("year", [2000, 20_000])
@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_tests_of_a_slope_do_not_know_the_year(sleepstudy, year, ddf):
    plain = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy, ddf=ddf)
    moved = sleepstudy.assign(Days=sleepstudy.Days + year)
    fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", moved, ddf=ddf)
    want = plain.coef_table.loc["Days", ["estimate", "se", "df"]].astype(float)
    got = fit.coef_table.loc["Days", ["estimate", "se", "df"]].astype(float)
    np.testing.assert_allclose(got, want, rtol=RTOL)
    assert fit.anova(ddf=ddf).loc["Days", "F"] == pytest.approx(plain.anova(ddf=ddf).loc["Days", "F"], rel=RTOL)


@pytest.mark.parametrize("year", [2000, 20_000])
def test_standard_errors_do_not_know_the_year(sleepstudy, year):
    moved = sleepstudy.assign(Days=sleepstudy.Days + year)
    plain, fit = (
        henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
        for data in (sleepstudy, moved)
    )
    for name in ("Days", "Days Var"):
        assert fit.bse[name] == pytest.approx(plain.bse[name], rel=RTOL)
    for name in ("Days Var", "scale"):
        assert fit.bse_cov_re[name] == pytest.approx(plain.bse_cov_re[name], rel=RTOL)
    rows = ["sd_Days|Subject", "sigma"]
    want, got = standard_errors(plain).loc[rows, "se"], standard_errors(fit).loc[rows, "se"]
    np.testing.assert_allclose(got.astype(float), want.astype(float), rtol=RTOL)


@pytest.mark.parametrize("formula", ["Reaction ~ Days + (Days | Subject)", "Reaction ~ Days + (1 | Subject)"])
@pytest.mark.parametrize("year", [2000, 20_000])
def test_the_conditional_aic_does_not_know_the_year(sleepstudy, formula, year):
    """Once 1709.65 for 1711.52: a pseudo-inverse's cut-off was in the user's units."""
    plain = henderson.lmer(formula, sleepstudy).caic()
    moved = henderson.lmer(formula, sleepstudy.assign(Days=sleepstudy.Days + year)).caic()
    for name in ("caic", "loglik", "df", "effective_df"):
        assert getattr(moved, name) == pytest.approx(getattr(plain, name), rel=1e-7)


def test_intervals_of_variances_far_from_zero():
    """Inside: that intercept and slope are all but proportional in the user's units is no boundary."""
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(15), 8), rng.integers(-64, 64, 120) / 32.0
    y = x + rng.normal(size=15)[g] + 0.4 * rng.normal(size=15)[g] * x + rng.normal(size=120)
    near, far = (henderson.lmer("y ~ x + (x | g)", {"y": y, "x": x + move, "g": g}) for move in (0.0, 2.0**24))
    one, two = (fit.conf_int(method="wald") for fit in (near, far))
    np.testing.assert_allclose(two.loc[["sd_x|g", "sigma"]], one.loc[["sd_x|g", "sigma"]], rtol=1e-4)
    assert np.isfinite(two.loc["sd_(Intercept)|g"]).all()
    with pytest.raises(henderson.DataError, match="take its mean"):
        far.conf_int(method="profile", parameters=["sigma"])


def test_profiles_without_rows_say_that_they_have_no_digits(tmp_path):
    """They ended in an AttributeError, a singular matrix, or NaN and limits a third off without a word."""
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(10), 6), rng.integers(-64, 64, 60) / 32.0
    y = rng.normal(size=10)[g] + rng.normal(size=60)
    for formula in ("y ~ x + (1 | g)", "y ~ 1 + (x | g)"):
        far = henderson.lmer(formula, {"y": y, "x": x + 2.0**27, "g": g})
        far.remove_data()
        with pytest.raises(henderson.DataError, match="'x', which is far"):
            far.conf_int(method="profile", parameters=["sigma"])
