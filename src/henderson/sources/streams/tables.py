"""Tables one after another: a function that makes an iterator of them, or an iterator, which can be gone through once.

A fit goes through the rows twice or more. A function is called anew for each pass. Of an iterator the columns that the
model uses are written to a temporary file as they come, which is removed when the fit ends, however it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from henderson.errors import DataError
from henderson.sources.frames import read_table
from henderson.sources.streams.source import Part, Source, read_part


def is_tables(data: Any) -> bool:
    """Whether it makes tables or is an iterator of them."""
    return isinstance(data, Iterator) or (callable(data) and not isinstance(data, type) and not hasattr(data, "schema"))


def open_tables(data: Any) -> Source:
    """The tables of an iterator, or of what a function returns."""
    return Once(data) if isinstance(data, Iterator) else Made(data)


def _parts(tables: Iterable[Any], columns: Sequence[str], title: str) -> Iterator[Part]:
    for k, one in enumerate(tables):
        where = f"{title}, table {k}"
        if _is_empty(one):
            continue
        yield read_part(one, columns, where)


def _is_empty(table: Any) -> bool:
    return hasattr(table, "__len__") and not isinstance(table, str | Mapping) and not len(table)


def _first_of(tables: Iterable[Any]) -> Any:
    """The first that has rows; else the last; None of none."""
    one = None
    for one in tables:
        if not _is_empty(one):
            break
    return one


def _names(first: Any, title: str) -> tuple[str, ...]:
    if first is None:
        raise DataError(f"{title} has no tables")
    try:
        return tuple(map(str, read_table(first).names))
    except DataError as error:
        raise DataError(f"{title}, the first: {error}") from error


@dataclass(frozen=True)
class Made:
    """A function that makes an iterator of tables, anew at each call.

    Attributes
    ----------
    make : callable
    """

    make: Callable[[], Iterable[Any]]

    title = "the function's tables"
    again = True

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the first table."""
        return _names(_first_of(self._made()), self.title)

    @property
    def n(self) -> int | None:
        """Nobody knows."""
        return None

    def held(self, columns: Sequence[str] | None) -> AbstractContextManager[Source]:
        """Itself."""
        return nullcontext(self)

    def parts(self, columns: Sequence[str]) -> Iterator[Part]:
        """The tables."""
        return _parts(self._made(), columns, self.title)

    def _made(self) -> Iterable[Any]:
        made = self.make()
        if isinstance(made, str | Mapping) or not isinstance(made, Iterable) or hasattr(made, "columns"):
            raise DataError(
                f"the function makes {type(made).__name__}, not an iterator of tables: let it yield them, as in "
                "lambda: (read(path) for path in paths)"
            )
        return made


class Once:
    """An iterator of tables, which is gone through once.

    Parameters
    ----------
    tables : iterator of tables
    """

    title = "the iterator"
    again = False

    def __init__(self, tables: Iterator[Any]) -> None:
        self._first = _first_of(tables)
        self._rest: Iterator[Any] | None = tables

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the first table."""
        return _names(self._first, self.title)

    @property
    def n(self) -> int | None:
        """Nobody knows."""
        return None

    @contextmanager
    def held(self, columns: Sequence[str] | None) -> Iterator[Source]:
        """A temporary file with the columns."""
        import tempfile

        from henderson.sources.streams.spill import Spilled, write

        with tempfile.TemporaryDirectory(prefix="henderson-") as folder:
            path = Path(folder) / "rows"
            wanted = self.names if columns is None else tuple(columns)
            n = write(path, self.parts(wanted), wanted)
            yield Spilled(path, wanted, n, self.title)

    def parts(self, columns: Sequence[str]) -> Iterator[Part]:
        """The tables; once."""
        if self._rest is None:
            raise DataError(
                "the iterator was gone through already: give a function that makes it anew, such as "
                "lambda: read_the_tables()"
            )
        rest, self._rest = self._rest, None
        return _parts(chain([self._first], rest), columns, self.title)
