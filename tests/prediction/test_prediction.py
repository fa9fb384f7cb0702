"""Predictions with random effects, against lme4's definition: Xβ̂ + Zb̂ is what `fittedvalues` has at the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson

MODELS = {
    "slopes": ("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
    "uncorrelated": ("Reaction ~ Days + (Days || Subject)", "sleepstudy"),
    "nested": ("strength ~ 1 + (1 | batch/cask)", "Pastes"),
    "crossed": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin"),
    "factor slopes": ("score ~ Machine + (Machine | Worker)", "Machines"),
}


@pytest.fixture(params=MODELS, scope="module")
def fitted(request):
    formula, name = MODELS[request.param]
    data = henderson.datasets.load(name)
    return henderson.lmer(formula, data), data


def test_at_the_data_it_is_the_fitted_values(fitted):
    result, data = fitted
    order = np.random.default_rng(0).permutation(len(data))
    predicted = result.predict(data.iloc[order], random=True)
    np.testing.assert_allclose(predicted, np.asarray(result.fittedvalues)[order], rtol=1e-12)
    assert (predicted.index == data.index[order]).all()


def test_unknown_levels_raise_or_are_the_mean():
    formula, name = MODELS["slopes"]
    data = henderson.datasets.load(name)
    result = henderson.lmer(formula, data)
    new = data.iloc[[0, 1]].assign(Subject=[308, 999])
    with pytest.raises(henderson.DataError, match="'Subject' has the level 999 in row 1"):
        result.predict(new, random=True)
    predicted = result.predict(new, random=True, new_levels="zero")
    assert predicted.iloc[1] == result.predict(new).iloc[1]
    with pytest.raises(ValueError, match="new_levels"):
        result.predict(new, random=True, new_levels="skip")


def test_arrays_have_no_levels_to_look_up():
    rng = np.random.default_rng(1)
    result = henderson.MixedLM(rng.normal(size=60), np.ones((60, 1)), np.arange(60) % 6).fit()
    with pytest.raises(ValueError, match="formula"):
        result.predict(np.ones((2, 1)), random=True)


def test_a_table_of_columns_may_spell_its_intercept_either_way():
    sleepstudy = henderson.datasets.load("sleepstudy")
    lmer = henderson.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    mixedlm = henderson.mixedlm("Reaction ~ Days", sleepstudy, groups="Subject").fit()
    for fit in (lmer, mixedlm):
        for name in ("Intercept", "(Intercept)"):
            columns = pd.DataFrame({"Days": [0.0, 2.0], name: [1.0, 1.0]})
            expected = np.asarray(fit.predict(pd.DataFrame({"Days": [0.0, 2.0]})))
            assert np.allclose(fit.predict(columns, transform=False), expected, rtol=1e-12)
        with pytest.raises(henderson.DataError, match="Intercept"):
            fit.predict(columns[["Days"]].assign(other=1.0), transform=False)
