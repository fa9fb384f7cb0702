"""Independent residuals with one variance beside constraints: the likelihood by the engine's own equations.

With V = ψ (W⁻¹ + ZG̃Z'), G̃ = G/ψ, the equations of a fit without constraints at λ/√ψ have all there is, however many
rows and effects. With P̃, r², Ñ_k = ∂d/∂G̃_k of those (σ² known, 1/σ² = 1/ψ in them), D_i = ∂G/∂θ_i / ψ and
w(D) = ZDZ'P̃y,

    d       = log|V/ψ| + [log|X'(V/ψ)⁻¹X|] + ν log 2πψ + r²/ψ
    ∂d/∂θ_i = tr Ñ D_i                                   ∂d/∂ψ = (ν − r²/ψ − tr ÑG̃) / ψ
    ∂²d     ≈ w_i'P̃w_j / ψ      (w_i'y − w_i'P̃w_G̃) / ψ²      (r² − 2 w_G̃'y + w_G̃'P̃w_G̃) / ψ³       (of θθ, θψ, ψψ)

the average information, to which the curvature of G(θ) is added.
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
        cross = CrossProducts.of(model.design, [rows], self.blocks, model.basis)
        self.criterion = Criterion(system_of(cross, self.blocks, "exact"), model.basis, model.reml)

    @classmethod
    def where_it_suits(cls, model: BlockModel, rows: Rows) -> PlainModel | None:
        """The model, unless a variance may be negative or terms with one covariance have columns of other sizes."""
        residual, held = model.design.residual, model.design.constraints
        if residual is None or not residual.is_plain or (held is not None and held.unbounded):
            return None
        found = cls(model, rows) if model.design.terms else None
        return found if found is not None and found.has_roots else None

    @property
    def has_roots(self) -> bool:
        """Whether the basis' T are the model's, in which terms with one covariance have it in one basis."""
        own: list[FloatArray] = [np.zeros((0, 0))] * len(self.model.roots)
        for block, T in zip(self.blocks.blocks, self.model.basis.roots):
            for i, place in zip(block.terms, block.layout.terms):
                own[i] = T[place, place]
        return all(np.allclose(one, other, rtol=1e-12) for one, other in zip(own, self.model.roots))

    def at(self, phi: FloatArray) -> PlainPoint:
        """The deviance at φ."""
        self.model.evaluations += 1
        return PlainPoint(self, phi, self.model.natural(phi))


class _AtScale(KnownScale):
    """The equations at λ/√ψ where the residual variance is ψ."""

    def __init__(self, criterion: Criterion, lam: list[FloatArray], theta: FloatArray, psi: float) -> None:
        self.scale = psi
        super().__init__(criterion, lam, theta)

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
        self.x = model.coordinates.whole(phi)
        self.scale = float(psi[-1])
        if not np.isfinite(psi).all() or self.scale <= 0:
            return
        own = self.x[: model.n_theta]
        try:
            lam = [one / np.sqrt(self.scale) for one in plain.blocks.lam(own)]
            self.inner = _AtScale(plain.criterion, lam, own, self.scale)
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
    def gradient(self) -> FloatArray:
        """∂d/∂φ, (f,)."""
        plain, root, inner = self.plain, math.sqrt(self.scale), self.inner
        out = np.zeros(len(self.x))
        along = 0.0
        for block, product, N, lam in zip(plain.blocks.blocks, inner.products, inner.certificate, inner.lam):
            own = self.x[block.parameters]
            out[block.parameters] = 2.0 * block.layout.pull_back(own, product / root, N / self.scale)
            along += float(np.sum(N * (lam @ lam.T)))
        self._slope = (plain.criterion.nu - inner.r2 / self.scale - along) / self.scale
        out[-1] = self._slope * self._by_coordinate[0]
        P = plain.model.coordinates.selection
        return out if P is None else P.T @ out

    @property
    def _by_coordinate(self) -> tuple[float, float]:
        """First and second derivative of the residual variance in its coordinate."""
        residual, own = self.plain.model.residual, self.x[-1:]
        return float(residual.jacobian(own)[0, 0]), float(residual.curvature(own, np.ones(1))[0, 0])

    @lazy
    def hessian_model(self) -> FloatArray:
        """Average information in φ and the curvature of G(θ) and ψ, (f, f)."""
        plain, inner, psi, n = self.plain, self.inner, self.scale, self.plain.model.n_theta
        _ = self.gradient
        directions, places, linear = [], [], np.zeros(n + 1)
        for block, lam, square in zip(plain.blocks.blocks, inner.lam, inner.score_squares):
            own = np.concatenate([block.layout.directions(self.x[block.parameters]) / psi, (lam @ lam.T)[None]])
            place = np.append(block.parameters, n)
            directions.append(own)
            places.append(place)
            linear[place] += inner_products(own, square)
        forms = inner.forms_along(directions, places, n + 1)
        first, second = self._by_coordinate
        H = np.empty((n + 1, n + 1))
        H[:n, :n] = forms[:n, :n] / psi
        H[:n, n] = H[n, :n] = (linear[:n] - forms[:n, n]) / psi**2 * first
        H[n, n] = (inner.r2 - 2 * linear[n] + forms[n, n]) / psi**3 * first**2 + self._slope * second
        for block, N in zip(plain.blocks.blocks, inner.certificate):
            H[block.pairs] += block.layout.bend(self.x[block.parameters], N / psi)
        P = plain.model.coordinates.selection
        return H if P is None else P.T @ H @ P


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
