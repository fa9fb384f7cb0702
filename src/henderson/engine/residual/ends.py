"""The forms of the likelihood of correlated rows that a search may stand at: one name for all of them."""

from __future__ import annotations

from typing import TypeAlias

from henderson.engine.residual.crossed import CrossedPoint
from henderson.engine.residual.markov import MarkovPoint
from henderson.engine.residual.plain import PlainPoint
from henderson.engine.residual.point import BlockPoint
from henderson.engine.residual.related import RelatedPoint
from henderson.engine.residual.summed import SummedPoint

#: points that know of every parameter of V, all but those of related levels with exact second derivatives; and all that
#: a search may end at
Point: TypeAlias = BlockPoint | MarkovPoint | CrossedPoint | RelatedPoint
End: TypeAlias = Point | SummedPoint | PlainPoint
#: points that know of single rows
RowPoint: TypeAlias = BlockPoint | RelatedPoint
