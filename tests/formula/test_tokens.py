"""Words of a formula: where they begin and end, and how they are written again."""

import pytest

from henderson.errors import FormulaError
from henderson.formula.tokens import backticked, tokens, unquoted, written


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x+y", ["x", "+", "y"]),
        ("bmi.base*np.log(x)", ["bmi.base", "*", "np.log", "(", "x", ")"]),
        ("`my x` %in% c('a b', \"it's\")", ["my x", "%in%", "c", "(", "'a b'", ",", '"it\'s"', ")"]),
        ("Q('it\\'s')", ["Q", "(", "'it\\'s'", ")"]),
        ("x^2L + 1e-3 - .5", ["x", "^", "2L", "+", "1e-3", "-", ".5"]),
        ("a||b|c", ["a", "||", "b", "|", "c"]),
        ("x>=1&!z", ["x", ">=", "1", "&", "!", "z"]),
        (". - x.1", [".", "-", "x.1"]),
        ("a%%2%/%b", ["a", "%%", "2", "%/%", "b"]),
    ],
)
def test_words(text, words):
    assert [token.text for token in tokens(text)] == words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("I(x^2)", "I(x ** 2)"),
        ("np.log( x+1 )", "np.log(x + 1)"),
        ('C(k,Treatment(reference = "b"))', 'C(k, Treatment(reference="b"))'),  # once: quotes turned
        ("I(-x)", "I(-x)"),
        ("I(x*-1)", "I(x * -1)"),
        ("x>-1", "x > -1"),
        ("!t", "!t"),
        ("log(`my x`)", "log(`my x`)"),
        ("log(`x`)", "log(x)"),
        ("f(x,[1,2],{'a':1})", "f(x, [1, 2], {'a':1})"),
        ("x.rank().clip(1)", "x.rank().clip(1)"),
        ("(not t)and z", "(not t) and z"),
    ],
)
def test_written(text, shown):
    assert written(tokens(text)) == shown
    assert written(tokens(shown)) == shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x + 'a", "unclosed '"),
        ("x + `a", "unclosed `"),
        ("``", "no name between the backticks"),
        ("(x", r"unbalanced '\('"),
        ("x)", r"unbalanced '\)'"),
        ("1x", "stands in backticks: `1x`"),
        ("x # y", "'#' at position 2"),
        ("splines::ns(x, 3) + y", r"write ns\(…\) for splines::ns\(…\)"),
        ("(" * 3000 + "x" + ")" * 3000, "nested more than 100 deep"),
    ],
)
def test_what_is_no_word(text, message):
    with pytest.raises(FormulaError, match=message):
        tokens(text)


@pytest.mark.parametrize("name", ["x", "bmi.base", "my x", "1", "2b", "True", "lambda", "a:b", "it's", "µ", "x.1"])
def test_backticks_come_and_go(name):
    (token,) = tokens(backticked(name))
    assert token.text == name
    assert unquoted(backticked(name)) == name
