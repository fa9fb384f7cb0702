"""The front where variances may be negative, G = λJλ' with J of ones and minus ones.

    C = λ'Aλ + J,  KCK' = D,  T = Kλ',  T'DT = λC⁻¹λ' = (G⁻¹ + A)⁻¹ = M,  Y = T a

(`numerics.signed`; see `factor.front` for the rest). A level's C has the signs of J where Var(y) would be positive
definite without the other factors' effects; where these make up for it, it may have others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.engine.factor.front import Front, invertible
from henderson.numerics import small
from henderson.numerics.signed import NEARLY_SINGULAR, signed_root

FloatArray = np.ndarray


@dataclass(frozen=True)
class SignedFront(Front):
    """See `Front`; `yy` is Σ_j Y_j'D_jY_j.

    Attributes
    ----------
    signs : (q, J) array
        D.
    """

    signs: FloatArray

    @property
    def solved(self) -> FloatArray:
        """M_j a_j = T_j'D_jY_j, (q, m, J)."""
        return small.multiply(self.T.transpose(1, 0, 2), self.signs[:, None] * self.Y)

    @property
    def weights(self) -> FloatArray:
        """M_j, (q, q, J)."""
        return small.multiply(self.T.transpose(1, 0, 2), self.signs[:, None] * self.T)

    def part(self, sign: int) -> FloatArray:
        """The rows of T whose D has a sign, zeros in the place of the others, (q, q, J)."""
        return np.where(self.signs[:, None] == sign, self.T, 0.0)


def eliminate_signed(zz: FloatArray, zx: FloatArray, lam: FloatArray, signs: FloatArray) -> SignedFront:
    """Factor every level of the front at λ (q, q) and J (q,).

    Raises
    ------
    numpy.linalg.LinAlgError
        Where a level's C is singular, or all but.
    """
    q, m, n_levels = zx.shape
    if not q:
        none = np.zeros((0, 0, n_levels))
        return SignedFront(lam, none, np.zeros((0, m, n_levels)), 0.0, np.zeros((m, m)), np.zeros((0, n_levels)))
    C = small.symmetric(lam, zz)
    diagonal = small.diagonals(C)
    diagonal += signs[:, None]
    if q == 1:
        size = np.abs(C)
        if not (size > NEARLY_SINGULAR).all():
            raise np.linalg.LinAlgError("the mixed-model equations are singular, or all but")
        T, of_levels, log_det = lam[0, 0] / np.sqrt(size), np.sign(C[0]), float(np.log(size).sum())
    else:
        root = signed_root(np.ascontiguousarray(C.transpose(2, 0, 1)))
        T = np.ascontiguousarray((root.K @ lam.T).transpose(1, 2, 0))
        of_levels, log_det = np.ascontiguousarray(root.signs.T), root.log_det
    Y = small.multiply(T, zx)
    return SignedFront(lam, T, Y, log_det, small.gram(Y, of_levels[:, None] * Y), of_levels)


def shrink_signed(front: SignedFront, zz: FloatArray, signs: FloatArray, per_level: float) -> FloatArray:
    """D_j = (I + A_jG)⁻¹ for every level, (q, q, J), as `front.shrink` has it."""
    lam = front.lam
    if not len(lam):
        return np.zeros_like(zz)
    if len(lam) == 1:
        return (1.0 / (1.0 + signs[0] * lam[0, 0] ** 2 * zz[0, 0]))[None, None]
    if invertible(lam, per_level):
        inverse = np.linalg.inv(lam)
        return small.left(inverse.T @ (signs[:, None] * inverse), front.weights)
    out = -small.multiply(zz, front.weights)
    diagonal = small.diagonals(out)
    diagonal += 1.0
    return out
