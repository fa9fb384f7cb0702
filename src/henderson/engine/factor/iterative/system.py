"""The mixed-model equations with a rest that iterates: what is constant at every θ."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np

from henderson.engine.factor.iterative.pairs import Pairs
from henderson.engine.factor.iterative.rest import IterativeRest, Probes
from henderson.engine.factor.system import Factor, System
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.numerics import small

#: probes with which a search begins
FIRST = 8


class IterativeSystem(System):
    """Cross-products, the pairs in them, and the probes.

    Parameters
    ----------
    cross : CrossProducts
    blocks : Blocks
        With a rest.
    """

    rest = "iterative"

    def __init__(self, cross: CrossProducts, blocks: Blocks) -> None:
        self.cross, self.blocks, self.has_rest = cross, blocks, True
        sizes = [(blocks.blocks[k].q, blocks.blocks[k].n_levels) for k in blocks.rest]
        self.levels = [levels for _, levels in sizes]
        self.pairs = Pairs(cross.zr, cross.rr, sizes)
        self.product = self.pairs  # type: ignore[assignment]  # which forms no S, and is not asked to
        self.probes = Probes(FIRST)

    def with_probes(self, probes: Probes) -> IterativeSystem:
        """The same with other probes."""
        other = copy(self)
        other.probes = probes
        return other

    def like(self, other: System) -> IterativeSystem:
        """With the probes of another system."""
        return self.with_probes(other.probes) if isinstance(other, IterativeSystem) else self

    def elsewhere(self) -> IterativeSystem:
        """Without the slow directions that were found: those of another λ are others."""
        return self.with_probes(replace(self.probes, slow=None, level=None))

    def rest_at(self, factor: Factor) -> IterativeRest:
        """The rest when the front of a factor is eliminated."""
        T = factor.front.T
        M = small.multiply(np.ascontiguousarray(T.transpose(1, 0, 2)), T)
        lam = [factor.lam[k] for k in self.blocks.rest]
        return IterativeRest(self.pairs, M, factor.D, lam, self.cross.n, self.probes)
