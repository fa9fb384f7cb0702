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

import numpy as np

from henderson.engine.search.cones import Cone, frames
from henderson.engine.search.survey import Survey
from henderson.numerics.trust import trust_steps

FloatArray = np.ndarray

#: multiplications at which one Newton step of one start costs what the engine's would
DEAR = 400_000
#: length of a difference
STEP = 1e-3
#: promised decrease at which a start has arrived, and the steps that it gets
TOLERANCE, MAX_STEPS = 1e-8, 60
#: length over which a first step is trusted, and any step at the most
FIRST, FURTHEST = 0.5, 5.0
#: of the promised decrease, what a step must bring to stand; to be trusted less or more
STANDS, LESS, MORE = 1e-3, 0.25, 0.75
#: length below which a descent is stuck, and the promise up to which it has arrived nevertheless
STUCK, ACCEPTABLE = 1e-5, 1e-6


def is_cheap(survey: Survey) -> bool:
    """Whether descents all at once cost less than one by one; a survey that merges levels is not exact enough."""
    k = survey.blocks.n_theta
    return survey.is_exact and (1 + k + k * k) * survey.cost <= DEAR


def ends(survey: Survey, starts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where descents end.

    Parameters
    ----------
    survey : Survey
    starts : (B, k) array

    Returns
    -------
    theta : (B, k) array
    deviance : (B,) array
        Minus infinity where a descent has not arrived: who knows how far it falls.
    """
    of = survey.cones
    x, arrived = starts.copy(), np.zeros(len(starts), bool)
    value, gradient, hessian, frame = _derivatives(survey, of, x)
    radius, left = np.full(len(x), FIRST), np.flatnonzero(np.isfinite(value))
    for _ in range(MAX_STEPS):
        if not len(left):
            break
        step, promised = trust_steps(gradient[left], hessian[left], radius[left])
        trial = x[left] + (frame[left] @ step[:, :, None])[:, :, 0]
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
        done = stands & (promised < TOLERANCE)
        stuck = ~done & (radius[left] < STUCK)
        arrived[left] = done | (stuck & (promised < ACCEPTABLE))
        left = left[~done & ~stuck]
    return x, np.where(arrived, value, -np.inf)


def _derivatives(
    survey: Survey, of: list[Cone], theta: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Deviance (B,), gradient (B, k) and Hessian (B, k, k) along steps s of the cones' metric at θ (B, k), and ∂θ/∂s.

    Where one of the points has no deviance, there is none here.
    """
    batch, k = theta.shape
    frame, one = frames(of, theta), np.eye(k)
    i, j = np.triu_indices(k, 1)
    moves = STEP * np.concatenate([np.zeros((1, k)), one, -one, one[i] + one[j], -one[i] - one[j]])
    points = theta + (moves @ frame.transpose(0, 2, 1)).transpose(1, 0, 2)
    d = survey.deviances(points.reshape(-1, k)).reshape(len(moves), batch)
    good = np.isfinite(d).all(axis=0)
    d = np.where(good, d, 0.0)
    here, up, down = d[0], d[1 : 1 + k], d[1 + k : 1 + 2 * k]
    both, neither = d[1 + 2 * k : 1 + 2 * k + len(i)], d[1 + 2 * k + len(i) :]
    own = up - 2.0 * here + down
    hessian = np.zeros((batch, k, k))
    hessian[:, range(k), range(k)] = own.T
    hessian[:, i, j] = hessian[:, j, i] = ((both + neither - 2.0 * here - own[i] - own[j]) / 2.0).T
    return np.where(good, here, np.inf), ((up - down) / (2.0 * STEP)).T, hessian / STEP**2, frame
