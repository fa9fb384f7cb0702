"""Functions of a formula: what they learn, and from which rows."""

import numpy as np
import pytest

from formula_data import made, table
from henderson import FormulaError, lmer

RTOL = 1e-10


def test_a_function_without_a_value_is_an_error():
    """Once the term vanished."""

    def nothing(values):
        values + 1

    with pytest.raises(FormulaError, match="has no value"):
        lmer("y ~ nothing(x) + (1 | g)", table())


def test_transforms_learn_once(monkeypatch):
    from henderson.formula import functions

    calls = []
    monkeypatch.setitem(
        functions.FUNCTIONS, "poly", functions.Function(lambda state, x, k: calls.append(k) or x, True, True)
    )
    made("y ~ poly(x, 2) + (poly(x, 2) | g)", table())
    assert calls == [2]


def test_rows_that_transforms_learn_from():
    """R's model frame: all rows with the column, whatever else is missing or left out; patsy's: those of the subset."""
    data = table()
    data.loc[:9, "y"] = np.nan
    data.loc[50, "x"] = np.nan
    standard = (data["x"] - data["x"].mean()) / data["x"].std()
    for subset in (None, data["age"] < 70):
        _, rows = made("y ~ scale(x) + (1 | g)", data, subset=subset)
        np.testing.assert_allclose(rows.X[:, 1], standard[rows.index], rtol=RTOL)
    _, rows = made("y ~ center(x) + (1 | g)", data, subset=data["age"] < 70, order="patsy")
    np.testing.assert_allclose(rows.X[:, 1], (data["x"] - data["x"][data["age"] < 70].mean())[rows.index], rtol=RTOL)
