"""The checks: each question with a fit that it should be content with, and one that it should not."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from henderson import DataError, datasets, lmer, mixedlm, mmrm
from henderson.diagnostics import questions
from henderson.diagnostics.check import QUESTIONS
from henderson.diagnostics.collinearity import variance_inflation
from oracle_data import frame


def clean(seed=0, groups=40, rows=8):
    """A table of a model that is right."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), rows)
    x, z = rng.normal(size=(2, len(g)))
    y = 1 + 0.5 * x + rng.normal(size=groups)[g] + rng.normal(size=len(g))
    return pd.DataFrame({"y": y, "x": x, "z": z, "g": g})


def quiet(formula, table, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lmer(formula, table, **options)


def test_a_model_that_is_right_passes():
    found = quiet("y ~ x + z + (1 | g)", clean()).check()
    assert found.passed, found
    assert len(found.answers) == len(QUESTIONS) - 1  # that of residuals that correlate has no answer
    assert found.table.index.tolist()[0] == "Is it the optimum?"
    assert found.table.columns.tolist() == ["status", "number", "verdict", "advice"]


def test_singular():
    answer = quiet("y ~ x + (x | g)", frame("inference", "flat")).check()["is it singular"]
    assert answer.status == "look"
    assert "correlation of (Intercept) and x" in answer.verdict
    assert "simplify" in answer.advice


def test_identified():
    table = pd.DataFrame({"g": np.repeat(list("abcdef"), 4), "t": np.repeat(list("uvwxyz"), 4)})
    table["y"] = np.random.default_rng(2).normal(size=24)
    answer = quiet("y ~ t + (1 | g)", table, check_identified="ignore").check()["is it identified"]
    assert answer.status == "problem"
    assert "the data do not identify" in answer.verdict
    hole = quiet("y ~ A * B + (1 | g)", frame("inference", "hole")).check()["is it identified"]
    assert hole.status == "look"
    assert "dropped as redundant" in hole.verdict


def test_levels():
    table = clean().assign(few=lambda d: d["g"] % 3)
    answer = quiet("y ~ x + (1 | g) + (1 | few)", table).check()["are there enough"]
    assert (answer.status, answer.number) == ("look", 3)
    assert answer.verdict.startswith("few has 3")


def test_influential_levels():
    table = clean(groups=12)
    table.loc[table["g"] == 4, "y"] += 8 * table["x"]
    found = quiet("y ~ x + (1 | g)", table).check()["does one g"]
    assert found.status == "problem"
    assert found.verdict.startswith("without 4 the estimate of x moves by")
    want = quiet("y ~ x + (1 | g)", table).influence("g")["dfbetas[x]"].abs().max()
    assert found.number == pytest.approx(want)


def test_shape_of_residuals():
    table = clean()
    table.loc[5, "y"] += 15
    found = quiet("y ~ x + (1 | g)", table).check()["are residuals"]
    assert found.status == "look"
    assert "1 row beyond 4 standard deviations" in found.verdict
    skewed = quiet("y ~ x + (1 | g)", table.assign(y=np.exp(clean()["y"]))).check()["are residuals"]
    assert skewed.status == "look"


def test_skewness_and_kurtosis_are_scipys():
    from scipy import stats

    fit = quiet("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    r = fit.residuals("studentized")
    want = f"skewness {stats.skew(r):.2f}, excess kurtosis {stats.kurtosis(r):.2f}"
    assert fit.check()["are residuals"].verdict.startswith(want)


def test_spread():
    table = clean()
    wide = table.assign(y=10 + 3 * table["g"] + np.random.default_rng(3).normal(size=len(table)) * (1 + table["g"] / 4))
    found = quiet("y ~ x + (1 | g)", wide).check()["is their spread"]
    assert found.status == "look"
    assert found.number > 0.3


def test_random_effects():
    table = clean(groups=60)
    b = np.random.default_rng(4).exponential(size=60) ** 2 * 3
    found = quiet("y ~ x + (1 | g)", table.assign(y=table["y"] + b[table["g"]])).check()["are random effects"]
    assert found.status == "look"
    assert found.verdict.startswith("(Intercept) | g: skewness")


def test_collinearity_is_the_inverse_of_the_rest():
    """1/(1 − R²) of a GLS regression of one column on the others, for the marginal covariance of the fit."""
    table = clean()
    table["z"] = table["x"] * 3 + table["z"]
    fit = quiet("y ~ x + z + (1 | g)", table)
    correlation = fit.cov_params().iloc[1, 2] / np.sqrt(fit.cov_params().iloc[1, 1] * fit.cov_params().iloc[2, 2])
    vif = variance_inflation(fit.engine)["gvif"]
    assert vif.tolist() == pytest.approx([1 / (1 - correlation**2)] * 2)
    assert fit.check()["is there collinearity"].status == "problem"
    factor = variance_inflation(
        quiet("y ~ A * x + (1 | g)", clean().assign(A=lambda d: list("uvw" * 106 + "uv"))).engine
    )
    assert factor["columns"].tolist() == [2, 1, 2]
    assert (factor["scaled"] >= 1).all()


def test_missing_rows():
    table = clean()
    table.loc[table.index % 5 == 0, "x"] = np.nan
    found = quiet("y ~ x + (1 | g)", table).check()["are rows missing"]
    assert (found.status, found.verdict) == ("look", "64 of 320 rows were dropped (20.0 %)")


def test_it_prints_in_a_hundred_columns_and_as_html():
    found = quiet("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy")).check()
    text = repr(found)
    assert max(map(len, text.splitlines())) <= 100
    assert text.startswith("Checks of Reaction ~ Days + (Days | Subject)")
    assert "→ look at these rows" in text
    assert "<caption>Checks of" in found._repr_html_()
    with pytest.raises(KeyError, match="the questions are"):
        found["is it true"]


def test_every_kind_of_model_is_asked():
    table = datasets.load("Penicillin")
    crossed = quiet("diameter ~ 1 + (1 | plate) + (1 | sample)", table).check()
    assert [a.question for a in crossed.answers if a.question.startswith("Does one")] == [
        "Does one plate decide?",
        "Does one sample decide?",
    ]
    nested = quiet("strength ~ 1 + (1 | batch/cask)", datasets.load("Pastes")).check()
    assert sum(a.question.startswith("Does one") for a in nested.answers) == 2
    assert quiet("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff2")).check()["is it singular"].status == "look"
    assert (
        mixedlm("Yield ~ 1", datasets.load("Dyestuff"), groups="Batch").fit().check()["is it singular"].status == "ok"
    )


def test_without_rows_it_is_refused():
    fit = quiet("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    fit.remove_data()
    with pytest.raises(DataError, match=r"check\(\)"):
        fit.check()


def test_of_many_levels_the_foremost_are_left_out(monkeypatch):
    rng = np.random.default_rng(8)
    table = pd.DataFrame({"g": np.repeat(np.arange(150), 4), "h": np.tile(np.arange(30), 20)})
    table["x"] = rng.normal(size=600)
    table["y"] = table.x + rng.normal(size=150)[table.g] + rng.normal(size=30)[table.h] + rng.normal(size=600)
    table.loc[table["g"] == 77, "y"] += 6 * table["x"]
    fit = quiet("y ~ x + (1 | g) + (1 | h)", table)
    monkeypatch.setattr(questions, "EXACT_WORK", 0)
    monkeypatch.setattr(questions, "MOST_LEVELS", 12)
    found = fit.check()
    for factor, n in (("g", 150), ("h", 30)):
        answer = found[f"does one {factor} decide"]
        moves = fit.influence(factor, exact=False).filter(like="dfbetas[").abs()
        assert answer.number == pytest.approx(moves.max(axis=None), rel=1e-9)
        assert f"(variances held; the 12 of {n} left out that promised to move it most)" in answer.verdict
    monkeypatch.setattr(questions, "MOST_LEVELS", 200)
    assert found["does one g"].number == fit.check()["does one g"].number
    assert "(variances held)" in fit.check()["does one g"].verdict


def test_repeated_measures_without_fixed_effects():
    fev = datasets.load("fev")
    fit = mmrm("FEV1 ~ 0 + ar1(AVISIT | USUBJID)", fev.assign(FEV1=fev["FEV1"] - 42))
    assert "there are no fixed effects that it could move" in str(fit.check())
