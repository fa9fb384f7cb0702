"""Residuals, influence, cross-validation where residuals correlate: n × n algebra, and fits of what is left."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tests.reference import Data
from tests.structured import covariance, residual_covariance

import henderson
from henderson import DataError, lmer, mmrm
from henderson.diagnostics import one_step

#: the same numbers by other algebra
EXACT = 1e-7
#: two searches that end where the deviance is flat know variances to half the digits
MEASURE, VARIANCE = 2e-5, 3e-4

FEV = henderson.datasets.load("fev")
SITES = FEV.assign(SITE=(FEV["USUBJID"].str[2:].astype(int) % 8).astype(str))
SITES["FEV1"] += 6 * np.sin(SITES["SITE"].astype(int))
FITS = {
    "us, weighted": mmrm("FEV1 ~ ARMCD * AVISIT + us(AVISIT | USUBJID)", FEV, weights="WEIGHT"),
    "ar1h in sites": lmer("FEV1 ~ ARMCD + (1 | SITE)", SITES, residual="ar1h(AVISIT | USUBJID)"),
    "ar1 and sites, ML": lmer("FEV1 ~ ARMCD + (ARMCD || SITE)", SITES, residual="ar1(AVISIT | USUBJID)", REML=False),
}
EVERY = pytest.mark.parametrize("name", FITS)


class Dense:
    """V, R, P, Φ and what they make of a fit's rows, (n, n)."""

    def __init__(self, fit):
        data = Data(fit.design, fit.observed)
        self.rows = fit.observed
        self.X = self.rows.X[:, fit.kept]
        self.V = covariance(data, fit.sigma**2 * fit.g, fit.psi)
        self.R = residual_covariance(data, fit.psi)
        self.S = np.linalg.inv(self.V)
        self.phi = np.linalg.inv(self.X.T @ self.S @ self.X)
        self.P = self.S - self.S @ self.X @ self.phi @ self.X.T @ self.S
        self.Py = self.P @ self.rows.response


@EVERY
def test_external_residuals_take_the_scale_from_the_other_rows(name):
    found, dense = FITS[name], Dense(FITS[name].engine)
    nu = found.nobs - (len(found.params) if found.reml else 0)
    assert dense.rows.response @ dense.Py == pytest.approx(nu, rel=1e-5)  # the scale of all variances is at its optimum
    for i in (0, 17, 200):
        kept = np.arange(found.nobs) != i
        X, y, S = dense.X[kept], dense.rows.response[kept], np.linalg.inv(dense.V[np.ix_(kept, kept)])
        e = y - X @ np.linalg.solve(X.T @ S @ X, X.T @ S @ y)
        scale = e @ S @ e / (nu - 1)
        for level in ("marginal", "conditional"):
            ratio = found.residuals("external", level).iloc[i] / found.residuals("studentized", level).iloc[i]
            assert ratio == pytest.approx(1 / np.sqrt(scale), rel=1e-5)


@EVERY
def test_leverages(name):
    found, dense = FITS[name], Dense(FITS[name].engine)
    table = found.influence(exact=False)
    np.testing.assert_allclose(table["leverage"], 1 - np.diag(dense.R @ dense.P), rtol=EXACT, atol=EXACT)
    np.testing.assert_allclose(
        table["leverage_fixed"], np.diag(dense.X @ dense.phi @ dense.X.T @ dense.S), rtol=EXACT, atol=EXACT
    )
    assert table["leverage"].sum() == pytest.approx(found.effective_df, rel=EXACT)


def held(dense: Dense, gone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """β̂ and its covariance without some rows, at the variances of all."""
    kept = np.setdiff1d(np.arange(len(dense.X)), gone)
    X, S = dense.X[kept], np.linalg.inv(dense.V[np.ix_(kept, kept)])
    vcov = np.linalg.inv(X.T @ S @ X)
    return vcov @ X.T @ S @ dense.rows.response[kept], vcov


@EVERY
@pytest.mark.parametrize("by", [None, "USUBJID", "threes"])
def test_one_step_influence_is_the_fit_of_the_others_at_these_variances(name, by):
    """Rows; whole series, which are independent blocks in one model and not in the others; rows of many series."""
    found, dense = FITS[name], Dense(FITS[name].engine)
    codes = {
        None: np.arange(found.nobs),
        "USUBJID": dense.rows.residual.codes,
        "threes": np.arange(found.nobs) // 3 % 40,
    }[by]
    table = found.influence(codes if by == "threes" else by, exact=False)
    p = len(found.params)
    for level in (0, 3):
        beta, vcov = held(dense, np.flatnonzero(codes == level))
        delta = np.asarray(found.params) - beta
        row = table.iloc[level]
        assert row["cooks"] == pytest.approx(delta @ np.linalg.solve(dense.phi, delta) / p, rel=1e-5)
        assert row["mdffits"] == pytest.approx(delta @ np.linalg.solve(vcov, delta) / p, rel=1e-5)
        assert row["covratio"] == pytest.approx(np.linalg.det(vcov) / np.linalg.det(dense.phi), rel=1e-6)
        assert row["covtrace"] == pytest.approx(abs(np.trace(np.linalg.solve(dense.phi, vcov)) - p), rel=1e-5)
        np.testing.assert_allclose(row.filter(like="dfbetas"), delta / np.sqrt(np.diag(vcov)), rtol=1e-5, atol=1e-9)


@EVERY
def test_exact_influence_is_the_fit_of_the_others(name):
    found = FITS[name]
    data = FEV if name.startswith("us") else SITES
    chosen = ["PT1", "PT19", "PT160"]
    few = np.where(data["USUBJID"].isin(chosen), data["USUBJID"], "others")[np.isfinite(data["FEV1"])]
    table = found.influence(few)
    for subject in chosen[:2] if "ML" in name else chosen:
        left = data[data["USUBJID"] != subject]
        if name.startswith("us"):
            other = mmrm("FEV1 ~ ARMCD * AVISIT + us(AVISIT | USUBJID)", left, weights="WEIGHT")
        else:
            formula, residual = found.design.formula, found.design.residual.label
            other = lmer(formula, left, residual=residual, REML=found.reml)
        row, V = table.loc[subject], np.asarray(found.cov_params())
        delta = np.asarray(found.params - other.params)
        assert row["cooks"] == pytest.approx(delta @ np.linalg.solve(V, delta) / len(V), rel=2e-3, abs=MEASURE)
        np.testing.assert_allclose(row.filter(like="dfbetas"), delta / other.bse, rtol=2e-4, atol=MEASURE)
        assert row["covratio"] == pytest.approx(np.linalg.det(other.cov_params()) / np.linalg.det(V), rel=MEASURE * 10)
        changes = row[[column for column in table if column.startswith("rvc[residual")]]
        np.testing.assert_allclose(changes, other.engine.psi / found.engine.psi - 1, atol=VARIANCE)


def test_influence_by_the_factor_of_the_series_and_of_the_random_effects():
    found = FITS["ar1h in sites"]
    assert found.influence("USUBJID", exact=False).index.name == "USUBJID"
    assert len(found.influence("SITE", exact=False)) == 8
    with pytest.raises(DataError, match="which has SITE, USUBJID, ARMCD"):
        found.influence("nothing")


def test_sets_apart_share_no_series():
    found, sets = FITS["us, weighted"], one_step.Sets
    codes = found.engine.observed.residual.codes
    assert one_step.is_apart(found.engine, sets.of_codes(codes, codes.max() + 1))
    assert not one_step.is_apart(found.engine, sets.of_codes(np.arange(found.nobs), found.nobs))
    sites = FITS["ar1h in sites"].engine
    assert not one_step.is_apart(sites, sets.of_codes(sites.observed.residual.codes, codes.max() + 1))


@EVERY
@pytest.mark.parametrize("by", ["USUBJID", None])
def test_cross_validation_predicts_by_what_is_left(name, by):
    """Whole patients by the mean; single rows by the patient's other visits, too."""
    found = FITS[name]
    predictions = found.cross_validate(by, 4, seed=3).predictions
    data = FEV if name.startswith("us") else SITES
    complete = data[np.isfinite(data["FEV1"])]
    gone = complete[(predictions["fold"] == 2).to_numpy()]
    left = complete[(predictions["fold"] != 2).to_numpy()]
    if name.startswith("us"):
        other = mmrm("FEV1 ~ ARMCD * AVISIT + us(AVISIT | USUBJID)", left, weights="WEIGHT")
    else:
        other = lmer(found.design.formula, left, residual=found.design.residual.label, REML=found.reml)
    dense = Dense(found.engine)
    here = np.flatnonzero(predictions["fold"] == 2)
    there = np.setdiff1d(np.arange(found.nobs), here)
    fit = other.engine
    V = covariance(Data(found.design, dense.rows), fit.sigma**2 * fit.g, fit.psi)
    half = np.linalg.solve(V[np.ix_(there, there)], V[np.ix_(there, here)])
    mean = dense.X @ fit.beta
    expected = mean[here] + half.T @ (dense.rows.y - mean)[there]
    np.testing.assert_allclose(predictions["predicted"].to_numpy()[here], expected, atol=3e-3)
    a = dense.X[here] - half.T @ dense.X[there]
    variance = V[np.ix_(here, here)] - half.T @ V[np.ix_(there, here)] + a @ fit.vcov @ a.T
    np.testing.assert_allclose(predictions["se"].to_numpy()[here], np.sqrt(np.diag(variance)), rtol=1e-3)
    assert len(gone) == len(here)


@EVERY
@pytest.mark.parametrize("level", ["marginal", "conditional"])
def test_quantile_residuals_are_places_among_draws_of_the_structure(name, level):
    found, dense = FITS[name], Dense(FITS[name].engine)
    drawn = found.quantile_residuals(level, n=2000, seed=5)
    if level == "marginal":
        z = (dense.rows.y - dense.rows.mean(found.engine.beta)) / np.sqrt(np.diag(dense.V))
    else:
        z = np.asarray(found.resid) / np.sqrt(np.diag(dense.R))
    np.testing.assert_allclose(drawn.residuals, stats.norm.cdf(z), atol=0.06)
    assert drawn.tests["p"].between(0, 1).all()
    if level == "marginal":
        assert drawn.tests.loc["dispersion", "statistic"] == pytest.approx(1.0, abs=0.1)
    again = found.residuals("quantile", level, n=2000, seed=5)
    np.testing.assert_array_equal(again, drawn.residuals)


def test_rows_that_crossed_factors_tie_together():
    rng = np.random.default_rng(4)
    data = pd.DataFrame(
        {"g": np.repeat(np.arange(12), 6), "t": np.tile(np.arange(6), 12), "h": rng.integers(5, size=72)}
    )
    data["y"] = rng.normal(size=12)[data["g"]] + 2 * rng.normal(size=5)[data["h"]] + rng.normal(size=72)
    found = lmer("y ~ t + (1 | h)", data, residual="ar1(t | g)")
    dense, table = Dense(found.engine), found.influence("g", exact=False)
    beta, _ = held(dense, np.flatnonzero(data["g"] == 4))
    delta = np.asarray(found.params) - beta
    assert table["cooks"].loc[4] == pytest.approx(delta @ np.linalg.solve(dense.phi, delta) / 2, rel=1e-5)
