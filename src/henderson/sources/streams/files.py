"""Parquet, CSV and Feather files: a path, a glob, a folder, a list of them, or a `pyarrow.dataset`.

A file is read part by part, only the columns asked for. It is an error that names the file when one cannot be read, has
no such column, or is not what it was when it was opened (its size, or when it was written).
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from henderson.errors import DataError, first_line
from henderson.sources.arrow import read_arrow
from henderson.sources.streams import source
from henderson.sources.streams.source import Part, Source, gathered
from henderson.sources.table import unknown_column

#: end of a file's name -> pyarrow's name of the format
FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".feather": "feather",
    ".arrow": "feather",
    ".ipc": "feather",
}
#: text that is a missing value in a CSV file, as pandas has it
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "#N/A", "<NA>")


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
    fragments: list[Any] = []
    for one in given:
        for path in _matching(os.fspath(one)):
            fragments += _dataset_at(path).get_fragments()
    return _checked(Files(tuple(fragments), ", ".join(str(one) for one in given)))


def open_dataset(data: Any) -> Source:
    """The fragments of a dataset of pyarrow."""
    if data.__class__.__name__ == "UnionDataset":
        fragments = tuple(fragment for child in data.children for fragment in child.get_fragments())
    else:
        fragments = tuple(data.get_fragments())
    return _checked(Files(fragments, "the dataset"))


def _checked(files: Files) -> Files:
    if not files.fragments:
        raise DataError(f"{files.title} has no files")
    files.seen  # noqa: B018 - what the files are like from now on
    return files


def _matching(text: str) -> list[str]:
    if os.path.exists(text):
        return [text]
    found = sorted(glob.glob(text, recursive=True)) if glob.has_magic(text) else []
    if not found:
        raise DataError(f"no file matches {text!r}" if glob.has_magic(text) else f"no such file: {text}")
    return found


def _dataset_at(path: str) -> Any:
    """A file, or a folder of them with columns in its folders' names (``year=2020/``), as a dataset."""
    dataset, csv = _pyarrow()
    if os.path.isdir(path):
        kinds = {kind for _, _, names in os.walk(path) for name in names if (kind := _format_of(name)) is not None}
        if not kinds:
            raise DataError(f"the folder {path} has no file that ends in {', '.join(FORMATS)}")
        if len(kinds) > 1:
            raise DataError(f"the folder {path} has files of several formats ({', '.join(sorted(kinds))}): give a glob")
        kind = kinds.pop()
    else:
        known = _format_of(path)
        if known is None:
            raise DataError(f"cannot read {path}: files that are read in parts end in {', '.join(FORMATS)}")
        kind = known
    if kind in ("csv", "tsv"):
        made = dataset.CsvFileFormat(
            csv.ParseOptions(delimiter="\t" if kind == "tsv" else ","),
            convert_options=csv.ConvertOptions(null_values=list(MISSING), strings_can_be_null=True),
        )
    else:
        made = kind
    try:
        return dataset.dataset(path, format=made, partitioning="hive" if os.path.isdir(path) else None)
    except _failures() as error:
        raise DataError(f"cannot read {path}: {first_line(error)}") from error


def _format_of(path: str) -> str | None:
    ends = [end.lower() for end in Path(path).suffixes]
    while ends and ends[-1] in (".gz", ".bz2", ".zst", ".lz4"):
        ends.pop()
    return FORMATS.get(ends[-1]) if ends else None


def _pyarrow() -> tuple[Any, Any]:
    try:
        from pyarrow import csv, dataset
    except ImportError:
        raise ImportError("reading files in parts needs pyarrow: pip install 'henderson[io]'") from None
    return dataset, csv


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
    def seen(self) -> dict[str, tuple[int, int]]:
        """Size of every file, and when it was written."""
        return {path: _look(path) for fragment in self.fragments if (path := _path(fragment))}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns of the first file, those in its folders' names too."""
        return tuple(_columns(self.fragments[0]))

    @property
    def n(self) -> int | None:
        """Rows, which Parquet and Feather files say without being read."""
        if not all(hasattr(fragment, "row_groups") for fragment in self.fragments):
            return None
        return sum(self._counted(fragment) for fragment in self.fragments)

    def _counted(self, fragment: Any) -> int:
        try:
            return int(fragment.metadata.num_rows)
        except _failures() as error:
            raise DataError(f"cannot read {_path(fragment)}: {first_line(error)}") from error

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
                raise DataError(f"cannot read {where}: {first_line(error)}") from error
            self._check_same(path)

    def _check_same(self, path: str) -> None:
        if path and _look(path) != self.seen[path]:
            raise DataError(f"{path} changed while it was read: fit again")


def _batches(fragment: Any, there: dict[str, Any], columns: Sequence[str], rows: int) -> Iterator[Any]:
    """Record batches. Of a Parquet file at hand the pages are decoded as they are read: else a row group is decoded as
    a whole, in memory that the system clears and gives for each of them."""
    import pyarrow
    from pyarrow import dataset, parquet

    schema = pyarrow.schema(list(there.items()))
    if isinstance(fragment, dataset.ParquetFileFragment) and fragment.filesystem.type_name == "local":
        in_file = fragment.physical_schema
        if all(name in in_file.names and not pyarrow.types.is_nested(in_file.field(name).type) for name in columns):
            groups = [group.id for group in fragment.row_groups]
            with parquet.ParquetFile(fragment.path) as file:
                yield from file.iter_batches(rows, row_groups=groups, columns=list(columns), use_threads=False)
            return
    yield from fragment.to_batches(
        schema=schema, columns=list(columns), batch_size=rows, batch_readahead=1, fragment_readahead=1
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


def _look(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise DataError(f"no such file: {path} (was it removed while it was read?)") from None
    return found.st_size, found.st_mtime_ns
