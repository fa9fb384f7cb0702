"""What an expression learns from, and which have values that could depend on other rows."""

import numpy as np
import pytest

from henderson.errors import FormulaError
from henderson.formula.by_rows import learns_from
from henderson.formula.environment import Environment

COLUMNS = {"x", "a", "b"}


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        ("log(x) + 1", "nothing"),
        ("I(x > 2)", "nothing"),
        ("np.sqrt(x)", "nothing"),
        ("f(x)", "nothing"),
        ("ifelse(a == 'u', x, 0)", "nothing"),
        ("C(a, Treatment('v'))", "labels"),
        ("interaction(a, b)", "labels"),
        ("scale(log(x))", "values"),
        ("x - mean(x)", "values"),
        ("x / np.std(x)", "values"),
        ("C(cut(x, 3), Sum)", "values"),
    ],
)
def test_what_it_learns_from(expr: str, found: str) -> None:
    assert learns_from(expr, COLUMNS, Environment({"f": np.log})) == found


@pytest.mark.parametrize("expr", ["f(x)", "x.rank()", "x[0] * x", "np.cumsum(x)", "(lambda v: v)(x)", "x.values"])
def test_what_is_refused(expr: str) -> None:
    with pytest.raises(FormulaError, match="may depend on other rows"):
        learns_from(expr, COLUMNS, Environment({"f": lambda x: x - x.mean()}))
