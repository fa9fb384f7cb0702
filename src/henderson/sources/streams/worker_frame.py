"""What frames whose rows live with workers have in common (Dask's, Spark's): the columns, and how many rows: nobody
knows before they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from henderson.errors import DataError
from henderson.sources.table import unknown_column

#: rows that are looked at for what the columns hold
LOOK = 10_000


@dataclass(frozen=True)
class WorkerFrame:
    """A frame as a source; a kind of it says how its partitions are read and summed.

    Attributes
    ----------
    frame : DataFrame of the kind
    """

    frame: Any

    title: ClassVar[str]
    again: ClassVar[bool] = True

    @property
    def names(self) -> tuple[str, ...]:
        """Its columns."""
        return tuple(map(str, self.frame.columns))

    @property
    def n(self) -> int | None:
        """Nobody knows before it is computed."""
        return None

    def held(self, columns: Sequence[str] | None) -> AbstractContextManager[Self]:
        """Itself."""
        return nullcontext(self)

    def _wanted(self, columns: Sequence[str]) -> list[str]:
        """The columns to be read: those asked for, of none the first, which tells the number of rows."""
        for name in columns:
            if name not in self.names:
                raise DataError(f"{self.title}: {unknown_column(name, self.names)}")
        return list(columns) or list(self.names[:1])

    def _no_rows(self) -> DataError:
        return DataError(f"{self.title}: the data has no rows")
