"""New data get the columns of the data that the model was fitted to."""

import pickle

import numpy as np
import polars
import pytest

import henderson
from formula_cases import EXPRESSIONS, PLAIN, double, table  # noqa: F401  # formulas find `double` among these names
from henderson.design.from_formula import design_from_formula
from henderson.design.replay import fixed_columns, new_columns
from henderson.errors import DataError


@pytest.mark.parametrize("text", [*PLAIN, *EXPRESSIONS, "I(x > 1.5)"])
def test_new_data_get_the_same_columns(text):
    data = table(60)
    design, rows = design_from_formula(f"y ~ {text} + (x | g)", data, strict=False)
    design = pickle.loads(pickle.dumps(design))
    np.testing.assert_allclose(fixed_columns(design, data.iloc[5:9]), rows.X[5:9], atol=1e-12)
    np.testing.assert_allclose(fixed_columns(design, data.iloc[[7]]), rows.X[[7]], atol=1e-12)
    new = new_columns(design, polars.from_pandas(data.iloc[5:9]), ["known"])
    np.testing.assert_allclose(new.X, rows.X[5:9], atol=1e-12)
    np.testing.assert_array_equal(new.terms[0].codes, rows.terms[0].codes[5:9])
    np.testing.assert_allclose(new.terms[0].columns, rows.terms[0].columns[5:9])


def test_new_levels_and_missing_values_in_new_data():
    data = table(60)
    design, rows = design_from_formula("y ~ x + a + (1 | g) + (1 | h:g)", data)
    new = data.iloc[:4].copy()
    new["g"] = [0, 77, 2, 3]
    new.loc[2, "x"] = np.nan
    new.loc[3, "h"] = None
    made = new_columns(design, new, ["known", "known"])
    assert made.terms[0].codes.tolist() == [0, -1, 2, 3]
    assert made.terms[1].codes.tolist() == [rows.terms[1].codes[0], -1, rows.terms[1].codes[2], -1]
    assert np.isnan(made.X[2]).all()
    assert np.isfinite(made.X[[0, 1, 3]]).all()
    new["a"] = "nobody"
    with pytest.raises(DataError, match="'a' has the level 'nobody'"):
        fixed_columns(design, new)
    with pytest.raises(DataError, match="no column 'x'"):
        fixed_columns(design, new.drop(columns="x"))


def test_an_infinite_covariate_of_new_rows_is_named():
    data = {"y": [1.0, 2.0, 4.0, 3.0, 5.0, 4.0], "x": [1.0, 2, 3, 4, 5, 7], "g": list("aaabbb")}
    fit = henderson.lmer("y ~ log(x) + (1 | g)", data)
    for options in ({}, {"se": True}, {"re": "all", "interval": "prediction"}):
        with pytest.raises(DataError, match=r"'log\(x\)' is infinite in row 1"):
            fit.predict({"x": [2.0, 0.0], "g": ["a", "b"]}, **options)
        with pytest.raises(DataError, match=r"'log\(x\)' is infinite in row 2"):
            fit.predict({"x": [2.0, None, np.inf], "g": ["a", "b", "b"]}, **options)
    arrays = henderson.MixedLM(data["y"], np.column_stack([np.ones(6), data["x"]]), groups=data["g"]).fit()
    with pytest.raises(DataError, match="'x1' is infinite in row 1"):
        arrays.predict(np.array([[1.0, 2.0], [1.0, np.inf]]))
