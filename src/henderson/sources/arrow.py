"""Arrow tables and record batches: the columns of pyarrow, each read when it is asked for.

The file to imitate for another kind of table: a function that knows the kind without importing its library, and one
that makes a `Table`. A line in `frames.READERS` makes it known.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from henderson.sources.columns import to_array
from henderson.sources.table import Table


def is_arrow(data: Any) -> bool:
    """Whether it is a table or a batch of pyarrow."""
    return type(data).__module__.startswith("pyarrow") and hasattr(data, "schema") and hasattr(data, "num_rows")


def read_arrow(data: Any, in_order: bool = False) -> Table:
    """Its columns; several may have one name, as long as these are not used.

    Parameters
    ----------
    data : pyarrow Table or RecordBatch
    in_order : bool
        The order of every dictionary is somebody's choice, as that of an ENUM of SQL is. Else that of an unordered one
        which no category of pandas has become is the order in which its entries were met, and they are sorted.

    Examples
    --------
    >>> import pyarrow
    >>> read_arrow(pyarrow.table({"x": [1.0, 2.0]}))["x"]
    array([1., 2.])
    """
    names, n = tuple(data.schema.names), data.num_rows
    categories = set(names) if in_order else _categories(data.schema)
    return Table(
        names,
        n,
        pd.RangeIndex(n),
        lambda name: to_array(_plain(data.column(names.index(name)), name in categories), name),
    )


def _plain(column: Any, of_categories: bool) -> Any:
    """Numbers of which none is missing as NumPy's, categories as pandas'; any other column as it is."""
    from pyarrow import types

    if of_categories and types.is_dictionary(column.type):
        return column.to_pandas()
    is_number = types.is_floating(column.type) or types.is_integer(column.type)
    return column.to_numpy() if is_number and not column.null_count else column


def _categories(schema: Any) -> set[str]:
    """Columns that were categories of pandas."""
    said = schema.pandas_metadata or {}
    return {own["name"] for own in said.get("columns", ()) if own.get("pandas_type") == "categorical"}
