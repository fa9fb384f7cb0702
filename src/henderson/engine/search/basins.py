"""Basins of a deviance on a grid of standard deviations: points that are lower than all around them, and what lies
between.

Along each axis the parabola through a point and its two neighbours says how far beside and below it the bottom is. It
misses it by the third difference with one neighbour more, times at most |s(s² − 1)|/6, which is 1/16 at half a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from henderson.engine.search.cones import Cone
from henderson.engine.search.far import reach
from henderson.engine.search.survey import BUDGET, PER_ROW, Survey

FloatArray = np.ndarray

#: points along each of 1, 2, 3, … standard deviations, and the ratio of neighbours that is small enough
POINTS, FINEST = (48, 20, 10, 5, 4, 3, 3), (1.2, 1.5, 1.7, 2.0, 2.0, 2.0, 2.0)
#: t²A below which a variance is as good as zero, for the largest A
SMALLEST = 1e-2
#: ratio of neighbours on the grid from which on it does not see enough to begin with a scoring step from there
COARSE = 8.0
#: ratio from which on a basin may lie between
CLOSE = 2.0
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
    def is_close(self) -> bool:
        """Whether its points are so close that a basin hardly lies between them."""
        return bool(self.ratio.max() < CLOSE)

    @property
    def error(self) -> FloatArray:
        """Deviance by which a promise may be wrong, by the distance of the points and what lies between them, (m,)."""
        return np.asarray(0.1 + 0.6 * (np.log(self.ratio) ** 2).max() + self.askew)

    def same(self, one: FloatArray, other: FloatArray) -> bool:
        """Whether two sets of standard deviations (c,) are within a step of the grid; zero is as good as its least."""
        apart = np.maximum(one, self.least) / np.maximum(other, self.least)
        return bool(((apart <= self.ratio) & (apart * self.ratio >= 1.0)).all())


def basins(survey: Survey, budget: float = BUDGET) -> Basins | None:
    """Points of a grid that are lower than all around them; None where not even a coarse one is in the budget, or no θ
    is a standard deviation.

    Parameters
    ----------
    survey : Survey
    budget : float
        Multiplications.
    """
    coordinates, which, effects = survey.blocks.standard_deviations
    c, most = len(coordinates), (budget + PER_ROW * survey.n) / survey.cost
    points = POINTS[c - 1] if 0 < c <= len(POINTS) else 0
    while points**c > most and points > 0:
        points -= 1
    if points < 3:
        return None
    least = np.sqrt(SMALLEST / np.maximum([survey.information[k][i] for k, i in zip(which, effects)], 1e-300))
    of = [
        Cone(coordinates[[i]], 1, float(survey.information[k][effect]), survey.blocks.blocks[k].n_levels)
        for i, (k, effect) in enumerate(zip(which, effects))
    ]
    far = reach(survey, of, budget if c == survey.blocks.n_theta else 0.0)
    span = np.maximum(np.sqrt(np.expm1(far.ends) / SMALLEST), 10.0)
    points = max(3, min(points, 1 + math.ceil(math.log(span.max()) / math.log(FINEST[c - 1]))))
    ratio = span ** (1 / (points - 1))
    axes = least[:, None] * ratio[:, None] ** np.arange(points)
    theta = np.zeros((*[points] * c, survey.blocks.n_theta))
    for axis, (place, values) in enumerate(zip(coordinates, axes)):
        theta[..., place] = values.reshape([-1 if i == axis else 1 for i in range(c)])
    values = survey.deviances(theta.reshape(points**c, -1))
    sd, deviance, askew = low_points(values.reshape([points] * c), list(axes), far.closed)
    order = distinct(sd, deviance)
    low = np.zeros((len(order), survey.blocks.n_theta))
    low[:, coordinates] = sd[order]
    return Basins(low, deviance[order], askew[order], coordinates, least, ratio, len(values))


def low_points(
    values: FloatArray, axes: list[FloatArray], closed: Sequence[bool]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Standard deviations (m, c) near the bottoms of a grid's basins, what parabolas promise there (m,), and what they
    may miss it by (m,). Of an axis that is not closed, who knows how far the deviance falls beyond."""
    along = [_along(values, axis) for axis in range(values.ndim)]
    with np.errstate(invalid="ignore"):  # infinite beside infinite
        parabolas = [_parabola(one) for one in along]
        flat = np.flatnonzero(_low(values, along, [gain for _, gain in parabolas]))
        third = [_third(one).ravel()[flat] for one in along]
    promised, found = values.ravel()[flat], np.empty((len(flat), len(axes)))
    for axis, (points, (shift, gain)) in enumerate(zip(axes, parabolas)):
        post = along[axis].shape[2]
        here, last = flat // post % len(points), len(points) - 1
        found[:, axis] = points[here] * (points[1] / points[0]) ** shift.ravel()[flat]
        promised -= gain.ravel()[flat]
        edge = flat[here == last]
        if len(edge) and not closed[axis]:
            falls = values.ravel()[edge - post] > values.ravel()[edge] + EQUAL
            promised[np.flatnonzero(here == last)[falls]] = -np.inf
    return found, promised, np.sum(third, axis=0) / 16


def distinct(theta: FloatArray, deviance: FloatArray) -> np.ndarray:
    """Order of points by their deviance; of those on a plateau the one with the smallest θ alone."""
    level = np.round(deviance / EQUAL)
    order = np.lexsort((np.linalg.norm(theta, axis=1), level))
    again = np.zeros(len(order), bool)
    again[1:] = level[order[1:]] == level[order[:-1]]
    return order[~again | np.isinf(level[order])]


def _along(values: FloatArray, axis: int) -> FloatArray:
    """A view with the axis in the middle, (…, n, …)."""
    return values.reshape(math.prod(values.shape[:axis]), values.shape[axis], -1)


def _low(values: FloatArray, along: list[FloatArray], gains: list[FloatArray]) -> np.ndarray:
    """Which points of a grid may be in a basin.

    Those that are lower than all around them; and as a narrow valley that runs askew hides its lowest points between
    those of the grid, those where the profile of an axis (least over the others, by parabolas) is low, its end at zero
    among them.

    Parameters
    ----------
    values : (n_1, …, n_c) array
    along : list of (…, n, …) arrays
        The same by axis.
    gains : list of (…, n, …) arrays
        How far below each point the parabola along the axis is least.
    """
    least = values
    for axis in range(len(along)):
        least = _least_around(_along(least, axis)).reshape(values.shape)
    low = ((values <= least) & (values < np.inf)).ravel()
    for axis, one in enumerate(along if len(along) > 1 else ()):
        n, post = one.shape[1:]
        row, place = np.arange(n), one.transpose(1, 0, 2).reshape(n, -1).argmin(axis=1)
        flat = (place // post * n + row) * post + place % post
        profile = values.ravel()[flat]
        for other, gain in enumerate(gains):
            if other != axis:
                profile -= gain.ravel()[flat]
        lowest = profile <= _least_around(profile.reshape(1, n, 1)).ravel()
        lowest[0] = True
        low[flat[lowest & np.isfinite(profile)]] = True
    return low


def _least_around(along: FloatArray) -> FloatArray:
    """The least of each point and its neighbours, (…, n, …)."""
    out = along.copy()
    np.minimum(out[:, 1:], along[:, :-1], out=out[:, 1:])
    np.minimum(out[:, :-1], along[:, 1:], out=out[:, :-1])
    return out


def _parabola(along: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How far from each point, and how far below it, the parabola through it and its neighbours is least, (…, n, …)."""
    shift, gain = np.zeros(along.shape), np.zeros(along.shape)
    low, middle, high = along[:, :-2], along[:, 1:-1], along[:, 2:]
    curvature, slope = low - 2 * middle + high, (high - low) / 2
    good = (curvature > 0) & (curvature < np.inf)
    curvature, slope = np.where(good, curvature, 1.0), np.where(good, slope, 0.0)
    best = np.minimum(np.maximum(-slope / curvature, -0.5), 0.5)
    shift[:, 1:-1] = best
    gain[:, 1:-1] = -best * (slope + 0.5 * curvature * best)
    return shift, gain


def _third(along: FloatArray) -> FloatArray:
    """The larger third difference of the four points about each that reach one step further to either side; zero at
    the ends of the grid, where there is no parabola, (…, n, …)."""
    out = np.zeros(along.shape)
    third = np.abs(along[:, 3:] - along[:, :-3] - 3 * (along[:, 2:-1] - along[:, 1:-2]))
    third = np.where(third < np.inf, third, 0.0)
    out[:, 1:-2] = third
    np.maximum(out[:, 2:-1], third, out=out[:, 2:-1])
    return out
