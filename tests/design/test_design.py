"""Designs against formulaic's and patsy's matrices, and statsmodels' variance components."""

import gzip
import json
import pickle
import subprocess
import sys
from pathlib import Path

import formulaic
import numpy as np
import pandas as pd
import patsy
import polars
import pyarrow
import pytest

from henderson.design.from_arrays import design_from_arrays
from henderson.design.from_formula import design_from_formula
from henderson.design.replay import fixed_columns, new_columns
from henderson.errors import DataError, FormulaError
from henderson.formula.coding import fill, make_part
from henderson.formula.environment import Environment
from henderson.formula.evaluate import learn
from henderson.formula.terms import terms_of, written_terms
from henderson.sources.factors import cross, encode


def table(n=48, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.uniform(1, 2, n),
            "z": rng.integers(0, 4, n),
            "a": rng.permutation(np.resize(list("qpr"), n)),
            "b": rng.permutation(np.resize(list("uv"), n)),
            "c": pd.Categorical(rng.permutation(np.resize(["lo", "mid", "hi"], n)), ["lo", "mid", "hi"]),
            "g": np.resize(np.arange(6), n),
            "h": np.resize(list("klmn"), n),
        }
    )


PLAIN = [
    "x",
    "a",
    "0 + a",
    "a - 1",
    "-1 + x",
    "x + z",
    "x:z",
    "x*z",
    "a*c",
    "x*a",
    "a:x",
    "0 + a:x",
    "a:c",
    "0 + a:c",
    "1 + a:c",
    "x:a + a",
    "a*b*c",
    "a*x*z",
    "x*z*a",
    "a + b + a:b:c",
    "(a + b):c",
    "a*(x + z)",
    "b:a + a:x + c",
    "a:b + a:c",
    "C(z)",
    "C(z)*a",
    "C(z):x",
    "0 + C(z) + a",
    "a*b - a",
    "a*b - a:b",
    "a*b*c - a:b:c",
    "a:b:c + a:b",
    "0 + a + b",
    "0 + a:b + c",
    "1",
    "0 + x",
    "x + 1",
    "a + 0",
    "x:x",
    "a:a + x",
    "x + x",
    "a:b + a",
    "(x + z)*(a + b)",
]
EXPRESSIONS = [
    "np.log(x)",
    "I(x**2)",
    "x**2",
    "(a + b + c)**2",
    "a/x",
    "a/b",
    "poly(x, 2)",
    "poly(x, degree=3):a",
    "scale(x)*b",
    "center(x) + a",
    "bs(x, df=4)",
    "bs(x, df=5, include_intercept=True)",
    "cr(x, df=4)",
    "C(a, Treatment(reference='r'))",
    "C(a, contr.sum)*x",
    "C(c, contr.poly)",
    "C(z, contr.helmert):b",
    "C(a, Sum)",
    "0 + C(a, contr.sum)",
    "{x + z}",
    "a:np.exp(x)",
    "double(x)",
    "Q('x')",
    "`x` + a",
    "a*np.log(x) + C(z)",
    "C(a, contr.custom(np.array([[1, 0], [0, 1], [-1, -1]])))",
]


def double(values):
    return 2 * values


def matrix(text, data, order="degree"):
    env = Environment({"np": np, "double": double})
    for name in ("np", "double"):
        env.get(name)
    columns = {name: data[name].array if name == "c" else data[name].to_numpy() for name in data}
    terms = written_terms(text)
    learned = {expr: learn(expr, columns, env) for term in terms for expr in term}
    part = make_part(terms, {expr: spec for expr, (spec, _) in learned.items()}, order=order)
    values = {expr: found for expr, (_, found) in learned.items()}
    return part, fill(part, values, np.empty((len(data), len(part.names))))


@pytest.mark.parametrize("text", PLAIN + EXPRESSIONS)
def test_columns_are_formulaics(text):
    data = table()
    part, X = matrix(text, data)
    wanted = formulaic.model_matrix(text, data, context={"np": np, "double": double})
    assert list(part.names) == list(wanted.columns)
    np.testing.assert_allclose(X, wanted.to_numpy(dtype=float), atol=1e-13)
    slices = {str(term): value for term, value in wanted.model_spec.term_slices.items()}
    assert list(part.slices) == list(slices.values())


@pytest.mark.parametrize("text", [*PLAIN, "I(x > 1.5)", "I(x > 1.5):a", "0 + I(a == 'q')"])
def test_patsy_order_is_patsys(text):
    data = table()
    part, X = matrix(text, data, "patsy")
    wanted = patsy.dmatrix(text, data)
    assert list(part.names) == wanted.design_info.column_names
    np.testing.assert_allclose(X, np.asarray(wanted), atol=1e-13)


@pytest.mark.parametrize("text", PLAIN)
def test_plain_formulas_are_read_as_formulaic_reads_them(text):
    wanted = [tuple(f.expr for f in term.factors if f.expr != "1") for term in formulaic.Formula(text)]
    assert list(terms_of(text)) == wanted


@pytest.mark.parametrize("seed", range(60))
def test_random_formulas_are_coded_as_formulaic_codes_them(seed):
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c", "x", "z", "C(z)"]
    terms = [":".join(rng.choice(names, rng.integers(1, 4), replace=False)) for _ in range(rng.integers(1, 5))]
    text = ("0 + " if rng.random() < 0.5 else "") + " + ".join(terms)
    test_columns_are_formulaics(text)
    test_patsy_order_is_patsys(text)


def test_sleepstudy_like_design():
    data = table()
    design, rows = design_from_formula("y ~ x + (x | g)", data)
    (term,) = design.terms
    assert design.x_names == ("(Intercept)", "x")
    assert (term.group, term.label, term.names, term.structure) == (
        "g",
        "g",
        ("(Intercept)", "x"),
        "unstructured",
    )
    assert np.shares_memory(rows.terms[0].columns, rows.X)
    assert rows.terms[0].codes.dtype == np.intp
    np.testing.assert_array_equal(term.levels, range(6))
    np.testing.assert_array_equal(rows.y, data["y"])


def names_of(formula, data=None, **more):
    design, _ = design_from_formula(formula, table(200) if data is None else data, **more)
    return [(term.group, term.label, term.names) for term in design.terms]


@pytest.mark.parametrize(
    ("bars", "wanted"),
    [
        ("(1 | g)", [("g", "g", ("(Intercept)",))]),
        ("(x || g)", [("g", "g", ("(Intercept)",)), ("g", "g.1", ("x",))]),
        ("(0 + x | g)", [("g", "g", ("x",))]),
        ("(x - 1 | g)", [("g", "g", ("x",))]),
        ("(1 | g/h)", [("h:g", "h:g", ("(Intercept)",)), ("g", "g", ("(Intercept)",))]),
        ("(1 | g:h)", [("g:h", "g:h", ("(Intercept)",))]),
        ("(a | g)", [("g", "g", ("(Intercept)", "a[T.q]", "a[T.r]"))]),
        ("(0 + a | g)", [("g", "g", ("a[p]", "a[q]", "a[r]"))]),
        ("(a || g)", [("g", "g", ("(Intercept)",)), ("g", "g.1", ("a[p]", "a[q]", "a[r]"))]),
        ("(x*z | g)", [("g", "g", ("(Intercept)", "x", "z", "x:z"))]),
        ("(poly(x, 2) | g)", [("g", "g", ("(Intercept)", "poly(x, 2)[1]", "poly(x, 2)[2]"))]),
        ("(scale(x) | g) + (1 | h)", [("g", "g", ("(Intercept)", "scale(x)")), ("h", "h", ("(Intercept)",))]),
        ("(1 | g) + (0 + x | g)", [("g", "g", ("(Intercept)",)), ("g", "g.1", ("x",))]),
        (
            "(1 + x + a:z || h)",
            [
                ("h", "h", ("(Intercept)",)),
                ("h", "h.1", ("x",)),
                ("h", "h.2", ("a[p]:z", "a[q]:z", "a[r]:z")),
            ],
        ),
    ],
)
def test_bars(bars, wanted):
    assert names_of(f"y ~ x + {bars}") == wanted


BARE = str.maketrans("", "", "()")  # R keeps parentheses that mean nothing
LME4 = json.loads(gzip.decompress((Path(__file__).parents[1] / "oracles" / "bars.json.gz").read_bytes()))


@pytest.mark.parametrize("model", LME4["models"], ids=lambda model: model["bar"][0])
def test_bars_are_lme4s(model):
    data = pd.DataFrame(LME4["data"])
    design, rows = design_from_formula(f"y ~ x + {model['bar'][0]}", data, strict=False)
    terms = design.terms
    found = sorted((t.group.translate(BARE), t.n_columns) for t in terms)
    assert found == sorted((group.translate(BARE), k) for group, k in zip(model["groups"], model["columns"]))
    levels, codes = ({group.translate(BARE): x for group, x in model[what].items()} for what in ("levels", "codes"))
    for term, own in zip(terms, rows.terms):
        assert term.levels.astype(str).tolist() == levels[term.group.translate(BARE)]
        assert own.codes.tolist() == codes[term.group.translate(BARE)]


def test_columns_at_equal_distances_are_a_view():
    _, rows = design_from_formula("y ~ x + z + (z | g)", table())
    assert np.shares_memory(rows.terms[0].columns, rows.X)
    np.testing.assert_array_equal(rows.terms[0].columns, rows.X[:, [0, 2]])


def test_terms_on_one_factor_share_codes():
    first, second = design_from_formula("y ~ x + (x || g)", table())[1].terms
    assert first.codes is second.codes


def test_interaction_levels_are_in_lme4s_order():
    codes, crossing = cross([encode(np.array(list("bbaa"))), encode(np.array([2, 1, 2, 2]))])
    assert crossing.labels.tolist() == ["a:2", "b:1", "b:2"]
    assert codes.tolist() == [2, 1, 0, 0]


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.array([3, -1, 3]), [-1, 3]),
        (np.array([10**12, 5, 5]), [5, 10**12]),
        (np.array([255, 0, 255], np.uint8), [0, 255]),
        (np.array([-128, 127, 0], np.int8), [-128, 0, 127]),
        (np.array(["b", "a", "b"]), ["a", "b"]),
        (np.array(["b", 2, "a", 1], object), [1, 2, "a", "b"]),
        (np.array([True, False]), [False, True]),
        (np.array([True, True]), [True]),
        (np.array([0.5, 0.25]), [0.25, 0.5]),
        (pd.Categorical(["b", "a"], ["c", "b", "a"]), ["b", "a"]),
        (pd.array([2, 1, 2], dtype="Int64"), [1, 2]),
        (pd.array(["x", "w"], dtype="string"), ["w", "x"]),
        (
            np.array(["2021-02-01", "2020-01-01"], "M8[ns]"),
            list(pd.to_datetime(["2020-01-01", "2021-02-01"])),
        ),
        (
            pd.array(pd.to_datetime(["2021-02-01", "2020-01-01"]).tz_localize("UTC")),
            list(pd.to_datetime(["2020-01-01", "2021-02-01"]).tz_localize("UTC")),
        ),
    ],
)
def test_levels_are_sorted(values, levels):
    codes, found = encode(values)
    assert found.tolist() == levels
    assert codes.dtype == np.intp
    assert [levels[code] for code in codes] == list(pd.Index(values))


KINDS = {
    "pandas": lambda data: data,
    "duplicate index": lambda data: data.set_axis(np.zeros(len(data)), axis=0),
    "MultiIndex": lambda data: data.set_axis(pd.MultiIndex.from_product([range(6), range(8)]), axis=0),
    "nullable": lambda data: data.convert_dtypes(),
    "arrow dtypes": lambda data: data.convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda data: polars.DataFrame(
        data.to_dict("list"), schema_overrides={"c": polars.Enum(["lo", "mid", "hi"])}
    ),
    "pyarrow": lambda data: pyarrow.Table.from_pandas(data),
    "dict": lambda data: {name: data[name].array for name in data},
    "lists": lambda data: {name: list(data[name]) for name in data if name != "c"} | {"c": data["c"]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_tables_of_any_make(kind):
    formula = "y ~ x + a + c + np.log(x):b + (x | g) + (1 | h:a)"
    (wanted, theirs), (found, ours) = (
        design_from_formula(formula, make(table())) for make in (KINDS["pandas"], KINDS[kind])
    )
    assert found.x_names == wanted.x_names
    np.testing.assert_allclose(ours.X, theirs.X)
    np.testing.assert_array_equal(ours.y, theirs.y)
    for one, other in zip(found.terms, wanted.terms):
        assert one.levels.astype(str).tolist() == other.levels.astype(str).tolist()
    for one, other in zip(ours.terms, theirs.terms):
        np.testing.assert_array_equal(one.codes, other.codes)
        np.testing.assert_allclose(one.columns, other.columns)


def test_categories_of_polars_are_sorted():
    letters = polars.Series(["b", "a", "c", "b", "a", "c", "b", "a"], dtype=polars.Categorical)
    data = polars.DataFrame({"y": range(8), "f": letters, "g": [1, 1, 1, 1, 2, 2, 2, 2]})
    assert design_from_formula("y ~ f + (1 | g)", data)[0].x_names == ("(Intercept)", "f[T.b]", "f[T.c]")


@pytest.mark.parametrize(
    "values",
    [
        pd.cut(np.linspace(0, 1, 48), 3),
        pd.PeriodIndex(["2020-01", "2020-02", "2020-03"] * 16, freq="M"),
        pd.to_timedelta(np.resize([1, 2, 3], 48), unit="D"),
        np.resize([b"one", b"two"], 48),
        pd.array(np.resize([True, False], 48), dtype="boolean"),
        pd.arrays.SparseArray(np.resize([0, 0, 1, 2], 48)),
        np.resize(np.array([True, False], object), 48),
        pd.Series(pd.date_range("2020-01-01", periods=4)).dt.date.repeat(12).to_numpy(),
    ],
    ids=lambda values: str(getattr(values, "dtype", "")),
)
def test_groups_of_any_kind(values):
    design, rows = design_from_formula("y ~ x + (1 | k)", table().assign(k=values))
    (term,) = design.terms
    assert term.levels.is_monotonic_increasing
    assert (term.levels[rows.terms[0].codes] == pd.Index(values)).all()


def test_plain_formulas_need_no_formulaic():
    program = """if True:
        import sys
        from henderson.design.from_formula import design_from_formula
        data = {"y": [1.0, 2, 4, 3, 5, 4], "x": [0, 1, 2, 0, 1, 2], "a": list("uvuvuv"), "g": list("aaabbb")}
        design_from_formula("y ~ x * C(a) + (x || g)", data, strict=False)
        print([m for m in ("formulaic", "narwhals", "scipy.stats", "scipy.optimize") if m in sys.modules])
    """
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_numpy_records():
    data = table()[["y", "x", "g"]].to_records(index=False)
    assert design_from_formula("y ~ x + (1 | g)", data)[1].X.shape == (48, 2)


@pytest.mark.parametrize("kind", ["pandas", "nullable", "arrow dtypes", "polars", "pyarrow"])
def test_missing_rows_are_dropped_together(kind):
    data = table()
    data.loc[3, "x"] = np.nan
    data.loc[4, "a"] = None
    data.loc[5, "c"] = np.nan
    data["g"] = data["g"].astype("Int64")
    data.loc[6, "g"] = pd.NA
    data["w"] = 1.0
    data.loc[7, "w"] = np.nan
    data.loc[8, "z"] = 99
    make = KINDS[kind]
    if kind == "polars":
        frame = polars.from_pandas(data)
    else:
        frame = make(data)
    design, rows = design_from_formula("y ~ x + a + c + (1 | g)", frame, weights="w")
    assert design.n_missing == 5
    assert rows.X.shape == (43, 6)
    np.testing.assert_array_equal(rows.positions, np.delete(np.arange(48), range(3, 8)))
    with pytest.raises(DataError, match=r"'x' \(1\), 'a' \(1\), 'c' \(1\), 'g' \(1\), 'w' \(1\)"):
        design_from_formula("y ~ x + a + c + (1 | g)", frame, weights="w", missing="raise")


def test_rows_on_which_an_expression_is_no_number_are_missing():
    data = table()
    data.loc[[3, 4], "x"] = -1.0
    design, rows = design_from_formula("y ~ np.log(x) + (np.log(x) | g)", data)
    assert design.n_missing == 2
    assert rows.index.tolist() == [i for i in range(48) if i not in (3, 4)]
    assert len(rows.terms[0].codes) == len(rows.terms[0].columns) == 46
    with pytest.raises(DataError, match=r"np\.log\(x\)"):
        design_from_formula("y ~ np.log(x) + (1 | g)", data, missing="raise")


@pytest.mark.parametrize(
    "subset",
    [
        lambda data: data["x"] > 1.5,
        lambda data: (data["x"] > 1.5).to_numpy(),
        lambda data: (data["x"] > 1.5).tolist(),
        lambda data: "x > 1.5",
        lambda data: data.index[data["x"] > 1.5],
        lambda data: (data["x"] > 1.5).sample(frac=1, random_state=1),
    ],
)
def test_subset(subset):
    data = table().set_axis([f"r{i}" for i in range(48)], axis=0)
    design, rows = design_from_formula("y ~ x + (1 | g)", data, subset=subset(data))
    kept = data[data["x"] > 1.5]
    assert rows.index.tolist() == kept.index.tolist()
    np.testing.assert_array_equal(rows.y, kept["y"])
    assert design.n_missing == 0


def test_subset_of_a_dict_by_position():
    data = {name: column.to_numpy() for name, column in table().items()}
    _, rows = design_from_formula("y ~ x + (1 | g)", data, subset=np.arange(0, 48, 2))
    np.testing.assert_array_equal(rows.y, data["y"][::2])


def test_unused_levels_are_dropped():
    data = table()
    data["c"] = data["c"].cat.set_categories(["none", "lo", "mid", "hi"])
    design, _ = design_from_formula("y ~ c + (1 | c:g)", data)
    assert design.x_names == ("(Intercept)", "c[T.mid]", "c[T.hi]")
    design, _ = design_from_formula("y ~ c + (1 | g)", data, subset="c != 'lo'")
    assert design.x_names == ("(Intercept)", "c[T.hi]")


def test_weights_and_offsets():
    data = table()
    data["w"] = data["x"] + 1
    design, rows = design_from_formula("y ~ x + offset(2 * z) + (1 | g)", data, weights="w", offset=data["x"])
    np.testing.assert_allclose(rows.weights, data["x"] + 1)
    np.testing.assert_allclose(rows.offset, 2 * data["z"] + data["x"])
    assert design.x_names == ("(Intercept)", "x")
    new = new_columns(design, data.head(3))
    np.testing.assert_allclose(new.offset, (2 * data["z"] + data["x"]).head(3))
    design, _ = design_from_formula("y ~ x + (1 | g)", data, offset="z")
    np.testing.assert_allclose(new_columns(design, data.head(3)).offset, data["z"].head(3))


def test_booleans_are_factors():
    data = table().assign(t=lambda d: d["x"] > 1.5)
    assert design_from_formula("y ~ t + (1 | g)", data)[0].x_names == ("(Intercept)", "t[T.True]")
    assert names_of("y ~ 1 + (0 + t | g)", data) == [("g", "g", ("t[False]", "t[True]"))]


def test_names_of_the_caller():
    shift = 3.0

    def plus(values):
        return values + shift

    data = table()
    design, rows = design_from_formula("y ~ plus(x) + I(z * shift) + (1 | g)", data)
    np.testing.assert_allclose(rows.X[:, 1:], np.column_stack([data["x"] + 3, data["z"] * 3]))
    design, rows = design_from_formula("y ~ more(x) + (1 | g)", data, env={"more": plus})
    assert design.x_names == ("(Intercept)", "more(x)")
    with pytest.raises(FormulaError, match="no column or function 'more'"):
        design_from_formula("y ~ more(x) + (1 | g)", data)


def test_what_r_users_write():
    data = table()
    formula = "y ~ factor(z) + sqrt(x) + I(x^2) + poly(x, 2, raw=TRUE) + factor(z):a + (1 | factor(g))"
    design, rows = design_from_formula(formula, data)
    wanted = formulaic.model_matrix("C(z) + np.sqrt(x) + I(x**2) + poly(x, 2, raw=True) + C(z):a", data)
    np.testing.assert_allclose(rows.X, wanted.to_numpy(dtype=float))
    assert design.x_names[1:6] == (
        "factor(z)[T.1]",
        "factor(z)[T.2]",
        "factor(z)[T.3]",
        "sqrt(x)",
        "I(x ** 2)",
    )
    with pytest.raises(FormulaError, match="no column 'sqrt'"):
        design_from_formula("y ~ sqrt + (1 | g)", data)


def test_columns_named_like_functions():
    data = table().rename(columns={"x": "log", "z": "scale"})
    env = {"I": 1, "center": None}  # of the caller, and no functions
    _, rows = design_from_formula("y ~ sqrt(scale) + I(log * 2) + center(log) + (1 | g)", data, env=env)
    np.testing.assert_allclose(rows.X[:, 1], np.sqrt(data["scale"]))
    np.testing.assert_allclose(rows.X[:, 2], 2 * data["log"])


@pytest.mark.parametrize("text", ["bs(x, df=4)", "bs(x, df=5, include_intercept=True) + a", "cr(x, df=4)", "scale(x)"])
def test_patsys_transforms(text):
    data = table()
    design, rows = design_from_formula(f"y ~ {text} + (1 | g)", data, order="patsy")
    wanted = patsy.dmatrix(text, data)
    assert list(design.x_names) == wanted.design_info.column_names
    np.testing.assert_allclose(rows.X, np.asarray(wanted), atol=1e-12)
    np.testing.assert_allclose(fixed_columns(design, data.head(3)), rows.X[:3], atol=1e-12)


def test_vectors_of_the_caller():
    data = table()
    covariate = data["x"].to_numpy() + 1
    _, rows = design_from_formula("y ~ covariate + (1 | g)", data)
    np.testing.assert_array_equal(rows.X[:, 1], covariate)


@pytest.mark.parametrize("text", [*PLAIN, *EXPRESSIONS, "I(x > 1.5)"])
def test_new_data_get_the_same_columns(text):
    data = table(60)
    design, rows = design_from_formula(f"y ~ {text} + (x | g)", data, strict=False)
    design = pickle.loads(pickle.dumps(design))
    np.testing.assert_allclose(fixed_columns(design, data.iloc[5:9]), rows.X[5:9], atol=1e-12)
    np.testing.assert_allclose(fixed_columns(design, data.iloc[[7]]), rows.X[[7]], atol=1e-12)
    new = new_columns(design, polars.from_pandas(data.iloc[5:9]))
    np.testing.assert_allclose(new.X, rows.X[5:9], atol=1e-12)
    np.testing.assert_array_equal(new.terms[0].codes, rows.terms[0].codes[5:9])
    np.testing.assert_allclose(new.terms[0].columns, rows.terms[0].columns[5:9])


def test_new_levels_and_missing_values_in_new_data():
    data = table(60)
    design, rows = design_from_formula("y ~ x + a + (1 | g) + (1 | h:g)", data)
    new = data.iloc[:4].copy()
    new["g"] = [0, 77, 2, 3]
    new.loc[2, "x"] = np.nan
    new.loc[3, "h"] = None
    made = new_columns(design, new)
    assert made.terms[0].codes.tolist() == [0, -1, 2, 3]
    assert made.terms[1].codes.tolist() == [rows.terms[1].codes[0], -1, rows.terms[1].codes[2], -1]
    assert np.isnan(made.X[2]).all()
    assert np.isfinite(made.X[[0, 1, 3]]).all()
    new["a"] = "nobody"
    with pytest.raises(DataError, match="'a' has the level 'nobody'"):
        fixed_columns(design, new)
    with pytest.raises(DataError, match="no column 'x'"):
        fixed_columns(design, new.drop(columns="x"))


def test_sum_contrasts():
    data = table()
    design, _ = design_from_formula("y ~ a*C(c, contr.poly)*x + (1 | g)", data)
    wanted = formulaic.model_matrix("C(a, contr.sum)*C(c, contr.sum)*x", data).to_numpy(dtype=float)
    np.testing.assert_allclose(fixed_columns(design, data, "sum"), wanted, atol=1e-13)


def test_terms_for_tests_and_means():
    data = table()
    design, _ = design_from_formula("y ~ a*np.log(x) + C(z) + z:b + (1 | g)", data)
    terms = design.specs.terms
    assert terms.names == ("Intercept", "a", "np.log(x)", "C(z)", "a:np.log(x)", "z:b")
    assert terms.variables == ((), ("a",), ("x",), ("z",), ("a", "x"), ("z", "b"))
    assert {name: levels.tolist() for name, levels in terms.levels.items()} == {
        "a": ["p", "q", "r"],
        "z": [0, 1, 2, 3],
        "b": ["u", "v"],
    }
    assert terms.means == {"x": pytest.approx(data["x"].mean())}
    cells = terms.cells
    assert list(cells.values) == ["a", "z", "b"]
    seen = pd.DataFrame({name: cells.values[name][cells.codes[name]] for name in cells.values}).assign(n=cells.counts)
    counted = data.groupby(["a", "z", "b"], observed=True).size().reset_index(name="n")
    merged = seen.merge(counted, on=["a", "z", "b"])
    assert len(merged) == len(seen) == len(counted)
    np.testing.assert_array_equal(merged["n_x"], merged["n_y"])
    assert np.bincount(terms.assign).tolist() == [1, 2, 1, 3, 2, 2]


def test_wildcard():
    data = table()[["y", "x", "a", "g"]]
    assert design_from_formula("y ~ . + (1 | g)", data)[0].x_names == ("(Intercept)", "x", "a[T.q]", "a[T.r]")


def statsmodels_components(data, vc, groups="g"):
    """statsmodels' own matrices, as (n, J)."""
    import statsmodels.formula.api as smf

    model = smf.mixedlm("y ~ 1", data, groups=groups, vc_formula=vc)
    whole = []
    for mats in model.exog_vc.mats:
        columns = []
        for label, block in zip(model.group_labels, mats):
            out = np.zeros((len(data), block.shape[1]))
            out[model.row_indices[label]] = block
            columns.append(out)
        out = np.hstack(columns)
        whole.append(out[:, (out != 0).any(axis=0)])
    return whole


def dense(term, rows):
    if term.loaded:
        return rows.loadings.toarray()
    return np.equal.outer(rows.codes, np.arange(term.n_levels)) * rows.columns


@pytest.mark.parametrize(
    ("text", "as_codes"),
    [
        ("0 + C(h)", True),
        ("0 + h", True),
        ("0 + x", True),
        ("1", True),
        ("0 + h:a", True),
        ("0 + a:x", True),
        ("0 + x + z", False),
        ("C(h)", False),
        ("h", False),
        ("0 + np.log(x)", True),
        ("x", False),
        ("0 + center(x)", True),
        ("0 + h + a", False),
    ],
)
def test_variance_components_are_statsmodels(text, as_codes):
    data = table(96)
    data["g"] = np.repeat(np.arange(4), 24)
    design, rows = design_from_formula("y ~ 1", data, groups="g", vc_formula={"b": text, "a": "0 + C(a)"})
    assert [term.label for term in design.terms] == ["a", "b"]
    term = design.terms[1]
    assert term.loaded != as_codes
    wanted = statsmodels_components(data, {"v": text})[0]
    found = dense(term, rows.terms[1])
    order = [np.lexsort(array[::-1]) for array in (found, wanted)]
    np.testing.assert_allclose(found[:, order[0]], wanted[:, order[1]], atol=1e-12)
    assert term.levels.names == ["g", "b"]


@pytest.mark.parametrize(
    ("re_formula", "vc", "wanted"),
    [
        (None, None, [("g", ("(Intercept)",))]),
        ("1", None, [("g", ("(Intercept)",))]),
        ("~x", None, [("g", ("(Intercept)", "x"))]),
        ("0 + x", None, [("g", ("x",))]),
        (None, {"v": "0 + C(h)"}, [("g/v", ("(Intercept)",))]),
        ("1", {"v": "0 + C(h)"}, [("g", ("(Intercept)",)), ("g/v", ("(Intercept)",))]),
    ],
)
def test_groups(re_formula, vc, wanted):
    data = table()
    for groups, name in (("g", "g"), (data["g"], "Group"), (data["g"].tolist(), "Group")):
        design, rows = design_from_formula("y ~ x", data, groups=groups, re_formula=re_formula, vc_formula=vc)
        assert [(t.group.replace(name, "g"), t.names) for t in design.terms] == wanted
        assert design.specs.groups == name
        np.testing.assert_array_equal(rows.groups, data["g"])


def test_bars_and_groups():
    data = table()
    assert names_of("y ~ x + (1 | h)", data, groups="h") == [("h", "h", ("(Intercept)",))]
    with pytest.raises(FormulaError, match=r"groups='g' has no part .* write \(1 \| g\)"):  # once left out silently
        names_of("y ~ x + (1 | h)", data, groups="g")
    assert names_of("y ~ x + (1 | h)", data, groups="g", re_formula="0 + x") == [
        ("h", "h", ("(Intercept)",)),
        ("g", "g", ("x",)),
    ]


def test_groups_as_an_array_with_missing_labels_and_subset():
    data = table()
    labels = data["g"].astype(object)
    labels.iloc[0] = None
    design, rows = design_from_formula("y ~ x", data, groups=labels, subset="x < 1.8")
    kept = (data["x"] < 1.8) & (data.index > 0)
    np.testing.assert_array_equal(design.terms[0].levels[rows.terms[0].codes], data["g"][kept])


class Spec:
    """What statsmodels calls VCSpec."""

    def __init__(self, names, colnames, mats):
        self.names, self.colnames, self.mats = names, colnames, mats


def arrays(n=24):
    rng = np.random.default_rng(1)
    X = np.column_stack([rng.normal(size=n), np.ones(n), rng.normal(size=n)])
    return rng.normal(size=n), X, np.repeat(list("cabd"), n // 4)


def test_arrays_get_statsmodels_names():
    y, X, groups = arrays()
    design, rows = design_from_arrays(y, X, groups)
    assert (design.y_name, design.x_names) == ("y", ("x1", "const", "x2"))
    assert design.terms[0].names == ("Intercept",)
    assert design.terms[0].levels.tolist() == list("abcd")
    design, rows = design_from_arrays(y, X, groups, X[:, :2])
    assert design.terms[0].names == ("x_re1", "x_re2")
    frame = pd.DataFrame(X, columns=list("pqr"), index=np.zeros(24))
    design, rows = design_from_arrays(pd.Series(y, frame.index, name="out"), frame, groups, frame["p"])
    assert (design.y_name, design.x_names, design.terms[0].names) == ("out", ("p", "q", "r"), ("p",))
    assert rows.index.equals(frame.index)


@pytest.mark.parametrize("how", ["dict", "spec", "frames"])
def test_array_components(how):
    y, X, groups = arrays()
    where = {label: np.flatnonzero(groups == label) for label in "abcd"}
    blocks = {label: X[at][:, [0, 2]] for label, at in where.items()}
    if how == "frames":
        blocks = {label: pd.DataFrame(block, columns=["s", "t"]) for label, block in blocks.items()}
    vc = {"two": blocks}
    if how == "spec":
        vc = Spec(["two"], [[["s", "t"]] * 4], [list(blocks.values())])
    design, rows = design_from_arrays(y, X, groups, exog_vc=vc)
    (term,) = design.terms
    assert (term.label, term.n_levels, term.loaded) == ("two", 8, True)
    wanted = np.zeros((24, 8))
    for k, label in enumerate("abcd"):
        wanted[where[label], 2 * k : 2 * k + 2] = X[where[label]][:, [0, 2]]
    np.testing.assert_allclose(rows.terms[0].loadings.toarray(), wanted)
    assert term.levels[3] == ("b", "1" if how == "dict" else "t")


def test_array_components_of_one_column_become_codes():
    y, X, groups = arrays()
    X[3, 0] = 0.0
    vc = {"v": {label: X[groups == label, :1] for label in "abcd"}}
    (own,) = design_from_arrays(y, X, groups, exog_vc=vc)[1].terms
    assert own.codes.tolist() == encode(groups)[0].tolist()
    np.testing.assert_array_equal(own.columns, X[:, :1])


def test_arrays_lose_missing_rows_together():
    y, X, groups = arrays()
    vc = {"v": {label: X[groups == label][:, [0, 2]].copy() for label in "abcd"}}
    labels = groups.astype(object)
    y[0], X[7, 0], labels[13] = np.nan, np.nan, None
    vc["v"]["b"] = vc["v"]["b"][:]
    vc["v"]["d"][2, 1] = np.nan  # row 20
    with pytest.raises(
        DataError,
        match=r"endog \(1 rows\), exog \(1 rows\), groups \(1 rows\), exog_re \(1 rows\), exog_vc 'v'",
    ):
        design_from_arrays(y, X, labels, X[:, :1] * 0 + 1, exog_vc=without(vc, groups, 13), missing="raise")
    design, rows = design_from_arrays(y, X, labels, np.ones(24), exog_vc=without(vc, groups, 13), missing="drop")
    kept = np.delete(np.arange(24), [0, 7, 13, 20])
    np.testing.assert_array_equal(rows.y, y[kept])
    assert design.n_missing == 4
    np.testing.assert_array_equal(design.terms[0].levels[rows.terms[0].codes], groups[kept])
    found = rows.terms[1].loadings.toarray()
    np.testing.assert_allclose(found.sum(axis=1), X[kept][:, [0, 2]].sum(axis=1))


def without(vc, groups, row):
    """The components of a table in which `row` has no label."""
    label = groups[row]
    at = int(np.flatnonzero(np.flatnonzero(groups == label) == row)[0])
    blocks = dict(vc["v"])
    blocks[label] = np.delete(blocks[label], at, axis=0)
    return {"v": blocks}
