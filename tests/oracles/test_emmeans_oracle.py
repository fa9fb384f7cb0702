"""Marginal means, contrasts, trends and joint tests of every model in emmeans' listing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from henderson.design.from_formula import design_from_formula
from henderson.engine.fit import fit_design
from henderson.inference import infer
from henderson.means.emmeans import emmeans
from henderson.means.term_tests import joint_tests
from henderson.means.trends import emtrends
from oracle_data import cases, frame

ESTIMATE, DF, P = 1e-5, 1e-3, 1e-4
# emmeans' "mvt" is Monte Carlo, with an error of about 1e-3 and more in its limits, and drops the fraction of df; its
# "dunnettx" limits come from uniroot at its default tolerance
MVT_P, MVT_LIMITS, DUNNETT_LIMITS = 5e-3, 5e-2, 1e-4
# it rounds F to three digits, and df to two
F_ROUNDING, DF_ROUNDING = 6e-4, 6e-3
# the basis in which "(confounded)" is tested, which decides its smallest df, is emmeans' own
CONFOUNDED_DF = 5e-3

CASES = cases("emmeans")
DDFS = ("kenward-roger", "satterthwaite", "asymptotic")


def pbkrtest_is_wrong(case: dict[str, Any], ddf: str) -> bool:
    """pbkrtest leaves prior weights out of V."""
    return case["weights"] is not None and ddf == "kenward-roger"


@pytest.fixture(scope="module", params=CASES)
def fitted(request):
    case = CASES[request.param]
    data = frame("emmeans", case["data"])
    model = design_from_formula(case["formula"], data, weights=case["weights"])
    fit = fit_design(*model, reml=case["reml"])
    return case, fit, {ddf: infer(fit, ddf=ddf) for ddf in DDFS if case["reml"] or ddf != DDFS[0]}


def numbers(values: list[Any]) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values], float)


def check(got: pd.DataFrame, want: dict[str, Any], where: str, *, limits: float = ESTIMATE, p: float = P) -> None:
    se = got["se"].to_numpy()
    for name in ("estimate", "se", "lower", "upper", "statistic"):
        if name not in want:
            continue
        tolerance = limits if name in ("lower", "upper") else ESTIMATE
        ours, expected = got[name].to_numpy(float), numbers(want[name])
        expected = np.where(np.isinf(ours), ours, expected)
        size = 1.0 if name == "statistic" else np.where(np.isnan(se), 1.0, se)
        gap = np.abs(ours - expected)
        assert np.array_equal(np.isnan(ours), np.isnan(expected)), f"{where} {name}"
        assert np.nanmax(gap / np.maximum(np.abs(expected), size), initial=0.0) < tolerance, f"{where} {name}"
    df = got["df"].to_numpy(float)
    df = np.where(np.isinf(df), np.nan, df)  # JSON has no infinity
    np.testing.assert_allclose(df, numbers(want["df"]), rtol=DF, err_msg=where)
    if "p" in want:
        np.testing.assert_allclose(got["p"].to_numpy(float), numbers(want["p"]), atol=p, err_msg=where)


def table_of(fit, inference, request):
    chosen = {"by": request["by"], "at": request["at"] or None, "weights": request["weights"]}
    if request["trend"]:
        return emtrends(fit.design, inference, request["specs"], request["trend"], **chosen)
    return emmeans(fit.design, inference, request["specs"], **chosen)


def requests_of(fitted):
    case, fit, inferences = fitted
    for request in case["requests"]:
        # emmeans takes a forward difference, which is off by half a step for what is not linear
        if case["id"] == "quadratic" and request["trend"]:
            continue
        for ddf, inference in inferences.items():
            if ddf in request and not pbkrtest_is_wrong(case, ddf):
                where = f"{case['id']} {ddf} {request['specs']} | {request['by']} {request['trend'] or ''}"
                yield table_of(fit, inference, request), request[ddf], request, where


def test_means_and_trends(fitted):
    for got, want, _, where in requests_of(fitted):
        check(got.frame, want["means"], where)
        for name in got.keys.columns:
            if name in want["means"]:
                assert [str(v) for v in got.keys[name]] == [str(v) for v in want["means"][name]], where
        if "coefficients" in want and not np.isnan(got.frame["estimate"]).any():
            np.testing.assert_allclose(got.rows, np.array(want["coefficients"]), atol=1e-9, err_msg=where)


def test_contrasts(fitted):
    for means, want, _, where in requests_of(fitted):
        for contrast in want["contrasts"]:
            if "error" in contrast["table"]:
                continue
            method, adjust = contrast["method"], contrast["adjust"]
            got = means.contrasts(method, adjust=adjust)
            label = f"{where}: {method} {adjust}"
            assert got.keys["contrast"].tolist() == contrast["table"]["contrast"], label
            slack = {"mvt": (MVT_LIMITS, MVT_P), "dunnettx": (DUNNETT_LIMITS, P)}.get(adjust, (ESTIMATE, P))
            check(got.frame, contrast["table"], label, limits=slack[0], p=slack[1])


def test_equivalence(fitted):
    for means, want, request, where in requests_of(fitted):
        for side, table in want.get("equivalence", {}).items():
            got = means.contrasts("pairwise", adjust="none", side=side, delta=request["delta"])
            check(got.frame, table, f"{where}: {side}")


def test_joint_tests(fitted):
    case, fit, inferences = fitted
    for listing in case["joint_tests"]:
        for ddf, inference in inferences.items():
            want = listing.get(ddf)
            if not want or "error" in want or pbkrtest_is_wrong(case, ddf) or case["id"] == "quadratic":
                continue
            got = joint_tests(fit.design, inference, by=listing["by"])
            # the listing is of ref_grid(model), whose covariates have one value each and are not tested
            names = [term.strip() for term in want["term"]]
            got = got[got["term"].isin(names)]
            assert got["term"].tolist() == names
            assert got["num_df"].tolist() == want["num_df"]
            slack = np.where(got["term"] == "(confounded)", CONFOUNDED_DF * 100, DF_ROUNDING)
            if ddf != "asymptotic":
                assert np.all(np.abs(got["den_df"] - numbers(want["den_df"])) < slack)
            np.testing.assert_allclose(got["F"], want["F"], atol=F_ROUNDING)
            np.testing.assert_allclose(got["p"], want["p"], atol=P)
