"""A glance at the deviance of a small model after a descent that ended inside: may there be another minimum?

The lattice of covariances is coarse and always the same, up to the scale on which a variance begins to be seen, so its
points are made once. Where levels are much alike the deviance is low in one place only, most often: then one point of
the lattice is lower than its neighbours, and what is seen of it differs from what is seen at the end by little more
than a step. Of a few low points, each may lie on a slope of the same basin, where a lattice so coarse is hilly by
itself: then the deviance falls all the way from there to the end. Whatever else is seen calls for a survey.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from henderson.engine.search.cones import Cone, roots
from henderson.engine.search.lattice import SPARSE, Lattice, lattice, size
from henderson.engine.search.lows import Lows, fall
from henderson.engine.search.survey import Survey

FloatArray = np.ndarray

#: distance of neighbours in log(I + aG), and steps to the largest: aG up to 4,000
STEP, TOP = 2.8, 3
#: points of a lattice at the most
MOST = 150
#: steps by which log(1 + aG) of an effect may differ between the low point and the end in its basin
NEXT = 1.3
#: deviance above the end from which on a low point is of no interest
FURTHER = 30.0
#: how far above an end it may be with a variance at zero for a minimum there to be lower
BESIDE = 1.0
#: low points up to which the ways from each to the end are looked at
FEW = 4


def glance(survey: Survey) -> Lows | None:
    """Low points of the lattice; None where it would have too many."""
    of = survey.cones
    sizes = tuple(one.q for one in of)
    if survey.blocks.n_theta >= SPARSE or math.prod(size(q, TOP) for q in sizes) > MOST:
        return None
    seen, units = _points(sizes)
    theta = np.zeros((len(seen.near), survey.blocks.n_theta))
    for one, unit in zip(of, units):
        theta[:, one.parameters] = unit / np.sqrt(one.a)
    deviance = survey.deviances(theta)
    found = seen.low(deviance)
    return Lows(theta[found], deviance[found], len(theta), STEP, False)


def is_alone(survey: Survey, seen: Lows, theta: FloatArray, deviance: float) -> bool:
    """Whether all low points are in the basin of an end: the only one is much the same, or from each the deviance
    falls all along the way to the end. Not where it is hardly higher with a variance at zero: there can be a minimum
    right beside, nearer than the points of a glance."""
    if seen.deviance[0] < deviance or _is_beside_zero(survey, theta, deviance):
        return False
    near = max(int(np.count_nonzero(seen.deviance <= deviance + FURTHER)), 1)
    if near == 1 and seen.deviance[0] <= deviance + FURTHER:
        pair = np.array([theta, seen.theta[0]])
        if all(_within(one, pair) for one in survey.cones):
            return True
    if near > FEW:
        return False
    return bool(fall(survey, seen[np.arange(near)], theta, deviance).all())


def _is_beside_zero(survey: Survey, theta: FloatArray, deviance: float) -> bool:
    """Whether an end with one of several standard deviations at zero in place of its own is hardly above it."""
    places = [one.parameters[0] for one in survey.cones if one.q == 1]
    if len(theta) == 1 or not places:
        return False
    without = np.repeat(theta[None], len(places), axis=0)
    without[range(len(places)), places] = 0.0
    return bool(survey.deviances(without).min() <= deviance + BESIDE)


def _within(one: Cone, pair: FloatArray) -> bool:
    """Whether variances at two θ are a step apart, or little more."""
    seen = np.log1p(one.a * (one.lam(pair) ** 2).sum(axis=2))
    return bool(np.abs(seen[0] - seen[1]).max() <= NEXT * STEP)


@lru_cache(maxsize=64)
def _points(sizes: tuple[int, ...]) -> tuple[Lattice, tuple[FloatArray, ...]]:
    """The lattice of covariances of so many effects, and θ of each, for a = 1."""
    seen = lattice(tuple((q, TOP) for q in sizes), MOST)
    return seen, tuple(roots(seen.covariances(which, STEP, 1.0)) for which in range(len(sizes)))
