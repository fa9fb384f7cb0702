"""Which files a path means, and what is wrong with one: the fit of the table in memory, or an error that names it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import dataset, parquet

from henderson import DataError, lmer

#: sums in another order differ by rounding
CLOSE = 1e-10
FORMULA = "y ~ x + a + (1 | g)"


def _table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g, x = rng.integers(0, 9, 240), rng.normal(size=240)
    return pd.DataFrame(
        {"y": x + rng.normal(size=9)[g] + rng.normal(size=240), "x": x, "a": rng.choice(list("uvw"), 240), "g": g}
    )


DATA = _table()
DEVIANCE = lmer(FORMULA, DATA).deviance
HALVES = [DATA.iloc[:100], DATA.iloc[100:]]


def _parquet(folder: Path, **options: Any) -> str:
    for k, part in enumerate(HALVES):
        parquet.write_table(pyarrow.Table.from_pandas(part, preserve_index=False), folder / f"{k}.parquet", **options)
    return str(folder / "*.parquet")


def _hive(folder: Path, column: str, kind: str = "parquet") -> Path:
    table = pyarrow.Table.from_pandas(DATA, preserve_index=False)
    dataset.write_dataset(table, folder, format=kind, partitioning=[column], partitioning_flavor="hive")
    return folder


def _compressed(path: Path, text: str) -> Path:
    with pyarrow.CompressedOutputStream(str(path), "zstd") as stream:
        stream.write(text.encode())
    return path


def _zstandard(folder: Path) -> str:
    for k, part in enumerate(HALVES):
        _compressed(folder / f"{k}.csv.zst", part.to_csv(index=False))
    return str(folder / "*.zst")


def _zstandard_below(folder: Path) -> Path:
    for name, part in DATA.groupby("a"):
        (folder / f"a={name}").mkdir()
        _compressed(folder / f"a={name}" / "x.csv.zst", part.drop(columns="a").to_csv(index=False))
    return folder


def _beside_others(folder: Path) -> Path:
    _parquet(folder)
    (folder / "README.md").write_text("what these are")
    (folder / "_SUCCESS").write_text("")
    return folder


def _leads_back(folder: Path) -> Path:
    _parquet(folder)
    os.symlink(folder, folder / "again")
    return folder


def _newlines(folder: Path) -> Path:
    DATA.replace({"a": {"u": 'u\n"u", u'}}).to_csv(folder / "x.csv", index=False, encoding="utf-8-sig")
    return folder / "x.csv"


SOURCES: dict[str, Callable[[Path], Any]] = {
    "zstandard": _zstandard,
    "zstandard below folders": _zstandard_below,
    "group in folders": lambda folder: _hive(folder, "g"),
    "glob of files in folders": lambda folder: str(_hive(folder, "a") / "**/*.parquet"),
    "glob of folders": lambda folder: str(_hive(folder, "g", "csv") / "g=*"),
    "folder with other files": _beside_others,
    "folder that leads back": _leads_back,
    "byte-order mark and newlines in quotes": _newlines,
    "checksums": lambda folder: _parquet(folder, write_page_checksum=True),
    "empty table first": lambda folder: iter([DATA.iloc[:0], *HALVES]),
    "function, empty table first": lambda folder: lambda: iter([DATA.iloc[:0], *HALVES]),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_the_fit_of_the_table(kind: str, tmp_path: Path) -> None:
    fit = lmer(FORMULA, SOURCES[kind](tmp_path))
    assert fit.nobs == len(DATA)
    assert fit.deviance == pytest.approx(DEVIANCE, rel=CLOSE)


def _zeroed(folder: Path) -> str:
    """A part of a page that would be read as zeros."""
    files = _parquet(folder, write_page_checksum=True, compression="none", use_dictionary=False)
    path = folder / "1.parquet"
    content = path.read_bytes()
    begin = content.index(HALVES[1]["x"].to_numpy().tobytes())
    path.write_bytes(content[: begin + 80] + bytes(160) + content[begin + 240 :])
    return files


def _late_text(folder: Path, compress: bool = False) -> Path:
    many = pd.concat([DATA] * 150, ignore_index=True).astype({"x": object})
    many.loc[len(many) - 5, "x"] = "oops"
    text = many.to_csv(index=False)
    if compress:
        return _compressed(folder / "x.csv.zst", text)
    (folder / "x.csv").write_text(text)
    return folder / "x.csv"


def _shortened(folder: Path) -> str:
    files = _zstandard(folder)
    content = (folder / "1.csv.zst").read_bytes()
    (folder / "1.csv.zst").write_bytes(content[: len(content) // 2])
    return files


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "page": (_zeroed, "1.parquet: .*CRC checksum"),
    "text far on": (_late_text, "x.csv: In the column 'x' of the CSV file: .*'oops'"),
    "text far on, zstandard": (lambda folder: _late_text(folder, True), "x.csv.zst: In the column 'x'"),
    "zstandard cut": (_shortened, "1.csv.zst: Truncated"),
    "twice": (lambda folder: [_parquet(folder), str(folder / "0.parquet")], "0.parquet is among the files twice"),
    "filtered": (
        lambda folder: dataset.dataset(_hive(folder, "a")).filter(dataset.field("x") > 0),
        "the dataset is filtered",
    ),
    "query, a row far on": (
        lambda folder: f"SELECT y, CAST(CASE WHEN x > 2 THEN 'oops' END AS DOUBLE) x, a, g FROM '{_parquet(folder)}'",
        "the query cannot be run: Conversion Error",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_named(fault: str, tmp_path: Path) -> None:
    make, said = FAULTS[fault]
    with pytest.raises(DataError, match=said):
        lmer(FORMULA, make(tmp_path))


def test_the_same_file_by_another_name(tmp_path: Path) -> None:
    _parquet(tmp_path)
    os.symlink(tmp_path / "0.parquet", tmp_path / "2.parquet")
    with pytest.raises(DataError, match=r"2.parquet is among the files twice \(.*0.parquet is the same file\)"):
        lmer(FORMULA, tmp_path)
