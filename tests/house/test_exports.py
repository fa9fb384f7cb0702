"""Every object that shows a table has the same exports, copies and pickles."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.tables.exports import TableExports


@pytest.fixture(scope="module")
def objects():
    data = henderson.datasets.load("sleepstudy")
    fit = henderson.lmer("Reaction ~ Days + (1 | Subject)", data)
    many = henderson.fit_many("~ Days + (1 | Subject)", data, data[["Reaction"]])
    found = [
        fit.emmeans("Days"), fit.t_test("Days = 10"), fit.wald_test_terms(), fit.r2(), fit.caic(), many,
        fit.bootstrap(4, seed=1), fit.profile("sigma"), fit.power("Days", n=20, seed=1), fit.check(),
        fit.quantile_residuals(n=20, seed=1), fit.cross_validate("Subject", k=3), fit.get_prediction(data.head(3)),
        henderson.simplify(fit), fit.rlrt(n=100, seed=1),
    ]  # fmt: skip
    return {type(one).__name__: one for one in found}


def test_one_vocabulary(objects):
    assert len(objects) >= 15
    for name, one in objects.items():
        assert isinstance(one, TableExports), name
        assert isinstance(one.to_frame(), pd.DataFrame), name
        assert "<table" in one._repr_html_(), name
        assert "<table" in one.to_html(), name
        assert "tabular" in one.to_latex(), name
        assert one.to_markdown().count("|") > 3, name
        assert len(json.loads(json.dumps(one.to_dict()))["rows"]) > 0, name
        assert type(one).__repr__ is not object.__repr__, name


def test_copies_and_pickles(objects):
    for name, one in objects.items():
        for again in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
            assert repr(again) == repr(one), name


def test_rows_are_the_numbers_of_the_frame(objects):
    rows = objects["EMMeans"].to_dict()["rows"]
    frame = objects["EMMeans"].frame
    assert [row["estimate"] for row in rows] == frame["estimate"].tolist()
    assert objects["EMMeans"].to_frame().equals(pd.DataFrame(frame))


def test_many_fits_say_what_they_say_together():
    """The counts of a summary are those of the arrays; what failed is not counted."""
    data = henderson.datasets.load("sleepstudy")
    Y = np.random.default_rng(5).normal(size=(180, 12)) + np.arange(12) / 40 * data[["Days"]].to_numpy()
    Y[:, 3] = 1.0
    found = henderson.fit_many("~ Days + (1 | Subject)", data, Y)
    table = found.summary(alpha=0.1)
    there = np.isfinite(found.p[:, 1])
    assert table.loc["Days", "fits"] == there.sum() == 11
    assert table.loc["Days", "significant"] == (found.p[there, 1] <= 0.1).sum()
    assert table.loc["Days", "mean"] == pytest.approx(found.estimate[there, 1].mean())
    p = np.sort(found.p[there, 1])
    passed = np.flatnonzero(p <= 0.1 * np.arange(1, 12) / 11)
    assert table.loc["Days", "discoveries"] == passed.max(initial=-1) + 1
    assert len(found[2:5]) == 3
    assert found[2:5].responses.tolist() == [2, 3, 4]
    with pytest.raises(TypeError, match="slice"):
        found[0]


def test_objects_compare_and_hash(objects):
    """What holds arrays is equal to itself alone: of two arrays `==` has no truth value."""
    data = henderson.datasets.load("sleepstudy")
    fit = henderson.lmer("Reaction ~ 1 + (1 | Subject)", data)
    text = henderson.mixedlm("Reaction ~ 1", data, groups="Subject").fit().summary()
    parts = [fit.summary(), fit.step(), fit.design, fit.engine, fit.inference, fit.model]
    for one in [*objects.values(), text, fit, *parts]:
        assert [0, one].index(one) == 1, type(one)
        assert (one == copy.deepcopy(one)) in (True, False), type(one)
        assert hash(one) == hash(one), type(one)
