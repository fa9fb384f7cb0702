"""Values of expressions: numbers are R's whatever the column's type, and new data are coded as the old were."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson import DataError, FormulaError, lmer, mixedlm
from henderson.design.from_formula import design_from_formula
from henderson.design.replay import fixed_columns

RTOL = 1e-10


def table(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "age": rng.integers(20, 100, n).astype(float),
            "k": rng.permutation(np.resize(list("abc"), n)),
            "t": rng.random(n) > 0.5,
            "g": np.resize(np.arange(6), n),
        }
    )


def made(formula, data, **more):
    return design_from_formula(formula, data, **more)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int64", "Int8", "float32"])
@pytest.mark.parametrize(
    "expr",
    [
        "I(age**2)",
        "I(age^3)",
        "I(age * age)",
        "I(age - 100)",
        "I(age - 60 < 0)",
        "I(-age)",
        "poly(age, 2, raw=True)",
        "poly(age, 2)",
        "np.log(age)",
        "np.sqrt(age)",
        "np.power(age, 2)",
        "square(age)",
        "I(age**-1)",
        "scale(age)",
        "ns(age, df=3)",
        "pmax(age, 50)",
        "I(age // 7 * 100)",
        "I((age > 50) + (age > 70))",
        "x:age",
        "age:age",
    ],
)
def test_no_type_overflows(expr, dtype):
    def square(values):
        return values**2

    data = table()
    env = {"np": np, "square": square}
    _, wanted = made(f"y ~ {expr} + (1 | g)", data, env=env)
    _, found = made(f"y ~ {expr} + (1 | g)", data.assign(age=data["age"].astype(dtype)), env=env)
    np.testing.assert_allclose(found.X, wanted.X, rtol=1e-6 if dtype == "float32" else RTOL)


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


def test_a_function_without_a_value_is_an_error():
    """Once the term vanished."""

    def nothing(values):
        values + 1

    with pytest.raises(FormulaError, match="has no value"):
        lmer("y ~ nothing(x) + (1 | g)", table())


def test_numbers_of_columns_are_learned():
    data = table()
    for expr in ("I(x - mean(x))", "I(x - x.mean())", "I(x / np.std(x))", "I(x > median(x))", "I(x / len(x))"):
        design, rows = made(f"y ~ {expr} + (1 | g)", data)
        np.testing.assert_allclose(fixed_columns(pickle.loads(pickle.dumps(design)), data[:5]), rows.X[:5], rtol=RTOL)


def test_transforms_learn_once(monkeypatch):
    from henderson.formula import functions

    calls = []
    monkeypatch.setitem(
        functions.FUNCTIONS, "poly", functions.Function(lambda state, x, k: calls.append(k) or x, True, True)
    )
    made("y ~ poly(x, 2) + (poly(x, 2) | g)", table())
    assert calls == [2]


def test_rows_that_transforms_learn_from():
    """R's model frame: all rows with the column, whatever else is missing or left out; patsy's: those of the subset."""
    data = table()
    data.loc[:9, "y"] = np.nan
    data.loc[50, "x"] = np.nan
    standard = (data["x"] - data["x"].mean()) / data["x"].std()
    for subset in (None, data["age"] < 70):
        _, rows = made("y ~ scale(x) + (1 | g)", data, subset=subset)
        np.testing.assert_allclose(rows.X[:, 1], standard[rows.index], rtol=RTOL)
    _, rows = made("y ~ center(x) + (1 | g)", data, subset=data["age"] < 70, order="patsy")
    np.testing.assert_allclose(rows.X[:, 1], (data["x"] - data["x"][data["age"] < 70].mean())[rows.index], rtol=RTOL)


def test_labels_of_whole_numbers():
    data = table().assign(n=lambda d: d["age"].astype("int16"))
    design, _ = made("y ~ C(n // 50) + (1 | g)", data)
    assert design.x_names[1:] == ("C(n // 50)[T.1]",)


def test_contrasts_by_name():
    data = table()
    for given, text in (("contr.sum", "Sum"), ("helmert", "Helmert"), (np.array([[1, 0], [0, 1], [-1, -1.0]]), "Sum")):
        _, found = made("y ~ k*x + (k | g)", data, contrasts={"k": given}, strict=False)
        _, wanted = made(f"y ~ C(k, {text})*x + (C(k, {text}) | g)", data, strict=False)
        np.testing.assert_array_equal(found.X, wanted.X)
        np.testing.assert_array_equal(found.terms[0].columns, wanted.terms[0].columns)
    assert lmer("y ~ k + (1 | g)", data, contrasts={"k": "sum"}).design.x_names[1] == "k[S.a]"
    with pytest.raises(DataError, match="'x', which is no factor"):
        made("y ~ k + (1 | g)", data, contrasts={"x": "sum"})
    with pytest.raises(FormulaError, match="have 2 rows, it has 3 levels"):
        made("y ~ k + (1 | g)", data, contrasts={"k": np.eye(2)})


def test_codings():
    data = table()
    _, wanted = made("y ~ k + (1 | g)", data)
    _, found = made("y ~ C(k, Treatment) + (1 | g)", data)
    np.testing.assert_array_equal(found.X, wanted.X)
    design, _ = made('y ~ C(k, Treatment(reference = "b")) + (1 | g)', data)
    assert design.x_names[1] == 'C(k, Treatment(reference="b"))[T.a]'
    for text, message in (("C(k, 3)", "second argument of C"), ("C(k, Treatment('z'))", "levels a, b, c")):
        with pytest.raises(FormulaError, match=message):
            made(f"y ~ {text} + (1 | g)", data)


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
        ("poly(x, age)", "one column"),
        ("poly(t, 2)", "more than 2 different"),
        ("relevel(k, 'z')", "no level 'z'"),
        ("relevel(k)", "argument: 'ref'"),
        ("cut(x, 1)", "two intervals"),
        ("cut(x, c(-99, 99))", "has one level"),
        ("as.numeric(C(k))", "numbers its levels"),
        ("np.ones(3)", "3 values, the data 60"),
        ("x.mean", "function, not a value"),
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


def test_natural_splines_are_rs():
    """lme4 1.1-31 with splines::ns on sleepstudy: log-likelihood and predictions, one beyond the data."""
    fit = lmer("Reaction ~ ns(Days, df=3) + (ns(Days, df=2) | Subject)", henderson.datasets.load("sleepstudy"))
    assert fit.llf == pytest.approx(-856.22273, abs=1e-3)  # lme4's optimizer stops there
    new = pd.DataFrame({"Days": [4, 7, 11], "Subject": [372, 372, 308]})
    np.testing.assert_allclose(fit.predict(new), [290.18375, 324.48832, 373.5706], atol=1e-3)
    np.testing.assert_allclose(fit.predict(new, random=True), [309.15987, 346.07171, 463.81154], atol=0.01)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("(x + z)**2", ["Intercept", "x", "z", "x:z"]),
        ("(x + z + w)**2", ["Intercept", "x", "z", "w", "x:z", "x:w", "z:w"]),
        (
            "(x + k + z)**2",
            ["Intercept", "k[T.b]", "k[T.c]", "x", "x:k[T.b]", "x:k[T.c]", "z", "k[T.b]:z", "k[T.c]:z", "x:z"],
        ),
    ],
)
def test_powers_of_sums_have_patsys_order(text, names):
    data = table().assign(z=lambda d: d["x"] ** 2, w=lambda d: d["age"])
    assert list(mixedlm(f"y ~ {text}", data, groups="g").exog_names) == names


@pytest.mark.parametrize("text", ["(x > 0)", "(k == 'a')", "x > 0", "(k == 'a')*x", "!(x > 0)", "k %in% c('a', 'b')"])
def test_conditions_need_no_call(text):
    data = table()
    same = text if "(k == 'a')*x" not in text else "I(k == 'a')*x"
    same = same if "*" in same else f"I({text})"
    _, wanted = made(f"y ~ {same} + (1 | g)", data)
    _, found = made(f"y ~ {text} + (1 | g)", data)
    np.testing.assert_array_equal(found.X, wanted.X)
