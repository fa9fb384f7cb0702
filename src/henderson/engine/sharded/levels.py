"""What a shard holds of its levels, and the sums over them that a point of the criterion needs.

A model of one grouping factor needs, at λ and with D_j = (I + A_jG)⁻¹, A_j = Z_j'Z_j, scores G_j = D_jZ_j'[X y]
(`factor.front`, `factor.by_slices`),

    `first`    Σ log|C_j|,  Σ Y_j'Y_j
    `second`   Σ B_j,  Σ G_jQG_j',  Σ e_je_j',  Σ e_j⊗e_j⊗B_j,  Σ e_j⊗G_j        with B_j = D_jA_j and e_j = G_jv
    `third`    Σ B_j,  Σ B_j⊗B_j,  Σ G_j⊗G_j,  Σ G_j⊗G_j⊗B_j                     what `Moments` are made of

No sum is longer than (qm)²q² numbers, m = p + 1, however many levels there are; those of the shards add up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.engine.factor.by_slices import Second, Sum, second
from henderson.engine.factor.front import eliminate, per_effect, shrink
from henderson.engine.sums.change import both
from henderson.numerics import small

FloatArray = np.ndarray


@dataclass(frozen=True)
class First(Sum):
    """What β̂ and the deviance need.

    Attributes
    ----------
    log_det : float
    yy : (m, m) array
    """

    log_det: float
    yy: FloatArray


@dataclass(frozen=True)
class Third(Sum):
    """What moments need.

    Attributes
    ----------
    b : (q, q) array
    bb : (q, q, q, q) array
    gg : (q, m, q, m) array
    ggb : (q, m, q, m, q, q) array
    """

    b: FloatArray
    bb: FloatArray
    gg: FloatArray
    ggb: FloatArray


@dataclass(frozen=True)
class Levels:
    """Cross-products of some levels of the only grouping factor.

    Attributes
    ----------
    zz : (q, q, J) array
    zx : (q, m, J) array
    """

    zz: FloatArray
    zx: FloatArray

    def count(self) -> int:
        """How many there are."""
        return self.zz.shape[2]

    def turned(self, R: FloatArray, K: FloatArray) -> Levels:
        """In another basis, Z̃ = ZR and [X̃ ỹ] = [X y]K."""
        return Levels(both(self.zz, R, R), both(self.zx, R, K))

    def first(self, lam: FloatArray) -> First:
        """See `First`."""
        front = eliminate(self.zz, self.zx, lam, keep=False)
        return First(front.log_det, front.yy)

    def _shrunk(self, lam: FloatArray) -> FloatArray:
        front = eliminate(self.zz, self.zx[:, :0], lam, keep=False)
        return shrink(front, self.zz, per_effect(self.zz), in_place=True)

    def second(self, lam: FloatArray, v: FloatArray, Q: FloatArray) -> Second:
        """See `by_slices.Second`."""
        return second(self._shrunk(lam), self.zz, self.zx, v, Q)

    def third(self, lam: FloatArray) -> Third:
        """See `Third`."""
        D = self._shrunk(lam)
        (q, m, n_levels) = self.zx.shape
        b, bb = np.zeros((q, q)), np.zeros((q * q, q * q))
        gg, ggb = np.zeros((q * m, q * m)), np.zeros((q * m * q * m, q * q))
        for part in small.slices(n_levels, (q * m) ** 2):
            B = small.multiply(D[:, :, part], self.zz[:, :, part]).reshape(q * q, -1)
            G = small.multiply(D[:, :, part], self.zx[:, :, part]).reshape(q * m, -1)
            b += B.sum(axis=1).reshape(q, q)
            bb += B @ B.T
            gg += G @ G.T
            ggb += (G[:, None] * G).reshape((q * m) ** 2, -1) @ B.T
        return Third(b, bb.reshape(q, q, q, q), gg.reshape(q, m, q, m), ggb.reshape(q, m, q, m, q, q))
