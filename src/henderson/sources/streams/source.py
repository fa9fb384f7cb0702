"""`Source`: rows that are read in parts, from the start as often as asked; `registry` knows which data are one.

A source names its columns, and gives the columns asked for as tables, one after another, each with where it is from.
Two passes must give the same rows: files are looked at before and after (`files`), and who counts or numbers rows in
one pass and misses them in the next says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import numpy as np

from henderson.errors import DataError
from henderson.sources.frames import read_table
from henderson.sources.table import Table

#: rows of one part: what is summed by level should be as long as there are levels, and leave room for its columns. Of
#: a power of two, or just below, pyarrow's Parquet reader grows every column to twice the rows, and copies it back.
PART = 500_000


@dataclass(frozen=True)
class Part:
    """Some rows of a source.

    Attributes
    ----------
    table : Table
        The columns asked for.
    where : str
        What they are from, for messages: a file's name, as a rule.
    given : object
        What the table was read from, of the make that `augment` returns.
    """

    table: Table
    where: str
    given: Any


def read_part(frame: Any, columns: Sequence[str], where: str) -> Part:
    """A frame of any make as a part; a column that it lacks is an error that says where."""
    try:
        table = read_table(frame)
        for name in columns:
            if name not in table:
                table[name]
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    return Part(table, where, frame)


class Addable(Protocol):
    """What is made of some parts; that of others can be added."""

    def __add__(self, other: Self) -> Self:
        """Of both."""


A = TypeVar("A", bound=Addable)


class Source(Protocol):
    """Rows that are read in parts.

    Attributes
    ----------
    names : tuple of str
        The columns.
    n : int, or None
        Number of rows, where it is known before they are read.
    title : str
        What it is, for messages.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""

    @property
    def n(self) -> int | None:
        """Rows, where it is known."""

    @property
    def title(self) -> str:
        """What it is, for messages."""

    @property
    def again(self) -> bool:
        """Whether it can be read after the fit."""

    def held(self, columns: Sequence[str] | None) -> AbstractContextManager[Source]:
        """While it is open, a source that can be read several times; at its end nothing is left behind."""

    def parts(self, columns: Sequence[str]) -> Iterator[Part]:
        """The rows from the start, with these columns (none: the number of rows alone)."""


@runtime_checkable
class Sized(Source, Protocol):
    """Rows of which one can say how many a part has."""

    def in_parts_of(self, rows: int) -> Source:
        """The same, read so many rows at a time."""


@runtime_checkable
class Ranged(Source, Protocol):
    """Rows whose files say something of their columns."""

    def whole_numbers(self, name: str) -> np.ndarray | None:
        """The smallest and the largest of a column of whole numbers in which nothing is missing, (2,), if known."""


def in_parts_of(source: Source, rows: int) -> Source:
    """A source in parts of so many rows, `PART` at the most, where it can be read so: what is new memory for each part
    is cleared by the system first, so parts are no longer than what is done with them asks for."""
    return source.in_parts_of(min(rows, PART)) if isinstance(source, Sized) else source


@runtime_checkable
class Spread(Source, Protocol):
    """Rows that live with several workers, and are summed where they live.

    Attributes
    ----------
    first : Table
        Some of the first rows, all columns.
    """

    @property
    def first(self) -> Table:
        """Some of the first rows, all columns."""

    def reduce(self, columns: Sequence[str], of_parts: Callable[[Iterator[Part]], A], tell: Callable[[int], None]) -> A:
        """What `of_parts` makes of each partition's rows, pickled and added along a tree: nothing else travels."""


def reduced(
    source: Source, columns: Sequence[str], of_parts: Callable[[Iterator[Part]], A], tell: Callable[[int], None]
) -> A:
    """What `of_parts` makes of all rows: of a `Spread` source where they live, else here.

    Parameters
    ----------
    source : Source
    columns : sequence of str
    of_parts : callable
        Makes something that can be added of some parts; it and what it makes can be pickled.
    tell : callable
        Called with the number of rows that were read.
    """
    if isinstance(source, Spread):
        return source.reduce(columns, of_parts, tell)
    return of_parts(told(source.parts(columns), tell))


def told(parts: Iterable[Part], tell: Callable[[int], None]) -> Iterator[Part]:
    """The parts; when one is done with, the rows so far are told."""
    n = 0
    for part in parts:
        yield part
        n += part.table.n
        tell(n)


def gathered(batches: Iterable[Any], rows: int | None = None) -> Iterator[Any]:
    """Record batches of Arrow put together to tables of at least `rows` rows (`PART`), where there are as many.

    Examples
    --------
    >>> import pyarrow
    >>> batch = pyarrow.record_batch({"x": [1, 2]})
    >>> [table.num_rows for table in gathered([batch] * 5, 4)]
    [4, 4, 2]
    """
    import pyarrow

    waiting, n = [], 0
    for batch in batches:
        if not batch.num_rows:
            continue
        waiting.append(batch)
        n += batch.num_rows
        if n >= (rows or PART):
            yield pyarrow.Table.from_batches(waiting)
            waiting, n = [], 0
    if waiting:
        yield pyarrow.Table.from_batches(waiting)
