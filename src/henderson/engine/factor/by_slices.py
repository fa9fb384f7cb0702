"""Sums over the levels of a front without a rest, a slice of them at a time: no arrays over all levels but D.

With A_j = Z_j'Z_j and D_j = (I + A_jG)⁻¹ the scores are G_j = Z_j'V⁻¹[X y] = D_j a_j, a_j = Z_j'[X y], and an
evaluation needs of B_j = D_jA_j and e_j = G_jv

    Σ B_j      Σ G_jQG_j'      Σ e_je_j'      Σ e_j⊗e_j⊗B_j      Σ e_j⊗G_j

of which derivatives and average information in every direction are made. The scores themselves would take as much
memory as the sums over the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from henderson.numerics import small

if TYPE_CHECKING:
    from typing import Self

FloatArray = np.ndarray

#: doubles of a_j over all levels from which a factor keeps D alone
LARGE = 1_000_000


class Sum:
    """Dataclasses of sums over levels, which add field by field."""

    def __add__(self, other: Self) -> Self:
        """Of both."""
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]  # the subclasses are dataclasses
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True)
class Second(Sum):
    """What the gradient and the average information need.

    Attributes
    ----------
    b : (q, q) array
        Σ B_j.
    square : (q, q) array
        Σ G_jQG_j'.
    ee : (q, q) array
    eeb : (q, q, q, q) array
    eg : (q, q, m) array
    """

    b: FloatArray
    square: FloatArray
    ee: FloatArray
    eeb: FloatArray
    eg: FloatArray

    @property
    def certificate(self) -> FloatArray:
        """Σ B_j − Σ G_jQG_j' = ∂d/∂G, (q, q)."""
        return (self.b + self.b.T) / 2 - self.square

    def forms(self, E: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Σ_j h_j'B_jh_j (k, k) and X's part of Σ_j h_j'G_j (k, p) for h_j = E e_j, directions E (k, q, q)."""
        k, q, _ = E.shape
        flat = E.reshape(k, q * q)
        inner = self.eeb.transpose(2, 0, 3, 1).reshape(q * q, q * q)
        return flat @ inner @ flat.T, (flat @ self.eg.transpose(1, 0, 2).reshape(q * q, -1))[:, :-1]


def along(D: FloatArray, zx: FloatArray, v: FloatArray) -> FloatArray:
    """G_j v for D (q, q, J), a (q, m, J) and v (m,): (q, J)."""
    return small.multiply(D, (v @ zx)[:, None])[:, 0]


def second(D: FloatArray, zz: FloatArray, zx: FloatArray, v: FloatArray, Q: FloatArray) -> Second:
    """The sums for D and A (q, q, J), a (q, m, J), v (m,) and symmetric Q (m, m)."""
    q, m, n_levels = zx.shape
    parts = small.slices(n_levels, q * (3 * m + 4 * q))
    own = (_of_slice(D[:, :, part], zz[:, :, part], zx[:, :, part], v, Q) for part in parts or (slice(None),))
    return reduce(Second.__add__, own)


def _of_slice(D: FloatArray, zz: FloatArray, zx: FloatArray, v: FloatArray, Q: FloatArray) -> Second:
    q, m, n_levels = zx.shape
    B, G = small.multiply(D, zz), small.multiply(D, zx)
    e, flat = v @ G, G.reshape(q * m, n_levels)
    pairs = (e[:, None] * e).reshape(q * q, n_levels)
    return Second(
        B.sum(axis=2),
        small.outer_sum(np.matmul(Q, G), G),
        e @ e.T,
        (pairs @ B.reshape(q * q, n_levels).T).reshape(q, q, q, q),
        (e @ flat.T).reshape(q, q, m),
    )
