"""Independent residuals with one variance beside constraints: the likelihood by the engine's own equations.

With V = ψ (W⁻¹ + ZG̃Z'), G̃ = G/ψ, the equations of a fit without constraints at λ/√ψ have all there is, however many
rows and effects. With P̃, r², Ñ_k = ∂d/∂G̃_k of those (σ² known, 1/σ² = 1/ψ in them), D_i = ∂G/∂θ_i / ψ and
w(D) = ZDZ'P̃y,

    d       = log|V/ψ| + [log|X'(V/ψ)⁻¹X|] + ν log 2πψ + r²/ψ
    ∂d/∂θ_i = tr Ñ D_i                                   ∂d/∂ψ = (ν − r²/ψ − tr ÑG̃) / ψ
    ∂²d     ≈ w_i'P̃w_j / ψ      (w_i'y − w_i'P̃w_G̃) / ψ²      (r² − 2 w_G̃'y + w_G̃'P̃w_G̃) / ψ³       (of θθ, θψ, ψψ)

the average information, to which the curvature of G(θ) is added. Where a variance is negative the equations have
another factor (`factor.signed`), and all else is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from henderson.contract.rows import Rows
from henderson.engine.criterion import Criterion
from henderson.engine.factor.iterative.choice import system_of
from henderson.engine.moments import Moments, Second
from henderson.engine.moments_at import moments_at
from henderson.engine.residual.known_scale import KnownScale, covariances_of, modes_of
from henderson.engine.residual.model import BlockModel
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.numerics.lazy import lazy
from henderson.numerics.matrices import inner_products

FloatArray = np.ndarray


class PlainModel:
    """The search's view of a `BlockModel` whose residuals are independent with one variance.

    Parameters
    ----------
    model : BlockModel
        Units and data are not needed of it.
    rows : Rows
    """

    def __init__(self, model: BlockModel, rows: Rows) -> None:
        self.model = model
        self.blocks = Blocks.of(model.design.terms, [rows])
        basis = model.basis_of(self.blocks)
        cross = CrossProducts.of(model.design, [rows], self.blocks, basis)
        self.criterion = Criterion(system_of(cross, self.blocks, "exact"), basis, model.reml)

    @classmethod
    def where_it_suits(cls, model: BlockModel, rows: Rows) -> PlainModel | None:
        """The model; None where residuals have a structure, or there are no random effects."""
        residual = model.design.residual
        return cls(model, rows) if residual is not None and residual.is_plain and model.design.terms else None

    def at(self, phi: FloatArray) -> PlainPoint:
        """The deviance at φ."""
        self.model.evaluations += 1
        return PlainPoint(self, phi, self.model.natural(phi))


class _AtScale(KnownScale):
    """The equations at λ/√ψ where the residual variance is ψ."""

    def __init__(
        self,
        criterion: Criterion,
        lam: list[FloatArray],
        theta: FloatArray,
        signs: list[FloatArray],
        psi: float,
    ) -> None:
        self.scale = psi
        super().__init__(criterion, lam, theta, signs)

    @property
    def _misfit(self) -> float:
        """ν log 2πψ + r²/ψ."""
        return self.criterion.nu * math.log(2 * math.pi * self.scale) + self.r2 / self.scale

    @property
    def _precision(self) -> float:
        """1/ψ."""
        return 1.0 / self.scale

    def forms_along(self, directions: list[FloatArray], places: list[FloatArray], width: int) -> FloatArray:
        """w_i'P̃w_j, (width, width)."""
        quadratic, wx = self._forms(directions, places, width)
        return quadratic - wx @ self.phi @ wx.T


class PlainPoint:
    """The likelihood at one point; see `search.optimize.Point`.

    Attributes
    ----------
    theta, psi, deviance
        φ, (G, ψ), and the deviance there; infinite where V is not positive definite.
    """

    def __init__(self, plain: PlainModel, phi: FloatArray, psi: FloatArray) -> None:
        self.plain, self.theta, self.psi, self.deviance = plain, phi, psi, np.inf
        model = plain.model
        self.scale = float(psi[-1])
        if not np.isfinite(psi).all() or self.scale <= 0:
            return
        lam, signs = model.coordinates.block_roots(phi, plain.blocks)
        lam = [one / np.sqrt(self.scale) for one in lam]
        try:
            self.inner = _AtScale(plain.criterion, lam, phi, signs, self.scale)
        except np.linalg.LinAlgError:
            return
        self.deviance = self.inner.deviance

    # ---- what a fit says

    @property
    def beta(self) -> FloatArray:
        """β̂ of the working columns."""
        return self.inner.beta

    @property
    def phi(self) -> FloatArray:
        """(X'V⁻¹X)⁻¹."""
        return self.scale * self.inner.phi

    @property
    def r2(self) -> float:
        """y'Py."""
        return self.inner.r2 / self.scale

    def lighten(self) -> None:
        """Let go of what takes memory."""
        self.inner.lighten()

    def modes(self) -> tuple[FloatArray, ...]:
        """b̂ of each term in the user's units, (J, q)."""
        return modes_of(self.inner, self.plain.blocks, self.plain.model)

    def conditional_covariances(self) -> tuple[FloatArray, ...]:
        """Var(b_j | y), given β and the variances, in the user's units, (J, q, q) a term."""
        return covariances_of(self.inner, self.plain.blocks, self.plain.model, self.scale)

    # ---- derivatives

    @lazy
    def gradient_psi(self) -> FloatArray:
        """∂d/∂ψ, (k,)."""
        plain, inner, out = self.plain, self.inner, np.zeros(len(self.psi))
        along = 0.0
        for block, N, G in zip(plain.blocks.blocks, inner.certificate, inner.covariances):
            out[block.g_parameters] = inner_products(block.layout.basis(), N) / self.scale
            along += float(np.sum(N * G))
        out[-1] = (plain.criterion.nu - inner.r2 / self.scale - along) / self.scale
        return out

    @lazy
    def gradient(self) -> FloatArray:
        """∂d/∂φ, (f,)."""
        return self.plain.model.jacobian(self.theta).T @ self.gradient_psi

    @lazy
    def hessian_model(self) -> FloatArray:
        """Average information in φ and the curvature of G(θ) and ψ, (f, f)."""
        model, inner, psi, n = self.plain.model, self.inner, self.scale, self.plain.model.n_g
        directions, places, linear = [], [], np.zeros(n + 1)
        for block, G, square in zip(self.plain.blocks.blocks, inner.covariances, inner.score_squares):
            directions.append(np.concatenate([block.layout.basis() / psi, G[None]]))
            places.append(np.append(block.g_parameters, n))
            linear[places[-1]] += inner_products(directions[-1], square)
        forms = inner.forms_along(directions, places, n + 1)
        H = np.empty((n + 1, n + 1))
        H[:n, :n] = forms[:n, :n] / psi
        H[:n, n] = H[n, :n] = (linear[:n] - forms[:n, n]) / psi**2
        H[n, n] = (inner.r2 - 2 * linear[n] + forms[n, n]) / psi**3
        jacobian = model.jacobian(self.theta)
        return jacobian.T @ H @ jacobian + model.curvature(self.theta, self.gradient_psi)


@dataclass(frozen=True)
class _Scaled(Second):
    """`Second` of V = ψ Ṽ from that of Ṽ."""

    base: Moments
    scale: float

    def forms(self, B: FloatArray) -> FloatArray:
        """See `Second.forms`."""
        return self.base.second.forms(B) / self.scale**3

    def trace_forms(self, B: FloatArray) -> FloatArray:
        """See `Second.trace_forms`."""
        return self.base.second.trace_forms(B) / self.scale**3

    def traces(self) -> FloatArray:
        """See `Second.traces`."""
        return self.base.t2 / self.scale**2

    def weighted(self, w: FloatArray, width: int) -> FloatArray:
        """See `Second.weighted`."""
        return self.base.second.weighted(w, width) / self.scale**3


def moments_of_plain(point: PlainPoint) -> Moments:
    """Moments at a point, in the working basis, y in its own unit."""
    found, psi = moments_at(point.inner).with_residual, point.scale
    return replace(
        found,
        g=psi * found.g,
        f0=found.f0 / psi,
        f1=found.f1 / psi**2,
        t1=found.t1 / psi,
        log_det=found.log_det + found.n * math.log(psi),
        r2=found.r2 / psi,
        second=_Scaled(found, psi),
    )
