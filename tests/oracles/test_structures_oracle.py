"""Structured covariances of random effects against glmmTMB and nlme (`structures.R`)."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from henderson import lmer
from oracle_data import load_oracle

LISTING = load_oracle("structures")
DEVIANCE = 1e-6  # theirs are found by optimizers that stop at 1e-8
ESTIMATES = 3e-5
VARIANCES = 1e-4
SE = 1e-5


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    table = pd.DataFrame(LISTING["data"])
    return table.assign(f=pd.Categorical(table["t"]))


def fitted(case, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lmer(f"y ~ x + {case['bar']}", data, REML=case["reml"])


@pytest.mark.parametrize(
    "case", LISTING["cases"], ids=lambda c: f"{c['bar']} {c['program']} {'REML' if c['reml'] else 'ML'}"
)
def test_fits(case, data):
    fit = fitted(case, data)
    if case["bar"].startswith("toep"):  # at the boundary, where glmmTMB's correlations do not get
        assert case["deviance"] - 0.03 < fit.deviance < case["deviance"]
        assert fit.engine.optimum.converged
        return
    assert fit.deviance == pytest.approx(case["deviance"], abs=DEVIANCE)
    np.testing.assert_allclose(fit.params, case["fixef"], atol=ESTIMATES)
    assert fit.engine.sigma == pytest.approx(case["sigma"], rel=ESTIMATES)
    if "se" in case:
        np.testing.assert_allclose(fit.bse, case["se"], rtol=SE)
    terms = [term.group for term in fit.engine.design.terms]
    for group, cov, modes in zip(case["groups"], case["cov"], case["ranef"]):
        k = terms.index(group)
        own = fit.engine.sigma**2 * fit.engine.lam[k] @ fit.engine.lam[k].T
        np.testing.assert_allclose(own, cov, atol=VARIANCES)
        np.testing.assert_allclose(fit.engine.b[k][:3], modes, atol=VARIANCES)


def test_structures_in_order(data):
    """Larger structures have lower deviances, and the likelihood does not depend on how the times are written."""
    deviance = {
        word: fitted({"bar": f"{word}(0 + t | g)", "reml": True}, data).deviance
        for word in ("ar1", "hetar1", "homtoep", "toep")
    }
    assert deviance["ar1"] > deviance["homtoep"] > deviance["toep"]
    assert deviance["ar1"] > deviance["hetar1"] > deviance["toep"]
    again = fitted({"bar": "ar1(0 + f | g)", "reml": True}, data).deviance
    assert again == pytest.approx(deviance["ar1"], abs=1e-9)
    other = data.assign(t=7.5 * data["t"] - 3)
    assert fitted({"bar": "ar1(0 + t | g)", "reml": True}, other).deviance == pytest.approx(deviance["ar1"], abs=1e-9)
    assert fitted({"bar": "ou(0 + t | g)", "reml": True}, other).deviance == pytest.approx(deviance["ar1"], abs=1e-7)
