"""Continuous-time AR(1) without random effects: the likelihood of many series in a few sums over pairs of neighbours.

V = σ²ρ^{|t_i − t_j|} within a series, times in the unit that ρ belongs to. By Markov's property, rows in the order of
time and r_i = ρ^{d_i}, d_i the gap to the row before (r = 0 for the first of a series),

    a_i = c_i − r_ic_{i−1},   w_i = 1/(1 − r_i²)
    c'V⁻¹c = σ⁻² Σ_i w_ia_ia_i'      log|V| = n log σ² − Σ_i log w_i

and every derivative in ρ is one sum more with other weights of cc', cc₋' + c₋c' and c₋c₋'. V itself, and its factors,
are not formed: a series of any length costs what its rows cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.contract.rows import Rows
from henderson.engine.moments import KnownCurved, Moments
from henderson.engine.residual.model import BlockModel
from henderson.numerics import lapack
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray

#: rows whose weights are held at once
AT_ONCE = 4096
#: second derivative of a weight whose products with others are finite
LARGEST = 1e290


class MarkovModel:
    """The search's view of a `BlockModel` whose structure is ``car1`` alone.

    Parameters
    ----------
    model : BlockModel
        Units and data are not needed of it.
    rows : Rows

    Attributes
    ----------
    both : (2 m, n) array
        c of each row, and of the row before it in its series (zeros for the first); m = p + 1.
    gap : (n,) array
        Time since the row before, in the unit of ρ; infinite for the first.
    n_series : int
    """

    def __init__(self, model: BlockModel, rows: Rows) -> None:
        self.model = model
        residual = rows.residual
        assert residual is not None
        order, m = residual.order, model.p + 1
        self.both = np.empty((2 * m, rows.n))
        c = np.empty((m, rows.n))
        model.basis.rows(rows, c.T)
        for a in range(m):
            self.both[a] = c[a, order]
        codes, time = residual.codes[order], residual.where[order, 0]
        first = np.diff(codes, prepend=-1) != 0
        self.both[m:, 1:] = self.both[:m, :-1]
        self.both[m:, first] = 0.0
        self.gap = np.diff(time, prepend=0.0) / model.residual.structure.unit
        self.gap[first] = np.inf
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
        return MarkovPoint(self, phi, self.model.regular(phi))

    def squared(self, point: MarkovPoint) -> FloatArray:
        """c'S_ρVS_ρc, (p + 1, p + 1)."""
        (variance, rho), m = point.psi, len(self.both) // 2
        now, before = self.both[:m].T, self.both[m:].T
        of = Neighbours.at(self.gap, rho)
        z = of.w1[:, None] * now - of.b1[:, None] * before
        back = of.w1[:, None] * before - of.b1[:, None] * now  # of the row before
        z[:-1] += back[1:]
        starts = np.flatnonzero(np.isinf(self.gap))
        sizes = np.diff(np.append(starts, len(z)))
        for place in range(int(sizes.max()) - 2, -1, -1):  # x_i = z_i + r_{i+1} x_{i+1}
            at = starts[sizes > place + 1] + place
            z[at] += of.r[at + 1, None] * z[at + 1]
        return np.asarray(z.T @ (z / of.w[:, None])) / variance

    def sums(self, rho: float) -> tuple[FloatArray, FloatArray] | None:
        """Σ w aa' (σ² = 1) and −Σ log w, with first and second derivatives in ρ: (3, m, m) and (3,).

        None where two rows are too near in time to be told apart, or ρ so small that derivatives overflow.
        """
        m = len(self.both) // 2
        total, logs = np.zeros((9 * m, 2 * m)), np.zeros(3)
        scratch = np.empty((9 * m, AT_ONCE))
        for start in range(0, len(self.gap), AT_ONCE):
            here = slice(start, start + AT_ONCE)
            of, both = Neighbours.at(self.gap[here], rho), self.both[:, here]
            if not (np.isfinite(of.w).all() and np.abs(of.w2).max() < LARGEST):
                return None
            weighed = scratch[:, : both.shape[1]]
            for k, (own, back, cross) in enumerate(
                ((of.w, of.w - 1, of.b), (of.w1, of.w1, of.b1), (of.w2, of.w2, of.b2))
            ):
                rows = weighed[3 * m * k : 3 * m * (k + 1)]
                np.multiply(both[:m], own, out=rows[:m])
                np.multiply(both[m:], back, out=rows[m : 2 * m])
                np.multiply(both[m:], cross, out=rows[2 * m :])
            total += weighed @ both.T
            relative = of.w1 / of.w
            logs -= [np.log(of.w).sum(), relative.sum(), (of.w2 / of.w).sum() - relative @ relative]
        parts = total.reshape(3, 3, m, 2, m)
        cross = parts[:, 2, :, 0]
        return parts[:, 0, :, 0] + parts[:, 1, :, 1] - cross - cross.transpose(0, 2, 1), logs


@dataclass(frozen=True)
class Neighbours:
    """What a row's gap d to the one before makes of ρ, and derivatives in it; (n,) each.

    Attributes
    ----------
    r, r1 : arrays
        ρ^d, of the first row of a series zero.
    w, w1, w2 : arrays
        1/(1 − r²), and so wr² = w − 1.
    b, b1, b2 : arrays
        wr.
    """

    r: FloatArray
    r1: FloatArray
    w: FloatArray
    w1: FloatArray
    w2: FloatArray
    b: FloatArray
    b1: FloatArray
    b2: FloatArray

    @classmethod
    def at(cls, gap: FloatArray, rho: float) -> Neighbours:
        """At gaps, infinite for the first row of a series."""
        slope = np.log(rho)
        r = np.exp(slope * gap)
        d = np.where(np.isinf(gap), 0.0, gap)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            w = -1 / np.expm1(2 * slope * gap)
            r1 = d * r / rho
            r2 = (d - 1) * r1 / rho
            square = w * w
            w1 = 2 * r * r1 * square
            w2 = 2 * (r1 * r1 + r * r2) * square + 2 * w1 * w1 / w
            return cls(r, r1, w, w1, w2, w * r, w1 * r + w * r1, w2 * r + 2 * w1 * r1 + w * r2)


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
        found = markov.sums(rho)
        if found is None:
            return
        self.forms, self.logs = found[0] / variance, found[1]
        self.f0, p = self.forms[0], model.p
        try:
            low = lapack.cholesky(self.f0)
        except np.linalg.LinAlgError:
            return
        inverse, own = lapack.inverse_lower(low[:p, :p]), low[p, :p]
        self.phi, self.beta, self.r2 = inverse.T @ inverse, own @ inverse, float(low[p, p] ** 2)
        self.v = np.append(-self.beta, 1.0)
        self.log_det = model.n * np.log(variance) + float(self.logs[0])
        log_x = 2.0 * float(np.log(np.diag(low)[:p]).sum()) if model.reml else 0.0
        deviance = self.log_det + log_x + self.r2 + model.constant
        self.deviance = float(deviance) if np.isfinite(deviance) else np.inf

    @property
    def derivatives_by_rho(self) -> tuple[FloatArray, FloatArray, float, float]:
        """First and second derivatives in ρ of c'V⁻¹c and of log|V|."""
        return self.forms[1], self.forms[2], float(self.logs[1]), float(self.logs[2])

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
    of = Neighbours.at(markov.gap, rho)
    t2 = np.array([[model.n / variance**2, log1 / variance], [log1 / variance, 0.0]])
    t2[1, 1] = float((2 * of.r1**2 * of.w + (of.w1 / of.w) ** 2).sum())
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
