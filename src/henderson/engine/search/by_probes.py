"""The search when log|C| comes from probes: rounds, each with the optimum of one smooth function of θ.

1. A start by scoring, and a descent with few probes.
2. Slow directions are found where that ended, and as many probes taken as the spread asks for: the Monte-Carlo error
   of every combination of variances below a tenth of its standard error, and where C is not sparse that of the
   deviance below `DEVIANCE` (for `ENOUGH` probes at most).
3. A descent from there. Steps 2 and 3 again until it is so.
4. Where variances ended at zero: descents from larger ones. Where θ was given to begin from: one from scoring, too.
5. Where the deviance is not known to `DEVIANCE` and C is sparse: the level of log|C| (`level`), which adds a constant.

More probes leave the first as they are, so each round begins close to its end. Nothing is surveyed, as in the exact
search of models as large; `Search.starts` says how many descents there were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from henderson.engine.criterion import Criterion, Evaluation
from henderson.engine.factor.iterative.rest import IterativeRest
from henderson.engine.factor.iterative.system import IterativeSystem
from henderson.engine.search.descent import WORTHWHILE, Certified, descend
from henderson.engine.search.monte_carlo import BELOW, Spread, monte_carlo
from henderson.engine.search.start import first_point, scoring_start, widened_starts, working_theta

#: Monte-Carlo error relative to the standard error, and that of the deviance, that is small enough
SHARE, DEVIANCE = 0.1, 0.1
#: probes beyond which the deviance asks for no more, and most of all
ENOUGH, MOST = 64, 4096
#: predicted decrease at which a first descent is over, and a later one
ROUGH, FINE = 1e-2, 1e-7
#: deviance above the end's from which a rough descent from elsewhere is of no use, beside twice the Monte-Carlo error
NEAR = 1.0
#: times that probes are added
ROUNDS = 8


def search_by_probes(
    criterion: Criterion,
    start: np.ndarray | None = None,
    tell: Callable[[int], None] | None = None,
    *,
    near: Evaluation | None = None,
) -> Certified:
    """The optimum of a criterion whose rest iterates.

    Parameters
    ----------
    criterion : Criterion
        Of an `IterativeSystem`.
    start : (k,) array, optional
        A θ in the user's units to begin from.
    tell : callable, optional
        Gets each evaluation's number.
    near : Evaluation, optional
        A point of the same design with another response, or of the other kind of likelihood, to begin from.

    Returns
    -------
    Certified
        Its point belongs to the criterion with the probes that were needed in the end.
    """
    counted = criterion

    def evaluate(theta: np.ndarray) -> Evaluation:
        point = criterion.at(theta)
        counted.evaluations += criterion is not counted
        if tell is not None:
            tell(counted.evaluations)
        return point

    if near is not None:
        start_theta = near.theta
    elif start is not None:
        start_theta = working_theta(criterion, start)
    else:
        start_theta = None
    first = first_point(criterion, evaluate) if start_theta is None else evaluate(start_theta)
    ended = descend(criterion, evaluate, first, tolerance=ROUGH)  # 1
    history = ended.history
    for _ in range(ROUNDS):
        point = ended.optimum.point
        rest = _rest(point)
        spread = Spread.of(point, point.hessian_model)
        count = needed(spread)
        criterion = _with(criterion, rest, count)  # 2
        ended = descend(criterion, evaluate, evaluate(point.theta), tolerance=FINE)  # 3
        history += ended.history
        spread = Spread.of(ended.optimum.point, ended.optimum.point.hessian_model)
        if needed(spread) <= count or count >= MOST:
            break
    ended, starts, more = _elsewhere(criterion, ended, NEAR + 2 * spread.deviance, again=start is not None)  # 4
    if starts > 1:
        spread = Spread.of(ended.optimum.point, ended.optimum.point.hessian_model)
    if spread.deviance > DEVIANCE and _rest(spread.point).pairs.are_few:
        ended = _levelled(ended)  # 5
        spread, more = Spread.of(ended.optimum.point, ended.optimum.point.hessian_model), more + 1
    ended.optimum.point.criterion.evaluations = counted.evaluations + more
    return replace(ended, history=history, starts=starts, monte_carlo=monte_carlo(spread))


def _levelled(ended: Certified) -> Certified:
    """The same end on a deviance with a level of its own: the gradient is what it was."""
    point, system = ended.optimum.point, ended.optimum.point.criterion.system
    assert isinstance(system, IterativeSystem)
    probes = _rest(point).levelled(DEVIANCE, BELOW)
    again = replace(point.criterion, system=system.with_probes(probes)).at(point.theta)
    return replace(ended, optimum=replace(ended.optimum, point=again))


def descend_again(criterion: Criterion, theta: np.ndarray) -> Certified:
    """The optimum near θ (working basis) by the criterion's own probes: that of a few rows less moves as the data say,
    and not because other signs were drawn."""
    ended = descend(criterion, criterion.at, criterion.at(theta), tolerance=FINE)
    point = ended.optimum.point
    return replace(ended, monte_carlo=monte_carlo(Spread.of(point, point.hessian_model)))


def _elsewhere(criterion: Criterion, ended: Certified, near: float, *, again: bool) -> tuple[Certified, int, int]:
    """The lowest of an end and of descents from elsewhere, how many descents and how many evaluations there were.

    Slow directions are those of where the end is, so what is far from it is looked at without them first; an end of
    that which is higher by `near` is given up.
    """
    blocks, point, starts = criterion.blocks, ended.optimum.point, 1
    far, before = criterion.elsewhere(), criterion.evaluations
    singular = point.singular
    firsts = [far.at(theta) for theta in widened_starts(blocks, point.lam, singular)] if any(singular) else []
    if again:
        firsts.append(scoring_start(far, far.at))
    for first in firsts:
        if not np.isfinite(first.deviance):
            continue
        starts += 1
        least = ended.optimum.point.deviance
        rough = descend(far, far.at, first, beat=least + near, tolerance=ROUGH).optimum.point
        if rough.deviance < least + near:
            other = descend(criterion, criterion.at, criterion.at(rough.theta), beat=least, tolerance=FINE)
            ended = other if other.optimum.point.deviance < least - WORTHWHILE else ended
    return ended, starts, far.evaluations + criterion.evaluations - before


def needed(spread: Spread) -> int:
    """Probes that the errors ask for: they fall as 1 / √N."""
    count = _rest(spread.point).probes.count
    for_deviance = 0.0 if _rest(spread.point).pairs.are_few else min(count * (spread.deviance / DEVIANCE) ** 2, ENOUGH)
    wanted = max(count * (spread.share / SHARE) ** 2, for_deviance)
    return int(min(max(8 * np.ceil(wanted / 8), count), MOST))


def _with(criterion: Criterion, rest: IterativeRest, count: int) -> Criterion:
    system = criterion.system
    assert isinstance(system, IterativeSystem)
    return replace(criterion, system=system.with_probes(replace(rest.refreshed(), count=count)))


def _rest(point: Evaluation) -> IterativeRest:
    rest = point.factor.rest
    assert isinstance(rest, IterativeRest)
    return rest
