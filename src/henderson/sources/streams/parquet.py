"""Tables one after another into one Parquet file, which is there when all of it is, and not before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

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
