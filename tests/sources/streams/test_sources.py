"""Every kind of source gives the fit of the table in memory; what is wrong with one is said with its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from pyarrow import csv, dataset, feather, parquet

from henderson import DataError, FormulaError, lmer, mixedlm
from henderson.sources.streams import source as source_module
from henderson.sources.streams.registry import is_stream, open_source

#: sums in another order differ by rounding
CLOSE = 1e-10
FORMULA = "y ~ x + a + (x | g)"


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "PART", 300)


def table(n: int = 1500, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = rng.integers(0, 30, n)
    x = rng.normal(3, 1, n)
    y = x + rng.normal(size=30)[g] + rng.normal(size=30)[g] * x + rng.normal(size=n)
    data = pd.DataFrame({"y": y, "x": x, "a": rng.choice(list("uvw"), n), "g": g, "idle": "never read"})
    data.loc[rng.choice(n, 30, replace=False), "a"] = None
    return data


def halves(data: pd.DataFrame) -> list[pd.DataFrame]:
    return [data.iloc[:700], data.iloc[700:]]


def arrow(data: pd.DataFrame) -> pyarrow.Table:
    return pyarrow.Table.from_pandas(data, preserve_index=False)


def write_files(data: pd.DataFrame, folder: Path, kind: str) -> str:
    for k, part in enumerate(halves(data)):
        path = str(folder / f"{k}.{kind}")
        if kind == "parquet":
            parquet.write_table(arrow(part), path, row_group_size=200)
        elif kind == "feather":
            feather.write_feather(arrow(part), path)
        elif kind == "csv":
            part.to_csv(path, index=False)
        elif kind == "tsv":
            part.to_csv(path, index=False, sep="\t", na_rep="NA")
        else:
            part.to_csv(path, index=False, compression="gzip")
    return str(folder / f"*.{kind}")


def hive(data: pd.DataFrame, folder: Path) -> Path:
    dataset.write_dataset(
        arrow(data.dropna()), folder / "h", format="parquet", partitioning=["a"], partitioning_flavor="hive"
    )
    return folder / "h"


def query(data: pd.DataFrame, folder: Path) -> tuple[str, Any]:
    files = write_files(data, folder, "parquet")
    return f"SELECT * FROM '{files}'", duckdb.connect()


SOURCES: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    **{
        kind: (lambda data, folder, kind=kind: write_files(data, folder, kind))
        for kind in ("parquet", "feather", "csv", "tsv", "csv.gz")
    },
    "list of paths": lambda data, folder: sorted(Path(write_files(data, folder, "parquet")).parent.glob("*.parquet")),
    "folder": lambda data, folder: Path(write_files(data, folder, "parquet")).parent,
    "columns in names of folders": hive,
    "dataset": lambda data, folder: dataset.dataset(Path(write_files(data, folder, "parquet")).parent),
    "dataset in memory": lambda data, folder: dataset.dataset(arrow(data)),
    "query and connection": query,
    "query": lambda data, folder: query(data, folder)[0],
    "relation": lambda data, folder: duckdb.sql(query(data, folder)[0]),
    "LazyFrame": lambda data, folder: polars.scan_parquet(write_files(data, folder, "parquet")),
    "LazyFrame of categories": lambda data, folder: (
        polars.from_pandas(data).lazy().with_columns(polars.col("a").cast(polars.Categorical))
    ),
    "iterator": lambda data, folder: iter(halves(data)),
    "iterator of polars": lambda data, folder: (polars.from_pandas(part) for part in halves(data)),
    "iterator of batches": lambda data, folder: iter(arrow(data).to_batches(max_chunksize=400)),
    "iterator of dicts": lambda data, folder: ({name: part[name].to_numpy() for name in part} for part in halves(data)),
    "function": lambda data, folder: lambda: iter(halves(data)),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_the_fit_of_the_table(kind: str, tmp_path: Path) -> None:
    data = table()
    source = SOURCES[kind](data, tmp_path)
    assert is_stream(source)
    found, wanted = lmer(FORMULA, source), lmer(FORMULA, data)
    assert found.nobs == wanted.nobs
    assert found.design.n_missing == (0 if "folders" in kind else wanted.design.n_missing)
    assert found.deviance == pytest.approx(wanted.deviance, rel=CLOSE)
    np.testing.assert_allclose(found.params, wanted.params, rtol=CLOSE)
    np.testing.assert_allclose(found.bse, wanted.bse, rtol=CLOSE)
    np.testing.assert_allclose(found.engine.b[0], wanted.engine.b[0], rtol=1e-8)
    assert found.design.terms[0].levels.tolist() == wanted.design.terms[0].levels.tolist()


def test_categories_keep_their_order(tmp_path: Path) -> None:
    """Two files whose dictionaries differ: the order is that of the first file, then of the second."""
    data = table().dropna()
    data["a"] = data["a"].cat.set_categories(list("wuv")) if hasattr(data["a"], "cat") else pd.Categorical(
        data["a"], list("wuv")
    )  # fmt: skip
    one, other = halves(data[data["a"] != "v"])[0], halves(data)[1]
    one = one.assign(a=one["a"].cat.remove_unused_categories())
    one.to_parquet(tmp_path / "0.parquet")
    other.to_parquet(tmp_path / "1.parquet")
    fit = lmer(FORMULA, tmp_path / "*.parquet")
    assert fit.params.index.tolist() == ["(Intercept)", "x", "a[T.u]", "a[T.v]"]


def test_only_columns_of_the_model_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    class Watched:
        names, n, title, again = ("y", "x", "a", "g", "idle"), None, "watched", True

        def held(self, columns: Any) -> Any:
            raise AssertionError("not called")

        def parts(self, columns: Any) -> Iterator[Any]:
            asked.append(tuple(columns))
            yield from open_source(lambda: iter(halves(table()))).parts(columns)

    from henderson.engine.from_source import summed

    summed(FORMULA, Watched())
    assert {name for columns in asked for name in columns} == {"y", "x", "a", "g"}
    assert set(asked[1]) == {"a", "g"}, "the first pass learns factors and groups alone"
    assert len(asked) == 3


# faults


def test_truncated_file(tmp_path: Path) -> None:
    files = write_files(table(), tmp_path, "parquet")
    whole = (tmp_path / "1.parquet").read_bytes()
    (tmp_path / "1.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cannot read .*1\.parquet"):
        lmer(FORMULA, files)


def test_damaged_page(tmp_path: Path) -> None:
    files = write_files(table(), tmp_path, "parquet")
    whole = bytearray((tmp_path / "1.parquet").read_bytes())
    whole[4:1500] = bytes(1496)
    (tmp_path / "1.parquet").write_bytes(bytes(whole))
    with pytest.raises(DataError, match=r"cannot read .*1\.parquet"):
        lmer(FORMULA, files)


def test_bad_line_of_csv(tmp_path: Path) -> None:
    files = write_files(table(), tmp_path, "csv")
    with (tmp_path / "1.csv").open("a") as file:
        file.write("1,2\n")
    with pytest.raises(DataError, match=r"cannot read .*1\.csv"):
        lmer(FORMULA, files)


def test_another_schema(tmp_path: Path) -> None:
    data = table()
    files = write_files(data, tmp_path, "parquet")
    for column, values, said in (
        ("x", halves(data)[1]["x"].astype(str), r"1\.parquet.*'x' holds text, in .*0\.parquet it holds numbers"),
        ("g", halves(data)[1]["g"].map("g{}".format), r"1\.parquet.*'g' holds text"),
    ):
        parquet.write_table(arrow(halves(data)[1].assign(**{column: values})), tmp_path / "1.parquet")
        with pytest.raises(DataError, match=said):
            lmer(FORMULA, files)
    parquet.write_table(arrow(halves(data)[1].drop(columns="x")), tmp_path / "1.parquet")
    with pytest.raises(DataError, match=r"1\.parquet: the data has no column 'x'"):
        lmer(FORMULA, files)


def test_numbers_of_another_width_and_columns_in_another_order(tmp_path: Path) -> None:
    data = table()
    files = write_files(data, tmp_path, "parquet")
    other = halves(data)[1].astype({"g": "int16"})[["g", "a", "x", "y"]]
    parquet.write_table(arrow(other), tmp_path / "1.parquet")
    assert lmer(FORMULA, files).deviance == pytest.approx(lmer(FORMULA, data).deviance, rel=CLOSE)


def test_empty_partition_and_empty_data(tmp_path: Path) -> None:
    data = table()
    files = write_files(data, tmp_path, "parquet")
    parquet.write_table(arrow(data.iloc[:0]), tmp_path / "2.parquet")
    nothing = pyarrow.table({name: pyarrow.nulls(0) for name in data})
    parquet.write_table(nothing, tmp_path / "3.parquet")
    assert lmer(FORMULA, files).deviance == pytest.approx(lmer(FORMULA, data).deviance, rel=CLOSE)
    with pytest.raises(DataError, match="the data has no rows"):
        lmer(FORMULA, str(tmp_path / "2.parquet"))
    with pytest.raises(DataError, match="no row is complete: 'a'"):
        lmer(FORMULA, lambda: iter([data.assign(a=None)]))


def test_all_missing_at_first(tmp_path: Path) -> None:
    """What a column holds is looked for further on."""
    data = table()
    first = halves(data)[0].assign(a=None, x=np.nan)
    both = pd.concat([first, halves(data)[1]])
    parquet.write_table(arrow(first), tmp_path / "0.parquet")
    parquet.write_table(arrow(halves(data)[1]), tmp_path / "1.parquet")
    found, wanted = lmer(FORMULA, str(tmp_path / "*.parquet")), lmer(FORMULA, both.reset_index(drop=True))
    assert found.nobs == wanted.nobs
    assert found.deviance == pytest.approx(wanted.deviance, rel=CLOSE)


def test_a_file_that_changes(tmp_path: Path) -> None:
    files = write_files(table(), tmp_path, "parquet")
    source = open_source(files)
    list(source.parts(("x",)))
    os.utime(tmp_path / "0.parquet", ns=(1, 1))
    with pytest.raises(DataError, match=r"0\.parquet changed while it was read"):
        list(source.parts(("x",)))
    times = (tmp_path / "1.parquet").stat()
    source = open_source(files)
    (tmp_path / "new").write_bytes((tmp_path / "1.parquet").read_bytes())
    os.utime(tmp_path / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
    (tmp_path / "new").replace(tmp_path / "1.parquet")  # of the same size and time, but another
    with pytest.raises(DataError, match=r"1\.parquet changed while it was read"):
        list(source.parts(("x",)))
    (tmp_path / "1.parquet").unlink()
    source = open_source(str(tmp_path / "0.parquet"))
    (tmp_path / "0.parquet").unlink()
    with pytest.raises(DataError, match=r"no such file: .*0\.parquet"):
        list(source.parts(("x",)))


def test_a_function_that_makes_other_rows() -> None:
    data, calls = table(), []

    def make() -> Iterator[pd.DataFrame]:
        calls.append(1)
        return iter([data if len(calls) < 4 else data.assign(g=data["g"] + len(calls))])

    with pytest.raises(DataError, match="'g' has the level"):
        lmer(FORMULA, make)


def test_an_iterator_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def stopped() -> Iterator[pd.DataFrame]:
        yield table()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lmer(FORMULA, stopped())
    fit = lmer(FORMULA, iter([table()]))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="can be gone through once"):
        list(fit.engine.streamed)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("nowhere.parquet", "no such file: nowhere.parquet"),
        ("nowhere/*.parquet", r"no file matches 'nowhere/\*\.parquet'"),
        (__file__, r"cannot read .*test_sources\.py: files that are read in parts end in \.parquet"),
        ("SELECT y FROM nowhere", "the query cannot be run: .*nowhere"),
        (("SELECT 1 AS x", duckdb.connect()), "no column 'y'"),
        (iter([]), "the iterator has no tables"),
        (iter([1]), "the iterator"),
        (polars.scan_parquet("nowhere.parquet"), "the LazyFrame cannot be read"),
    ],
)
def test_what_cannot_be_read(data: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        lmer(FORMULA, data)


def test_the_table_first_and_the_formula_second() -> None:
    """The formula is no file that is not there."""
    for fit in (
        lambda: lmer(table(), FORMULA),
        lambda: mixedlm(table(), "y ~ x", groups="g"),
        lambda: lmer({}, FORMULA),
    ):
        with pytest.raises(FormulaError, match=r"a formula is a string, not .*: it comes first, then the table"):
            fit()


def test_folders_of_several_formats(tmp_path: Path) -> None:
    write_files(table(), tmp_path, "parquet")
    csv.write_csv(arrow(table()), tmp_path / "x.csv")
    with pytest.raises(DataError, match="several formats"):
        lmer(FORMULA, tmp_path)


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_files_give_parts_as_long_as_asked(tmp_path, kind):
    """Of a row group, too, only so many rows at a time; what the files were like is still known."""
    data = table()
    path = tmp_path / f"one.{kind}"
    (parquet.write_table if kind == "parquet" else feather.write_feather)(arrow(data), path)
    source = source_module.in_parts_of(open_source(str(path)), 250)
    sizes = [part.table.n for part in source.parts(("y", "a"))]
    assert max(sizes) <= 250
    assert sum(sizes) == len(data)
    np.testing.assert_array_equal(np.concatenate([part.table["y"] for part in source.parts(("y",))]), data["y"])
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match="changed while it was read"):
        list(source.parts(("y",)))


def test_a_column_of_lists_is_read_beside_others(tmp_path):
    path = tmp_path / "one.parquet"
    data = table().dropna()
    parquet.write_table(arrow(data).append_column("several", pyarrow.array([[1.0, 2.0]] * len(data))), path)
    assert lmer("y ~ x + (1 | g)", str(path)).deviance == pytest.approx(lmer("y ~ x + (1 | g)", data).deviance)
    with pytest.raises(DataError, match="several"):
        lmer("y ~ several + (1 | g)", str(path))


def test_dictionaries_in_files_are_in_order_unless_somebody_chose_another(tmp_path: Path) -> None:
    data = table().dropna()
    parts = [data.iloc[:1], data.iloc[1:4], data.iloc[4:]]

    def factor_levels(source: Any) -> list[str]:
        return [name for name in lmer("y ~ a + (1 | g)", source).fixef.index if name.startswith("a")]

    for k, part in enumerate(parts):
        met = pyarrow.Table.from_pandas(part, preserve_index=False)
        met = met.set_column(2, "a", met["a"].dictionary_encode())
        parquet.write_table(met, tmp_path / f"met{k}.parquet")
        chosen = part.assign(a=pd.Categorical(part["a"], list("wuv")))
        chosen.to_parquet(tmp_path / f"chosen{k}.parquet")
        feather.write_feather(chosen, str(tmp_path / f"chosen{k}.feather"))
    assert factor_levels(str(tmp_path / "met*.parquet")) == ["a[T.v]", "a[T.w]"]
    enum = duckdb.sql(f"SELECT y, g, a::ENUM('w', 'u', 'v') AS a FROM '{tmp_path}/met*.parquet'")
    for source in (str(tmp_path / "chosen*.parquet"), str(tmp_path / "chosen*.feather"), enum):
        assert factor_levels(source) == ["a[T.u]", "a[T.v]"]
