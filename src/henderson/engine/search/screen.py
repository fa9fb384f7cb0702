"""Where descents from many starts would end, found for all of them at once.

Of descents from elsewhere most end where the first did, or above; only one that ends lower is worth the engine's. The
survey's deviance has no derivatives of its own. By central differences of steps h, at all starts in one batch,

    d_i  ≈ (d(+i) − d(−i)) / 2h_i        d_ii ≈ (d(+i) − 2d + d(−i)) / h_i²
    d_ij ≈ (d(+i+j) + d(−i−j) − d(+i) − d(−i) − d(+j) − d(−j) + 2d) / 2h_ih_j

they are good enough for Newton steps to within far less than what two minima differ by.
"""

from __future__ import annotations

import numpy as np

from henderson.engine.search.survey import Survey
from henderson.numerics.newton import minimize_batch

FloatArray = np.ndarray

#: multiplications at which one Newton step of one start costs what the engine's would
DEAR = 400_000
#: length of a difference, for a θ of the size at which a variance begins to be seen
STEP = 1e-3
#: predicted decrease at which a start has arrived, and the Newton steps that it gets
TOLERANCE, MAX_STEPS = 1e-8, 60
#: longest step, relative to 1 + the largest θ: longer ones leap over basins
MAX_STEP = 0.3


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
    scale = _scale(survey)

    def evaluate(x: FloatArray, _: np.ndarray) -> tuple[FloatArray, FloatArray, FloatArray]:
        return _derivatives(survey, x.T, STEP * np.maximum(np.abs(x.T), scale))

    with np.errstate(invalid="ignore"):  # where the equations are not positive definite
        found = minimize_batch(evaluate, starts.T, tol=TOLERANCE, max_iter=MAX_STEPS, max_step=MAX_STEP)
    return found.x.T, np.where(found.converged, found.value, -np.inf)


def _scale(survey: Survey) -> FloatArray:
    """θ at which a variance begins to be seen, 1/√(largest element of Z_j'Z_j) of each block, (k,)."""
    out = np.empty(survey.blocks.n_theta)
    for k, block in enumerate(survey.blocks.blocks):
        out[block.parameters] = 1.0 / np.sqrt(max(float(survey.largest(k).max()), 1e-300))
    return out


def _derivatives(survey: Survey, theta: FloatArray, h: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Deviance (B,), gradient (k, B) and Hessian (k, k, B) at θ (B, k) by differences h (B, k).

    Where one of the points has no deviance, there is none here.
    """
    batch, k = theta.shape
    one = np.eye(k)
    i, j = np.triu_indices(k, 1)
    moves = np.concatenate([np.zeros((1, k)), one, -one, one[i] + one[j], -one[i] - one[j]])
    d = survey.deviances((theta + moves[:, None] * h).reshape(-1, k)).reshape(len(moves), batch)
    good = np.isfinite(d).all(axis=0)
    d = np.where(good, d, 0.0)
    here, up, down = d[0], d[1 : 1 + k], d[1 + k : 1 + 2 * k]
    both, neither = d[1 + 2 * k : 1 + 2 * k + len(i)], d[1 + 2 * k + len(i) :]
    own = up - 2.0 * here + down
    hessian = np.zeros((k, k, batch))
    hessian[range(k), range(k)] = own
    hessian[i, j] = hessian[j, i] = (both + neither - 2.0 * here - own[i] - own[j]) / 2.0
    return np.where(good, here, np.inf), (up - down) / (2.0 * h.T), hessian / (h.T[:, None] * h.T)
