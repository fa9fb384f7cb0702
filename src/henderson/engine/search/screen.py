"""Where descents from many starts would end, found for all of them at once.

Of descents from elsewhere most end where the first did, or above; only one that ends lower is worth the engine's. The
survey's deviance has no derivatives of its own. By central differences of length h in the metric of the cones, at all
starts in one batch,

    d_i  ≈ (d(+i) − d(−i)) / 2h        d_ii ≈ (d(+i) − 2d + d(−i)) / h²
    d_ij ≈ (d(+i+j) + d(−i−j) − d(+i) − d(−i) − d(+j) − d(−j) + 2d) / 2h²

they are good enough for Newton steps to within far less than what two minima differ by. A step is trusted over a
length at which the deviance has no other basin, and over more of it only as far as it did what was promised: each
start ends in its own basin, whatever rounding says (between two minima a degree apart, one long step in θ decides
by the last digit).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from henderson.engine.search.cones import Cone, frames
from henderson.engine.search.survey import Survey
from henderson.numerics.trust import trust_steps

FloatArray = np.ndarray

#: multiplications at which one Newton step of one start costs what the engine's would
DEAR = 400_000
#: length of a difference
STEP = 1e-3
#: promised decrease at which a start has arrived (one step further, of which it is known what it brings), where the
#: engine goes on from there, and the steps that it gets
TOLERANCE, ROUGH, MAX_STEPS = 1e-6, 1e-4, 60
#: length over which a first step is trusted, where it does not matter if a start leaves its basin, and any step at the
#: most
FIRST, WIDE, FURTHEST = 0.5, 1.5, 5.0
#: of the promised decrease, what a step must bring to stand; to be trusted less or more
STANDS, LESS, MORE = 1e-3, 0.25, 0.75
#: length below which a descent is stuck, and the promise up to which it has arrived nevertheless
STUCK, ACCEPTABLE = 1e-5, 1e-6


def is_cheap(survey: Survey) -> bool:
    """Whether descents all at once cost less than one by one; a survey that merges levels is not exact enough."""
    k = survey.blocks.n_theta
    return survey.is_exact and (1 + k + k * k) * survey.cost <= DEAR


def ends(
    survey: Survey, starts: FloatArray, tolerance: float = TOLERANCE, trusted: float = FIRST
) -> tuple[FloatArray, FloatArray]:
    """Where descents end.

    Parameters
    ----------
    survey : Survey
    starts : (B, k) array
    tolerance : float
        Promised decrease at which a last step is taken.
    trusted : float
        Length over which a first step is trusted.

    Returns
    -------
    theta : (B, k) array
    deviance : (B,) array
        What the last step promised; minus infinity where a descent has not arrived: who knows how far it falls.
    """
    of = survey.cones
    x, arrived = starts.copy(), np.zeros(len(starts), bool)
    value, gradient, hessian, frame = _derivatives(survey, of, x)
    radius, left = np.full(len(x), trusted), np.flatnonzero(np.isfinite(value))
    for _ in range(MAX_STEPS):
        step, promised = trust_steps(gradient[left], hessian[left], radius[left])
        trial = x[left] + (frame[left] @ step[:, :, None])[:, :, 0]
        done = promised < tolerance
        if done.any():
            here = left[done]
            x[here], arrived[here] = trial[done], True
            value[here] -= promised[done]
            step, promised, trial, left = step[~done], promised[~done], trial[~done], left[~done]
        if not len(left):
            break
        there = _derivatives(survey, of, trial)
        ratio = (value[left] - there[0]) / np.maximum(promised, 1e-300)
        rounding = 1e-12 * np.abs(value[left]) + 1e-11
        stands = (ratio > STANDS) | ((promised < ACCEPTABLE) & (there[0] <= value[left] + rounding))
        here = left[stands]
        x[here] = trial[stands]
        for known, new in zip((value, gradient, hessian, frame), there):
            known[here] = new[stands]
        length = np.sqrt((step**2).sum(axis=1))
        further = (ratio > MORE) & (length > 0.8 * radius[left])
        wider = np.where(further, np.minimum(2.0 * radius[left], FURTHEST), radius[left])
        radius[left] = np.where(ratio < LESS, length / 4, wider)
        stuck = radius[left] < STUCK
        arrived[left] = stuck & (promised < ACCEPTABLE)
        left = left[~stuck]
    return x, np.where(arrived, value, -np.inf)


def _derivatives(
    survey: Survey, of: list[Cone], theta: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Deviance (B,), gradient (B, k) and Hessian (B, k, k) along steps s of the cones' metric at θ (B, k), and ∂θ/∂s.

    Where one of the points has no deviance, there is none here.
    """
    batch, k = theta.shape
    frame = frames(of, theta)
    moves, weights = _differences(k)
    d = survey.deviances((theta[:, None] + moves @ frame.transpose(0, 2, 1)).reshape(-1, k)).reshape(batch, -1)
    here = d[:, 0].copy()
    if not np.isfinite(d.sum()):
        good = np.isfinite(d).all(axis=1)
        here, d = np.where(good, here, np.inf), np.where(good[:, None], d, 0.0)
    found = (d - d[:, :1]) @ weights
    return here, found[:, :k], found[:, k:].reshape(batch, k, k), frame


@lru_cache(maxsize=16)
def _differences(k: int) -> tuple[FloatArray, FloatArray]:
    """Steps (P, k), the first of them none, and the weights of the deviances there, less that of the first, in the
    gradient and the Hessian, (P, k + k²)."""
    one = np.eye(k)
    i, j = np.triu_indices(k, 1)
    moves = np.concatenate([np.zeros((1, k)), one, -one, one[i] + one[j], -one[i] - one[j]])
    gradient, hessian = np.zeros((len(moves), k)), np.zeros((len(moves), k, k))
    up, down = 1 + np.arange(k), 1 + k + np.arange(k)
    both, neither = 1 + 2 * k + np.arange(len(i)), 1 + 2 * k + len(i) + np.arange(len(i))
    gradient[up, range(k)], gradient[down, range(k)] = 0.5, -0.5
    hessian[up, range(k), range(k)] = hessian[down, range(k), range(k)] = 1.0
    for place, value in ((both, 0.5), (neither, 0.5), (up[i], -0.5), (up[j], -0.5), (down[i], -0.5), (down[j], -0.5)):
        hessian[place, i, j] = hessian[place, j, i] = value
    return STEP * moves, np.concatenate([gradient / STEP, hessian.reshape(-1, k * k) / STEP**2], axis=1)
