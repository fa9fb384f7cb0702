"""Kenward and Roger's method with residual structures, with and without second derivatives, against SAS PROC MIXED.

The figures are SAS's (DDFM=KENWARDROGER, and FIRSTORDER) for FEV1 on ARMCD, as mmrm's own tests cite them
(tests/testthat/test-kenwardroger.R; Apache-2.0); its data set is `fev`. Other listings are compared in tests/oracles.
"""

from __future__ import annotations

import numpy as np
import pytest

import henderson

FEV = henderson.datasets.load("fev")
#: SAS computes W from a Hessian at its own end, where estimates are within a hundredth of their standard errors
AT_ITS_END = 5e-4

#: structure → standard error of the arm, its df, the standard error without second derivatives
SAS = {
    "ar1": (0.95865439662225, 188.46934887972, 0.96058142305176),
    "ar1h": (0.7590316099633, 188.225339095373, 0.75924807546934),
    "cs": (0.7965, 177.038485931223, 0.7964696053595),
    "csh": (0.67414806011886, 190.737701349941, 0.67403858183242),
    "adh": (0.66172017349971, 162.393385281755, 0.66158550758897),
    "toep": (0.87839805519623, 160.027408337368, 0.87839805519623),
    "toeph": (0.72543828853831, 180.062730071701, 0.72537324518435),
    "us": (0.66124382270307, 160.733266403768, 0.66124382270307),
}


@pytest.mark.parametrize("structure", SAS)
def test_kenward_roger(structure):
    se, df, se_linear = SAS[structure]
    found = henderson.mmrm(f"FEV1 ~ ARMCD + {structure}(AVISIT | USUBJID)", FEV, ddf="kenward-roger")
    linear = found.with_inference(ddf="kenward-roger-linear")
    assert found.df_inference[1] == pytest.approx(df, rel=AT_ITS_END)
    assert linear.df_inference[1] == pytest.approx(df, rel=AT_ITS_END)
    assert found.bse.iloc[1] == pytest.approx(se, rel=AT_ITS_END)
    assert linear.bse.iloc[1] == pytest.approx(se_linear, rel=AT_ITS_END)


def test_second_derivatives_count():
    """They move the standard error of the arm under AR(1) by what they move SAS's: seven digits of the difference."""
    found = henderson.mmrm("FEV1 ~ ARMCD + ar1(AVISIT | USUBJID)", FEV, ddf="kenward-roger")
    linear = found.with_inference(ddf="kenward-roger-linear")
    assert linear.bse.iloc[1] - found.bse.iloc[1] == pytest.approx(0.96058142305176 - 0.95865439662225, abs=1e-7)


def test_information_criteria_are_counted_as_sas_counts_them():
    found = henderson.mmrm("FEV1 ~ ARMCD + us(AVISIT | USUBJID)", FEV)
    assert (round(found.aic, 1), round(found.aicc, 1)) == (3688.0, 3688.4)
    # BIC with the patients that have a response, as mmrm; SAS counts all 200: 3720.9
    assert found.bic == pytest.approx(found.deviance + 10 * np.log(197))
    by_ml = henderson.mmrm("FEV1 ~ ARMCD + us(AVISIT | USUBJID)", FEV, REML=False)
    assert by_ml.aic == pytest.approx(by_ml.deviance + 24)
