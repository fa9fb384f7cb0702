"""Columns as factors: an integer code for each row, and the sorted levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError
from henderson.sources.columns import Array, find_missing, settle

#: rows of one pass through the cache
CHUNK = 1 << 16


def encode(values: Array, shown: str = "a column") -> tuple[np.ndarray, pd.Index]:
    """Codes and levels of a column without missing values.

    Categories keep their order, and those that do not occur are left out; everything else is sorted. Values
    that cannot be compared (numbers and text) are sorted by type, then value.

    Parameters
    ----------
    values : (n,) array
    shown : str
        Its name for messages.

    Returns
    -------
    codes : (n,) intp array
    levels : pandas.Index of length J
        Every level occurs.

    Raises
    ------
    DataError
        When values of one type cannot be put in order.

    Examples
    --------
    >>> codes, levels = encode(np.array([30, 10, 30, 20]))
    >>> codes.tolist(), levels.tolist()
    ([2, 0, 2, 1], [10, 20, 30])
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes, present = compress(values.codes, len(values.categories))
        return codes, values.categories[present]
    values = settle(values)
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iub" and len(values):
        if values.dtype.kind == "b":
            codes, present = compress(values.view(np.int8), 2)
            return codes, pd.Index(np.array([False, True])[present])
        low, high = int(values.min()), int(values.max())
        if high - low < 4 * len(values) + 1024:
            codes, present = compress(values, high - low + 1, low)
            wide = _wide(values)
            return codes, pd.Index((present.astype(wide) + wide(low)).astype(values.dtype))
    if isinstance(values.dtype, np.dtype) and values.dtype.kind == "f":
        values = values + 0.0  # −0.0 is 0.0
    try:
        codes, found = pd.factorize(values, sort=False)
    except TypeError:
        kind = next(type(value).__name__ for value in values if not _is_hashable(value))
        raise DataError(f"{shown} holds Python objects ({kind}), which are not labels: use numbers or text") from None
    levels = as_labels(found)
    if not len(levels):  # all are missing
        return codes, levels
    try:
        order = np.asarray(levels.argsort())
    except TypeError:
        keys = [(type(level).__name__, level) for level in levels]
        try:
            order = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)
        except TypeError:
            raise DataError(
                f"{shown} holds Python objects ({keys[0][0]}) that cannot be put in order: use numbers or text"
            ) from None
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return rank[codes], levels[order]


def compress(codes: np.ndarray, n_codes: int, low: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Renumber `codes` so that each occurs.

    Parameters
    ----------
    codes : (n,) integer array, low ≤ codes < low + n_codes
    n_codes, low : int

    Returns
    -------
    codes : (n,) intp array
    present : (J,) intp array
        The old code of each new one, less `low`, increasing.
    """
    occurs = np.zeros(n_codes, dtype=bool)
    for _, part in _from_zero(codes, low):
        occurs[part] = True
    present = np.flatnonzero(occurs)
    new, out = None, np.empty(len(codes), np.intp)
    if len(present) < n_codes:
        counted = np.cumsum(occurs, dtype=np.int32 if n_codes < 2**31 else np.intp)  # small: rows look up at random
        new = np.subtract(counted, 1, out=counted)
    for here, part in _from_zero(codes, low):
        out[here] = part if new is None else new.take(part)
    return out, present


def _wide(codes: np.ndarray) -> type[np.integer]:
    """A type whose arithmetic does not wrap: in int8, 100 − (−100) is −56."""
    return np.uint64 if codes.dtype.kind == "u" else np.int64


def _from_zero(codes: np.ndarray, low: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Codes less `low`, as intp, in parts that fit the cache."""
    wide = _wide(codes)
    for start in range(0, len(codes), CHUNK):
        here = slice(start, start + CHUNK)
        part = codes[here] if low == 0 else codes[here].astype(wide) - wide(low)
        yield here, part.astype(np.intp, copy=False)


def renumber(codes: np.ndarray, n_codes: int) -> tuple[np.ndarray, np.ndarray]:
    """`compress`, for any number of possible codes."""
    if n_codes <= 4 * len(codes) + 1024:
        return compress(codes, n_codes)
    present, codes = np.unique(codes, return_inverse=True)
    return codes.astype(np.intp, copy=False), present


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@dataclass(frozen=True)
class Crossing:
    """Which combinations of the levels of some factors occur, and in what order they are numbered.

    Combinations are known by their parts: ``"x:y"`` with ``"z"`` is not ``"x"`` with ``"y:z"``.

    Attributes
    ----------
    parts : tuple of k pandas.Index
        Levels of each factor.
    present : tuple of k − 1 intp arrays
        For each factor after the first: the pairs (combination of those before, level of this one) that occur, as
        ``combination · n_levels + level``, increasing. A pair's place in it is the number of the longer combination.
    """

    parts: tuple[pd.Index, ...]
    present: tuple[np.ndarray, ...]

    @property
    def members(self) -> tuple[np.ndarray, ...]:
        """Level of each factor in each combination, k arrays (J,)."""
        found: list[np.ndarray] = []
        at = np.arange(len(self.present[-1]))
        for pairs, levels in zip(reversed(self.present), reversed(self.parts[1:])):
            at, level = np.divmod(pairs[at], len(levels))
            found.insert(0, level)
        return (at, *found)

    @property
    def labels(self) -> pd.Index:
        """``"a1:b1"`` for each combination; where that is ambiguous, with quoted text: ``"'x:y':'z'"``."""
        members = self.members
        labels = _joined([_text(part)[at] for part, at in zip(self.parts, members)])
        index = pd.Index(labels, dtype=object)
        if not index.is_unique:
            again = np.flatnonzero(index.duplicated(keep=False))
            labels[again] = _joined([_quoted(part)[at[again]] for part, at in zip(self.parts, members)])
        return pd.Index(labels)

    def codes(self, each: Sequence[np.ndarray]) -> np.ndarray:
        """Numbers of combinations, −1 for those not there.

        Parameters
        ----------
        each : sequence of k (m,) intp arrays
            Levels of each factor, −1 for one not there.
        """
        codes = each[0]
        for pairs, levels, more in zip(self.present, self.parts[1:], each[1:]):
            pair = codes * np.intp(len(levels)) + more
            place = np.minimum(np.searchsorted(pairs, pair), len(pairs) - 1)
            codes = np.where((codes >= 0) & (more >= 0) & (pairs[place] == pair), place, -1)
        return codes


def cross(factors: Sequence[tuple[np.ndarray, pd.Index]]) -> tuple[np.ndarray, Crossing]:
    """The interaction of factors, the first varying slowest.

    Parameters
    ----------
    factors : sequence of (codes, levels)

    Returns
    -------
    codes : (n,) intp array
    crossing : Crossing

    Examples
    --------
    >>> codes, crossing = cross([encode(np.array(["x", "x:y"])), encode(np.array(["y:z", "z"]))])
    >>> codes.tolist(), crossing.labels.tolist()
    ([0, 1], ["'x':'y:z'", "'x:y':'z'"])
    """
    codes, first = factors[0]
    n_levels, steps = len(first), []
    for more, levels in factors[1:]:
        codes, present = renumber(codes * np.intp(len(levels)) + more, n_levels * len(levels))
        steps.append(present)
        n_levels = len(present)
    return codes, Crossing(tuple(levels for _, levels in factors), tuple(steps))


def _text(levels: pd.Index) -> np.ndarray:
    return np.array([str(level) for level in levels.tolist()], dtype=object)


def _quoted(levels: pd.Index) -> np.ndarray:
    return np.array([repr(level) for level in levels.tolist()], dtype=object)


def _joined(texts: Sequence[np.ndarray]) -> np.ndarray:
    out = texts[0]
    for text in texts[1:]:
        out = out + ":" + text
    return np.asarray(out, dtype=object)


def match(values: Array, levels: pd.Index) -> np.ndarray:
    """Codes of `values` among `levels`; −1 for a level not there, or missing.

    Numbers match by value (308.0 is 308, exactly: ids above 2**53 too), text matches text only.

    Examples
    --------
    >>> match(np.array([309.0, 308.5]), pd.Index([308, 309])), match(np.array(["308"]), pd.Index([308]))
    (array([ 1, -1]), array([-1]))
    """
    if isinstance(values, pd.Categorical):
        position = match(values.categories.array, levels)
        return np.append(position, -1)[values.codes]
    missing = find_missing(values)
    if missing is not None:
        out = np.full(len(values), -1, dtype=np.intp)
        out[~missing] = match(values[~missing], levels)
        return out
    index = as_labels(settle(values))
    kinds = index.dtype.kind, levels.dtype.kind
    if isinstance(levels, pd.DatetimeIndex) and pd.api.types.infer_dtype(index, skipna=False) == "date":
        index = pd.to_datetime(index)
    elif kinds in (("f", "i"), ("f", "u"), ("i", "f"), ("u", "f")):
        return _match_numbers(index.to_numpy(), levels)
    return levels.get_indexer(index).astype(np.intp, copy=False)


class Lookup:
    """`match` against levels that are looked up again and again, as those of the parts of a table are.

    Whole numbers in a range not much longer than the levels are found in a table of their places.

    Parameters
    ----------
    levels : pandas.Index

    Examples
    --------
    >>> Lookup(pd.Index([3, 5]))(np.array([5, 4, 3, 9]))
    array([ 1, -1,  0, -1])
    """

    def __init__(self, levels: pd.Index) -> None:
        self.levels, self.low = levels, 0
        self.places: np.ndarray | None = None
        self.is_range = False
        if levels.dtype.kind in "iu" and isinstance(levels.dtype, np.dtype) and len(levels):
            low, high = int(levels.min()), int(levels.max())
            if high - low < 64 * len(levels) + 1024 and low > -(2**62) and high < 2**62:
                self.low, self.is_range = low, high - low == len(levels) - 1 and bool(levels.is_monotonic_increasing)
                self.places = np.full(high - low + 2, -1, np.int32)  # the last for what is not there
                self.places[levels.to_numpy().astype(np.int64) - low] = np.arange(len(levels))

    def __call__(self, values: Array) -> np.ndarray:
        """Codes of values, (n,) intp; −1 for a level not there."""
        if self.places is not None and isinstance(values.dtype, np.dtype) and values.dtype.kind in "iu" and len(values):
            if values.dtype.kind == "u" and int(values.max()) >= 2**62:
                return match(values, self.levels)
            place = values.astype(np.intp) - self.low
            if int(place.min()) >= 0 and int(place.max()) < len(self.places) - 1:
                return place if self.is_range else self.places[place].astype(np.intp)
            outside = (place < 0) | (place >= len(self.places) - 1)
            return self.places[np.where(outside, len(self.places) - 1, place)].astype(np.intp)
        return match(values, self.levels)


def _match_numbers(values: np.ndarray, levels: pd.Index) -> np.ndarray:
    """Integers among floats, or floats among integers. As float64, as pandas would, neighbours above 2**53 are one."""
    with np.errstate(invalid="ignore"):
        same = values.astype(levels.to_numpy().dtype)
        exact = same.astype(values.dtype) == values
    return np.where(exact, levels.get_indexer(pd.Index(same)), -1).astype(np.intp, copy=False)


def as_labels(found: Array) -> pd.Index:
    """Labels as plainly as an index can hold them: Python's integers as integers, dates as they are."""
    if not pd.api.types.is_object_dtype(found):
        return pd.Index(found)
    index = pd.Index(found, dtype=object)
    kind = pd.api.types.infer_dtype(index, skipna=False)
    return index.infer_objects() if kind in ("integer", "floating", "boolean", "datetime", "timedelta") else index


def unknown_levels(name: str, values: Array, codes: np.ndarray, levels: pd.Index) -> str:
    """What to say of values that are not among `levels`: which they are, and which are known.

    Parameters
    ----------
    name : str
        Of the factor.
    values : (m,) array
    codes : (m,) intp array
        What `match` found.
    levels : pandas.Index

    Examples
    --------
    >>> unknown_levels("Subject", np.array(["308"]), np.array([-1]), pd.Index([308, 309]))
    "'Subject' has the level '308' (str) in row 0, which the model does not know; it knows 308, 309 (int)"
    """
    rows = np.flatnonzero(codes < 0)
    row = int(rows[0])
    if pd.isna(values[row : row + 1])[0]:
        return f"{name!r} is missing in row {row}"
    bad = plain_label(values[row])
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    known = [plain_label(level) for level in levels[:12]]
    kinds = {type(level).__name__ for level in known}
    differs = type(bad).__name__ not in kinds and not (_is_number(bad) and all(map(_is_number, known)))
    shown = ", ".join(str(level) for level in known) + (", …" if len(levels) > 12 else "")
    own, theirs = (f" ({type(bad).__name__})", f" ({' and '.join(sorted(kinds))})") if differs else ("", "")
    where = f"{name!r} has the level {shown_label(bad)}{own} in row {row}{more}"
    return f"{where}, which the model does not know; it knows {shown}{theirs}"


def differ_in_type(values: Array, levels: pd.Index) -> bool:
    """Whether none of the values can be among the levels, because they are of other types (text for numbers, say)."""
    missing = find_missing(values)
    there = values if missing is None else values[~missing]
    index = there.categories if isinstance(there, pd.Categorical) else as_labels(settle(there))
    return len(index) > 0 and _family(index) != _family(levels)


def _family(labels: pd.Index) -> str:
    kind = pd.api.types.infer_dtype(labels, skipna=True)
    if isinstance(labels, pd.DatetimeIndex) and labels.tz is not None:
        return "datetime64 with a time zone"
    if kind in ("integer", "floating", "mixed-integer-float"):
        return "number"
    return "datetime64" if kind in ("date", "datetime") else kind


def plain_label(value: Any) -> Any:
    """A label as Python has it: 308 and not np.int64(308)."""
    if isinstance(value, np.generic):
        return pd.Series([value]).iloc[0] if value.dtype.kind in "mM" else value.item()
    return value


def shown_label(value: Any) -> str:
    """A label for messages: text in quotes, a date as it reads."""
    value = plain_label(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(shown_label, value))})"
    return repr(value) if isinstance(value, str | bytes | int | float) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
