"""Variances that the data do not identify: no degrees of freedom and no standard errors from noise, and a note."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from henderson import datasets, lmer, mixedlm
from henderson.errors import ValueWarning

pytestmark = pytest.mark.filterwarnings("ignore:the data do not identify", "ignore:dropped as linear")


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_a_group_level_factor_with_a_level_for_each_group(seed, ddf):
    g = np.repeat(np.arange(3), 5)
    data = {"y": np.random.default_rng(seed).normal(size=15) + g, "g": g, "treat": np.array(list("ABC"))[g]}
    fit = lmer("y ~ treat + (1 | g)", data).with_inference(ddf=ddf)
    assert fit.coef_table.df.isna().all()
    assert "identify" in " ".join(fit.coef_table.attrs["notes"])
    assert np.isnan(float(fit.anova().den_df.iloc[0]))


def test_what_is_identified_is_reported():
    # x varies within the groups: its test does not depend on the variance between them
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(3), 10)
    data = {"y": rng.normal(size=30), "x": rng.normal(size=30), "g": g, "t": np.array(list("ABC"))[g]}
    table = lmer("y ~ t + x + (1 | g)", data).coef_table
    assert table.df.isna().tolist() == [True, True, True, False]
    assert table.df["x"] == pytest.approx(26, rel=1e-6)  # n − p, as in least squares
    assert table.se.isna().tolist() == [True, True, True, False]
    X = np.column_stack([np.eye(3)[g], data["x"]])
    rss = np.linalg.lstsq(X, data["y"])[1][0]
    assert table.se["x"] == pytest.approx(np.sqrt(rss / 26 * np.linalg.inv(X.T @ X)[3, 3]), rel=1e-8)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "asymptotic", "containment", "residual"])
def test_no_standard_error_where_the_variance_of_the_contrast_moves(ddf):
    g = np.repeat(np.arange(3), 5)
    x = np.random.default_rng(5).normal(size=15)
    data = {"y": np.random.default_rng(6).normal(size=15) + g, "g": g, "x": x, "treat": np.array(list("ABC"))[g]}
    fit = lmer("y ~ treat + x + (1 | g)", data, ddf=ddf)
    assert fit.bse.isna().tolist() == [True, True, True, False]
    assert fit.cov_params().loc["treat[T.B]"].isna().all()
    assert fit.pvalues.isna().tolist() == [True, True, True, False]
    assert np.isnan(fit.t_test("treat[T.B] = treat[T.C]").pvalue)
    assert np.isnan(fit.inference.f_test(np.eye(4)[1:3]).F)
    assert np.isnan(fit.inference.f_test(np.eye(4)[[1, 3]]).F)
    assert fit.inference.f_test(np.eye(4)[3:]).p == pytest.approx(fit.pvalues["x"], rel=1e-9)
    assert fit.emmeans("treat").frame.se.isna().all()


def test_it_is_said_when_the_fit_returns():
    pastes = datasets.load("Pastes")
    with pytest.warns(ValueWarning, match=r"do not identify all variances of \(1 \| cask\)") as caught:
        fit = lmer("strength ~ batch + sample + (1 | cask)", pastes.assign(cask=pastes["sample"]))
    assert {one.filename for one in caught} == {__file__}
    assert fit.converged
    assert fit.message.startswith("converged; the data do not identify")
    assert fit.bse.isna().all()


def test_behind_statsmodels_door():
    g = np.repeat(np.arange(3), 5)
    x = np.random.default_rng(5).normal(size=15)
    treat = np.array(list("ABC"))[g]
    data = pd.DataFrame({"y": np.random.default_rng(6).normal(size=15) + g, "g": g, "x": x, "treat": treat})
    fit = mixedlm("y ~ treat + x", data, groups="g").fit()
    assert fit.bse_fe.isna().tolist() == [True, True, True, False]
    assert fit.pvalues.isna()[:4].tolist() == [True, True, True, False]
    assert "do not identify" in str(fit.summary()).replace("\n", " ")
    assert "nan" not in str(lmer("y ~ treat + x + (1 | g)", data).summary())


def test_a_term_that_is_there_twice():
    data = datasets.load("sleepstudy")
    with pytest.warns(ValueWarning, match="do not identify"):
        twice = lmer("Reaction ~ Days + (1 | Subject) + (1 | Subject)", data)
    once = lmer("Reaction ~ Days + (1 | Subject)", data)
    np.testing.assert_allclose(twice.bse, once.bse, rtol=1e-6)
    np.testing.assert_allclose(twice.coef_table.df, once.coef_table.df, rtol=1e-4)
    assert twice.variance_errors().se.isna().tolist() == [True, True, False]


def test_an_intercept_beside_a_variance_for_every_condition():
    rng = np.random.default_rng(139)
    i, cond = np.repeat(np.arange(40), 12), np.tile(np.repeat(["a", "b"], 6), 40)
    u = 80 * rng.normal(size=(40, 2))
    y = np.where(cond == "a", 600, 800) + u[i, (cond == "b").astype(int)] + 80 * rng.normal(size=480)
    fit = lmer("y ~ 0 + cond + (1 | id) + (0 + cond | id)", pd.DataFrame({"y": y, "cond": cond, "id": i}))
    wald = fit.conf_int(method="wald")
    assert wald.loc["sd_(Intercept)|id"].isna().all()
    assert wald.loc["sigma"].notna().all()
    assert "identify" in " ".join(wald.attrs["notes"])
    assert fit.coef_table.df.notna().all()  # the means' variances are identified


def test_nothing_is_said_of_models_that_are_identified():
    fit = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    assert fit.message == "converged"
    assert not any("identify" in note for note in fit.coef_table.attrs.get("notes", ()))
    assert fit.conf_int(method="wald").notna().all(axis=None)


def pastes() -> pd.DataFrame:
    # the layout of lme4's Pastes: 3 casks of each of 10 batches, two assays; the response is made up
    rng = np.random.default_rng(60)
    table = pd.DataFrame({"batch": np.repeat(list("ABCDEFGHIJ"), 6), "cask": np.tile(np.repeat(list("abc"), 2), 10)})
    table["sample"] = table["batch"] + table["cask"]
    sample = rng.normal(scale=2, size=30).repeat(2)
    return table.assign(strength=60 + sample + rng.normal(scale=0.8, size=60))


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_standard_errors_that_depend_on_what_is_not_identified(ddf):
    # the samples span batches and casks: (1 | batch) is beyond the data. Differences within a batch do not depend on it
    fit = lmer("strength ~ sample + (1 | batch)", pastes()).with_inference(ddf=ddf)
    known = fit.coef_table.index.isin(["sample[T.Ab]", "sample[T.Ac]"])
    for column in ("se", "df", "statistic", "p", "lower", "upper"):
        assert (fit.coef_table[column].notna() == known).all()
    assert (fit.bse.notna() == known).all()
    assert fit.coef_table.estimate.notna().all()
    assert fit.anova(type=3)[["F", "den_df", "p"]].isna().all(axis=None)
    assert np.isnan(np.squeeze(fit.t_test("sample[T.Ba] = 0").sd))
    means = fit.emmeans("sample")
    pairs = means.contrasts("pairwise", adjust="none").frame.set_index("contrast")
    assert means.frame.se.isna().all()
    assert pairs.loc["Ba - Bb", "se"] == pytest.approx(fit.sigma)
    assert np.isnan(pairs.loc["Aa - Ba", "se"])


# nlme's Orthodont (Potthoff and Roy 1964): 16 boys, then 11 girls, at 8, 10, 12 and 14 years
DISTANCE = [
    26, 25, 29, 31, 21.5, 22.5, 23, 26.5, 23, 22.5, 24, 27.5, 25.5, 27.5, 26.5, 27,
    20, 23.5, 22.5, 26, 24.5, 25.5, 27, 28.5, 22, 22, 24.5, 26.5, 24, 21.5, 24.5, 25.5,
    23, 20.5, 31, 26, 27.5, 28, 31, 31.5, 23, 23, 23.5, 25, 21.5, 23.5, 24, 28,
    17, 24.5, 26, 29.5, 22.5, 25.5, 25.5, 26, 23, 24.5, 26, 30, 22, 21.5, 23.5, 25,
    21, 20, 21.5, 23, 21, 21.5, 24, 25.5, 20.5, 24, 24.5, 26, 23.5, 24.5, 25, 26.5,
    21.5, 23, 22.5, 23.5, 20, 21, 21, 22.5, 21.5, 22.5, 23, 25, 23, 23, 23.5, 24,
    20, 21, 22, 21.5, 16.5, 19, 19, 19.5, 24.5, 25, 28, 28,
]  # fmt: skip


def orthodont() -> pd.DataFrame:
    table = pd.DataFrame(
        {"distance": DISTANCE, "age": np.tile([8, 10, 12, 14], 27), "Subject": np.repeat(range(27), 4)}
    )
    return table.assign(Sex=pd.Categorical(np.where(table.Subject < 16, "Male", "Female"), ["Male", "Female"]))


# lmerTest 3.1-3 and pbkrtest 0.5.2 on Orthodont: no subject has both sexes, their covariance is not identified
ORTHODONT = {
    "distance ~ age * Sex + ({} | Subject)": {
        "satterthwaite": ([0.96738123, 0.07750111, 1.54781971, 0.12142090], [91.23014, 79, 96.59378, 79]),
        "kenward-roger": ([0.96738123, 0.07750111, 1.54781971, 0.12142090], [91.23014, 79, 96.59378, 79]),
    },
    "distance ~ age + ({} | Subject)": {
        "satterthwaite": ([0.79297300, 0.06160592], [101.3232, 80]),
        "kenward-roger": ([0.80637340, 0.06160592], [102.6905, 80]),
    },
}


@pytest.mark.parametrize("bar", ["Sex", "0 + Sex"])
@pytest.mark.parametrize("formula", ORTHODONT)
def test_a_covariance_of_effects_that_no_level_has_together(formula, bar):
    fit = lmer(formula.format(bar), orthodont())
    for ddf, (se, df) in ORTHODONT[formula].items():
        table = fit.with_inference(ddf=ddf).coef_table
        np.testing.assert_allclose(table.se, se, rtol=1e-5)
        np.testing.assert_allclose(table.df, df, rtol=1e-5)
        assert "identify" in " ".join(table.attrs["notes"])
    errors = fit.variance_errors()
    assert np.isnan(errors.filter(like="cor_", axis=0).se.iloc[0])
    assert errors.loc["sigma", "se"] > 0


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "asymptotic"])
def test_a_difference_within_groups_is_tested_though_neither_of_its_coefficients_is(ddf):
    # the group of A has nothing else, those of b and c have both: only b − c is free of the variance between groups
    rng = np.random.default_rng(8)
    g = np.repeat([0, 1], [6, 12])
    t = np.r_[["A"] * 6, np.resize(["b", "c"], 12)]
    data = {"y": rng.normal(size=18) + g, "g": g, "t": t}
    fit = lmer("y ~ t + (1 | g)", data, ddf=ddf)
    assert fit.bse.isna().all()
    y, spread = data["y"], lambda rows: ((rows - rows.mean()) ** 2).sum()
    s2 = sum(spread(y[t == level]) for level in "Abc") / 15  # least squares: both groups' means are free
    for test in (fit.t_test("t[T.c] - t[T.b] = 0"), fit.t_test(([[0, -1, 1]], [0]))):
        assert test.sd == pytest.approx(np.sqrt(s2 / 3), rel=1e-6)
        assert test.effect == pytest.approx(y[t == "c"].mean() - y[t == "b"].mean(), rel=1e-6)
        assert np.isfinite(test.pvalue)
    joint = fit.wald_test("t[T.c] - t[T.b] = 0")
    assert float(np.squeeze(joint.pvalue)) == pytest.approx(float(fit.t_test("t[T.c] - t[T.b] = 0").pvalue), rel=1e-6)
    assert np.isnan(fit.wald_test("t[T.c] = 0").pvalue)


def test_intervals_where_little_is_identified_are_computed_without_a_floating_point_error():
    """Two groups and a covariate of the groups: standard deviations at zero, and limits on 0.03 degrees of freedom."""
    rng = np.random.default_rng(39)
    g = rng.integers(0, 2, 12)
    data = {"x": rng.normal(size=2)[g], "y": rng.normal(size=12), "g": g}
    new = {"x": [0.0, 1.0], "g": [7, 8]}
    for formula in ("y ~ x + (x | g)", "y ~ x + (x || g)"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            fit = lmer(formula, data, REML=False)
            intervals = fit.conf_int(method="wald")
            limits = fit.predict(new, interval="prediction", random=True, new_levels="population")
        assert intervals.loc["sd_x|g"].isna().all()
        assert np.isfinite(limits.to_numpy()).all()
