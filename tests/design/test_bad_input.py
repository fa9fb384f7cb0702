"""Bad input raises before any fitting, and the message names the culprit."""

import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars
import pytest

import henderson
from henderson.design.from_arrays import design_from_arrays
from henderson.design.from_formula import design_from_formula
from henderson.errors import DataError, FormulaError, ValueWarning


def table(n=24):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "age": np.arange(n),
            "a": np.resize(list("uv"), n),
            "g": np.repeat(np.arange(4), n // 4),
        }
    )


def change(**columns):
    return table().assign(**columns)


def put(column, row, value):
    data = table()
    data[column] = data[column].astype(object if isinstance(value, complex) else float)
    data.loc[row, column] = value
    return data


TIMES = pd.date_range("2020-01-01", periods=24)

CASES = [
    (
        "unknown column",
        table(),
        "y ~ x + agee + (1 | g)",
        {},
        FormulaError,
        r"no column 'agee': did you mean 'age'\?",
    ),
    ("unknown group", table(), "y ~ x + (1 | G)", {}, FormulaError, r"no column 'G': did you mean 'g'\?"),
    (
        "unknown response",
        table(),
        "z ~ x + (1 | g)",
        {},
        FormulaError,
        "no column 'z': there are 'y', 'x', 'age'",
    ),
    ("unknown in a call", table(), "y ~ np.log(xx) + (1 | g)", {}, FormulaError, "no column 'xx'"),
    ("unknown function", table(), "y ~ lgo(x) + (1 | g)", {}, FormulaError, "no column or function 'lgo'"),
    ("unknown in a bar", table(), "y ~ x + (agee | g)", {}, FormulaError, "no column 'agee'"),
    ("unknown weights", table(), "y ~ x + (1 | g)", {"weights": "w"}, FormulaError, "no column 'w'"),
    ("unknown groups", table(), "y ~ x", {"groups": "gg"}, FormulaError, "no column 'gg'"),
    ("infinite covariate", put("x", 5, np.inf), "y ~ x + (1 | g)", {}, DataError, "'x' is infinite in row 5"),
    ("infinite response", put("y", 5, np.inf), "y ~ x + (1 | g)", {}, DataError, "'y' is infinite in row 5"),
    ("infinite slope", put("x", 5, -np.inf), "y ~ 1 + (x | g)", {}, DataError, "'x' is infinite in row 5"),
    (
        "infinite by a call",
        table(),
        "y ~ np.log(age) + (1 | g)",
        {},
        DataError,
        r"'np.log\(age\)' is infinite in row 0",
    ),
    (
        "missing",
        put("x", 5, np.nan),
        "y ~ x + (1 | g)",
        {"missing": "raise"},
        DataError,
        r"missing values in 'x' \(1\)",
    ),
    ("all missing", change(x=np.nan), "y ~ x + (1 | g)", {}, DataError, "no row is complete: 'x'"),
    (
        "a level a row",
        change(g=range(24)),
        "y ~ x + (1 | g)",
        {},
        DataError,
        r"'g' has as many levels \(24\)",
    ),
    (
        "an effect a row",
        change(g=np.repeat(range(12), 2)),
        "y ~ x + (x | g)",
        {},
        DataError,
        r"\(1 \+ x \| g\) has 24 random effects",
    ),
    ("constant response", change(y=3.0), "y ~ x + (1 | g)", {}, DataError, "response 'y' is constant"),
    (
        "zero weight",
        change(w=[0.0] + [1.0] * 23),
        "y ~ x + (1 | g)",
        {"weights": "w"},
        DataError,
        "'w' is 0 in row 0",
    ),
    (
        "negative weight",
        table(),
        "y ~ x + (1 | g)",
        {"weights": -np.ones(24)},
        DataError,
        "weights must be positive",
    ),
    (
        "infinite weight",
        table(),
        "y ~ x + (1 | g)",
        {"weights": np.full(24, np.inf)},
        DataError,
        "weights must be",
    ),
    (
        "too few rows",
        table().head(3),
        "y ~ x + age + a + (1 | g)",
        {"strict": False},
        DataError,
        "3 rows are too few for 4",
    ),
    ("one level", change(g="only"), "y ~ x + (1 | g)", {}, DataError, r"'g' has one level \('only'\)"),
    ("one level by subset", table(), "y ~ x + (1 | g)", {"subset": "g == 1"}, DataError, "'g' has one level"),
    ("a bar in a bar", table(), "y ~ x + (1 + (1 | a) | g)", {}, FormulaError, "inside another"),
    ("no bar", table(), "y ~ x", {}, FormulaError, "no random effects"),
    ("complex covariate", change(x=1j), "y ~ x + (1 | g)", {}, DataError, "'x' holds complex numbers"),
    ("complex response", change(y=1j), "y ~ x + (1 | g)", {}, DataError, "'y' holds complex numbers"),
    (
        "object numbers",
        change(x=table()["x"].astype(object)),
        "y ~ x + (1 | g)",
        {},
        DataError,
        "'x' holds numbers as Python objects",
    ),
    (
        "object response",
        change(y=table()["y"].astype(object)),
        "y ~ x + (1 | g)",
        {},
        DataError,
        "'y' holds numbers as Python objects",
    ),
    (
        "decimals",
        change(x=[Decimal(i) for i in range(24)]),
        "y ~ x + (1 | g)",
        {},
        DataError,
        "'x' holds numbers as Python objects",
    ),
    (
        "object slope",
        change(x=table()["x"].astype(object)),
        "y ~ 1 + (x | g)",
        {},
        DataError,
        "'x' holds numbers as Python objects",
    ),
    ("text response", change(y="a"), "y ~ x + (1 | g)", {}, DataError, "the response 'y' is categorical"),
    (
        "category response",
        change(y=pd.Categorical(table()["a"])),
        "y ~ x + (1 | g)",
        {},
        DataError,
        "response 'y' is categorical",
    ),
    ("time response", change(y=TIMES), "y ~ x + (1 | g)", {}, DataError, "'y' holds dates or times"),
    ("time covariate", change(x=TIMES), "y ~ x + (1 | g)", {}, DataError, "'x' holds dates or times"),
    (
        "two responses",
        table(),
        "poly(x, 2) ~ age + (1 | g)",
        {},
        DataError,
        "has 2 columns, it must have one",
    ),
    ("text weights", table(), "y ~ x + (1 | g)", {"weights": "a"}, DataError, "weights 'a' is categorical"),
    ("no rows", table().head(0), "y ~ x + (1 | g)", {}, DataError, "no rows"),
    ("no rows left", table(), "y ~ x + (1 | g)", {"subset": "x > 99"}, DataError, "subset keeps no rows"),
    ("a bad subset", table(), "y ~ x + (1 | g)", {"subset": "x >"}, DataError, "cannot be evaluated"),
    (
        "a short subset",
        table(),
        "y ~ x + (1 | g)",
        {"subset": [True, False]},
        DataError,
        "subset has 2 entries",
    ),
    (
        "unknown rows",
        table(),
        "y ~ x + (1 | g)",
        {"subset": [1, 99]},
        DataError,
        "rows that the data does not have",
    ),
    (
        "a short offset",
        table(),
        "y ~ x + (1 | g)",
        {"offset": np.ones(3)},
        DataError,
        "offset has 3 entries, the data 24",
    ),
    ("short groups", table(), "y ~ x", {"groups": [1, 2]}, DataError, "groups has 2 entries, the data 24"),
    ("a text offset", table(), "y ~ x + offset(a) + (1 | g)", {}, DataError, "offset 'a' is categorical"),
    ("no table", [1, 2], "y ~ x + (1 | g)", {}, DataError, "not builtins.list"),
    ("a lazy frame", polars.LazyFrame({"y": [1]}), "y ~ x + (1 | g)", {}, DataError, "Collect it first"),
    (
        "ragged dict",
        {"y": [1, 2, 3], "x": [1, 2, 3], "g": [1]},
        "y ~ x + (1 | g)",
        {},
        DataError,
        "'g' has 1 rows, the others 3",
    ),
    (
        "two-dimensional",
        {"y": np.ones((3, 2))},
        "y ~ 1 + (1 | y)",
        {},
        DataError,
        "'y' must be one-dimensional",
    ),
    (
        "a call that fails",
        table(),
        "y ~ np.log(a) + (1 | g)",
        {},
        FormulaError,
        r"'np.log\(a\)' cannot be evaluated",
    ),
    ("nothing varies", table(), "y ~ x + (0 | g)", {}, FormulaError, "nothing varies"),
    ("re_formula alone", table(), "y ~ x + (1 | g)", {"re_formula": "x"}, FormulaError, "need groups"),
    (
        "re_formula with a response",
        table(),
        "y ~ x",
        {"groups": "g", "re_formula": "y ~ x"},
        FormulaError,
        "must not have a response",
    ),
    ("unknown missing", table(), "y ~ x + (1 | g)", {"missing": "ignore"}, DataError, "'ignore'"),
    ("a syntax error", table(), "y ~ x + + * z + (1 | g)", {}, FormulaError, "cannot be read"),
]


@pytest.mark.parametrize(
    ("data", "formula", "more", "error", "message"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_bad_input(data, formula, more, error, message):
    with pytest.raises(error, match=message):
        design_from_formula(formula, data, **more)


def test_duplicate_columns():
    data = table()
    data.columns = ["y", "x", "x", "a", "g"]
    with pytest.raises(DataError, match="2 columns named 'x'"):
        design_from_formula("y ~ x + (1 | g)", data)
    assert design_from_formula("y ~ a + (1 | g)", data)[1].X.shape == (24, 2)


def test_infinity_in_what_is_not_used():
    data = table().assign(other=np.inf, more=[None] * 24)
    assert design_from_formula("y ~ x + (1 | g)", data)[0].n_missing == 0


def test_large_numbers_are_finite():
    data = table().assign(x=1e308)
    data.loc[0, "x"] = 1.0
    assert design_from_formula("y ~ x + (1 | g)", data)[1].X.max() == 1e308


def test_as_many_effects_as_rows_are_for_lme4_alone():
    data = table().assign(g=[i // 2 for i in range(24)])
    with pytest.raises(DataError, match="24 random effects"):
        design_from_formula("y ~ x + (x | g)", data)
    assert design_from_formula("y ~ x + (x | g)", data, strict=False)[0].terms[0].n_levels == 12


@pytest.mark.parametrize(("levels", "message"), [(range(24), "as many levels"), ([1] * 24, "one level")])
def test_levels_behind_both_doors(levels, message):
    data = table().assign(g=list(levels))
    for strict in (True, False):
        with pytest.raises(DataError, match=message):
            design_from_formula("y ~ x + (1 | g)", data, strict=strict)


def test_objects_without_an_order():
    data = {"y": [1.0, 2.0, 4.0, 3.0], "x": [object() for _ in range(4)], "g": list("aabb")}
    with pytest.raises(DataError, match="'x' holds Python objects"):
        design_from_formula("y ~ x + (1 | g)", data)


def arrays():
    data = table()
    return data["y"].to_numpy(), data[["x", "age"]].to_numpy(), data["g"].to_numpy()


Y, X, GROUPS = arrays()
ARRAYS = [
    ("lengths of groups", (Y, X, GROUPS[:5]), {}, "groups has 5 rows, endog has 24"),
    ("lengths of exog", (Y, X[:5], GROUPS), {}, "exog has 5 rows, endog has 24"),
    ("lengths of exog_re", (Y, X, GROUPS, X[:5]), {}, "exog_re has 5 rows"),
    ("NaN", (np.where(Y > 1, np.nan, Y), X, GROUPS), {}, r"missing values in endog \(\d+ rows\)"),
    (
        "NaN to raise",
        (Y, X, GROUPS, np.where(X > 20, np.nan, X)),
        {"missing": "raise"},
        r"missing values in exog_re \(3 rows\)",
    ),
    ("infinity", (Y, np.where(X > 22, np.inf, X), GROUPS), {}, "'x2' is infinite in row 23"),
    ("constant", (Y * 0, X, GROUPS), {}, "response 'y' is constant"),
    ("complex", (Y, X + 1j, GROUPS), {}, "complex"),
    ("objects", (Y, X.astype(object), GROUPS), {}, r"'exog\[:, 0\]' holds numbers as Python objects"),
    ("object column", (Y, table()[["x", "a"]], GROUPS), {}, "'a' holds text"),
    ("rows of several lengths", (Y, [[1], [1, 2]] * 12, GROUPS), {}, "exog has rows of several lengths"),
    ("no exog", (Y, None, GROUPS), {}, "exog must have one or two dimensions, it is NoneType"),
    ("no groups", (Y, X, None), {}, "'groups' must be one-dimensional, it is NoneType"),
    ("empty", ([], np.ones((0, 1)), []), {}, "endog is empty"),
    ("too few rows", (Y[:2], X[:2], GROUPS[:2]), {}, "2 rows are too few"),
    (
        "a component's rows",
        (Y, X, GROUPS),
        {"exog_vc": {"v": {k: np.ones((5, 1)) for k in range(4)}}},
        "'v' has 5 rows for group 0, which has 6",
    ),
    (
        "a component's groups",
        (Y, X, GROUPS),
        {"exog_vc": {"v": {k: np.ones((6, 1)) for k in range(3)}}},
        "'v' has no matrix for group 3",
    ),
    ("missing", (Y, X, GROUPS), {"missing": "maybe"}, "'maybe'"),
]


@pytest.mark.parametrize(("given", "more", "message"), [case[1:] for case in ARRAYS], ids=[case[0] for case in ARRAYS])
def test_bad_arrays(given, more, message):
    with pytest.raises(DataError, match=message):
        design_from_arrays(*given, **more)


@pytest.mark.parametrize("role", ["exog", "groups", "exog_re"])
def test_rows_in_another_order(role):
    data = table().reset_index(drop=True)
    arrays = {"exog": data[["x"]], "groups": data["g"], "exog_re": data[["age"]]}
    arrays[role] = arrays[role].iloc[::-1]
    with pytest.raises(DataError, match=f"index of {role} is not that of endog"):
        design_from_arrays(data["y"], **arrays)


@pytest.mark.parametrize(("bar", "message"), [("(x | g)", "24 random effects"), ("(1 | row)", "as many levels")])
def test_the_check_of_identification_can_be_overridden(bar, message):
    data = table().assign(g=[i // 2 for i in range(24)], row=range(24))
    with pytest.raises(DataError, match=f"{message}.*check_identified='warn' fits it all the same"):
        design_from_formula(f"y ~ x + {bar}", data)
    with pytest.warns(ValueWarning, match=message):
        design_from_formula(f"y ~ x + {bar}", data, check_identified="warn")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        design_from_formula(f"y ~ x + {bar}", data, check_identified="ignore")
    with pytest.raises(ValueError, match="'raise', 'warn' or 'ignore', not 'no'"):
        design_from_formula(f"y ~ x + {bar}", data, check_identified="no")


@pytest.mark.parametrize("given", ["sum", ["sum"], 3])
def test_contrasts_are_a_dict(given):
    with pytest.raises(FormulaError, match="contrasts is a dict"):
        design_from_formula("y ~ x + (1 | g)", table(), contrasts=given)


def test_a_component_without_columns():
    with pytest.raises(FormulaError, match="the variance component 'none' has no columns"):
        design_from_formula("y ~ x", table(), groups="g", vc_formula={"none": "0"})


def test_rows_on_which_an_expression_has_no_value_are_told():
    # most of the rows could go without a word; R says that NaNs were produced
    data = change(x=np.where(np.arange(24) < 5, -1.0, 2.0 + np.arange(24)))
    said = r"'log\(x\)' is not a number in 5 rows, which are left out"
    with pytest.warns(ValueWarning, match=said):
        assert design_from_formula("y ~ log(x) + (1 | g)", data)[0].n_missing == 5
    with pytest.warns(ValueWarning, match=said):
        assert henderson.lmer("y ~ log(x) + (1 | g)", iter([data[:4], data[4:]])).design.n_missing == 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        design_from_formula("y ~ log(x) + (1 | g)", data.assign(x=np.where(data.x < 0, np.nan, data.x)))
