"""Marginal means, contrasts with every adjustment, trends and joint tests of data sets of R's packages."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import henderson
from oracle_data import cases, frame

# in units of the standard error; lme4's optimum is as near as several optimizers get, and df are ratios of what is flat
ESTIMATE, DF, P = 3e-5, 3e-3, 3e-4
# emtrends takes a forward difference of a millionth of the range
SLOPE = 3e-4
# emmeans simulates the multivariate t, ours is an integral
SIMULATED_LIMIT, SIMULATED_P = 5e-3, 2e-3
SIMULATED = ("mvt", "consec", "mean_chg")
# and it finds the quantiles of its approximation to Dunnett's distribution to about this
DUNNETT_LIMIT = 3e-4
# emmeans rounds F to three digits and df to two
F_ROUNDING, DF_ROUNDING = 6e-4, 6e-3
# emmeans has the F of "(confounded)" from the other, rounded, ones
CONFOUNDED = 5e-3

CASES = cases("packages")


@pytest.fixture(scope="module", params=CASES)
def fitted(request):
    case = CASES[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = henderson.lmer(case["formula"], frame("packages", case["data"]))
    assert fit.deviance == pytest.approx(case["deviance"], rel=1e-7)
    return case, fit


def numbers(values: list[Any]) -> np.ndarray:
    return np.array([np.nan if v is None or isinstance(v, str) else v for v in values], float)


def _limit(method: str, tolerance: float) -> float:
    return SIMULATED_LIMIT if method in SIMULATED else DUNNETT_LIMIT if method.startswith("trt") else tolerance


def check(got: pd.DataFrame, want: dict[str, Any], where: str, tolerance: float = ESTIMATE, method: str = "") -> None:
    """The rows in emmeans' order, with its labels and numbers."""
    se = np.nan_to_num(numbers(want["se"]), nan=1.0)
    se[se == 0] = 1.0
    for name in set(want) & set(got.columns) - {"estimate", "se", "df", "lower", "upper", "statistic", "p"}:
        assert [str(v).removesuffix(".0") for v in got[name]] == [str(v) for v in want[name]], where
    for name in [name for name in ("estimate", "se", "lower", "upper") if name in want]:
        near = _limit(method, tolerance) if name in ("lower", "upper") else tolerance
        ours, theirs = got[name].to_numpy(float), numbers(want[name])
        # where a mean cannot be estimated emmeans has no simulated limits of the others either
        known = ~np.isnan(theirs) if method in SIMULATED else np.ones(len(se), bool)
        np.testing.assert_allclose(
            (ours / se)[known], (theirs / se)[known], rtol=near, atol=near, err_msg=f"{where} {name}"
        )
    np.testing.assert_allclose(got["df"], numbers(want["df"]), rtol=DF, err_msg=where)
    ours, theirs = got["p"].to_numpy(float), numbers(want["p"])
    known = ~np.isnan(theirs) if method in SIMULATED else np.ones(len(se), bool)
    np.testing.assert_allclose(
        ours[known], theirs[known], atol=SIMULATED_P if method in SIMULATED else P, err_msg=where
    )


@pytest.mark.parametrize("weights", ["equal", "proportional", "cells", "outer", "flat"])
def test_means(fitted, weights):
    case, fit = fitted
    for asked in case["means"]:
        check(fit.emmeans(asked["specs"], weights=weights).frame, asked[weights], f"{asked['specs']} {weights}")


def test_contrasts_with_every_adjustment(fitted):
    case, fit = fitted
    for asked in case["contrasts"]:
        means = fit.emmeans(asked["specs"])
        for adjust, want in asked["pairwise"].items():
            if want:
                got = means.contrasts("pairwise", adjust=adjust).frame
                check(got, want, f"{asked['specs']} {adjust}", method=adjust)
        for method, want in asked["others"].items():
            if want:
                check(means.contrasts(method).frame, want, f"{asked['specs']} {method}", method=method)


def test_simple_and_interaction_contrasts(fitted):
    case, fit = fitted
    for asked in case["simple"]:
        one, other = asked["specs"], asked["by"]
        means = fit.emmeans(one, by=other)
        check(means.frame, asked["means"], f"{one} | {other}")
        check(means.contrasts("pairwise").frame, asked["contrasts"], f"pairs of {one} | {other}")
        products = fit.emmeans([one, other]).contrasts("pairwise", interaction=True)
        check(products.frame, asked["interaction"], f"{one} : {other}")


def test_trends_and_means_at_values(fitted):
    case, fit = fitted
    for asked in case["trends"] or ():
        trends = fit.emtrends(asked["specs"], asked["var"])
        check(trends.frame, asked["table"], f"{asked['var']} at {asked['specs']}", SLOPE)
        if asked["pairwise"]:
            check(trends.contrasts("pairwise").frame, asked["pairwise"], f"{asked['var']} pairs", SLOPE)
    for asked in case["at"] or ():
        got = fit.emmeans(asked["specs"], by=asked["var"], at={asked["var"]: asked["at"]})
        check(got.frame, asked["table"], f"{asked['specs']} at {asked['var']}")


def test_joint_tests(fitted):
    case, fit = fitted
    for asked in case["joint_tests"]:
        want = asked["table"]
        if "error" in want:
            assert want["error"].startswith("There are no factors to test")
            continue
        got = fit.joint_tests(by=asked["by"])
        assert list(got["term"]) == want["term"]
        F, rounding = numbers(want["F"]), np.where(got["term"] == "(confounded)", CONFOUNDED, F_ROUNDING)
        assert (np.abs(got["F"] - F) <= rounding + 1e-4 * F).all(), f"by {asked['by']}"
        np.testing.assert_allclose(got["num_df"], want["num_df"])
        np.testing.assert_allclose(got["den_df"], numbers(want["den_df"]), rtol=DF, atol=DF_ROUNDING)
