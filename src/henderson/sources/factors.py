"""Columns as factors: an integer code for each row, and the sorted levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from henderson.errors import DataError
from henderson.sources.frames import Array


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
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iub" and len(values):
        if values.dtype.kind == "b":
            codes, present = compress(values.view(np.int8), 2)
            return codes, pd.Index(np.array([False, True])[present])
        low, high = int(values.min()), int(values.max())
        if high - low < 4 * len(values) + 1024:
            codes, present = compress(values - values.dtype.type(low) if low else values, high - low + 1)
            return codes, pd.Index((present + low).astype(values.dtype))
    codes, found = pd.factorize(values, sort=False)
    levels = pd.Index(found)
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


def compress(codes: np.ndarray, n_codes: int) -> tuple[np.ndarray, np.ndarray]:
    """Renumber `codes` so that each occurs.

    Parameters
    ----------
    codes : (n,) integer array, 0 ≤ codes < n_codes
    n_codes : int

    Returns
    -------
    codes : (n,) intp array
    present : (J,) intp array
        The old code of each new one, increasing.
    """
    occurs = np.zeros(n_codes, dtype=bool)
    occurs[codes] = True
    present = np.flatnonzero(occurs)
    if len(present) == n_codes:
        return codes.astype(np.intp), present
    new = np.cumsum(occurs, dtype=np.intp) - 1
    return new[codes], present


def renumber(codes: np.ndarray, n_codes: int) -> tuple[np.ndarray, np.ndarray]:
    """`compress`, for any number of possible codes."""
    if n_codes <= 4 * len(codes) + 1024:
        return compress(codes, n_codes)
    present, codes = np.unique(codes, return_inverse=True)
    return codes.astype(np.intp, copy=False), present


def cross(factors: Sequence[tuple[np.ndarray, pd.Index]]) -> tuple[np.ndarray, pd.Index]:
    """The interaction of factors, the first varying slowest; its levels read ``"a1:b1"``."""
    codes, levels = factors[0]
    for more_codes, more_levels in factors[1:]:
        n_pairs = len(levels) * len(more_levels)
        codes, present = renumber(codes * np.intp(len(more_levels)) + more_codes, n_pairs)
        first, second = np.divmod(present, len(more_levels))
        labels = _text(levels)[first] + ":" + _text(more_levels)[second]
        levels = pd.Index(labels)
    return codes, levels


def _text(levels: pd.Index) -> np.ndarray:
    return np.array([str(level) for level in levels.tolist()], dtype=object)


def match(values: Array, levels: pd.Index) -> np.ndarray:
    """Codes of `values` among `levels`; −1 for a level not there, or missing."""
    if isinstance(values, pd.Categorical):
        position = levels.get_indexer(values.categories)
        return np.append(position, -1).astype(np.intp)[values.codes]
    index = pd.Index(values)
    if index.dtype == object and levels.dtype != object:
        index = index.infer_objects()
    return levels.get_indexer(index).astype(np.intp, copy=False)
