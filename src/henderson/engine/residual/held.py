"""The likelihood of correlated rows with one combination of fixed effects held: a function of (φ, t), h'β = t.

With m = t − h'β̂ and κ = 1/h'Φh, Φ = (X'SX)⁻¹, the other combinations at their best are β̂ + uκm, u = Φh, so that

    d(φ, t) = d(φ) + κm²        e = y − Xβ,   v = (−β, 1),   Φ_h = Φ − κuu'
    ∂_t = 2κm      ∂_tt = 2κ      ∂_ta = 2κu'X'SV_aSe

and the derivatives in ψ are those of a point whose v and Φ are these (`point`; of maximum likelihood: β is held in no
restricted likelihood).
"""

from __future__ import annotations

import numpy as np

from henderson.engine.residual.ends import Point
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray


class HeldPoint:
    """A point of (φ, t); see `search.optimize.Point`.

    Parameters
    ----------
    point : Point
        Of maximum likelihood, of which nothing has been asked yet but its deviance: it is changed.
    h : (p,) array
        In the working basis.
    t : float

    Attributes
    ----------
    deviance : float
    """

    def __init__(self, point: Point, h: FloatArray, t: float) -> None:
        self.point, self.deviance = point, point.deviance
        if not np.isfinite(point.deviance):
            return
        u = point.phi @ h
        self.kappa = 1.0 / float(u @ h)
        self.u, self.miss = u * self.kappa, t - float(h @ point.beta)
        point.v = np.append(-(point.beta + self.u * self.miss), 1.0)
        point.phi = point.phi - np.outer(u, u) * self.kappa
        self.deviance = point.deviance + self.kappa * self.miss**2

    @lazy
    def gradient(self) -> FloatArray:
        """∂d/∂(φ, t), (f + 1,)."""
        return np.append(self.point.gradient, 2 * self.kappa * self.miss)

    @lazy
    def hessian_model(self) -> FloatArray:
        """∂²d/∂(φ, t)∂(φ, t), exact, (f + 1, f + 1)."""
        inner = self.point.hessian_model
        out = np.empty((len(inner) + 1,) * 2)
        out[:-1, :-1], out[-1, -1] = inner, 2 * self.kappa
        out[-1, :-1] = out[:-1, -1] = self.point.jacobian.T @ (2 * self.point.cross @ self.u)
        return out
