"""`Table`: what the rest of the library sees of a user's data: named columns of equal length, read one at a time."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from henderson.errors import DataError
from henderson.sources.columns import Array


@dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    Attributes
    ----------
    names : tuple
        Column names in order, as the data has them (duplicates included).
    n : int
        Number of rows.
    index : pandas.Index of length n
    read : callable
        Name to column.
    labelled : bool
        Whether the data has an index of its own (else `index` counts the rows).
    """

    names: tuple[Any, ...]
    n: int
    index: pd.Index
    read: Callable[[str], Array]
    labelled: bool = False

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Array:
        count = self.names.count(name)
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
