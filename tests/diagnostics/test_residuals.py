"""Residuals against n × n algebra and lme4; quantile residuals against the normal distribution."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from henderson import DataError, datasets, lmer, mixedlm
from henderson.diagnostics import scaled_residuals
from oracle_data import cases, frame
from reference import at_fit

# the algebra by blocks and by n × n matrices differ in rounding; lme4's fit by its search
ALGEBRA, LME4 = 1e-9, 1e-5
KINDS = ("raw", "pearson", "studentized", "external", "scaled")

MODELS = {
    "slope": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", {}),
    "ml": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", {"REML": False}),
    "nested": ("strength ~ 1 + (1 | batch/cask)", "Pastes", {}),
    "crossed": ("y ~ A * B + (1 + A | subj) + (1 | item)", "crossed", {}),
    "weighted": ("y ~ f * x + (x | g)", "weighted", {"weights": "w"}),
    "partly-crossed": ("angle ~ recipe * temp + (1 | recipe:replicate) + (1 | replicate)", "cake", {}),
}


@pytest.fixture(scope="module", params=MODELS)
def fit(request):
    formula, data, options = MODELS[request.param]
    return lmer(formula, frame("inference", data), **options)


def dense(fit):
    """Residuals of each kind from their definitions: kind → (marginal, conditional)."""
    engine, at = fit.engine, at_fit(fit.engine)
    y, w, sigma = engine.rows.response, engine.rows.unit_weights, engine.sigma
    x, e = engine.rows.X[:, engine.kept], at.P @ engine.rows.response
    marginal, conditional = y - x @ engine.beta[engine.kept], e / w
    v = np.diag(at.V)
    var_marginal = np.diag(at.V - x @ at.phi @ x.T)
    var_conditional = np.diag(at.P) / w**2
    nu = engine.n - (x.shape[1] if engine.reml else 0)
    without = np.sqrt((y @ e - e**2 / np.diag(at.P)) / (nu - 1))
    return {
        "raw": (marginal, conditional),
        "pearson": (marginal / (sigma * np.sqrt(v)), conditional * np.sqrt(w) / sigma),
        "studentized": (marginal / (sigma * np.sqrt(var_marginal)), conditional / (sigma * np.sqrt(var_conditional))),
        "external": (marginal / (without * np.sqrt(var_marginal)), conditional / (without * np.sqrt(var_conditional))),
        "scaled": (np.linalg.solve(np.linalg.cholesky(at.V), marginal) / sigma, conditional * np.sqrt(w) / sigma),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_against_dense_algebra(fit, kind):
    marginal, conditional = dense(fit)[kind]
    for level, want in (("marginal", marginal), ("conditional", conditional)):
        got = fit.residuals(kind, level)
        assert got.to_numpy() == pytest.approx(want, abs=ALGEBRA * max(1.0, np.abs(want).max()))
        assert got.index.equals(fit.resid.index)


@pytest.mark.parametrize("case", ["sleepstudy", "penicillin", "crossed", "weighted-intercept"])
def test_pearson_against_lme4(case):
    oracle = cases("influence")[case]
    fit = lmer(oracle["formula"], frame("influence", oracle["data"]), weights=oracle["weights"])
    assert fit.residuals("pearson").to_numpy() == pytest.approx(oracle["pearson"], abs=LME4)


def test_raw_is_resid(fit):
    assert fit.residuals().to_numpy() == pytest.approx(fit.resid.to_numpy(), abs=1e-12)


def test_external_is_the_row_left_out_of_sigma():
    """σ̂(i) with the ratio of the variances held: the residual sum of squares of a fit with an indicator of the row."""
    table = datasets.load("Dyestuff")
    fit = lmer("Yield ~ 1 + (1 | Batch)", table)
    at, y, i = at_fit(fit.engine), fit.engine.rows.y, 7
    x = np.column_stack([np.ones(30), np.arange(30) == i])
    inverse = np.linalg.inv(at.V)
    left = y - x @ np.linalg.solve(x.T @ inverse @ x, x.T @ inverse @ y)
    sigma = np.sqrt(left @ inverse @ left / 28)
    ratio = fit.residuals("studentized").iloc[i] / fit.residuals("external").iloc[i]
    assert ratio == pytest.approx(sigma / fit.sigma, rel=1e-9)


def test_scaled_residuals_are_uncorrelated_with_unit_variance():
    """Of responses from the model, with its true parameters: 400 draws."""
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"g": np.repeat(np.arange(200), 3), "x": np.tile([0.0, 1.0, 2.0], 200)})
    b = rng.normal(size=(200, 2)) * [2.0, 1.0]
    table["y"] = 3 + table["x"] + b[table["g"], 0] + b[table["g"], 1] * table["x"] + rng.normal(size=600)
    r = lmer("y ~ x + (x | g)", table).residuals("scaled", "marginal").to_numpy().reshape(-1, 3)
    assert np.corrcoef(r.T)[np.triu_indices(3, 1)] == pytest.approx(np.zeros(3), abs=0.2)
    assert r.var(axis=0) == pytest.approx(np.ones(3), abs=0.25)


def test_scaled_residuals_refuse_what_is_too_large(monkeypatch):
    monkeypatch.setattr(scaled_residuals, "LARGEST", 10)
    fit = lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", datasets.load("Penicillin"))
    with pytest.raises(DataError, match="connects 30"):
        fit.residuals("scaled", "marginal")
    assert np.isfinite(fit.residuals("scaled", "conditional")).all()


def test_rows_keep_their_labels_when_some_are_missing():
    table = datasets.load("sleepstudy").set_index(pd.Index([f"row {i}" for i in range(180)]))
    table.iloc[[3, 50], 0] = np.nan
    fit = lmer("Reaction ~ Days + (1 | Subject)", table)
    for kind in (*KINDS, "quantile"):
        got = fit.residuals(kind)
        assert len(got) == 178
        assert "row 3" not in got.index
        assert "row 4" in got.index


def test_a_row_that_is_fitted_exactly_has_no_studentized_residual():
    table = datasets.load("Dyestuff")
    table["alone"] = (np.arange(30) == 4).astype(float)
    fit = lmer("Yield ~ alone + (1 | Batch)", table)
    got = fit.residuals("studentized")
    assert np.isnan(got.iloc[4])
    assert np.isfinite(got.drop(index=got.index[4])).all()


def test_quantile_residuals_are_those_of_the_normal_distribution():
    """Marginal: y is N(Xβ̂, σ²V_ii); 20,000 draws give its distribution function to 0.015."""
    fit = lmer("y ~ f + x + (1 | g)", frame("inference", "weighted"), weights="w")
    for level in ("marginal", "conditional"):
        want = stats.norm.cdf(fit.residuals("pearson", level))
        assert fit.residuals("quantile", level, n=20_000, seed=2).to_numpy() == pytest.approx(want, abs=0.015)


def test_quantile_tests_see_what_is_wrong():
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"g": np.repeat(np.arange(60), 10)})
    table["y"] = rng.normal(size=60)[table["g"]] + rng.normal(size=600)
    good = lmer("y ~ 1 + (1 | g)", table).quantile_residuals("conditional", seed=1).tests
    assert (good["p"] > 0.01).all()
    table["y"] += np.where(np.arange(600) % 100 == 0, 12.0, 0.0)
    bad = lmer("y ~ 1 + (1 | g)", table).quantile_residuals("conditional", seed=1)
    assert bad.tests.loc["uniformity", "p"] < 0.01
    assert bad.tests.loc["outliers", "p"] < 0.01
    assert bad.tests.loc["outliers", "expected"] == pytest.approx(2 * 600 / 1001)


def test_uniformity_is_scipys():
    fit = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    found = fit.quantile_residuals(seed=3)
    want = stats.kstest(found.residuals, "uniform")
    assert found.tests.loc["uniformity", "p"] == pytest.approx(want.pvalue)
    assert str(found).startswith("Quantile residuals (marginal, 1000 draws)")
    again = fit.quantile_residuals(seed=found.seed)
    assert again.residuals.equals(found.residuals)


def test_what_is_refused():
    fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    with pytest.raises(ValueError, match="raw, pearson, studentized, external, scaled, quantile, not 'deviance'"):
        fit.residuals("deviance")
    with pytest.raises(ValueError, match="level must be 'marginal' or 'conditional', not 'both'"):
        fit.residuals("pearson", "both")
    with pytest.raises(ValueError, match="n must be a number of draws"):
        fit.quantile_residuals(n=3)
    fit.remove_data()
    for kind in (*KINDS, "quantile"):
        with pytest.raises(DataError, match="residuals"):
            fit.residuals(kind)


def test_behind_statsmodels_door():
    table = datasets.load("sleepstudy")
    other = mixedlm("Reaction ~ Days", table, groups="Subject", re_formula="~Days").fit()
    fit = lmer("Reaction ~ Days + (Days | Subject)", table)
    for kind in KINDS:
        assert other.residuals(kind).to_numpy() == pytest.approx(fit.residuals(kind).to_numpy(), abs=1e-6)
    held = mixedlm("Reaction ~ Days", table, groups="Subject").fit_regularized(alpha=1.0)
    with pytest.raises(DataError, match="given, held or penalised"):
        held.residuals("studentized")


@pytest.mark.parametrize(
    ("word", "kind"), [("studentised", "studentized"), ("internal", "studentized"), ("response", "raw")]
)
def test_other_words_for_kinds(word, kind):
    fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    assert fit.residuals(word).equals(fit.residuals(kind))
