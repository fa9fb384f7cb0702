"""Conjugate gradients for many right-hand sides, each its own recurrence; columns leave when they have converged."""

from __future__ import annotations

import numpy as np

from henderson.engine.factor.iterative.scaled import Projected

FloatArray = np.ndarray

#: remainder relative to the right-hand side at which a column has converged
TOLERANCE = 1e-11
#: most iterations
ITERATIONS = 2000


def solve(operator: Projected, b: FloatArray) -> FloatArray:
    """Ã⁻¹b for b (R, k).

    1. the slow directions directly: UM⁻¹U'b
    2. By = b − ÃUM⁻¹U'b by conjugate gradients
    3. what y has along them is taken out again
    """
    coarse = operator.M_inverse @ (operator.U.T @ b)
    rest = operator.orthogonal(b - operator.AU @ coarse)
    y = conjugate_gradients(operator, rest, TOLERANCE * np.sqrt(np.einsum("rk,rk->k", b, b)))
    return operator.U @ coarse + operator.without_slow(y)


def conjugate_gradients(operator: Projected, b: FloatArray, enough: FloatArray) -> FloatArray:
    """y with By = b, the remainder of each column no longer than `enough` (k,)."""
    out = np.zeros_like(b)
    square = np.einsum("rk,rk->k", b, b)
    active = np.flatnonzero(np.sqrt(square) > enough)
    y, r, p, square = np.zeros_like(b[:, active]), b[:, active], b[:, active].copy(), square[active]
    for _ in range(ITERATIONS):
        if not len(active):
            break
        _, w = operator.product(p)
        step = square / np.einsum("rk,rk->k", p, w)
        y += step * p
        r = r - step * w
        new = np.einsum("rk,rk->k", r, r)
        going = np.sqrt(new) > enough[active]
        p = r + (new / square) * p
        square = new
        if not going.all():
            out[:, active[~going]] = y[:, ~going]
            active, y, r, p, square = active[going], y[:, going], r[:, going], p[:, going], square[going]
    else:
        raise np.linalg.LinAlgError(
            f"conjugate gradients did not end in {ITERATIONS} iterations: levels hang together by long chains, or "
            "variances are out of proportion; rest='exact' factors the equations"
        )
    return out
