"""What the row groups of a file say of a column of whole numbers, and when they say nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from henderson.sources.streams.registry import open_source


def said(folder: Path, *columns: pyarrow.Array, name: str = "g", **options: object) -> list[int] | None:
    for k, column in enumerate(columns):
        table = pyarrow.table({"g": column, "x": np.arange(len(column)), "s": [{"g": 1}] * len(column)})
        parquet.write_table(table, folder / f"{k}.parquet", row_group_size=2, **options)
    found = open_source(str(folder / "*.parquet")).whole_numbers(name)
    return None if found is None else found.tolist()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64"])
def test_the_smallest_and_the_largest_of_all_row_groups_and_files(dtype, tmp_path):
    values = np.array([5, 3, 127, 4, 9], dtype)
    assert said(tmp_path, pyarrow.array(values), pyarrow.array(values[:0]), pyarrow.array(values[:1])) == [3, 127]
    assert open_source(str(tmp_path / "*.parquet")).whole_numbers("g").dtype == dtype


def test_numbers_below_zero_and_beyond_half_of_what_has_no_sign(tmp_path):
    assert said(tmp_path, pyarrow.array([-7, 5, -300])) == [-300, 5]
    (tmp_path / "u").mkdir()
    assert said(tmp_path / "u", pyarrow.array(np.array([1, 2**64 - 1, 7], "uint64"))) == [1, 2**64 - 1]


@pytest.mark.parametrize(
    "columns",
    [
        [[1, None, 3]],  # something is missing
        [[1.0, 2.0]],
        [["1", "2"]],
        [[True, False]],
        [np.array(["2020-01-01"], "datetime64[s]")],
        [np.array([1, 2], "int32"), np.array([1, 2], "int64")],  # of two types
        [[]],
    ],
)
def test_what_is_no_column_of_whole_numbers_says_nothing(columns, tmp_path):
    assert said(tmp_path, *map(pyarrow.array, columns)) is None


def test_without_statistics_or_the_column_nothing_is_said(tmp_path):
    assert said(tmp_path, pyarrow.array([1, 2, 3]), write_statistics=False) is None
    assert said(tmp_path, pyarrow.array([1, 2, 3]), name="none") is None
    assert said(tmp_path, pyarrow.array([1, 2, 3]), name="s") is None
