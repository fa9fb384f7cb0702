"""Arithmetic of a formula is of numbers, and a number of a whole column is learned."""

import pickle

import numpy as np
import pytest

from formula_data import made, table
from henderson import mixedlm
from henderson.design.replay import fixed_columns

RTOL = 1e-10


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


def test_numbers_of_columns_are_learned():
    data = table()
    for expr in ("I(x - mean(x))", "I(x - x.mean())", "I(x / np.std(x))", "I(x > median(x))", "I(x / len(x))"):
        design, rows = made(f"y ~ {expr} + (1 | g)", data)
        np.testing.assert_allclose(fixed_columns(pickle.loads(pickle.dumps(design)), data[:5]), rows.X[:5], rtol=RTOL)


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
