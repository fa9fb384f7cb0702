"""One descent, where there are so many levels that the deviance has one basin; an end at a boundary is certified."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from henderson.engine.criterion import Criterion, Evaluation
from henderson.engine.search.descent import PER_ROW, Certified, descend
from henderson.engine.search.optimize import TOLERANCE
from henderson.engine.search.start import STEPS, scored_theta, working_theta


def one_descent(
    criterion: Criterion, start: np.ndarray | None = None, tell: Callable[[int], None] | None = None
) -> Certified:
    """From a user's θ, or from scoring steps from λ = I.

    Parameters
    ----------
    criterion : Criterion
    start : (k,) array, optional
    tell : callable, optional
        Gets each evaluation's number.
    """

    def evaluate(theta: np.ndarray) -> Evaluation:
        point = criterion.at(theta)
        if tell is not None:
            tell(criterion.evaluations)
        return point

    if start is not None:
        first = evaluate(working_theta(criterion, start))
    else:
        first = evaluate(criterion.blocks.theta([np.eye(block.q) for block in criterion.blocks.blocks]))
        for _ in range(STEPS):
            scored = evaluate(scored_theta(criterion.blocks, first))
            first = scored if scored.deviance < first.deviance else first
    return descend(criterion, evaluate, first, tolerance=max(TOLERANCE, PER_ROW * criterion.system.cross.n))
