"""`Digest`: what tables need of the rows, in numbers that have no rows.

With the rows at hand each part is computed when it is first asked for; when they are let go all parts are kept:

    triangle      R of [1 X] = QR: every function of X'X (sequential hypotheses, the variance of Xβ̂, what was redundant)
    low, high     range of each column of X
    term_roots    R with R'R = Σ_i z_i z_i' of each random term, from Z itself: the size of effects on a covariate far
                  from zero is in digits that Z'Z has lost
    sketch        S X with a fixed sparse random S: tells whether one model's columns span another's
    fingerprints  of the labels, response, weights and offset: whether two models are of the same rows

S has four nonzero entries ±1 a row of the data, one in each of four blocks of 128 rows, placed by a hash of the row's
number: for models of the same rows, X_1 = X_2 B if and only if S X_1 = S X_2 B, but for chance (OSNAP; Nelson and
Nguyen 2013).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.rows import Rows
from henderson.errors import NotAvailable
from henderson.numerics.hashing import mixed

FloatArray = np.ndarray

#: blocks of S, and rows of each
BLOCKS, BUCKETS = 4, 128
#: rows that are worked on together, so that they stay in the processor's cache
CHUNK = 1 << 14
COMPARING = "a comparison with another model"


class Digest:
    """What tables need of the rows.

    Parameters
    ----------
    rows : Rows, or None
    x_names : tuple of str
        Names of X's columns.
    chunks : iterable of Rows, optional
        The rows in parts, where they are not in memory; gone through for a part that is asked for and not known.
    known : mapping, optional
        Parts that are known.
    diagonals : sequence of (J,) arrays or None, optional
        A_jj of each term whose levels are related.
    """

    PARTS = ("triangle", "low", "high", "term_roots", "sketch", "fingerprints")

    def __init__(
        self,
        rows: Rows | None,
        x_names: tuple[str, ...],
        chunks: Iterable[Rows] | None = None,
        known: Mapping[str, Any] | None = None,
        diagonals: Sequence[FloatArray | None] = (),
    ) -> None:
        self._given, self._x_names, self._streamed, self._diagonals = rows, x_names, chunks, diagonals
        self.__dict__.update(known or {})

    def _chunks(self, what: str) -> Iterable[Rows]:
        if self._streamed is not None:
            return self._streamed
        if self._given is None:  # of rows in memory all parts are kept: these came in parts
            raise NotAvailable(
                f"{what} needs the rows, which were read in parts and let go (by save() or remove_data()) before "
                "it was asked for the first time"
            )
        return (self._given,)

    def read(self) -> None:
        """Compute what is not known: of rows that come in parts, by going through them."""
        for name in self.PARTS:
            getattr(self, name)

    def complete(self) -> Digest:
        """All parts, and no rows; of rows that are not in memory the parts that are known."""
        parts = self.PARTS if self._streamed is None else [name for name in self.PARTS if name in self.__dict__]
        return Digest(None, self._x_names, known={name: getattr(self, name) for name in parts})

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_streamed"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _streamed=None)

    @cached_property
    def triangle(self) -> FloatArray:
        """R of [1 X] = QR, (p + 1, p + 1); rows of zeros where there are fewer rows."""
        p = len(self._x_names)
        found = np.zeros((0, p + 1))
        for rows in self._chunks("a table of tests"):
            for start in range(0, rows.n, CHUNK):
                here = rows.X[start : start + CHUNK]
                both = np.vstack([found, np.column_stack([np.ones(len(here)), here])])
                found = np.asarray(np.linalg.qr(both, mode="r"))
        return np.vstack([found, np.zeros((p + 1 - len(found), p + 1))])

    @property
    def x_triangle(self) -> FloatArray:
        """A matrix with X'X and few rows, (p + 1, p)."""
        return self.triangle[:, 1:]

    @cached_property
    def low(self) -> FloatArray:
        """The smallest entry of each column of X, (p,)."""
        return np.min([rows.X.min(axis=0) for rows in self._chunks("the range of the columns")], axis=0)

    @cached_property
    def high(self) -> FloatArray:
        """The largest, (p,)."""
        return np.max([rows.X.max(axis=0) for rows in self._chunks("the range of the columns")], axis=0)

    @property
    def constant(self) -> np.ndarray:
        """Which columns of X are constant, (p,) bool."""
        return self.low == self.high

    @cached_property
    def term_roots(self) -> tuple[FloatArray, ...]:
        """R with R'R = Σ_i z_i z_i' of each random term, (r, q)."""
        diagonals, found = self._diagonals, None
        for rows in self._chunks("the size of the random effects"):
            own = [term.root(diagonal) for term, diagonal in zip_longest(rows.terms, diagonals)]
            found = own if found is None else [_joined(one, more) for one, more in zip(found, own)]
        return tuple(found or ())

    @property
    def grams(self) -> tuple[FloatArray, ...]:
        """Σ_i z_i z_i' of each random term, (q, q): in a random intercept's, the number of rows."""
        return tuple(root.T @ root for root in self.term_roots)

    def sizes_of(self, lam: Sequence[FloatArray], which: Sequence[np.ndarray] = ()) -> FloatArray:
        """Σ_i z_i'λλ'z_i = ‖Rλ‖² of each random term, (m,), for its λ (q, k); `which`: of some of its effects."""
        some = which or [np.ones(len(one), bool) for one in lam]
        return np.array([np.sum((R[:, own] @ one[own]) ** 2) for R, one, own in zip(self.term_roots, lam, some)])

    @cached_property
    def sketch(self) -> FloatArray:
        """S X, (512, p)."""
        out = np.zeros((BLOCKS, BUCKETS, len(self._x_names)))
        before = 0
        for rows in self._chunks(COMPARING):
            for start in range(0, rows.n, CHUNK):
                here = rows.X[start : start + CHUNK]
                first = before + start
                hashed = mixed(np.arange(first, first + len(here), dtype=np.uint64))
                for block in range(BLOCKS):
                    # a byte of the hash: seven bits are the place, one the sign
                    byte = (hashed >> np.uint64(8 * block)).astype(np.uint8).astype(np.intp)
                    for j, column in enumerate(here.T):
                        sums = np.bincount(byte, column, 2 * BUCKETS)
                        out[block, :, j] += sums[:BUCKETS] - sums[BUCKETS:]
            before += rows.n
        return out.reshape(BLOCKS * BUCKETS, -1)

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Of the labels ("" of rows in parts, which have none), the response, the weights and the offset."""
        prints = {name: _Fingerprint() for name in ("labels", "response", "weights", "offset")}
        for rows in self._chunks(COMPARING):
            prints["labels"].add(pd.util.hash_pandas_object(rows.index).to_numpy())
            prints["response"].add(rows.y)
            prints["weights"].add(rows.unit_weights)
            prints["offset"].add(rows.known)
        found = {name: one.text() for name, one in prints.items()}
        return found if self._streamed is None else {**found, "labels": ""}


def _joined(root: FloatArray, other: FloatArray) -> FloatArray:
    """R with R'R = A'A + B'B, by the QR decomposition of both."""
    return np.asarray(np.linalg.qr(np.vstack([root, other]), mode="r"))


class _Fingerprint:
    """A hash of an array that comes in parts; of one number throughout (ones in place of weights, mostly) that of it
    and of their number."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._n, self._one, self._pending = 0, None, True

    def add(self, array: np.ndarray) -> None:
        """Add a part."""
        if array.dtype.kind == "f":
            array = array + 0.0  # −0.0 is 0.0
        if self._pending and len(array):
            self._one = array[0] if self._one is None else self._one
            if array.dtype.kind == "f" and array.min() == array.max() == self._one:
                self._n += len(array)
                return
            if self._n:
                self._hash.update(np.full(self._n, self._one).view(np.uint8).data)
            self._pending = False
        self._n += len(array)
        self._hash.update(np.ascontiguousarray(array).view(np.uint8).data)

    def text(self) -> str:
        """The hash."""
        if self._pending and self._n:
            self._hash.update(np.array([self._n, self._one]).view(np.uint8).data)
        return self._hash.hexdigest()
