"""Traces and quadratic forms of V⁻¹ and of its derivatives: all that inference needs from the data, at one G.

Var(y) = σ² V, V = W⁻¹ + Σ_i G_i V_i (see ARCHITECTURE.md for the order of the G parameters). With c = [X y]:

    F0 = c'V⁻¹c    F1_i = c'V⁻¹V_iV⁻¹c    F2_ij = c'V⁻¹V_iV⁻¹V_jV⁻¹c    t1_i = tr V⁻¹V_i    T2_ij = tr V⁻¹V_iV⁻¹V_j

Gradients, Hessians and informations of ML and REML, Satterthwaite's and Kenward and Roger's formulas are functions of
these.

They are computed in the working basis (`basis`), where a covariate far from zero (a calendar year) loses no digits: its
intercept's variance, extrapolated to year 0, and the year's are all but collinear parameters in the user's units. What
can be computed there should be, and its results turned; `turned` turns the moments themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from henderson.engine.factor.squares import squares

if TYPE_CHECKING:
    from henderson.engine.criterion import Evaluation


@dataclass(frozen=True)
class Moments:
    """Moments at one G; columns found redundant are left out of X.

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
    log_det : float
        log|V|.
    r2 : float
        y'Py = min over β of (y − Xβ)'V⁻¹(y − Xβ); known to more digits than `f0` tells.
    """

    n: int
    p: int
    g: np.ndarray
    f0: np.ndarray
    f1: np.ndarray
    f2: np.ndarray
    t1: np.ndarray
    t2: np.ndarray
    log_det: float
    r2: float

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
        return Moments(self.n, self.p, np.append(g, 1.0), self.f0, f1, f2, t1, t2, self.log_det, self.r2)

    def turned(self, columns: np.ndarray, parameters: np.ndarray) -> Moments:
        """Moments of other columns and parameters.

        Parameters
        ----------
        columns : (p + 1, p + 1) array
            B: the new [X y] are the old times B.
        parameters : (k, k) array
            M: the new G parameters are M times the old, so the new V_i are Σ_a M⁻¹_ai V_a.
        """
        back = np.linalg.inv(parameters)
        f1 = np.tensordot(back, columns.T @ self.f1 @ columns, (0, 0))
        f2 = np.einsum("ai,bj,abrs->ijrs", back, back, columns.T @ self.f2 @ columns, optimize=True)
        return replace(
            self,
            g=parameters @ self.g,
            f0=columns.T @ self.f0 @ columns,
            f1=f1,
            f2=f2,
            t1=back.T @ self.t1,
            t2=back.T @ self.t2 @ back,
        )


def moments_at(point: Evaluation) -> Moments:
    """Moments at an evaluated point in the working basis: X̃; G̃, G = T G̃ T'; and y − Xβ₀ in the unit of y."""
    criterion = point.criterion
    blocks, cross = criterion.blocks, criterion.system.cross
    unit = np.append(np.ones(cross.p), criterion.basis.y_scale)
    k, m = blocks.n_g, len(unit)
    f1, t1 = np.zeros((k, m, m)), np.zeros(k)
    along = [block.layout.basis() for block in blocks.blocks]
    parts, places = [], []
    for block, E, score, trace in zip(blocks.blocks, along, point.scores, point.factor.traces[1]):
        G = score * unit[:, None]
        h = np.einsum("iab,brj->airj", E, G, optimize=True)
        f1[block.g_parameters] = np.tensordot(h, G, ([0, 3], [0, 2]))
        t1[block.g_parameters] = np.einsum("iab,ab->i", E, trace)
        parts.append(h.reshape(block.q, -1, block.n_levels))
        places.append((block.g_parameters[:, None] * m + np.arange(m)).ravel())
    front, rest = blocks.join(parts, places, k * m)
    f2 = point.factor.bilinear(front, rest).reshape(k, m, k, m).transpose(0, 2, 1, 3)
    t2 = np.zeros((k, k))
    for (a, b), K in squares(point.factor).items():
        rows, columns = blocks.blocks[a].g_parameters, blocks.blocks[b].g_parameters
        t2[np.ix_(rows, columns)] = np.einsum("iab,kcd,abcd->ik", along[a], along[b], K, optimize=True)
    log_det = point.factor.log_det - cross.log_weights
    f0, r2 = point.factor.inner * np.outer(unit, unit), criterion.basis.y_scale**2 * point.r2
    g = blocks.g([one @ one.T for one in point.lam])
    return Moments(cross.n, cross.p, g, f0, f1, f2, t1, t2, log_det, r2)
