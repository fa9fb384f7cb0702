"""Designs from formulas: what is read, what is left out, what things are called."""

import subprocess
import sys

import formulaic
import numpy as np
import pandas as pd
import patsy
import pytest

from formula_cases import names_of, table
from henderson.design.from_formula import design_from_formula
from henderson.design.replay import fixed_columns, new_columns
from henderson.errors import DataError, FormulaError


def test_sleepstudy_like_design():
    data = table()
    design, rows = design_from_formula("y ~ x + (x | g)", data)
    (term,) = design.terms
    assert design.x_names == ("(Intercept)", "x")
    assert (term.group, term.label, term.names, term.structure) == (
        "g",
        "g",
        ("(Intercept)", "x"),
        "unstructured",
    )
    assert np.shares_memory(rows.terms[0].columns, rows.X)
    assert rows.terms[0].codes.dtype == np.intp
    np.testing.assert_array_equal(term.levels, range(6))
    np.testing.assert_array_equal(rows.y, data["y"])


@pytest.mark.parametrize(
    "values",
    [
        pd.cut(np.linspace(0, 1, 48), 3),
        pd.PeriodIndex(["2020-01", "2020-02", "2020-03"] * 16, freq="M"),
        pd.to_timedelta(np.resize([1, 2, 3], 48), unit="D"),
        np.resize([b"one", b"two"], 48),
        pd.array(np.resize([True, False], 48), dtype="boolean"),
        pd.arrays.SparseArray(np.resize([0, 0, 1, 2], 48)),
        np.resize(np.array([True, False], object), 48),
        pd.Series(pd.date_range("2020-01-01", periods=4)).dt.date.repeat(12).to_numpy(),
    ],
    ids=lambda values: str(getattr(values, "dtype", "")),
)
def test_groups_of_any_kind(values):
    design, rows = design_from_formula("y ~ x + (1 | k)", table().assign(k=values))
    (term,) = design.terms
    assert term.levels.is_monotonic_increasing
    assert (term.levels[rows.terms[0].codes] == pd.Index(values)).all()


def test_plain_formulas_need_no_formulaic():
    program = """if True:
        import sys
        from henderson.design.from_formula import design_from_formula
        data = {"y": [1.0, 2, 4, 3, 5, 4], "x": [0, 1, 2, 0, 1, 2], "a": list("uvuvuv"), "g": list("aaabbb")}
        design_from_formula("y ~ x * C(a) + (x || g)", data, strict=False)
        print([m for m in ("formulaic", "narwhals", "scipy.stats", "scipy.optimize") if m in sys.modules])
    """
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_rows_on_which_an_expression_is_no_number_are_missing():
    data = table()
    data.loc[[3, 4], "x"] = -1.0
    design, rows = design_from_formula("y ~ np.log(x) + (np.log(x) | g)", data)
    assert design.n_missing == 2
    assert rows.index.tolist() == [i for i in range(48) if i not in (3, 4)]
    assert len(rows.terms[0].codes) == len(rows.terms[0].columns) == 46
    with pytest.raises(DataError, match=r"np\.log\(x\)"):
        design_from_formula("y ~ np.log(x) + (1 | g)", data, missing="raise")


def test_unused_levels_are_dropped():
    data = table()
    data["c"] = data["c"].cat.set_categories(["none", "lo", "mid", "hi"])
    design, _ = design_from_formula("y ~ c + (1 | c:g)", data)
    assert design.x_names == ("(Intercept)", "c[T.mid]", "c[T.hi]")
    design, _ = design_from_formula("y ~ c + (1 | g)", data, subset="c != 'lo'")
    assert design.x_names == ("(Intercept)", "c[T.hi]")


def test_weights_and_offsets():
    data = table()
    data["w"] = data["x"] + 1
    design, rows = design_from_formula("y ~ x + offset(2 * z) + (1 | g)", data, weights="w", offset=data["x"])
    np.testing.assert_allclose(rows.weights, data["x"] + 1)
    np.testing.assert_allclose(rows.offset, 2 * data["z"] + data["x"])
    assert design.x_names == ("(Intercept)", "x")
    new = new_columns(design, data.head(3))
    np.testing.assert_allclose(new.offset, (2 * data["z"] + data["x"]).head(3))
    design, _ = design_from_formula("y ~ x + (1 | g)", data, offset="z")
    np.testing.assert_allclose(new_columns(design, data.head(3)).offset, data["z"].head(3))


def test_booleans_are_factors():
    data = table().assign(t=lambda d: d["x"] > 1.5)
    assert design_from_formula("y ~ t + (1 | g)", data)[0].x_names == ("(Intercept)", "t[T.True]")
    assert names_of("y ~ 1 + (0 + t | g)", data) == [("g", "g", ("t[False]", "t[True]"))]


def test_names_of_the_caller():
    shift = 3.0

    def plus(values):
        return values + shift

    data = table()
    design, rows = design_from_formula("y ~ plus(x) + I(z * shift) + (1 | g)", data)
    np.testing.assert_allclose(rows.X[:, 1:], np.column_stack([data["x"] + 3, data["z"] * 3]))
    design, rows = design_from_formula("y ~ more(x) + (1 | g)", data, env={"more": plus})
    assert design.x_names == ("(Intercept)", "more(x)")
    with pytest.raises(FormulaError, match="no column or function 'more'"):
        design_from_formula("y ~ more(x) + (1 | g)", data)


def test_what_r_users_write():
    data = table()
    formula = "y ~ factor(z) + sqrt(x) + I(x^2) + poly(x, 2, raw=TRUE) + factor(z):a + (1 | factor(g))"
    design, rows = design_from_formula(formula, data)
    wanted = formulaic.model_matrix("C(z) + np.sqrt(x) + I(x**2) + poly(x, 2, raw=True) + C(z):a", data)
    np.testing.assert_allclose(rows.X, wanted.to_numpy(dtype=float))
    assert design.x_names[1:6] == (
        "factor(z)[T.1]",
        "factor(z)[T.2]",
        "factor(z)[T.3]",
        "sqrt(x)",
        "I(x ** 2)",
    )
    with pytest.raises(FormulaError, match="no column 'sqrt'"):
        design_from_formula("y ~ sqrt + (1 | g)", data)


def test_columns_named_like_functions():
    data = table().rename(columns={"x": "log", "z": "scale"})
    env = {"I": 1, "center": None}  # of the caller, and no functions
    _, rows = design_from_formula("y ~ sqrt(scale) + I(log * 2) + center(log) + (1 | g)", data, env=env)
    np.testing.assert_allclose(rows.X[:, 1], np.sqrt(data["scale"]))
    np.testing.assert_allclose(rows.X[:, 2], 2 * data["log"])


@pytest.mark.parametrize("text", ["bs(x, df=4)", "bs(x, df=5, include_intercept=True) + a", "cr(x, df=4)", "scale(x)"])
def test_patsys_transforms(text):
    data = table()
    design, rows = design_from_formula(f"y ~ {text} + (1 | g)", data, order="patsy")
    wanted = patsy.dmatrix(text, data)
    assert list(design.x_names) == wanted.design_info.column_names
    np.testing.assert_allclose(rows.X, np.asarray(wanted), atol=1e-12)
    np.testing.assert_allclose(fixed_columns(design, data.head(3)), rows.X[:3], atol=1e-12)


def test_vectors_of_the_caller():
    data = table()
    covariate = data["x"].to_numpy() + 1
    _, rows = design_from_formula("y ~ covariate + (1 | g)", data)
    np.testing.assert_array_equal(rows.X[:, 1], covariate)


def test_terms_for_tests_and_means():
    data = table()
    design, _ = design_from_formula("y ~ a*np.log(x) + C(z) + z:b + (1 | g)", data)
    terms = design.specs.terms
    assert terms.names == ("Intercept", "a", "np.log(x)", "C(z)", "a:np.log(x)", "z:b")
    assert terms.variables == ((), ("a",), ("x",), ("z",), ("a", "x"), ("z", "b"))
    assert {name: levels.tolist() for name, levels in terms.levels.items()} == {
        "a": ["p", "q", "r"],
        "z": [0, 1, 2, 3],
        "b": ["u", "v"],
    }
    assert terms.means == {"x": pytest.approx(data["x"].mean())}
    cells = terms.cells
    assert list(cells.values) == ["a", "z", "b"]
    seen = pd.DataFrame({name: cells.values[name][cells.codes[name]] for name in cells.values}).assign(n=cells.counts)
    counted = data.groupby(["a", "z", "b"], observed=True).size().reset_index(name="n")
    merged = seen.merge(counted, on=["a", "z", "b"])
    assert len(merged) == len(seen) == len(counted)
    np.testing.assert_array_equal(merged["n_x"], merged["n_y"])
    assert np.bincount(terms.assign).tolist() == [1, 2, 1, 3, 2, 2]


def test_wildcard():
    data = table()[["y", "x", "a", "g"]]
    assert design_from_formula("y ~ . + (1 | g)", data)[0].x_names == ("(Intercept)", "x", "a[T.q]", "a[T.r]")
