"""Moments where residuals correlate or vary beside levels with known relationships: see `engine.moments`.

With U = V⁻¹c and x'V⁻¹x by the sparse factor (`related`), for every parameter of V, those of G and of R,

    F1_a = U'V_aU     F2_ab = (V_aU)'V⁻¹(V_bU)     C_ab = U'V_abU     t_a = tr V⁻¹V_a     tr V⁻¹R_ab = Σ_u <R_ab, Π_u>

Π_u the sum of V⁻¹'s diagonal blocks of a unit's series. tr V⁻¹V_aV⁻¹V_b would need V⁻¹ everywhere. But t_a is exact:

    tr V⁻¹V_aV⁻¹V_b = tr V⁻¹V_ab − ∂t_a/∂ψ_b

by centred differences along the working coordinates of the residuals' parameters, and of G's as in
`factor.sparse.squares`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from henderson.engine.factor.sparse.squares import second_traces
from henderson.engine.moments import Moments, Second
from henderson.engine.residual.related import RelatedPoint, unit_products
from henderson.errors import NotAvailable

FloatArray = np.ndarray

#: how far a working coordinate is moved; columns of one pass over the rows
STEP, AT_ONCE = 1e-4, 32


@dataclass(frozen=True)
class RelatedSecond(Second):
    """F2, T2 and the curvature at a point, see `moments.Second`; what was asked before is remembered.

    Attributes
    ----------
    point : RelatedPoint
    unit : (p + 1,) array
        Of the columns.
    """

    point: RelatedPoint
    unit: FloatArray
    _known: dict[bytes, FloatArray] = field(default_factory=dict, repr=False)

    def forms(self, B: FloatArray) -> FloatArray:
        """B'F2_abB, (k, k, s, s)."""
        own = list(self.point.moved(self.point.U @ (self.unit[:, None] * B)))
        k, s = len(own), B.shape[1]
        return self.point.inner_products(np.column_stack(own)).reshape(k, s, k, s).transpose(0, 2, 1, 3)

    def trace_forms(self, B: FloatArray) -> FloatArray:
        """tr B'F2_abB, (k, k)."""
        key = B.tobytes()
        if key not in self._known:
            pieces = [B[:, start : start + AT_ONCE] for start in range(0, B.shape[1], AT_ONCE)]
            k = self.point.related.model.k
            self._known[key] = sum((np.einsum("abss->ab", self.forms(own)) for own in pieces), np.zeros((k, k)))
        return self._known[key]

    def traces(self) -> FloatArray:
        """T2, (k, k)."""
        point, model = self.point, self.point.related.model
        m, residual = model.n_g, model.residual
        out = np.asarray(self.curved_traces()).copy()
        out[:m, :m] = second_traces(point.inner.factor)
        x = residual.working(point.psi[m:])
        along = np.empty((model.k, len(x)))  # ∂t/∂x
        for a in range(len(x)):
            step = STEP * np.eye(len(x))[a]
            up, down = (self._elsewhere(residual.natural(x + own)) for own in (step, -step))
            along[:, a] = (up - down) / (2 * STEP)
        across = np.linalg.solve(residual.jacobian(x).T, along.T).T  # ∂t/∂ψ
        out[m:, m:] -= (across[m:] + across[m:].T) / 2
        out[:m, m:] = -across[:m]
        out[m:, :m] = -across[:m].T
        return out

    def _elsewhere(self, psi: FloatArray) -> FloatArray:
        """t at other parameters of the residuals."""
        point = self.point
        whole = np.append(point.psi[: point.related.model.n_g], psi)
        moved = RelatedPoint(point.related, point.theta, whole)
        if not np.isfinite(moved.deviance):
            raise NotAvailable(
                "not available where the covariance of the data is all but singular: with bound=False this fit is at "
                "the end of what variances may be"
            )
        return first_traces(moved)

    def curved_traces(self) -> FloatArray | float:
        """tr V⁻¹V_ab, (k, k)."""
        return self._whole(unit_products(self.point.second, self.point.precisions))

    def curved_forms(self, Q: FloatArray) -> FloatArray | float:
        """tr QC_ab, (k, k)."""
        point, unit = self.point, self.unit
        return self._whole(unit_products(point.second, point.related.gram(point.U, unit[:, None] * Q * unit)))

    def curved_weighted(self, w: FloatArray) -> FloatArray | float:
        """Σ w_ab C_ab, (p + 1, p + 1)."""
        point, m = self.point, self.point.related.model.n_g
        summed = [np.tensordot(w[m:, m:], own, 2) for own in point.second]
        U = point.U * self.unit
        return np.asarray(U.T @ point.related.times(summed, U))

    def _whole(self, own: FloatArray) -> FloatArray:
        """Of all parameters, of which those of G have no curvature."""
        m = self.point.related.model.n_g
        out = np.zeros((m + len(own),) * 2)
        out[m:, m:] = own
        return out


def first_traces(point: RelatedPoint) -> FloatArray:
    """tr V⁻¹V_a, (k,)."""
    model, out = point.related.model, np.empty(point.related.model.k)
    for block, total in zip(point.related.blocks.blocks, point.inner.factor.traces[1]):
        out[block.g_parameters] = np.einsum("iab,ab->i", block.layout.basis(), total)
    out[model.n_g :] = unit_products(point.first, point.precisions)
    return out


def moments_of_related(point: RelatedPoint) -> Moments:
    """Moments at a point, in the working basis, y in its own unit."""
    model = point.related.model
    unit = np.append(np.ones(model.p), model.basis.y_scale)
    both = np.outer(unit, unit)
    f1 = np.stack([point.U.T @ own for own in point.moved(point.U)]) * both
    log_det = point.inner.factor.log_det + point.log_r - model.log_weights
    f0, r2 = point.inner.factor.inner * both, model.basis.y_scale**2 * point.r2
    second = RelatedSecond(point, unit)
    return Moments(model.n, model.p, point.psi, f0, f1, first_traces(point), log_det, r2, second, True)
