"""The mixed-model equations with a sparse factor: all effects are the rest.

A front would join all relatives that it shares, and crossed effects of one large level: an order of elimination of all
effects together leaves less.
"""

from __future__ import annotations

import numpy as np

from henderson.engine.factor.sparse.pairs import SparsePairs
from henderson.engine.factor.sparse.rest import SparseRest
from henderson.engine.factor.system import Factor, System
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts


class NoFront:
    """The products between the front and the rest, there being no front.

    Parameters
    ----------
    n_rest : int
    """

    def __init__(self, n_rest: int) -> None:
        self.n_rest = n_rest

    def to_rest(self, h: np.ndarray) -> np.ndarray:
        """Nothing, (R, k)."""
        return np.zeros((self.n_rest, h.shape[1]))

    def to_front(self, B: np.ndarray) -> np.ndarray:
        """Nothing, (0, k, 0)."""
        return np.zeros((0, B.shape[1], 0))


class SparseSystem(System):
    """Cross-products, their pairs of levels, and the plan of the factor.

    Parameters
    ----------
    cross : CrossProducts
    blocks : Blocks
        Without a front.
    pairs : SparsePairs
    """

    is_sparse = True

    def __init__(self, cross: CrossProducts, blocks: Blocks, pairs: SparsePairs) -> None:
        self.cross, self.blocks, self.has_rest, self.pairs = cross, blocks, True, pairs
        self.levels = self.pairs.levels
        self.product = NoFront(blocks.n_rest)  # type: ignore[assignment]  # which nothing else is asked of

    @classmethod
    def of_related(cls, cross: CrossProducts, blocks: Blocks) -> SparseSystem:
        """Of levels with known relationships.

        Raises
        ------
        DataError
            When there is not the memory for the factor.
        """
        pairs = SparsePairs(cross.rr, blocks)
        pairs.check_memory()
        return cls(cross, blocks, pairs)

    def rest_at(self, factor: Factor) -> SparseRest:
        """The rest at a factor's λ."""
        lam = [factor.lam[k] for k in self.blocks.rest]
        return SparseRest(self.pairs, self.cross.rr, lam, self.cross.n)
