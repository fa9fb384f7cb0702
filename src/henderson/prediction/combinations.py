"""Many new rows, few combinations of levels: errors from one quadratic form a combination.

Rows whose levels agree differ in their columns only, and most columns of random terms are columns of X again. With b
(r,) the distinct columns of a row, whatever is quadratic in what the row loads on is b'Kb with one K for each
combination of levels. K is read off r(r + 1)/2 rows of the combination, made up for the purpose,

    b'Kb = Σ_a c_a² Q(t_a) + Σ_{a<b} c_a c_b (Q(t_a + t_b) − Q(t_a) − Q(t_b)),      b = Σ c_a t_a,

where the t are the columns' own directions (of a QR decomposition of some rows), so that nothing cancels for
covariates far from zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from henderson.design.replay import NewTerm

FloatArray = np.ndarray

#: rows below which nothing is gained
FEW = 4_000
#: how many rows each made-up row must stand for
WORTH = 3
#: rows that are looked at for the directions of the columns, and rows computed together
SAMPLE, CHUNK = 4_096, 1 << 14


@dataclass(frozen=True)
class Combinations:
    """m rows by combination of levels.

    Attributes
    ----------
    of : (m,) intp array
        Combination of each row.
    levels : tuple of (U,) intp arrays, or None
        Level of each term in every combination; None for a term that has no part.
    c : (m, r) array
        Distinct columns along the directions.
    t : (r, r) array
        Directions, a row each.
    x_places : (p,) intp array
        Which distinct column each column of X is.
    places : tuple of (q,) intp arrays
        Which distinct column each column of a term is.
    missing : (m,) bool array
        Rows with a number that is missing.
    """

    of: np.ndarray
    levels: tuple[np.ndarray | None, ...]
    c: FloatArray
    t: FloatArray
    x_places: np.ndarray
    places: tuple[np.ndarray, ...]
    missing: np.ndarray

    def quadratic(self, values: Callable[[FloatArray, Sequence[NewTerm | None]], FloatArray]) -> FloatArray:
        """Quadratic forms of all rows, (m, s).

        Parameters
        ----------
        values : callable
            (X, terms) of some rows to their forms, (rows, s).
        """
        first, second = np.triu_indices(len(self.t))
        rows = self.t[first] + np.where(first == second, 0.0, 1.0)[:, None] * self.t[second]
        n = max(len(own) for own in self.levels if own is not None)
        made = np.tile(rows, (n, 1))
        terms = [
            None if own is None else NewTerm(np.repeat(own, len(rows)), made[:, place])
            for own, place in zip(self.levels, self.places)
        ]
        Q = values(made[:, self.x_places], terms).reshape(n, len(rows), -1)
        diagonal = np.flatnonzero(first == second)
        mixed = first != second
        Q[:, mixed] -= Q[:, diagonal[first[mixed]]] + Q[:, diagonal[second[mixed]]]
        Q = np.ascontiguousarray(Q.transpose(0, 2, 1))
        out = np.empty((len(self.of), Q.shape[1]))
        for start in range(0, len(out), CHUNK):
            here = slice(start, start + CHUNK)
            own = self.c[here]
            out[here] = (Q[self.of[here]] @ (own[:, first] * own[:, second])[:, :, None])[:, :, 0]
        out[self.missing] = np.nan
        return out


def combinations_of(X: FloatArray, terms: Sequence[NewTerm | None]) -> Combinations | None:
    """Rows by combination of levels; None where that would not be less work, or a row loads on several levels."""
    there = [term for term in terms if term is not None]
    if len(X) < FEW or not there or any(term.codes is None or term.loadings is not None for term in there):
        return None
    columns, (x_places, *places) = _distinct([X, *(term.columns for term in there)])
    r = columns.shape[1]
    most = len(X) // (WORTH * r * (r + 1) // 2)
    found = _combined([term.codes for term in there if term.codes is not None], most)
    if found is None:
        return None
    of, levels = found
    missing = ~np.isfinite(columns.sum(axis=1))
    if missing.any():
        columns[missing] = 0.0
    t = np.linalg.qr(columns[:: max(1, len(X) // SAMPLE)], mode="r")
    size = np.abs(np.diag(t))
    if len(t) < r or size.min() <= 1e-9 * np.linalg.norm(t, axis=0).max():
        return None
    t /= np.sqrt(SAMPLE)
    own, by_term = iter(zip(levels, places)), []
    for term in terms:
        by_term.append((None, np.empty(0, np.intp)) if term is None else next(own))
    return Combinations(
        of,
        tuple(level for level, _ in by_term),
        columns @ np.linalg.inv(t),
        t,
        x_places,
        tuple(place for _, place in by_term),
        missing,
    )


def _distinct(parts: Sequence[FloatArray]) -> tuple[FloatArray, list[np.ndarray]]:
    """Columns without repeats, (m, r), and for each part which of them its columns are."""
    found: list[FloatArray] = []
    places = []
    for part in parts:
        own = np.empty(part.shape[1], np.intp)
        for a, column in enumerate(part.T):
            same = (k for k, one in enumerate(found) if np.array_equal(one[:64], column[:64], equal_nan=True))
            own[a] = next((k for k in same if np.array_equal(found[k], column, equal_nan=True)), len(found))
            if own[a] == len(found):
                found.append(column)
        places.append(own)
    return np.column_stack(found), places


def _combined(codes: Sequence[np.ndarray], most: int) -> tuple[np.ndarray, list[np.ndarray]] | None:
    """Combination of each row, and its levels (−1: not known); None when there are more than `most`."""
    key, levels = np.zeros(len(codes[0]), np.intp), list[np.ndarray]()
    for own in codes:
        n = int(own.max()) + 2
        n_before = len(levels[0]) if levels else 1
        if n_before * n > 4 * len(key) + 1_000_000:  # too many to count in a table: sorted
            distinct, key = np.unique(key * n + own + 1, return_inverse=True)
        else:
            joint = key * n + own + 1
            seen = np.zeros(n_before * n, bool)
            seen[joint] = True
            distinct = np.flatnonzero(seen)
            place = np.empty(len(seen), np.intp)
            place[distinct] = np.arange(len(distinct))
            key = place[joint]
        if len(distinct) > most:
            return None
        levels = [*(one[distinct // n] for one in levels), distinct % n - 1]
    return key, levels
