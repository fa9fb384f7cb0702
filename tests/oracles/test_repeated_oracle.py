"""Residual covariances against nlme's gls and lme, and glmmTMB: every structure, alone and beside random effects."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest

import henderson
from henderson.covariance.residual.residual import Residual
from henderson.design.replay_residual import new_residual_rows
from henderson.errors import SingularMatrixWarning
from oracle_data import cases, frame, load_oracle, normal

CASES = cases("repeated")
#: nlme and TMB stop where the deviance moves by 1e-9 or so of itself
DEVIANCE, OF_TMB = 2e-6, 1e-4
#: what is then left to go: of estimates in standard errors, of these and of covariances relative to themselves
ESTIMATE, ERROR, COVARIANCE = 1e-4, 5e-5, 5e-4
#: nlme's turns between fitted values and variances end earlier
IN_TURNS = 5e-5
#: glmmTMB's own errors have what the estimated variances add in them, and its fits stop earlier
OF_TMB_ESTIMATE = 1e-3
#: range and smoothness lie on a ridge: relative
OF_TMB_MATERN = 5e-4


def data_of(case):
    if case["data"] == "fev":
        return frame("repeated", "fev").dropna(subset=["FEV1"]).reset_index(drop=True)
    return frame("repeated", case["data"])


@cache
def fitted(name):
    case = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularMatrixWarning)
        return henderson.lmer(
            case["formula"], data_of(case), residual=case["residual"], REML=case["reml"], weights=case["weights"]
        )


@pytest.mark.parametrize("name", CASES)
def test_fit(name):
    case = CASES[name]
    by_tmb = case.get("engine") == "glmmTMB"
    fit = fitted(name)
    assert fit.converged
    in_turns = "fitted" in case["residual"]
    assert fit.deviance == pytest.approx(case["deviance"], abs=OF_TMB if by_tmb else IN_TURNS if in_turns else DEVIANCE)
    se = dict(case["se"])
    # gls divides by n − p in errors of maximum likelihood too
    if not case["reml"] and "random_cov" not in case and not by_tmb:
        se = {key: value * np.sqrt(1 - len(se) / fit.nobs) for key, value in se.items()}
    for name, value in fit.params.items():
        key = normal(name)
        assert value == pytest.approx(case["fixef"][key], abs=(OF_TMB_ESTIMATE if by_tmb else ESTIMATE) * se[key])
        if not by_tmb:
            assert fit.bse[name] == pytest.approx(se[key], rel=ERROR)


#: new rows have no fitted values before they are predicted
OF_SERIES = [name for name, case in CASES.items() if "series_cov" in case and "fitted" not in case["residual"]]


@pytest.mark.parametrize("name", OF_SERIES)
def test_covariance_of_a_series(name):
    case = CASES[name]
    fit = fitted(name)
    data = data_of(case)
    own = data[data[fit.design.residual.group].astype(str) == case["series"]]
    places = new_residual_rows(fit.design, own)
    residual = Residual.of(fit.design.residual, largest=len(own))
    cov = residual.cov(fit.engine.psi, places.where, places.strata, places.covariates)
    expected = np.array(case["series_cov"])
    np.testing.assert_allclose(cov, expected, atol=COVARIANCE * np.abs(expected).max())


def test_all_listed_structures_are_there():
    structures = {case["residual"].split("(")[0] for case in CASES.values()}
    assert structures >= {
        "us",
        "cs",
        "csh",
        "ar1",
        "ar1h",
        "toeph",
        "car1",
        "sp_exp",
        "sp_gau",
        "ident",
        "power",
        "exp",
    }
    assert load_oracle("repeated")["versions"]["nlme"]


@pytest.mark.parametrize("name", ["reml", "ml"])
def test_matern(name):
    case = cases("matern")[name]
    data = frame("matern", "plots")
    fit = henderson.lmer(case["formula"], data, residual=case["residual"], REML=case["reml"])
    assert fit.deviance == pytest.approx(case["deviance"], abs=DEVIANCE)
    variance, *shape = fit.engine.psi
    np.testing.assert_allclose([np.sqrt(variance), *shape], case["theta"], rtol=OF_TMB_MATERN)
    np.testing.assert_allclose(fit.params, list(case["fixef"].values()), rtol=OF_TMB_MATERN)
