"""Continuous-time AR(1) without random effects: the likelihood of many series in a few sums over pairs of neighbours.

V = σ²ρ^{|t_i − t_j|} within a series. By Markov's property, rows in the order of time and r_i = ρ^{d_i}, d_i the gap to
the row before (r = 0 for the first of a series),

    a_i = c_i − r_ic_{i−1},   w_i = 1/(1 − r_i²)
    c'V⁻¹c = σ⁻² Σ_i w_ia_ia_i'      log|V| = n log σ² − Σ_i log w_i

and every derivative in ρ is one sum more with other weights of cc', cc₋' + c₋c' and c₋c₋'. V itself, and its factors,
are not formed: a series of any length costs what its rows cost.
"""

from __future__ import annotations

import numpy as np

from henderson.contract.rows import Rows
from henderson.engine.moments import KnownCurved, Moments
from henderson.engine.residual.model import BlockModel
from henderson.numerics import lapack
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray


class MarkovModel:
    """The search's view of a `BlockModel` whose structure is ``car1`` alone.

    Parameters
    ----------
    model : BlockModel
        Units and data are not needed of it.
    rows : Rows

    Attributes
    ----------
    now, before : (n, p + 1) arrays
        c of each row, and of the row before it in its series (zeros for the first).
    gap : (n,) array
        Time since the row before; infinite for the first.
    n_series : int
    """

    def __init__(self, model: BlockModel, rows: Rows) -> None:
        self.model = model
        residual = rows.residual
        assert residual is not None
        order = np.lexsort((residual.where[:, 0], residual.codes))
        c = np.empty((rows.n, model.p + 1))
        model.basis.rows(rows, c)
        self.now = c[order]
        codes, time = residual.codes[order], residual.where[order, 0]
        first = np.concatenate([[True], codes[1:] != codes[:-1]])
        self.before = np.concatenate([np.zeros((1, model.p + 1)), self.now[:-1]])
        self.before[first] = 0.0
        self.gap = np.where(first, np.inf, np.concatenate([[np.inf], np.diff(time)]))
        self.n_series, self.evaluations = int(first.sum()), 0

    @staticmethod
    def suits(model: BlockModel) -> bool:
        """Whether a model is one of these."""
        term = model.design.residual
        return (
            not model.design.terms
            and term is not None
            and term.structure == "car1"
            and not (term.variance or len(term.strata))
        )

    def at(self, phi: FloatArray) -> MarkovPoint:
        """The deviance at φ."""
        self.evaluations += 1
        self.model.evaluations += 1
        return MarkovPoint(self, phi, self.model.residual.natural(phi))

    def squared(self, point: MarkovPoint) -> FloatArray:
        """c'S_ρVS_ρc, (p + 1, p + 1)."""
        (variance, rho), r, w = point.psi, point.r, point.w
        d = np.where(np.isfinite(self.gap), self.gap, 0.0)
        slope = d * r / rho
        w1 = 2 * r * slope * w**2
        b1, e1 = w1 * r + w * slope, w1 * r**2 + 2 * w * r * slope
        z = w1[:, None] * self.now - b1[:, None] * self.before
        back = e1[:, None] * self.before - b1[:, None] * self.now  # of the row before
        z[:-1] += back[1:]
        starts = np.flatnonzero(np.isinf(self.gap))
        sizes = np.diff(np.append(starts, len(z)))
        for place in range(int(sizes.max()) - 2, -1, -1):  # x_i = z_i + r_{i+1} x_{i+1}
            at = starts[sizes > place + 1] + place
            z[at] += r[at + 1, None] * z[at + 1]
        return np.asarray(z.T @ (z / w[:, None])) / variance

    def sums(self, a: FloatArray, b: FloatArray, d: FloatArray) -> FloatArray:
        """Σ_i (a cc' + b (cc₋' + c₋c') + d c₋c₋'), (p + 1, p + 1)."""
        cross = self.now.T @ (b[:, None] * self.before)
        own = self.now.T @ (a[:, None] * self.now) + self.before.T @ (d[:, None] * self.before)
        return own + cross + cross.T


class MarkovPoint:
    """The likelihood at one (σ², ρ); see `search.optimize.Point`.

    Attributes
    ----------
    theta : (2,) array
        φ.
    psi : (2,) array
    deviance : float
    """

    def __init__(self, markov: MarkovModel, phi: FloatArray, psi: FloatArray) -> None:
        self.markov, self.theta, self.psi = markov, phi, psi
        self.deviance = np.inf
        model, (variance, rho) = markov.model, psi
        if not (np.isfinite(psi).all() and variance > 0 and 0 < rho < 1):
            return
        log_rho = np.log(rho)
        self.r = np.exp(log_rho * markov.gap)  # 0 for the first rows
        one = -np.expm1(2 * log_rho * markov.gap)  # 1 − r²
        if not one.min() > 0:
            return
        self.w = 1 / one
        p = model.p
        self.f0 = markov.sums(self.w, -self.w * self.r, self.w * self.r**2) / variance
        try:
            low = lapack.cholesky(self.f0)
        except np.linalg.LinAlgError:
            return
        inverse, own = lapack.inverse_lower(low[:p, :p]), low[p, :p]
        self.phi, self.beta, self.r2 = inverse.T @ inverse, own @ inverse, float(low[p, p] ** 2)
        self.v = np.append(-self.beta, 1.0)
        self.log_det = model.n * np.log(variance) - float(np.log(self.w).sum())
        log_x = 2.0 * float(np.log(np.diag(low)[:p]).sum()) if model.reml else 0.0
        found = self.log_det + log_x + self.r2 + model.constant
        self.deviance = float(found) if np.isfinite(found) else np.inf

    @lazy
    def derivatives_by_rho(self) -> tuple[FloatArray, FloatArray, float, float]:
        """First and second derivatives in ρ of c'V⁻¹c and of log|V|."""
        markov, (variance, rho) = self.markov, self.psi
        known = np.isfinite(markov.gap)
        d = np.where(known, markov.gap, 0.0)
        r, w = self.r, self.w
        r1 = d * r / rho
        r2 = d * (d - 1) * r / rho**2
        w1 = 2 * r * r1 * w**2  # dw/dρ
        w2 = 2 * (r1**2 + r * r2) * w**2 + 8 * (r * r1) ** 2 * w**3
        b1, b2 = w1 * r + w * r1, w2 * r + 2 * w1 * r1 + w * r2
        e1 = w1 * r**2 + 2 * w * r * r1
        e2 = w2 * r**2 + 4 * w1 * r * r1 + 2 * w * (r1**2 + r * r2)
        first = markov.sums(w1, -b1, e1) / variance
        second = markov.sums(w2, -b2, e2) / variance
        log1, log2 = w1 / w, w2 / w - (w1 / w) ** 2
        return first, second, -float(log1.sum()), -float(log2.sum())

    @lazy
    def _derivatives(self) -> tuple[FloatArray, FloatArray]:
        """∂d/∂ψ (2,) and ∂²d/∂ψ∂ψ (2, 2)."""
        model, variance = self.markov.model, self.psi[0]
        p, v, n = model.p, self.v, model.n
        first, second, log1, log2 = self.derivatives_by_rho
        F = np.array([-self.f0 / variance, first])
        FF = np.array([[2 * self.f0 / variance**2, -first / variance], [-first / variance, second]])
        logs = np.array([n / variance, log1])
        logs2 = np.array([[-n / variance**2, 0.0], [0.0, log2]])
        cross = (F @ v)[:, :p]
        gradient = logs + np.einsum("i,aij,j->a", v, F, v)
        hessian = logs2 + np.einsum("i,abij,j->ab", v, FF, v) - 2 * cross @ self.phi @ cross.T
        if model.reml:
            turned = self.phi @ F[:, :p, :p]
            gradient = gradient + np.einsum("aii->a", turned)
            hessian = hessian + np.einsum("ij,abji->ab", self.phi, FF[:, :, :p, :p])
            hessian = hessian - np.einsum("aij,bji->ab", turned, turned)
        return gradient, hessian

    @property
    def gradient_psi(self) -> FloatArray:
        """∂d/∂ψ, (2,)."""
        return self._derivatives[0]

    @property
    def cross(self) -> FloatArray:
        """X'V⁻¹V_aV⁻¹e, (2, p)."""
        first = np.array([self.f0 / self.psi[0], -self.derivatives_by_rho[0]])
        return (first @ self.v)[:, : self.markov.model.p]

    @lazy
    def jacobian(self) -> FloatArray:
        """∂ψ/∂φ, (2, 2)."""
        return self.markov.model.residual.jacobian(self.theta)

    @lazy
    def gradient(self) -> FloatArray:
        """∂d/∂φ, (2,)."""
        return self.markov.model.residual.jacobian(self.theta).T @ self._derivatives[0]

    @lazy
    def hessian_model(self) -> FloatArray:
        """∂²d/∂φ∂φ, (2, 2)."""
        residual, (gradient, hessian) = self.markov.model.residual, self._derivatives
        jacobian = residual.jacobian(self.theta)
        return jacobian.T @ hessian @ jacobian + residual.curvature(self.theta, gradient)

    def lighten(self) -> None:
        """Nothing is kept."""

    def modes(self) -> tuple[FloatArray, ...]:
        """There are no random effects."""
        return ()


def moments_of_markov(point: MarkovPoint) -> Moments:
    """Moments at a point, in the working basis; y in its own unit, V relative to s²; see `residual.moments`.

    With S = V⁻¹ and S_ρ its derivative, SV_ρS = −S_ρ and F2_ρρ = c'S_ρVS_ρc, for which V = L⁻¹W⁻¹L⁻ᵀ is applied by a
    recursion from the last row of each series to the first, all series at once; and tr SV_ρSV_ρ = Σ 2r'²w + (w'/w)².
    """
    markov, (variance, rho) = point.markov, point.psi
    model = markov.model
    unit = np.append(np.ones(model.p), model.basis.y_scale)
    scaled = np.outer(unit, unit)
    first, second, log1, log2 = point.derivatives_by_rho
    f1 = np.array([point.f0 / variance, -first])
    f2 = np.empty((2, 2, *scaled.shape))
    f2[0, 0], f2[0, 1] = point.f0 / variance**2, -first / variance
    f2[1, 0], f2[1, 1] = f2[0, 1], markov.squared(point)
    bent = np.zeros_like(f2)
    bent[0, 1] = bent[1, 0] = -first / variance
    bent[1, 1] = 2 * f2[1, 1] - second
    d = np.where(np.isfinite(markov.gap), markov.gap, 0.0)
    slope, w = d * point.r / rho, point.w
    relative = 2 * point.r * slope * w  # w'/w
    t2 = np.array([[model.n / variance**2, log1 / variance], [log1 / variance, 0.0]])
    t2[1, 1] = float((2 * slope**2 * w + relative**2).sum())
    traces = np.array([[0.0, t2[0, 1]], [t2[0, 1], log2 + t2[1, 1]]])
    return Moments(
        model.n,
        model.p,
        point.psi,
        point.f0 * scaled,
        f1 * scaled,
        np.array([model.n / variance, log1]),
        point.log_det - model.log_weights,
        model.basis.y_scale**2 * point.r2,
        KnownCurved(f2 * scaled, t2, bent * scaled, traces),
        True,
    )
