"""Tables of any make as columns: pandas, polars, pyarrow, dicts of arrays, NumPy records.

Only the columns that a model uses are ever touched. `READERS` lists the makes; the first that knows the data reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from henderson.errors import DataError
from henderson.sources.arrow import is_arrow, read_arrow
from henderson.sources.columns import Array, from_narwhals, to_array
from henderson.sources.mapping import is_mapping, read_mapping
from henderson.sources.table import Table, named


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
    table = next(read for knows, read in READERS if knows(data))(data)
    if table.n == 0:
        raise DataError("the data has no rows")
    return table


def _read_pandas(data: pd.DataFrame) -> Table:
    if data.columns.inferred_type == "string":
        return Table(data.columns, len(data), data.index, lambda name: to_array(data[name], name), True)
    names, texts = named(data.columns)
    return Table(
        names, len(data), data.index, lambda name: to_array(data.iloc[:, names.index(name)], name), True, texts
    )


def _read_records(data: np.ndarray) -> Table:
    return Table(data.dtype.names or (), len(data), pd.RangeIndex(len(data)), lambda name: to_array(data[name], name))


def _read_narwhals(data: Any) -> Table:
    """What narwhals reads, which is the last to be asked."""
    import narwhals as nw

    try:
        frame = nw.from_native(data, eager_only=True)
    except TypeError:
        raise _not_a_table(data) from None
    n = len(frame)
    return Table(tuple(frame.columns), n, pd.RangeIndex(n), lambda name: from_narwhals(frame[name], name))


def _not_a_table(data: Any) -> DataError:
    kind = f"{type(data).__module__}.{type(data).__qualname__}"
    lazy = " Collect it first." if hasattr(data, "collect") else ""
    return DataError(
        f"data must be a pandas or polars DataFrame, a pyarrow Table or a dict of arrays, not {kind}.{lazy}"
    )


#: whether data are of a make -> their reader; asked in this order
READERS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Table]], ...] = (
    (lambda data: isinstance(data, pd.DataFrame), _read_pandas),
    (lambda data: isinstance(data, Table), lambda data: data),
    (is_mapping, read_mapping),
    (lambda data: isinstance(data, np.ndarray) and bool(data.dtype.names), _read_records),
    (is_arrow, read_arrow),
    (lambda data: True, _read_narwhals),
)


def is_matrix(data: Any) -> bool:
    """Whether it is an array without names of columns: a matrix or a column, no table."""
    return isinstance(data, np.ndarray) and not data.dtype.names


Make = Literal["pandas", "polars", "pyarrow"]


def make_of(data: Any) -> Make:
    """Of which make a column beside the table should be: the table's own, pandas' for what is neither."""
    if is_arrow(data):
        return "pyarrow"
    return "polars" if type(data).__module__.partition(".")[0] == "polars" else "pandas"


def to_frame(columns: Mapping[str, Array], n: int) -> pd.DataFrame:
    """A pandas frame with row numbers for index, for formulaic."""
    return pd.DataFrame(dict(columns), index=pd.RangeIndex(n), copy=False)


def like(data: Any, values: np.ndarray, names: Sequence[str]) -> Any:
    """Columns (n, k) as a table of the make of `data`, with its index; an array for an array.

    A DataFrame for dicts of columns and records.

    Examples
    --------
    >>> like({"x": [1, 2]}, np.array([[3.0], [4.0]]), ["y"])
         y
    0  3.0
    1  4.0
    """
    if is_matrix(data):
        return values
    if is_arrow(data):
        import pyarrow

        return pyarrow.table({name: values[:, k] for k, name in enumerate(names)})
    if isinstance(data, pd.DataFrame | np.ndarray | Table) or is_mapping(data):
        return pd.DataFrame(values, index=read_table(data).index, columns=pd.Index(list(names)))
    import narwhals as nw

    make = nw.get_native_namespace(nw.from_native(data, eager_only=True))
    return nw.from_dict({name: values[:, k] for k, name in enumerate(names)}, backend=make).to_native()


def table_like(data: Any, values: np.ndarray, names: Sequence[str]) -> Any:
    """As `like`, a DataFrame for an array."""
    found = like(data, values, names)
    return pd.DataFrame(found, columns=pd.Index(list(names))) if isinstance(found, np.ndarray) else found


def labels_of(data: Any) -> pd.Index | None:
    """The index of a table's rows; None for what has none."""
    return None if is_matrix(data) or not hasattr(data, "__len__") else read_table(data).index


def column_like(data: Any, values: np.ndarray) -> Any:
    """A column (n,) as the tables of the make of `data` have them, with its index; an array for what has none.

    Examples
    --------
    >>> column_like(pd.DataFrame({"x": [1, 2]}, index=["a", "b"]), np.array([3.0, 4.0]))
    a    3.0
    b    4.0
    dtype: float64
    """
    if isinstance(data, pd.DataFrame | pd.Series):
        return pd.Series(values, index=data.index)
    if isinstance(data, np.ndarray | Table) or is_mapping(data) or data is None:
        return values
    name = "estimate"
    found = like(data, values[:, None], [name])
    return found[name]


def beside(data: Any, columns: Mapping[str, np.ndarray], positions: np.ndarray | None, n: int) -> Any:
    """A table's rows with further columns, a table of its make (a DataFrame for dicts and records).

    Parameters
    ----------
    data : table
    columns : mapping of str to (m,) arrays
    positions : (m,) int array, or None
        The rows of the table that they are of; None: all.
    n : int
        Rows that the table must have.

    Raises
    ------
    DataError
        When it has another number of rows.

    Examples
    --------
    >>> beside({"x": [1, 2, 3]}, {"f": np.array([0.5, 0.7])}, np.array([0, 2]), 3)
       x    f
    0  1  0.5
    2  3  0.7
    """
    table = read_table(data)
    if table.n != n:
        raise DataError(f"the data has {table.n} rows, the fit was made of {n}")
    places = np.arange(table.n) if positions is None else positions
    if is_arrow(data):
        import pyarrow

        out = data.take(pyarrow.array(places))
        for name, values in columns.items():
            out = out.append_column(name, pyarrow.array(values))
        return out
    if isinstance(data, pd.DataFrame | np.ndarray | Table) or is_mapping(data):
        own = data if isinstance(data, pd.DataFrame) else pd.DataFrame({k: table[k] for k in table.names}, table.index)
        return own.iloc[places].assign(**columns)
    import narwhals as nw

    frame = nw.from_native(data, eager_only=True)
    make = nw.get_native_namespace(frame)
    added = [nw.new_series(name, values, backend=make) for name, values in columns.items()]
    return frame[places.tolist()].with_columns(*added).to_native()


def as_pandas(data: Any) -> pd.DataFrame:
    """A table of any make as a DataFrame."""
    if isinstance(data, pd.DataFrame):
        return data
    table = read_table(data)
    return pd.DataFrame({str(name): table[name] for name in table.names}, index=table.index)
