"""The factor at λ and J, G = λJλ', where variances of J = −1 are negative.

By Sylvester's law of inertia V = W⁻¹ + ZGZ' is positive definite where C = Λ'Z'WZΛ + J has as many negative eigenvalues
as J (both are Schur complements of one matrix), and then log|V W| = log|det C|. The front's levels and the rest's
components each say how many they have; one may have more than its own J has, where another has fewer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from henderson.covariance.roots import signed_root
from henderson.engine.factor.pattern_product import PatternProduct, fill
from henderson.engine.factor.rest import Rest
from henderson.engine.factor.signed.front import SignedFront, eliminate_signed, shrink_signed
from henderson.engine.factor.signed.rest import SignedRest
from henderson.engine.factor.signed.sparse import SignedSparseRest
from henderson.engine.factor.sparse.system import SparseSystem
from henderson.engine.factor.system import Factor, System
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray

#: steps of differences that V must stay positive definite for; how often they are made a tenth
BEYOND, FINER = 100, 8


class SignedFactor(Factor):
    """See `Factor`.

    Parameters
    ----------
    system : System
    lam : sequence of (q, q) arrays
    signs : sequence of (q,) arrays
        J of every block.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where V is not positive definite.
    """

    front: SignedFront

    def __init__(self, system: System, lam: Sequence[FloatArray], signs: Sequence[FloatArray]) -> None:
        self.signs = signs
        super().__init__(system, lam)
        excess = int(np.count_nonzero(self.front.signs < 0))
        excess -= int(np.count_nonzero(self.front_signs < 0)) * self.front.signs.shape[1]
        if system.has_rest:
            assert isinstance(self.rest, SignedRest | SignedSparseRest)
            excess += self.rest.excess
        if excess:
            raise np.linalg.LinAlgError("the covariance of the data is not positive definite")

    @property
    def front_signs(self) -> FloatArray:
        """J of the front, (q,)."""
        front = self.system.blocks.front
        return np.zeros(0) if front is None else self.signs[front]

    @property
    def by_slices(self) -> bool:
        """Not here."""
        return False

    def _eliminated(self, keep: bool) -> SignedFront:
        cross = self.system.cross
        return eliminate_signed(cross.zz, cross.zx, self.front_lam, self.front_signs)

    def _rest(self) -> Rest:
        system, blocks = self.system, self.system.blocks
        lam, signs = ([own[k] for k in blocks.rest] for own in (self.lam, self.signs))
        if isinstance(system, SparseSystem):
            return SignedSparseRest(system.pairs, system.cross.rr, lam, system.cross.n, signs)
        return SignedRest(system.places, self._schur(), lam, signs, system.levels, system.cross.n)

    def _schur(self) -> list[FloatArray]:
        """S of every place, Z_r'Z_r − Σ_j a_j'T_j'D_jT_ja_j: rows of either sign by themselves."""
        product, up, down = self.system.product, self.front.part(1), self.front.part(-1)
        if isinstance(product, PatternProduct):  # as matrices, where effects meet in groups as well
            values = product.pattern.rr - product.summed(up) + product.summed(down)
            return [fill(place, at, values) for place, at in zip(product.places, product.entries)]
        return [one + more for one, more in zip(product.schur(up), product.gram(down))]

    def response_square(self) -> None:
        """As `inner` has it."""
        return None

    @lazy
    def D(self) -> FloatArray:
        """(I + A_jG)⁻¹ of the front, (q, q, J)."""
        return shrink_signed(self.front, self.system.cross.zz, self.front_signs, self.system.per_effect)

    def _front_weights(self) -> FloatArray:
        return self.front.weights

    def covariance(self, k: int) -> FloatArray:
        """G of a block, (q, q)."""
        return np.asarray(self.lam[k] * self.signs[k] @ self.lam[k].T)

    def moved(self, k: int, G: FloatArray) -> SignedFactor:
        """The factor where a block has another G."""
        lam, signs = list(self.lam), list(self.signs)
        lam[k], signs[k] = signed_root(G)
        return SignedFactor(self.system, lam, signs)

    def step(self, k: int, along: FloatArray, h: float) -> float:
        """A step that is small beside the way to where V is singular."""
        for _ in range(FINER):
            try:
                self.moved(k, self.covariance(k) - BEYOND * h * along)
            except np.linalg.LinAlgError:
                h /= 10
            else:
                break
        return h

    def precision(self, k: int) -> FloatArray:
        """G⁻¹ of a block whose λ may be divided by, (q, q)."""
        root = np.linalg.inv(self.lam[k])
        return np.asarray(root.T @ (self.signs[k][:, None] * root))
