"""Groups given as a Series are called Group in statsmodels' tables: methods take the user's name for them, too.

So do they for the last part of a variance component's factor, Group/item.
"""

from __future__ import annotations

import numpy as np
import patsy
import pytest

from henderson import datasets, lmer, mixedlm


@pytest.fixture(scope="module")
def table():
    return datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def by_series(table):
    return mixedlm("Reaction ~ Days", table, groups=table["Subject"], re_formula="~ Days").fit()


@pytest.fixture(scope="module")
def component(table):
    return mixedlm("Reaction ~ Days", table, groups=np.ones(len(table)), vc_formula={"subj": "0 + C(Subject)"}).fit()


def test_predictions_take_the_name_of_the_series(table, by_series):
    assert by_series.predict(table, re="Subject").equals(by_series.predict(table, re="all"))


def test_influence_and_folds_take_the_name_of_the_series(by_series):
    named, usual = by_series.influence("Subject", exact=False), by_series.influence("Group", exact=False)
    assert np.array_equal(named.to_numpy(), usual.to_numpy())
    assert by_series.cross_validate("Subject", 3, seed=1).score == by_series.cross_validate("Group", 3, seed=1).score


@pytest.mark.parametrize(
    ("fit", "name", "group"), [("by_series", "Subject", "Group"), ("component", "subj", "Group/subj")]
)
def test_sizes_of_a_study_take_the_users_name(fit, name, group, request):
    fit = request.getfixturevalue(fit)
    named, usual = (fit.power("Days", sizes={one: 8}, n=10, seed=1) for one in (name, group))
    assert named.factors == (name,)
    assert np.array_equal(named.pvalues[0], usual.pvalues[0])


def test_levels_of_a_component_read_as_text_in_checks(component):
    answer = component.check()["does one group"]
    assert "without (1.0, 'C(Subject)[" in answer.verdict


def test_columns_of_contrasts_are_called_as_patsy_calls_them():
    """Statsmodels' users look for ``C(k, Poly).Linear``; behind `lmer` it is ``[.L]``."""
    data = datasets.load("Machines")
    for text in ("C(Machine, Poly)", "C(Machine, Diff)", "C(Machine, Poly) * x", "C(Machine, Sum)"):
        table = data.assign(x=range(len(data)))
        wanted = patsy.dmatrix(text, table)
        model = mixedlm(f"score ~ {text}", table, groups="Worker")
        assert list(model.exog_names) == wanted.design_info.column_names
        np.testing.assert_allclose(model.exog, wanted, atol=1e-12)
    assert "C(Machine, Poly)[.L]" in lmer("score ~ C(Machine, Poly) + (1 | Worker)", data).params
