"""Standard errors of predictions against glmmTMB's, back-transformed means, ratios and slopes against emmeans'."""

from __future__ import annotations

import numpy as np
import pytest

import henderson
from henderson import lmer
from oracle_data import cases, frame

# glmmTMB's optimum is good to about 1e-4 in the standard deviations, its Hessian is by differences
FIT, SE = 2e-4, 2e-3
# emmeans computes what we compute; lme4's optimizer leaves 1e-5 in the variances
RTOL = 2e-4

CASES = cases("predictions")
RESPONSES = CASES["sleepstudy"]["transformed"]


@pytest.fixture(scope="module", params=CASES)
def fitted(request):
    case = CASES[request.param]
    data = frame("predictions", case["data"])
    rows = data.iloc[case["glmmTMB"]["rows"]]
    return case, lmer(case["formula"], data, REML=case["reml"]), rows


def test_fitted_levels_have_glmmTMBs_standard_errors(fitted):
    """glmmTMB's delta method takes the derivatives of a prediction as these data have them."""
    case, fit, rows = fitted
    want = case["glmmTMB"]["conditional"]
    found = fit.predict(rows, re="all", se=True, variance_uncertainty="observed")
    np.testing.assert_allclose(found["estimate"], want["fit"], rtol=FIT)
    np.testing.assert_allclose(found["se"], want["se"], rtol=SE)


def test_on_average_over_data_it_is_much_the_same(fitted):
    case, fit, rows = fitted
    found = fit.predict(rows, re="all", se=True)["se"]
    plain = fit.predict(rows, re="all", se=True, variance_uncertainty=False)["se"]
    assert (found > plain).all()
    np.testing.assert_allclose(found.mean(), np.mean(case["glmmTMB"]["conditional"]["se"]), rtol=0.02)


def test_new_levels_have_glmmTMBs_standard_errors(fitted):
    case, fit, rows = fitted
    fixed = case["formula"].split("(")[0]
    new = rows.copy()
    for term in fit.design.specs.random:
        for name in term.group:
            if name not in fixed:
                is_number = np.issubdtype(np.asarray(rows[name]).dtype, np.number)
                new[name] = np.asarray(rows[name]) + 1000 if is_number else "new" + rows[name].astype(str)
    found = fit.predict(new, re="all", se=True, new_levels="population", variance_uncertainty="observed")
    np.testing.assert_allclose(found["estimate"], case["glmmTMB"]["new"]["fit"], rtol=FIT)
    np.testing.assert_allclose(found["se"], case["glmmTMB"]["new"]["se"], rtol=SE)


@pytest.fixture(scope="module", params=RESPONSES)
def transformed(request):
    cake = henderson.datasets.load("cake")
    cake = cake.assign(share=cake["angle"] / 80, temp=cake["temperature"].astype(float))
    fit = lmer(f"{request.param} ~ recipe + temp + (1 | recipe:replicate)", cake)
    return RESPONSES[request.param], fit


def test_means_on_the_scale_of_the_response(transformed):
    want, fit = transformed
    found = fit.emmeans("recipe", type="response").frame
    names = {"estimate": "response", "se": "SE", "df": "df", "lower": "lower.CL", "upper": "upper.CL", "p": "p.value"}
    for name, theirs in names.items():
        np.testing.assert_allclose(found[name], want["means"][theirs], rtol=RTOL, err_msg=name, atol=1e-12)


def test_differences_of_logarithms_are_ratios(transformed):
    want, fit = transformed
    table = fit.emmeans("recipe", type="response").pairs(adjust="none")
    theirs = next(name for name in ("ratio", "odds.ratio", "estimate") if name in want["pairs"])
    assert table.frame["contrast"].tolist() == want["pairs"]["contrast"]
    for name, other in (
        ("estimate", theirs),
        ("se", "SE"),
        ("lower", "lower.CL"),
        ("upper", "upper.CL"),
        ("p", "p.value"),
    ):
        np.testing.assert_allclose(table.frame[name], want["pairs"][other], rtol=RTOL, atol=1e-9, err_msg=name)
    said = {"ratio": "ratios", "odds.ratio": "odds ratios", "estimate": "Contrasts are still on the"}[theirs]
    assert any(said in note for note in table.notes)


def test_bias_is_adjusted_by_all_that_varies(transformed):
    want, fit = transformed
    table = fit.emmeans("recipe", type="response", bias_adjust=True)
    for name, theirs in (("estimate", "response"), ("se", "SE"), ("lower", "lower.CL"), ("upper", "upper.CL")):
        np.testing.assert_allclose(table.frame[name], want["adjusted"][theirs], rtol=RTOL, err_msg=name)
    assert any(f"a standard deviation of {want['sigma']:.4g}"[:-1] in note for note in table.notes)


def test_slopes_on_the_scale_of_the_response(transformed):
    want, fit = transformed
    found = fit.emtrends("recipe", "temp", type="response").frame
    # emmeans takes means a thousandth of the range apart for the slope
    np.testing.assert_allclose(found["estimate"], want["slopes"]["temp.trend"], rtol=1e-3)
    np.testing.assert_allclose(found["se"], want["slopes"]["SE"], rtol=1e-3)
