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

from henderson.engine.factor.rest_dense import symmetric_times
from henderson.engine.residual.clique_sums import Parts, Vectors
from henderson.numerics import small, triangles

FloatArray = np.ndarray


@dataclass(frozen=True)
class Inverse:
    """K at a point.

    Attributes
    ----------
    D : (q, q, J) array
    root : (q, q) array
        G of the front, M_j = G D_j.
    a : (J, q, R) array
    reach_w : (J, q, R) array
        D_j a_j W.
    within : (q, q, J) array
        (M⁻¹)_jj.
    rest : (R, R) array
        W in Fortran order, lower triangle valid.
    front_c : (q, m, J) array
    rest_c : (R, m) array
        M⁻¹Z'R⁻¹c.
    phi : (p, p) array
        Φ = (X'V⁻¹X)⁻¹.
    """

    D: FloatArray
    root: FloatArray
    a: FloatArray
    reach_w: FloatArray
    within: FloatArray
    rest: FloatArray
    front_c: FloatArray
    rest_c: FloatArray
    phi: FloatArray

    def completed(self, fixed: FloatArray) -> Vectors:
        """B times columns (m, k)."""
        return Vectors(-np.einsum("amj,mk->akj", self.front_c, fixed), -self.rest_c @ fixed, fixed)

    def own(self, h: FloatArray) -> FloatArray:
        """M_j h_j of the front, (q, k, J)."""
        return small.left(self.root, small.multiply(self.D, h)) if len(h) else h

    def solve(self, x: Vectors) -> Vectors:
        """K x; what stands for y in x is not looked at."""
        (J, q, R), k = self.a.shape, x.rest.shape[1]
        front, inner, a = x.front, x.rest, self.a.reshape(J * q, R)
        if R:
            inner = symmetric_times(self.rest, inner - a.T @ self.own(front).transpose(2, 0, 1).reshape(J * q, k))
            front = front - (a @ inner).reshape(J, q, k).transpose(1, 2, 0)
        of_c = x.fixed - np.einsum("amj,akj->mk", self.front_c, x.front) - self.rest_c.T @ x.rest  # B'x
        fixed = np.zeros_like(of_c)
        fixed[:-1] = self.phi @ of_c[:-1]
        beside = self.completed(fixed)
        return Vectors(self.own(front) + beside.front, inner + beside.rest, fixed)

    def inner(self, parts: Parts) -> FloatArray:
        """tr M⁻¹A_ZZ of several A, (E,): what stands in both triangles counts twice."""
        E, (_, q, R) = len(parts.zr), self.a.shape
        found = parts.zz.reshape(E, -1) @ self.within.ravel()
        if not R:
            return found
        between = self.reach_w if q == 1 else self.root @ self.reach_w
        of_root = self.root[0, 0] if q == 1 else 1.0  # a number need not go into an array of that size
        found -= 2 * of_root * (parts.zr.reshape(E, -1) @ between.ravel())
        return found + parts.rr @ triangles.doubled(self.rest)
