"""−2 log likelihood of independent blocks of correlated rows, as a function of all variance parameters.

With V = Var(y)/s² block-diagonal (s the unit of y in the working basis), S = V⁻¹, c = [X̃ ỹ] and parameters
ψ = (G, residual's), every ∂V/∂ψ_a = V_a and ∂²V/∂ψ_a∂ψ_b = V_ab a matrix a unit (`units`),

    d(ψ)  = log|V| + [log|X'SX|] + r² + ν log 2π,   r² = y'Py,  ν = n − p (REML) or n
    E     = Σ_i c_iQc_i',  Q = [(X'SX)⁻¹] ⊕ 0 + vv',  v = (−β̂, 1);    H = N S − SES      (of each unit, N its blocks)
    ∂_a   = tr HV_a
    ∂_ab  = −N tr SV_aSV_b + 2 tr SV_aSV_bSE + tr HV_ab − tr ΦF_aΦF_b − 2 f_a'Φf_b

with F_a = X'SV_aSX (REML) and f_a = X'SV_aSe. Nothing is profiled out but β. The search goes in φ = (θ, the structure's
working coordinates), in which the Hessian is J'∂²J + Σ ∂_a ∂²ψ_a.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from henderson.contract.design import Design
from henderson.contract.rows import Rows, present
from henderson.covariance.layout import Layout, consecutive, layouts_of
from henderson.covariance.residual.residual import Residual
from henderson.engine.residual.data import BlockData, summed_or_stacked
from henderson.engine.residual.units import Batch, batches_of, chunks
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.numerics import lapack
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray

#: doubles of the derivatives of V that a point keeps between gradient and Hessian
KEPT = 1 << 23
#: smallest pivot of a factor, relative to its largest, of a matrix that is singular to rounding
SINGULAR = 1e-8


@dataclass(frozen=True)
class Part:
    """Units of one size with their data.

    Attributes
    ----------
    batch : Batch
        The columns of its terms in the working basis.
    data : BlockData
    """

    batch: Batch
    data: BlockData

    def some(self, units: slice) -> Part:
        """Of some of the units."""
        return self if units == slice(0, self.batch.n_units) else Part(self.batch[units], self.data.some(units))


class BlockModel:
    """The likelihood of one design: what does not change with the parameters.

    Parameters
    ----------
    design : Design
    basis : Basis
    roots : tuple of (q, q) arrays
        T of each random term, G = T G̃ T'.
    residual : Residual
        The structure of the residuals.
    reml : bool
    n : int
    log_weights : float
        Σ log w.

    Attributes
    ----------
    layouts : tuple of Layout
        Of the random terms; G̃ of each is (q, q), in the working basis and relative to s².
    """

    def __init__(
        self,
        design: Design,
        basis: Basis,
        roots: tuple[FloatArray, ...],
        residual: Residual,
        reml: bool,
        n: int,
        log_weights: float,
    ) -> None:
        self.design, self.basis, self.roots, self.residual, self.reml = design, basis, roots, residual, reml
        self.n, self.log_weights = n, log_weights
        self._rows: Rows | None = None
        self._parts: list[Part] | None = None
        self.layouts: tuple[Layout, ...] = layouts_of(design.terms)
        self.theta_of = consecutive([one.n_theta for one in self.layouts])
        self.g_of = consecutive([one.n_g for one in self.layouts])
        self.evaluations = 0

    @classmethod
    def of(cls, design: Design, rows: Rows, *, reml: bool = True) -> BlockModel:
        """From a design and all its rows."""
        assert design.residual is not None
        assert rows.residual is not None
        residual = Residual.of(design.residual, int(np.bincount(rows.residual.codes).max()))
        blocks = Blocks.of(design.terms, [rows])
        basis = Basis.of(design, [rows], blocks)
        roots: list[FloatArray] = [np.zeros((0, 0))] * len(design.terms)
        for block, T in zip(blocks.blocks, basis.roots):
            for i, place in zip(block.terms, block.layout.terms):
                roots[i] = T[place, place]
        model = cls(design, basis, tuple(roots), residual, reml, rows.n, rows.log_weights)
        model._rows = rows
        return model

    @property
    def parts(self) -> list[Part]:
        """The units and their data; made from the rows when they are first asked for."""
        if self._parts is None:
            rows = present(self._rows, "this likelihood")
            self._parts = self.parts_of(rows, batches_of(self.design, rows))
        return self._parts

    def parts_of(self, rows: Rows, batches: tuple[Batch, ...]) -> list[Part]:
        """Data and columns of the batches' rows in the working basis."""
        c = np.empty((rows.n, self.basis.p + 1))
        self.basis.rows(rows, c)
        parts = []
        for batch in batches:
            batch = batch.in_basis(self.roots)
            for units, data in summed_or_stacked(c[batch.rows], batch.counts):
                parts.append(Part(batch if len(units) == batch.n_units else batch[units], data))
        return parts

    @property
    def p(self) -> int:
        """Columns of X kept."""
        return self.basis.p

    @property
    def n_theta(self) -> int:
        """Parameters of the random terms in the search's coordinates."""
        return self.theta_of[-1].stop if self.theta_of else 0

    @property
    def n_g(self) -> int:
        """Parameters of the random terms."""
        return self.g_of[-1].stop if self.g_of else 0

    @property
    def k(self) -> int:
        """All variance parameters."""
        return self.n_g + int(self.residual.n_parameters)

    @property
    def nu(self) -> int:
        """n − p for REML, n for ML."""
        return self.n - self.p if self.reml else self.n

    @property
    def constant(self) -> float:
        """What ν log 2π, the units of X and y, and the weights add to the deviance."""
        shift = self.nu * (np.log(2 * np.pi) + 2 * np.log(self.basis.y_scale)) - self.log_weights
        return float(shift + (2.0 * self.basis.log_volume if self.reml else 0.0))

    @property
    def largest(self) -> int:
        """Rows of the largest unit."""
        return max((part.batch.n for part in self.parts), default=1)

    @lazy
    def to_user_g(self) -> FloatArray:
        """M with g = M g̃, both relative to s²: G = T G̃ T', (n_g, n_g)."""
        turned = [T @ layout.basis() @ T.T for layout, T in zip(self.layouts, self.roots)]
        parts = [layout.g(one.transpose(1, 2, 0)) for layout, one in zip(self.layouts, turned)]
        return block_diag(*parts) if parts else np.zeros((0, 0))

    def without_rows(self, design: Design) -> BlockModel:
        """The same for a design without rows."""
        found = BlockModel(design, self.basis, self.roots, self.residual, self.reml, self.n, self.log_weights)
        found._parts = self._parts
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None}

    def from_user(self, user: FloatArray) -> FloatArray:
        """φ of (G, ψ) in the user's units."""
        return self.working(np.linalg.solve(to_user_units(self), user))

    # ---- coordinates

    def natural(self, phi: FloatArray) -> FloatArray:
        """ψ = (G, residual's) of φ = (θ, working coordinates), (k,)."""
        lam = [layout.lam(phi[own]) for layout, own in zip(self.layouts, self.theta_of)]
        g = [layout.g(one @ one.T) for layout, one in zip(self.layouts, lam)]
        return np.concatenate([*g, self.residual.natural(phi[self.n_theta :])])

    def jacobian(self, phi: FloatArray) -> FloatArray:
        """∂ψ/∂φ, (k, f)."""
        n, m = self.n_theta, self.n_g
        out = np.zeros((self.k, len(phi)))
        for layout, place, to in zip(self.layouts, self.theta_of, self.g_of):
            out[to, place] = layout.g(layout.directions(phi[place]).transpose(1, 2, 0))
        out[m:, n:] = self.residual.jacobian(phi[n:])
        return out

    def curvature(self, phi: FloatArray, slope: FloatArray) -> FloatArray:
        """Σ_i slope_i ∂²ψ_i/∂φ∂φ, (f, f)."""
        n, m = self.n_theta, self.n_g
        out = np.zeros((len(phi), len(phi)))
        for layout, place, to in zip(self.layouts, self.theta_of, self.g_of):
            second = layout.g(layout.second_directions(phi[place]).transpose(2, 3, 0, 1))
            out[place, place] = np.tensordot(slope[to], second, 1)
        out[n:, n:] = self.residual.curvature(phi[n:], slope[m:])
        return out

    def working(self, psi: FloatArray) -> FloatArray:
        """φ of ψ."""
        theta = [layout.theta_of_cov(layout.covariance(psi[to])) for layout, to in zip(self.layouts, self.g_of)]
        return np.concatenate([*theta, self.residual.working(psi[self.n_g :])])

    # ---- the covariance of a batch's units

    def _z(self, batch: Batch) -> Iterator[tuple[Layout, slice, Any]]:
        yield from zip(self.layouts, self.g_of, batch.terms)

    def cov(self, psi: FloatArray, batch: Batch) -> FloatArray:
        """V of each unit, (U, n, n)."""
        V = self.residual_cov(psi, batch)
        for layout, to, term in self._z(batch):
            V = V + term.kernel_of(layout.covariance(psi[to]))
        return V

    def residual_cov(self, psi: FloatArray, batch: Batch) -> FloatArray:
        """The residuals' part of V, times √w on both sides, (U, n, n)."""
        return self._by_series(self.residual.cov, psi, batch)

    def first(self, psi: FloatArray, batch: Batch) -> FloatArray:
        """V_a of each unit, (k, U, n, n)."""
        own = self._by_series(self.residual.first, psi, batch)
        if not batch.terms:
            return own
        out = np.empty((self.k, *own.shape[1:]))
        out[self.n_g :] = own
        for layout, to, term in self._z(batch):
            for a, E in zip(range(to.start, to.stop), layout.basis()):
                out[a] = term.kernel_of(E)
        return out

    def second(self, psi: FloatArray, batch: Batch) -> FloatArray:
        """V_ab of the residuals' parameters (the others have none), (r, r, U, n, n)."""
        return self._by_series(self.residual.second, psi, batch)

    def _by_series(self, function: Any, psi: FloatArray, batch: Batch) -> FloatArray:
        """A function of the structure at the batch's places; zero between rows of different series."""
        own = psi[self.n_g :]
        if batch.same is None:
            return function(own, batch.where, batch.strata, batch.covariates)
        if batch.strata is None:
            return np.where(batch.same, function(own, batch.where, None, batch.covariates), 0.0)
        total: Any = 0.0  # a structure takes one stratum for all rows of a unit
        for stratum in np.unique(batch.strata):
            of_one = batch.same & (batch.strata == stratum)[:, :, None]
            everywhere = np.full_like(batch.strata, stratum)
            total = total + np.where(of_one, function(own, batch.where, everywhere, batch.covariates), 0.0)
        return total

    # ---- points

    def at(self, phi: FloatArray) -> BlockPoint:
        """The deviance at φ, with derivatives when asked for."""
        self.evaluations += 1
        return BlockPoint(self, phi, self.natural(phi))

    def at_psi(self, psi: FloatArray) -> BlockPoint:
        """At natural parameters, which may be at the boundary."""
        return BlockPoint(self, self.working(psi), psi)


@dataclass(frozen=True)
class Factored:
    """The covariance of a part's units, factored.

    Attributes
    ----------
    inverse_low : (U, n, n) array
        L⁻¹, V = LL'.
    S : (U, n, n) array
        V⁻¹.
    """

    inverse_low: FloatArray
    S: FloatArray


class BlockPoint:
    """The likelihood at one point; derivatives are computed when asked for.

    Attributes
    ----------
    theta : (f,) array
        φ, by the name that the search knows.
    psi : (k,) array
    deviance : float
        Infinite where V is not positive definite.
    f0 : (p + 1, p + 1) array
        c'V⁻¹c.
    beta : (p,) array
    r2, log_det : float
        y'Py and log|V|.
    """

    def __init__(self, model: BlockModel, phi: FloatArray, psi: FloatArray) -> None:
        self.model, self.theta, self.psi = model, phi, psi
        self._first: dict[int, FloatArray] = {}
        self.deviance = np.inf
        if not np.isfinite(psi).all():
            return
        p, self.log_det, self.f0 = model.p, 0.0, np.zeros((model.p + 1,) * 2)
        self.factored: list[Factored] = []
        try:
            for part in model.parts:
                found, log_det = _factored(model.cov(psi, part.batch), part.batch.counts)
                self.factored.append(found)
                self.log_det += log_det
                self.f0 += part.data.weigh(found.S[None])[0]
            low = lapack.cholesky(self.f0)
        except np.linalg.LinAlgError:
            return
        self.low_x, own = low[:p, :p], low[p, :p]
        inverse = lapack.inverse_lower(self.low_x)
        self.phi, self.beta = inverse.T @ inverse, own @ inverse
        self.r2 = float(low[p, p] ** 2)
        self.v = np.append(-self.beta, 1.0)
        log_x = 2.0 * float(np.log(np.diag(self.low_x)).sum()) if model.reml else 0.0
        deviance = self.log_det + log_x + self.r2 + model.constant
        self.deviance = deviance if np.isfinite(deviance) else np.inf

    @lazy
    def Q(self) -> FloatArray:
        """[(X'SX)⁻¹] ⊕ 0 + vv', (p + 1, p + 1)."""
        out = np.outer(self.v, self.v)
        if self.model.reml:
            out[:-1, :-1] += self.phi
        return out

    def pieces(self) -> Iterator[tuple[Part, Factored, FloatArray]]:
        """The units, in chunks that memory takes: data, factors and V_a (k, U, n, n)."""
        total = 0
        for i, (part, factored) in enumerate(zip(self.model.parts, self.factored)):
            n, whole = part.batch.n, slice(0, part.batch.n_units)
            for units in chunks(part.batch.n_units, max(self.model.k, 1) * n * n):
                some = part.some(units)
                here = factored if units == whole else Factored(factored.inverse_low[units], factored.S[units])
                first = self._first.get(i) if units == whole else None
                if first is None:
                    first = self.model.first(self.psi, some.batch)
                    total += first.size
                    if units == whole and total <= KEPT:
                        self._first[i] = first
                yield some, here, first

    @lazy
    def gradient_psi(self) -> FloatArray:
        """∂d/∂ψ, (k,)."""
        out = np.zeros(self.model.k)
        for part, at, first in self.pieces():
            H = self.slope(part, at)
            out += first.reshape(len(first), -1) @ H.ravel()
        return out

    def slope(self, part: Part, at: Factored) -> FloatArray:
        """H = N S − SES of each unit, (U, n, n)."""
        E = part.data.cover(self.Q)
        return part.batch.counts[:, None, None] * at.S - at.S @ E @ at.S

    @lazy
    def hessian_psi(self) -> FloatArray:
        """∂²d/∂ψ∂ψ, β profiled out, (k, k)."""
        model, p = self.model, self.model.p
        k, m = model.k, model.n_g
        out, f1 = np.zeros((k, k)), np.zeros((k, p + 1, p + 1))
        for part, at, first in self.pieces():
            D = at.inverse_low @ first @ at.inverse_low.transpose(0, 2, 1)
            E = part.data.cover(self.Q)
            turned = at.inverse_low @ E @ at.inverse_low.transpose(0, 2, 1)
            weight = 2 * turned - part.batch.counts[:, None, None] * np.eye(part.batch.n)
            product = (D @ weight).reshape(k, -1) @ D.reshape(k, -1).T
            out += (product + product.T) / 2
            f1 += part.data.weigh(at.inverse_low.transpose(0, 2, 1) @ D @ at.inverse_low)
            if not model.residual.linear:
                out[m:, m:] += np.tensordot(model.second(self.psi, part.batch), self.slope(part, at), 3)
        cross = (f1 @ self.v)[:, :p]
        out -= 2 * cross @ self.phi @ cross.T
        if model.reml:
            turned = self.phi @ f1[:, :p, :p]
            out -= np.einsum("aij,bji->ab", turned, turned)
        return out

    @lazy
    def jacobian(self) -> FloatArray:
        """∂ψ/∂φ, (k, f)."""
        return self.model.jacobian(self.theta)

    @lazy
    def gradient(self) -> FloatArray:
        """∂d/∂φ, (f,)."""
        return self.jacobian.T @ self.gradient_psi

    @lazy
    def hessian_model(self) -> FloatArray:
        """∂²d/∂φ∂φ, exact, (f, f)."""
        own = self.jacobian.T @ self.hessian_psi @ self.jacobian
        return own + self.model.curvature(self.theta, self.gradient_psi)

    def lighten(self) -> None:
        """Let go of what is only needed between gradient and Hessian."""
        self._first.clear()


def _factored(V: FloatArray, counts: np.ndarray) -> tuple[Factored, float]:
    """Factors of V (U, n, n) and Σ N log|V|.

    Raises
    ------
    numpy.linalg.LinAlgError
        When one is not positive definite.
    """
    low = np.linalg.cholesky(V)
    pivots = np.einsum("uii->ui", low)
    if (pivots.min(axis=1) < SINGULAR * pivots.max(axis=1)).any():
        raise np.linalg.LinAlgError("a covariance matrix is singular to rounding")
    log_det = 2.0 * float(counts @ np.log(pivots).sum(axis=1))
    inverse = np.linalg.inv(low)
    return Factored(inverse, inverse.transpose(0, 2, 1) @ inverse), log_det


def to_user_units(model: BlockModel) -> FloatArray:
    """M with (G, ψ) = M (G̃, ψ̃) in the user's units: G = s² T G̃ T', variances of the residual times s²; (k, k)."""
    square = model.basis.y_scale**2
    residual = np.diag(square ** np.asarray(model.residual.degree, float))
    return block_diag(square * model.to_user_g, residual)
