"""Steps within a trust radius, of many quadratic models at once.

Of g's + s'Hs/2 over |s| ≤ r the minimiser is s = −(H + μI)⁻¹g with the least μ ≥ 0 for which H + μI is positive
definite and |s| ≤ r (Moré and Sorensen 1983). With H = Σ w v v' that is −Σ v (v'g)/(w + μ), whose length falls with μ.
"""

from __future__ import annotations

import numpy as np

FloatArray = np.ndarray

#: halvings of the interval for μ
HALVINGS = 30
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
    floor = 1e-10 * np.maximum(np.abs(values).max(axis=1), 1e-12)
    least = np.maximum(0.0, floor - values[:, 0])
    low, high = least, least + np.linalg.norm(along, axis=1) / radius + floor
    inside = np.linalg.norm(along / (values + least[:, None]), axis=1) <= radius
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        long = np.linalg.norm(along / (values + middle[:, None]), axis=1) > radius
        low, high = np.where(long, middle, low), np.where(long, high, middle)
    s = -along / (values + np.where(inside, least, high)[:, None])
    short = radius**2 - (s**2).sum(axis=1)
    saddle = (values[:, 0] < SADDLE) & (short > 0.01 * radius**2)
    s[:, 0] += np.where(saddle, np.where(along[:, 0] > 0, -1.0, 1.0) * np.sqrt(np.maximum(short, 0.0)), 0.0)
    promised = -(along * s + 0.5 * values * s**2).sum(axis=1)
    return (vectors @ s[:, :, None])[:, :, 0], promised
