"""Minimise many functions of a few variables at once, by Newton steps on exact Hessians.

Each member of the batch goes its own way:

1. The variables at a bound whose derivative points outwards are held.
2. The step is −H⁻¹g where H is positive definite, else with the absolute eigenvalues of H (which leads away from
   saddles); where the gradient vanishes but the curvature is negative, as at a singular covariance that should not be
   one, the step is along that eigenvector.
3. Long steps are cut.
4. A step that does not lower the function is shortened.
5. Members whose Newton decrement g'H⁻¹g is below the tolerance leave the batch; where that is asked for, a last step
   that is short is not tried: what it changes is below what the function's rounding shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FloatArray = np.ndarray
#: (x (k, B), members (B,)) → value (B,), gradient (k, B), Hessian (k, k, B)
Evaluate = Callable[[FloatArray, np.ndarray], tuple[FloatArray, FloatArray, FloatArray]]

#: pivots and eigenvalues of the scaled Hessian are taken for positive above this
PIVOT = 1e-9
#: a lower eigenvalue of the scaled Hessian is a way down, though the gradient vanishes
SADDLE = -1e-6
#: first step on it
LEAP = 0.3
#: length, relative to 1 + the largest variable, of a last step that need not be tried
SHORT = 1e-4
#: of the longest step
LONGEST = 1.0
#: most evaluations
EVALUATIONS = 100


@dataclass(frozen=True)
class Minima:
    """Where each member of a batch ended.

    Attributes
    ----------
    x : (k, B) array
    value : (B,) array
    gradient : (k, B) array
    hessian : (k, k, B) array
    converged : (B,) bool array
    evaluations : int
        Evaluations of (what was left of) the batch.
    """

    x: FloatArray
    value: FloatArray
    gradient: FloatArray
    hessian: FloatArray
    converged: np.ndarray
    evaluations: int


def minimize_batch(
    evaluate: Evaluate,
    x: FloatArray,
    *,
    frozen: np.ndarray | None = None,
    nonnegative: np.ndarray | None = None,
    tol: float = 1e-9,
    trust: bool = False,
) -> Minima:
    """Minimise a batch.

    Parameters
    ----------
    evaluate : callable
        Value, gradient and Hessian of some members of the batch.
    x : (k, B) array
        Where to begin.
    frozen, nonnegative : (k, B) bool arrays, optional
        Variables that stay, and variables that may not be negative.
    tol : float
        Newton decrement, in units of the function, at which a member is done (it still takes its last step).
    trust : bool
        Take a last step that is short without evaluating the function there; `value`, `gradient` and `hessian` are then
        those before it.
    """
    k, batch = x.shape
    x = x.copy()
    frozen = np.zeros((k, batch), bool) if frozen is None else frozen
    nonnegative = np.zeros((k, batch), bool) if nonnegative is None else nonnegative
    value, gradient, hessian = (a.copy() for a in evaluate(x, np.arange(batch)))
    converged = np.zeros(batch, bool)
    evaluations = 1
    left = np.flatnonzero(np.isfinite(value))
    step, decrement = np.zeros((k, batch)), np.zeros(batch)
    shorten = np.ones(batch)
    fresh = left
    while len(left) and evaluations < EVALUATIONS:
        # 1. to 3.
        held = frozen[:, fresh] | (nonnegative[:, fresh] & (x[:, fresh] <= 0) & (gradient[:, fresh] > 0))
        step[:, fresh], decrement[fresh] = newton_step(gradient[:, fresh], hessian[:, :, fresh], held)
        limit = LONGEST * (1 + np.abs(x[:, fresh]).max(0))
        step[:, fresh] *= np.minimum(1, limit / np.maximum(np.abs(step[:, fresh]).max(0), 1e-300))
        shorten[fresh] = 1.0
        if trust:
            arrived = fresh[(decrement[fresh] < tol) & (np.abs(step[:, fresh]).max(0) < SHORT * limit / LONGEST)]
            there = x[:, arrived] + step[:, arrived]
            x[:, arrived] = np.where(nonnegative[:, arrived], np.maximum(there, 0.0), there)
            converged[arrived] = True
            left = left[~converged[left]]
            if not len(left):
                break
        # 4.
        trial = x[:, left] + step[:, left] * shorten[left]
        trial = np.where(nonnegative[:, left], np.maximum(trial, 0.0), trial)
        f, g, h = evaluate(trial, left)
        evaluations += 1
        promised = np.einsum("kb,kb->b", gradient[:, left], trial - x[:, left])
        noise = 1e-13 * np.abs(value[left]) + 1e-12
        better = f <= value[left] + 1e-4 * np.minimum(promised, 0) + noise
        here = left[better]
        x[:, here], value[here] = trial[:, better], f[better]
        gradient[:, here], hessian[:, :, here] = g[:, better], h[:, :, better]
        # 5.
        done = better & (decrement[left] < tol)
        stuck = ~better & (shorten[left] < 1e-6)
        converged[left[done]] = True
        converged[left[stuck]] = decrement[left[stuck]] < max(1e3 * tol, 1e-6)
        shorten[left[~better]] *= 0.3
        fresh = left[better & ~done]
        left = left[~done & ~stuck]
    return Minima(x, value, gradient, hessian, converged, evaluations)


def minimize_nearby(
    evaluate: Callable[[FloatArray, np.ndarray], tuple[FloatArray, FloatArray]],
    x: FloatArray,
    value: FloatArray,
    gradient: FloatArray,
    hessian: FloatArray,
    *,
    tol: float = 1e-9,
    max_iter: int = 10,
) -> Minima:
    """Minimise a batch of functions that differ little from one whose minimum is known.

    That one's Hessian begins, or each member's own; gradients correct it (symmetric rank-one updates), and no other
    second derivatives are needed. A member whose Newton decrement does not fall from step to step, or whose Hessian is
    not positive definite, has not converged: `minimize_batch` is for those.

    Parameters
    ----------
    evaluate : callable
        Value and gradient of some members of the batch.
    x : (k, 1) array
        The known minimum.
    value, gradient : (B,), (k, B) arrays
        Of each member, there.
    hessian : (k, k, 1) or (k, k, B) array
        Of the known function, or of each member, there.
    tol : float
        Newton decrement at which a member is done; it takes its last step, at whose end it is not evaluated.

    Returns
    -------
    Minima
        `value` and `gradient` are those before the last step.

    Examples
    --------
    >>> target = np.array([0.1, -0.2])
    >>> def evaluate(x, members):
    ...     return ((x - target[members]) ** 2).sum(0), 2 * (x - target[members])
    >>> start = np.zeros((1, 1))
    >>> found = minimize_nearby(evaluate, start, *evaluate(start, np.arange(2)), np.full((1, 1, 1), 3.0))
    >>> found.x.round(6).tolist(), found.converged.tolist()
    ([[0.1, -0.2]], [True, True])
    """
    k, batch = gradient.shape
    x, hessian = np.repeat(x, batch, 1), np.repeat(hessian, batch // hessian.shape[2], 2)
    value, gradient, converged, evaluations = value.copy(), gradient.copy(), np.zeros(batch, bool), 0
    free = np.zeros((k, batch), bool)
    step, decrement = newton_step(gradient, hessian, free)
    left = np.flatnonzero(np.isfinite(decrement) & (decrement >= 0))
    for _ in range(max_iter):
        if not len(left):
            break
        x[:, left] += step[:, left]
        done = decrement[left] < tol
        converged[left[done]] = True
        left = left[~done]
        if not len(left):
            break
        value[left], g = evaluate(x[:, left], left)
        evaluations += 1
        change, s = g - gradient[:, left], step[:, left]
        gradient[:, left] = g
        miss = change - np.einsum("ijb,jb->ib", hessian[:, :, left], s)
        along = np.einsum("ib,ib->b", miss, s)
        enough = np.abs(along) > 1e-8 * np.sqrt((miss**2).sum(0) * (s**2).sum(0))
        hessian[:, :, left] += miss[:, None] * miss[None] * np.where(enough, 1 / np.where(enough, along, 1.0), 0.0)
        before = decrement[left]
        step[:, left], decrement[left] = newton_step(g, hessian[:, :, left], free[:, left])
        left = left[np.isfinite(decrement[left]) & (decrement[left] >= 0) & (decrement[left] < 0.5 * before)]
    return Minima(x, value, gradient, hessian, converged, evaluations)


def newton_step(gradient: FloatArray, hessian: FloatArray, held: np.ndarray) -> tuple[FloatArray, FloatArray]:
    """Steps (k, B) and Newton decrements (B,), infinite at a saddle, the held variables staying.

    Examples
    --------
    >>> step, decrement = newton_step(np.array([[2.0]]), np.array([[[4.0]]]), np.array([[False]]))
    >>> step, decrement
    (array([[-0.5]]), array([1.]))
    """
    k = len(gradient)
    g = np.where(held, 0.0, gradient)
    h = np.where(held[:, None] | held[None], 0.0, hessian)
    diagonal = np.arange(k)
    size = np.abs(h[diagonal, diagonal])
    scale = 1 / np.sqrt(np.where(size > PIVOT * np.maximum(size.max(0), 1e-300), size, np.maximum(size.max(0), 1e-300)))
    h = h * scale[:, None] * scale[None]
    h[diagonal, diagonal] += held
    g = g * scale
    step, definite = _solve_definite(h, -g)
    bad = np.flatnonzero(~definite & np.isfinite(h).all((0, 1)))
    if len(bad):
        values, vectors = np.linalg.eigh(np.ascontiguousarray(h[:, :, bad].transpose(2, 0, 1)))
        along = np.einsum("bki,kb->bi", vectors, g[:, bad])
        step[:, bad] = -np.einsum("bki,bi->kb", vectors, along / np.maximum(np.abs(values), 1e-5))
    step *= scale
    decrement = -np.einsum("kb,kb->b", step, gradient * ~held)
    if len(bad):
        saddle = (values[:, 0] < SADDLE) & (decrement[bad] < 1e-4)
        who = bad[saddle]
        away = vectors[saddle, :, 0].T * scale[:, who]
        away *= LEAP / np.maximum(np.abs(away).max(0), 1e-300) * np.where(along[saddle, 0] > 0, -1.0, 1.0)
        step[:, who] += away
        decrement[who] = np.inf
    return step, decrement


def _solve_definite(h: FloatArray, rhs: FloatArray) -> tuple[FloatArray, np.ndarray]:
    """h⁻¹ rhs (k, B) by LDL', and where all pivots are positive."""
    k, low, x = len(h), h.copy(), rhs.copy()
    definite = np.ones(h.shape[2], bool)
    for s in range(k):
        definite &= low[s, s] > PIVOT
        low[s, s] = np.where(definite, low[s, s], 1.0)
        column = low[s + 1 :, s] / low[s, s]
        low[s + 1 :, s + 1 :] -= column[:, None] * low[s, s + 1 :][None]
        low[s + 1 :, s] = column
    for s in range(k):
        x[s + 1 :] -= low[s + 1 :, s] * x[s]
    x /= low[np.arange(k), np.arange(k)]
    for s in reversed(range(k)):
        x[:s] -= low[s, :s] * x[s]
    return x, definite
