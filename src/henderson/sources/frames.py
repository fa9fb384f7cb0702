"""Tables of any make as columns: pandas, polars, pyarrow, dicts of arrays, NumPy records.

Only the columns that a model uses are ever touched.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError
from henderson.sources.alignment import aligned
from henderson.sources.columns import Array, from_narwhals, to_array


@dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    Attributes
    ----------
    names : tuple
        Column names in order, as the data has them (duplicates included).
    n : int
        Number of rows.
    index : pandas.Index of length n
    read : callable
        Name to column.
    labelled : bool
        Whether the data has an index of its own (else `index` counts the rows).
    """

    names: tuple[Any, ...]
    n: int
    index: pd.Index
    read: Callable[[str], Array]
    labelled: bool = False

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Array:
        count = self.names.count(name)
        if count == 0:
            raise DataError(unknown_column(name, self.names))
        if count > 1:
            raise DataError(f"the data has {count} columns named {name!r}")
        return self.read(name)


def unknown_column(name: str, names: Iterable[Any]) -> str:
    """What to say when there is no column `name`."""
    text = [str(known) for known in names]
    folded = {known.lower(): known for known in text}
    close = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.6)
    if close:
        hint = "did you mean " + " or ".join(repr(folded[match]) for match in close) + "?"
    else:
        shown = ", ".join(repr(known) for known in text[:12]) + (", …" if len(text) > 12 else "")
        hint = f"there are {shown}" if text else "it has none"
    return f"the data has no column {name!r}: {hint}"


def read_table(data: Any) -> Table:
    """The columns of `data`.

    Parameters
    ----------
    data : pandas or polars DataFrame, pyarrow Table, dict of arrays, NumPy record array, or what narwhals
    reads

    Returns
    -------
    Table

    Raises
    ------
    DataError
        When `data` is not a table, has no rows, or its columns differ in length.
    """
    if isinstance(data, pd.DataFrame):
        table = Table(tuple(data.columns), len(data), data.index, lambda name: to_array(data[name], name), True)
    elif isinstance(data, Table):
        table = data
    elif isinstance(data, Mapping):
        table = _read_mapping(data)
    elif isinstance(data, np.ndarray) and data.dtype.names:
        fields = data
        table = Table(data.dtype.names, len(data), pd.RangeIndex(len(data)), lambda name: to_array(fields[name], name))
    else:
        table = _read_narwhals(data)
    if table.n == 0:
        raise DataError("the data has no rows")
    return table


def _read_mapping(data: Mapping[str, Any]) -> Table:
    lengths = {name: _length(values, name) for name, values in data.items()}
    index = next((v.index for v in data.values() if isinstance(v, pd.Series)), None)
    n = next(iter(lengths.values()), 0)
    if len(set(lengths.values())) > 1:
        common = max(set(lengths.values()), key=list(lengths.values()).count)
        name = next(name for name, length in lengths.items() if length != common)
        raise DataError(f"column {name!r} has {lengths[name]} rows, the others {common}")
    if index is None:
        return Table(tuple(data), n, pd.RangeIndex(n), lambda name: to_array(data[name], name))
    return Table(tuple(data), n, index, lambda name: aligned(data[name], index, name), True)


def _length(values: Any, name: str) -> int:
    if not hasattr(values, "__len__") or isinstance(values, str | bytes) or getattr(values, "ndim", 1) == 0:
        raise DataError(f"{name!r} must be one-dimensional, it is {type(values).__name__} {values!r:.40}")
    return max(np.shape(values)[:2]) if isinstance(values, np.ndarray) and 1 in values.shape[:2] else len(values)


def _read_narwhals(data: Any) -> Table:
    import narwhals as nw

    if type(data).__module__.startswith("pyarrow"):
        return _read_arrow(data)
    try:
        frame = nw.from_native(data, eager_only=True)
    except TypeError:
        raise _not_a_table(data) from None
    return Table(
        tuple(frame.columns), len(frame), pd.RangeIndex(len(frame)), lambda name: from_narwhals(frame[name], name)
    )


def _read_arrow(data: Any) -> Table:
    """An Arrow table or batch; it may have columns of one name, as long as these are not used."""
    if not hasattr(data, "column_names") and not hasattr(data, "schema"):
        raise _not_a_table(data)
    names = tuple(data.schema.names)
    return Table(
        names, data.num_rows, pd.RangeIndex(data.num_rows), lambda name: to_array(data.column(names.index(name)), name)
    )


def _not_a_table(data: Any) -> DataError:
    kind = f"{type(data).__module__}.{type(data).__qualname__}"
    lazy = " Collect it first." if hasattr(data, "collect") else ""
    return DataError(
        f"data must be a pandas or polars DataFrame, a pyarrow Table or a dict of arrays, not {kind}.{lazy}"
    )


def to_frame(columns: Mapping[str, Array], n: int) -> pd.DataFrame:
    """A pandas frame with row numbers for index, for formulaic."""
    return pd.DataFrame(dict(columns), index=pd.RangeIndex(n), copy=False)
