"""Variance functions of the fitted values, by rounds as nlme has them: gls and lme of nlme 3.1 at tight tolerances."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.oracle_data import frame

import henderson
from henderson.engine.residual import rounds
from henderson.errors import ConvergenceWarning

#: where nlme's rounds end
DEVIANCE, ESTIMATES = 1e-5, 2e-5
FEV = henderson.datasets.load("fev")


def test_generalized_least_squares():
    """gls(FEV1 ~ ARMCD * AVISIT, weights = varPower(form = ~ fitted(.)))"""
    found = henderson.lmer("FEV1 ~ ARMCD * AVISIT", FEV, residual="power(fitted)")
    assert found.converged
    assert found.deviance == pytest.approx(3568.527707183808, abs=DEVIANCE)
    assert np.sqrt(found.engine.psi[0]) == pytest.approx(0.173418676431, rel=ESTIMATES)
    assert found.engine.psi[1] == pytest.approx(0.984035088494, rel=ESTIMATES)
    coefficients = [32.496505897107, 4.282194531664, 5.043909547022, 10.696803328718, 15.266880649223]
    np.testing.assert_allclose(found.params.iloc[:5], coefficients, rtol=ESTIMATES)


def test_with_a_correlation():
    """The same with correlation = corAR1(form = ~ VISITN | USUBJID)"""
    found = henderson.lmer("FEV1 ~ ARMCD * AVISIT", FEV, residual="ar1(AVISIT | USUBJID) * power(fitted)")
    assert found.deviance == pytest.approx(3534.241, abs=5e-4)
    assert found.engine.psi[1:] == pytest.approx([0.3829398, 1.124448], rel=ESTIMATES)
    new = found.predict(FEV.head(2), interval="prediction")
    mean = found.predict(FEV.head(2), se=True)
    own = found.engine.psi[0] * np.abs(mean["estimate"]) ** (2 * found.engine.psi[2])
    np.testing.assert_allclose(new["se"] ** 2, mean["se"] ** 2 + own, rtol=1e-6)


def test_with_random_effects():
    """lme(distance ~ age * Sex, ~ 1 | Subject, weights = varPower(form = ~ v)) with v its own fitted values, modes
    included, round after round until they stay; form = ~ fitted(.) stops a few rounds earlier, 8e-5 below."""
    found = henderson.lmer(
        "distance ~ age * Sex + (1 | Subject)", frame("repeated", "orthodont"), residual="power(fitted)"
    )
    assert found.deviance == pytest.approx(432.592159786, abs=DEVIANCE)
    assert found.engine.psi[1] == pytest.approx(1.06339033691, rel=ESTIMATES)
    assert np.sqrt(found.engine.psi[0]) == pytest.approx(0.0472258157511, rel=ESTIMATES)


def test_rounds_that_swing_settle():
    """Fitted values shrink more where they vary more, and less the round after: nlme's rounds on Dialyzer go to and fro
    between two fits until they are given up. What is settled is what the same model fits with those values."""
    rng = np.random.default_rng(0)
    g, x = np.repeat(np.arange(20), 7), np.tile(np.arange(7.0), 20)
    mean = np.maximum(3 + 2 * rng.normal(size=20)[g] + 2 * x, 0.05)
    data = pd.DataFrame({"y": mean + 0.8 * mean**0.4 * rng.normal(size=140), "x": x, "g": g})
    found = henderson.lmer("y ~ x + (1 | g)", data, residual="power(fitted)")
    assert found.converged
    settled = henderson.lmer("y ~ x + (1 | g)", data.assign(v=found.fittedvalues), residual="power(v)")
    np.testing.assert_allclose(found.engine.psi, settled.engine.psi, rtol=1e-6)
    assert found.deviance == pytest.approx(settled.deviance, abs=1e-7)
    np.testing.assert_allclose(settled.fittedvalues, found.fittedvalues, rtol=1e-7, atol=1e-7)


def test_fitted_values_about_zero_that_do_not_settle_are_named(monkeypatch):
    """A line through growth is negative at first, where a power of it is no variance: of such a model of nlme's Soybean
    nlme says "maximum number of iterations reached", damped rounds go on for ever, too."""
    rng = np.random.default_rng(0)
    t = np.tile(np.linspace(14, 84, 6), 4)
    y = np.exp(0.09 * t) * (1 + 0.3 * rng.normal(size=24)) / 10
    monkeypatch.setattr(rounds, "ROUNDS", 2)
    with pytest.warns(ConvergenceWarning, match="did not settle in 2 rounds: some are about zero"):
        found = henderson.lmer("y ~ t", pd.DataFrame({"t": t, "y": y}), residual="power(fitted)")
    assert not found.converged
