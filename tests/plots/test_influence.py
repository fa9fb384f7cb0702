"""Influence: points are the table's, the largest are named, what cannot be drawn is said before it is computed."""

import numpy as np
import pytest

import drawn
from henderson import DataError, datasets, lmer
from henderson.diagnostics.influence import measure_names


@pytest.fixture(scope="module")
def fit():
    return lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))


@pytest.mark.parametrize("exact", [True, False])
def test_levels(fit, exact):
    axes = fit.plot.influence("Subject", ["cooks", "covratio"], exact=exact)
    table = fit.influence("Subject", exact)
    for ax, name, neutral in zip(axes, ("cooks", "covratio"), (0, 1)):
        np.testing.assert_allclose(drawn.line(ax.lines[0]), np.column_stack([range(18), table[name]]))
        assert (drawn.segments(ax.collections[0])[:, 0, 1] == neutral).all()
        assert ax.get_ylabel() == name
        assert drawn.ticks(ax.xaxis)[0] == "308"


def test_rows_have_the_largest_by_name(fit):
    (ax,) = fit.plot.influence(named=3)
    table = fit.influence()
    assert {text.get_text() for text in ax.texts} == set(map(str, table["cooks"].nlargest(3).index))
    assert ax.get_xlabel() == "180 rows"


@pytest.mark.parametrize("exact", [True, False])
def test_names_are_known_before(fit, exact):
    assert list(measure_names(fit.engine, exact)) == [name for name in fit.influence("Subject", exact) if name != "n"]


def test_bad_arguments_are_named(fit):
    with pytest.raises(ValueError, match=r"statistics: there is no 'cook'; there are leverage.*dfbetas\[Days\]"):
        fit.plot.influence("Subject", "cook")
    with pytest.raises(DataError, match="by='Item' is not in the model, which has Subject"):
        fit.plot.influence("Item")
    light = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    light.remove_data()
    with pytest.raises(DataError, match=r"plot.influence\(\): this needs the rows"):
        light.plot.influence()
