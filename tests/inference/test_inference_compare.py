"""Comparisons of models against lme4, pbkrtest, lmerTest's ranova and RLRsim."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import henderson
from henderson import datasets, lmer
from henderson.errors import DataError
from henderson.inference.comparison.compare import compare
from henderson.inference.comparison.ranova import ranova
from henderson.inference.comparison.rlrt import _distinct, _spectrum, rlrt
from henderson.inference.comparison.submodels import FittedLikelihood, likelihood_ratio
from oracle_data import cases, frame, load_oracle

PAIRS = cases("comparisons")
RANDOM = {name: case for name, case in cases("inference").items() if "term" in case["ranova"]}
EXACT = {case["id"]: case for case in load_oracle("comparisons")["exact"]}

#: pbkrtest and lme4 stop within 1e-9 of the deviance
STATISTIC = 1e-6


def table_of(data: str) -> pd.DataFrame:
    own = load_oracle("comparisons")["data"].get(data)
    table = frame("inference", data) if own is None or data in load_oracle("inference")["data"] else pd.DataFrame(own)
    return table


def pair(case):
    table = table_of(case["data"])
    weights = table[case["weights"]] if case["weights"] else None
    return [henderson.lmer(case[which], table, weights=weights) for which in ("small", "large")]


@pytest.mark.parametrize("name", PAIRS)
def test_likelihood_ratio(name):
    case = PAIRS[name]
    small, large = pair(case)
    tables = {"ml": compare(large, small, refit=True)}
    if case["reml"]:
        tables["reml"] = compare(small, large)
        assert "REML likelihoods" in tables["reml"].attrs["notes"][0]
    for kind, table in tables.items():
        listing = case[kind]
        np.testing.assert_array_equal(table["npar"], listing["npar"])
        for column in ("aic", "bic", "loglik", "deviance"):
            np.testing.assert_allclose(table[column], listing[column], rtol=1e-9)
        assert table["statistic"].iloc[1] == pytest.approx(listing["chisq"][1], abs=STATISTIC)
        assert table["df"].iloc[1] == listing["df"][1]
        assert table["p"].iloc[1] == pytest.approx(listing["p"][1], abs=1e-7)


@pytest.mark.parametrize("name", [name for name in PAIRS if PAIRS[name].get("kenward_roger")])
def test_kenward_roger(name):
    case = PAIRS[name]
    table = compare(*pair(case), method="kenward-roger")
    listing = case["kenward_roger"]
    assert table["F"].iloc[0] == pytest.approx(listing["stat"], rel=STATISTIC)
    assert table["num_df"].iloc[0] == listing["ndf"]
    assert table["den_df"].iloc[0] == pytest.approx(listing["ddf"], rel=STATISTIC)
    assert table["p"].iloc[0] == pytest.approx(listing["p.value"], abs=STATISTIC)


@pytest.mark.parametrize("name", ["cake-temperature", "oats-variety"])
def test_bootstrap(name):
    case = PAIRS[name]
    table = compare(*pair(case), method="bootstrap", n=1000, seed=5)
    # two simulations of 1000: a standard error of 0.0158 each at most
    assert table["p_boot"].iloc[0] == pytest.approx(case["bootstrap"]["p"], abs=0.07)
    again = compare(*pair(case), method="bootstrap", n=1000, seed=5)
    assert again["p_boot"].iloc[0] == table["p_boot"].iloc[0]


def test_compare_says_what_it_refits_and_refuses():
    sleepstudy = henderson.datasets.load("sleepstudy")
    large = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    small = henderson.lmer("Reaction ~ 1 + (Days | Subject)", sleepstudy)
    assert compare(small, large).attrs["notes"][0].startswith("refitted by ML: Reaction ~ 1")
    with pytest.raises(ValueError, match="cannot be compared"):
        compare(small, large, refit=False)
    with pytest.raises(DataError, match="different rows: 180 and 179"):
        compare(large, henderson.lmer("Reaction ~ 1 + (1 | Subject)", sleepstudy.iloc[1:]))
    shifted = sleepstudy.assign(Reaction=sleepstudy["Reaction"] + 1)
    with pytest.raises(DataError, match="different responses"):
        compare(large, henderson.lmer("Reaction ~ 1 + (1 | Subject)", shifted))
    with pytest.raises(ValueError, match="there are lr, kenward-roger, bootstrap"):
        compare(small, large, method="wald")
    with pytest.raises(ValueError, match="same fixed part"):
        compare(large, henderson.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy), method="kenward-roger")


def test_chi_bar_square_mixtures():
    sleepstudy = henderson.datasets.load("sleepstudy")
    intercept = henderson.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    uncorrelated = henderson.lmer("Reaction ~ Days + (Days || Subject)", sleepstudy)
    correlated = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    one = compare(intercept, uncorrelated).iloc[1]
    assert one["p_chibar"] == pytest.approx(one["p"] / 2, rel=1e-12)
    both = compare(intercept, correlated)
    assert "0.5 χ²(1) + 0.5 χ²(2)" in both.attrs["notes"][1]
    assert np.isnan(compare(uncorrelated, correlated)["p_chibar"].iloc[1])


@pytest.mark.parametrize("name", RANDOM)
def test_ranova(name):
    case = RANDOM[name]
    table = frame("inference", case["data"])
    weights = table[case["weights"]] if case["weights"] else None
    tested = ranova(henderson.lmer(case["formula"], table, REML=case["reml"], weights=weights))
    listing = case["ranova"]
    assert [label.replace("(1 + ", "(") for label in listing["term"]] == list(tested.index)
    np.testing.assert_array_equal(tested["npar"], listing["npar"])
    for column, ours in (("loglik", "loglik"), ("aic", "aic"), ("lrt", "statistic")):
        np.testing.assert_allclose(tested[ours], np.array(listing[column], float), rtol=1e-8, atol=STATISTIC)
    np.testing.assert_allclose(tested["p"], np.array(listing["p"], float), atol=1e-7)


MODELS = {
    "sleepstudy-intercept": ("sleepstudy", "Reaction ~ Days + (1 | Subject)", True, None),
    "dyestuff": ("Dyestuff", "Yield ~ 1 + (1 | Batch)", True, None),
    "weak": ("weak", "y ~ x + (1 | g)", True, None),
    "cake-temp": ("cake", "angle ~ recipe * temp + (1 | recipe:replicate)", True, None),
    "sleepstudy-uncorrelated: (0 + Days | Subject)": (
        "sleepstudy",
        "Reaction ~ Days + (Days || Subject)",
        True,
        "Subject.1",
    ),
}


@pytest.mark.parametrize("name", [name for name in MODELS if name in EXACT])
def test_exact_restricted_test(name):
    data, formula, reml, term = MODELS[name]
    test = rlrt(henderson.lmer(formula, table_of(data), REML=reml), term, n=40_000, seed=2)
    assert test.statistic == pytest.approx(EXACT[name]["statistic"], abs=1e-5)
    # standard errors of the two simulations: 0.001 here, 0.0007 there
    assert test.p == pytest.approx(EXACT[name]["p"], abs=0.005)


def test_exact_test_under_ml_keeps_to_the_variance():
    # RLRsim's exactLRT of the same null (one variance, no fixed effect)
    test = rlrt(henderson.lmer("y ~ x + (1 | g)", table_of("weak"), REML=False), n=40_000, seed=2)
    listing = EXACT["weak, exactLRT under ML"]
    assert test.statistic == pytest.approx(listing["statistic"], abs=1e-5)
    assert test.p == pytest.approx(listing["p"], abs=0.005)


@pytest.mark.parametrize("columns", [0, 1, 3])
@pytest.mark.parametrize("weights", [False, True])
def test_spectrum_of_many_levels_by_their_sizes(columns, weights):
    """Of levels of one size the fixed effects see as many combinations as they have columns; the others are alike."""
    rng = np.random.default_rng(8)
    codes, n = rng.integers(0, 30, 70), 70
    z = np.eye(30)[codes] * (rng.integers(1, 3, n) ** 0.5 if weights else np.ones(n))[:, None]
    q = np.linalg.qr(rng.normal(size=(n, columns)))[0]
    values, count = _distinct(*_spectrum(sparse.csr_array(z), q, "g"))
    known = np.linalg.eigvalsh(z.T @ (np.eye(n) - q @ q.T) @ z)
    known = known[known > 1e-9 * known.max()]
    np.testing.assert_allclose(np.repeat(values, count.astype(int)), known, atol=1e-10)


def test_exact_test_of_many_levels():
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"g": rng.integers(0, 6000, 15_000), "x": rng.normal(size=15_000)})
    table["y"] = rng.normal(size=15_000) + 0.2 * rng.normal(size=6000)[table["g"]]
    test = henderson.lmer("y ~ x + (1 | g)", table).rlrt(n=4000, seed=1)
    assert test.p == pytest.approx(test.p_chibar, abs=4 * test.p_se + 0.01)  # of many groups the mixture is the limit
    slopes = henderson.lmer("y ~ x + (0 + x | g)", table)
    with pytest.raises(DataError, match="eigenvalues that differ; the exact test takes up to 5000"):
        slopes.rlrt()


def test_exact_test_refuses():
    correlated = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    with pytest.raises(ValueError, match="2 effects"):
        rlrt(correlated)
    with pytest.raises(ValueError, match="no random term is called 'g'"):
        rlrt(correlated, "g")


def in_sites() -> pd.DataFrame:
    rng = np.random.default_rng(41)
    table = pd.DataFrame({"s": np.repeat([f"s{i:02d}" for i in range(20)], 12), "f": np.tile(list("abc"), 80)})
    table["x"], table["z"], table["w"] = rng.normal(size=(3, 240))
    table["site"] = table["s"].str[1:].astype(int).floordiv(4).astype(str)
    table["y"] = rng.normal(size=20)[table["s"].str[1:].astype(int)] + table["x"] + rng.normal(size=240)
    return table


NESTED = [
    ("x + (1 | s)", "x + (x | s)"),
    ("x + (x || s)", "x + (x | s)"),
    ("x + (1 | s)", "x + (1 | site/s)"),
    ("f + (1 | s) + (1 | s:f)", "f + (f | s)"),
    ("x + (0 + x | s)", "x + (1 | s) + (0 + I(2 * x) | s)"),
    ("x + (x | s)", "x + z + (I(x + 3) | s)"),
    ("x + (1 | s)", "x * f + (1 | s)"),
]
NOT_NESTED = [
    ("x + (1 | s)", "f + z + (1 | s)", "fixed part"),
    ("x + (1 | s)", "z + (1 | s)", "fixed part"),
    ("x + (1 | s)", "x + (0 + z + w | s)", "random term"),
    ("x + (x | s)", "x + (x || s) + (1 | site) + (1 | site:f)", "random term"),
    ("x + (1 | site)", "x + (1 | s) + (1 | f)", "random term"),
    ("x + (1 | s)", "x + z + offset(w) + (1 | s)", "offsets"),
]


@pytest.mark.parametrize(("small", "large"), NESTED)
def test_nested_models_are_compared(small, large):
    table = in_sites()
    both = compare(henderson.lmer(f"y ~ {small}", table), henderson.lmer(f"y ~ {large}", table))
    assert 0 <= both["p"].iloc[1] <= 1
    assert both["statistic"].iloc[1] >= 0


@pytest.mark.parametrize(("small", "large", "what"), NOT_NESTED)
def test_models_that_are_visibly_not_nested_are_refused(small, large, what):
    table = in_sites()
    with pytest.raises(ValueError, match=rf"not nested: .*{what}"):
        compare(henderson.lmer(f"y ~ {small}", table), henderson.lmer(f"y ~ {large}", table))


def test_a_mixed_model_against_none():
    import statsmodels.formula.api as smf

    table = in_sites()
    mixed, linear = henderson.lmer("y ~ x + (1 | s)", table, REML=False), smf.ols("y ~ x", table).fit()
    for models in ((linear, mixed), (mixed, linear)):
        tested = compare(*models)
        assert tested["statistic"].iloc[1] == pytest.approx(2 * (mixed.llf - linear.llf), abs=1e-8)
        assert tested["p_chibar"].iloc[1] == pytest.approx(tested["p"].iloc[1] / 2)
    restricted = henderson.lmer("y ~ x + (1 | s)", table)
    kept = compare(linear, restricted)
    assert kept["statistic"].iloc[1] == pytest.approx(ranova(restricted)["statistic"].iloc[1], abs=1e-8)
    assert "REML likelihoods, not refitted" in kept.attrs["notes"][0]
    heavier = smf.wls("y ~ x", table, weights=np.exp(table["w"])).fit()
    with pytest.raises(DataError, match="different weights"):
        compare(heavier, restricted)
    weighted = henderson.lmer("y ~ x + (1 | s)", table, weights=np.exp(table["w"]), REML=False)
    assert compare(heavier, weighted)["statistic"].iloc[1] == pytest.approx(2 * (weighted.llf - heavier.llf), abs=1e-8)
    for given, kind in ((table, "DataFrame"), ("y ~ x", "str")):
        with pytest.raises(TypeError, match=f"fitted models, such as lmer.* not a {kind}"):
            compare(given, mixed)
    with pytest.raises(TypeError, match="at least one mixed model"):
        compare(linear, linear)
    with pytest.raises(ValueError, match="both with random effects"):
        compare(linear, mixed, method="kenward-roger")
    with pytest.raises(TypeError, match=r"henderson\.compare\(one, other\)"):
        mixed.anova(restricted)


def test_a_statistic_that_is_zero_but_for_rounding():
    assert likelihood_ratio(FittedLikelihood(160.0 + 1e-9, 4), FittedLikelihood(160.0, 5)) == 0.0
    assert likelihood_ratio(FittedLikelihood(160.1, 4), FittedLikelihood(160.0, 5)) == pytest.approx(0.1)
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"s": np.repeat(list("abcdefgh"), 6)})
    table["y"] = rng.normal(size=48)
    table["y"] -= table.groupby("s")["y"].transform("mean")
    tested = ranova(henderson.lmer("y ~ 1 + (1 | s)", table))
    assert tested["p_chibar"].iloc[1] == tested["p"].iloc[1] == 1.0


def test_options_go_with_their_method():
    cake = henderson.datasets.load("cake")
    small = henderson.lmer("angle ~ temp + (1 | recipe:replicate)", cake)
    large = henderson.lmer("angle ~ temp + recipe + (1 | recipe:replicate)", cake)
    for given, method in (({"n": 100}, "lr"), ({"seed": 1}, "kenward-roger"), ({"refit": True}, "bootstrap")):
        with pytest.raises(ValueError, match=rf"{next(iter(given))}= goes with method='\w+', not '{method}'"):
            compare(small, large, method=method, **given)
    assert compare(small, large, method="bootstrap", n=20, seed=1)["n"].iloc[0] == 20


def test_a_coefficient_that_is_given_is_within_one_that_is_free():
    """lme4's anova has 69.47324 for an offset of 3 Days against a free slope; the F test is of β = 3, not of 0."""
    sleep = datasets.load("sleepstudy")
    free = lmer("Reaction ~ Days + (1 | Subject)", sleep)
    given = lmer("Reaction ~ 1 + offset(3 * Days) + (1 | Subject)", sleep)
    assert compare(given, free)["statistic"].iloc[1] == pytest.approx(69.4732421352, rel=1e-7)
    both = lmer("Reaction ~ Days + offset(3 * Days) + (1 | Subject)", sleep)
    assert np.ptp(compare(both, free)["deviance"]) == pytest.approx(0, abs=1e-7)
    found = compare(given, free, method="kenward-roger").iloc[0]
    want = free.with_inference(ddf="kenward-roger").inference.f_test(np.array([[0.0, 1.0]]), 3.0)
    assert (found["F"], found["den_df"], found["p"]) == pytest.approx((want.F, want.den_df, want.p), rel=1e-9)
    outside = lmer("Reaction ~ 1 + offset(np.sqrt(Days)) + (1 | Subject)", sleep)
    with pytest.raises(ValueError, match="offsets differ"):
        compare(outside, free)
    with pytest.raises(ValueError, match="offsets differ"):
        compare(outside, free, method="kenward-roger")
    for fit in (given, free):
        fit.remove_data()
    with pytest.raises(DataError, match="needs the rows of the data"):
        compare(given, free)


def test_models_come_in_either_order():
    """Once kr_compare(large, small) said "not nested", and bootstrap_compare drew under the larger model."""
    cake = henderson.datasets.load("cake")
    small = henderson.lmer("angle ~ temp + (1 | recipe:replicate)", cake)
    large = henderson.lmer("angle ~ temp + recipe + (1 | recipe:replicate)", cake)
    other = henderson.lmer("angle ~ recipe + (1 | recipe:replicate)", cake)
    assert henderson.kr_compare(large, small).equals(henderson.kr_compare(small, large))
    one, two = (henderson.bootstrap_compare(*pair, n=5, seed=1) for pair in ((small, large), (large, small)))
    assert one.equals(two)
    assert one["statistic"].iloc[0] > 0.1
    with pytest.raises(ValueError, match="not nested"):
        henderson.bootstrap_compare(small, other, n=5)
