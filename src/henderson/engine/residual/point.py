"""−2 log likelihood of independent blocks of correlated rows, at one point, with its derivatives.

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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from henderson.engine.residual.model import BlockModel, Part
from henderson.engine.residual.units import chunks
from henderson.numerics import lapack
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray

#: doubles of the derivatives of V that a point keeps between gradient and Hessian
KEPT = 1 << 23
#: share of its standard deviation that rows before it leave to a row, of a matrix that is singular to rounding
SINGULAR = 1e-5


def block_at(model: BlockModel, phi: FloatArray) -> BlockPoint:
    """The deviance at φ, with derivatives when asked for."""
    model.evaluations += 1
    return BlockPoint(model, phi, model.natural(phi) if model.design.terms else model.regular(phi))


def block_at_psi(model: BlockModel, psi: FloatArray) -> BlockPoint:
    """At natural parameters, which may be at the boundary."""
    return BlockPoint(model, model.working(psi), psi)


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
        self.log_det, self.f0 = 0.0, np.zeros((model.p + 1,) * 2)
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
        self._profile(low)

    def _profile(self, low: FloatArray) -> None:
        """β at its best, and the deviance there, from the Cholesky factor of c'V⁻¹c."""
        model, p = self.model, self.model.p
        self.low_x, own = low[:p, :p], low[p, :p]
        inverse = lapack.inverse_lower(self.low_x)
        self.phi, self.beta = inverse.T @ inverse, own @ inverse
        self.r2 = float(low[p, p] ** 2)
        self.v = np.append(-self.beta, 1.0)
        log_x = 2.0 * float(np.log(np.diag(self.low_x)).sum()) if model.reml else 0.0
        deviance = self.log_det + log_x + self.r2 + model.constant
        self.deviance = deviance if np.isfinite(deviance) else np.inf

    def by_rows(self, c: FloatArray) -> None:
        """β̂, Φ and the deviance from a QR of L⁻¹c, c (n, p + 1) of all rows, in the place of sums of squares, in which
        rows of next to no variance drown the others' digits: those with the largest weights come first."""
        turned = self._times([at.inverse_low for at in self.factored], c)
        R = np.linalg.qr(turned[np.argsort(-np.abs(turned).max(axis=1), kind="stable")], mode="r")
        self._profile((R * np.sign(np.diag(R))[:, None]).T)

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

    @property
    def hessian_psi(self) -> FloatArray:
        """∂²d/∂ψ∂ψ, β profiled out, (k, k)."""
        return self._second[0]

    @property
    def cross(self) -> FloatArray:
        """f_a = X'SV_aSe, (k, p)."""
        return self._second[1]

    @lazy
    def _second(self) -> tuple[FloatArray, FloatArray]:
        """∂²d/∂ψ∂ψ and f_a."""
        model, p = self.model, self.model.p
        k, m = model.k, model.n_g
        dense = m if model.residual.is_diagonal else k
        out, f1 = np.zeros((k, k)), np.zeros((k, p + 1, p + 1))
        for part, at, first in self.pieces():
            if dense:
                D = at.inverse_low @ first[:dense] @ at.inverse_low.transpose(0, 2, 1)
                E = part.data.cover(self.Q)
                turned = at.inverse_low @ E @ at.inverse_low.transpose(0, 2, 1)
                weight = 2 * turned - part.batch.counts[:, None, None] * np.eye(part.batch.n)
                product = (D @ weight).reshape(dense, -1) @ D.reshape(dense, -1).T
                out[:dense, :dense] += (product + product.T) / 2
                f1[:dense] += part.data.weigh(at.inverse_low.transpose(0, 2, 1) @ D @ at.inverse_low)
            if dense < k:
                self._add_diagonal(out, f1, part, at, first)
            if not model.residual.linear:
                out[m:, m:] += np.tensordot(model.second(self.psi, part.batch), self.slope(part, at), 3)
        cross = (f1 @ self.v)[:, :p]
        out -= 2 * cross @ self.phi @ cross.T
        if model.reml:
            turned = self.phi @ f1[:, :p, :p]
            out -= np.einsum("aij,bji->ab", turned, turned)
        return out, cross

    def _add_diagonal(self, out: FloatArray, f1: FloatArray, part: Part, at: Factored, first: FloatArray) -> None:
        """Add what V_b = diag d_b of residuals that do not correlate give, with W = 2 SES − N S:
        d_a'(S ∘ W)d_b, of a term's V_a d_b'diag(WV_aS), and F_b = X'S diag(d_b) SX."""
        m, S = self.model.n_g, at.S
        d = np.einsum("buii->bui", first[m:])
        W = 2 * S @ part.data.cover(self.Q) @ S - part.batch.counts[:, None, None] * S
        flat = d.reshape(len(d), -1)
        out[m:, m:] += flat @ ((S * W) @ d.transpose(1, 2, 0)).reshape(-1, len(d))
        beside = ((W @ first[:m]) * S).sum(axis=-1).reshape(m, flat.shape[1]) @ flat.T
        out[:m, m:] += beside
        out[m:, :m] += beside.T
        f1[m:] += part.data.weigh_diagonal(S, d)

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

    # ---- products with matrices of all rows

    def solve(self, x: FloatArray) -> FloatArray:
        """V⁻¹x for x (n, s)."""
        return self._times([at.S for at in self.factored], x)

    def by_residual(self, x: FloatArray) -> FloatArray:
        """Rx for x (n, s), R the residuals' part of V."""
        return self._times([self.model.residual_cov(self.psi, part.batch) for part in self.model.parts], x)

    def moved(self, x: FloatArray) -> FloatArray:
        """V_ax of every parameter, (k, n, s)."""
        out = np.empty((self.model.k, *x.shape))
        for part, _, first in self.pieces():
            out[:, part.batch.rows] = first[:, part.batch.unit_of] @ x[part.batch.rows]
        return out

    def _times(self, matrices: Sequence[FloatArray], x: FloatArray) -> FloatArray:
        """A matrix of all rows, given for the units (U, n, n) of each part, times x."""
        out = np.empty_like(x)
        for part, A in zip(self.model.parts, matrices):
            out[part.batch.rows] = A[part.batch.unit_of] @ x[part.batch.rows]
        return out

    @lazy
    def log_r(self) -> float:
        """log|R|."""
        parts = [(part.batch, self.model.residual_cov(self.psi, part.batch)) for part in self.model.parts]
        return float(sum(batch.counts @ np.linalg.slogdet(R)[1] for batch, R in parts))

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
    if (pivots < SINGULAR * np.sqrt(np.einsum("uii->ui", V))).any():
        raise np.linalg.LinAlgError("a covariance matrix is singular to rounding")
    log_det = 2.0 * float(counts @ np.log(pivots).sum(axis=1))
    inverse = np.linalg.inv(low)
    return Factored(inverse, inverse.transpose(0, 2, 1) @ inverse), log_det
