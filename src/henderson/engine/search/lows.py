"""Where the deviance of a small model with correlated effects is low, seen on a lattice of covariances.

Every unstructured term is a covariance of its own on the lattice, and so is every other standard deviation. A lattice
reaches as far as a lower minimum can be (`far`); its step is the finest for which all its
points are in the budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from henderson.engine.search.cones import Cone, roots
from henderson.engine.search.far import reach
from henderson.engine.search.lattice import EQUAL, SPARSE, Lattice, lattice, size
from henderson.engine.search.rank_one import rank_one
from henderson.engine.search.survey import BUDGET, PER_ROW, Survey

FloatArray = np.ndarray

#: distance of neighbours in log(I + aG), and by how much it is widened to save points, up to what is seen at all
STEP, WIDER, WIDEST_STEP = 1.4, 1.15, 4.5
#: points of a lattice, at the most and at the least, and the step from which on one is coarse
MOST, LEAST, COARSE = 800, 40, 1.7
#: points from which descents begin, at the most
CANDIDATES = 24
#: distance in steps within which a low point and the end of a descent are of one basin
NEXT = 1.3
#: how many times further they may be in the metric of the cones
APART = 2.0
#: step from which on a lattice misses much
SPARSE_STEP = 2.5
#: points on the way from a low point to an end
WAY = 9
#: log(1 + aG) of a variance that is as good as zero
NOTHING = 1e-3


@dataclass(frozen=True)
class Lows:
    """What a lattice saw.

    Attributes
    ----------
    theta : (m, k) array
        Points lower than their neighbours, the lowest first.
    deviance : (m,) array
    surveyed : int
        Points of the lattice.
    step : float
        Distance of neighbours.
    is_sparse : bool
        Whether the lattice has so many dimensions, or so wide steps, that it misses much.
    is_single : bool
        Whether it is that of one covariance.
    """

    theta: FloatArray
    deviance: FloatArray
    surveyed: int
    step: float
    is_sparse: bool
    is_single: bool = False

    @property
    def is_coarse(self) -> bool:
        """Whether a finer lattice may see more."""
        return self.step > COARSE

    def with_points(self, theta: FloatArray, deviance: FloatArray, surveyed: int) -> Lows:
        """And other low points, of so many that were looked at."""
        both, known = np.concatenate([self.theta, theta]), np.concatenate([self.deviance, deviance])
        order = np.argsort(known, kind="stable")
        return replace(self, theta=both[order], deviance=known[order], surveyed=self.surveyed + surveyed)

    def __getitem__(self, index: np.ndarray) -> Lows:
        return replace(self, theta=self.theta[index], deviance=self.deviance[index])


def lows(survey: Survey, budget: float = BUDGET) -> Lows | None:
    """Low points of a lattice; None where not even a sparse one is in the budget (multiplications)."""
    most = int(min((budget + PER_ROW * survey.n) / survey.cost, MOST))
    if most < LEAST:
        return None
    of, step = survey.cones, STEP
    far = reach(survey, of, budget).ends
    shape = _shape(of, far, step)
    while math.prod(size(*one) for one in shape) > most and step * WIDER < WIDEST_STEP:
        step *= WIDER
        shape = _shape(of, far, step)
    seen, units = _points(shape, far, most)
    theta = np.zeros((len(seen.near), survey.blocks.n_theta))
    for one, unit in zip(of, units):
        theta[:, one.parameters] = unit / math.sqrt(one.a)
    deviance = survey.deviances(theta)
    found = seen.low(deviance)[:CANDIDATES]
    low = Lows(
        theta[found], deviance[found], len(theta), step, theta.shape[1] >= SPARSE or step > SPARSE_STEP, len(of) == 1
    )
    return low if not len(found) else low.with_points(*rank_one(survey, of, far, theta[found[0]], most))


def elsewhere(survey: Survey, seen: Lows, theta: FloatArray, deviance: float) -> Lows:
    """Those that are not in the basin of an end: further from it than a step, or of other ranks, or lower; or much
    further in the metric of the cones, where large covariances that differ by few degrees are far apart. Of singular
    ones next to an end inside, seen on a fine lattice, those from which the deviance does not fall all the way to it.
    """
    square, metric, other = _apart(survey, np.concatenate([theta[None], seen.theta]))
    far = (square > (NEXT * seen.step) ** 2) | (metric > (APART * NEXT * seen.step) ** 2) | (seen.deviance < deviance)
    beside = np.flatnonzero(other & ~far)
    if len(beside) and seen.is_single and not seen.is_coarse and _is_inside(survey, theta):
        other[beside] = ~fall(survey, seen[beside], theta, deviance)
    return seen[np.flatnonzero(far | other)]


def fall(survey: Survey, seen: Lows, theta: FloatArray, deviance: float) -> np.ndarray:
    """Whether the deviance falls from low points all the way to an end, (m,) bool."""
    along = ways(survey, seen.theta, theta, WAY)
    values = survey.deviances(along.reshape(-1, len(theta))).reshape(len(seen.theta), -1)
    ends = np.full((len(values), 1), deviance)
    with np.errstate(invalid="ignore"):  # from one infinite deviance to the next: no fall
        steps = np.diff(np.concatenate([seen.deviance[:, None], values, ends], axis=1))
    return np.asarray((steps <= EQUAL).all(axis=1))


def _is_inside(survey: Survey, theta: FloatArray) -> bool:
    """Whether no covariance at θ is singular."""
    lam = [one.lam(theta[None])[0] for one in survey.cones]
    return all(one.a * np.linalg.svd(L, compute_uv=False)[-1] ** 2 > NOTHING for one, L in zip(survey.cones, lam))


def ways(survey: Survey, starts: FloatArray, end: FloatArray, points: int) -> FloatArray:
    """θ between each start (m, k) and an end (k,), straight in the logarithms of the lattice, (m, points, k)."""
    out = np.zeros((len(starts), points, len(end)))
    t = np.linspace(0.0, 1.0, points + 2)[1:-1, None, None]
    for one in survey.cones:
        L = _logarithms(one, np.concatenate([starts, end[None]]))
        between = (1.0 - t) * L[:-1, None] + t * L[-1]
        values, vectors = np.linalg.eigh(between.reshape(-1, one.q, one.q))
        G = (vectors * (np.expm1(np.maximum(values, 0.0)) / one.a)[:, None]) @ vectors.transpose(0, 2, 1)
        out[:, :, one.parameters] = roots(G).reshape(len(starts), points, -1)
    return out


def _logarithms(one: Cone, theta: FloatArray) -> FloatArray:
    """L = log(I + aG) of a covariance at θ (m, k), (m, q, q)."""
    lam = one.lam(theta)
    values, vectors = np.linalg.eigh(lam @ lam.transpose(0, 2, 1))
    return np.asarray((vectors * np.log1p(one.a * np.maximum(values, 0.0))[:, None]) @ vectors.transpose(0, 2, 1))


def _apart(survey: Survey, theta: FloatArray) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """From the first θ to the others, squares of two distances and whether a covariance has another rank, (m,) each:
    the distance where those of a lattice are, in L = log(I + aG), and √Σ log²μ, μ the eigenvalues of
    (I/a + G₀)⁻¹(I/a + G) of all covariances."""
    square, metric, other = np.zeros(len(theta) - 1), np.zeros(len(theta) - 1), np.zeros(len(theta) - 1, bool)
    for one in survey.cones:
        if one.q == 1:
            seen = np.log1p(one.a * theta[:, one.parameters[0]] ** 2)
            apart = (seen[1:] - seen[0]) ** 2
            square, metric = square + apart, metric + apart
            other |= (seen[1:] > NOTHING) != (seen[0] > NOTHING)
            continue
        lam = one.lam(theta)
        G = lam @ lam.transpose(0, 2, 1)
        values, vectors = np.linalg.eigh(G)
        values = np.maximum(values, 0.0)
        seen = np.log1p(one.a * values)
        L = (vectors * seen[:, None]) @ vectors.transpose(0, 2, 1)
        square = square + ((L[1:] - L[0]) ** 2).sum(axis=(1, 2))
        half = vectors[0] / np.sqrt(values[0] + 1.0 / one.a)
        mu = np.linalg.eigvalsh(half.T @ (G[1:] + np.eye(one.q) / one.a) @ half)
        metric = metric + (np.log(np.maximum(mu, 1e-300)) ** 2).sum(axis=1)
        rank = np.count_nonzero(seen > NOTHING, axis=1)
        other |= rank[1:] != rank[0]
    return square, metric, other


@lru_cache(maxsize=32)
def _points(shape: tuple[tuple[int, int], ...], far: tuple[float, ...], most: int) -> tuple[Lattice, list[FloatArray]]:
    """The lattice of covariances up to `far`, and θ of each, for a = 1."""
    seen = lattice(shape, most)
    return seen, [roots(seen.covariances(which, far[which] / top, 1.0)) for which, (_, top) in enumerate(shape)]


def _shape(of: list[Cone], far: tuple[float, ...], step: float) -> tuple[tuple[int, int], ...]:
    """Effects and largest whole eigenvalue of each."""
    return tuple((one.q, max(1, math.ceil(end / step))) for one, end in zip(of, far))
