"""How much fitted values, Xβ̂ + Zb̂ = y − RPy, follow y by way of the estimated variances; the likelihood of y given b̂.

In the working basis, with ϑ = φ, w_a = V_aPy, R_a = ∂R/∂ϑ_a (of the random effects' parameters zero) and B = ∂²d/∂ϑ∂ϑ',

    ∂ŷ/∂ϑ_a = RPw_a − R_aPy        ∂ϑ̂/∂y = 2 B⁻¹ (Pw)'        ρ − tr H = 2 Σ_ab [B⁻¹]_ab (Pw_b)'(RPw_a − R_aPy)

by the implicit function theorem, ∂²d/∂ϑ_a∂y being −2Pw_a. At a variance of zero w vanishes in φ = θ: it adds nothing.
"""

from __future__ import annotations

import numpy as np

from henderson.contract.rows import Rows
from henderson.engine.residual.ends import RowPoint
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.rows import working_residuals
from henderson.numerics.linalg import pseudo_inverse

FloatArray = np.ndarray


def estimation_df(model: BlockModel, point: RowPoint, rows: Rows, second: FloatArray) -> float:
    """ρ − tr H: what estimating the variances adds; `second` is ∂²d/∂ψ∂ψ, (k, k)."""
    c = np.empty((rows.n, model.p + 1))
    model.basis.rows(rows, c)
    e, X = c @ point.v, c[:, : model.p]
    w = np.column_stack(list(point.moved(point.solve(e[:, None]))))
    SX, Pw = point.solve(X), point.solve(w)
    Pw -= SX @ (point.phi @ (X.T @ Pw))
    moved = point.by_residual(Pw)
    moved[:, model.n_g :] -= w[:, model.n_g :]
    to = point.jacobian
    B = to.T @ second @ to + model.curvature(point.theta, point.gradient_psi)
    return 2.0 * float(np.sum(pseudo_inverse(B, 1e-9) * (to.T @ Pw.T @ moved @ to)))


def conditional_loglik(model: BlockModel, point: RowPoint, rows: Rows) -> float:
    """log f(y | b̂) of y ~ N(Xβ̂ + Zb̂, R), in the unit of y."""
    solved = point.solve(working_residuals(model, point, rows)[:, None])
    total = float(np.sum(solved * point.by_residual(solved))) + point.log_r
    total += rows.n * (np.log(2 * np.pi) + 2 * np.log(model.basis.y_scale)) - model.log_weights
    return float(-total / 2)
