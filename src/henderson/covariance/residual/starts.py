"""Products of the residuals of a series, from which a search begins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from henderson.covariance.residual.distance import distances
from henderson.covariance.residual.structure import Pairs

FloatArray = np.ndarray

#: pairs of rows whose distances are looked at, about
MOST_PAIRS = 4_000
#: rows of a series that are paired with each other
MOST_ROWS = 200


@dataclass(frozen=True)
class Lost:
    """What residuals have lost to effects that were taken from them.

    Attributes
    ----------
    share : float
        Of their squares, to effects of levels in which a series has few rows; of products twice as much.
    columns : int
        Columns that have taken from each series what they explain of it, a mean say.
    """

    share: float
    columns: int


def pairs_of(e: FloatArray, codes: np.ndarray, where: np.ndarray, n_visits: int) -> Pairs:
    """Mean products by pair of visits, or products with distances.

    Parameters
    ----------
    e : (n,) array
    codes : (n,) intp array
        Series.
    where : (n,) intp array or (n, d) array
    n_visits : int
    """
    nothing = np.zeros(0)
    variance = float(e @ e / len(e)) if len(e) else 1.0
    if where.ndim == 1:
        cov, counts = by_visit(e, codes, where, n_visits)
        return Pairs(cov, counts, variance, nothing, nothing)
    distance, product = by_distance(e, codes, where) if where.shape[1] else (nothing, nothing)
    return Pairs(np.zeros((0, 0)), np.zeros((0, 0)), variance, distance, product)


def by_visit(e: FloatArray, codes: np.ndarray, visits: np.ndarray, n_visits: int) -> tuple[FloatArray, FloatArray]:
    """Mean product of each pair of visits, NaN where no series has both, and how many there are, (T, T) each."""
    table, there = np.zeros((2, int(codes.max(initial=-1)) + 1, n_visits))
    table[codes, visits], there[codes, visits] = e, 1.0
    counts = np.full((n_visits, n_visits), float(len(there))) if there.all() else there.T @ there
    with np.errstate(invalid="ignore", divide="ignore"):
        return table.T @ table / counts, counts


@lru_cache(maxsize=64)
def _pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Of n rows, each two."""
    return np.triu_indices(n, 1)


def by_distance(e: FloatArray, codes: np.ndarray, where: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distances and products of pairs of different rows of a series, of some series when there are many."""
    order = np.argsort(codes, kind="stable")
    ends = [0, *(np.flatnonzero(np.diff(codes[order])) + 1), len(order)]
    found: list[tuple[FloatArray, FloatArray]] = []
    total, n_series = 0, len(ends) - 1
    for step in range(n_series):
        k = (step * 7919) % n_series if n_series % 7919 else step
        own = order[ends[k] : ends[k + 1]][:MOST_ROWS]
        upper = _pairs(len(own))
        found.append((distances(where[own])[upper], np.multiply.outer(e[own], e[own])[upper]))
        total += len(upper[0])
        if total > MOST_PAIRS:
            break
    d, product = (np.concatenate(parts) for parts in zip(*found))
    return d[d > 0], product[d > 0]
