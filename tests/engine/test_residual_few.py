"""Few rows to a variance parameter: what is found depends on no order of visits."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.reference import Data
from tests.structured import covariance, deviance, residual_covariance

import henderson
from henderson.covariance.residual.matern import SMOOTHNESSES
from henderson.errors import ConvergenceWarning, SingularMatrixWarning

#: twenty patients, some visits, six parameters too many: patient, visit, item, x, y
FEW = (
    "0,1,3,-1.56,2.81 0,3,1,-1.33,2.54 1,1,3,0.12,2.82 1,2,6,0.94,3.4 1,3,2,-1.94,2.4 2,0,6,-0.2,1.79 "
    "2,1,7,0.87,0.69 2,2,5,1.38,1.26 2,3,0,1.41,3.88 3,1,7,-0.51,0.81 3,2,0,0.56,2.53 3,3,6,0.94,3.18 "
    "4,0,0,0.28,1.47 5,1,2,0.81,2.85 5,2,6,-0.34,3.84 6,0,3,-2.84,1.59 6,3,5,0.87,2.84 7,1,7,0.15,1.07 "
    "7,2,7,-1.18,0.69 7,3,6,-0.51,1.06 8,1,2,-1.84,1.93 8,2,4,-0.95,3.22 8,3,0,-1.71,4.23 9,1,3,-0.42,3.09 "
    "10,0,1,1.71,2.99 10,2,5,-0.47,1.28 10,3,6,-0.99,3.41 11,0,1,-1.5,-0.3 11,1,4,0.12,2.05 11,2,5,1.98,-1.49 "
    "11,3,6,-0.16,2.29 12,0,4,-1.03,1.7 12,1,1,-0.06,2.19 12,2,6,-0.51,3.85 12,3,2,-0.9,3.53 13,1,0,-0.05,3.64 "
    "13,2,7,1.49,1.61 13,3,7,1.23,0.56 14,0,3,0.99,3.59 14,1,1,0.21,2.51 14,2,0,0.48,7.96 14,3,6,1.02,5.24 "
    "15,0,7,-0.05,-0.05 16,0,6,-0.92,3.29 16,1,1,0.69,1.83 16,2,6,0.87,-0.67 16,3,5,0.85,1.63 17,0,1,0.72,0.97 "
    "17,3,7,-0.4,0.95 18,0,0,-0.36,3.72 18,2,2,-0.43,1.01 18,3,6,-0.63,2.43 19,0,1,-0.94,3.12 19,2,3,-0.74,4.7 "
)
#: of deviances whose searches took different ways
DEVIANCE = 1e-6


def test_an_optimum_is_found_whatever_visits_are_called():
    """The first names led to a singular covariance matrix, 1.1 lower, the others to the optimum."""
    data = pd.DataFrame([row.split(",") for row in FEW.split()], columns=["patient", "visit", "item", "x", "y"])
    data[["x", "y"]] = data[["x", "y"]].astype(float)
    data["t"] = data["visit"].astype(float)
    found = []
    for names in itertools.islice(itertools.permutations("abcd"), 0, 24, 7):
        renamed = data.assign(visit=data["visit"].map(dict(zip("0123", names))))
        fit = henderson.lmer("y ~ x + t + (1 | item)", renamed, residual="us(visit | patient)", REML=False)
        assert fit.converged
        assert not fit.engine.at_end
        found.append(-2 * fit.llf)
    assert found == pytest.approx([145.785687] * len(found), abs=DEVIANCE)


def test_a_smoothness_that_goes_to_zero_ends_and_says_so():
    """The Matérn family nears compound symmetry as ν falls: a search ran on to ν = 0.001, r = 1e154 and into NaN."""
    rng = np.random.default_rng(5)
    patient, t = np.repeat(np.arange(25), 4), np.tile([0.0, 1.0, 2.5, 4.5], 25)
    y = 2 * rng.normal(size=25)[patient] + rng.normal(size=100)
    data = pd.DataFrame({"patient": patient, "t": t, "y": y})
    with pytest.warns(SingularMatrixWarning, match="end of its range: Smoothness") as said:
        fit = henderson.mmrm("y ~ t + sp_mat(t | patient)", data)
    assert len(said) == 1
    exchangeable = henderson.mmrm("y ~ t + cs(t | patient)", data)
    assert fit.converged
    assert fit.engine.optimum.message.endswith("at the end of its range: Smoothness")
    assert fit.engine.psi[2] == pytest.approx(SMOOTHNESSES[0], rel=1e-3)
    assert 0 < fit.deviance - exchangeable.deviance < 0.2


def small_trial(seed: int, n_patients: int) -> pd.DataFrame:
    """Four visits, some missed, some patients who leave; variances rise with visits that correlate."""
    rng = np.random.default_rng(seed)
    patient, visit = np.repeat(np.arange(n_patients), 4), np.tile(np.arange(4), n_patients)
    arm, sex = np.repeat(rng.integers(0, 2, n_patients), 4), np.repeat(rng.integers(0, 3, n_patients), 4)
    sd = 1 + 0.4 * np.arange(4)
    root = np.linalg.cholesky(np.exp(-np.abs(np.subtract.outer(np.arange(4), np.arange(4))) * 0.5) * np.outer(sd, sd))
    y = 3 * (rng.normal(size=(n_patients, 4)) @ root.T).ravel() + 10 + arm * visit + sex
    rng.uniform(size=len(y))
    kept = rng.random(len(y)) > 0.15
    kept &= visit < rng.integers(2, 7, n_patients)[patient]
    arm_name, sex_name = np.array(["a", "b"])[arm], np.array(["x", "y", "z"])[sex]
    data = pd.DataFrame({"patient": patient, "visit": visit, "arm": arm_name, "sex": sex_name, "y": y})
    return data.assign(visit=[f"V{k + 1}" for k in visit])[kept]


@pytest.mark.parametrize(("reml", "least"), [(True, 115.31729), (False, 134.58571)])
def test_correlations_of_the_other_sign_are_tried(reml, least):
    """Of fifteen random starts the lowest; from what products of residuals say it was 116.808 and 139.494."""
    with pytest.warns(ConvergenceWarning, match="3 patient have all of 'V2', 'V3'"):  # a local maximum, no other
        fit = henderson.mmrm("y ~ sex + arm * visit + adh(visit | patient)", small_trial(0, 10), REML=reml)
    assert not fit.engine.at_end
    assert fit.deviance == pytest.approx(least, abs=1e-4)
    assert fit.optinfo["starts"] == 8  # two of them of either sign, and three beside what was found


@pytest.mark.parametrize(
    ("structure", "seed", "said"),
    [
        ("ad", 3, "1 patient have all of 'V3', 'V4'.*and the fixed effects fit 1 there"),
        ("us", 2, "3 patient have all of 'V1', 'V2'.*and the fixed effects fit 2 there"),
        ("toep", 1, "still rises where the residuals' covariance is singular"),
    ],
)
def test_where_the_likelihood_has_no_maximum_the_search_ends_and_says_so(structure, seed, said):
    """The few patients of the last visit lie on a line of the visits before: the likelihood rises without limit towards
    a correlation of one. Searches took up to a thousand evaluations, and stated deviances of which every digit was
    rounding, 23 below what they were."""
    data = small_trial(seed, 8)
    with pytest.warns(ConvergenceWarning, match=said):
        fit = henderson.mmrm(f"y ~ sex + arm * visit + {structure}(visit | patient)", data, REML=False)
    assert not fit.converged
    assert fit.optinfo["evaluations"] < 100
    rows = fit.engine.observed_for("algebra")
    known = Data(fit.engine.design, replace(rows, X=rows.X[:, fit.engine.kept]))
    assert fit.deviance == pytest.approx(deviance(known, residual_covariance(known, fit.engine.psi), False), abs=1e-5)


@pytest.mark.parametrize(
    ("seed", "sds", "correlation", "sigma", "rho"),
    [(14, (10.51, 1.116), -0.19, 0.311, 0.73), (30, (9.95, 1.06), -0.006, 0.301, 0.706)],
)
def test_lines_of_series_and_a_correlation_that_hardly_falls_stand_for_each_other(seed, sds, correlation, sigma, rho):
    """Lines far apart with residuals that forget, or residuals that hardly do: a minimum each, 0.3 and 0.5 apart, and
    searches ended at the second."""
    rng, J, T = np.random.default_rng(seed), 18, 8
    g, t = np.repeat(np.arange(J), T), np.tile(np.arange(T) * 1.0, J)
    shocks = rng.normal(size=(J, T)) * np.append(1.0, np.full(T - 1, np.sqrt(1 - 0.97**2)))
    e = np.stack([shocks[:, : k + 1] @ 0.97 ** np.arange(k, -1.0, -1.0) for k in range(T)], axis=1)
    y = t + 10 * rng.normal(size=J)[g] + rng.normal(size=J)[g] * t + e.ravel()
    fit = henderson.lmer("y ~ t + (t | g)", {"y": y, "t": t, "g": g}, residual="ar1(t | g)")
    known = Data(fit.engine.design, fit.engine.observed_for("algebra"))
    a, b = sds
    lower = covariance(known, np.array([a * a, correlation * a * b, b * b]), np.array([sigma**2, rho]))
    assert fit.converged
    assert fit.deviance <= deviance(known, lower, True) <= fit.deviance + 1e-3
