"""The types of what is given take every make of table that is read."""

from __future__ import annotations

import typing

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.sources.given import ColumnLike, FrameLike, StreamLike, TableLike


@pytest.mark.parametrize("make", ["pandas", "polars", "pyarrow"])
def test_tables_are_frames(make):
    columns = {"y": [1.0, 2.0, 4.0, 3.0], "g": list("aabb")}
    if make == "pandas":
        table = pd.DataFrame(columns)
    else:
        library = pytest.importorskip(make)
        table = library.DataFrame(columns) if make == "polars" else library.table(columns)
    assert isinstance(table, FrameLike)
    assert not isinstance(columns, FrameLike)
    assert henderson.lmer("y ~ 1 + (1 | g)", table).nobs == 4


def test_lmer_says_what_it_takes():
    hints = typing.get_type_hints(
        henderson.lmer,
        localns={
            "TableLike": TableLike,
            "StreamLike": StreamLike,
            "RowSums": henderson.RowSums,
            "ColumnLike": ColumnLike,
            "ArrayLike": np.typing.ArrayLike,
            "MixedModelResults": object,
        },
    )
    assert hints["data"] == TableLike | StreamLike | henderson.RowSums
    assert hints["weights"] == hints["offset"] == ColumnLike | None
