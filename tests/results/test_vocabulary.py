"""One spelling and one order behind a door, and what other packages read of results."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.iolib.summary2 import summary_col

from henderson import datasets, lmer, mixedlm


@pytest.fixture(scope="module")
def sleepstudy():
    return datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def fit(sleepstudy):
    return lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)


def spellings(results):
    """Every place where a name of an intercept is shown."""
    frames = [results.params, results.bse, results.tvalues, results.pvalues, results.fe_params, results.coef_table]
    yield from (frame.index[0] for frame in [*frames, results.cov_params(), results.conf_int()])
    yield from (results.fixef.index[0], results.model.exog_names[0], results.varcorr["var1"][0])
    yield from (table["Subject"].columns[0] for table in (results.ranef, results.ranef_sd, results.coef))
    shown = results.conf_int(parameters=["theta_", "beta_"]).index
    yield from (shown[0].removeprefix("sd_").split("|")[0], shown[-2])
    yield results.bootstrap(2, seed=1).frame.columns[0]
    yield results.wald_test_terms().table.index[0]


def test_the_intercept_is_spelled_one_way_behind_a_door(fit, sleepstudy):
    other = mixedlm("Reaction ~ Days + (Days | Subject)", sleepstudy).fit()
    assert set(spellings(fit)) == {"(Intercept)"}
    assert set(spellings(other)) == {"Intercept"}
    assert "(Intercept)" in str(fit.summary())


@pytest.mark.parametrize("text", ["Intercept = 250", "(Intercept) = 250"])
def test_constraints_understand_both_spellings(fit, sleepstudy, text):
    other = mixedlm("Reaction ~ Days + (Days | Subject)", sleepstudy).fit()
    for results in (fit, other):
        assert results.t_test(text).effect == pytest.approx(251.405, abs=1e-3)
    assert fit.conf_int(parameters=text.split(" ")[0]).shape == (1, 2)


def test_a_column_called_intercept_keeps_its_name():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"Intercept": rng.normal(size=48), "g": np.repeat(np.arange(8), 6)})
    data["y"] = data["Intercept"] * (1 + rng.normal(size=8)[data["g"]]) + rng.normal(size=48)
    results = lmer("y ~ 1 + Intercept + (0 + Intercept | g)", data)
    assert list(results.params.index) == ["(Intercept)", "Intercept"]
    assert list(results.ranef["g"].columns) == ["Intercept"]


def test_summary_col_of_statsmodels(fit, sleepstudy):
    """Models side by side: statsmodels reads params, bse, pvalues, conf_int() by position."""
    small = lmer("Reaction ~ 1 + (1 | Subject)", sleepstudy)
    ols = mixedlm("Reaction ~ Days", sleepstudy, groups="Subject").fit()
    text = str(summary_col([fit, small, ols], stars=True, info_dict={"N": lambda r: f"{int(r.nobs)}"}))
    assert "10.4673***" in text
    assert "(1.5458)" in text
    assert "180" in text
    assert "Reaction" in text


def test_columns_of_the_covariance_belong_to_the_coefficients(fit, sleepstudy):
    cov = fit.cov_params()
    X = pd.DataFrame({"(Intercept)": 1.0, "Days": [0.0, 5.0]})
    np.testing.assert_allclose(np.sqrt(np.diag(X @ cov @ X.T)), fit.emmeans("Days", at={"Days": [0, 5]}).frame["se"])
    for values in (fit.bse, fit.tvalues, fit.pvalues, fit.conf_int(), cov):
        pd.testing.assert_index_equal(values.index, fit.params.index, check_names=False)
    assert (fit.df_resid, fit.nobs) == (178, 180)
    assert (fit.model.formula, fit.model.endog_names) == ("Reaction ~ Days + (Days | Subject)", "Reaction")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("KR", "kenward-roger"),
        ("Kenward-Roger", "kenward-roger"),
        ("kenward roger", "kenward-roger"),
        ("SATTERTHWAITE", "satterthwaite"),
        ("Between_Within", "between-within"),
    ],
)
def test_names_of_methods_in_any_case(fit, sleepstudy, written, name):
    assert lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, ddf=written).inference.ddf == name
    assert fit.with_inference(ddf=written).inference.ddf == name
    pd.testing.assert_frame_equal(fit.anova(ddf=written), fit.anova(ddf=name))
    one, two = fit.emmeans("Days", ddf=written), fit.emmeans("Days", ddf=name)
    pd.testing.assert_frame_equal(one.frame, two.frame)


def test_unknown_methods_are_refused_before_the_fit():
    """The formula would fail: the name is looked at first."""
    for options in ({"ddf": "exact"}, {"cov": "HC3"}, {"ddf": "KR", "cov": "CR2"}):
        with pytest.raises(ValueError, match=r"there are|goes with"):
            lmer("nothing ~ at ~ all", {}, **options)


@pytest.mark.parametrize(
    ("random", "order"),
    [
        ("(1 | a) + (1 | b) + (1 | c)", ["c", "b", "a"]),
        ("(1 | b) + (1 | c) + (1 | a)", ["b", "c", "a"]),
        ("(1 | c) + (1 | a) + (1 | b)", ["b", "c", "a"]),
        ("(1 | a) + (1 | c) + (1 | b)", ["b", "c", "a"]),
    ],
)
def test_terms_are_listed_in_lme4s_order(random, order):
    """3, 6 and 6 levels: what names(ranef(m)) and VarCorr(m) of lme4 1.1-31 list, ties included."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {"a": np.repeat(range(3), 36), "b": np.tile(np.repeat(range(6), 6), 3), "c": np.tile(range(6), 18)}
    )
    data["y"] = rng.normal(size=108) + sum(rng.normal(size=6)[data[name]] for name in "abc")
    results = lmer(f"y ~ 1 + {random}", data)
    summary = [line.split()[0] for line in str(results.summary()).split("Groups")[1].split("\n")[1:4]]
    lists = [
        results.varcorr["grp"][:3],
        results.ranef,
        results.ranef_sd,
        results.coef,
        results.ngrps,
        results.icc().index[:3],
        results.rePCA()["group"],
        [name.split("|")[1] for name in results.variance_errors().index[:3]],
        [name.split("|")[1] for name in results.conf_int(method="wald").index[:3]],
        summary,
    ]
    assert [list(each) for each in lists] == [order] * len(lists)


def test_an_effect_that_two_terms_have_is_the_sum_of_theirs(sleepstudy):
    results = lmer("Reaction ~ Days + (Days | Subject) + (0 + Days | Subject)", sleepstudy)
    effects = results.ranef["Subject"]
    assert list(effects.columns) == ["(Intercept)", "Days", "Days"]
    total = effects.iloc[:, 1] + effects.iloc[:, 2] + results.params["Days"]
    np.testing.assert_allclose(results.coef["Subject"]["Days"], total)
    assert list(results.coef["Subject"].columns) == ["(Intercept)", "Days"]


@pytest.mark.parametrize("name", ["Intercept", "(Intercept)"])
def test_a_column_called_as_the_intercept_is_told_from_it(name):
    """Once its effects were added to the intercept's in coef, and both were called the same in tables."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"g": np.repeat(range(8), 6), "x": rng.normal(size=48)})
    table["y"] = (
        (1 + rng.normal(size=8)[table["g"]]) * table["x"] + rng.normal(size=8)[table["g"]] + rng.normal(size=48)
    )
    odd = table.rename(columns={"x": name})
    for want, got in (
        (lmer("y ~ x + (x | g)", table), lmer(f"y ~ `{name}` + (`{name}` | g)", odd)),
        (lmer("y ~ 1 + (0 + x | g)", table), lmer(f"y ~ 1 + (0 + `{name}` | g)", odd)),
        (
            mixedlm("y ~ x", table, groups="g", re_formula="~x").fit(),
            mixedlm(f"y ~ `{name}`", odd, groups="g", re_formula=f"~`{name}`").fit(),
        ),
    ):
        assert got.coef["g"].columns.is_unique
        np.testing.assert_allclose(got.coef["g"], want.coef["g"], rtol=1e-6)
        np.testing.assert_allclose(got.predict(odd, re="all"), want.fittedvalues, rtol=1e-6)
        np.testing.assert_allclose(got.conf_int(method="wald"), want.conf_int(method="wald"), rtol=1e-5)
