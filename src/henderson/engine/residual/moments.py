"""Moments of a model of correlated rows at one point: see `engine.moments`, with the curvature of V in its parameters.

All variance parameters are among g, the residual's last, in natural units (variances relative to s², correlations as
they are), and V need not be linear in them. With S = V⁻¹, D_a = L⁻¹V_aL⁻ᵀ and Ẽ = L⁻¹ cover(Q) L⁻ᵀ for each unit,

    tr QF2_ab = Σ <D_aD_b, Ẽ>     T2_ab = Σ N <D_a, D_b>     Σ w_ab F2_ab = weigh(S [Σ w_ab V_aSV_b] S)
    tr Q C_ab = Σ <S cover(Q) S, V_ab>     u_ab = Σ N <S, V_ab>     Σ w_ab C_ab = weigh(S [Σ w_ab V_ab] S)

with C_ab = c'SV_abSc and u_ab = tr SV_ab.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.engine.moments import Moments, Second
from henderson.engine.residual.point import BlockPoint

FloatArray = np.ndarray


@dataclass(frozen=True)
class BlockSecond(Second):
    """F2, T2 and the curvature at a point; F2 is symmetrised in (a, b).

    Attributes
    ----------
    point : BlockPoint
    unit : (p + 1,) array
        Of the columns.
    """

    point: BlockPoint
    unit: FloatArray

    def _scaled(self, matrix: FloatArray) -> FloatArray:
        return self.unit[:, None] * matrix * self.unit

    def forms(self, B: FloatArray) -> FloatArray:
        """B'F2_abB, (k, k, s, s)."""
        k, m = self.point.model.k, len(self.unit)
        whole = np.zeros((k, k, m, m))
        for part, at, first in self.point.pieces():
            left = at.S @ first
            right = left @ at.S
            for a in range(k):
                inner = left[a] @ right[: a + 1]
                whole[a, : a + 1] += part.data.weigh((inner + inner.transpose(0, 1, 3, 2)) / 2)
        for a in range(k):
            whole[: a + 1, a] = whole[a, : a + 1]
        scaled = self.unit[:, None] * B
        return scaled.T @ whole @ scaled

    def trace_forms(self, B: FloatArray) -> FloatArray:
        """tr B'F2_abB, (k, k)."""
        scaled = self.unit[:, None] * B
        return self._gram(scaled @ scaled.T)

    def traces(self) -> FloatArray:
        """T2, (k, k)."""
        return self._gram(None)

    def _gram(self, Q: FloatArray | None) -> FloatArray:
        """Σ <D_aD_b, Ẽ>, Ẽ = N I without Q; (k, k)."""
        k = self.point.model.k
        out = np.zeros((k, k))
        for part, at, first in self.point.pieces():
            back = at.inverse_low.transpose(0, 2, 1)
            D = at.inverse_low @ first @ back
            if Q is None:
                weighted = D * part.batch.counts[:, None, None]
            else:
                weighted = D @ (at.inverse_low @ part.data.cover(Q) @ back)
            out += weighted.reshape(k, -1) @ D.reshape(k, -1).T
        return (out + out.T) / 2

    def weighted(self, w: FloatArray, width: int) -> FloatArray:
        """Σ w_ab F2_ab, (p + 1, p + 1)."""
        out = np.zeros((len(self.unit),) * 2)
        for part, at, first in self.point.pieces():
            mixed = np.tensordot(w, first, 1)
            inner = (first @ at.S @ mixed).sum(0)
            out += part.data.weigh((at.S @ (inner + inner.transpose(0, 2, 1)) / 2 @ at.S)[None])[0]
        return self._scaled(out)

    def _wide(self, own: FloatArray) -> FloatArray:
        """The residual's parameters, (r, r), among all: the others have no curvature."""
        out, m = np.zeros((self.point.model.k,) * 2), self.point.model.n_g
        out[m:, m:] = own
        return out

    def curved_traces(self) -> FloatArray | float:
        """u_ab, (k, k)."""
        return self._curved(None)

    def curved_forms(self, Q: FloatArray) -> FloatArray | float:
        """tr QC_ab, (k, k)."""
        return self._curved(Q)

    def _curved(self, Q: FloatArray | None) -> FloatArray | float:
        model, r = self.point.model, int(self.point.model.residual.n_parameters)
        if model.residual.linear:
            return 0.0
        own = np.zeros((r, r))
        for part, at, _ in self.point.pieces():
            if Q is None:
                H = at.S * part.batch.counts[:, None, None]
            else:
                H = at.S @ part.data.cover(self._scaled(Q)) @ at.S
            own = own + np.tensordot(model.second(self.point.psi, part.batch), H, 3)
        return self._wide(own)

    def curved_weighted(self, w: FloatArray) -> FloatArray | float:
        """Σ w_ab C_ab, (p + 1, p + 1)."""
        model, out = self.point.model, np.zeros((len(self.unit),) * 2)
        if model.residual.linear:
            return 0.0
        for part, at, _ in self.point.pieces():
            inner = np.tensordot(w[model.n_g :, model.n_g :], model.second(self.point.psi, part.batch), 2)
            out += part.data.weigh((at.S @ inner @ at.S)[None])[0]
        return self._scaled(out)


def moments_of_blocks(point: BlockPoint) -> Moments:
    """Moments at a point, in the working basis; y in its own unit, V and the parameters relative to s²."""
    model, p = point.model, point.model.p
    unit = np.append(np.ones(p), model.basis.y_scale)
    f1, t1 = np.zeros((model.k, p + 1, p + 1)), np.zeros(model.k)
    for part, at, first in point.pieces():
        f1 += part.data.weigh(at.S @ first @ at.S)
        t1 += np.einsum("aunm,unm->a", first, at.S * part.batch.counts[:, None, None], optimize=True)
    return Moments(
        model.n,
        p,
        point.psi,
        point.f0 * np.outer(unit, unit),
        f1 * np.outer(unit, unit),
        t1,
        point.log_det - model.log_weights,
        model.basis.y_scale**2 * point.r2,
        BlockSecond(point, unit),
        True,
    )
