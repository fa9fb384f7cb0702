"""Sums over the rows of each level, added in place: reading costs rows plus levels, never rows times levels.

For rows with level j_i, loadings z_i (q,) and columns c_i (m,), `LevelSums.add` does

    sums[:, :, j] += Σ_{i: j_i = j} z_i c_i'

one pair of a loading and a column at a time where there are many rows, so that what is read, what is written and the
codes are three streams. Where the rows of a pass are many to a level they go by way of sums of their own, so that no
sum of many terms is added to one by one; else they are added where the sums are. `rows_at_once` makes passes as long
as there are levels, unless the rows come nearly in the order of their levels.

Where the sums of one pair are too many for the processor's cache each pass would wait for memory at every row. Then all
sums of a level lie side by side, and are added to at once. Where they fill whole lines of the cache, or nearly, they
are made to: the lines of some rows are then fetched together, before they are added to one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from henderson.numerics.scatter import Places, add_product
from henderson.numerics.small import slices

#: rows of one part: its working columns stay below the size that the allocator returns to the system
BATCH = 1 << 18
#: products of a loading and a column up to which those of all pairs are summed at once
AT_ONCE = 10_000
#: rows by level below which products are added where the sums are
SCATTERED = 8
#: rows of a level in one part, where memory has room: each pair's sums come into the cache once a part
EACH = 4
#: rows of one part up to which it has
LONG = 1 << 20
#: rows of one part at most
MOST = 1 << 22
#: levels whose sums of one pair no cache of a core holds
WIDE = 1 << 19
#: pairs from which it then pays to add to all sums of a level at once
PAIRS = 7
#: rows that are added so at a time
PIECE = 1 << 13
#: numbers in a line of the cache
LINE = 8
#: part of the columns up to which columns of zeros are added, to fill lines
FILLED = 0.25


class LevelSums:
    """Sums by level, (q, m, J), of parts of the rows.

    Parameters
    ----------
    q, m : int
        Loadings and columns.
    n_levels : int

    Attributes
    ----------
    sums : (q, m, J) array
        In memory levels come last; or it is a view of `side_by_side`.
    side_by_side : (J, q, m or more) array, or None
        The sums of each level; the columns that are too many are zero.

    Examples
    --------
    >>> sums = LevelSums(1, 1, 3)
    >>> sums.add(np.array([0, 2, 2]), np.ones((1, 3)), np.array([[1.0, 2.0, 3.0]]))
    >>> sums.sums.tolist()
    [[[1.0, 0.0, 5.0]]]
    """

    def __init__(self, q: int, m: int, n_levels: int) -> None:
        self.side_by_side = None
        if n_levels >= WIDE and q * m >= PAIRS:
            self.side_by_side = _in_lines(n_levels, q, m + (more if (more := -m % LINE) <= FILLED * m else 0))
            self.sums = self.side_by_side[:, :, :m].transpose(1, 2, 0)
        else:
            self.sums = np.zeros((q, m, n_levels))

    @property
    def levels_last(self) -> np.ndarray:
        """The sums, (q, m, J), with levels last in memory too."""
        if self.side_by_side is None:
            return self.sums
        q, m, n_levels = self.sums.shape
        out = np.empty((q, m, n_levels))
        for part in slices(n_levels, 2 * q * m):
            out[:, :, part] = self.sums[:, :, part]
        return out

    def __add__(self, other: LevelSums) -> LevelSums:
        """Sums of both."""
        out = LevelSums(*self.sums.shape)
        np.add(self.sums, other.sums, out=out.sums)
        return out

    def __getstate__(self) -> dict[str, Any]:
        """The levels that have sums, where those are few."""
        there = np.flatnonzero(self.sums.any(axis=(0, 1)))
        if 2 * len(there) > self.sums.shape[2]:
            return {"sums": self.sums}
        return {"sums": self.sums[:, :, there], "there": there, "n_levels": self.sums.shape[2]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        q, m, n_levels = state["sums"].shape
        there = state.get("there", slice(None))
        self.__dict__.update(LevelSums(q, m, state.get("n_levels", n_levels)).__dict__)
        self.sums[:, :, there] = state["sums"]

    def add(
        self,
        codes: np.ndarray,
        loadings: np.ndarray,
        columns: np.ndarray,
        pairs: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        """Add rows: codes (n,), loadings (q, n), columns (m, n).

        `pairs`: the pairs of a loading and a column that are wanted; of few rows all are added.
        """
        if not len(codes) or (pairs is not None and not len(pairs)):
            return
        if self.side_by_side is not None:
            _add_to(self.side_by_side, codes, loadings, columns)
            return
        low, high = _window(codes, self.sums.shape[2])
        here, within = slice(low, high), codes - low if low else codes
        q, m = self.sums.shape[:2]
        if q * m * len(codes) <= AT_ONCE:
            place = within + (high - low) * np.arange(q * m)[:, None]
            products = loadings[:, None] * columns
            sums = np.bincount(place.ravel(), products.ravel(), q * m * (high - low))
            self.sums[:, :, here] += sums.reshape(q, m, high - low)
            return
        places, own = Places.of(within, high - low), np.empty(high - low)
        apart = SCATTERED * (high - low) <= len(codes)
        for a, c in np.ndindex(q, m) if pairs is None else pairs:
            if apart:
                own[:] = 0.0
                places.add(own, loadings[a], columns[c])
                self.sums[a, c, here] += own
            else:
                places.add(self.sums[a, c, here], loadings[a], columns[c])


def _in_lines(n_levels: int, q: int, m: int) -> np.ndarray:
    """Zeros (J, q, m) that begin where a line of the cache does."""
    size = n_levels * q * m
    room = np.zeros(size + LINE)
    begin = -(room.ctypes.data // room.itemsize) % LINE
    return room[begin : begin + size].reshape(n_levels, q, m)


def _add_to(table: np.ndarray, codes: np.ndarray, loadings: np.ndarray, columns: np.ndarray) -> None:
    """Add rows to the sums of each level, (J, q, m), side by side."""
    n_levels, q, m = table.shape
    effects, flat = table.reshape(n_levels * q, m), table.reshape(-1)
    rows = np.zeros((min(PIECE, len(codes)), m))
    for start in range(0, len(codes), PIECE):
        here = slice(start, start + PIECE)
        first = codes[here].astype(np.intp) * q
        where = np.empty((len(first), q), np.int32 if n_levels * q < 2**31 else np.int64)
        for a in range(q):  # a loop along the rows: along q it would be one of two or three
            where[:, a] = first + a
            if m % LINE == 0:  # what is taken is not used: taking brings the lines, many at once
                for line in range(0, m, LINE):
                    flat.take((first + a) * m + line)
        rows[: len(first), : len(columns)] = columns[:, here].T
        add_product(effects, where, loadings[:, here].T, rows[: len(first)])


def _window(codes: np.ndarray, n_levels: int) -> tuple[int, int]:
    """The levels that some rows hold: all, or a range where that is much shorter."""
    if len(codes) >= n_levels:
        return 0, n_levels
    return int(codes.min()), int(codes.max()) + 1


def rows_at_once(codes: np.ndarray, n_levels: int) -> int:
    """Rows of one part: `BATCH`; as many as there are levels, or more, where a `BATCH` is spread over them."""
    first = codes[:BATCH]
    spread = int(first.max()) - int(first.min()) if len(first) else 0
    if EACH * n_levels <= BATCH or spread < min(BATCH, n_levels // 2):
        return BATCH
    return min(max(n_levels, min(EACH * n_levels, LONG)), MOST)
