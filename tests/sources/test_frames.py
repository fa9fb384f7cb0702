"""Tables of any make give the design of the same data in pandas."""

from fractions import Fraction

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

from formula_cases import table
from henderson.design.from_formula import design_from_formula
from henderson.design.replay import new_columns
from henderson.errors import DataError, FormulaError

KINDS = {
    "pandas": lambda data: data,
    "duplicate index": lambda data: data.set_axis(np.zeros(len(data)), axis=0),
    "MultiIndex": lambda data: data.set_axis(pd.MultiIndex.from_product([range(6), range(8)]), axis=0),
    "nullable": lambda data: data.convert_dtypes(),
    "arrow dtypes": lambda data: data.convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda data: polars.DataFrame(
        data.to_dict("list"), schema_overrides={"c": polars.Enum(["lo", "mid", "hi"])}
    ),
    "pyarrow": lambda data: pyarrow.Table.from_pandas(data),
    "dict": lambda data: {name: data[name].array for name in data},
    "lists": lambda data: {name: list(data[name]) for name in data if name != "c"} | {"c": data["c"]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_tables_of_any_make(kind):
    formula = "y ~ x + a + c + np.log(x):b + (x | g) + (1 | h:a)"
    (wanted, theirs), (found, ours) = (
        design_from_formula(formula, make(table())) for make in (KINDS["pandas"], KINDS[kind])
    )
    assert found.x_names == wanted.x_names
    np.testing.assert_allclose(ours.X, theirs.X)
    np.testing.assert_array_equal(ours.y, theirs.y)
    for one, other in zip(found.terms, wanted.terms):
        assert one.levels.astype(str).tolist() == other.levels.astype(str).tolist()
    for one, other in zip(ours.terms, theirs.terms):
        np.testing.assert_array_equal(one.codes, other.codes)
        np.testing.assert_allclose(one.columns, other.columns)


def test_categories_of_polars_are_sorted():
    letters = polars.Series(["b", "a", "c", "b", "a", "c", "b", "a"], dtype=polars.Categorical)
    data = polars.DataFrame({"y": range(8), "f": letters, "g": [1, 1, 1, 1, 2, 2, 2, 2]})
    assert design_from_formula("y ~ f + (1 | g)", data)[0].x_names == ("(Intercept)", "f[T.b]", "f[T.c]")


def test_numpy_records():
    data = table()[["y", "x", "g"]].to_records(index=False)
    assert design_from_formula("y ~ x + (1 | g)", data)[1].X.shape == (48, 2)


@pytest.mark.parametrize("kind", ["pandas", "nullable", "arrow dtypes", "polars", "pyarrow"])
def test_missing_rows_are_dropped_together(kind):
    data = table()
    data.loc[3, "x"] = np.nan
    data.loc[4, "a"] = None
    data.loc[5, "c"] = np.nan
    data["g"] = data["g"].astype("Int64")
    data.loc[6, "g"] = pd.NA
    data["w"] = 1.0
    data.loc[7, "w"] = np.nan
    data.loc[8, "z"] = 99
    make = KINDS[kind]
    if kind == "polars":
        frame = polars.from_pandas(data)
    else:
        frame = make(data)
    design, rows = design_from_formula("y ~ x + a + c + (1 | g)", frame, weights="w")
    assert design.n_missing == 5
    assert rows.X.shape == (43, 6)
    np.testing.assert_array_equal(rows.positions, np.delete(np.arange(48), range(3, 8)))
    with pytest.raises(DataError, match=r"'x' \(1\), 'a' \(1\), 'c' \(1\), 'g' \(1\), 'w' \(1\)"):
        design_from_formula("y ~ x + a + c + (1 | g)", frame, weights="w", missing="raise")


def test_labels_that_are_not_text():
    """A table from a matrix, a pivot or an aggregation has numbers, dates or tuples for labels."""
    data = table()[["y", "x", "g"]].assign(w=2.0)
    wanted = design_from_formula("y ~ x + (1 | g)", data, weights="w")
    for labels, formula, weights in (
        ([0, 1, 2, 3], "`0` ~ `1` + (1 | `2`)", 3),
        ([("rt", "mean"), ("x", ""), ("g", None), ("w", 1)], "rt_mean ~ x + (1 | g)", ("w", 1)),
        (list(pd.date_range("2020-01-01", periods=4)), "`2020-01-01 00:00:00` ~ `2020-01-02 00:00:00` + (1|a)", "w_1"),
    ):
        named = data.set_axis(pd.Index(labels, tupleize_cols=False), axis=1)
        if weights == "w_1":
            named = named.rename(columns={labels[2]: "a", labels[3]: ("w", 1)})
        for frame in (named, dict(named.items())):
            design, rows = design_from_formula(formula, frame, weights=weights)
            np.testing.assert_array_equal(rows.X, wanted[1].X)
            np.testing.assert_array_equal(rows.y, wanted[1].y)
            np.testing.assert_array_equal(rows.weights, wanted[1].weights)
            np.testing.assert_array_equal(new_columns(design, frame, [None]).X, wanted[1].X)
    design, _ = design_from_formula("`0` ~ `1`", data.set_axis(range(4), axis=1), groups=2)
    assert design.terms[0].group == "2"
    with pytest.raises(FormulaError, match="no column 'y': there are '0', '1'"):
        design_from_formula("y ~ `1` + (1 | `2`)", data.set_axis(range(4), axis=1))
    with pytest.raises(DataError, match="2 columns named '1'"):
        design_from_formula("`0` ~ `1` + (1 | `2`)", data.set_axis([0, 1, 2, "1"], axis=1))


def test_fractions_are_no_levels():
    data = table().assign(x=lambda d: [Fraction(int(10 * v), 3) for v in d["x"]])
    with pytest.raises(DataError, match="'x' holds numbers as Python objects"):
        design_from_formula("y ~ x + (1 | g)", data)
