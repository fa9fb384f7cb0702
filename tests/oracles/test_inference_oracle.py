"""Coefficients, contrasts and analyses of variance against lmerTest and pbkrtest (`tests/oracles/inference.R`)."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.inference.anova.anova import anova
from henderson.inference.choose import infer
from oracle_data import cases, frame, normal

# Both sides are at the optimum; lmerTest differentiates numerically, good to about 1e-8.
SE = 1e-5
DF = 1e-4
P = 1e-6

CASES = cases("inference")
METHODS = ("satterthwaite", "kenward-roger")


@pytest.fixture(scope="module", params=[(name, ddf) for name in CASES for ddf in METHODS], ids="-".join)
def inferred(request):
    name, ddf = request.param
    case = CASES[name]
    if ddf not in case["coefficients"]:
        pytest.skip("Kenward-Roger is for REML")
    table = frame("inference", case["data"])
    weights = table[case["weights"]].to_numpy() if case["weights"] else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = henderson.lmer(case["formula"], table, REML=case["reml"], weights=weights)
    return case, ddf, result.engine, infer(result.engine, ddf=ddf)


def unweighted(case: dict, ddf: str) -> bool:
    """Whether R is the judge: pbkrtest leaves prior weights out (the definitions do not)."""
    return not (case["weights"] and ddf == "kenward-roger")


def test_coefficients(inferred):
    case, ddf, _, inference = inferred
    listing = case["coefficients"][ddf]
    names = [normal(name) for name in inference.names]
    table = inference.t_test(np.eye(len(names)), names=names).loc[listing["names"]]
    se, df = listing["se"], listing["df"]
    if not unweighted(case, ddf):
        se = np.sqrt(np.diag(case["definition"]["vcov_adjusted"]))
        df = case["definition"]["kenward_roger_df"]
    np.testing.assert_allclose(table["estimate"], listing["estimate"], rtol=SE, atol=SE * np.min(se))
    np.testing.assert_allclose(table["se"], se, rtol=SE)
    np.testing.assert_allclose(table["df"], df, rtol=DF)
    if unweighted(case, ddf):
        np.testing.assert_allclose(table["p"], listing["p"], atol=P)


def test_definition_of_the_degrees_of_freedom(inferred):
    case, ddf, _, inference = inferred
    if case["definition"] in (None, {}) or (case["fit"]["singular"] and ddf == "satterthwaite"):
        pytest.skip("no n × n definition, or one that depends on the parameters at the boundary")
    names = [normal(name) for name in inference.names]
    ours = pd.Series(inference.df(np.eye(len(names)))[inference.kept], np.array(names)[inference.kept])
    listed = case["definition"][f"{ddf.replace('-', '_')}_df"]
    np.testing.assert_allclose(ours[case["fit"]["fixef"]["names"]], listed, rtol=DF)


def test_contrasts(inferred):
    case, ddf, _, inference = inferred
    names = [normal(name) for name in inference.names]
    for listing in case["contrasts"].values():
        rows = pd.DataFrame(listing["L"], columns=case["fit"]["fixef"]["names"]).reindex(columns=names, fill_value=0)
        expected = listing["lmerTest" if unweighted(case, ddf) else "definition"][ddf]
        test = inference.f_test(rows.to_numpy(float))
        assert test.num_df == expected["num_df"]
        assert test.den_df == pytest.approx(expected["den_df"], rel=DF)
        assert pytest.approx(expected["F"], rel=SE) == test.F
        assert test.p == pytest.approx(expected["p"], abs=P)


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_anova(inferred, kind):
    case, ddf, engine, inference = inferred
    if not case["anova"] or not unweighted(case, ddf):
        pytest.skip("no terms, or prior weights")
    expected = case["anova"][str(kind)][ddf]
    table = anova(engine, kind, inference)
    table.index = [normal(str(name)) for name in table.index]
    table = table.loc[expected["term"]]
    np.testing.assert_array_equal(table["num_df"], expected["num_df"])
    np.testing.assert_allclose(table["den_df"], expected["den_df"], rtol=DF)
    np.testing.assert_allclose(table["F"], expected["F"], rtol=SE)
    np.testing.assert_allclose(table["p"], expected["p"], atol=P)
