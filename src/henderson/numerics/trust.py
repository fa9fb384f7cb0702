"""Steps within a trust radius, of many quadratic models at once.

Of g's + s'Hs/2 over |s| ≤ r the minimiser is s = −(H + μI)⁻¹g with the least μ ≥ 0 for which H + μI is positive
definite and |s| ≤ r (Moré and Sorensen 1983). With H = Σ w v v' that is −Σ v (v'g)/(w + μ), whose length falls with μ;
1/|s| is concave in it, so Newton steps on 1/|s| = 1/r from below stay below.
"""

from __future__ import annotations

import numpy as np

FloatArray = np.ndarray

#: Newton steps for μ, and excess of a length over the radius that is none
NEWTON, LONGER = 30, 1e-9
#: eigenvalue below which a direction leads down though the gradient along it vanishes
SADDLE = -1e-4


def trust_steps(gradient: FloatArray, hessian: FloatArray, radius: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Steps (B, k) and the decreases that they promise (B,).

    Parameters
    ----------
    gradient : (B, k) array
    hessian : (B, k, k) array
    radius : (B,) array

    Examples
    --------
    >>> gradient, hessian = np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([np.eye(2), np.diag([-1.0, 1.0])])
    >>> steps, promised = trust_steps(gradient, hessian, np.array([1.0, 0.5]))
    >>> steps.round(6).tolist(), promised.round(6).tolist()
    ([[-1.0, 0.0], [0.5, 0.0]], [1.5, 0.125])
    """
    values, vectors = np.linalg.eigh(hessian)
    along = (gradient[:, None] @ vectors)[:, 0]
    floor = 1e-10 * np.maximum(np.maximum(-values[:, 0], values[:, -1]), 1e-12)
    shifted = values + np.maximum(0.0, floor - values[:, 0])[:, None]
    s = along / shifted
    square, limit = (s * s).sum(axis=1), radius * radius
    long = square > limit * (1.0 + LONGER)
    for _ in range(NEWTON):
        if not long.any():
            break
        slope = np.maximum((s * s / shifted).sum(axis=1), 1e-300)
        shifted = shifted + np.where(long, (np.sqrt(square) / radius - 1.0) * square / slope, 0.0)[:, None]
        s = along / shifted
        square = (s * s).sum(axis=1)
        long = square > limit * (1.0 + LONGER)
    s = -s
    if values[:, 0].min(initial=0.0) < SADDLE:  # along the lowest, as far as there is room
        saddle = (values[:, 0] < SADDLE) & (limit - square > 0.01 * limit)
        room = np.sqrt(np.maximum(limit - square + s[:, 0] ** 2, 0.0))
        s[:, 0] = np.where(saddle, np.where(along[:, 0] > 0, -room, room), s[:, 0])
    promised = -(along * s + 0.5 * values * s**2).sum(axis=1)
    return (vectors @ s[:, :, None])[:, :, 0], promised
