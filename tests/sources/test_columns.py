"""Columns of any type: the model is that of plain pandas columns, and so are its labels."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

from henderson import DataError, lmer, mixedlm
from henderson.sources.columns import settle, to_array

# one model through two tables is one computation; orders of levels may differ, so sums do in their rounding
RTOL = 1e-9
BIG = 2**53
N = 60


def table():
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(6), 10)
    x = np.tile(np.arange(10), 6)
    y = rng.normal(size=N) + 0.3 * x + np.repeat(rng.normal(size=6) * 2, 10)
    return pd.DataFrame({"y": y, "x": x, "g": g, "b": np.arange(N) % 3 == 0})


def with_null(values):
    return [None, *values[1:]]


INTEGERS = {
    "pandas Int64": lambda v: pd.array(v, dtype="Int64"),
    "pandas UInt64": lambda v: pd.array(v, dtype="UInt64"),
    "pandas int64[pyarrow]": lambda v: pd.array(v, dtype="int64[pyarrow]"),
    "pandas object": lambda v: np.array(v, dtype=object),
    "masked": lambda v: np.ma.masked_array([0 if k is None else k for k in v], [k is None for k in v]),
    "list": list,
    "polars": lambda v: polars.Series(v, dtype=polars.Int64),
    "polars Int128": lambda v: polars.Series(v, dtype=polars.Int128),
    "pyarrow": lambda v: pyarrow.array(v, pyarrow.int64()),
    "pyarrow chunks": lambda v: pyarrow.chunked_array([v[:7], v[7:]], pyarrow.int64()),
}


@pytest.mark.parametrize("make", INTEGERS.values(), ids=INTEGERS)
@pytest.mark.parametrize("low", [0, BIG])
@pytest.mark.parametrize("null", [False, True])
def test_integers_with_nulls_stay_integers(make, low, null):
    data = table()
    labels = [low + int(k) for k in data["g"]]
    want = lmer("y ~ x + (1 | g)", data.iloc[1:] if null else data)
    given = {"y": data["y"].to_numpy(), "x": data["x"].to_numpy(), "g": make(with_null(labels) if null else labels)}
    fit = lmer("y ~ x + (1 | g)", given)
    assert fit.ranef["g"].index.tolist() == [low + k for k in range(6)]
    assert all(isinstance(label, int) for label in fit.ranef["g"].index.tolist())
    np.testing.assert_allclose(fit.deviance, want.deviance, rtol=RTOL)
    new = {"y": [0.0] * 3, "x": [1, 2, 3], "g": make([low + 5, low + 4, low + 1])}
    rows = pd.DataFrame({"x": [1, 2, 3], "g": [5, 4, 1]})
    np.testing.assert_allclose(fit.predict(new, random=True), want.predict(rows, random=True), rtol=RTOL)


FRAMES = {
    "polars": polars.DataFrame,
    "pyarrow": pyarrow.table,
    "nullable": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "arrow dtypes": lambda columns: pd.DataFrame(columns).convert_dtypes(dtype_backend="pyarrow"),
}


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_tables_with_nulls(make):
    data = table()
    columns = {name: data[name].tolist() for name in data}
    for name in ("g", "b", "x"):
        columns[name] = with_null(columns[name])
    want = lmer("y ~ x + b + C(x > 4) + (1 | g)", data.iloc[1:])
    fit = lmer("y ~ x + b + C(x > 4) + (1 | g)", make(columns))
    assert fit.fixef.index.tolist() == want.fixef.index.tolist()
    np.testing.assert_allclose(fit.fixef, want.fixef, rtol=RTOL)
    assert fit.ranef["g"].index.tolist() == list(range(6))
    complete = make({name: values[1:] for name, values in columns.items()})
    np.testing.assert_allclose(fit.predict(complete, random=True), fit.fittedvalues, rtol=RTOL)
    with pytest.raises(DataError, match="'g' is missing in row 0"):
        fit.predict(make(columns), random=True)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8", "uint16", "uint32", "uint64", ">i4", ">i8"])
def test_small_and_unsigned_integers_do_not_wrap(dtype):
    data = table()
    info = np.iinfo(np.dtype(dtype))
    labels = np.array(
        [info.min, info.min + 1, info.min // 2 + info.max // 2, info.max - 2, info.max - 1, info.max], object
    )
    want = lmer("y ~ x + (1 | g)", data)
    fit = lmer("y ~ x + (1 | g)", {**data.to_dict("series"), "g": pd.Series(labels.astype(dtype)[data["g"]])})
    assert fit.ranef["g"].index.tolist() == [int(k) for k in labels]
    np.testing.assert_allclose(fit.ranef["g"].to_numpy(), want.ranef["g"].to_numpy(), rtol=1e-7)
    new = {"x": np.zeros(6), "g": labels.astype(dtype)}
    np.testing.assert_allclose(
        fit.predict(new, random=True), want.predict({"x": np.zeros(6), "g": np.arange(6)}, random=True), rtol=1e-7
    )


def test_more_than_127_levels_of_small_types_are_crossed():
    rng = np.random.default_rng(0)
    n = 6000
    a, b = rng.integers(-128, 128, n), rng.integers(0, 200, n)
    y = rng.normal(size=n)
    want = lmer("y ~ 1 + (1 | a) + (1 | a:b)", {"y": y, "a": a, "b": b})
    narrow = {"y": y, "a": a.astype(np.int8), "b": pd.Categorical(b)}
    fit = lmer("y ~ 1 + (1 | a) + (1 | a:b)", narrow)
    assert fit.ngrps == want.ngrps
    assert fit.ranef["a:b"].index.tolist() == want.ranef["a:b"].index.tolist()
    np.testing.assert_allclose(fit.predict(narrow, random=True), fit.fittedvalues, rtol=RTOL)


def test_unsigned_near_their_end():
    data = table().assign(g=lambda d: d["g"].astype(np.uint64) + np.uint64(2**64 - 100))
    assert lmer("y ~ x + (1 | g)", data).ranef["g"].index.tolist() == [2**64 - 100 + k for k in range(6)]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble, ">f8"])
def test_floats_of_any_width_are_labels_and_covariates(dtype):
    data = table()
    want = lmer("y ~ x + (1 | g)", data)
    fit = lmer("y ~ x + (1 | g)", {"y": data["y"], "x": data["x"].to_numpy(dtype), "g": data["g"].to_numpy(dtype)})
    np.testing.assert_allclose(fit.deviance, want.deviance, rtol=RTOL)
    assert fit.ranef["g"].index.tolist() == list(range(6))


def test_zeros_of_both_signs_are_one_level_and_nan_is_missing():
    data = table().assign(g=lambda d: d["g"].astype(float))
    data.loc[:4, "g"] = -0.0
    assert str(lmer("y ~ x + (1 | g)", data).ranef["g"].index[0]) == "0.0"
    data.loc[0, "g"] = np.nan
    fit = lmer("y ~ x + (1 | g)", data)
    assert (fit.nobs, fit.ngrps["g"]) == (N - 1, 6)


LABELS = {
    "dates": [datetime.date(2020, 1, day) for day in range(1, 7)],
    "times of the day": [datetime.time(hour) for hour in range(6)],
    "datetime64": pd.date_range("2020-01-01", periods=6).to_numpy(),
    "days": np.arange("2020-01-01", "2020-01-07", dtype="datetime64[D]"),
    "time zone": pd.array(pd.date_range("2020-01-01", periods=6, tz="Europe/Zurich")),
    "timedelta": pd.to_timedelta(np.arange(6), unit="h").to_numpy(),
    "Decimal": [Decimal(k) / 10 for k in range(6)],
    "trailing spaces": ["", " ", "a", "a ", "a  ", "b"],
    "unicode": ["a", "z", "ä", "é", "日本", "🙂"],
    "bytes": [b"a", b"b", b"c", b"d", b"e", b"f"],
    "tuples": [(0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1)],
    "mixed": [1, 2, "1", "2", "a", "b"],
    "periods": pd.array(pd.period_range("2020-01", periods=6, freq="M")),
    "intervals": pd.array(pd.interval_range(0, 6)),
    "string[pyarrow]": pd.array(list("abcdef"), dtype="string[pyarrow]"),
    "ordered": pd.Categorical(list("abcdef"), list("abcdefxyz"), ordered=True),
    "integers as categories": pd.Categorical([10, 11, 12, 13, 14, 15]),
}


def spread(labels, codes):
    if isinstance(labels, list):
        out = np.empty(len(codes), dtype=object)
        out[:] = [labels[code] for code in codes]
        return out
    return labels[codes]


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_any_type(labels):
    data = table()
    want = lmer("y ~ x + (1 | g)", data)
    given = {"y": data["y"].to_numpy(), "x": data["x"].to_numpy(), "g": spread(labels, data["g"].to_numpy())}
    for frame in (given, pd.DataFrame(given)):
        fit = lmer("y ~ x + (1 | g)", frame)
        np.testing.assert_allclose(fit.ranef["g"].to_numpy(), want.ranef["g"].to_numpy(), rtol=1e-7)
        assert fit.ranef["g"].index.tolist() == list(pd.Index(labels))
        new = {"x": np.zeros(2), "g": spread(labels, np.array([4, 1]))}
        expected = want.predict({"x": np.zeros(2), "g": [4, 1]}, random=True)
        np.testing.assert_allclose(fit.predict(new, random=True), expected, rtol=1e-7)
        door = mixedlm("y ~ x", frame, groups="g").fit()
        np.testing.assert_allclose(door.llf, want.llf, rtol=RTOL)
        np.testing.assert_allclose(door.predict(new, random=True), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(pyarrow.array(list("abcabc") * 10).dictionary_encode(), dtype=pd.ArrowDtype(
            pyarrow.dictionary(pyarrow.int32(), pyarrow.string()))),
        polars.Series(list("abcabc") * 10, dtype=polars.Categorical),
        polars.Series(list("abcabc") * 10, dtype=polars.Enum(["a", "b", "c"])),
        pyarrow.array(list("abcabc") * 10).dictionary_encode(),
        pd.Series(list("abcabc") * 10, dtype="string[pyarrow]"),
        pd.Series(list("abcabc") * 10, dtype="category"),
        pd.array(list("abcabc") * 10, dtype=object),  # was "dates or times"
    ],
    ids=["arrow dtype", "polars Categorical", "polars Enum", "pyarrow", "string[pyarrow]", "category", "pd.array"],
)  # fmt: skip
def test_factors_of_any_make(column):
    data = table().assign(f=list("abcabc") * 10)
    want = lmer("y ~ f + (1 | g)", data)
    given = {"y": data["y"].to_numpy(), "g": data["g"].to_numpy(), "f": column}
    fit = lmer("y ~ f + (1 | g)", given)
    assert fit.fixef.index.tolist() == want.fixef.index.tolist()
    np.testing.assert_allclose(fit.fixef, want.fixef, rtol=1e-7)
    np.testing.assert_allclose(fit.predict({"f": ["c", "a"]}), want.predict({"f": ["c", "a"]}), rtol=1e-7)
    np.testing.assert_allclose(lmer("y ~ 1 + (1 | f)", given).deviance, lmer("y ~ 1 + (1 | f)", data).deviance)


def test_dictionaries_of_arrow_are_in_order_unless_somebody_chose_another():
    """Visits were in the order in which their entries were met, and those of AR(1) next to each other at random."""
    met, chosen = ["c", "a", "b"] * 20, ["b", "c", "a"]
    polars_made = polars.Series(met, dtype=polars.Categorical)
    text = pyarrow.array(met)
    for column in (text.dictionary_encode(), polars_made, polars_made.to_arrow()):
        assert lmer("y ~ f + (1 | g)", {**table(), "f": column}).fixef.index[-2:].tolist() == ["f[T.b]", "f[T.c]"]
    of_pandas = pyarrow.Table.from_pandas(table().assign(f=pd.Categorical(met, chosen)))
    enum = polars.Series(met, dtype=polars.Enum(chosen))
    for given in (of_pandas, {**table(), "f": enum}, {**table(), "f": enum.to_arrow()}):
        assert lmer("y ~ f + (1 | g)", given).fixef.index[-2:].tolist() == ["f[T.c]", "f[T.a]"]


@pytest.mark.parametrize("role", ["y", "x", "g", "w", "o"])
def test_masked_entries_are_missing_in_every_position(role):
    data = table().assign(w=np.linspace(1, 2, N), o=np.linspace(0, 1, N)).drop(columns="b")
    given = {name: data[name].to_numpy() for name in data}
    spoilt = given[role].copy()
    spoilt[3] = 120
    masked = np.ma.masked_array(spoilt, mask=np.arange(N) == 3)
    want = lmer("y ~ x + (1 | g)", data.drop(index=3), weights="w", offset="o")
    fit = lmer("y ~ x + (1 | g)", {**given, role: masked}, weights="w", offset="o")
    assert fit.nobs == N - 1
    np.testing.assert_allclose(fit.deviance, want.deviance, rtol=RTOL)
    beside = {"weights": given["w"], "offset": given["o"]} | {
        name: masked for name, own in (("weights", "w"), ("offset", "o")) if own == role
    }
    if role in "wo":
        np.testing.assert_allclose(lmer("y ~ x + (1 | g)", given, **beside).deviance, want.deviance, rtol=RTOL)


def test_masks_of_arrays_and_of_records():
    from henderson import MixedLM

    data = table()
    X = np.ma.masked_array(np.column_stack([np.ones(N), data["x"]]), mask=np.zeros((N, 2)))
    X[3, 1] = np.ma.masked
    want = mixedlm("y ~ x", data.drop(index=3), groups="g").fit()
    got = MixedLM(data["y"].to_numpy(), X, data["g"].to_numpy(), missing="drop").fit()
    np.testing.assert_allclose(got.llf, want.llf, rtol=RTOL)
    g = np.ma.masked_array(data["g"].to_numpy(), mask=np.arange(N) == 3)
    got = MixedLM(data["y"].to_numpy(), X.data, g, missing="drop").fit()
    np.testing.assert_allclose(got.llf, want.llf, rtol=RTOL)
    with pytest.raises(DataError, match=r"missing values in groups \(1 rows\)"):
        MixedLM(data["y"].to_numpy(), X.data, g)
    records = np.ma.masked_array(data[["y", "x", "g"]].to_records(index=False))
    records["x"][3] = np.ma.masked
    assert lmer("y ~ x + (1 | g)", records).nobs == N - 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [[1], [1, 2]] * 30}, "'x' has cells of several lengths"),
        ({"x": pd.Series([[1, 2]] * N)}, "'x' holds Python objects \\(list\\)"),
        ({"g": [{"k": i % 4} for i in range(N)]}, "'g' holds Python objects \\(dict\\)"),
        ({"x": pd.Series([[1.0]] * N, dtype=pd.ArrowDtype(pyarrow.list_(pyarrow.float64())))}, "'x' holds lists"),
        ({"x": polars.Series([[1.0]] * N)}, "'x' holds lists"),
        ({"x": polars.Series([{"a": 1}] * N)}, "'x' holds structs"),
        ({"x": 3.0}, "'x' must be one-dimensional, it is float"),
        ({"x": "text"}, "'x' must be one-dimensional, it is str"),
    ],
)
def test_cells_that_are_no_values(columns, message):
    with pytest.raises(DataError, match=message):
        lmer("y ~ x + (1 | g)", {**table().to_dict("list"), **columns})


@pytest.mark.parametrize("values", [np.array([3, 10] * 30, object), [Decimal(3), Decimal(10)] * 30])
def test_objects_are_categories_where_asked(values):
    data = table().assign(k=[3, 10] * 30)
    want = lmer("y ~ C(k) + (1 | g)", data)
    fit = lmer("y ~ C(k) + (1 | g)", data.assign(k=values))
    assert fit.params.index.tolist() == want.params.index.tolist()
    np.testing.assert_allclose(fit.predict({"k": [10, 3]}), want.predict({"k": [10, 3]}), rtol=RTOL)


def test_columns_of_one_name_that_are_not_used():
    data = table()
    arrays = [pyarrow.array(data[name]) for name in ("y", "x", "g", "x", "x")]
    arrow = pyarrow.table(arrays, names=["y", "x", "g", "u", "u"])
    np.testing.assert_allclose(lmer("y ~ x + (1 | g)", arrow).deviance, lmer("y ~ x + (1 | g)", data).deviance)
    with pytest.raises(DataError, match="2 columns named 'u'"):
        lmer("y ~ u + (1 | g)", arrow)


def test_what_stays_when_nothing_is_missing():
    assert settle(pd.array([1, 2], dtype="UInt8")).dtype == np.uint8
    assert settle(pd.array([True, False], dtype="boolean")).dtype == bool
    assert to_array(np.ma.masked_array([1, 2]), "x").dtype.kind == "i"
    assert to_array(np.array([1.0], ">f8"), "x").dtype.isnative


@pytest.mark.parametrize(
    "formula", ["y ~ ns + (1 | g)", "y ~ I(ns - ns.min()) + (1 | g)", "y ~ f + (0 + scale(ns) | g)"]
)
@pytest.mark.parametrize("dtype", ["int64", "Int64"])
def test_nanoseconds_that_doubles_do_not_tell_apart(formula, dtype):
    """Steps of 100 ns, where doubles since 1970 are 256 ns apart: F was 3 % off without a word."""
    rng = np.random.default_rng(1)
    base, steps = 1_790_000_000_123_456_789, np.arange(30)
    table = pd.DataFrame({"y": rng.normal(size=30), "g": np.arange(30) % 5, "f": list("abc") * 10})
    table["ns"] = pd.array(base + 100 * steps, dtype=dtype)
    with pytest.raises(DataError, match="'ns' has whole numbers beyond"):
        lmer(formula, table)
    table["ns"] = pd.array(base + 10**9 * steps, dtype=dtype)
    assert "ns" in lmer("y ~ ns + (1 | g)", table).params
    table["g"] = base + table["g"]
    assert lmer("y ~ 1 + (1 | g)", table).ngrps["g"] == 5
