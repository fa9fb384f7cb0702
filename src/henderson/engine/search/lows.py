"""Where the deviance of a small model with correlated effects is low, seen on a lattice of covariances.

Every unstructured term is a covariance of its own on the lattice, and so is every other standard deviation. A lattice
reaches to where more of a variance explains nothing more (`Survey.reach`); its step is the finest for which all its
points are in the budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from henderson.engine.search.cones import Cone
from henderson.engine.search.lattice import SPARSE, lattice, positions, size
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
#: log(1 + aG) of a variance that is as good as zero
NOTHING = 1e-3
#: smallest pivot of a covariance, by its element, that is no rounding
PIVOT = 1e-12


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
        Whether the lattice has so many dimensions that it misses much.
    """

    theta: FloatArray
    deviance: FloatArray
    surveyed: int
    step: float
    is_sparse: bool

    @property
    def is_coarse(self) -> bool:
        """Whether a finer lattice may see more."""
        return self.step > COARSE

    def __getitem__(self, index: np.ndarray) -> Lows:
        return replace(self, theta=self.theta[index], deviance=self.deviance[index])


def lows(survey: Survey, budget: float = BUDGET) -> Lows | None:
    """Low points of a lattice; None where not even a sparse one is in the budget (multiplications)."""
    most = int(min((budget + PER_ROW * survey.n) / survey.cost, MOST))
    if most < LEAST:
        return None
    of, reach, step = survey.cones, survey.reach(), STEP
    far = [math.log1p(one.a * reach**2 / one.n_levels) for one in of]
    shape = _shape(of, far, step)
    while math.prod(size(*one) for one in shape) > most and step * WIDER < WIDEST_STEP:
        step *= WIDER
        shape = _shape(of, far, step)
    seen = lattice(shape, most)
    theta = np.zeros((len(seen.near), survey.blocks.n_theta))
    for which, (one, (_, top)) in enumerate(zip(of, shape)):
        theta[:, one.parameters] = roots(seen.covariances(which, far[which] / top, one.a))
    deviance = survey.deviances(theta)
    found = seen.low(deviance)[:CANDIDATES]
    return Lows(theta[found], deviance[found], len(theta), step, theta.shape[1] >= SPARSE)


def elsewhere(survey: Survey, seen: Lows, theta: FloatArray, deviance: float) -> Lows:
    """Those that are not in the basin of an end: further from it than a step, or of other ranks, or lower; or much
    further in the metric of the cones, where large covariances that differ by few degrees are far apart."""
    both = np.concatenate([theta[None], seen.theta])
    place, rank = _positions(survey, both)
    far = np.sqrt(((place[1:] - place[0]) ** 2).sum(axis=1)) > NEXT * seen.step
    far |= _distances(survey, both) > APART * NEXT * seen.step
    return seen[np.flatnonzero(far | (rank[1:] != rank[0]).any(axis=1) | (seen.deviance < deviance))]


def _distances(survey: Survey, theta: FloatArray) -> FloatArray:
    """√Σ log²μ from the first θ to the others, μ the eigenvalues of (I/a + G₀)⁻¹(I/a + G) of all covariances, (m,)."""
    squares = np.zeros(len(theta) - 1)
    for one in survey.cones:
        lam = one.lam(theta)
        M = lam @ lam.transpose(0, 2, 1) + np.eye(one.q) / one.a
        half = np.linalg.inv(np.linalg.cholesky(M[0]))
        squares += (np.log(np.maximum(np.linalg.eigvalsh(half @ M[1:] @ half.T), 1e-300)) ** 2).sum(axis=1)
    return np.sqrt(squares)


def _shape(of: list[Cone], far: list[float], step: float) -> tuple[tuple[int, int], ...]:
    """Effects and largest whole eigenvalue of each."""
    return tuple((one.q, max(1, math.ceil(end / step))) for one, end in zip(of, far))


def _positions(survey: Survey, theta: FloatArray) -> tuple[FloatArray, np.ndarray]:
    """θ as points where distances are those of a lattice, (m, …), and the rank of each covariance there, (m, c)."""
    places, ranks = [], []
    for one in survey.cones:
        lam = one.lam(theta)
        values, vectors = np.linalg.eigh(lam @ lam.transpose(0, 2, 1))
        seen = np.log1p(one.a * np.maximum(values, 0.0))
        places.append(positions(seen, vectors))
        ranks.append((seen > NOTHING).sum(axis=1))
    return np.concatenate(places, axis=1), np.stack(ranks, axis=1)


def roots(G: FloatArray) -> FloatArray:
    """Lower triangles of the Cholesky factors of semidefinite G (N, q, q), column by column, (N, q(q + 1)/2)."""
    left, out = G.copy(), []
    for j in range(G.shape[1]):
        own = left[:, j, j]
        pivot = np.sqrt(np.where(own > PIVOT * G[:, j, j], own, 0.0))
        column = left[:, j:, j] / np.where(pivot > 0, pivot, 1.0)[:, None] * (pivot > 0)[:, None]
        left[:, j:, j:] -= column[:, :, None] * column[:, None]
        out.append(column)
    return np.concatenate(out, axis=1)
