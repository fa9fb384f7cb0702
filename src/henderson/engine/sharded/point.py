"""The criterion where levels are elsewhere: a point sends θ out, then v and Q, and gets sums back (`levels`).

`Shards.total(name, *arguments)` is the sum of what every shard's `Levels` return of a method. Everything else about a
point, and the search, is as where the levels are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from henderson.engine.criterion import Criterion, Evaluation
from henderson.engine.factor.by_slices import Second
from henderson.engine.factor.system import Factor, System
from henderson.engine.factor.unsummed import Unsummed
from henderson.engine.moments import Known, Moments
from henderson.engine.sharded.levels import First, Levels, Third
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import Counts, CrossProducts
from henderson.errors import DataError
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray


class Shards(Protocol):
    """Levels in several places."""

    def total(self, name: str, *arguments: Any) -> Any:
        """The sum of what a method of every shard's `Levels` returns."""

    def mapped(self, name: str, *arguments: Any) -> Shards:
        """What a method of every shard's `Levels` returns, in its place."""


@dataclass(frozen=True)
class Here:
    """Shards in this process.

    Attributes
    ----------
    shards : list of Levels
    """

    shards: Sequence[Levels]

    def total(self, name: str, *arguments: Any) -> Any:
        """See `Shards`."""
        made = [getattr(one, name)(*arguments) for one in self.shards]
        return sum(made[1:], made[0])

    def mapped(self, name: str, *arguments: Any) -> Here:
        """See `Shards`."""
        return Here([getattr(one, name)(*arguments) for one in self.shards])


class ShardedSystem(System):
    """The equations of one grouping factor whose levels are elsewhere.

    Parameters
    ----------
    cross : CrossProducts
        With no levels: what is summed over all rows.
    blocks : Blocks
    shards : Shards
    """

    def __init__(self, cross: CrossProducts, blocks: Blocks, shards: Shards) -> None:
        self.cross, self.blocks, self.shards, self.has_rest = cross, blocks, shards, False

    def factor(self, lam: Sequence[FloatArray]) -> Factor:
        """The factor at λ."""
        return ShardedFactor(self, lam)


class ShardedFactor(Factor):
    """What `first` says at one λ."""

    def __init__(self, system: ShardedSystem, lam: Sequence[FloatArray]) -> None:
        self.system, self.lam, self.like = system, lam, None
        first: First = system.shards.total("first", lam[0])
        self.log_det, self.inner = first.log_det, system.cross.xy - first.yy

    def response_square(self) -> None:
        """Nobody has all of it."""


class ShardedEvaluation(Evaluation):
    """A point at which sums over levels come from the shards."""

    criterion: ShardedCriterion

    @lazy
    def _levels(self) -> Second:
        found: Second = self.criterion.shards.total("second", self.lam[0], self._v, self._weights)
        return found

    def lighten(self) -> None:
        """There is nothing to let go of."""

    def moments(self) -> Moments:
        """Moments here, as `moments_at` has them, all of them numbers."""
        criterion, third = self.criterion, self.criterion.shards.total("third", self.lam[0])
        assert isinstance(third, Third)
        block, cross, scale = criterion.blocks.blocks[0], criterion.system.cross, criterion.basis.y_scale
        unit, E = np.append(np.ones(cross.p), scale), block.layout.basis()
        k = len(E)
        f1, t1, f2, t2 = (np.zeros(shape) for shape in ((k, *[len(unit)] * 2), k, (k, k, *[len(unit)] * 2), (k, k)))
        own = block.g_parameters
        f1[own] = np.einsum("iab,axby->ixy", E, third.gg) * np.outer(unit, unit)
        t1[own] = np.einsum("iab,ab->i", E, third.b)
        both = np.einsum("iab,jcd,bxdyac->ijxy", E, E, third.ggb, optimize=True)
        f2[np.ix_(own, own)] = both * np.outer(unit, unit)
        t2[np.ix_(own, own)] = np.einsum("iab,jcd,bcda->ij", E, E, third.bb, optimize=True)
        g = criterion.blocks.g([one @ one.T for one in self.lam])
        log_det = self.factor.log_det - cross.log_weights
        f0 = self.factor.inner * np.outer(unit, unit)
        return Moments(cross.n, cross.p, g, f0, f1, t1, log_det, scale**2 * self.r2, Known(f2, t2))

    def modes(self) -> list[FloatArray]:
        """Of no level: they are with the workers, and a `Fit` says so."""
        return [np.zeros((len(lam), 0)) for lam in self.lam]


class Away(Counts):
    """What is left here of cross-products that are with the workers."""

    @property
    def refusal(self) -> DataError:
        """What to say to who asks for more."""
        return DataError(
            "the likelihood at other parameters needs the sums of all levels, which were with the workers while the "
            "fit lasted: fit without shards= where that is wanted"
        )


class ShardedCriterion(Criterion):
    """The deviance of a model whose levels are elsewhere.

    Parameters
    ----------
    cross : CrossProducts
        With no levels.
    blocks : Blocks
        One block.
    basis : Basis
    shards : Shards
    reml : bool
    """

    def __init__(self, cross: CrossProducts, blocks: Blocks, basis: Basis, shards: Shards, reml: bool) -> None:
        super().__init__(ShardedSystem(cross, blocks, shards), basis, reml)
        self.shards = shards

    def without_sums(self) -> Criterion:
        """The same units and bases; the likelihood elsewhere is refused."""
        cross = self.system.cross
        return Criterion(Unsummed(Away(cross.n, cross.p, cross.log_weights), self.blocks), self.basis, self.reml)

    def at_lam(self, lam: list[FloatArray], theta: FloatArray) -> Evaluation:
        """A point."""
        self.evaluations += 1
        return ShardedEvaluation(self, lam, theta)


ELSEWHERE = DataError(
    "the levels of the grouping factor were with the workers, and so were their effects: fit without shards= where "
    "they are wanted"
)
