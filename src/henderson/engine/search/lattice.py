"""Points of the cone of covariances, evenly spread where a deviance has no feature narrower than they are apart.

In L = log(I + aG), a the largest information on an effect, a deviance is smooth on the scale of one: variances below
1/a are not seen, larger ones by their logarithm, and so are their directions. The points of a cone have whole
eigenvalues of L (in steps), those at zero being its faces, and directions as far apart as the eigenvalues differ.
Several covariances have the product of their points, or a sample of it.

A point that is lower than its neighbours is a candidate for the basin of a minimum; so is one that is lower than the
neighbours of its own face, since along a valley that ends at a face there can be two minima beside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np

from henderson.numerics.lazy import lazy

FloatArray = np.ndarray

#: directions for each step that two eigenvalues differ by
DIRECTIONS = 2.6
#: points of a cone of more than two effects, about
DRAWN = 400
#: distance of neighbours, in steps; in a lattice of many dimensions so many of the nearest
RADIUS, NEAREST = 1.45, 6
#: dimensions from which on a lattice counts as sparse
SPARSE = 5
#: deviances that differ by less are one
EQUAL = 1e-6
#: deviance above the lowest point from which on the lowest of a face is of no interest
ABOVE = 3.0


@dataclass(frozen=True)
class Lattice:
    """Points of one covariance, or of several at once.

    Attributes
    ----------
    values : tuple of (N, q) arrays
        Eigenvalues of each covariance's L, in steps.
    vectors : tuple of (N, q, q) arrays
    near, same : (N, m) int arrays
        Neighbours of a point, and those of its own face; the point itself fills the rows.
    """

    values: tuple[FloatArray, ...]
    vectors: tuple[FloatArray, ...]
    near: np.ndarray
    same: np.ndarray

    def covariances(self, which: int, step: float, a: float) -> FloatArray:
        """G of one of the covariances at every point, (N, q, q)."""
        own = np.expm1(step * self.values[which]) / a
        return np.asarray((self._outer[which] * own[:, :, None, None]).sum(axis=1))

    @lazy
    def _outer(self) -> list[FloatArray]:
        """uu' of every eigenvector u of each covariance, (N, q, q, q)."""
        return [np.einsum("nri,nsi->nirs", U, U) for U in self.vectors]

    def low(self, deviance: FloatArray) -> np.ndarray:
        """Which points may be in the basin of a minimum, the lowest first."""
        by_level = np.argsort(np.round(deviance / EQUAL), kind="stable")
        order = np.empty(len(by_level), int)
        order[by_level] = np.arange(len(by_level))  # of a plateau the first is lowest
        low = order <= order[self.near].min(axis=1)
        few = by_level[: np.searchsorted(deviance[by_level], deviance[by_level[0]] + ABOVE)]
        low[few] |= order[few] <= order[self.same[few]].min(axis=1)
        found = np.flatnonzero(low & np.isfinite(deviance))
        return found[np.argsort(order[found])]


@lru_cache(maxsize=256)
def size(q: int, top: int) -> int:
    """Points of a cone of q effects."""
    return len(_cone(q, top)[0])


def positions(values: FloatArray, vectors: FloatArray) -> FloatArray:
    """Symmetric matrices of eigenvalues (N, q) and vectors (N, q, q) as points of Euclidean space, (N, q(q + 1)/2)."""
    L = (vectors * values[:, None]) @ vectors.transpose(0, 2, 1)
    i, j = np.tril_indices(values.shape[1])
    return L[:, i, j] * np.where(i == j, 1.0, np.sqrt(2.0))


@lru_cache(maxsize=128)
def lattice(cones: tuple[tuple[int, int], ...], most: int) -> Lattice:
    """Points of covariances of q effects up to an eigenvalue `top` each, (q, top); a sample if more than `most`.

    Examples
    --------
    >>> points = lattice(((1, 3), (1, 2)), 100)
    >>> len(points.near), points.low((points.values[0] + (points.values[1] - 1) ** 2)[:, 0]).tolist()
    (12, [1, 0, 4, 3])

    The minimum first, then the lowest point of each face.
    """
    parts = [_cone(*one) for one in cones]
    sizes = [len(values) for values, _ in parts]
    total = int(np.prod(sizes))
    flat = np.arange(total)
    if total > most:
        flat = np.unique(np.append(np.random.default_rng(1).integers(0, total, size=most), 0))
    index = np.unravel_index(flat, sizes)
    values, vectors = ([part[which][i] for part, i in zip(parts, index)] for which in (0, 1))
    place = np.concatenate([positions(*each) for each in zip(values, vectors)], axis=1)
    square = (place**2).sum(axis=1)
    distance = np.sqrt(np.maximum(square[:, None] + square - 2 * place @ place.T, 0.0))
    if total > most or place.shape[1] >= SPARSE:
        radius = np.sort(distance, axis=1)[:, min(NEAREST, len(flat) - 1), None]
    else:
        radius = np.full((len(flat), 1), RADIUS)
    near = distance <= radius
    rank = np.stack([(one > 0).sum(axis=1) for one in values], axis=1)
    same = near & (rank[:, None] == rank).all(axis=2)
    return Lattice(tuple(values), tuple(vectors), _listed(near), _listed(same))


@lru_cache(maxsize=128)
def _cone(q: int, top: int) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues (N, q) and vectors (N, q, q) of the points of one covariance."""
    make: Callable[[int, int], tuple[Sequence[Sequence[float]], Sequence[FloatArray]]] = _plane if q == 2 else _drawn
    values, vectors = make(q, top) if q > 1 else ([[float(i)] for i in range(top + 1)], [np.eye(1)] * (top + 1))
    return np.array(values, float), np.array(vectors)


def _plane(_: int, top: int) -> tuple[list[list[float]], list[FloatArray]]:
    """Two effects: directions at even angles, in turns half an angle from zero."""
    values, vectors = [], []
    for first in range(top + 1):
        for second in range(first + 1):
            angles = 1 if first == second else max(2, round(DIRECTIONS * (first - second)))
            for i in range(angles):
                phi = np.pi * (i + 0.5 * ((first + second) % 2)) / angles
                values.append([float(first), float(second)])
                vectors.append(np.array([[np.cos(phi), -np.sin(phi)], [np.sin(phi), np.cos(phi)]]))
    return values, vectors


def _drawn(q: int, top: int) -> tuple[list[list[float]], list[FloatArray]]:
    """More effects: directions drawn once and for all, more of them for eigenvalues that differ."""
    rng = np.random.default_rng(q)
    chosen = [tuple(reversed(one)) for one in combinations_with_replacement(range(top + 1), q)]
    weight = np.array([1.0 + sum(abs(a - b) for a in one for b in one) for one in chosen])
    values, vectors = [], []
    for one, times in zip(chosen, np.maximum(np.round(DRAWN * weight / weight.sum()), 1).astype(int)):
        for _ in range(times):
            values.append([float(value) for value in one])
            vectors.append(np.linalg.qr(rng.normal(size=(q, q)))[0])
    return values, vectors


def _listed(near: np.ndarray) -> np.ndarray:
    """Places of the true elements of each row of (N, N), each row filled up with its own number."""
    count = near.sum(axis=1)
    out = np.repeat(np.arange(len(near))[:, None], count.max(), axis=1)
    out[np.arange(count.max()) < count[:, None]] = np.nonzero(near)[1]
    return out
