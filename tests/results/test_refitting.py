"""`results.refit`: both doors, labels, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson import DataError, lmer, mixedlm

#: two descents to one optimum
RTOL = 1e-6

FORMULA = "diameter ~ 1 + (1 | plate) + (1 | sample)"


@pytest.fixture(scope="module")
def data():
    return henderson.datasets.load("Penicillin")


def other(data, seed=2):
    return data["diameter"] + np.random.default_rng(seed).normal(size=len(data))


def same(one, two):
    assert one.deviance == pytest.approx(two.deviance, rel=RTOL)
    np.testing.assert_allclose(one.params, two.params, rtol=RTOL)
    np.testing.assert_allclose(one.theta, two.theta, rtol=1e-4)


def test_another_response(data):
    y = other(data)
    again = lmer(FORMULA, data, ddf="residual").refit(y)
    same(again, lmer(FORMULA, data.assign(diameter=y)))
    assert again.inference.ddf == "residual"
    np.testing.assert_allclose(again.resid + again.fittedvalues, y)


@pytest.mark.parametrize("kind", [list, np.asarray, tuple])
def test_arrays_are_taken_in_order(data, kind):
    same(lmer(FORMULA, data).refit(kind(other(data))), lmer(FORMULA, data.assign(diameter=other(data))))


def test_a_series_is_matched_by_its_index(data):
    labelled = data.set_index(pd.Index([f"r{i}" for i in range(len(data))]))
    fit, y = lmer(FORMULA, labelled), other(labelled)
    expected = fit.refit(y)
    same(fit.refit(y.sample(frac=1, random_state=0)), expected)
    same(fit.refit(pd.concat([pd.Series([9.0], index=["elsewhere"]), y])), expected)
    with pytest.raises(DataError, match="index"):
        fit.refit(y.iloc[1:])
    with pytest.raises(DataError, match="index"):
        fit.refit(y.reset_index(drop=True))


def test_rows_with_missing_values_are_not_asked_for(data):
    holes = data.copy()
    holes["diameter"] = holes["diameter"].astype(float)
    holes.loc[[3, 50], "diameter"] = np.nan
    fit, y = lmer(FORMULA, holes), other(data)
    same(fit.refit(y), fit.refit(y.drop([3, 50]).to_numpy()))
    with pytest.raises(DataError, match="144 entries, 142 rows"):
        fit.refit(y.to_numpy())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused(data, bad):
    y = other(data).to_numpy(copy=True)
    y[7] = bad
    with pytest.raises(DataError):
        lmer(FORMULA, data).refit(y)


def test_statsmodels_door(data):
    y = other(data)
    kept = mixedlm("diameter ~ 1", data, groups="plate").fit()
    again = kept.refit(y)
    fresh = mixedlm("diameter ~ 1", data.assign(diameter=y), groups="plate").fit()
    assert again.llf == pytest.approx(fresh.llf, rel=RTOL)
    np.testing.assert_allclose(again.params, fresh.params, rtol=1e-4)
    np.testing.assert_allclose(again.model.endog, y)
    np.testing.assert_allclose(again.bse_fe, fresh.bse_fe, rtol=1e-4)
    assert str(again.summary())


def test_without_rows_it_says_so(data):
    fit = lmer(FORMULA, data)
    fit.remove_data()
    with pytest.raises(DataError, match="refit"):
        fit.refit(other(data))
