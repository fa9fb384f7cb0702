"""`Digest`: what tables need of the rows, in numbers that have no rows.

With the rows at hand each part is computed when it is first asked for; when they are let go all parts are kept:

    triangle      R of [1 X] = QR: every function of X'X (sequential hypotheses, the variance of Xβ̂, what was redundant)
    low, high     range of each column of X
    grams         Σ_i z_i z_i' of each random term: in a random intercept's, the number of rows
    sketch        S X with a fixed sparse random S: tells whether one model's columns span another's
    fingerprints  of the labels, response, weights and offset: whether two models are of the same rows

S has four nonzero entries ±1 a row of the data, one in each of four blocks of 128 rows, placed by a hash of the row's
number: for models of the same rows, X_1 = X_2 B if and only if S X_1 = S X_2 B, but for chance (OSNAP; Nelson and
Nguyen 2013).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import pandas as pd

from henderson.contract.rows import Rows, present
from henderson.numerics.hashing import mixed

FloatArray = np.ndarray

#: blocks of S, and rows of each
BLOCKS, BUCKETS = 4, 128
#: rows that are worked on together, so that they stay in the processor's cache
CHUNK = 1 << 14


class Digest:
    """What tables need of the rows.

    Parameters
    ----------
    rows : Rows
    x_names : tuple of str
        Names of X's columns.
    """

    PARTS = ("triangle", "low", "high", "grams", "sketch", "fingerprints")

    def __init__(self, rows: Rows | None, x_names: tuple[str, ...]) -> None:
        self._given, self._x_names = rows, x_names

    @property
    def _rows(self) -> Rows:
        return present(self._given, "a summary")

    def complete(self) -> Digest:
        """All parts, and no rows."""
        out = Digest(None, self._x_names)
        out.__dict__.update({name: getattr(self, name) for name in self.PARTS})
        return out

    @cached_property
    def triangle(self) -> FloatArray:
        """R of [1 X] = QR, (p + 1, p + 1); rows of zeros where there are fewer rows."""
        X = self._rows.X
        found = np.zeros((0, X.shape[1] + 1))
        for start in range(0, len(X), CHUNK):
            here = X[start : start + CHUNK]
            both = np.vstack([found, np.column_stack([np.ones(len(here)), here])])
            found = np.asarray(np.linalg.qr(both, mode="r"))
        return np.vstack([found, np.zeros((X.shape[1] + 1 - len(found), X.shape[1] + 1))])

    @property
    def x_triangle(self) -> FloatArray:
        """A matrix with X'X and few rows, (p + 1, p)."""
        return self.triangle[:, 1:]

    @cached_property
    def low(self) -> FloatArray:
        """The smallest entry of each column of X, (p,)."""
        return self._rows.X.min(axis=0)

    @cached_property
    def high(self) -> FloatArray:
        """The largest, (p,)."""
        return self._rows.X.max(axis=0)

    @property
    def constant(self) -> np.ndarray:
        """Which columns of X are constant, (p,) bool."""
        return self.low == self.high

    @cached_property
    def grams(self) -> tuple[FloatArray, ...]:
        """Σ_i z_i z_i' of each random term, (q, q)."""
        return tuple(term.gram for term in self._rows.terms)

    @cached_property
    def sketch(self) -> FloatArray:
        """S X, (512, p)."""
        X = self._rows.X
        out = np.zeros((BLOCKS, BUCKETS, X.shape[1]))
        for start in range(0, len(X), CHUNK):
            here = X[start : start + CHUNK]
            hashed = mixed(np.arange(start, start + len(here), dtype=np.uint64))
            for block in range(BLOCKS):
                # a byte of the hash: seven bits are the place, one the sign
                byte = (hashed >> np.uint64(8 * block)).astype(np.uint8).astype(np.intp)
                for j, column in enumerate(here.T):
                    sums = np.bincount(byte, column, 2 * BUCKETS)
                    out[block, :, j] += sums[:BUCKETS] - sums[BUCKETS:]
        return out.reshape(BLOCKS * BUCKETS, -1)

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Of the labels, the response, the weights and the offset."""
        rows = self._rows
        labels = pd.util.hash_pandas_object(rows.index).to_numpy()
        arrays = {"labels": labels, "response": rows.y, "weights": rows.unit_weights, "offset": rows.known}
        return {name: _fingerprint(array) for name, array in arrays.items()}


def _fingerprint(array: np.ndarray) -> str:
    if array.dtype.kind == "f":
        array = array + 0.0  # −0.0 is 0.0
        if len(array) and array.min() == array.max():
            array = np.array([len(array), array[0]])  # ones in place of weights, mostly
    return hashlib.blake2b(np.ascontiguousarray(array).view(np.uint8).data, digest_size=16).hexdigest()
