"""Predictions with errors where residuals correlate: n × n algebra, and glmmTMB (`oracles/repeated_predictions.R`)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.reference import Data
from tests.structured import covariance, residual_covariance, user_covariance

import henderson
from henderson import lmer, mmrm
from henderson.covariance.layout import layouts_of
from henderson.covariance.residual.residual import Residual
from henderson.design.replay import new_columns
from henderson.errors import DataError
from henderson.numerics.distributions import t_quantile
from oracle_data import cases, load_oracle

#: the same numbers by other algebra
EXACT = 1e-7
#: derivatives of V by central differences
DIFFERENCE = 2e-5
#: both searches end where the deviance is flat, and know variances to half the digits; TMB's σ is small but not zero
TMB_ESTIMATE, TMB_ERROR = 5e-4, 1e-3

FEV = henderson.datasets.load("fev")
SITES = FEV.assign(SITE=(FEV["USUBJID"].str[2:].astype(int) % 8).astype(str))
SITES["FEV1"] += 6 * np.sin(SITES["SITE"].astype(int))
FITS = {
    "us": lambda: mmrm("FEV1 ~ ARMCD * AVISIT + us(AVISIT | USUBJID)", SITES),
    "us, weighted": lambda: mmrm("FEV1 ~ ARMCD * AVISIT + us(AVISIT | USUBJID)", SITES, weights="WEIGHT"),
    "us by arm, ML": lambda: mmrm("FEV1 ~ ARMCD + us(AVISIT | ARMCD / USUBJID)", SITES, REML=False),
    "ar1h in sites": lambda: lmer("FEV1 ~ ARMCD + (1 | SITE)", SITES, residual="ar1h(AVISIT | USUBJID)"),
    "ar1, slopes": lambda: lmer("FEV1 ~ ARMCD + (1 + WEIGHT | SITE)", SITES, residual="ar1(AVISIT | USUBJID)"),
    "ident": lambda: lmer("FEV1 ~ ARMCD + (1 | SITE)", SITES, residual="ar1(AVISIT | USUBJID) * ident(ARMCD)"),
}  # fmt: skip
EVERY = pytest.mark.parametrize("name", FITS)


@pytest.fixture(scope="module")
def fits():
    return {name: make() for name, make in FITS.items()}


def new_rows() -> pd.DataFrame:
    """Visits that were missed, of patients with other visits."""
    seen = SITES.loc[np.isfinite(SITES["FEV1"]), "USUBJID"]
    missed = SITES[~np.isfinite(SITES["FEV1"]) & SITES["USUBJID"].isin(seen)]
    return missed.iloc[[0, 1, 5, 11, 20, 47]]


def whole_covariance(found, new, what, psi):
    """Var(y), Cov(y, u) and Var(u) of targets u at parameters ψ of the user's units: what is predicted of new rows."""
    fit, rows = found.engine, found.engine.observed
    design, g = fit.design, psi[: len(fit.g)]
    series = rows.residual
    residual = Residual.of(design.residual, 4)
    V = covariance(Data(design, rows), g, psi[len(fit.g) :])
    n, m = rows.n, len(new)
    C, U = np.zeros((n, m)), np.zeros(m)
    visits, labels = list(design.residual.visits), list(design.residual.levels)
    weights = np.asarray(new["WEIGHT"]) if design.weighted else np.ones(m)
    for t, (_, row) in enumerate(new.iterrows()):
        at = 0
        for term, own, layout in zip(design.terms, rows.terms, layouts_of(design.terms)):
            G = layout.covariance(g[at : at + layout.n_g])
            at += layout.n_g
            z = np.array([1.0 if name == "(Intercept)" else row[name] for name in term.names])
            level = list(term.levels).index(row["SITE"]) if row["SITE"] in term.levels else -1
            U[t] += z @ G @ z
            C[:, t] += np.where(own.codes == level, own.columns @ G @ z, 0.0)
        if what == "effects":
            continue
        place = visits.index(row["AVISIT"])
        stratum = None if series.strata is None else list(design.residual.strata).index(row["ARMCD"])
        covariates = tuple(list(v.strata).index(row[v.name]) for v in design.residual.variance)
        code = labels.index(row["USUBJID"]) if row["USUBJID"] in labels else -1
        here = np.flatnonzero(series.codes == code) if what == "own series" else np.zeros(0, int)
        where = np.append(series.where[here], place)
        R = residual.cov(
            psi[len(fit.g) :],
            where,
            None if stratum is None else np.full(len(where), stratum),
            tuple(np.append(v[here], one) for v, one in zip(series.covariates, covariates)),
        )
        U[t] += R[-1, -1] / weights[t]
        C[here, t] += R[-1, :-1] / np.sqrt(weights[t] * rows.unit_weights[here])
    return V, C, U


def columns_of(found, new) -> np.ndarray:
    """X of new rows."""
    return new_columns(found.design, new, [None] * len(found.design.terms)).X


def by_algebra(found, new, what):
    """Estimate, v, its gradient along the user's parameters, and A, each of m rows."""
    fit, rows = found.engine, found.engine.observed
    psi = np.concatenate([fit.sigma**2 * fit.g, fit.psi])
    X, y, x = rows.X, rows.response, columns_of(found, new)

    def weights_and_error(at):
        V, C, U = whole_covariance(found, new, what, at)
        SX, SC = np.split(np.linalg.solve(V, np.column_stack([X, C])), [X.shape[1]], axis=1)
        M = SC + SX @ np.linalg.solve(X.T @ SX, x.T - X.T @ SC)
        v = U - 2 * np.einsum("nm,nm->m", C, M) + np.einsum("nm,nk,km->m", M, V, M, optimize=True)
        return M, v, V

    M, v, V = weights_and_error(psi)
    gradient, moves = np.empty((len(psi), len(new))), np.empty((len(psi), *M.shape))
    for a in range(len(psi)):
        h = 1e-4 * max(abs(psi[a]), 0.05)
        up, down = (weights_and_error(psi + sign * h * (np.arange(len(psi)) == a)) for sign in (1, -1))
        gradient[a], moves[a] = (up[1] - down[1]) / (2 * h), (up[0] - down[0]) / (2 * h)
    A = np.einsum("anm,nk,bkm->abm", moves, V, moves, optimize=True)
    return M.T @ y, v, gradient, A, np.einsum("anm,n->am", moves, y)


ASKED = {
    "effects": {"re": "all", "se": True},
    "own series": {"conditional": True, "se": True},
    "new observation": {"re": "all", "interval": "prediction"},
}


@EVERY
@pytest.mark.parametrize("what", ASKED)
def test_errors_are_those_of_dense_algebra(fits, name, what):
    found, new, options = fits[name], new_rows(), dict(ASKED[what])
    if found.design.weighted:
        options["weights"] = "WEIGHT"
    if what == "effects" and not found.design.terms:
        table = found.predict(new, **options)
        pd.testing.assert_frame_equal(table, found.predict(new, se=True))  # there are none: the mean
        return
    estimate, v, gradient, A, moved = by_algebra(found, new, what)
    known = found.predict(new, variance_uncertainty=False, **options)
    np.testing.assert_allclose(known["se"], np.sqrt(v), rtol=EXACT)
    assert np.isposinf(known["df"]).all()
    if what != "new observation":
        np.testing.assert_allclose(known["estimate"], estimate, rtol=EXACT)
    table = found.predict(new, **options)
    omega = user_covariance(found, "satterthwaite")
    spread = np.einsum("am,ab,bm->m", gradient, omega, gradient)
    np.testing.assert_allclose(table["df"], 2 * v**2 / spread, rtol=20 * DIFFERENCE)
    if found.design.terms or what == "own series":
        omega = user_covariance(found, "satterthwaite", True)
        added = np.einsum("ab,abm->m", omega, A)
        np.testing.assert_allclose(table["se"] ** 2, v + added, rtol=DIFFERENCE)
        observed = found.predict(new, variance_uncertainty="observed", **options)
        added = np.einsum("am,ab,bm->m", moved, omega, moved)
        np.testing.assert_allclose(observed["se"] ** 2, v + added, rtol=DIFFERENCE)
    half = t_quantile(0.975, np.asarray(table["df"])) * table["se"]
    np.testing.assert_allclose(table["upper"] - table["estimate"], half)


@EVERY
def test_kenward_and_rogers_errors(fits, name):
    found, new = fits[name], new_rows()
    if not found.reml:
        with pytest.raises(ValueError, match="REML"):
            found.predict(new, conditional=True, se=True, ddf="KR")
        return
    options = {"weights": "WEIGHT"} if found.design.weighted else {}
    _, v, gradient, A, _ = by_algebra(found, new, "own series")
    table = found.predict(new, conditional=True, se=True, ddf="kenward-roger", **options)
    omega = user_covariance(found, "kenward-roger")
    np.testing.assert_allclose(table["se"] ** 2, v + 2 * np.einsum("ab,abm->m", omega, A), rtol=DIFFERENCE)
    spread = np.einsum("am,ab,bm->m", gradient, omega, gradient)
    np.testing.assert_allclose(table["df"], 2 * v**2 / spread, rtol=20 * DIFFERENCE)


CASES = cases("repeated_predictions")


@pytest.mark.parametrize("case", CASES)
def test_predictions_of_missed_visits_are_glmmTMBs(case):
    oracle = CASES[case]
    rows = pd.DataFrame(load_oracle("repeated_predictions")["data"]["missed"])
    data = SITES.set_index(["USUBJID", "AVISIT"], drop=False)
    new = data.loc[list(zip(rows["USUBJID"], rows["AVISIT"]))].reset_index(drop=True)
    found = lmer(oracle["formula"], SITES, residual=oracle["residual"], REML=oracle["reml"])
    assert found.deviance == pytest.approx(oracle["deviance"], abs=1e-3)
    table = found.predict(new, conditional=True, se=True, variance_uncertainty="observed")
    np.testing.assert_allclose(table["estimate"], oracle["fit"], rtol=TMB_ESTIMATE)
    np.testing.assert_allclose(table["se"], oracle["se"], rtol=TMB_ERROR)


def test_rows_that_were_observed_are_known(fits):
    found = fits["us"]
    table = found.predict(conditional=True, se=True)
    np.testing.assert_allclose(table["estimate"], found.engine.observed.y, rtol=1e-9)
    assert (table["se"] == 0).all()
    np.testing.assert_array_equal(table["lower"], table["upper"])


def test_new_levels_and_new_series(fits):
    """A site that the fit does not have adds its variance; a patient without a past has the marginal one."""
    found, new = fits["ar1h in sites"], new_rows()
    elsewhere = new.assign(SITE="none")
    with pytest.raises(henderson.DataError, match="'none'"):
        found.predict(elsewhere, re="all", se=True)
    table = found.predict(elsewhere, re="all", se=True, new_levels="population", variance_uncertainty=False)
    mean = found.predict(new, se=True)
    G = found.sigma**2 * found.engine.lam[0][0, 0] ** 2
    np.testing.assert_allclose(table["se"] ** 2, mean["se"] ** 2 + G, rtol=EXACT)
    stranger = found.predict(new.assign(USUBJID="none"), conditional=True, se=True)
    same = found.predict(new, re="all", interval="prediction")
    pd.testing.assert_frame_equal(stranger, same, rtol=1e-10)


def test_labels_of_another_type_are_no_new_series():
    data = pd.DataFrame({"id": np.repeat(np.arange(20), 4), "visit": np.tile(np.arange(4), 20)})
    data["y"] = np.random.default_rng(1).normal(size=80) + np.repeat(np.random.default_rng(2).normal(size=20), 4)
    found = mmrm("y ~ 1 + cs(visit | id)", data)
    with pytest.raises(henderson.DataError, match=r"'id' has the level '3' \(str\)"):
        found.predict(pd.DataFrame({"id": ["3"], "visit": [1]}), conditional=True, se=True)
    assert np.isfinite(found.predict(pd.DataFrame({"id": [99], "visit": [1]}), conditional=True)).all()


def test_statsmodels_predictions(fits):
    found, new = fits["ar1h in sites"], new_rows()
    frame = found.get_prediction(new, re="all").summary_frame()
    mean, wide = found.predict(new, re="all", se=True), found.predict(new, re="all", interval="prediction")
    np.testing.assert_allclose(frame["mean_se"], mean["se"])
    np.testing.assert_allclose(frame["mean_ci_lower"], mean["lower"])
    np.testing.assert_allclose(frame["obs_ci_upper"], wide["upper"])
    own = found.get_prediction(re="all")
    assert len(own.summary_frame()) == found.nobs


def test_methods_that_say_nothing_of_predictions_are_named(fits):
    with pytest.raises(ValueError, match="between-within"):
        fits["us"].predict(new_rows(), conditional=True, se=True, ddf="between-within")
    robust = fits["us"].with_inference(cov="CR2")
    with pytest.raises(ValueError, match="CR2"):
        robust.predict(new_rows(), conditional=True, se=True)
    light = fits["ar1h in sites"]
    light = type(light)(light.engine.without_rows(), light._request)
    with pytest.raises(henderson.errors.NotAvailable, match="rows"):
        light.predict(new_rows(), re="all", se=True)
    wide = light.predict(new_rows(), interval="prediction")  # of new sites and patients: no rows are needed
    pd.testing.assert_frame_equal(wide, fits["ar1h in sites"].predict(new_rows(), interval="prediction"))


def test_a_row_that_spans_blocks():
    """Components that no row joined: a new row of a rater of one and a patient of the other."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": np.repeat(np.arange(16), 5), "t": np.tile(np.arange(5), 16)})
    data["h"] = 2 * (data["g"] // 8) + rng.integers(2, size=80)
    data["y"] = rng.normal(size=16)[data["g"]] + rng.normal(size=4)[data["h"]] + rng.normal(size=80)
    data = data[~(((data["g"] == 1) & (data["t"] == 2)) | ((data["g"] == 12) & (data["t"] == 3)))]
    found = lmer("y ~ t + (1 | h)", data, residual="cs(t | g)")
    assert found.engine.n_blocks == 2
    new = pd.DataFrame({"g": [1, 12], "t": [2, 3], "h": [3, 0]})
    table = found.predict(new, conditional=True, se=True, variance_uncertainty=False)
    fit, rows = found.engine, found.engine.observed
    V = covariance(Data(found.design, rows), fit.sigma**2 * fit.g, fit.psi)
    C = fit.psi[1] * (data["g"].to_numpy()[:, None] == new["g"].to_numpy())
    C = C + fit.sigma**2 * fit.g[0] * (data["h"].to_numpy()[:, None] == new["h"].to_numpy())
    S, X = np.linalg.inv(V), rows.X
    d = np.column_stack([np.ones(2), new["t"]]) - C.T @ S @ X
    v = fit.psi[0] + fit.sigma**2 * fit.g[0] - np.einsum("nm,nk,km->m", C, S, C) + np.einsum(
        "mi,ij,mj->m", d, np.linalg.inv(X.T @ S @ X), d
    )  # fmt: skip
    np.testing.assert_allclose(table["se"] ** 2, v, rtol=EXACT)
    assert residual_covariance(Data(found.design, rows), fit.psi).shape == (78, 78)


def test_visits_and_strata_that_are_not_known_are_named(fits):
    rows = new_rows()
    with pytest.raises(DataError, match=r"'AVISIT' has the level 'VIS9' in row 1, .* it knows VIS1, VIS2, VIS3, VIS4"):
        fits["us"].predict(rows.assign(AVISIT=["VIS1", "VIS9", *["VIS2"] * 4]), conditional=True)
    with pytest.raises(DataError, match=r"'ARMCD' has the level 'A' in row 0 and 5 more, .* it knows PBO, TRT"):
        fits["us by arm, ML"].predict(rows.assign(ARMCD="A"), interval="prediction")
