"""Traces and quadratic forms of V⁻¹ and of its derivatives: all that inference needs from the data, at one G.

Var(y) = σ² V, V = W⁻¹ + Σ_i G_i V_i (see ARCHITECTURE.md for the order of the G parameters). With c = [X y]:

    F0 = c'V⁻¹c    F1_i = c'V⁻¹V_iV⁻¹c    F2_ij = c'V⁻¹V_iV⁻¹V_jV⁻¹c    t1_i = tr V⁻¹V_i    T2_ij = tr V⁻¹V_iV⁻¹V_j

Gradients, Hessians and informations of ML and REML, Satterthwaite's and Kenward and Roger's formulas are functions of these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Moments at one G, in the user's units and column order; columns found redundant are left out of X.

    Attributes
    ----------
    n, p : int
        Rows, and columns of X kept.
    g : (k,) array
        The G parameters (relative to σ²), in the order of θ.
    f0 : (p + 1, p + 1) array
    f1 : (k, p + 1, p + 1) array
    f2 : (k, k, p + 1, p + 1) array
        ``f2[i, j]`` is c'V⁻¹V_iV⁻¹V_jV⁻¹c, so ``f2[j, i] = f2[i, j].T``.
    t1 : (k,) array
    t2 : (k, k) array
    """

    n: int
    p: int
    g: np.ndarray
    f0: np.ndarray
    f1: np.ndarray
    f2: np.ndarray
    t1: np.ndarray
    t2: np.ndarray

    def with_residual(self) -> Moments:
        """The same with one more parameter, last: the residual's, g = 1 and V_0 = W⁻¹.

        From V = V_0 + Σ G_i V_i: V⁻¹V_0V⁻¹ = V⁻¹ − Σ G_i V⁻¹V_iV⁻¹. With it V is linear in *all* k + 1 parameters, and
        σ² g are the variance components of Var(y).
        """
        k, g = len(self.g), self.g
        f1 = np.concatenate([self.f1, (self.f0 - np.tensordot(g, self.f1, 1))[None]])
        f2 = np.empty((k + 1, k + 1, *self.f0.shape))
        f2[:k, :k] = self.f2
        f2[:k, k] = self.f1 - np.einsum("j,ijab->iab", g, self.f2)
        f2[k, :k] = f2[:k, k].transpose(0, 2, 1)
        f2[k, k] = f1[k] - np.einsum("j,jab->ab", g, f2[k, :k])
        t1 = np.append(self.t1, self.n - g @ self.t1)
        t2 = np.empty((k + 1, k + 1))
        t2[:k, :k] = self.t2
        t2[:k, k] = t2[k, :k] = self.t1 - self.t2 @ g
        t2[k, k] = t1[k] - g @ t2[k, :k]
        return Moments(self.n, self.p, np.append(g, 1.0), self.f0, f1, f2, t1, t2)
