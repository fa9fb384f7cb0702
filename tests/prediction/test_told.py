"""Predictions given responses of new rows: the conditional of a joint normal in n × n algebra, and what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.reference import Data
from tests.structured import covariance, user_covariance

import henderson
from henderson import lmer, mmrm
from henderson.design.from_formula import design_from_formula
from henderson.errors import DataError, NotAvailable, ValueWarning

#: the same numbers by other algebra
EXACT = 1e-9
#: derivatives of V by central differences
DIFFERENCE = 1e-5


def trial() -> pd.DataFrame:
    """Thirty-six patients of two arms and five sites, each visit rated by one of four."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"p": np.repeat(np.arange(36), 4), "visit": np.tile([1, 2, 3, 4], 36)})
    data["t"] = data["visit"] + rng.uniform(0, 0.5, 144)
    data["arm"] = np.where(data["p"] % 2, "A", "B")
    data["site"] = data["p"] % 5
    data["rater"] = rng.integers(4, size=144)
    data["w"] = rng.uniform(0.5, 2, 144)
    for factor, sd in (("p", 2.0), ("site", 2.0), ("rater", 1.5)):
        data["y"] = data.get("y", 0.0) + sd * rng.normal(size=36)[data[factor]]
    e = rng.normal(size=(36, 4))
    for k in range(1, 4):
        e[:, k] += 0.7 * e[:, k - 1]
    data["y"] += data["t"] + 1.5 * e.ravel() * np.sqrt(data["t"])
    return data[rng.uniform(size=144) < 0.85].reset_index(drop=True)


TRIAL = trial()
FITTED = TRIAL[TRIAL["p"] < 30]
#: new patients, and known ones of whom a visit was not fitted; three responses are asked for
NEW = TRIAL[TRIAL["p"] >= 32].reset_index(drop=True)
NEW["y"] = NEW["y"].where(~np.isin(np.arange(len(NEW)), [1, 6, 9]))
MODELS = {
    "us": ("y ~ arm + t", "us(visit | p)", {}),
    "us by arm, ML": ("y ~ t", "us(visit | arm / p)", {"REML": False}),
    "cs, weighted": ("y ~ arm + t", "cs(visit | p)", {"weights": "w"}),
    "car1 * power": ("y ~ arm + t", "car1(t | p) * power(t)", {}),
    "sp_exp * ident": ("y ~ arm + t", "sp_exp(t | p) * ident(arm)", {}),
    "ar1 + slopes": ("y ~ t + (1 + t | p)", "ar1(visit | p)", {"weights": "w"}),
    "ar1 in sites": ("y ~ t + (1 | site)", "ar1(visit | p)", {}),
    "ar1, crossed": ("y ~ t + (1 | p) + (1 | rater)", "ar1(visit | p)", {}),
    "ident beside patients": ("y ~ t + (1 | p)", "ident(arm)", {}),
}
EVERY = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def fits():
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # thirty patients leave a variance or two at zero
        for name, (formula, residual, options) in MODELS.items():
            found[name] = lmer(formula, FITTED, residual=residual, **options)
    return found


def options_of(found) -> dict:
    return {"conditional": True, "new_levels": "population", **({"weights": "w"} if found.design.weighted else {})}


def by_algebra(name, found, new, derivatives=True):
    """Estimates of the rows of `new` without a response given all others and the fit's rows, v, its gradient, A, and
    how an estimate moves with the variances at these data: β̂ is GLS's of the rows that were fitted."""
    formula, residual, options = MODELS[name]
    given = {key: value for key, value in options.items() if key == "weights"}
    every = pd.concat([FITTED, new.assign(y=new["y"].fillna(0.0))], ignore_index=True)
    design, rows = design_from_formula(formula, every, residual=residual, **given)
    fit, n = found.engine, found.engine.n
    own = np.concatenate([fit.sigma**2 * fit.g, fit.psi])
    asked = n + np.flatnonzero(new["y"].isna())
    told = np.setdiff1d(np.arange(len(every)), asked)
    X, y = rows.X, rows.response[told]

    def weights_and_error(psi):
        V = covariance(Data(design, rows), psi[: len(fit.g)], psi[len(fit.g) :])
        S0, X0 = np.linalg.inv(V[:n, :n]), X[:n]
        to_beta = np.zeros((X.shape[1], len(told)))
        to_beta[:, :n] = np.linalg.solve(X0.T @ S0 @ X0, X0.T @ S0)
        C, Vt = V[np.ix_(told, asked)], V[np.ix_(told, told)]
        W = np.linalg.solve(Vt, C)
        M = W + to_beta.T @ (X[asked].T - X[told].T @ W)
        v = np.diag(V)[asked] - 2 * np.einsum("nm,nm->m", C, M) + np.einsum("nm,nk,km->m", M, Vt, M, optimize=True)
        return M, v, Vt

    M, v, V = weights_and_error(own)
    if not derivatives:
        return M.T @ y, v
    gradient, moves = np.empty((len(own), len(asked))), np.empty((len(own), *M.shape))
    for a in range(len(own)):
        h = 1e-4 * max(abs(own[a]), 0.05) * (np.arange(len(own)) == a)
        up, down = weights_and_error(own + h), weights_and_error(own - h)
        gradient[a], moves[a] = (up[1] - down[1]) / (2 * h.sum()), (up[0] - down[0]) / (2 * h.sum())
    A = np.einsum("anm,bnm->abm", moves, V @ moves)
    return M.T @ y, v, gradient, A, np.einsum("anm,n->am", moves, y)


@EVERY
def test_predictions_given_new_responses_are_those_of_the_joint_normal(fits, name):
    found, options = fits[name], options_of(fits[name])
    new = pd.concat([NEW, TRIAL[TRIAL["p"] == 31].assign(p=99)], ignore_index=True)
    asked = new["y"].isna()
    estimate, v, gradient, A, moved = by_algebra(name, found, new)
    np.testing.assert_allclose(found.predict(new, **options)[asked], estimate, rtol=EXACT)
    plain = found.predict(new, se=True, variance_uncertainty=False, **options)
    np.testing.assert_array_equal(plain.loc[~asked, "estimate"], new.loc[~asked, "y"])
    assert (plain.loc[~asked, "se"] == 0).all()
    np.testing.assert_allclose(plain.loc[asked, "estimate"], estimate, rtol=EXACT)
    np.testing.assert_allclose(plain.loc[asked, "se"] ** 2, v, rtol=EXACT)
    table = found.predict(new, se=True, ddf="satterthwaite", **options)[asked]
    by = user_covariance(found, "satterthwaite")
    spread = np.einsum("am,ab,bm->m", gradient, by, gradient)
    np.testing.assert_allclose(table["df"], 2 * v**2 / spread, rtol=20 * DIFFERENCE)
    by = user_covariance(found, "satterthwaite", True)
    np.testing.assert_allclose(table["se"] ** 2, v + np.einsum("ab,abm->m", by, A), rtol=DIFFERENCE)
    own = {**options, "ddf": "satterthwaite", "variance_uncertainty": "observed"}
    added = np.einsum("am,ab,bm->m", moved, by, moved)
    np.testing.assert_allclose(found.predict(new, se=True, **own)[asked]["se"] ** 2, v + added, rtol=DIFFERENCE)
    if found.reml:
        table, by = (
            found.predict(new, se=True, **{**options, "ddf": "kenward-roger"}),
            user_covariance(found, "kenward-roger"),
        )
        np.testing.assert_allclose(table.loc[asked, "se"] ** 2, v + 2 * np.einsum("ab,abm->m", by, A), rtol=DIFFERENCE)


@pytest.mark.parametrize("name", ["us", "cs, weighted", "ar1, crossed"])
def test_known_patients_are_given_what_was_fitted_and_what_is_new(fits, name):
    """A visit of a patient of the fit that was not fitted tells beside those that were, which tell once."""
    found, options, past = fits[name], options_of(fits[name]), FITTED[FITTED["p"] == 1]
    assert past["visit"].tolist() == [3, 4]
    ahead = past.assign(visit=[1, 2], t=[1.2, 2.1], y=[4.0, np.nan])
    estimate, v = by_algebra(name, found, ahead, derivatives=False)
    for new in (ahead, pd.concat([past, ahead])):
        table = found.predict(new.reset_index(drop=True), se=True, variance_uncertainty=False, **options)
        assert table["estimate"].iloc[-1] == pytest.approx(estimate[0], rel=EXACT)
        assert table["se"].iloc[-1] ** 2 == pytest.approx(v[0], rel=EXACT)
        np.testing.assert_array_equal(table["estimate"].iloc[:-1], new["y"].iloc[:-1])
    with pytest.raises(DataError, match=r"p 1 has y 9 at visit 3 in row 0 .* was fitted with 3\.48993 there"):
        found.predict(past.assign(y=9.0), **options)


def test_a_new_patient_has_what_a_known_one_has_whose_rows_are_his(fits):
    """By another name the same estimates, with and without the fit's rows."""
    for name in ("us", "ar1 + slopes"):
        found, options = fits[name], options_of(fits[name])
        past = FITTED[FITTED["p"] == 1]
        ahead = pd.concat([past, past.assign(visit=[1, 2], t=[1.0, 2.0], y=np.nan)], ignore_index=True)
        known = found.predict(ahead, se=True, **options)
        new = found.predict(ahead.assign(p=99), se=True, **options)
        np.testing.assert_allclose(new["estimate"], known["estimate"], rtol=EXACT)
        np.testing.assert_allclose(new["se"], known["se"], rtol=0.01)  # β̂ did not see a new patient's responses


def without_rows(found):
    return type(found)(found.engine.without_rows(), found._request)


@pytest.mark.parametrize("name", ["us", "us by arm, ML", "ar1 + slopes", "ident beside patients"])
def test_no_rows_are_needed(fits, name):
    """Nor for a patient of the fit, when his rows are given."""
    found, light, options = fits[name], without_rows(fits[name]), options_of(fits[name])
    past = FITTED[FITTED["p"] == 1]
    ahead = pd.concat([past, past.assign(visit=[1, 2], t=[1.0, 2.0], y=np.nan)], ignore_index=True)
    for new in [NEW] if name == "ident beside patients" else [NEW, ahead]:
        pd.testing.assert_frame_equal(
            light.predict(new, se=True, **options), found.predict(new, se=True, **options), rtol=1e-7
        )
    with pytest.raises(NotAvailable, match=r"give all responses of this p in the new data|rows of these levels tell"):
        light.predict(
            ahead.assign(y=ahead["y"].where(ahead["visit"] == 9)) if name != "ident beside patients" else ahead,
            **options,
        )


def test_levels_that_other_rows_share_need_the_rows(fits):
    light = without_rows(fits["ar1 in sites"])
    with pytest.raises(NotAvailable, match=r"levels of \(1 \| site\) that were fitted \(row 0\)"):
        light.predict(NEW, conditional=True)
    elsewhere = NEW.assign(site=NEW["site"] + 100)
    np.testing.assert_allclose(
        light.predict(elsewhere, conditional=True),
        fits["ar1 in sites"].predict(elsewhere, conditional=True),
        rtol=EXACT,
    )


@pytest.mark.parametrize("re", ["none", "(1 | rater)"])
def test_some_effects_are_asked_for(fits, re):
    """What is asked for is without a term, or of new levels; the responses are with all of them."""
    found = fits["ar1, crossed"]
    new = NEW.assign(rater=NEW["rater"] + 50, p=NEW["p"] + 50)  # all new: nothing is shared with the fit's rows
    options = {"conditional": True, "re": re, "new_levels": "population", "variance_uncertainty": False}
    asked = np.flatnonzero(new["y"].isna())
    told = np.flatnonzero(new["y"].notna())
    fit = found.engine
    G = dict(zip(("p", "rater"), fit.sigma**2 * fit.g))
    same = {name: new[name].to_numpy()[:, None] == new[name].to_numpy() for name in ("p", "rater")}
    apart = np.abs(new["visit"].to_numpy()[:, None] - new["visit"].to_numpy())
    R = np.where(same["p"], fit.psi[0] * fit.psi[1] ** apart, 0.0)
    V, C = R.copy(), R.copy()
    for name in G:
        V += G[name] * same[name]
        C += G[name] * same[name] if name in re else 0.0
    X = np.column_stack([np.ones(len(new)), new["t"]])
    W = np.linalg.solve(V[np.ix_(told, told)], C[np.ix_(told, asked)])
    mean = X @ found.params.to_numpy()
    d = X[asked] - W.T @ X[told]
    known = np.diag(C)[asked] - np.einsum("ka,ka->a", W, C[np.ix_(told, asked)])
    v = known + np.einsum("ai,ij,aj->a", d, found.cov_params().to_numpy(), d)
    for interval in ("confidence", "prediction"):
        table = found.predict(new, interval=interval, **options).iloc[asked]
        np.testing.assert_allclose(
            table["estimate"], mean[asked] + W.T @ (new["y"] - mean).to_numpy()[told], rtol=EXACT
        )
        fresh = sum(G[name] for name in G if name not in re) if interval == "prediction" else 0.0
        np.testing.assert_allclose(table["se"] ** 2, v + fresh, rtol=EXACT)


def test_rows_equal_to_fitted_ones_tell_once(fits):
    """Where residuals have no places, a row is a fitted one when all it says is; another response is another row."""
    found, past = fits["ident beside patients"], FITTED[FITTED["p"] == 1]
    ahead = pd.concat([past, past.iloc[[0]].assign(y=np.nan)], ignore_index=True)
    table = found.predict(ahead, conditional=True)
    assert table.iloc[-1] == pytest.approx(found.predict(past, re="all").iloc[0], rel=EXACT)
    np.testing.assert_array_equal(table.iloc[:-1], past["y"])
    more = found.predict(ahead.assign(y=ahead["y"] + 1), conditional=True)
    estimate, _ = by_algebra("ident beside patients", found, ahead.assign(y=ahead["y"] + 1), derivatives=False)
    assert more.iloc[-1] == pytest.approx(estimate[0], rel=EXACT)


def test_tables_of_any_make(fits):
    found, told = fits["us"], fits["us"].predict(NEW, conditional=True)
    plain = {name: [None if pd.isna(v) else v for v in NEW[name].tolist()] for name in NEW}
    for table in (pl.from_pandas(NEW), plain, {name: NEW[name].to_numpy() for name in NEW}):
        np.testing.assert_array_equal(np.asarray(found.predict(table, conditional=True)), told)


def test_what_cannot_tell_is_named(fits):
    found = fits["us"]
    with pytest.warns(ValueWarning, match=r"the response in row 2 of the new data is not used: 't' is missing there"):
        left = found.predict(NEW.assign(t=NEW["t"].where(NEW.index != 2)), conditional=True)
    assert np.isnan(left[2])
    np.testing.assert_allclose(left.drop(2), found.predict(NEW.drop(index=2), conditional=True), rtol=EXACT)
    for wrong, complaint in (
        (NEW.assign(y=NEW["y"].where(NEW.index != 2, np.inf)), "'y' is inf in row 2"),
        (NEW.assign(p=NEW["p"].where(NEW.index != 2)), "'p' is missing in row 2"),
        (pd.concat([NEW, NEW.iloc[[2]]], ignore_index=True), r"p 32 has two rows at visit 4 \(rows 2 and 13\)"),
        (NEW.assign(y="high"), "'y'"),
    ):
        with pytest.raises(DataError, match=complaint):
            found.predict(wrong, conditional=True)
    with pytest.raises(DataError, match=r"'arm' is not the same in all rows of p 32 \(row 1\)"):
        fits["us by arm, ML"].predict(
            NEW.assign(arm=np.where(NEW.index == 1, "A", NEW["arm"]), p=NEW["p"]), conditional=True
        )


def test_new_levels_without_responses_are_refused_as_ever(fits):
    found = fits["ar1 + slopes"]
    assert np.isfinite(found.predict(NEW, conditional=True)).all()
    with pytest.raises(DataError, match="new_levels='population'"):
        found.predict(NEW.assign(y=NEW["y"].where(NEW["p"] != 33)), conditional=True)


def test_a_fit_on_the_log_scale():
    data = TRIAL.assign(y=np.exp(TRIAL["y"] / 5))
    found = mmrm("log(y) ~ t + cs(visit | p)", data[data["p"] < 30])
    new = data[data["p"] == 33].assign(y=lambda rows: rows["y"].where(rows["visit"] != 2))
    assert found.predict(new, conditional=True, type="response")[new["visit"] == 3].tolist() == pytest.approx(
        new.loc[new["visit"] == 3, "y"].tolist()
    )
    with pytest.raises(DataError, match=r"'log\(y\)' is nan in row 0"):
        found.predict(new.assign(y=-1.0), conditional=True)


def test_file(fits, tmp_path):
    fits["car1 * power"].save(tmp_path / "fit.henderson")
    loaded = henderson.load(tmp_path / "fit.henderson")
    np.testing.assert_allclose(
        loaded.predict(NEW, conditional=True), fits["car1 * power"].predict(NEW, conditional=True), rtol=EXACT
    )


def test_rows_that_effects_tie_beyond_any_matrix(fits, monkeypatch):
    """What a patient's past says of him is had from residuals, series by series; it was refused beyond 4,000 rows."""
    found = fits["ar1, crossed"]
    ahead = FITTED[FITTED["p"] == 1].assign(visit=[1, 2], t=[1.2, 2.1], y=np.nan)
    by_blocks = found.predict(ahead, conditional=True)
    monkeypatch.setattr(type(found.engine), "has_blocks", False)
    np.testing.assert_allclose(found.predict(ahead, conditional=True), by_blocks, rtol=1e-7)
