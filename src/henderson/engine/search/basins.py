"""Basins of a function that is known on a grid: points that are lower than all around them, and what lies between.

Along each axis the parabola through a point and its two neighbours says how far beside and below it the bottom is. It
misses it by the third difference with one neighbour more, times at most |s(s² − 1)|/6, which is 1/16 at half a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FloatArray = np.ndarray

#: ratio of neighbours on the grid from which on it does not see enough to begin from
COARSE = 2.5
#: deviances that differ by less are rounding
EQUAL = 1e-6


@dataclass(frozen=True)
class Basins:
    """What a survey saw.

    Attributes
    ----------
    theta : (m, k) array
        Near the bottom of each basin, the lowest first.
    deviance : (m,) array
        What parabolas through the grid promise there.
    askew : (m,) array
        Deviance by which they miss it as their third differences are not zero.
    coordinates : (c,) int array
        Which θ the grid varied.
    least, ratio : (c,) arrays
        Smallest value of each, and the ratio of neighbours.
    surveyed : int
        Points of the grid.
    """

    theta: FloatArray
    deviance: FloatArray
    askew: FloatArray
    coordinates: np.ndarray
    least: FloatArray
    ratio: FloatArray
    surveyed: int

    @property
    def is_fine(self) -> bool:
        """Whether its points are close enough to begin a descent from."""
        return bool(self.ratio.max() < COARSE)

    @property
    def error(self) -> FloatArray:
        """Deviance by which a promise may be wrong, by the distance of the points and what lies between them, (m,)."""
        return np.asarray(0.1 + 0.6 * (np.log(self.ratio) ** 2).max() + self.askew)

    def same(self, one: FloatArray, other: FloatArray) -> bool:
        """Whether two sets of standard deviations (c,) are within a step of the grid; zero is as good as its least."""
        gaps = np.log(np.maximum(one, self.least) / np.maximum(other, self.least)) / np.log(self.ratio)
        return bool((np.abs(gaps) <= 1.0).all())


def low_points(values: FloatArray, axes: list[FloatArray]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Standard deviations (m, c) near the bottoms of a grid's basins, what parabolas promise there (m,), and what they
    may miss it by (m,)."""
    here = _places(values)
    found, promised, askew = np.empty(here.shape), values[tuple(here.T)], np.zeros(len(here))
    for axis, points in enumerate(axes):
        shift, gain = _parabola(values, here, axis)
        found[:, axis] = np.exp(np.log(points[here[:, axis]]) + shift * np.log(points[1] / points[0]))
        promised = promised - gain
        askew += _third(values, here, axis) / 16
        last = len(points) - 1
        before = here.copy()
        before[:, axis] = np.maximum(here[:, axis] - 1, 0)
        falls = (here[:, axis] == last) & (values[tuple(before.T)] - values[tuple(here.T)] > EQUAL)
        promised[falls] = -np.inf  # to the edge: who knows how far
    return found, promised, askew


def distinct(theta: FloatArray, deviance: FloatArray) -> np.ndarray:
    """Order of points by their deviance; of those on a plateau the one with the smallest θ alone."""
    level = np.round(deviance / EQUAL)
    order = np.lexsort((np.linalg.norm(theta, axis=1), level))
    again = np.zeros(len(order), bool)
    again[1:] = level[order[1:]] == level[order[:-1]]
    return order[~again | np.isinf(level[order])]


def _places(values: FloatArray) -> np.ndarray:
    """Places (m, c) on a grid where there may be a basin.

    Those that are lower than all around them; and as a narrow valley that runs askew hides its lowest points between
    those of the grid, those where the profile of an axis (least over the others, by parabolas) is low, its end at zero
    among them.
    """
    least = values
    for axis in range(values.ndim):
        least = np.minimum(least, np.minimum(_moved(least, axis, 1), _moved(least, axis, -1)))
    low = (values <= least) & np.isfinite(values)
    for axis in range(values.ndim if values.ndim > 1 else 0):
        along = np.moveaxis(values, axis, 0)
        place = np.array(np.unravel_index(along.reshape(len(along), -1).argmin(axis=1), along.shape[1:]))
        here = np.insert(place, axis, np.arange(len(along)), axis=0).T
        profile = values[tuple(here.T)]
        for other in range(values.ndim):
            if other != axis:
                profile = profile - _parabola(values, here, other)[1]
        below = profile <= np.minimum(_moved(profile, 0, 1), _moved(profile, 0, -1))
        below[0] = True
        low[tuple(here[below & np.isfinite(profile)].T)] = True
    return np.argwhere(low)


def _moved(values: FloatArray, axis: int, by: int) -> FloatArray:
    """The neighbours along an axis; at the edge a point is its own."""
    place = np.clip(np.arange(values.shape[axis]) + by, 0, values.shape[axis] - 1)
    return values.take(place, axis)


def _parabola(values: FloatArray, here: np.ndarray, axis: int) -> tuple[FloatArray, FloatArray]:
    """How far from points `here` (m, c), and how far below them, the parabola through their neighbours is least."""
    place = here[:, axis]
    inner = (place > 0) & (place < values.shape[axis] - 1)
    before, after = here.copy(), here.copy()
    before[:, axis] -= inner
    after[:, axis] += inner
    low, middle, high = (values[tuple(one.T)] for one in (before, here, after))
    with np.errstate(invalid="ignore"):  # infinite beside infinite
        curvature, slope = low - 2 * middle + high, (high - low) / 2
    good = inner & np.isfinite(curvature) & np.isfinite(slope) & (curvature > 0)
    curvature, slope = np.where(good, curvature, 1.0), np.where(good, slope, 0.0)
    shift = np.clip(-slope / curvature, -0.5, 0.5)
    return shift, -(slope * shift + 0.5 * curvature * shift**2)


def _third(values: FloatArray, here: np.ndarray, axis: int) -> FloatArray:
    """The larger third difference of the four points about `here` (m, c) that reach one step further to either side;
    zero at the ends of the grid, where there is no parabola."""
    place, last = here[:, axis], values.shape[axis] - 1
    out = np.zeros(len(here))
    for before in (2, 1):
        of = (place >= before) & (place + 3 - before <= last) & (place > 0) & (place < last)
        around = np.repeat(here[None, of], 4, axis=0)
        around[:, :, axis] += np.arange(-before, 4 - before)[:, None]
        a, b, c, d = values[tuple(np.moveaxis(around, 2, 0))]
        with np.errstate(invalid="ignore"):  # infinite beside infinite
            third = np.abs(d - a - 3 * (c - b))
        out[of] = np.maximum(out[of], np.where(np.isfinite(third), third, 0.0))
    return out
