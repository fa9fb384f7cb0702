"""The search for the optimum of one criterion, and for another that is lower.

1. Where levels are much unlike, the deviance is surveyed first (`look` says with what care); of a few low points
   descents are made all at once (`screen`), and the engine begins at the lowest end. Else a start is found by scoring.
2. From there the engine descends, to an end with a certificate (`descent`).
3. A certificate speaks of a neighbourhood, and there can be more than one minimum, each certified. Where levels are
   much alike and the end is inside, a glance at a coarse lattice says whether there may be another; else, or then, the
   deviance is surveyed with care, and what is low elsewhere is descended from (`others`). The lowest end stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from henderson.engine.criterion import Criterion, Evaluation
from henderson.engine.saturated import far_starts
from henderson.engine.search.descent import PER_ROW, Certified, descend
from henderson.engine.search.glance import is_alone
from henderson.engine.search.look import Look, Seen
from henderson.engine.search.optimize import TOLERANCE
from henderson.engine.search.others import lower, lowest, on_the_boundary, promising, screened, shared_again, was_seen
from henderson.engine.search.screen import is_cheap
from henderson.engine.search.start import first_point, point_after, restarts, widened_starts, working_theta

#: share of the variance of y that the residual has where effects may stand in its place
LITTLE = 0.01
#: effects of related levels up to which descents are made from these sizes of all standard deviations, too
FEW_RELATED, SIZES = 1_000, (0.1, 4.0)


def search(
    criterion: Criterion,
    start: np.ndarray | None = None,
    tell: Callable[[int], None] | None = None,
    *,
    near: Evaluation | None = None,
    tolerance: float = 0.0,
) -> Certified:
    """The optimum of a criterion.

    Parameters
    ----------
    criterion : Criterion
    start : (k,) array, optional
        A θ in the user's units to begin from.
    tell : callable, optional
        Gets each evaluation's number.
    near : Evaluation, optional
        A point of the same design with another response, or of the other kind of likelihood, to begin from: where
        another factor is dear, or a rough end will do, its factor is used again, and a scoring step taken.
    tolerance : float
        Predicted decrease at which a descent takes its last step, where that is more than what is as good as nothing.
    """

    def evaluate(theta: np.ndarray) -> Evaluation:
        point = criterion.at(theta)
        if tell is not None:
            tell(criterion.evaluations)
        return point

    rough, tolerance = tolerance > 0.0, max(tolerance, TOLERANCE, PER_ROW * criterion.system.cross.n)
    if criterion.blocks.are_related:
        return _search_related(criterion, evaluate, start, near, tolerance)
    look = Look.of(criterion)
    # 1.
    seen, given = look.at_first(), None if start is None else working_theta(criterion, start)
    found = screened(look, seen, given) if near is None else None
    if near is not None:
        first = point_after(criterion, evaluate, near, rough=rough)
    elif found is None or not np.isfinite((first := evaluate(found.lowest)).deviance):
        first = first_point(criterion, evaluate, given, seen.begin, seen.lowest)
    # 2.
    ended = descend(criterion, evaluate, first, tolerance=tolerance)
    # 3.
    singular = any(ended.optimum.point.singular) or _little_is_left(ended.optimum.point)
    if look.is_mild and not singular and look.survey is not None:
        glanced, point = look.glanced, ended.optimum.point
        if glanced is not None and is_alone(look.survey, glanced, point.theta, point.deviance):
            return replace(ended, surveyed=glanced.surveyed)
    if found is None or found.others is None or (singular and found.starts == 1):
        seen = look.see(singular=singular, known=None if look.is_mild else seen)
        others, starts = promising(look, seen, ended.optimum.point, singular), 1
    else:
        others, starts = [(theta, -np.inf) for theta in found.others], found.starts
    ended, starts = _descend_elsewhere(look, evaluate, ended, seen, others, starts, tolerance, again=near is None)
    return replace(ended, starts=starts, surveyed=seen.surveyed)


def _search_related(
    criterion: Criterion,
    evaluate: Callable[[np.ndarray], Evaluation],
    start: np.ndarray | None,
    near: Evaluation | None,
    tolerance: float,
) -> Certified:
    """The optimum where levels are related: a descent from a scored start; others from a natural and a large size
    where that ends singular, and from a small and a large one where there are few effects, whose likelihoods have
    several minima more often. A survey takes levels to be independent."""
    if near is not None:
        first = point_after(criterion, evaluate, near)
    else:
        first = first_point(criterion, evaluate, None if start is None else working_theta(criterion, start))
    ended, starts = descend(criterion, evaluate, first, tolerance=tolerance), 1
    blocks, lam, singular = criterion.blocks, ended.optimum.point.lam, ended.optimum.point.singular
    others = widened_starts(blocks, lam, singular) if any(singular) else []
    if blocks.n_effects <= FEW_RELATED:
        others += [blocks.theta([size * np.eye(block.q) for block in blocks.blocks]) for size in SIZES]
    for theta in others:
        least, other_first = ended.optimum.point.deviance, evaluate(theta)
        if np.isfinite(other_first.deviance):
            other = descend(criterion, evaluate, other_first, beat=least, tolerance=tolerance)
            starts += 1
            ended = other if other.is_below(ended) else ended
    return replace(ended, starts=starts)


def _little_is_left(point: Evaluation) -> bool:
    """Whether effects, half as many as rows at the least, took nearly all of y's variance (which is one)."""
    criterion = point.criterion
    return bool(2 * criterion.blocks.n_effects >= criterion.system.cross.n and point.r2 < LITTLE * criterion.nu)


def _descend_elsewhere(
    look: Look,
    evaluate: Callable[[np.ndarray], Evaluation],
    ended: Certified,
    seen: Seen,
    others: list[tuple[np.ndarray, float]],
    starts: int,
    tolerance: float,
    *,
    again: bool,
) -> tuple[Certified, int]:
    """The lowest of an end and those of descents from other θ, given with what they promise, and how many descents
    there were: all at once where that is cheap, then only from those that end lower."""
    criterion, point = look.criterion, ended.optimum.point
    known = [point]
    others = [one for one in others if one[1] <= point.deviance and not was_seen(look, seen.basins, one[0], known)]
    if others and starts == 1 and look.survey is not None and is_cheap(look.survey):
        starts += len(others)
        others, known = lower(look.survey, point, others), []
    elif len(others) > 1:
        others = lowest(look, evaluate, others)
    if (again or any(point.singular)) and not look.is_huge:
        more = [(theta, -np.inf) for theta in restarts(criterion.blocks, point)]
        others += lowest(look, evaluate, more) if more else []
    if not look.is_huge:
        others += shared_again(look, evaluate, point)
    others += [(theta, -np.inf) for theta in far_starts(criterion, point)]
    ended, ends = _lowest_of(look, evaluate, ended, seen, others, known, tolerance)
    beside = on_the_boundary(look, evaluate, ended.optimum.point)
    ended, last = _lowest_of(look, evaluate, ended, seen, beside, known, tolerance)
    return ended, starts + ends + last


def _lowest_of(
    look: Look,
    evaluate: Callable[[np.ndarray], Evaluation],
    ended: Certified,
    seen: Seen,
    others: list[tuple[np.ndarray, float]],
    known: list[Evaluation],
    tolerance: float,
) -> tuple[Certified, int]:
    """The lowest of an end and those of descents from other θ, one by one, and how many there were; their ends are
    added to those `known`."""
    starts = 0
    for theta, promised in others:
        least = ended.optimum.point.deviance
        if promised > least or was_seen(look, seen.basins, theta, known):
            continue
        first = evaluate(theta)
        if np.isfinite(first.deviance):
            other = descend(look.criterion, evaluate, first, beat=least, tolerance=tolerance)
            starts += 1
            known.append(other.optimum.point)
            ended = other if other.is_below(ended) else ended
    return ended, starts
