"""`Table`: what the rest of the library sees of a user's data: named columns of equal length, read one at a time."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from henderson.errors import DataError
from henderson.numerics.lazy import lazy
from henderson.sources.columns import Array


@dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    Attributes
    ----------
    labels : tuple or pandas.Index
        Column names in order, as the data has them (duplicates included).
    n : int
        Number of rows.
    index : pandas.Index of length n
    read : callable
        Name to column.
    labelled : bool
        Whether the data has an index of its own (else `index` counts the rows).
    """

    labels: tuple[Any, ...] | pd.Index
    n: int
    index: pd.Index
    read: Callable[[str], Array]
    labelled: bool = False

    @lazy
    def names(self) -> tuple[Any, ...]:
        """The labels one by one."""
        return tuple(self.labels)

    def _count(self, name: object) -> int:
        """How many columns have a name; pandas knows without listing them, where all are different."""
        if type(self.labels) is pd.Index and self.labels.is_unique:
            return int(name in self.labels)
        return self.names.count(name)

    def __contains__(self, name: object) -> bool:
        return self._count(name) > 0

    def __getitem__(self, name: str) -> Array:
        count = self._count(name)
        if count == 0:
            raise DataError(unknown_column(name, self.names))
        if count > 1:
            raise DataError(f"the data has {count} columns named {name!r}")
        return self.read(name)


def unknown_column(name: str, names: Iterable[Any]) -> str:
    """What to say when there is no column `name`."""
    text = [str(known) for known in names]
    folded = {known.lower(): known for known in text}
    close = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.6)
    if close:
        hint = "did you mean " + " or ".join(repr(folded[match]) for match in close) + "?"
    else:
        shown = ", ".join(repr(known) for known in text[:12]) + (", …" if len(text) > 12 else "")
        hint = f"there are {shown}" if text else "it has none"
    return f"the data has no column {name!r}: {hint}"
