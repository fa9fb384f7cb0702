"""Where a criterion is surveyed, and with what care: the more unlike the levels, the more often there are more minima.

Balanced factors have one minimum. Where levels are very unlike, or few, the survey comes first and the descent begins
in its lowest basin; else it comes after a descent that ended singular. Scalar terms are looked at on a grid of
standard deviations (`basins`), correlated effects on a lattice of covariances (`lows`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from henderson.engine.criterion import Criterion
from henderson.engine.search.basins import Basins, basins
from henderson.engine.search.glance import glance
from henderson.engine.search.lows import Lows, lows
from henderson.engine.search.survey import BUDGET, Survey

#: spread of a factor's levels up to which it counts as balanced, and from which a survey looks at any number of levels
BALANCED, UNLIKE = 1.0 + 1e-7, 25.0
#: spread from which on descents are made from all low points at once, before the engine's
ASKEW = 10.0
#: levels below which it looks at any unbalanced factor
FEW = 50
#: θ of correlated effects up to which a lattice sees where the deviance is low
MOST_ON_LATTICE = 6
#: multiplications of a survey after a descent that ended singular
CAREFUL = 10_000_000
#: effects in all, and in the rest, beyond which a singular model is not searched elsewhere
HUGE, HUGE_REST = 20_000, 1_000


@dataclass(frozen=True)
class Seen:
    """What a survey saw: on a grid, or on a lattice.

    Attributes
    ----------
    basins : Basins, or None
    low : Lows, or None
    """

    basins: Basins | None = None
    low: Lows | None = None

    @property
    def begin(self) -> np.ndarray | None:
        """Where a descent can begin at once, a scoring step away: the lowest point of a grid that sees every θ, or of
        the lattice of one covariance, if they are fine enough."""
        grid, low = self.basins, self.low
        if grid is not None and len(grid.theta) and grid.is_fine and len(grid.coordinates) == grid.theta.shape[1]:
            return np.asarray(grid.theta[0])
        return low.theta[0] if low is not None and low.is_single and not low.is_coarse else None

    @property
    def lowest(self) -> tuple[np.ndarray, float] | None:
        """The lowest point of a lattice, and its deviance."""
        return None if self.low is None else (self.low.theta[0], float(self.low.deviance[0]))

    @property
    def surveyed(self) -> int:
        """Points that were looked at."""
        return sum(one.surveyed for one in (self.basins, self.low) if one is not None)


@dataclass(frozen=True)
class Look:
    """Where a criterion is surveyed: the more unlike the levels, the more often there are several minima.

    Attributes
    ----------
    criterion : Criterion
    unlike : float
        See `System.unlike`.
    """

    criterion: Criterion
    unlike: float

    @classmethod
    def of(cls, criterion: Criterion) -> Look:
        """Of a criterion."""
        return cls(criterion, criterion.system.unlike)

    @cached_property
    def survey(self) -> Survey | None:
        """The survey, where there can be one."""
        return Survey.of(self.criterion)

    @cached_property
    def is_due(self) -> bool:
        """Whether levels are so unlike, or so few, that there may well be several minima."""
        return self.unlike > UNLIKE or (self.unlike > BALANCED and _has_few_levels(self.criterion))

    @cached_property
    def on_grid(self) -> bool:
        """Whether a grid of standard deviations is all there is: no effects are correlated, or too many."""
        blocks = self.criterion.blocks
        return blocks.n_theta > MOST_ON_LATTICE or all(block.layout.n_theta == block.q for block in blocks.blocks)

    @property
    def is_askew(self) -> bool:
        """Whether levels are so unlike that there may well be a minimum below any low point."""
        return self.unlike > ASKEW

    @property
    def is_mild(self) -> bool:
        """Whether a survey is due, but levels so alike that the first descent needs none, and its end a glance."""
        return self.is_due and not self.is_askew

    @cached_property
    def glanced(self) -> Lows | None:
        """What a glance sees, where there can be one."""
        return None if self.survey is None else glance(self.survey)

    def at_first(self) -> Seen:
        """What is looked at before the first descent: a survey, or where levels are much alike a glance."""
        return Seen(None, self.glanced) if self.is_mild else self.see()

    def see(self, *, singular: bool | None = None, known: Seen | None = None) -> Seen:
        """A survey: for a first descent to begin in, or after one, with more care where it ended singular.

        Parameters
        ----------
        singular : bool, optional
            How the descent ended.
        known : Seen, optional
            What was seen before it.
        """
        grid, low = (None, None) if known is None else (known.basins, known.low)
        grid = self.basins(singular=singular) if grid is None else grid
        low = self.lows(singular=singular) if low is None or (bool(singular) and low.is_coarse) else low
        return Seen(grid, low)

    def basins(self, *, singular: bool | None = None) -> Basins | None:
        """Basins on a grid: for a first descent to begin in, or after one: with more care where it ended
        singular."""
        if not self.on_grid or not self._pays(singular) or self.survey is None:
            return None
        return basins(self.survey, CAREFUL if singular else BUDGET)

    def lows(self, *, singular: bool | None = None) -> Lows | None:
        """The same on a lattice of covariances."""
        if self.on_grid or not self._pays(singular) or self.survey is None:
            return None
        return lows(self.survey, CAREFUL if singular else BUDGET)

    def _pays(self, singular: bool | None) -> bool:
        return self.is_due or (bool(singular) and self.unlike > BALANCED)

    @property
    def is_huge(self) -> bool:
        """Whether one more descent is too much to ask for."""
        blocks = self.criterion.blocks
        return blocks.n_rest > HUGE_REST or blocks.n_effects > HUGE


def _has_few_levels(criterion: Criterion) -> bool:
    return min((block.n_levels for block in criterion.blocks.blocks), default=FEW) < FEW
