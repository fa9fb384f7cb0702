"""The front: the block of effects that is eliminated first, level by level.

For level j with A = Z_j'Z_j, a = Z_j'[X y] and relative covariance G = λλ':

    C = λ'Aλ + I = LL',  T = L⁻¹λ',  T'T = λC⁻¹λ' = (G⁻¹ + A)⁻¹,  Y = T a
    D = I − A T'T = (I + AG)⁻¹, so that Z_j'V_j⁻¹Z_j = D A and Z_j'V_j⁻¹[X y] = D a  (V_j: the front's effects only)

All arrays have levels last and are worked on in slices that fit the cache.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from henderson.numerics import lapack, small
from henderson.numerics.matrices import smallest_singular_value

#: variance of the weakest effect, relative to the residual's share in a level's mean, from which λ may be divided by
MILD = 1e-3


@dataclass(frozen=True)
class Front:
    """The eliminated front at one λ.

    Attributes
    ----------
    lam : (q, q) array
    T : (q, q, J) array
    Y : (q, m, J) array
        Empty where it was not to be kept.
    log_det : float
        Σ_j log|C_j|.
    yy : (m, m) array
        Σ_j Y_j'Y_j.
    """

    lam: np.ndarray
    T: np.ndarray
    Y: np.ndarray
    log_det: float
    yy: np.ndarray

    @property
    def solved(self) -> np.ndarray:
        """M_j a_j = T_j'Y_j, (q, m, J)."""
        return small.multiply(self.T.transpose(1, 0, 2), self.Y)


def eliminate(zz: np.ndarray, zx: np.ndarray, lam: np.ndarray, *, keep: bool = True) -> Front:
    """Factor every level of the front; `keep` its half-solved columns Y."""
    q, m, n_levels = zx.shape
    T, Y = np.empty((q, q, n_levels)), np.empty((q, m, n_levels if keep else 0))
    log_det, yy = 0.0, np.zeros((m, m))
    for part in small.slices(n_levels, 3 * q * q + q * m) if q else ():
        C = small.symmetric(lam, zz[:, :, part])
        diagonal = small.diagonals(C)
        diagonal += 1.0
        low = small.cholesky(C)
        log_det += small.log_det(low)
        t = T[:, :, part]
        t[...] = lam.T[:, :, None]
        small.solve_lower(low, t)
        y = small.multiply(t, zx[:, :, part])
        if keep:
            Y[:, :, part] = y
        yy += small.inner_sum(y)
    return Front(lam, T, Y, log_det, yy)


def other_columns(front: Front, zx: np.ndarray, *, keep: bool = True) -> Front:
    """The same factor with other columns a: Y = T a."""
    q, m, n_levels = zx.shape
    Y, yy = np.empty((q, m, n_levels if keep else 0)), np.zeros((m, m))
    for part in small.slices(n_levels, q * q + 2 * q * m) if q else ():
        y = small.multiply(front.T[:, :, part], zx[:, :, part])
        if keep:
            Y[:, :, part] = y
        yy += small.inner_sum(y)
    return replace(front, Y=Y, yy=yy)


def per_effect(zz: np.ndarray) -> float:
    """Average diagonal element of Z_j'Z_j."""
    return float(small.diagonals(zz).mean()) if zz.size else 0.0


def shrink(front: Front, zz: np.ndarray, per_level: float, *, in_place: bool = False) -> np.ndarray:
    """D_j = (I + A_jG)⁻¹ for every level, (q, q, J), `per_level` as `per_effect` has it; `in_place` of T.

    λ⁻ᵀC⁻¹λ' = λ⁻ᵀL⁻ᵀT loses nothing when C is large; I − A T'T needs no inverse of λ. Here L⁻ᵀ = T λ⁻ᵀ transposed.
    """
    lam, T = front.lam, front.T
    q, n_levels = lam.shape[0], zz.shape[2]
    if q == 1:
        return (1.0 / (1.0 + lam[0, 0] ** 2 * zz[0, 0]))[None, None]
    D = T if in_place else np.empty((q, q, n_levels))
    divide = invertible(lam, per_level)
    inverse = lapack.inverse(lam) if divide else lam
    for part in small.slices(n_levels, 4 * q * q):
        t = T[:, :, part]
        gram = small.multiply(t.transpose(1, 0, 2), t)  # λ C⁻¹ λ'
        if divide:
            D[:, :, part] = small.left(inverse.T @ inverse, gram)
        else:
            D[:, :, part] = -small.multiply(zz[:, :, part], gram)
    if not divide:
        diagonal = small.diagonals(D)
        diagonal += 1.0
    return D


def invertible(lam: np.ndarray, per_level: float, floor: float = MILD) -> bool:
    """Whether formulas may divide by λ: its smallest effect is not lost against the residual's share."""
    if not lam.size:
        return True
    if lam.shape == (1, 1):
        return lam[0, 0] ** 2 * per_level > floor
    return smallest_singular_value(lam) ** 2 * per_level > floor
