"""Means, contrasts, trends and joint tests: nested factors, two-valued covariates, offsets, empty cells."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import henderson
from oracle_data import cases, frame

# lme4's optimum is as near as several optimizers get; df are ratios of what is flat there
ESTIMATE, DF, P = 2e-5, 2e-3, 2e-4
# emmeans rounds F to three digits, and df to two
F_ROUNDING, DF_ROUNDING = 6e-4, 6e-3
# the basis in which "(confounded)" is tested, which decides its smallest df, is emmeans' own
CONFOUNDED = "(confounded)"

CASES = cases("nested")
WEIGHTS = ("equal", "proportional", "cells", "outer", "flat")


@pytest.fixture(scope="module", params=CASES)
def fitted(request):
    case = CASES[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", henderson.ValueWarning)
        return case, henderson.lmer(case["formula"], frame("nested", case["data"]))


def numbers(values: list[Any]) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values], float)


def check(got: pd.DataFrame, want: dict[str, Any], where: str) -> None:
    """The rows in emmeans' order, with its labels and numbers."""
    for name in set(want) & set(got.columns) - {"estimate", "se", "df", "lower", "upper", "statistic", "p"}:
        assert [str(value).removesuffix(".0") for value in got[name]] == [str(value) for value in want[name]], where
    unit = np.where(np.isnan(numbers(want["se"])), 1.0, numbers(want["se"]))
    # with means that cannot be estimated emmeans' tables call the limits otherwise
    for name in [name for name in ("estimate", "se", "lower", "upper") if name in want]:
        np.testing.assert_allclose(
            got[name] / unit, numbers(want[name]) / unit, rtol=ESTIMATE, atol=ESTIMATE, err_msg=f"{where} {name}"
        )
    np.testing.assert_allclose(got["df"], numbers(want["df"]), rtol=DF, err_msg=where)
    np.testing.assert_allclose(got["p"], numbers(want["p"]), atol=P, err_msg=where)


def test_means_with_all_weights(fitted):
    case, fit = fitted
    for request in case["means"]:
        for weights in WEIGHTS:
            # emmeans fails where it averages over two kinds of nesting, or a chain
            if "error" not in request[weights]:
                got = fit.emmeans(request["specs"], weights=weights).frame
                check(got, request[weights], f"{case['id']} {request['specs']} {weights}")


def test_pairs_across_all_means(fitted):
    case, fit = fitted
    for request in case["pairs"]:
        if "error" not in request["table"]:
            got = fit.emmeans(request["specs"]).contrasts("pairwise").frame
            check(got, request["table"], f"{case['id']} {request['specs']}")


def test_trends(fitted):
    case, fit = fitted
    for request in case["trends"]:
        if "error" not in request["table"]:
            check(fit.emtrends(request["specs"], "x").frame, request["table"], f"{case['id']} {request['specs']}")


def test_joint_tests(fitted):
    case, fit = fitted
    want = case["joint_tests"]
    if "error" in want:
        assert case["id"] in ("offset", "two")
        return
    got = fit.joint_tests().reset_index().set_index("term")
    names = [":".join(sorted(str(term).split(":"))) for term in want["term"]]
    got.index = [":".join(sorted(term.split(":"))) for term in got.index]
    assert sorted(got.index) == sorted(names)
    for term, df, den_df, F in zip(names, want["num_df"], want["den_df"], want["F"]):
        row = got.loc[term]
        loose = 10 if term == CONFOUNDED else 1
        assert row["num_df"] == df, f"{case['id']} {term}"
        assert row["F"] == pytest.approx(F, rel=loose * ESTIMATE, abs=loose * F_ROUNDING), f"{case['id']} {term}"
        assert row["den_df"] == pytest.approx(den_df, rel=loose * DF, abs=DF_ROUNDING), f"{case['id']} {term}"
