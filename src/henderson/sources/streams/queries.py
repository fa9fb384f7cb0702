"""DuckDB: a relation, or the text of a query; the engine for what is wider than a model, joined or grouped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from henderson.errors import DataError, first_line
from henderson.sources.arrow import read_arrow
from henderson.sources.streams import source
from henderson.sources.streams.source import Part, Source, gathered

_SQL = re.compile(r"\s*(select|from|with)\s", re.IGNORECASE)


def is_relation(data: Any) -> bool:
    """Whether it is a relation of DuckDB."""
    return type(data).__name__ == "DuckDBPyRelation"


def is_query(data: Any) -> bool:
    """Whether it is the text of a query, alone or with a connection.

    Examples
    --------
    >>> is_query("SELECT y, x, g FROM 'visits/*.parquet'"), is_query("select.csv")
    (True, False)
    """
    if isinstance(data, tuple) and len(data) == 2:
        data = data[0] if type(data[1]).__name__ == "DuckDBPyConnection" else None
    return isinstance(data, str) and _SQL.match(data) is not None


def open_query(data: Any) -> Source:
    """The rows of a query, ``"SELECT …"`` or ``("SELECT …", connection)``.

    Raises
    ------
    DataError
        What DuckDB says of the text.
    """
    duckdb = _duckdb()
    text, connection = data if isinstance(data, tuple) else (data, duckdb)
    try:
        found = connection.sql(text)
    except duckdb.Error as error:
        raise DataError(f"the query cannot be run: {first_line(error)}") from error
    if found is None:
        raise DataError("the query gives no rows: a SELECT is needed")
    return Relation(found)


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise ImportError("a query needs DuckDB: pip install 'henderson[duckdb]'") from None
    return duckdb


@dataclass(frozen=True)
class Relation:
    """A relation of DuckDB as a source: every pass runs its query again.

    Attributes
    ----------
    relation : duckdb.DuckDBPyRelation
    """

    relation: Any

    title = "the query"
    again = True

    @property
    def names(self) -> tuple[str, ...]:
        """Its columns."""
        return tuple(self.relation.columns)

    @property
    def n(self) -> int | None:
        """Nobody knows before it is run."""
        return None

    def held(self, columns: Sequence[str] | None) -> AbstractContextManager[Source]:
        """Itself."""
        return nullcontext(self)

    def parts(self, columns: Sequence[str]) -> Iterator[Part]:
        """The rows of the query."""
        wanted = ", ".join('"{}"'.format(name.replace('"', '""')) for name in columns)
        duckdb = _duckdb()
        try:
            reader = self.relation.project(wanted or "1 AS one").to_arrow_reader(source.PART)
            for table in gathered(reader):
                yield Part(read_arrow(table, in_order=True), self.title, table)
        except (duckdb.Error, OSError) as error:  # of a row far on, through Arrow's reader
            raise DataError(f"the query cannot be run: {first_line(error)}") from error
