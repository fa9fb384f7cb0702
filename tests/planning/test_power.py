"""Power: against the noncentral t and F of balanced designs, a published analysis, R's p-values, and what it says."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import henderson
from henderson.design.given import given_parameters
from henderson.design.without_response import design_without_response
from henderson.errors import DataError, NotAvailable
from henderson.planning.decide import Tester
from henderson.planning.extend import Study
from henderson.planning.hypothesis import hypothesis
from henderson.planning.power import _reference
from oracle_data import cases

# five standard errors of a share of n: one failure in two million
SPREAD = 5
# lme4's optimum is within 1e-6 of the best in θ; p follows it
P = 2e-5


def close_to(exact: float, found: float, n: int) -> bool:
    return abs(found - exact) < SPREAD * np.sqrt(exact * (1 - exact) / n)


def power_of_t(size: float, df: float) -> float:
    """P(|t| > t_.975) with noncentrality `size`."""
    limit = stats.t.ppf(0.975, df)
    return float(stats.nct.sf(limit, df, size) + stats.nct.cdf(-limit, df, size))


def power_of_f(size: float, num: float, den: float) -> float:
    return float(stats.ncf.sf(stats.f.ppf(0.95, num, den), num, den, size))


def crossed(**levels) -> pd.DataFrame:
    return pd.DataFrame(pd.MultiIndex.from_product(levels.values(), names=levels).to_frame(index=False))


N = 2000
#: of Kenward and Roger's, an order of magnitude dearer
FEWER = 800


def number(ddf: str) -> int:
    return FEWER if ddf == "kenward-roger" else N


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "containment"])
def test_within_subjects_with_a_random_intercept(ddf):
    # σ² / (J Σ(x − x̄)²) is the slope's variance, J(T − 1) − 1 its df
    found = henderson.power(
        "y ~ x + (1 | g)", "x", data={"x": [0, 1, 2, 3]}, sizes={"g": 8}, beta=[1, 0.5], varcorr={"g": 4.0}, sigma=1.0,
        n=number(ddf), ddf=ddf, seed=1,
    )  # fmt: skip
    assert close_to(power_of_t(0.5 * np.sqrt(8 * 5.0), 23), found.frame["power"].iloc[0], number(ddf))


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "between-within"])
def test_between_subjects(ddf):
    # three arms of six subjects with four rows each: the means of subjects are a one-way layout
    data = crossed(arm=["a", "b", "c"], s=range(6), t=range(4))
    data["s"] = data["arm"] + data["s"].astype(str)
    found = henderson.power(
        "y ~ arm + (1 | s)", "arm", data=data, beta=[0, 1.0, 2.0], varcorr={"s": 1.0}, sigma=1.0, n=number(ddf),
        ddf=ddf, seed=2,
    )  # fmt: skip
    size = 6 * 2.0 / (1 + 1 / 4)
    assert close_to(power_of_f(size, 2, 15), found.frame["power"].iloc[0], number(ddf))


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_slopes(ddf):
    # every subject has its own slope: a one-sample t test of J slopes
    sxx = 5.0
    found = henderson.power(
        "y ~ x + (x | g)", "x", data={"x": [-1.5, -0.5, 0.5, 1.5]}, sizes={"g": [12, 20]}, beta=[0, 0.7],
        varcorr={"g": [[1.0, 0.3], [0.3, 0.8]]}, sigma=0.7, n=number(ddf), ddf=ddf, seed=3,
    )  # fmt: skip
    for j, share in zip((12, 20), found.frame["power"]):
        assert close_to(power_of_t(0.7 / np.sqrt((0.8 + 0.49 / sxx) / j), j - 1), share, number(ddf))


def test_a_published_analysis():
    # Green and MacLeod's simr, "Power analysis from scratch": 3 groups, x = 1 … 10, slope −0.1; its 20 data sets gave
    # 30 % (11.89, 54.28) by Kenward–Roger
    data = crossed(g=list("abc"), x=range(1, 11))
    found = henderson.power(
        "y ~ x + (1 | g)", "x", data=data, beta=[2, -0.1], varcorr={"g": 0.5}, sigma=1.0, ddf="KR", n=FEWER, seed=4
    )
    share = found.frame["power"].iloc[0]
    assert 0.1189 < share < 0.5428
    assert close_to(power_of_t(0.1 * np.sqrt(3 * 82.5), 26), share, FEWER)


def test_power_of_a_true_null_is_alpha():
    found = henderson.power(
        "y ~ x + (x | g)", "x = 1", data={"x": [-1, 0, 1]}, sizes={"g": 10}, beta=[0, 1.0], varcorr={"g": [1, 1]},
        sigma=0.5, n=N, alpha=0.1, seed=5,
    )  # fmt: skip
    assert close_to(0.1, found.frame["power"].iloc[0], N)


@pytest.mark.parametrize("case", cases("power").values(), ids=lambda case: case["id"])
@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_p_values_are_lmertests(case, ddf):
    study = Study(*design_without_response(case["formula"], pd.DataFrame(case["design"])))
    given = given_parameters(study.design, beta=case["beta"], theta=case["theta"], sigma=case["sigma"])
    fit = _reference(study, given, True)
    found = Tester.of(fit, hypothesis(fit, term=case["effect"]), ddf)(np.array(case["y"]).T)
    inside = ~np.array(case["singular"])
    np.testing.assert_array_equal(found.singular, ~inside)
    np.testing.assert_allclose(found.p[inside], np.array(case[ddf.replace("-", "_")])[inside], atol=P)


@pytest.fixture(scope="module")
def batch():
    """A study's fit at given parameters, twelve responses, and the fit of each."""
    rng = np.random.default_rng(3)
    data = crossed(g=range(9), x=range(5))
    data["a"] = (data["g"] % 3 + 1).astype(str)
    data = data[rng.random(len(data)) < 0.8]
    study = Study(*design_without_response("y ~ a + x + (x | g)", data))
    given = given_parameters(study.design, beta=[0, 0, 0.5, 0.2], varcorr={"g": [0.4, 0.02]}, sigma=1.0)
    y = rng.standard_normal((len(data), 12)) + 0.3 * rng.standard_normal(9)[data["g"]][:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", henderson.SingularMatrixWarning)
        warnings.simplefilter("ignore", henderson.ConvergenceWarning)
        fits = [henderson.lmer("y ~ a + x + (x | g)", data.assign(y=one)) for one in y.T]
    return _reference(study, given, True), y, fits


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "kenward-roger-2009", "kenward-roger-observed",
                                 "containment", "between-within", "residual", "asymptotic"])  # fmt: skip
@pytest.mark.parametrize("effect", ["a", "x", "a[T.2] = a[T.3]"])
def test_a_batch_has_the_tests_of_single_fits(ddf, effect, batch):
    fit, y, fits = batch
    found = Tester.of(fit, hypothesis(fit, effect), ddf)(y)
    assert found.singular.any()
    for b, one in enumerate(fits):
        by_ddf = one.with_inference(ddf=ddf)
        p = by_ddf.anova()["p"]["a"] if effect == "a" else float(np.squeeze(by_ddf.t_test(effect).pvalue))
        assert found.p[b] == pytest.approx(p, abs=P)


def test_by_ml_and_by_a_constant_df():
    fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"), REML=False)
    beta = {"Days": 4.0}
    ml = henderson.power(fit, "Days", beta=beta, n=300, seed=1)
    reml = henderson.power(fit, "Days", beta=beta, n=300, seed=1, REML=True)
    z = henderson.power(fit, "Days", beta=beta, n=300, seed=1, ddf="z")
    assert z.frame["power"].iloc[0] > ml.frame["power"].iloc[0] > reml.frame["power"].iloc[0]
    with pytest.raises(ValueError, match="REML"):
        henderson.power(fit, "Days", ddf="KR")


@pytest.fixture(scope="module")
def fit():
    return henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))


def test_a_size_is_the_same_beside_others(fit):
    one = henderson.power(fit, "Days", sizes={"Subject": 8}, beta={"Days": 5}, n=150, seed=9)
    several = henderson.power(fit, "Days", sizes={"Subject": [5, 8]}, beta={"Days": 5}, n=150, seed=9)
    np.testing.assert_array_equal(one.pvalues[0], several.pvalues[1])
    assert several.frame["Subject"].tolist() == [5, 8]


def test_the_smallest_size(fit):
    found = henderson.power(fit, "Days", sizes={"Subject": range(6, 31, 6)}, beta={"Days": 5}, n=200, seed=9)
    enough = found.frame["Subject"][found.frame["power"] >= 0.8].iloc[0]
    assert found.smallest == {"Subject": enough}
    assert found.smallest_sure["Subject"] >= enough
    assert f"80% power is reached with Subject = {enough}" in repr(found)
    none = henderson.power(fit, "Days", sizes={"Subject": [3, 4]}, beta={"Days": 1}, n=50, seed=9)
    assert none.smallest is None
    assert "80% power is not reached" in repr(none)


def test_the_interval_is_exact_and_failures_are_not_significant(fit):
    found = henderson.power(fit, "Days", n=50, seed=1, level=0.9, beta={"Days": 4})
    row = found.frame.iloc[0]
    exact = stats.binomtest(round(row["power"] * 50), 50).proportion_ci(0.9)
    assert (row["lower"], row["upper"]) == (pytest.approx(exact.low), pytest.approx(exact.high))


def test_an_interrupt_keeps_what_was_done(fit):
    def stop(done, total):
        if done >= 100:
            raise KeyboardInterrupt

    found = henderson.power(fit, "Days", sizes={"Subject": [8, 12]}, n=100, seed=1, progress=stop)
    assert found.frame["n"].tolist() == [100]
    assert "interrupted after 100 of 200 data sets" in repr(found)


def test_progress_counts_all_data_sets(fit):
    told = []
    henderson.power(fit, "Days", sizes={"Subject": [8, 12]}, n=40, seed=1, progress=lambda *both: told.append(both))
    assert told[-1] == (80, 80)


def test_results_and_both_doors(fit):
    old = henderson.mixedlm(
        "Reaction ~ Days", henderson.datasets.load("sleepstudy"), groups="Subject", re_formula="~Days"
    ).fit()
    mine = fit.power("Days", sizes={"Subject": 10}, n=60, seed=2, beta={"Days": 4})
    its = old.power("Days", sizes={"Subject": 10}, n=60, seed=2, beta={"Days": 4}, ddf="satterthwaite")
    np.testing.assert_allclose(mine.pvalues[0], its.pvalues[0], atol=1e-4)
    assert fit.power("Days", n=20, seed=2).ddf == "satterthwaite"
    assert fit.with_inference(ddf="KR").power("Days", n=20, seed=2).ddf == "kenward-roger"


def test_weights_and_offset_are_copied():
    data = crossed(g=range(6), x=range(4)).assign(w=lambda d: 1.0 + d["x"], y=lambda d: np.sin(d.index.to_numpy()))
    fit = henderson.lmer("y ~ x + offset(x) + (1 | g)", data, weights="w")
    found = henderson.power(fit, "x", sizes={"g": 12}, n=30, seed=1, beta={"x": 1})
    assert found.frame["rows"].iloc[0] == 48


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"effect": "Dayz"}, r"no effect is called 'Dayz': the coefficients are \(Intercept\), Days, the terms Days"),
        ({"term": "Dayz"}, "no term is called 'Dayz'; there are Days"),
        ({}, "give one of effect, contrast=, term="),
        ({"effect": "Days", "term": "Days"}, "give one of"),
        ({"effect": "Days", "sizes": {"Subjekt": 10}}, "sizes names 'Subjekt', which is no grouping factor.*Subject"),
        ({"effect": "Days", "sizes": {"Subject": 1}}, r"sizes\['Subject'\] must be whole numbers from 2 on, not 1"),
        ({"effect": "Days", "sizes": {"Subject": [10, 2.5]}}, "not 2.5"),
        ({"effect": "Days", "sizes": {"Subject": []}}, "is empty"),
        ({"effect": "Days", "sizes": [10]}, "sizes must be a dict"),
        ({"effect": "Days", "n": 0}, "n must be a number of data sets"),
        ({"effect": "Days", "alpha": 5}, "alpha must be between 0 and 1"),
        ({"effect": "Days", "target": 80}, "target must be between 0 and 1"),
        ({"effect": "Days", "beta": {"days": 1}}, "beta names 'days'"),
        ({"effect": "Days", "ddf": "welch"}, "unknown ddf 'welch'"),
        ({"effect": "Days", "data": {}}, "data= goes with a formula"),
        ({"effect": "Days", "seed": -1}, "seed must be"),
    ],
)
def test_errors_name_the_culprit(fit, options, says):
    with pytest.raises(ValueError, match=says):
        henderson.power(fit, **options)


def test_what_a_formula_lacks():
    with pytest.raises(ValueError, match="data= is missing"):
        henderson.power("y ~ x + (1 | g)", "x")
    with pytest.raises(ValueError, match="sigma= is missing"):
        henderson.power("y ~ x + (1 | g)", "x", data={"x": [0, 1]}, sizes={"g": 5}, beta=[0, 1], varcorr={"g": 1})
    with pytest.raises(ValueError, match="a fit or a formula, not int"):
        henderson.power(3, "x")


def test_what_the_smaller_study_cannot_estimate():
    data = crossed(s=range(6), t=range(3)).assign(arm=lambda d: d["s"].map({0: "c"}).fillna("a"))
    with pytest.raises(DataError, match=r"arm\[T.c\] cannot be estimated with 2 levels of s"):
        henderson.power(
            "y ~ arm + (1 | s)",
            "arm[T.c]",
            data=data,
            sizes={"s": 2},
            beta=[0, 1],
            varcorr={"s": 1},
            sigma=1,
        )


def test_the_picture():
    pytest.importorskip("matplotlib")
    found = henderson.power(
        "y ~ x + (1 | g) + (1 | h)", "x", data={"x": [0, 1]}, sizes={"g": [5, 10, 15], "h": [4, 8]}, beta=[0, 0.3],
        varcorr={"g": 1, "h": 1}, sigma=1, n=60, seed=1,
    )  # fmt: skip
    ax = found.plot()
    lines = {line.get_label(): line for line in ax.lines if "=" in line.get_label()}
    assert set(lines) == {"h = 4", "h = 8"}
    for h in (4, 8):
        own = found.frame[found.frame["h"] == h]
        np.testing.assert_array_equal(lines[f"h = {h}"].get_xydata(), own[["g", "power"]].to_numpy(float))
    assert ax.get_xlabel() == "number of levels of g"


def test_a_negative_variance_is_refused_by_name_unless_another_is_given():
    rng = np.random.default_rng(1)
    e = rng.normal(size=(30, 4))
    e -= 0.4 * e.mean(axis=1, keepdims=True)
    table = pd.DataFrame({"y": e.ravel(), "g": np.repeat(np.arange(30), 4), "x": np.tile(np.arange(4.0), 30)})
    fit = henderson.lmer("y ~ x + (1 | g)", table, bound=False)
    assert fit.varcorr["vcov"].iloc[0] < 0
    with pytest.raises(NotAvailable, match=r"power\(\): the variance of g is negative"):
        fit.power("x", n=5, seed=1)
    assert fit.power("x", varcorr={"g": 0.5}, n=5, seed=1).frame["n"].iloc[0] == 5
