"""The doors to residual covariances: one model by three names, whatever the units and the order of rows; refusals."""

from __future__ import annotations

import numpy as np
import pytest

import henderson
from henderson.datasets import load
from henderson.errors import DataError

FEV = load("fev")
MEAN = "FEV1 ~ ARMCD * AVISIT"
COVARIANCES = [
    *(f"{name}(AVISIT | USUBJID)" for name in ("us", "csh", "toep", "toeph", "ar1", "ar1h", "ad", "adh", "diag")),
    "car1(VISITN | USUBJID)",
    "sp_exp(VISITN, VISITN2 | USUBJID)",
    "cs(AVISIT | ARMCD / USUBJID) * power(FEV1_BL)",
]
#: of a deviance of 3,500: the search ends where a step would gain 1e-9
SAME = 1e-6


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_units_and_the_order_of_rows_do_not_matter(covariance):
    fit = henderson.mmrm(f"{MEAN} + {covariance}", FEV)
    shuffled = henderson.mmrm(f"{MEAN} + {covariance}", FEV.sample(frac=1.0, random_state=3))
    assert shuffled.deviance == pytest.approx(fit.deviance, abs=SAME)
    other = FEV.assign(FEV1=1e4 * FEV["FEV1"] + 3e5, VISITN=86400.0 * FEV["VISITN"], VISITN2=86400.0 * FEV["VISITN2"])
    scaled = henderson.mmrm(f"{MEAN} + {covariance}", other)
    log_units = 2 * np.log(1e4) * (fit.nobs - len(fit.params))
    assert scaled.deviance - log_units == pytest.approx(fit.deviance, abs=SAME)
    np.testing.assert_allclose(scaled.bse, 1e4 * fit.bse, rtol=1e-5)


def test_one_model_by_three_names():
    covariance = "ar1h(AVISIT | USUBJID)"
    fit = henderson.mmrm(f"{MEAN} + {covariance}", FEV)
    by_lmer = henderson.lmer(MEAN, FEV, residual=covariance)
    model = henderson.mixedlm(MEAN, FEV, residual=covariance, missing="drop")
    assert fit.deviance == by_lmer.deviance
    assert -2 * model.fit().llf == pytest.approx(fit.deviance, abs=SAME)
    assert (model.nobs, model.exog.shape, model.endog_names) == (537, (537, 8), "FEV1")
    with pytest.raises(ValueError, match=r"fit\(do_cg\): .* ar1h\(AVISIT \| USUBJID\)"):
        model.fit(do_cg=False)


def test_names_of_the_caller_are_the_formulas():
    half = FEV["FEV1"] / 2
    fit = henderson.mmrm("half ~ ARMCD + cs(AVISIT | USUBJID)", FEV)
    assert fit.params["ARMCD[T.TRT]"] == pytest.approx(
        henderson.mmrm("FEV1 ~ ARMCD + cs(AVISIT | USUBJID)", FEV).params["ARMCD[T.TRT]"] / 2
    )
    assert len(half) == len(FEV)


def test_rows_that_are_read_in_parts_have_no_series():
    with pytest.raises(DataError, match="residual= takes a table in memory"):
        henderson.lmer(MEAN, iter([FEV]), residual="ar1(AVISIT | USUBJID)")
