"""The inverse of the mixed-model coefficient matrix of [Z X] at a point, in the pieces that sums over rows touch.

With M = Z'R⁻¹Z + G⁻¹ in its front f and its rest r, M_j the front's own (G⁻¹ + Z_j'R⁻¹Z_j)⁻¹, a_j = Z_j'R⁻¹Z_r and
W = (M⁻¹)_rr,

    (M⁻¹)_fr = −M_j a_j W      (M⁻¹)_jj = M_j + M_j a_j W a_j' M_j      B = [−M⁻¹ Z'R⁻¹c; I]
    K = M⁻¹ ⊕ 0 + B (Φ ⊕ 0) B'

and no formula needs G⁻¹ (see `factor.front`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.engine.residual.clique_sums import Parts, Vectors
from henderson.numerics import small

FloatArray = np.ndarray


@dataclass(frozen=True)
class Inverse:
    """K at a point.

    Attributes
    ----------
    front : (q, q, J) array
        M_j.
    root : (q, q) array
        G of the front, M_j = G D_j.
    reach : (J q, R) array
        D_j a_j.
    reach_w : (J q, R) array
        D_j a_j W.
    borrowed : (q, q, J) array
        M_j a_j W a_j' M_j.
    rest : (R, R) array
        W.
    front_c : (q, m, J) array
    rest_c : (R, m) array
        M⁻¹Z'R⁻¹c.
    phi : (p, p) array
        Φ = (X'V⁻¹X)⁻¹.
    """

    front: FloatArray
    root: FloatArray
    reach: FloatArray
    reach_w: FloatArray
    borrowed: FloatArray
    rest: FloatArray
    front_c: FloatArray
    rest_c: FloatArray
    phi: FloatArray

    def completed(self, fixed: FloatArray) -> Vectors:
        """B times columns (m, k)."""
        return Vectors(-np.einsum("amj,mk->akj", self.front_c, fixed), -self.rest_c @ fixed, fixed)

    def solve(self, x: Vectors) -> Vectors:
        """K x; what stands for y in x is not looked at."""
        q, k, J = x.front.shape
        front, inner = small.multiply(self.front, x.front), x.rest
        if self.reach.size:
            turned = small.left(self.root, x.front).transpose(2, 0, 1).reshape(J * q, k)
            inner = self.rest @ (inner - self.reach.T @ turned)
            front = front - small.left(self.root, (self.reach @ inner).reshape(J, q, k).transpose(1, 2, 0))
        else:
            inner = self.rest @ inner
        of_c = x.fixed - np.einsum("amj,akj->mk", self.front_c, x.front) - self.rest_c.T @ x.rest  # B'x
        fixed = np.zeros_like(of_c)
        fixed[:-1] = self.phi @ of_c[:-1]
        beside = self.completed(fixed)
        return Vectors(front + beside.front, inner + beside.rest, fixed)

    def inner(self, parts: Parts) -> FloatArray:
        """tr M⁻¹A_ZZ of several A, (E,): what stands in both triangles counts twice."""
        E, J, q, R = parts.zr.shape
        between = self.root[0, 0] * self.reach_w if q == 1 else self.root @ self.reach_w.reshape(J, q, R)
        found = parts.zz.reshape(E, -1) @ (self.front + self.borrowed).ravel()
        found -= 2 * (parts.zr.reshape(E, -1) @ between.ravel())
        return found + parts.rr.reshape(E, -1) @ self.rest.ravel()
