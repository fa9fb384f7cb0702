"""Mappings of names to columns: dicts of arrays, lists and Series. Series say by their index which rows they are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError
from henderson.sources.alignment import aligned
from henderson.sources.columns import to_array
from henderson.sources.table import Table, named


def is_mapping(data: Any) -> bool:
    """Whether it is a dict or like one."""
    return isinstance(data, Mapping)


def read_mapping(data: Mapping[str, Any]) -> Table:
    """Its columns, in the rows of the first Series' index where there is one.

    Raises
    ------
    DataError
        When a column is no column, or they differ in length.

    Examples
    --------
    >>> read_mapping({"x": [1, 2], "g": ["a", "b"]}).names
    ('x', 'g')
    """
    lengths = {name: _length(values, name) for name, values in data.items()}
    index = next((v.index for v in data.values() if isinstance(v, pd.Series)), None)
    n = next(iter(lengths.values()), 0)
    if len(set(lengths.values())) > 1:
        common = max(lengths.values(), key=list(lengths.values()).count)
        name = next(name for name, length in lengths.items() if length != common)
        raise DataError(f"column {name!r} has {lengths[name]} rows, the others {common}")
    names, texts = named(data)
    columns = dict(zip(names, data, strict=True)) if texts else None

    def column(name: str) -> Any:
        return data[name if columns is None else columns[name]]

    if index is None:
        return Table(names, n, pd.RangeIndex(n), lambda name: to_array(column(name), name), texts=texts)
    return Table(names, n, index, lambda name: aligned(column(name), index, name), True, texts)


def _length(values: Any, name: str) -> int:
    if not hasattr(values, "__len__") or isinstance(values, str | bytes) or getattr(values, "ndim", 1) == 0:
        raise DataError(f"{name!r} must be one-dimensional, it is {type(values).__name__} {values!r:.40}")
    return max(np.shape(values)[:2]) if isinstance(values, np.ndarray) and 1 in values.shape[:2] else len(values)
