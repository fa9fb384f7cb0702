"""Columns of tables that come once, in a temporary file, so that they can be read again.

The arrays of one part after another, as Python pickles them: what is read is what was written, of the same types.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from henderson.errors import DataError
from henderson.sources.streams.source import Part, Source
from henderson.sources.table import Table


def write(path: Path, parts: Iterable[Part], columns: Sequence[str]) -> int:
    """Write columns of all parts; the number of rows.

    Raises
    ------
    DataError
        When the disk is full.
    """
    n = 0
    try:
        with path.open("wb") as file:
            for part in parts:
                arrays = {name: part.table[name] for name in columns}
                pickle.dump((part.where, part.table.n, arrays), file, protocol=5)
                n += part.table.n
    except OSError as error:
        raise DataError(f"the rows of an iterator are kept in a temporary file, {path}: {error}") from error
    return n


@dataclass(frozen=True)
class Spilled:
    """What `write` wrote, as a source.

    Attributes
    ----------
    path : Path
    names : tuple of str
    n : int
    title : str
    """

    path: Path
    names: tuple[str, ...]
    n: int
    title: str

    again = True

    def held(self, columns: Sequence[str] | None) -> AbstractContextManager[Source]:
        """Itself."""
        return nullcontext(self)

    def parts(self, columns: Sequence[str]) -> Iterator[Part]:
        """The rows."""
        with self.path.open("rb") as file:
            while True:
                try:
                    where, n, arrays = pickle.load(file)
                except EOFError:
                    return
                table = Table(tuple(columns), n, pd.RangeIndex(n), arrays.__getitem__)
                yield Part(table, where, {name: arrays[name] for name in columns})
