"""Constraints are read as their algebra says, whatever the names look like."""

import numpy as np
import pandas as pd
import pytest

from henderson.errors import FormulaError
from henderson.inference.constraints import parse_constraints

NAMES = ["Intercept", "x1", "x10", "C(g)[T.b]", "x1:x10", "C(g, Treatment(reference='a=c'))[T.d]"]


@pytest.mark.parametrize(
    ("text", "rows", "q"),
    [
        ("x1", [[0, 1, 0, 0, 0, 0]], [0]),
        ("x1 = x10", [[0, 1, -1, 0, 0, 0]], [0]),
        ("x1=x10=0", [[0, 1, -1, 0, 0, 0], [0, 0, 1, 0, 0, 0]], [0, 0]),
        ("x1 - 2*x10 = 1e1, x1:x10/4", [[0, 1, -2, 0, 0, 0], [0, 0, 0, 0, 0.25, 0]], [10, 0]),
        ("(x1 + x10)*.5 - C(g)[T.b] = -(3 + x1)", [[0, 1.5, 0.5, -1, 0, 0]], [-3]),
        ("C(g, Treatment(reference='a=c'))[T.d] = C(g)[T.b]", [[0, 0, 0, -1, 0, 1]], [0]),
        ("(Intercept) + Intercept = 2", [[2, 0, 0, 0, 0, 0]], [2]),
        (["x1", "x10 = 2"], [[0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]], [0, 2]),
        ({"a": "x1 = 3", "b": {"x10": 2}, "c": [1, 0, 0, 0, 0, 0]}, None, [3, 0, 0]),
        ({"x1 - x10": 4}, [[0, 1, -1, 0, 0, 0]], [4]),
        ((np.eye(6)[:2], [1, 2]), np.eye(6)[:2], [1, 2]),
        (np.eye(6)[1], np.eye(6)[1:2], [0]),
    ],
)
def test_reads(text, rows, q):
    got = parse_constraints(text, NAMES)
    if rows is not None:
        assert np.allclose(got.R, rows)
    assert np.allclose(got.q, q)
    assert len(got.labels) == len(q)


@pytest.mark.parametrize("text", ["x2", "x1 * x10", "x1 +", "(x1", "3", "", "x1 / 0", {"a": {"z": 1}}, "xx1 = 0"])
def test_refuses(text):
    with pytest.raises(FormulaError):
        parse_constraints(text, NAMES)


@pytest.mark.parametrize(
    "given",
    [
        {"x1 - x1": 1},
        {1: 2},
        {"d": {"x1": "a"}},
        {"x1": "many"},
        [1.0, np.nan, 0, 0, 0, 0],
        ["x1", 1],
        (np.eye(6)[:1], [1, 2]),
        (np.eye(6)[:1], "a"),
        "1e999 * x1",
        None,
    ],
)
def test_what_is_no_constraint_is_refused_in_words(given):
    with pytest.raises(ValueError, match=r"coefficient|numbers|values|cannot read|finite"):
        parse_constraints(given, NAMES)


@pytest.mark.parametrize(
    ("given", "row", "q"),
    [
        ("`1` = 1", [1, 0, 0], 1),
        ("2 * `1` - Q('2') = 2", [2, -1, 0], 2),
        ("1:2 = 2", [0, 0, 1], 2),
        ("`1`:`2`", [0, 0, 1], 0),
        ({"d": {"1": 1, "2": -1}}, [1, -1, 0], 0),
    ],
)
def test_a_name_that_is_a_number_is_in_backquotes(given, row, q):
    """Once the constant 1 in "x = 1" was the coefficient of a column called 1."""
    got = parse_constraints(given, ["1", "2", "1:2"])
    assert np.allclose(got.R, [row])
    assert got.q.tolist() == [q]


def test_labelled_weights_are_matched_by_name():
    names = ["Intercept", "x", "my z"]
    frame = pd.DataFrame([[1, 2, 3]], columns=["x", "`my z`", "(Intercept)"])
    for given in (frame, frame.iloc[0], (frame, 0), {"d": frame.iloc[0]}):
        assert np.allclose(parse_constraints(given, names).R, [[3, 1, 2]])
    assert np.allclose(parse_constraints(pd.Series([1, 2, 3]), names).R, [[1, 2, 3]])
    with pytest.raises(FormulaError, match="weights are of x, z"):
        parse_constraints(pd.Series({"x": 1, "z": 2, "Intercept": 3}), names)


def test_wrong_width():
    with pytest.raises(ValueError, match="6 columns"):
        parse_constraints(np.eye(5), NAMES)


@pytest.mark.parametrize("name", ["x 1", "Q('x 1')", 'Q("x 1")', "`x 1`"])
@pytest.mark.parametrize("written", ["x 1", "Q('x 1')", 'Q("x 1")', "`x 1`"])
def test_a_name_is_found_however_it_is_quoted(name, written):
    for given in (f"2*{written} = a", f"2*{written} = a, a = 0", [f"2*{written} = a"], {f"2*{written} - a": 0}):
        assert np.allclose(parse_constraints(given, ["a", name]).R[0], [-1, 2])
    assert np.allclose(parse_constraints({"both": {written: 2, "a": 1}}, ["a", name]).R, [[1, 2]])


def test_names_that_differ_in_their_quotes_only_are_told_apart():
    assert np.allclose(parse_constraints("g[`a`] = 0", ["g[a]", "g[`a`]"]).R, [[0, 1]])


def test_a_quote_that_is_not_closed_is_refused():
    with pytest.raises(FormulaError, match="`x"):
        parse_constraints("`x = 0", ["x", "z"])
