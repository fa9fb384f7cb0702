"""The text of a model: what is a bar, what is not, and what cannot be read."""

import pytest

from henderson.errors import FormulaError
from henderson.formula.bars import parse


def bars(text):
    return [(bar.columns, bar.group, bar.name, bar.label) for bar in parse(text).bars]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("y ~ x + (1 | g)", [("1", ("g",), "g", "g")]),
        ("y~(1|g)", [("1", ("g",), "g", "g")]),
        ("y ~ (x | g) + z", [("1 + x", ("g",), "g", "g")]),
        ("y ~ (0 + x | g)", [("0 + x", ("g",), "g", "g")]),
        ("y ~ (x - 1 | g)", [("x - 1", ("g",), "g", "g")]),
        ("y ~ (-1 + x | g)", [("- 1 + x", ("g",), "g", "g")]),
        ("y ~ ((1 | g))", [("1", ("g",), "g", "g")]),
        ("y ~ (1 | (a:b))", [("1", ("a", "b"), "a:b", "a:b")]),
        ("y ~ (1 | a/b)", [("1", ("b", "a"), "b:a", "b:a"), ("1", ("a",), "a", "a")]),
        (
            "y ~ (1 | a/b/c)",
            [
                ("1", ("c", "b", "a"), "c:(b:a)", "c:(b:a)"),
                ("1", ("b", "a"), "b:a", "b:a"),
                ("1", ("a",), "a", "a"),
            ],
        ),
        ("y ~ (x || g)", [("1", ("g",), "g", "g"), ("0 + x", ("g",), "g", "g.1")]),
        (
            "y ~ (x * z || g)",
            [
                ("1", ("g",), "g", "g"),
                ("0 + x", ("g",), "g", "g.1"),
                ("0 + z", ("g",), "g", "g.2"),
                ("0 + x:z", ("g",), "g", "g.3"),
            ],
        ),
        ("y ~ (0 + x + z || g)", [("0 + x", ("g",), "g", "g"), ("0 + z", ("g",), "g", "g.1")]),
        ("y ~ (1 | factor(g))", [("1", ("g",), "g", "g")]),
        ("y ~ (1 | C(g):h)", [("1", ("g", "h"), "g:h", "g:h")]),
        ("y ~ (1 | `my group`)", [("1", ("my group",), "my group", "my group")]),
        ("y ~ (1 | my.group)", [("1", ("my.group",), "my.group", "my.group")]),
        ("y ~ (poly(x, 2) | g)", [("1 + poly(x, 2)", ("g",), "g", "g")]),
        ("y ~ (1 | g) + (1 | g)", [("1", ("g",), "g", "g"), ("1", ("g",), "g", "g.1")]),
    ],
)
def test_bars(text, wanted):
    assert bars(text) == wanted


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("y ~ (1 | g)", "1"),
        ("y ~ 0 + x + (1 | g)", "0 + x"),
        ("y ~ x - 1 + (1 | g)", "x - 1"),
        ("y ~ -1 + x + (1 | g)", "- 1 + x"),
        ("y ~ (1 | g) + a * (b + c)", "a * (b + c)"),
        ("y ~ I(x | z) + (1 | g)", "I(x | z)"),
        ("y ~ f(x, 'a ~ b + (1 | g)') + (1 | g)", "f(x, 'a ~ b + (1 | g)')"),
        ("y ~ {x | z} + (1 | g)", "{x | z}"),
        ("y ~ I(x ** 1e-3) + (1 | g)", "I(x ** 1e-3)"),
        ("y ~ I(x^2) + (a + b)^2 + f('^') + (1 | g)", "I(x**2) + (a + b)^2 + f('^')"),
        ("y ~ `a + b` + (1 | g)", "`a + b`"),
        ("y ~\n  x +\n (1 |\n g)", "x"),
    ],
)
def test_the_rest_is_left_alone(text, fixed):
    parsed = parse(text)
    assert parsed.fixed == fixed
    assert len(parsed.bars) == 1


def test_response_and_offsets():
    parsed = parse("np.log(y) ~ x + offset(log(z)) + offset(w) + (1 | g)")
    assert parsed.response == "np.log(y)"
    assert parsed.fixed == "x"
    assert parsed.offsets == ("log(z)", "w")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y", "one '~'"),
        ("y ~ x ~ z", "one '~'"),
        ("~ x + (1 | g)", "no response"),
        ("y ~ ", "nothing follows '~'"),
        ("y ~ x +", r"nothing follows '\+'"),
        ("(1 | g) ~ x", "bar in the response"),
        ("y ~ x + (1 | g", r"unbalanced '\('"),
        ("y ~ x + 1 | g)", r"unbalanced '\)'"),
        ("y ~ x + (1 | g]", r"unbalanced '\]'"),
        ("y ~ x + 1 | g", "put parentheses"),
        ("y ~ x + ( | g)", "nothing before the bar"),
        ("y ~ x + (1 | )", "nothing after the bar"),
        ("y ~ x + (1 | g | h)", "more than one bar"),
        ("y ~ x + ((1 | g) | h)", "inside another"),
        ("y ~ x + (1 + (1 | h) | g)", "inside another"),
        ("y ~ x + (1 | (1 | g))", "inside another"),
        ("y ~ x * (1 | g)", "must be added to the others"),
        ("y ~ x + ((1 | g) + z)", "must be added to the others"),
        ("y ~ x - (1 | g)", "cannot be subtracted"),
        ("y ~ x - offset(z) + (1 | g)", "offset cannot be subtracted"),
        ("y ~ (1 | g + h)", "not a column"),
        ("y ~ (1 | g * h)", "not a column"),
        ("y ~ (1 | f(g, 2))", "not a column"),
        ("y ~ x + 'a + (1 | g)", "unclosed '"),
    ],
)
def test_what_cannot_be_read(text, message):
    with pytest.raises(FormulaError, match=message):
        parse(text)


def test_a_formula_is_a_string():
    with pytest.raises(FormulaError, match="not int"):
        parse(3)
