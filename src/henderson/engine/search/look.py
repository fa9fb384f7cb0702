"""Where a criterion is surveyed, and with what care: the more unlike the levels, the more often there are more minima.

Balanced factors have one minimum. Of scalar terms the survey comes first, and the descent begins in its lowest basin;
of terms with several effects it comes after a descent, and looks along correlations where that ended singular or levels
are very unlike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from henderson.engine.criterion import Criterion
from henderson.engine.search.basins import Basins
from henderson.engine.search.survey import BUDGET, Survey, spread

#: spread of a factor's levels up to which it counts as balanced, and from which a survey looks at any number of levels
BALANCED, UNLIKE = 1.0 + 1e-7, 25.0
#: spread from which it looks along correlations
ASKEW = 20.0
#: levels below which it looks at any unbalanced factor
FEW = 50
#: multiplications of a survey after a descent that ended singular
CAREFUL = 10_000_000
#: effects in all, and in the rest, beyond which a singular model is not searched elsewhere
HUGE, HUGE_REST = 20_000, 1_000


@dataclass(frozen=True)
class Look:
    """Where a criterion is surveyed: the more unlike the levels, the more often there are several minima.

    Attributes
    ----------
    criterion : Criterion
    unlike : float
        See `spread`.
    few : bool
        Whether a factor has few levels.
    """

    criterion: Criterion
    unlike: float
    few: bool

    @classmethod
    def of(cls, criterion: Criterion) -> Look:
        """Of a criterion."""
        return cls(criterion, spread(criterion), _has_few_levels(criterion))

    @cached_property
    def survey(self) -> Survey | None:
        """The survey, where there can be one."""
        return Survey.of(self.criterion)

    @property
    def is_due(self) -> bool:
        """Whether levels are so unlike, or so few, that there may well be several minima."""
        return self.unlike > UNLIKE or (self.unlike > BALANCED and self.few)

    def before(self) -> Basins | None:
        """Basins for a first descent to begin in, of scalar terms."""
        scalar = all(block.layout.n_theta == block.q for block in self.criterion.blocks.blocks)
        return None if not (scalar and self.is_due) or self.survey is None else self.survey.basins()

    def after(self, singular: bool) -> Basins | None:
        """Basins after a descent: with more care where it ended singular."""
        if not (self.is_due or (singular and self.unlike > BALANCED)) or self.survey is None:
            return None
        careful = singular or self.unlike > ASKEW
        return self.survey.basins(correlated=careful, budget=CAREFUL if singular else BUDGET)

    @property
    def is_huge(self) -> bool:
        """Whether one more descent is too much to ask for."""
        blocks = self.criterion.blocks
        return blocks.n_rest > HUGE_REST or sum(block.size for block in blocks.blocks) > HUGE


def _has_few_levels(criterion: Criterion) -> bool:
    return min((block.n_levels for block in criterion.blocks.blocks), default=FEW) < FEW
