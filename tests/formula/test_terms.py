"""Sums of products are expanded as R and patsy expand them."""

import numpy as np
import patsy
import pytest

from henderson.errors import FormulaError
from henderson.formula.terms import as_text, plain_column, terms_of, written_terms


def of_patsy(text):
    return [tuple(factor.name() for factor in term.factors) for term in patsy.ModelDesc.from_formula(text).rhs_termlist]


def random_formula(rng, depth=0):
    """A formula of the names a to d with every operator."""
    kind = rng.integers(0, 8 if depth < 3 else 1)
    if kind < 2:
        return str(rng.choice(list("abcd")))
    left, right = random_formula(rng, depth + 1), random_formula(rng, depth + 1)
    if kind == 7:
        return f"({left} + {right})**{rng.integers(1, 4)}"
    return f"({left} {['+', '+', '*', ':', '/', '-'][kind - 2 + (kind == 2) * 0]} {right})" if kind < 7 else left


@pytest.mark.parametrize("seed", range(150))
def test_random_formulas_are_patsys(seed):
    text = random_formula(np.random.default_rng(seed))
    wanted = of_patsy(text)
    assert {frozenset(term) for term in terms_of(text)} == {frozenset(term) for term in wanted}


@pytest.mark.parametrize(
    ("text", "terms"),  # those that R's terms() gives
    [
        ("(a + k + x)^2 - a:x", ["", "a", "k", "x", "a:k", "k:x"]),
        ("a/(k*x)", ["", "a", "a:k", "a:x", "a:k:x"]),
        ("(a + b)/c", ["", "a", "b", "a:b:c"]),
        ("a:b/c", ["", "a:b", "a:b:c"]),
        ("a*b/c", ["", "a", "b", "a:b", "a:b:c"]),
        ("a^2:b", ["", "a:b"]),
        ("a/b^2", ["", "a", "a:b"]),
        ("a %in% k", ["", "a:k"]),
        ("a*k %in% x", ["", "a", "k:x", "a:k:x"]),
        ("x - 1 + 1", ["", "x"]),
        ("-x", [""]),
        ("0 + x", ["x"]),
        ("x + -1", ["x"]),
        ("x - (b + x)", [""]),
        ("1*x", ["", "x"]),
        ("(x > 0)*z", ["", "x > 0", "z", "x > 0:z"]),
        ("x > 0", ["", "x > 0"]),
        ("x > -1", ["", "x > -1"]),
        ("k %in% c('a', 'b')", ["", "k %in% c('a', 'b')"]),
        ("`1` + `my x`:k", ["", "`1`", "`my x`:k"]),
        ("{x + z}", ["", "x + z"]),
        ("f(x)[0].a + z", ["", "z", "f(x)[0].a"]),
    ],
)
def test_terms(text, terms):
    assert sorted(":".join(term) for term in written_terms(text)) == sorted(terms)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("z + x > 0", "stands in parentheses"),  # R: (z + x) > 0, patsy: z + (x > 0)
        ("(z + x > 0)", "stands in parentheses"),
        ("2*x", r"write I\(2 \* x\)"),
        ("x + 'a'", "without quotes"),
        ("(a + b)^1.5", "whole number"),
        ("x*/z", "nothing stands after"),
        ("my x", "`my x`"),
        ("x %% 2", r"I\(x %% 2\)"),
        ("d$x", "without their table"),
        ("x +", "nothing follows"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(FormulaError, match=message):
        written_terms(text)


def test_terms_can_be_read_again():
    for text in ("x:(z > 0)", "`my x`:C(k, Sum)"):
        (_, term) = written_terms(text)
        assert written_terms(as_text(term))[1] == term


def test_plain_columns():
    assert plain_column("`a b`") == ("a b", False)
    assert plain_column("as.factor(`a b`)") == ("a b", True)
    assert plain_column("C(x, Sum)") is None
    assert plain_column("it's") is None
