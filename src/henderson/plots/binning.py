"""Many points made few: means in bins of a covariate, and some of many order statistics.

bins of equal numbers of points, by the ranks of x; where x has few values, each is a bin
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FloatArray = np.ndarray


@dataclass(frozen=True)
class Binned:
    """Means in bins.

    Attributes
    ----------
    x, y : (k,) arrays
        Means over the points of a bin.
    count : (k,) array
        Points in a bin.
    """

    x: FloatArray
    y: FloatArray
    count: np.ndarray


def number_of_bins(n: int) -> int:
    """2n^{1/3}, from 4 to 30: 11 for 180 points, 30 for 10⁴.

    Examples
    --------
    >>> number_of_bins(180), number_of_bins(10_000), number_of_bins(3)
    (11, 30, 4)
    """
    return int(np.clip(2 * n ** (1 / 3), 4, 30))


def binned_means(x: FloatArray, y: FloatArray, bins: int | None = None) -> Binned:
    """Means of x and y in bins of x.

    Parameters
    ----------
    x, y : (n,) arrays
        Points that are not finite are left out.
    bins : int, optional
        How many at most; see `number_of_bins`.

    Examples
    --------
    >>> binned_means(np.array([1.0, 2.0, 1.0, 2.0]), np.array([0.0, 3.0, 2.0, 5.0])).y.tolist()
    [1.0, 4.0]
    """
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    if bins is None:
        bins = number_of_bins(len(x))
    distinct, place = np.unique(x, return_inverse=True)
    if len(distinct) > bins:
        before = np.concatenate([[0], np.cumsum(np.bincount(place))])[:-1]  # points left of each value
        _, place = np.unique(before[place] * bins // len(x), return_inverse=True)
    count = np.bincount(place)
    return Binned(np.bincount(place, x) / count, np.bincount(place, y) / count, count)


def some_ranks(n: int, most: int) -> np.ndarray:
    """Which of n order statistics to show: all, or at most so many, evenly in the logit of their place, so that all at
    the ends are among them.

    Examples
    --------
    >>> len(some_ranks(100, 1000)), len(some_ranks(100_000, 1000)), some_ranks(100_000, 1000)[[0, 1, 2, -1]].tolist()
    (100, 720, [0, 1, 2, 99999])
    """
    if n <= most:
        return np.arange(n)
    end = np.log(2.0 * n)
    places = 1.0 / (1.0 + np.exp(-np.linspace(-end, end, most)))
    return np.unique(np.minimum((n * places).astype(np.intp), n - 1))
