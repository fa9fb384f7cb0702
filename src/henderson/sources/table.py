"""`Table`: what the rest of the library sees of a user's data: named columns of equal length, read one at a time."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
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
    texts : dict, optional
        Labels that are not text (numbers, dates, tuples) and the names that they go by, which are in `labels`.
    """

    labels: tuple[Any, ...] | pd.Index
    n: int
    index: pd.Index
    read: Callable[[str], Array]
    labelled: bool = False
    texts: dict[Any, str] = field(default_factory=dict)

    def named(self, given: Any) -> Any:
        """The name that a column goes by where `given` is its label in the data; else `given`."""
        try:
            return self.texts.get(given, given) if self.texts else given
        except TypeError:  # arrays, Series and lists are columns themselves
            return given

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


def label_text(label: Any) -> str:
    """The name that a column goes by in formulas: text is its own; several levels of pandas are joined by ``_``.

    Examples
    --------
    >>> label_text("x"), label_text(2), label_text(("rt", "mean")), label_text(("rt", ""))
    ('x', '2', 'rt_mean', 'rt')
    """
    if isinstance(label, str):
        return label
    if isinstance(label, tuple):
        return "_".join(label_text(part) for part in label if part is not None and part != "")
    return str(label)


def named(labels: Iterable[Any]) -> tuple[tuple[str, ...], dict[Any, str]]:
    """What `Table` has for `labels` and `texts`, of labels of any type.

    Examples
    --------
    >>> named(["y", 0])
    (('y', '0'), {0: '0'})
    """
    given = tuple(labels)
    names = tuple(label_text(label) for label in given)
    return names, {label: name for label, name in zip(given, names, strict=True) if not isinstance(label, str)}


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
