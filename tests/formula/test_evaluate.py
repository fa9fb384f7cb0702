"""Values of expressions: numbers are R's whatever the column's type, and new data are coded as the old were."""

import re

import numpy as np
import pytest

from formula_data import made, table
from henderson import DataError, FormulaError, lmer, mixedlm
from henderson.design.replay import fixed_columns

RTOL = 1e-10


def test_responses():
    data = table().assign(u=lambda d: d["age"].astype("uint8"))
    for text, wanted in [
        ("t", data["t"]),  # a boolean is 0 and 1
        ("x > 0", data["x"] > 0),
        ("y^2", data["y"] ** 2),  # once XOR
        ("I(u^2)", data["age"] ** 2),
        ("-u", -data["age"]),
        ("u - 100", data["age"] - 100),
        ("log(u)", np.log(data["age"])),
    ]:
        _, rows = made(f"{text} ~ x + (1 | g)", data)
        np.testing.assert_allclose(rows.y, wanted.astype(float), rtol=RTOL)
    with pytest.raises(DataError, match="response 'k' is categorical"):
        made("k ~ x + (1 | g)", data)


def test_a_column_called_intercept_is_not_the_intercept():
    """Once its random slope was the intercept's column of ones."""
    data = table()
    named = data.rename(columns={"x": "Intercept"})
    _, wanted = made("y ~ 1 + (0 + x | g)", data)
    _, found = made("y ~ 1 + (0 + Intercept | g)", named)
    np.testing.assert_array_equal(found.terms[0].columns, wanted.terms[0].columns)
    model = mixedlm("y ~ Intercept", named, groups="g")
    assert list(model.exog_names) == ["Intercept", "`Intercept`"]


def test_names_in_backticks_in_every_position():
    """'1' was once the intercept; keywords failed as responses, in calls, as slopes."""
    data = table().assign(g2=lambda d: d["g"])
    data["w"] = data["age"] + 1
    odd = {"y": "in", "x": "1", "age": "a b", "k": "class", "g": "it's", "w": "lambda", "g2": "a:b"}
    named = data.rename(columns=odd)
    for plain in (
        "y ~ x + (1 | g)",
        "y ~ x * age + (x | g)",
        "y ~ k + x:k + (x || g)",
        "log(age) ~ np.exp(x) + C(k) + (1 | g:k)",
        "y ~ x + offset(age) + (0 + k | g)",
        "y ~ poly(age, 2):k + (1 | g/g2)",
        "y ~ (x > 0) + (x > 0 || g)",
    ):
        text = re.sub(r"\b(y|x|age|k|g|g2)\b(?!\()", lambda found: f"`{odd[found[0]]}`", plain)
        (_, wanted), (_, found) = (
            made(f, d, weights=w, strict=False) for f, d, w in ((plain, data, "w"), (text, named, "lambda"))
        )
        np.testing.assert_array_equal(found.X, wanted.X)
        np.testing.assert_array_equal(found.weights, wanted.weights)
        for one, other in zip(found.terms, wanted.terms):
            np.testing.assert_array_equal(one.codes, other.codes)
            np.testing.assert_array_equal(one.columns, other.columns)
    for name, formula in (("it's", 'y ~ Q("it\'s")'), ('say "x"', "y ~ Q('say \"x\"')")):
        _, rows = made(formula + " + (1 | g)", data.rename(columns={"x": name}))
        np.testing.assert_array_equal(rows.X[:, 1], data["x"])


def test_weights_and_offsets_are_expressions():
    data = table()
    _, rows = made("y ~ x + (1 | g)", data, weights="1 / age", offset="np.log(age)")
    np.testing.assert_allclose(rows.weights, 1 / data["age"], rtol=RTOL)
    np.testing.assert_allclose(rows.offset, np.log(data["age"]), rtol=RTOL)
    fit = lmer("y ~ x + (1 | g)", data, offset="log(age)")
    np.testing.assert_allclose(fit.predict(data[:3]), fit.predict(data)[:3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lag(x)", "make a column"),
        ("s(x)", "ns"),
        ("cbind(x, age)", "columns are added"),
        ("pi", r"I\(pi \* x\)"),
        ("log(k)", "holds text"),
        ("I(k == 1)", "text is compared with 1"),
        ("I(age == 'a')", "numbers is compared with 'a'"),
        ("I(age & 1)", "must be a condition"),
        ("ifelse(x, 1, 0)", "must be a condition"),
        ("poly(t, 2)", "more than 2 different"),
        ("relevel(k, 'z')", "no level 'z'"),
        ("relevel(k)", "argument: 'ref'"),
        ("cut(x, 1)", "two intervals"),
        ("cut(x, c(-99, 99))", "has one level"),
        ("as.numeric(C(k))", "numbers its levels"),
        ("np.ones(3)", "3 values, the data 60"),
        ("x.mean", "not a value"),
        ("log(ag)", "no column 'ag': did you mean 'age'"),
        ("more(x)", "no column or function 'more'"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises((FormulaError, DataError), match=message):
        lmer(f"y ~ {text} + (1 | g)", table())


def test_new_data_beyond_what_was_learned():
    data = table()
    design, _ = made("y ~ bs(x, df=4) + (1 | g)", data)
    with pytest.raises(DataError, match="extrapolation='extend'"):
        fixed_columns(design, {"x": [99.0]})
    design, _ = made("y ~ cut(x, c(-9, 0, 9)) + (1 | g)", data)
    with pytest.raises(DataError, match="has no level in row 0"):
        fixed_columns(design, {"x": [99.0]})
    design, _ = made("y ~ factor(k, levels=c('c', 'b', 'a')) + (1 | g)", data)
    with pytest.raises(DataError, match="model knows c, b, a"):
        fixed_columns(design, {"k": ["z"]})


@pytest.mark.parametrize(
    "formula", ["y ~ f(x) + (1 | g)", "f(x) ~ x + (1 | g)", "y ~ x + (0 + f(x) | g)", "y ~ C(f(x)) + (1 | g)"]
)
def test_a_function_that_returns_nothing_for_each_row_is_refused(formula):
    data = {"y": np.arange(12.0), "x": np.arange(12.0) ** 2, "g": np.resize([1, 2, 3], 12)}
    with pytest.raises((DataError, FormulaError), match=r"f\(x\)"):
        lmer(formula, data, env={"f": lambda x: [None] * len(x)})
