"""Parquet, CSV and Feather files: a path, a glob, a folder, a list of them, or a `pyarrow.dataset`.

A file is read part by part, only the columns asked for. It is an error that names the file when one cannot be read, has
no such column, or is not what it was when it was opened (its size, or when it was written).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from henderson.errors import DataError, first_line
from henderson.sources.arrow import read_arrow
from henderson.sources.streams import source
from henderson.sources.streams.parquet import parquet_range
from henderson.sources.streams.paths import fragments_of
from henderson.sources.streams.source import Part, Source, gathered
from henderson.sources.table import unknown_column

#: bytes of a column of a Parquet file that are read at once
READ = 1 << 17
#: how pyarrow numbers the columns of a CSV file
_NUMBERED = re.compile(r"CSV column #(\d+)")


def is_path(data: Any) -> bool:
    """Whether it is a path, or several."""
    if isinstance(data, list | tuple) and data:
        return all(isinstance(one, str | os.PathLike) for one in data)
    return isinstance(data, str | os.PathLike)


def is_dataset(data: Any) -> bool:
    """Whether it is a dataset of pyarrow."""
    return type(data).__module__.startswith("pyarrow._dataset") and hasattr(data, "get_fragments")


def open_paths(data: Any) -> Source:
    """The files of a path, a glob, a folder, or a list of them.

    Raises
    ------
    DataError
        When there is none, or one has a format that is not read.
    ImportError
        Without pyarrow.
    """
    given = [data] if isinstance(data, str | os.PathLike) else list(data)
    _check_pyarrow()
    return _checked(Files(fragments_of(given), ", ".join(str(one) for one in given)))


def open_dataset(data: Any) -> Source:
    """The fragments of a dataset of pyarrow.

    Raises
    ------
    DataError
        Of a dataset that is filtered.
    """
    if data.__class__.__name__ == "UnionDataset":
        fragments = tuple(fragment for child in data.children for fragment in child.get_fragments())
    else:
        try:
            fragments = tuple(data.get_fragments())
        except ValueError as error:
            raise DataError(
                "the dataset is filtered or projected, and its files cannot be told one by one: give its scanner's "
                "batches, lambda: dataset.to_batches(), or filter in a DuckDB query or a polars LazyFrame"
            ) from error
    return _checked(Files(fragments, "the dataset"))


def _checked(files: Files) -> Files:
    if not files.fragments:
        raise DataError(f"{files.title} has no files")
    files.seen  # noqa: B018 - what the files are like from now on
    return files


def _check_pyarrow() -> None:
    try:
        import pyarrow.dataset  # noqa: F401 - whether it is there
    except ImportError:
        raise ImportError("reading files in parts needs pyarrow: pip install 'henderson[io]'") from None


def _failures() -> tuple[type[BaseException], ...]:
    import pyarrow

    return pyarrow.ArrowException, OSError, UnicodeDecodeError


@dataclass(frozen=True)
class Files:
    """Files as one source.

    Attributes
    ----------
    fragments : tuple of pyarrow fragments
        One a file.
    title : str
    rows : int, or None
        Of one part; None: `source.PART`.
    """

    fragments: tuple[Any, ...]
    title: str
    rows: int | None = None

    again = True

    @cached_property
    def seen(self) -> dict[str, tuple[int, ...]]:
        """Size of every file, when it was written, and which it is."""
        return {path: _look(path) for fragment in self.fragments if (path := _path(fragment))}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns of the first file, those in its folders' names too."""
        return tuple(_columns(self.fragments[0]))

    @property
    def n(self) -> int | None:
        """Rows, which Parquet and Feather files say without being read."""
        if not all(hasattr(type(fragment), "row_groups") for fragment in self.fragments):
            return None
        return sum(self._counted(fragment) for fragment in self.fragments)

    def _counted(self, fragment: Any) -> int:
        try:
            return int(fragment.metadata.num_rows)
        except _failures() as error:
            raise DataError(f"cannot read {_path(fragment)}: {first_line(error)}") from error

    def whole_numbers(self, name: str) -> np.ndarray | None:
        """The smallest and the largest of a column of whole numbers, (2,), where the row groups of Parquet files say
        them, and that nothing is missing."""
        from pyarrow import dataset

        found = []
        for fragment in self.fragments:
            if not isinstance(fragment, dataset.ParquetFileFragment):
                return None
            if not self._counted(fragment):
                continue
            try:
                own = parquet_range(fragment, name)
            except _failures() as error:
                raise DataError(f"cannot read {_path(fragment)}: {first_line(error)}") from error
            if own is None:
                return None
            found.append(own)
        if len({one.dtype for one in found}) != 1:
            return None
        return np.array([min(low for low, _ in found), max(high for _, high in found)], found[0].dtype)

    def in_parts_of(self, rows: int) -> Files:
        """See `Sized`; what the files were like is known."""
        other = replace(self, rows=rows)
        other.__dict__["seen"] = self.seen
        return other

    def held(self, columns: Sequence[str] | None) -> AbstractContextManager[Source]:
        """Itself."""
        return nullcontext(self)

    def parts(self, columns: Sequence[str]) -> Iterator[Part]:
        """The rows of the files, one file after another."""
        for k, fragment in enumerate(self.fragments):
            path = _path(fragment)
            where = path or f"{self.title}, part {k}"
            self._check_same(path)
            there = _columns(fragment)
            for name in columns:
                if name not in there:
                    raise DataError(f"{where}: {unknown_column(name, there)}")
            try:
                for table in gathered(_batches(fragment, there, columns, self.rows or source.PART), self.rows):
                    yield Part(read_arrow(table), where, table)
            except _failures() as error:
                raise DataError(f"cannot read {where}: {_named(first_line(error), list(there))}") from error
            self._check_same(path)

    def _check_same(self, path: str) -> None:
        if path and _look(path) != self.seen[path]:
            raise DataError(f"{path} changed while it was read: fit again")


def _named(said: str, names: Sequence[str]) -> str:
    """What pyarrow says of a CSV file, with the names of the columns that it numbers."""
    return _NUMBERED.sub(lambda found: f"the column {names[int(found[1])]!r} of the CSV file", said)


def _batches(fragment: Any, there: dict[str, Any], columns: Sequence[str], rows: int) -> Iterator[Any]:
    """Record batches. Of a Parquet file at hand the pages are read and decoded one by one: else a row group is read
    ahead, or decoded, as a whole, in memory that the system clears and gives for each of them: a third of decoding
    and more. Pages that were written with a checksum are held against it."""
    import pyarrow
    from pyarrow import dataset, parquet

    schema = pyarrow.schema(list(there.items()), metadata=fragment.physical_schema.metadata)
    if isinstance(fragment, dataset.ParquetFileFragment) and fragment.filesystem.type_name == "local":
        in_file = fragment.physical_schema
        if all(name in in_file.names and not pyarrow.types.is_nested(in_file.field(name).type) for name in columns):
            groups = [group.id for group in fragment.row_groups]
            with parquet.ParquetFile(
                fragment.path, pre_buffer=False, buffer_size=READ, page_checksum_verification=True
            ) as file:
                yield from file.iter_batches(rows, row_groups=groups, columns=list(columns), use_threads=False)
            return
    is_parquet = isinstance(fragment, dataset.ParquetFileFragment)
    yield from fragment.to_batches(
        schema=schema,
        columns=list(columns),
        batch_size=rows,
        batch_readahead=1,
        fragment_readahead=1,
        fragment_scan_options=dataset.ParquetFragmentScanOptions(page_checksum_verification=True)
        if is_parquet
        else None,
    )


def _columns(fragment: Any) -> dict[str, Any]:
    """Name and type of every column of a file, and of those in its folders' names."""
    from pyarrow.dataset import get_partition_keys

    try:
        schema = fragment.physical_schema
    except _failures() as error:
        raise DataError(f"cannot read {_path(fragment) or 'a part of the dataset'}: {first_line(error)}") from error
    import pyarrow

    columns = dict(zip(schema.names, schema.types))
    for name, value in get_partition_keys(fragment.partition_expression).items():
        columns.setdefault(name, pyarrow.scalar(value).type)
    return columns


def _path(fragment: Any) -> str:
    return getattr(fragment, "path", "")


def _look(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise DataError(f"no such file: {path} (was it removed while it was read?)") from None
    return found.st_size, found.st_mtime_ns, found.st_ino
