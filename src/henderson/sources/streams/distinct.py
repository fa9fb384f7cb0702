"""The distinct rows of some columns of a source: what levels of factors are learned from; and what columns hold.

Of one column of whole numbers within a range that a table of bits can have, the bits are kept (`_Bits`); of all else
the rows that were not seen before. Columns keep their types, categories their order. `Kinds` sees to it that a column
holds the same in all parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError
from henderson.sources.columns import Array, find_missing, kind_of, settle
from henderson.sources.factors import encode, renumber

#: values between the smallest and the largest of a column of whole numbers, up to which a table of bits serves
BITS = 1 << 28


class Distinct:
    """Distinct rows of columns.

    Parameters
    ----------
    names : sequence of str

    Examples
    --------
    >>> pairs = Distinct(["a", "b"])
    >>> pairs.add({"a": np.array([1, 1, 2]), "b": np.array(["u", "u", "v"], object)})
    >>> pairs.add({"a": np.array([2, 1]), "b": np.array(["v", "w"], object)})
    >>> {name: list(map(str, column)) for name, column in pairs.columns().items()}
    {'a': ['1', '2', '1'], 'b': ['u', 'v', 'w']}
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._parts: list[dict[str, Array]] = []
        self._waiting = self._settled = 0
        self._bits: _Bits | None = _Bits() if len(self.names) == 1 else None

    def add(self, columns: Mapping[str, Array]) -> None:
        """Add rows, in which nothing is missing."""
        own = {name: columns[name] for name in self.names}
        first = own[self.names[0]]
        if not len(first):
            return
        if self._bits is not None:
            if self._bits.add(first):
                return
            self._keep({self.names[0]: self._bits.values()})
            self._bits = None
        self._keep(unique_rows(own))
        if self._waiting > 2 * self._settled + 4096:
            self._parts = [unique_rows(self.columns())]
            self._settled, self._waiting = len(self._parts[0][self.names[0]]), 0

    def __add__(self, other: Distinct) -> Distinct:
        """Those of both."""
        out = Distinct(self.names)
        for one in (self, other):
            if one._parts or one._bits is not None:
                out.add(one.columns())
        return out

    def _keep(self, rows: dict[str, Array]) -> None:
        n = len(rows[self.names[0]])
        if n:
            self._parts.append(rows)
            self._waiting += n

    def columns(self) -> dict[str, Array]:
        """The columns of the distinct rows."""
        if self._bits is not None:
            return {self.names[0]: self._bits.values()}
        return unique_rows({name: joined([part[name] for part in self._parts], name) for name in self.names})


class _Bits:
    """Which whole numbers occur."""

    def __init__(self) -> None:
        self.low, self.seen, self.dtype = 0, np.zeros(0, bool), np.dtype(np.int64)

    def add(self, values: Array) -> bool:
        """Add values; False, and nothing added, when they are no numbers for a table of bits."""
        values = settle(values)
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "iu":
            return False
        low, high = int(values.min()), int(values.max())
        if len(self.seen):
            low, high = min(low, self.low), max(high, self.low + len(self.seen) - 1)
            dtype = np.result_type(self.dtype, values.dtype)
        else:
            dtype = values.dtype
        if high - low >= BITS or dtype.kind not in "iu" or high >= 2**62 or low < -(2**62):
            return False
        if low < self.low or high >= self.low + len(self.seen) or not len(self.seen):
            room = max(high - low + 1, min(2 * len(self.seen), BITS))
            grown = np.zeros(room, bool)
            grown[self.low - low : self.low - low + len(self.seen)] = self.seen if len(self.seen) else False
            self.low, self.seen = low, grown
        self.dtype = dtype
        self.seen[values - self.low if self.low else values] = True
        return True

    def __getstate__(self) -> dict[str, Any]:
        return {"low": self.low, "n": len(self.seen), "seen": np.packbits(self.seen), "dtype": self.dtype}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.low, self.dtype = state["low"], state["dtype"]
        self.seen = np.unpackbits(state["seen"], count=state["n"]).astype(bool)

    def values(self) -> np.ndarray:
        """The values that occur, sorted."""
        return (np.flatnonzero(self.seen) + self.low).astype(self.dtype)


def unique_rows(columns: dict[str, Array]) -> dict[str, Array]:
    """The first of each of the rows that are equal, in their order.

    Examples
    --------
    >>> unique_rows({"a": np.array([3, 1, 3])})
    {'a': array([3, 1])}
    """
    number, size = np.zeros(0, np.intp), 1
    for name, values in columns.items():
        codes, levels = encode(values, repr(name))
        if not len(number):
            number, size = codes, len(levels)
            continue
        number, present = renumber(number * np.intp(len(levels)) + codes, size * len(levels))
        size = len(present)
    first = np.full(size, len(number), np.intp)
    np.minimum.at(first, number, np.arange(len(number)))
    at = np.sort(first[first < len(number)])
    return {name: values[at] for name, values in columns.items()}


def joined(parts: Sequence[Array], name: str) -> Array:
    """Columns of one kind, one after another.

    Raises
    ------
    DataError
        When ordered categories differ.
    """
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
        return _joined_categories(parts, name)
    plain = [part.astype(object) if isinstance(part.dtype, pd.CategoricalDtype) else part for part in parts]
    if all(isinstance(part, np.ndarray) for part in plain):
        kinds = {part.dtype.kind for part in plain}
        if kinds <= set("iu") or len(kinds) == 1:
            return np.concatenate(plain)
        if kinds <= set("iuf"):
            return _numbers(plain)
    return pd.concat([pd.Series(part) for part in plain], ignore_index=True).array


def _numbers(parts: Sequence[Any]) -> Array:
    """Floats and integers: as integers where all are whole, so that ids above 2**53 stay apart."""
    whole = all(part.dtype.kind != "f" or (part == np.floor(part)).all() for part in parts)
    return np.concatenate([part.astype(np.int64 if whole else np.float64) for part in parts])


def _joined_categories(parts: Sequence[Any], name: str) -> Array:
    first = parts[0].categories
    if all(part.categories.equals(first) and part.ordered == parts[0].ordered for part in parts):
        return pd.Categorical.from_codes(np.concatenate([part.codes for part in parts]), dtype=parts[0].dtype)
    if any(part.ordered for part in parts):
        raise DataError(f"{name!r} has ordered categories that differ from part to part")
    known = list(dict.fromkeys(level for part in parts for level in part.categories))
    if all(part.categories.is_monotonic_increasing for part in parts):
        known.sort()
    dtype = pd.CategoricalDtype(known)
    codes = [pd.Index(known).get_indexer(part.categories)[part.codes] for part in parts]
    return pd.Categorical.from_codes(np.concatenate(codes), dtype=dtype)


class Kinds:
    """What each column holds, which must be the same in all parts."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}

    def check(self, name: str, values: Array, where: str) -> None:
        """Raise when a column holds something else than before; all missing, it may be anything."""
        kind = kind_of(values)
        known = self._known.get(name)
        if known is not None and known[0] == kind:
            return
        missing = find_missing(values)
        if missing is None or not missing.all():
            self._meet(name, kind, where)

    def __add__(self, other: Kinds) -> Kinds:
        """Those of both, which must be the same."""
        out = Kinds()
        for one in (self, other):
            for name, (kind, where) in one._known.items():
                out._meet(name, kind, where)
        return out

    def _meet(self, name: str, kind: str, where: str) -> None:
        known = self._known.setdefault(name, (kind, where))
        if kind == known[0] or {kind, known[0]} <= {"category", "text"}:
            return
        raise DataError(f"{where}: the column {name!r} holds {_shown(kind)}, in {known[1]} it holds {_shown(known[0])}")


def _shown(kind: str) -> str:
    return {"number": "numbers", "bool": "booleans", "category": "categories", "time": "times"}.get(kind, kind)
