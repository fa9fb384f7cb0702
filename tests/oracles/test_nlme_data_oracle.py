"""Data of nlme that no other listing uses: profile limits of lme4, tests of lmerTest, predictions of glmmTMB."""

from __future__ import annotations

import re
import warnings
from functools import cache
from statistics import NormalDist

import numpy as np
import pytest

from henderson import lmer
from henderson.errors import SingularMatrixWarning
from oracle_data import cases, frame

#: lme4 reads its limits off a spline through some thirty points; ours are roots. Relative to the width of the interval
LIMIT = 2e-3
#: R's fits are taken to the end; a df is the most sensitive to what is left
FIT, TEST, DF = 1e-7, 2e-5, 2e-4
#: glmmTMB's optimum is good to about 1e-4 in the standard deviations, its Hessian is by differences
ESTIMATE, SE = 2e-4, 3e-3

#: limits that lme4's spline misses: the likelihood is level near zero; ζ of the correlation is 0.91 at ±1
MISSED = {("Gasoline", "sd_(Intercept)|Sample"), ("Orthodont", "cor_age.(Intercept)|Subject")}

CASES = cases("nlme_data")
#: lmerTest leaves out Assay's only random term and goes on with a linear model; here it stays, and a note says so
STEPPED = [name for name, case in CASES.items() if case["fewer"] and name != "Assay"]


@cache
def fitted(name):
    case = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularMatrixWarning)
        return lmer(case["formula"], frame("nlme_data", case["data"]))


@pytest.mark.parametrize("name", CASES)
def test_criterion(name):
    assert fitted(name).deviance == pytest.approx(CASES[name]["deviance"], rel=FIT)


@pytest.mark.parametrize("name", CASES)
def test_profile_limits(name):
    theirs = CASES[name]["profile"]
    found = fitted(name).conf_int(
        parameters="theta_" if name == "Assay" else None, method="profile"
    )  # Assay has 30 coefficients
    for who, lower, upper, ours in zip(theirs["names"], theirs["lower"], theirs["upper"], found.to_numpy()):
        if (name, who) not in MISSED:
            np.testing.assert_allclose(ours, [lower, upper], atol=LIMIT * (upper - lower), rtol=0, err_msg=who)


def test_a_limit_that_lme4_misses_is_where_the_likelihood_says():
    data, formula = frame("nlme_data", "Gasoline"), CASES["Gasoline"]["formula"]
    fit = lmer(formula, data, REML=False)
    lower = fit.conf_int(parameters="sd_(Intercept)|Sample", method="profile").iloc[0, 0]
    held = lmer(formula, data, REML=False, fix={"Sample": lower**2})
    assert np.sqrt(held.deviance - fit.deviance) == pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-6)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
@pytest.mark.parametrize("name", STEPPED)
def test_terms_left_out(name, ddf):
    want, fit = CASES[name]["fewer"][ddf], fitted(name)
    steps = fit.step(ddf=ddf)
    for table, theirs in ((fit.drop1(ddf=ddf), want["drop1"]), (steps.fixed, want["fixed"])):
        table.index = [term_of(term) for term in table.index]
        assert set(table.index) == set(map(term_of, theirs["term"]))
        found = table.loc[list(map(term_of, theirs["term"]))]
        assert found["num_df"].tolist() == theirs["num_df"]
        np.testing.assert_allclose(found["F"], theirs["F"], rtol=TEST)
        np.testing.assert_allclose(found["den_df"], theirs["den_df"], rtol=DF)
        np.testing.assert_allclose(found["p"], theirs["p"], rtol=10 * DF)
    assert found["eliminated"].tolist() == want["fixed"]["eliminated"]
    random = sorted(zip(steps.random["eliminated"][1:].astype(int), steps.random["statistic"][1:]))
    theirs = sorted(zip(map(int, want["random"]["eliminated"][1:]), want["random"]["statistic"][1:]))
    np.testing.assert_allclose(random, theirs, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_predictions(name):
    want, fit = CASES[name]["glmmTMB"], fitted(name)
    rows = frame("nlme_data", CASES[name]["data"]).iloc[want["rows"]]
    new = rows.copy()
    fixed = CASES[name]["formula"].split("(")[0]
    for group in {name for term in fit.design.specs.random for name in term.group if name not in fixed}:
        new[group] = "new" + rows[group].astype(str)
    for table, theirs in ((rows, want["conditional"]), (new, want["new"])):
        found = fit.predict(table, re="all", se=True, new_levels="population", variance_uncertainty="observed")
        np.testing.assert_allclose(found["estimate"], theirs["fit"], rtol=ESTIMATE, atol=ESTIMATE)
        if theirs["se"][0] is not None:  # glmmTMB has none where the fit is singular
            np.testing.assert_allclose(found["se"], theirs["se"], rtol=SE)


def term_of(name):
    """A term's factors, in whatever order, as R writes them."""
    return ":".join(sorted(re.sub(r"\s*\*\*\s*", "^", name).split(":")))
