"""Sum, least and largest entry of columns that several ask for: each column comes into the cache once.

A least and a largest entry that are finite say that all are: neither NaN nor infinity hides behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

FloatArray = np.ndarray

#: entries of one piece: a processor's cache of its own holds it while it is gone through three times
PIECE = 1 << 14


class Extent(NamedTuple):
    """Of one array.

    Attributes
    ----------
    total, low, high : float
        Sum, least and largest entry; NaN where an entry is.
    """

    total: float
    low: float
    high: float

    @classmethod
    def of(cls, values: FloatArray) -> Extent:
        """Of an array that is not empty."""
        total, low, high = [], [], []
        for start in range(0, len(values), PIECE):
            piece = values[start : start + PIECE]
            total.append(np.add.reduce(piece))
            low.append(np.minimum.reduce(piece))
            high.append(np.maximum.reduce(piece))
        return cls(float(np.sum(total)), float(np.min(low)), float(np.max(high)))

    @property
    def is_finite(self) -> bool:
        """Whether every entry is."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


class Extents:
    """Those of arrays by their identity; the arrays are held, and must not change.

    Examples
    --------
    >>> x = np.array([3.0, 1.0, 2.0])
    >>> Extents().of(x)
    Extent(total=6.0, low=1.0, high=3.0)
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[FloatArray, Extent]] = {}

    def of(self, values: FloatArray) -> Extent:
        """Of an array of floats that is not empty."""
        if id(values) not in self._known:
            with np.errstate(all="ignore"):
                self._known[id(values)] = values, Extent.of(values)
        return self._known[id(values)][1]


class ColumnExtents(NamedTuple):
    """Of the columns of X.

    Attributes
    ----------
    total, low, high : (p,) arrays
    """

    total: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, X: FloatArray, copied: Sequence[FloatArray | None], extents: Extents) -> ColumnExtents:
        """Of the columns of X (n, p), some of which are copies of arrays."""
        each = [extents.of(X[:, j] if own is None else own) for j, own in enumerate(copied)]
        return cls(*np.array(each, float).reshape(-1, 3).T)

    @property
    def is_finite(self) -> bool:
        """Whether every entry of X is."""
        return bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())
