"""Cross-validation against fits of the rest and n × n algebra for the rows held out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from henderson import DataError, datasets, lmer, mixedlm
from henderson.engine.row_forms import row_forms
from oracle_data import frame
from reference import blocks

# searches end where the deviance is flat: predictions follow to 1e-6 of the response's spread, variances to 1e-5
ERROR, VARIANCE = 1e-5, 1e-4

MODELS = {
    "slope": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", {}, "Subject"),
    "slope-rows": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", {}, None),
    "crossed": ("y ~ A + B + (1 + A | subj) + (1 | item)", "crossed", {}, "item"),
    "nested": ("strength ~ 1 + (1 | batch/cask)", "Pastes", {}, "batch"),
    "weighted": ("y ~ f + x + (1 | g)", "weighted", {"weights": "w"}, "g"),
    "weighted-rows": ("y ~ f + x + (1 | g)", "weighted", {"weights": "w"}, None),
}


def held_out(fit, table, formula, options, fold):
    """Errors and variances of each fold's rows given the others, n × n."""
    error, variance = np.empty(fit.nobs), np.empty(fit.nobs)
    X, y, w = fit.engine.rows.X, fit.engine.rows.response, fit.engine.rows.unit_weights
    for f in range(fold.max() + 1):
        own, rest = np.flatnonzero(fold == f), np.flatnonzero(fold != f)
        other = lmer(formula, table.iloc[rest], **options).engine
        V = np.diag(1 / w)
        for term, rows, lam in zip(fit.design.terms, fit.engine.rows.terms, other.lam):
            z = blocks(term, rows)
            V = V + np.einsum("rs,rij,skj->ik", lam @ lam.T, z, z)
        inverse = np.linalg.inv(V[np.ix_(rest, rest)])
        pull = V[np.ix_(own, rest)] @ inverse
        phi = np.linalg.inv(X[rest].T @ inverse @ X[rest])
        beta = phi @ X[rest].T @ inverse @ y[rest]
        a = X[own] - pull @ X[rest]
        error[own] = y[own] - X[own] @ beta - pull @ (y[rest] - X[rest] @ beta)
        own_V = V[np.ix_(own, own)] - pull @ V[np.ix_(rest, own)]
        variance[own] = other.sigma**2 * np.diag(own_V + a @ phi @ a.T)
    return error, variance


@pytest.mark.parametrize("name", MODELS)
def test_against_fits_of_the_rest(name):
    formula, data, options, by = MODELS[name]
    table = frame("inference", data)
    if by is None:
        table = table.iloc[::2].reset_index(drop=True)
    fit = lmer(formula, table, **options)
    found = fit.cross_validate(by, 5, seed=1)
    fold = found.predictions["fold"].to_numpy()
    assert len(np.unique(fold)) == 5
    error, variance = held_out(fit, table, formula, options, fold)
    assert found.predictions["error"].to_numpy() == pytest.approx(error, abs=ERROR * table[fit.design.y_name].std())
    assert found.predictions["se"].to_numpy() ** 2 == pytest.approx(variance, rel=VARIANCE)
    want = {
        "rmse": np.sqrt((error**2).mean()),
        "mae": np.abs(error).mean(),
        "log_score": stats.norm.logpdf(error, 0, np.sqrt(variance)).mean(),
        "elpd": stats.norm.logpdf(error, 0, np.sqrt(variance)).sum(),
    }
    assert found.scores["estimate"].to_dict() == pytest.approx(want, rel=1e-5)
    assert found.score == found.scores.loc["rmse", "estimate"]


def test_folds_one_by_one_are_predicted_by_the_fit_without_them(monkeypatch):
    fit = lmer("strength ~ 1 + (1 | batch/cask)", datasets.load("Pastes"))
    together = fit.cross_validate(k=4, seed=1).predictions
    monkeypatch.setattr("henderson.engine.many.deletions.LARGEST", 0)
    monkeypatch.setattr("henderson.engine.many.refits.LARGEST", 0)
    one_by_one = fit.cross_validate(k=4, seed=1).predictions
    pd.testing.assert_frame_equal(one_by_one, together, rtol=VARIANCE)
    forms = row_forms(fit.engine)
    assert row_forms(fit.engine) is forms


def test_folds_are_whole_levels_of_equal_numbers():
    fit = lmer("Reaction ~ Days + (1 | Subject)", datasets.load("sleepstudy"))
    found = fit.cross_validate("Subject", 6, seed=2).predictions
    subject = fit.engine.rows.terms[0].codes
    assert pd.Series(subject).groupby(found["fold"].to_numpy()).nunique().tolist() == [3] * 6
    assert (found.groupby(subject)["fold"].nunique() == 1).all()
    again = fit.cross_validate("Subject", 6, seed=2).predictions
    assert again["fold"].equals(found["fold"])
    assert not fit.cross_validate("Subject", 6, seed=3).predictions["fold"].equals(found["fold"])


def test_leave_one_out_of_rows_and_the_standard_error():
    fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    found = fit.cross_validate(None, "leave-one-out", "mae")
    errors = found.predictions["error"].abs()
    assert found.score == pytest.approx(errors.mean())
    assert found.scores.loc["mae", "se"] == pytest.approx(errors.std() / np.sqrt(30))
    assert found.predictions["fold"].tolist() == list(range(30))
    assert repr(found).startswith("Leave-one-out cross-validation (rows)")
    # a random sample of batches is predicted worse than rows of known ones
    assert fit.cross_validate("Batch", "leave-one-out").score > fit.cross_validate(None, "leave-one-out").score


def test_rows_that_cannot_be_predicted_are_left_out_and_counted():
    table = datasets.load("Dyestuff")
    table["alone"] = (table["Batch"] == "C").astype(float)
    fit = lmer("Yield ~ alone + (1 | Batch)", table)
    found = fit.cross_validate("Batch", "leave-one-out")
    assert found.predictions["predicted"].isna().sum() == 5
    assert "5 rows are left out" in repr(found)
    assert np.isfinite(found.score)


def test_what_is_refused():
    fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    with pytest.raises(ValueError, match="metric must be one of rmse, mae, log_score, elpd, not 'r2'"):
        fit.cross_validate(metric="r2")
    with pytest.raises(ValueError, match="k is 10, but there are 6 Batch"):
        fit.cross_validate("Batch", 10)
    for k in (1, 0, True, 2.5, "loo"):
        with pytest.raises(ValueError, match="k must be a number of folds"):
            fit.cross_validate("Batch", k)
    with pytest.raises(DataError, match=r"cross_validate\(\): by='school' is not in the model"):
        fit.cross_validate("school")
    fit.remove_data()
    with pytest.raises(DataError, match=r"cross_validate\(\)"):
        fit.cross_validate("Batch", 3)


def test_behind_statsmodels_door():
    table = datasets.load("sleepstudy")
    other = mixedlm("Reaction ~ Days", table, groups="Subject", re_formula="~Days").fit()
    fit = lmer("Reaction ~ Days + (Days | Subject)", table)
    score = fit.cross_validate("Subject", "leave-one-out").score
    assert other.cross_validate("Subject", "leave-one-out").score == pytest.approx(score, rel=1e-7)


def test_fewer_levels_than_ten_make_a_fold_each():
    fit = lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", datasets.load("Penicillin"))
    assert fit.cross_validate("sample").predictions["fold"].nunique() == 6
    with pytest.raises(ValueError, match="at most k=6"):
        fit.cross_validate("sample", 10)


def test_rows_is_a_word_for_single_rows():
    fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    assert fit.cross_validate("rows", 3, seed=1).score == fit.cross_validate(None, 3, seed=1).score
