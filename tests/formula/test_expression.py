"""Expressions are read with R's and Python's precedences."""

import pytest

from henderson.errors import FormulaError
from henderson.formula.expression import read
from henderson.formula.tree import Attribute, Name, Python, names_in

COLUMNS = {"x", "z", "bmi.base", "my x", "lambda"}


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("-x^2", "-(x^2)"),
        ("x^-1", "x^(-1)"),
        ("2^x^2", "2^(x^2)"),
        ("2 * z %% 3", "2 * (z %% 3)"),  # as in R
        ("2 * z % 3", "(2 * z) % 3"),  # as in Python
        ("x > 0 & z < 1 | z > 3", "((x > 0) & (z < 1)) | (z > 3)"),
        ("!x > 0", "!(x > 0)"),
        ("!(x > 0) & z < 1", "(!(x > 0)) & (z < 1)"),
        ("x + 1 %in% c(1, 2)", "x + (1 %in% c(1, 2))"),
        ("not x > 0 and z > 1", "(not x > 0) and (z > 1)"),
        ("x - z - 1", "(x - z) - 1"),
    ],
)
def test_precedence(text, same):
    assert read(text, COLUMNS) == read(same, COLUMNS)


def test_names_with_dots():
    assert read("bmi.base", COLUMNS) == Name("bmi.base")
    assert read("np.log", COLUMNS) == Attribute(Name("np"), "log", "np.log")
    assert read("bmi.base.mean", COLUMNS) == Attribute(Name("bmi.base"), "mean", "bmi.base.mean")
    assert names_in(read("log(bmi.base) + `my x` + lambda", COLUMNS)) == (("bmi.base", "my x", "lambda"), ("log",))


def test_what_only_python_reads():
    for text in ("sum([v for v in z])", "f(lambda v: v + `my x`)", "x[1:3]", "{1: x}[1]"):
        assert isinstance(read(text, COLUMNS - {"lambda"}), Python)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("d$x", "without their table"),
        ("x && z", "write &"),
        ("f(1:3)", r"c\(1, 2, 3\)"),
        ("x = 1", "write =="),
        ("f(x", "unbalanced"),
        ("x +", "ends where"),
        ("x y", "at 'y'"),
        ("f(a=1, 2)", "come first"),
        ("f(a=1, a=2)", "twice"),
        ("I(x <- z)", "assigned"),
        ("class", "at 'class'"),
    ],
)
def test_what_cannot_be_read(text, message):
    with pytest.raises(FormulaError, match=message):
        read(text, COLUMNS)
