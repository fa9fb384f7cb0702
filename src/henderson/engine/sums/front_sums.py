"""Z_j'Z_j and Z_j'[X y] of the front, each product summed once: where rows come in any order, every sum costs a look
at memory that no cache holds.

Z_j'Z_j is symmetric. And a random intercept beside a fixed one is a multiple of it: where z_a = r x_c in every row

    Σ z_a z_b = r Σ x_c z_b

which is there already; and where z_b = s x_d too, Σ z_a x_d = (r/s) Σ z_b x_c. That is looked for in the rows
themselves, part by part, and must hold to the last bit.
"""

from __future__ import annotations

import copy

import numpy as np

from henderson.engine.sums import by_level
from henderson.engine.sums.by_level import LevelSums

#: rows that are looked at before all of them are
FEW = 64


class FrontSums:
    """Sums by level of the front's products, of parts of the rows.

    Parameters
    ----------
    q, m, n_levels : int
        Columns of Z, columns of [X y], levels.

    Examples
    --------
    >>> sums = FrontSums(1, 2, 2)
    >>> sums.add(np.array([0, 1, 1]), np.full((1, 3), 2.0), np.array([[1.0, 1.0, 1.0], [3.0, 4.0, 5.0]]))
    >>> zz, zx = sums.total()
    >>> zz.tolist(), zx.tolist()
    ([[[4.0, 8.0]]], [[[2.0, 4.0], [6.0, 18.0]]])
    """

    def __init__(self, q: int, m: int, n_levels: int) -> None:
        self.q = q
        self.zz, self.zx = LevelSums(q, q, n_levels), LevelSums(q, m, n_levels)
        self.multiples: dict[int, tuple[int, float]] | None = None  # a: (c, r)

    def add(self, codes: np.ndarray, Z: np.ndarray, columns: np.ndarray) -> None:
        """Add rows: codes (n,), Z' (q, n), [X y]' (m, n)."""
        if self.multiples is None:
            self.multiples = multiples(Z, columns) if Z.size * len(columns) > by_level.AT_ONCE else {}
        others = [a for a, (c, r) in self.multiples.items() if not _is_multiple(Z[a], columns[c], r)]
        if others:
            self._write_left_out()
            for a in others:
                del self.multiples[a]
        left = [a for a in range(self.q) if a not in self.multiples]
        self.zz.add(codes, Z, Z, [(a, b) for a in left for b in left if b <= a])
        known = {(a, d) for a, d, *_ in self._twice}
        self.zx.add(codes, Z, columns, [pair for pair in np.ndindex(self.q, len(columns)) if pair not in known])

    def __add__(self, other: FrontSums) -> FrontSums:
        """Sums of both."""
        out = copy.copy(self)
        if self.multiples != other.multiples:
            for one in (self, other):
                one.total()
            out.multiples = {}
        out.zz, out.zx = self.zz + other.zz, self.zx + other.zx
        return out

    @property
    def _twice(self) -> list[tuple[int, int, int, int, float]]:
        """(a, d, b, c, f) with Σ z_a x_d = f Σ z_b x_c."""
        known = (self.multiples or {}).items()
        return [(a, d, b, c, r / s) for a, (c, r) in known for b, (d, s) in known if b < a and c != d]

    def _write_left_out(self) -> None:
        """Write the sums that were left out."""
        for a, d, b, c, f in self._twice:
            self.zx.sums[a, d] = f * self.zx.sums[b, c]
        for a, (c, r) in (self.multiples or {}).items():
            self.zz.sums[a] = r * self.zx.sums[:, c]
            self.zz.sums[:, a] = self.zz.sums[a]

    def total(self) -> tuple[np.ndarray, np.ndarray]:
        """Z_j'Z_j (q, q, J) and Z_j'[X y] (q, m, J)."""
        for a in range(self.q):
            for b in range(a):
                self.zz.sums[b, a] = self.zz.sums[a, b]
        self._write_left_out()
        return self.zz.levels_last, self.zx.levels_last


def _is_multiple(z: np.ndarray, x: np.ndarray, r: float) -> bool:
    """Whether z = r x in every row; a column is itself, if it stands at the same place of memory."""
    if r == 1.0 and z.strides == x.strides and z.ctypes.data == x.ctypes.data:
        return True
    return np.array_equal(z, r * x)


def multiples(Z: np.ndarray, columns: np.ndarray) -> dict[int, tuple[int, float]]:
    """Rows of Z' (q, n) that are multiples of a row of [X y]' (m, n), to the last bit: a → (c, r)."""
    found: dict[int, tuple[int, float]] = {}
    if not Z.shape[1]:
        return found
    for a, z in enumerate(Z):
        for c, x in enumerate(columns[:-1]):
            r = float(z[0] / x[0]) if x[0] else 0.0
            if r and np.array_equal(z[:FEW], r * x[:FEW]) and np.array_equal(z, r * x):
                found[a] = c, r
                break
    return found
