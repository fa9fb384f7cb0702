"""Tables one after another into one Parquet file, which is there when all of it is, and not before; and what the row
groups of a file say of a column."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from henderson.errors import DataError, first_line
from henderson.sources.frames import as_pandas
from henderson.whole_file import whole_file


def write_parquet(path: Any, tables: Iterable[Any], tell: Callable[[int], None]) -> Path:
    """Write tables; what was written is removed when it ends early, by an error or by Ctrl-C.

    Parameters
    ----------
    path : str or path
    tables : iterable of tables of any make, of the same columns
    tell : callable
        Called with the number of rows written.

    Returns
    -------
    Path

    Raises
    ------
    DataError
        When there is no such folder, or the disk is full.
    """
    import pyarrow
    from pyarrow import parquet

    place = Path(path)
    if not place.absolute().parent.is_dir():
        raise DataError(f"cannot write {place}: no such folder")
    writer, n = None, 0
    try:
        with whole_file(place) as begun:
            try:
                for one in tables:
                    table = _as_arrow(one, pyarrow)
                    if writer is None:
                        writer = parquet.ParquetWriter(begun, table.schema)
                    if not table.schema.equals(writer.schema):
                        table = table.select(writer.schema.names).cast(writer.schema)
                    writer.write_table(table)
                    n += table.num_rows
                    tell(n)
            finally:
                if writer is not None:
                    writer.close()
            if writer is None:
                raise DataError(f"there are no rows to write to {place}")
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"cannot write {place}: {first_line(error)}") from error
    return place


def _as_arrow(table: Any, pyarrow: Any) -> Any:
    if isinstance(table, pyarrow.Table):
        return table
    if hasattr(table, "to_arrow"):
        return table.to_arrow()
    return pyarrow.Table.from_pandas(as_pandas(table), preserve_index=False)


def parquet_range(fragment: Any, name: str) -> np.ndarray | None:
    """The smallest and the largest of a column of whole numbers, (2,), by the statistics of a fragment's row groups;
    None where they do not say them, or something is missing."""
    import pyarrow

    schema, metadata = fragment.physical_schema, fragment.metadata
    place = schema.get_field_index(name)
    if place < 0 or not pyarrow.types.is_integer(schema.field(place).type):
        return None
    paths = [metadata.schema.column(k).path for k in range(len(metadata.schema))]
    if paths.count(name) != 1:
        return None
    column, ends = paths.index(name), []
    for group in fragment.row_groups:
        if not group.num_rows:
            continue
        said = metadata.row_group(group.id).column(column).statistics
        if said is None or not said.has_min_max or not said.has_null_count or said.null_count:
            return None
        ends.append((said.min, said.max))
    if not ends:
        return None
    dtype = np.dtype(schema.field(place).type.to_pandas_dtype())
    return np.array([min(low for low, _ in ends), max(high for _, high in ends)], dtype)
