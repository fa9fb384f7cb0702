"""How much fitted values, Xβ̂ + Zb̂ = y − RPy, follow y by way of the estimated variances; the likelihood of y given b̂.

In the working basis, with ϑ = φ, w_a = V_aPy, R_a = ∂R/∂ϑ_a (of the random effects' parameters zero) and B = ∂²d/∂ϑ∂ϑ',

    ∂ŷ/∂ϑ_a = RPw_a − R_aPy        ∂ϑ̂/∂y = 2 B⁻¹ (Pw)'        ρ − tr H = 2 Σ_ab [B⁻¹]_ab (Pw_b)'(RPw_a − R_aPy)

by the implicit function theorem, ∂²d/∂ϑ_a∂y being −2Pw_a. At a variance of zero w vanishes in φ = θ: it adds nothing.
"""

from __future__ import annotations

import numpy as np

from henderson.contract.rows import Rows
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.point import BlockPoint
from henderson.engine.residual.rows import working_residuals
from henderson.numerics.linalg import pseudo_inverse

FloatArray = np.ndarray


def estimation_df(model: BlockModel, point: BlockPoint, rows: Rows) -> float:
    """ρ − tr H: what estimating the variances adds."""
    c = np.empty((rows.n, model.p + 1))
    model.basis.rows(rows, c)
    e, X = c @ point.v, c[:, : model.p]
    w = np.zeros((rows.n, model.k))
    for part, at, first in point.pieces():
        unit, here = part.batch.unit_of, part.batch.rows
        solved = np.einsum("bnm,bm->bn", at.S[unit], e[here], optimize=True)
        for a, own in enumerate(first):
            w[here, a] = np.einsum("bnm,bm->bn", own[unit], solved, optimize=True)
    SX, Pw = _solved(point, X), _solved(point, w)
    Pw -= SX @ (point.phi @ (X.T @ Pw))
    moved = _by_residual(point, Pw)
    moved[:, model.n_g :] -= w[:, model.n_g :]
    to = point.jacobian
    return 2.0 * float(np.sum(pseudo_inverse(point.hessian_model, 1e-9) * (to.T @ Pw.T @ moved @ to)))


def conditional_loglik(model: BlockModel, point: BlockPoint, rows: Rows) -> float:
    """log f(y | b̂) of y ~ N(Xβ̂ + Zb̂, R), in the unit of y."""
    e, total = working_residuals(model, point, rows), 0.0
    for part, at in zip(model.parts, point.factored):
        R, unit = model.residual_cov(point.psi, part.batch), part.batch.unit_of
        solved = np.einsum("bnm,bm->bn", at.S[unit], e[part.batch.rows], optimize=True)
        total += float(np.einsum("bn,bnm,bm->", solved, R[unit], solved, optimize=True))
        total += float(part.batch.counts @ np.linalg.slogdet(R)[1])
    total += rows.n * (np.log(2 * np.pi) + 2 * np.log(model.basis.y_scale)) - model.log_weights
    return float(-total / 2)


def _solved(point: BlockPoint, columns: FloatArray) -> FloatArray:
    """V⁻¹ times columns, (n, k)."""
    out = np.empty_like(columns)
    for part, at in zip(point.model.parts, point.factored):
        here = part.batch.rows
        out[here] = at.S[part.batch.unit_of] @ columns[here]
    return out


def _by_residual(point: BlockPoint, columns: FloatArray) -> FloatArray:
    """R times columns, (n, k)."""
    out = np.empty_like(columns)
    for part in point.model.parts:
        here = part.batch.rows
        out[here] = point.model.residual_cov(point.psi, part.batch)[part.batch.unit_of] @ columns[here]
    return out
