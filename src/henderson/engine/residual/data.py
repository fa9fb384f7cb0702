"""The data of a batch's blocks, c_i = √w [X̃ ỹ] (n, m), in the products that the likelihood asks of them.

    weigh(A)   Σ_i c_i' A_u c_i           cover(Q)   E_u = Σ_i c_i Q c_i'            (sums over the blocks i of unit u)

Where a unit has many blocks they are summed once into M_u[ab, cd] = Σ_i c_i[a, c] c_i[b, d], and nothing after that
depends on their number; where it has few, the blocks themselves are cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

import numpy as np

FloatArray = np.ndarray

#: doubles of the products of one unit
MOST = 1 << 24


@lru_cache(maxsize=256)
def _triangle(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a lower triangle of order n."""
    return np.tril_indices(n)


class BlockData(Protocol):
    """Data of U units of n rows."""

    def weigh(self, A: FloatArray) -> FloatArray:
        """Σ_i c_i'A_uc_i for symmetric A (k, U, n, n): (k, m, m)."""

    def weigh_diagonal(self, S: FloatArray, d: FloatArray) -> FloatArray:
        """Σ_i c_i'S_u diag(d_u) S_uc_i for symmetric S (U, n, n) and d (k, U, n): (k, m, m)."""

    def cover(self, Q: FloatArray) -> FloatArray:
        """Σ_i c_iQc_i' for symmetric Q (m, m): (U, n, n)."""

    def some(self, units: slice) -> BlockData:
        """Of some of the units."""


@dataclass(frozen=True)
class Stacked:
    """The blocks themselves.

    Attributes
    ----------
    c : (B, n, m) array
        Blocks of one unit together.
    counts : (U,) int array
    """

    c: FloatArray
    counts: np.ndarray

    @property
    def _repeated(self) -> np.ndarray | None:
        """The unit of each block; None where each has its own."""
        return None if len(self.c) == len(self.counts) else np.repeat(np.arange(len(self.counts)), self.counts)

    def weigh(self, A: FloatArray) -> FloatArray:
        """See `BlockData.weigh`."""
        B, n, m = self.c.shape
        unit, flat = self._repeated, self.c.reshape(B * n, m)
        out = np.empty((len(A), m, m))
        for k, one in enumerate(A):
            turned = np.matmul(one if unit is None else one[unit], self.c)
            out[k] = flat.T @ turned.reshape(B * n, m)
        return out

    def weigh_diagonal(self, S: FloatArray, d: FloatArray) -> FloatArray:
        """See `BlockData.weigh_diagonal`."""
        unit = self._repeated
        turned = (np.matmul(S if unit is None else S[unit], self.c)).reshape(-1, self.c.shape[2])
        by_row = (d if unit is None else d[:, unit]).reshape(len(d), -1)
        return (by_row[:, None, :] * turned.T) @ turned

    def cover(self, Q: FloatArray) -> FloatArray:
        """See `BlockData.cover`."""
        found = np.matmul(np.matmul(self.c, Q), self.c.transpose(0, 2, 1))
        if self._repeated is None:
            return found
        return np.add.reduceat(found, np.concatenate([[0], np.cumsum(self.counts)[:-1]]), axis=0)

    def some(self, units: slice) -> Stacked:
        """See `BlockData.some`."""
        ends = np.concatenate([[0], np.cumsum(self.counts)])
        first, last, _ = units.indices(len(self.counts))
        return Stacked(self.c[ends[first] : ends[last]], self.counts[units])


@dataclass(frozen=True)
class Summed:
    """Sums over the blocks of each unit.

    Attributes
    ----------
    products : (U, n (n + 1) / 2, m (m + 1) / 2) array
        M_u[ab, cd] + M_u[ba, cd] over the pairs a ≥ b (half of that where a = b) and c ≥ d.
    n, m : int
    """

    products: FloatArray
    n: int
    m: int

    @classmethod
    def of(cls, c: FloatArray, counts: np.ndarray) -> Summed:
        """From the blocks (B, n, m), those of a unit together."""
        _, n, m = c.shape
        rows, columns = _triangle(n), _triangle(m)
        ends = np.concatenate([[0], np.cumsum(counts)])
        out = np.empty((len(counts), len(rows[0]), len(columns[0])))
        for u, (start, stop) in enumerate(pairwise(ends)):
            flat = c[start:stop].reshape(stop - start, n * m)
            whole = (flat.T @ flat).reshape(n, m, n, m)
            both = whole[rows[0][:, None], columns[0], rows[1][:, None], columns[1]]
            both += whole[rows[1][:, None], columns[0], rows[0][:, None], columns[1]]
            both[rows[0] == rows[1]] /= 2
            out[u] = both
        return cls(out, n, m)

    def weigh(self, A: FloatArray) -> FloatArray:
        """See `BlockData.weigh`."""
        rows, columns = _triangle(self.n), _triangle(self.m)
        sums = A[:, :, rows[0], rows[1]].reshape(len(A), -1) @ self.products.reshape(-1, self.products.shape[2])
        out = np.empty((len(A), self.m, self.m))
        out[:, columns[0], columns[1]] = out[:, columns[1], columns[0]] = sums
        return out

    def weigh_diagonal(self, S: FloatArray, d: FloatArray) -> FloatArray:
        """See `BlockData.weigh_diagonal`."""
        return self.weigh((S * d[:, :, None, :]) @ S)

    def cover(self, Q: FloatArray) -> FloatArray:
        """See `BlockData.cover`."""
        rows, columns = _triangle(self.n), _triangle(self.m)
        weight = np.where(columns[0] == columns[1], 1.0, 2.0) * Q[columns]
        sums = self.products @ weight
        sums *= np.where(rows[0] == rows[1], 1.0, 0.5)
        out = np.empty((len(sums), self.n, self.n))
        out[:, rows[0], rows[1]] = out[:, rows[1], rows[0]] = sums
        return out

    def some(self, units: slice) -> Summed:
        """See `BlockData.some`."""
        return Summed(self.products[units], self.n, self.m)


def summed_or_stacked(c: FloatArray, counts: np.ndarray) -> list[tuple[np.ndarray, BlockData]]:
    """The data of units, in one or two parts: which units (ascending), and theirs.

    A unit of N blocks costs N n m (n + m) stacked, n²m²/4 summed.
    """
    _, n, m = c.shape
    many = counts * 4 * (n + m) > n * m
    many &= (counts > 1) & ((n * m) ** 2 <= MOST)
    out: list[tuple[np.ndarray, BlockData]] = []
    of_block = np.repeat(many, counts)
    if many.any():
        out.append((np.flatnonzero(many), Summed.of(c[of_block], counts[many])))
    if not many.all():
        out.append((np.flatnonzero(~many), Stacked(c[~of_block], counts[~many])))
    return out
