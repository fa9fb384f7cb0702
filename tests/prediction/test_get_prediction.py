"""statsmodels' prediction object: columns as its linear models have them, numbers as `predict` has them."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.formula.api as smf

import henderson


@pytest.fixture(scope="module")
def door():
    data = henderson.datasets.load("sleepstudy")
    return data, henderson.mixedlm("Reaction ~ Days", data, groups="Subject").fit()


def test_the_frame_has_statsmodels_columns(door):
    data, fit = door
    theirs = smf.ols("Reaction ~ Days", data).fit().get_prediction(data.head(3)).summary_frame()
    found = fit.get_prediction(data.head(3)).summary_frame()
    assert found.columns.equals(theirs.columns)
    assert found.index.equals(data.index[:3])


@pytest.mark.parametrize(
    "options", [{}, {"re": "all"}, {"re": "all", "ddf": "satterthwaite"}, {"variance_uncertainty": False}]
)
def test_numbers_are_those_of_predict(door, options):
    data, fit = door
    rows = data.iloc[[3, 77]]
    found = fit.get_prediction(rows, **options)
    mean = fit.predict(rows, se=True, level=0.9, **options)
    observed = fit.predict(rows, interval="prediction", level=0.9, **options)
    want = np.column_stack([mean["estimate"], mean["se"], mean[["lower", "upper"]], observed[["lower", "upper"]]])
    np.testing.assert_allclose(found.summary_frame(alpha=0.1), want)
    np.testing.assert_allclose(found.conf_int(alpha=0.1), mean[["lower", "upper"]])
    np.testing.assert_allclose(found.conf_int(obs=True, alpha=0.1), observed[["lower", "upper"]])
    np.testing.assert_allclose(found.se_obs, observed["se"])
    np.testing.assert_allclose(
        [found.predicted_mean, found.se_mean, found.df], [mean["estimate"], mean["se"], mean["df"]]
    )
    np.testing.assert_allclose(found.tvalues**2 * found.var_pred_mean, found.predicted_mean**2)
    assert (found.pvalues < 0.05).all()


def test_rows_may_be_columns_of_the_design_or_those_that_were_fitted(door):
    data, fit = door
    X = np.column_stack([np.ones(180), data["Days"]])
    own = fit.get_prediction().summary_frame()
    np.testing.assert_allclose(fit.get_prediction(X).summary_frame(), own)
    assert own.index.equals(data.index)
    assert fit.get_prediction(X[:2], row_labels=["a", "b"]).summary_frame().index.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="alpha must be between 0 and 1"):
        fit.get_prediction(X[:2]).summary_frame(alpha=95)
    with pytest.raises(ValueError, match="no random term"):
        fit.get_prediction(data, re="item")
