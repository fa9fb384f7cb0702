"""The mixed-model equations with T'R⁻¹T in place of the cross-products, and their factor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import blas

from henderson.engine.factor.connected import whole
from henderson.engine.factor.dense_product import WeighedProduct
from henderson.engine.factor.rest import ExactRest
from henderson.engine.factor.system import Factor, System
from henderson.engine.residual.clique_sums import Parts
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts, no_entries
from henderson.numerics import small
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray


class Weighed(System):
    """The mixed-model equations with T'R⁻¹T in place of the cross-products, the rest dense.

    Parameters
    ----------
    parts : Parts
    blocks : Blocks
    n : int
    log_weights : float
    """

    def __init__(self, parts: Parts, blocks: Blocks, n: int, log_weights: float) -> None:
        self.cross = CrossProducts(
            n, log_weights, parts.xx, parts.zz, parts.zx, [], no_entries(blocks.n_rest), parts.rx
        )
        self.parts, self.blocks = parts, blocks
        self.has_rest = blocks.n_rest > 0
        if self.has_rest:
            sizes = [(blocks.blocks[k].q, blocks.blocks[k].n_levels) for k in blocks.rest]
            self.places, self.levels = [whole(sizes)], [levels for _, levels in sizes]
            self.product = WeighedProduct(parts.zr, parts.rr)

    def factor(self, lam: Sequence[FloatArray]) -> WeighedFactor:
        """The factor at λ of every block."""
        return WeighedFactor(self, lam)


class WeighedFactor(Factor):
    """The factor at one λ, with what the inverse between front and rest is made of."""

    def __init__(self, system: Weighed, lam: Sequence[FloatArray]) -> None:
        self.weighed = system.parts
        super().__init__(system, lam)

    @property
    def W(self) -> np.ndarray:
        """Of the rest, (R, R) in Fortran order, lower triangle valid."""
        if not self.system.has_rest:
            return np.zeros((0, 0))
        assert isinstance(self.rest, ExactRest)
        return self.rest.dense_weights

    @lazy
    def reach_w(self) -> np.ndarray:
        """D_j a_j W, (J, q, R)."""
        a = self.weighed.zr
        aW = blas.dsymm(1.0, self.W, a.reshape(-1, a.shape[2]).T, lower=1).T.reshape(a.shape)
        if len(self.D) > 1:
            return np.matmul(self.D.transpose(2, 0, 1), aW)
        aW *= self.D[0, 0][:, None, None]
        return aW

    @lazy
    def borrowed(self) -> np.ndarray:
        """D_j a_j W a_j'D_j', (q, q, J)."""
        a = self.weighed.zr
        if len(self.D) > 1:
            inner = np.matmul(self.reach_w, a.transpose(0, 2, 1)).transpose(1, 2, 0)
        else:
            inner = np.einsum("jar,jar->j", self.reach_w, a)[None, None]
        return small.multiply(inner, self.D.transpose(1, 0, 2))

    @lazy
    def shares(self) -> tuple[float, float]:
        """tr X and tr X² within levels of the front and effects of the rest, X = I − KG⁻¹ = GZ'V⁻¹Z: how many effects
        the data tell."""
        one = two = 0.0
        if (front := self.system.blocks.front) is not None:
            found = self.B - self.borrowed if self.system.has_rest else self.B
            X = small.left(self.lam[front] @ self.lam[front].T, found)
            one, two = float(np.einsum("aaj->", X)), float(np.einsum("abj,baj->", X, X))
        if self.system.has_rest:
            assert isinstance(self.rest, ExactRest)
            told = 1.0 - self.rest.inverse_diagonal()
            one, two = one + float(told.sum()), two + float(told @ told)
        return one, two
