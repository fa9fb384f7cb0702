"""Errors of predictions row by row where the equations have a sparse factor: by solving, since no kernel is small.

A row (x, z) is predicted by x'β̂ + z'b̂. With S = Z'Z, W = (S + A⁻¹ ⊗ G⁻¹)⁻¹, Ω = Z'V⁻¹Z = S − SWS, Φ = (X'V⁻¹X)⁻¹,
d = x − X'ZWz and 𝔼_i = A ⊗ E_i,

    ζ   = z − SWz − Z'V⁻¹XΦd                  what z has more than the data tell of it
    v   = z'Wz + d'Φd                         its error's variance over σ²
    v_i = ζ'𝔼_iζ                              ∂v/∂g_i
    h   = Σ ω_ik (𝔼_iζ)'(Ω − Z'V⁻¹XΦX'V⁻¹Z)(𝔼_kζ)   what estimating the variance parameters adds

(`row_errors` has the same of levels that are independent.) A row costs 1 + k solves.
"""

from __future__ import annotations

import numpy as np

from henderson.engine.criterion import Evaluation
from henderson.prediction.row_errors import Errors, Loads

FloatArray = np.ndarray

#: doubles of what is solved for at once
AT_ONCE = 8_000_000


class SparseErrorKernels:
    """All that is constant over rows.

    Parameters
    ----------
    point : Evaluation
        At the estimates.
    omega : (k, k) array, or None
        Covariance of the G parameters in the working basis; None: variances alone.
    """

    def __init__(self, point: Evaluation, omega: FloatArray | None) -> None:
        self.point, self.omega = point, np.zeros((0, 0)) if omega is None else omega
        self.n_g = len(self.omega)
        p = len(point.beta)
        self.zx, self.zvx = point.factor.S_c[:, :p], point.factor.zvc[1][:, :p]

    def __call__(self, loads: Loads) -> Errors:
        """Errors of m rows."""
        m, width = loads.rest.shape
        step = max(1, AT_ONCE // (width * (2 + self.n_g)))
        parts = [self._errors(loads[start : start + step]) for start in range(0, m, step)]
        found = [np.concatenate(each) for each in zip(*parts)]
        return Errors(*found)

    def _errors(self, loads: Loads) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        point, rest = self.point, self.point.factor.rest
        z = loads.rest.toarray().T  # (R, m)
        weighed = rest.weigh(z)
        d = loads.x.T - self.zx.T @ weighed  # (p, m)
        variance = np.einsum("rm,rm->m", z, weighed) + np.einsum("am,ab,bm->m", d, point.phi, d)
        m, k = z.shape[1], self.n_g
        gradient, moved = np.zeros((m, k)), np.zeros((m, k))
        if not k:
            return variance, gradient, np.zeros(m), moved
        zeta = z - rest.multiply(weighed) - self.zvx @ (point.phi @ d)
        blocks = point.criterion.blocks
        spread = [np.zeros((block.q, 0, block.n_levels)) for block in blocks.blocks]
        columns: list[np.ndarray] = [np.zeros(0, int) for _ in spread]
        for number, (block, own) in enumerate(zip(blocks.blocks, blocks.split(np.zeros((0, m, 0)), zeta))):
            free = block.independent(np.ascontiguousarray(own))  # F'ζ, (q, m, J)
            turned = np.einsum("iab,bmj->aimj", block.layout.basis(), free, optimize=True)
            gradient[:, block.g_parameters] = np.einsum("amj,aimj->mi", free, turned)
            moved[:, block.g_parameters] = np.einsum("aimj,aj->mi", turned, point.ze[number])
            spread[number] = block.of_levels(turned.reshape(block.q, -1, block.n_levels))
            columns[number] = (block.g_parameters[:, None] * m + np.arange(m)).ravel()
        _, eta = blocks.join(spread, columns, k * m)  # 𝔼_iζ, (R, k m)
        return variance, gradient, self._added(eta, k, m), moved

    def _added(self, eta: FloatArray, k: int, m: int) -> FloatArray:
        """h, (m,)."""
        rest = self.point.factor.rest
        totals = rest.multiply(eta)
        (half,), seen = rest.half(totals), self.zvx.T @ eta
        eta, totals, half, seen = (one.reshape(-1, k, m) for one in (eta, totals, half, seen))
        forms = np.einsum("rim,rkm->ikm", eta, totals) - np.einsum("rim,rkm->ikm", half, half)
        forms -= np.einsum("aim,ab,bkm->ikm", seen, self.point.phi, seen, optimize=True)
        return np.asarray(np.einsum("ik,ikm->m", self.omega, forms))
