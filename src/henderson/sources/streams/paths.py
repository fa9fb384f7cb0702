"""Which files a path, a glob, a folder or a list of them are, each once, and how each is opened.

A folder's files are all below it whose names end in a format's end (`FORMATS`); those that begin with "." or "_" are
notes of programs, as everywhere in this field. Folders named ``column=value`` (Hive's way) give their files a column,
wherever the path that was given begins: whole numbers if all of a column's values are, else text.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from henderson.errors import DataError
from henderson.sources.streams.zstandard import ZstandardCsv

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
#: end of the name of a compressed file
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
#: text that is a missing value in a CSV file, as pandas has it
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "#N/A", "<NA>")
#: Hive's name of a missing value
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
#: whole numbers that a column of folders' names has at most
LARGEST = 2**63 - 1


def fragments_of(given: Sequence[Any]) -> tuple[Any, ...]:
    """A fragment for every file.

    Raises
    ------
    DataError
        When there is no file, one is there twice, or one has a format that is not read.
    """
    paths: list[str] = []
    for one in given:
        for path in _matching(os.fspath(one)):
            paths += _below(path) if os.path.isdir(path) else [path]
    _check_once(paths)
    keys = _partitioning(paths)
    return tuple(_fragment(path, keys) for path in paths)


def _matching(text: str) -> list[str]:
    if os.path.exists(text):
        return [text]
    found = sorted(glob.glob(text, recursive=True)) if glob.has_magic(text) else []
    if not found:
        raise DataError(f"no file matches {text!r}" if glob.has_magic(text) else f"no such file: {text}")
    return found


def _below(folder: str) -> list[str]:
    """The files below a folder; of folders that lead back to one above, each once."""
    found = sorted(_walked(folder, set()))
    kinds = {format_of(path) for path in found}
    if not kinds:
        raise DataError(f"the folder {folder} has no file that ends in {', '.join(FORMATS)}")
    if len(kinds) > 1:
        names = ", ".join(sorted(map(str, kinds)))
        raise DataError(f"the folder {folder} has files of several formats ({names}): give a glob")
    return found


def _walked(folder: str, been: set[str]) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in been:
        return
    been.add(real)
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.startswith((".", "_")):
            continue
        if os.path.isdir(path):
            yield from _walked(path, been)
        elif format_of(name) is not None:
            yield path


def _check_once(paths: Sequence[str]) -> None:
    """Raise when a file is there under two names: its rows would count twice."""
    seen: dict[str, str] = {}
    for path in paths:
        real = os.path.realpath(path)
        if real in seen:
            same = "" if seen[real] == path else f" ({seen[real]} is the same file)"
            raise DataError(f"{path} is among the files twice{same}: its rows would count twice")
        seen[real] = path


def format_of(name: str) -> str | None:
    """A format of pyarrow's, by the end of a file's name.

    Examples
    --------
    >>> format_of("visits.csv.gz"), format_of("visits.parquet"), format_of("README.md")
    ('csv', 'parquet', None)
    """
    ends = [end.lower() for end in Path(name).suffixes]
    while ends and ends[-1] in COMPRESSED:
        ends.pop()
    return FORMATS.get(ends[-1]) if ends else None


def _keys(path: str) -> dict[str, str]:
    """Columns in the names of a file's folders, and their text."""
    parts = (part.split("=", 1) for part in Path(path).parts[:-1] if "=" in part)
    return {name: unquote(value) for name, value in parts if name}


def _partitioning(paths: Sequence[str]) -> Any:
    """Reads the columns in the names of the files' folders; None where there are none."""
    values: dict[str, set[str]] = {}
    for path in paths:
        for name, value in _keys(path).items():
            values.setdefault(name, set()).add(value)
    if not values:
        return None
    import pyarrow
    from pyarrow import dataset

    fields = [(name, pyarrow.int64() if all(map(_is_whole, own)) else pyarrow.string()) for name, own in values.items()]
    return dataset.HivePartitioning(pyarrow.schema(fields), null_fallback=NO_VALUE)


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return text == NO_VALUE or (digits.isascii() and digits.isdigit() and abs(int(text)) <= LARGEST)


def _fragment(path: str, partitioning: Any) -> Any:
    kind = format_of(path)
    if kind is None:
        raise DataError(f"cannot read {path}: files that are read in parts end in {', '.join(FORMATS)}")
    from pyarrow import csv, dataset, fs

    keys = None if partitioning is None else partitioning.parse(path)
    if kind not in ("csv", "tsv"):
        made = dataset.ParquetFileFormat() if kind == "parquet" else dataset.FeatherFileFormat()
        return made.make_fragment(path, fs.LocalFileSystem(), keys)
    parse = csv.ParseOptions(delimiter="\t" if kind == "tsv" else ",", newlines_in_values=True)
    convert = csv.ConvertOptions(null_values=list(MISSING), strings_can_be_null=True)
    if path.lower().endswith(".zst"):
        return ZstandardCsv(path, keys, parse, convert)
    return dataset.CsvFileFormat(parse, convert_options=convert).make_fragment(path, fs.LocalFileSystem(), keys)
