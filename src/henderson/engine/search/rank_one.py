"""Covariances of rank one, of three effects or more: a face of the cone on which a minimum can lie alone.

On a lattice each face has its share of the points, and the directions of one large variance, which are told apart the
better the larger it is, have few: of (x + z | g) on 29 rows, one group of 21 and four of 2, none was low, and all
descents ended in a basin of rank two, 4.9 above. Here each of many directions has all sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from henderson.engine.search.cones import Cone, roots
from henderson.engine.search.survey import Survey

FloatArray = np.ndarray

#: directions for each effect beyond two, and those of them, with the size that is lowest, that are starts
DIRECTIONS, LOWEST = 48, 4
#: distance of sizes in log(1 + at)
STEP = 1.4


def rank_one(
    survey: Survey, of: Sequence[Cone], far: Sequence[float], base: FloatArray, most: float
) -> tuple[FloatArray, FloatArray, int]:
    """Points of rank one that are low, and how many were looked at.

    Parameters
    ----------
    survey : Survey
    of : sequence of Cone
    far : sequence of float
        log(1 + at) of the largest variance of each covariance.
    base : (k,) array
        θ of the other covariances.
    most : float
        Points that may be looked at for one covariance.

    Returns
    -------
    theta : (m, k) array
    deviance : (m,) array
    surveyed : int
    """
    found, surveyed = [(np.zeros((0, len(base))), np.zeros(0))], 0
    for one, end in zip(of, far):
        sizes = np.expm1(STEP * np.arange(1, int(np.ceil(end / STEP)) + 1)) / one.a
        along = _directions(one.q)
        if one.q < 3 or len(sizes) * len(along) > most:
            continue
        theta = np.repeat(base[None], len(sizes) * len(along), axis=0)
        theta[:, one.parameters] = roots((sizes[:, None, None, None] * along).reshape(-1, one.q, one.q))
        deviance = survey.deviances(theta).reshape(len(sizes), -1)
        low = np.argsort(deviance.min(axis=0), kind="stable")[:LOWEST]
        size = deviance[:, low].argmin(axis=0)
        found.append((theta.reshape(len(sizes), len(along), -1)[size, low], deviance[size, low]))
        surveyed += len(theta)
    theta, deviance = (np.concatenate(part) for part in zip(*found))
    return theta, deviance, surveyed


@lru_cache(maxsize=16)
def _directions(q: int) -> FloatArray:
    """uu' of unit vectors drawn once and for all, (N, q, q)."""
    u = np.random.default_rng(q).normal(size=(DIRECTIONS * max(q - 2, 0), q))
    u /= np.linalg.norm(u, axis=1)[:, None]
    return np.asarray(u[:, :, None] * u[:, None])
