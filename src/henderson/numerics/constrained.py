"""A smooth function minimised where one equation holds, by Newton steps on exact derivatives.

minimise f(x) subject to s(x) = c. With a = ∂s/∂x, Z a basis of what is orthogonal to a, μ the multiplier
(f' = μ a at the solution) and W = f'' − μ s'' the Hessian of the Lagrangian, each step is

1. z with Z'WZ z = −Z'f', the eigenvalues of Z'WZ taken absolute (which leads away from saddles); where the gradient
   vanishes but one of them is negative, as at a singular covariance that should not be one, along its eigenvector
2. from x + Zz back to the equation, along its gradient; f there must be lower, else z is halved

The equation costs next to nothing beside f. At the solution μ = df/dc, and it moves with c as (dx/dc, dμ/dc), the
solution of

    [W a; a' 0] (dx, −dμ) = (0, 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FloatArray = np.ndarray
#: f', f'' (k,), (k, k)
Derivatives = Callable[[], tuple[FloatArray, FloatArray]]
#: x → f, infinite where there is none, and its derivatives, when asked for
Objective = Callable[[FloatArray], tuple[float, Derivatives]]
#: x → s, s' (k,), s'' (k, k)
Equation = Callable[[FloatArray], tuple[float, FloatArray, FloatArray]]

#: decrease of f that a step may still promise, and |s − c| relative to 1 + |c|, at a solution
TOLERANCE, EXACT = 1e-9, 1e-10
#: iterations, halvings of a step, and steps back to the equation
ITERATIONS, HALVINGS, RETURNS = 40, 25, 15
#: an eigenvalue of Z'WZ below this share of the largest is taken to be that
FLAT = 1e-10
#: an eigenvalue of Z'WZ, relative to the largest, that is a way down, and the first step on it
SADDLE, LEAP = -1e-5, 0.3
#: longest step, relative to 1 + |x|
LONGEST = 3.0


@dataclass(frozen=True)
class Constrained:
    """A minimum on s(x) = c, and how it moves with c.

    Attributes
    ----------
    x : (k,) array
    value : float
        f.
    slope, curvature : float
        df/dc = μ and d²f/dc².
    tangent : (k,) array
        dx/dc.
    converged : bool
    """

    x: FloatArray
    value: float
    slope: float
    curvature: float
    tangent: FloatArray
    converged: bool


def minimize_on(objective: Objective, equation: Equation, c: float, x: FloatArray) -> Constrained | None:
    """The minimum of f on s = c, from x; None where there is no way from there.

    Examples
    --------
    The point of a line that is closest to the origin:

    >>> found = minimize_on(
    ...     lambda x: (float(x @ x), lambda: (2 * x, 2 * np.eye(2))),
    ...     lambda x: (float(x.sum()), np.ones(2), np.zeros((2, 2))), 2.0, np.array([5.0, 0.0]),
    ... )
    >>> found.x.round(6).tolist(), round(found.slope, 6), found.tangent.round(6).tolist()
    ([1.0, 1.0], 2.0, [0.5, 0.5])
    """
    began = _lower(objective, equation, c, x, np.zeros(len(x)), np.inf)
    if began is None:
        return None
    x, value, derivatives = began
    converged = False
    for _ in range(ITERATIONS):
        gradient, hessian = derivatives()
        _, a, bend = equation(x)
        mu = float(a @ gradient / (a @ a))
        step, promised, down = _step(gradient, hessian - mu * bend, a)
        done = promised < TOLERANCE
        if done and down is None:
            converged = True
            break
        steps = [LEAP * down, -LEAP * down] if done and down is not None else [step]
        below = value - TOLERANCE if done else value + 1e-12 * abs(value)
        tried = [one for one in (_lower(objective, equation, c, x, step, below) for step in steps) if one]
        if not tried:
            converged = done
            break
        x, value, derivatives = min(tried, key=lambda one: one[1])
    return _moving(x, value, derivatives(), equation(x), converged)


def _moving(
    x: FloatArray,
    value: float,
    derivatives: tuple[FloatArray, FloatArray],
    at: tuple[float, FloatArray, FloatArray],
    converged: bool,
) -> Constrained:
    """How the solution x moves with c."""
    (gradient, hessian), (_, a, bend) = derivatives, at
    mu, k = float(a @ gradient / (a @ a)), len(x)
    whole = np.zeros((k + 1, k + 1))
    whole[:k, :k], whole[:k, k], whole[k, :k] = hessian - mu * bend, a, a
    moved = np.linalg.lstsq(whole, np.append(np.zeros(k), 1.0), rcond=None)[0]
    return Constrained(x, float(value), mu, -float(moved[k]), moved[:k], converged)


def _lower(
    objective: Objective, equation: Equation, c: float, x: FloatArray, step: FloatArray, below: float
) -> tuple[FloatArray, float, Derivatives] | None:
    """Step 2: a point of the equation with a value below another, and its derivatives; None where there is none."""
    longest = float(np.max(np.abs(step) / (1 + np.abs(x))))
    step = step * min(1.0, LONGEST / max(longest, 1e-300))
    for _ in range(HALVINGS):
        there = _back(equation, c, x + step)
        if there is not None:
            value, derivatives = objective(there)
            if np.isfinite(value) and value <= below:
                return there, value, derivatives
        if not step.any():
            return None
        step = step / 2
    return None


def _back(equation: Equation, c: float, x: FloatArray) -> FloatArray | None:
    """The point of the equation that lies along its gradient from x; None where it is not found."""
    for _ in range(RETURNS):
        s, a, _ = equation(x)
        if not (np.isfinite(s) and np.isfinite(a).all()):
            return None
        if abs(s - c) <= EXACT * (1 + abs(c)):
            return x
        if not a.any():
            return None
        x = x + a * ((c - s) / (a @ a))
    return None


def _step(gradient: FloatArray, W: FloatArray, a: FloatArray) -> tuple[FloatArray, float, FloatArray | None]:
    """Step 1: Zz, the decrease of f that it promises, and an eigenvector along which f falls though it is level."""
    Z = np.linalg.svd(a[None])[2][1:].T
    if not Z.shape[1]:
        return np.zeros(len(a)), 0.0, None
    values, vectors = np.linalg.eigh(Z.T @ W @ Z)
    size = np.maximum(np.abs(values), FLAT * max(float(np.abs(values).max()), 1e-300))
    along = vectors.T @ (Z.T @ gradient)
    down = Z @ vectors[:, 0] if values[0] < SADDLE * size.max() else None
    return -Z @ (vectors @ (along / size)), float((along**2 / size).sum() / 2), down
