"""Tables of any make as columns: pandas, polars, pyarrow, dicts of arrays, NumPy records.

Only the columns that a model uses are ever touched. A column is a NumPy array, or a pandas extension array
where NumPy has no such type (categories, nullable numbers, strings, time zones).
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError

Array = Any
"""A NumPy array or a pandas extension array, one-dimensional."""


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
    """

    names: tuple[Any, ...]
    n: int
    index: pd.Index
    read: Callable[[str], Array]

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
        table = Table(tuple(data.columns), len(data), data.index, lambda name: to_array(data[name], name))
    elif isinstance(data, Table):
        table = data
    elif isinstance(data, Mapping):
        table = _read_mapping(data)
    elif isinstance(data, np.ndarray) and data.dtype.names:
        fields = data
        table = Table(data.dtype.names, len(data), pd.RangeIndex(len(data)), lambda name: fields[name])
    else:
        table = _read_narwhals(data)
    if table.n == 0:
        raise DataError("the data has no rows")
    return table


def _read_mapping(data: Mapping[str, Any]) -> Table:
    columns = {name: to_array(values, name) for name, values in data.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        common = max(set(lengths.values()), key=list(lengths.values()).count)
        name = next(name for name, length in lengths.items() if length != common)
        raise DataError(f"column {name!r} has {lengths[name]} rows, the others {common}")
    n = next(iter(lengths.values()), 0)
    index = next((v.index for v in data.values() if isinstance(v, pd.Series)), pd.RangeIndex(n))
    return Table(tuple(columns), n, index, columns.__getitem__)


def _read_narwhals(data: Any) -> Table:
    import narwhals as nw

    try:
        frame = nw.from_native(data, eager_only=True)
    except TypeError:
        kind = f"{type(data).__module__}.{type(data).__qualname__}"
        lazy = " Collect it first." if hasattr(data, "collect") else ""
        raise DataError(
            f"data must be a pandas or polars DataFrame, a pyarrow Table or a dict of arrays, not {kind}.{lazy}"
        ) from None

    def read(name: str) -> Array:
        series = frame[name]
        is_polars = series.dtype == nw.Categorical and frame.implementation.is_polars()
        if series.dtype in (nw.Categorical, nw.Enum):
            # narwhals' own to_pandas turns a missing entry of a pyarrow dictionary into a level
            values = series.to_native().to_pandas().array
            # a polars Categorical has its categories in the order in which it met them
            return values.reorder_categories(sorted(values.categories)) if is_polars else values
        return to_array(series.to_numpy(), name)

    return Table(tuple(frame.columns), len(frame), pd.RangeIndex(len(frame)), read)


def to_array(values: Any, name: str) -> Array:
    """One column as an array; `name` is for the error."""
    if isinstance(values, pd.Series | pd.Index):
        return values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array
    if isinstance(values, pd.api.extensions.ExtensionArray):
        return values
    if hasattr(values, "to_pandas") and not isinstance(values, np.ndarray):
        return to_array(values.to_pandas(), name)
    if isinstance(values, list | tuple):
        values = pd.Series(values).to_numpy() if any(isinstance(v, str) for v in values) else np.asarray(values)
    array = np.asarray(values)
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim != 1:
        raise DataError(f"{name!r} must be one-dimensional, it has shape {array.shape}")
    return array


def kind_of(values: Array) -> str:
    """What a column holds.

    Returns
    -------
    {"number", "bool", "category", "text", "time", "complex", "number objects", "objects"}
    """
    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        kinds = {
            "b": "bool",
            "c": "complex",
            "U": "text",
            "S": "text",
            "M": "time",
            "m": "time",
            "O": "objects",
        }
        kind = kinds.get(dtype.kind, "number")
        if kind == "objects":
            inferred = pd.api.types.infer_dtype(values, skipna=True)
            numbers = ("integer", "floating", "decimal", "complex", "mixed-integer-float")
            kind = {"string": "text", "boolean": "bool", "datetime": "time", "date": "time"}.get(
                inferred, "number objects" if inferred in numbers else "objects"
            )
        return kind
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if pd.api.types.is_bool_dtype(dtype):
        return "bool"
    if pd.api.types.is_numeric_dtype(dtype):
        return "number"
    if pd.api.types.is_string_dtype(dtype):
        return "text"
    return "time"


def find_missing(values: Array) -> np.ndarray | None:
    """Which entries are missing; None when none is. Infinity is not missing."""
    if isinstance(values.dtype, np.dtype):
        if values.dtype.kind in "biuUS":
            return None
        if values.dtype.kind in "fc" and np.isfinite(quiet_sum(values)):
            return None
    missing = np.asarray(pd.isna(values))
    return missing if missing.any() else None


def quiet_sum(values: np.ndarray) -> Any:
    """Sum without warnings: finite only if every entry is (or, rarely, not even then)."""
    with np.errstate(all="ignore"):
        return values.sum()


def to_float(values: Array, name: str) -> np.ndarray:
    """A numeric column as float64 (a view where it already is); NaN for missing.

    Raises
    ------
    DataError
        When the column does not hold real numbers or booleans.
    """
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "fiub":
        return values.astype(np.float64, copy=False)
    kind = kind_of(values)
    if kind in ("number", "bool"):
        if isinstance(values, np.ndarray):
            return np.asarray(pd.array(values, dtype="boolean").to_numpy(np.float64, na_value=np.nan))
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    problem = {
        "complex": "holds complex numbers",
        "number objects": f"holds numbers as Python objects (dtype {values.dtype}); use astype(float)",
        "objects": f"holds Python objects (dtype {values.dtype}), not numbers",
        "time": f"holds dates or times (dtype {values.dtype}); convert it to a number of days, say",
        "category": "is categorical, not numeric",
        "text": "holds text, not numbers",
    }[kind]
    raise DataError(f"{name!r} {problem}")


def find_rows(subset: Any, table: Table, data: Any) -> np.ndarray | None:
    """Positions of the rows that `subset` keeps; None for all.

    Parameters
    ----------
    subset : boolean array or Series, query string, or labels (pandas) or positions of rows, or None
    table, data
        The table, and what it was read from.
    """
    if subset is None:
        return None
    if isinstance(subset, str):
        rows = _query(subset, table)
    elif isinstance(subset, slice):
        rows = (
            np.arange(table.n)[data.index.slice_indexer(subset.start, subset.stop, subset.step)]
            if isinstance(data, pd.DataFrame)
            else np.arange(table.n)[subset]
        )
    else:
        rows = _select(subset, table, data)
    if len(rows) == 0:
        raise DataError("subset keeps no rows")
    return rows


def _select(subset: Any, table: Table, data: Any) -> np.ndarray:
    values = to_array(subset, "subset")
    if kind_of(values) == "bool":
        if isinstance(subset, pd.Series) and isinstance(data, pd.DataFrame) and not subset.index.equals(data.index):
            if not subset.index.is_unique or not data.index.isin(subset.index).all():
                raise DataError("the index of subset does not match that of the data")
            values = subset.reindex(data.index).array
        if len(values) != table.n:
            raise DataError(f"subset has {len(values)} entries, the data {table.n} rows")
        return np.flatnonzero(to_float(values, "subset") == 1)
    if isinstance(data, pd.DataFrame):
        try:
            return np.arange(table.n)[np.asarray(pd.Series(np.arange(table.n), data.index).loc[values])]
        except KeyError as error:
            raise DataError(f"subset names rows that the data does not have: {error.args[0]}") from None
    if values.dtype.kind not in "iu" or (len(values) and (values.min() < -table.n or values.max() >= table.n)):
        raise DataError(f"subset must hold booleans or positions of rows from 0 to {table.n - 1}")
    return np.arange(table.n)[values]


def _query(text: str, table: Table) -> np.ndarray:
    try:
        used = {node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)}
    except SyntaxError:
        used = {name for name in table.names if isinstance(name, str) and name in text}
    frame = pd.DataFrame({name: table[name] for name in table.names if name in used})
    try:
        mask = np.asarray(frame.eval(text, engine="python"))
    except Exception as error:  # the user's own text: it can raise anything
        raise DataError(f"subset {text!r} cannot be evaluated: {error}") from error
    if mask.dtype != bool or mask.shape != (table.n,):
        raise DataError(f"subset {text!r} must say True or False for each row")
    return np.flatnonzero(mask)


def to_frame(columns: Mapping[str, Array], n: int) -> pd.DataFrame:
    """A pandas frame with row numbers for index, for formulaic."""
    return pd.DataFrame(dict(columns), index=pd.RangeIndex(n), copy=False)


def check_finite(values: np.ndarray, names: Sequence[str], rows: np.ndarray | None = None) -> None:
    """Raise unless every entry is finite.

    Parameters
    ----------
    values : (n,) or (n, k) array
    names : sequence of k str
    rows : (n,) integer array, optional
        Where the rows are in the data.
    """
    if np.isfinite(quiet_sum(values)):
        return
    for k, name in enumerate(names):
        column = values if values.ndim == 1 else values[:, k]
        bad = np.flatnonzero(~np.isfinite(column))
        if len(bad):
            what = "NaN" if np.isnan(column[bad[0]]) else "infinite"
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise DataError(f"{name!r} is {what} in row {bad[0] if rows is None else rows[bad[0]]}{more}")
