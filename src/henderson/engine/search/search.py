"""The search for the optimum of one criterion, and the certificate that it is one.

1. The deviance is surveyed where that is cheap (`look` says where); of a few low points descents are made all at once
   (`screen`), and the engine begins at the lowest end. Else a start is found by scoring (`scoring_start`). The deviance
   is minimised (`minimize`).
2. A variance that ended at a rounding error is set to zero, when the deviance agrees.
3. At the boundary the gradient in λ vanishes by symmetry, so there the derivative in G decides: N_k must be positive
   semidefinite. A negative direction that promises a lower deviance is followed, and the search begins again.
4. A certificate speaks of a neighbourhood, and there can be more than one minimum, each certified. Other basins of the
   survey are descended into, and small models that end singular without one are searched from more starts; the
   lowest end stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from henderson.covariance.roots import triangular
from henderson.engine.criterion import Criterion, Evaluation
from henderson.engine.search.basins import Basins
from henderson.engine.search.cones import cones, frames
from henderson.engine.search.look import BALANCED, UNLIKE, Look
from henderson.engine.search.lows import Lows, elsewhere
from henderson.engine.search.monte_carlo import MonteCarlo
from henderson.engine.search.optimize import TOLERANCE, Optimum, minimize
from henderson.engine.search.screen import ends, is_cheap
from henderson.engine.search.start import other_starts, restarts, scored_theta, scoring_start, widened_starts
from henderson.engine.search.survey import Survey
from henderson.engine.sums.blocks import Blocks
from henderson.errors import DataError
from henderson.numerics.matrices import singular_range

#: λ's smallest singular value against its largest, below which the certificate looks at N
NEARLY_SINGULAR = 1e-2
#: a standard deviation (relative to the residual's, working basis) that may be an exact zero
ROUNDING = 1e-3
#: deviance that a negative direction must promise before it is followed
WORTHWHILE = 1e-7
#: size (working basis) to which a given start is cut: further out the deviance is flat, and all but its rounding gone
FAR = 100.0
#: effects up to which a singular model is searched from other starts too
SEARCH_AGAIN = 500
#: most starts from which descents are made one by one
ONE_BY_ONE = 4
#: sizes of λ that are tried when a start has no deviance
RETREATS = (1.0, 0.1, 0.0)
#: predicted decrease, for each row, at which a descent takes its last step: what is left then is below rounding
PER_ROW = 3e-13
#: predicted decrease that leaves nine digits of a variance, and rows times effects up to which that is seen to
FINE, CHEAP = 1e-17, 300_000
#: how far below a low point of a lattice a minimum may be; between levels that are not unlike
MARGIN, NEARER = 8.0, 2.0
#: times that a search steps off the boundary
ATTEMPTS = 5


@dataclass(frozen=True)
class Certified:
    """An optimum, and what the derivative in G says of it.

    Attributes
    ----------
    optimum : Optimum
    gain : float
        Deviance that stepping off the boundary would gain.
    smallest : float
        Smallest eigenvalue of N over the singular blocks (0 where it is positive, or nothing is singular).
    off : (n_theta,) array
        Where that step would lead.
    history : tuple of (deviance, predicted decrease)
    starts : int
        Descents that were tried.
    surveyed : int
        Points of the grid that was looked at before them.
    monte_carlo : MonteCarlo, or None
        Of a search by probes.
    """

    optimum: Optimum[Evaluation]
    gain: float
    smallest: float
    off: np.ndarray
    history: tuple[tuple[float, float], ...]
    starts: int = 1
    surveyed: int = 0
    monte_carlo: MonteCarlo | None = None

    @property
    def converged(self) -> bool:
        """The certificate: neither inside nor off the boundary is there anything to gain."""
        return self.optimum.converged and self.gain <= WORTHWHILE

    @property
    def message(self) -> str:
        """One line for a person."""
        if self.gain > WORTHWHILE:
            return f"stepping off the boundary promises a deviance lower by {self.gain:.2g}"
        return self.optimum.message


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
        A point of the same design with another response, or of the other kind of likelihood, to begin from: its factor
        is used again, and a scoring step taken.
    tolerance : float
        Predicted decrease at which a descent takes its last step, where that is more than what is as good as nothing.
    """

    def evaluate(theta: np.ndarray) -> Evaluation:
        point = criterion.at(theta)
        if tell is not None:
            tell(criterion.evaluations)
        return point

    tolerance = max(tolerance, TOLERANCE, PER_ROW * criterion.system.cross.n)
    look = Look.of(criterion)
    basins, low = look.basins(), look.lows()
    free = near is None and start is None  # to begin where the survey says
    screened, starts = (None, 1) if low is None or not free else _screened(look, low)
    begin = None if screened is None else screened[0]
    first = (
        first_point(criterion, evaluate, start, begin, low, basins)
        if near is None
        else _after(criterion, evaluate, near)
    )
    ended = descend(criterion, evaluate, first, tolerance=tolerance)
    point = ended.optimum.point
    singular = any(_singular_blocks(criterion.blocks, point.lam))
    basins = look.basins(singular=singular) if basins is None else basins
    if screened is not None:
        others = [(theta, -np.inf) for theta in screened[1:]]
    else:
        low = look.lows(singular=singular) if low is None or (singular and low.is_coarse) else low
        others = _elsewhere(look, point, basins) if low is None else _not_seen(look, low, point, singular)
    seen = [point]
    others = [
        (theta, promised)
        for theta, promised in others
        if promised <= point.deviance and not _was_seen(criterion, basins, theta, seen)
    ]
    if others and starts == 1 and look.survey is not None and is_cheap(look.survey):
        starts += len(others)
        others, seen = _lower(look.survey, point, others), []
    elif len(others) > 1:
        others = _lowest(look, evaluate, others)
    if (near is None or singular) and not look.is_huge:
        again = [(theta, -np.inf) for theta in restarts(criterion.blocks, point)]
        others += _lowest(look, evaluate, again) if again else []
    for theta, promised in others:
        lowest = ended.optimum.point.deviance
        if promised > lowest or _was_seen(criterion, basins, theta, seen):
            continue
        first = evaluate(theta)
        if np.isfinite(first.deviance):
            other = descend(criterion, evaluate, first, beat=lowest, tolerance=tolerance)
            starts += 1
            seen.append(other.optimum.point)
            ended = other if other.optimum.point.deviance < lowest - WORTHWHILE else ended
    surveyed = sum(one.surveyed for one in (basins, low) if one is not None)
    return replace(ended, starts=starts, surveyed=surveyed)


def _screened(look: Look, low: Lows) -> tuple[np.ndarray | None, int]:
    """Ends of descents from low points, where there are several and descents all at once are cheap: the lowest, and
    those that have not arrived; and how many descents there were. Where levels are much alike, and the lowest is not
    singular, it is likely that a descent from there is all that is needed."""
    blocks = look.criterion.blocks
    singular = any(_singular_blocks(blocks, blocks.lam(low.theta[0])))
    if look.survey is None or not is_cheap(look.survey) or not (look.is_askew or singular):
        return None, 1
    worth = low.theta[low.deviance <= low.deviance[0] + _margin(look, low, singular)]
    if low.is_sparse:
        worth = np.concatenate([worth, other_starts(blocks, balanced=False)])
    if len(worth) < 2:
        return None, 1
    theta, deviance = ends(look.survey, worth)
    arrived = np.isfinite(deviance)
    if not arrived.any():
        return None, 1
    lowest = theta[np.where(arrived, deviance, np.inf).argmin()]
    return np.concatenate([lowest[None], theta[~arrived]]), len(theta)


def _not_seen(look: Look, low: Lows, point: Evaluation, singular: bool) -> list[tuple[np.ndarray, float]]:
    """Low points that are not in the basin of an end, and the deviance promised there."""
    margin = _margin(look, low, singular)
    low = low[low.deviance <= point.deviance + margin]
    if look.survey is None or not len(low.theta):
        return []
    other = elsewhere(look.survey, low, point.theta, point.deviance)
    out = list(zip(other.theta, (other.deviance - margin).tolist()))
    if low.is_sparse and (singular or look.is_askew):
        out += [(theta, -np.inf) for theta in other_starts(look.criterion.blocks, balanced=False)]
    return out


def _margin(look: Look, low: Lows, singular: bool) -> float:
    """How far below a low point a minimum may be: not far where levels are much alike; anywhere on a sparse lattice."""
    if not (look.is_askew or singular):
        return NEARER
    return np.inf if low.is_sparse else MARGIN


def first_point(
    criterion: Criterion,
    evaluate: Callable[[np.ndarray], Evaluation],
    start: np.ndarray | None = None,
    begin: np.ndarray | None = None,
    low: Lows | None = None,
    basins: Basins | None = None,
) -> Evaluation:
    """Where the first descent begins: a given start, the lowest of a survey, or scoring steps."""
    blocks = criterion.blocks
    if start is not None:
        point = evaluate(working_theta(criterion, start))
    elif begin is not None:
        point = evaluate(begin)
    elif basins is not None and basins.is_fine and len(basins.coordinates) == blocks.n_theta:
        point = evaluate(basins.theta[0])
    else:
        point = scoring_start(criterion, evaluate)
        if low is not None and low.deviance[0] < point.deviance:
            point = _scored(criterion, evaluate, evaluate(low.theta[0]))
    for size in RETREATS:
        if np.isfinite(point.deviance):
            return point
        point = evaluate(blocks.theta([size * np.eye(block.q) for block in blocks.blocks]))
    if not np.isfinite(point.deviance):
        raise DataError("the deviance has no value to rounding, at whatever size of the random effects")
    return point


def _after(criterion: Criterion, evaluate: Callable[[np.ndarray], Evaluation], near: Evaluation) -> Evaluation:
    """Where the descent begins when a fit of the same design is known."""
    point = criterion.at_known(near)
    if not np.isfinite(point.deviance):
        return first_point(criterion, evaluate)
    return _scored(criterion, evaluate, point)


def _scored(criterion: Criterion, evaluate: Callable[[np.ndarray], Evaluation], point: Evaluation) -> Evaluation:
    """A scoring step from a point, if that is lower."""
    if not np.isfinite(point.deviance):
        return point
    scored = evaluate(scored_theta(criterion.blocks, point))
    return scored if scored.deviance < point.deviance else point


def _elsewhere(look: Look, point: Evaluation, basins: Basins | None) -> list[tuple[np.ndarray, float]]:
    """Where else there may be a lower minimum, and the deviance promised there.

    Other basins of the survey; starts anywhere when a λ of several effects ended singular, or has so many that a grid
    sees little and levels are very unlike; in models too large for either, variances that ended at zero at sizes that
    they might have.
    """
    blocks = look.criterion.blocks
    singular = _singular_blocks(blocks, point.lam)
    out = [] if basins is None else list(zip(basins.theta, (basins.deviance - basins.error).tolist()))
    several = any(one and len(lam) > 1 for one, lam in zip(singular, point.lam))
    wide = look.unlike > UNLIKE and any(len(lam) > 2 for lam in point.lam)
    small = sum(block.size for block in blocks.blocks) <= SEARCH_AGAIN
    if small and (several or (wide and look.survey is not None and is_cheap(look.survey))):
        out += [(theta, -np.inf) for theta in other_starts(blocks, look.unlike <= BALANCED)]
    if not out and any(singular) and look.is_due and not look.is_huge:
        out += [(theta, -np.inf) for theta in widened_starts(blocks, point.lam, singular)]
    return out


def _lowest(
    look: Look, evaluate: Callable[[np.ndarray], Evaluation], elsewhere: list[tuple[np.ndarray, float]]
) -> list[tuple[np.ndarray, float]]:
    """The lower half of many starts, or fewer."""
    theta = [one for one, _ in elsewhere]
    deviance = (
        [evaluate(one).deviance for one in theta] if look.survey is None else look.survey.deviances(np.array(theta))
    )
    kept = min(ONE_BY_ONE, len(elsewhere) // 2)
    return [elsewhere[i] for i in np.argsort(deviance, kind="stable")[:kept]]


def _lower(
    survey: Survey, point: Evaluation, elsewhere: list[tuple[np.ndarray, float]]
) -> list[tuple[np.ndarray, float]]:
    """Ends of descents from elsewhere that are lower than a point, the lowest first, and what they promise."""
    theta, deviance = ends(survey, np.array([theta for theta, _ in elsewhere]))
    deviance += point.deviance - survey.deviances(point.theta[None])[0] + WORTHWHILE
    order = np.argsort(deviance, kind="stable")
    return [(theta[i], float(deviance[i])) for i in order if deviance[i] <= point.deviance]


def _was_seen(criterion: Criterion, basins: Basins | None, theta: np.ndarray, ends: list[Evaluation]) -> bool:
    """Whether a start of the survey is in the basin of an end known: much the same sizes."""
    if basins is None or theta[basins.coordinates].min() <= 0:
        return False
    sd = _standard_deviations(criterion, criterion.blocks.lam(theta))[basins.coordinates]
    return any(basins.same(sd, _standard_deviations(criterion, end.lam)[basins.coordinates]) for end in ends)


def _standard_deviations(criterion: Criterion, lam: list[np.ndarray]) -> np.ndarray:
    """Working standard deviations of the effects, at the places of θ that are on the diagonals of the λ, (k,)."""
    return criterion.blocks.theta([np.diag(np.sqrt((one**2).sum(axis=1))) for one in lam])


def descend(
    criterion: Criterion,
    evaluate: Callable[[np.ndarray], Evaluation],
    first: Evaluation,
    beat: float = -np.inf,
    tolerance: float = TOLERANCE,
) -> Certified:
    """Minimise, set rounding errors to zero, step off the boundary while that pays."""
    cross, n_effects = criterion.system.cross, sum(block.size for block in criterion.blocks.blocks)
    least = max(TOLERANCE, PER_ROW * cross.n)
    fine = FINE if cross.n * n_effects <= CHEAP and tolerance <= least else np.inf
    of = cones(criterion.blocks)

    def frame(theta: np.ndarray) -> np.ndarray:
        return frames(of, theta[None])[0]

    best = minimize(evaluate, first, beat=beat, tolerance=tolerance, fine=fine, frame=frame)
    history = best.history
    if np.isfinite(beat) and best.point.deviance >= beat:  # no use to anybody: not worth a certificate
        return Certified(best, 0.0, 0.0, best.point.theta, history)
    for attempt in range(ATTEMPTS + 1):
        best = _snap(criterion, best)
        ended = _certify(criterion, best, history)
        if ended.gain <= WORTHWHILE or attempt == ATTEMPTS:
            break
        off = evaluate(ended.off)
        if not np.isfinite(off.deviance):
            break
        again = minimize(evaluate, off, radius=0.1, tolerance=least, frame=frame)
        history += again.history
        if again.point.deviance > best.point.deviance - WORTHWHILE / 10:
            break
        best = again
    return ended


def working_theta(criterion: Criterion, theta: np.ndarray) -> np.ndarray:
    """A user's θ in the working basis, cut to where the deviance has a slope."""
    theta = np.asarray(theta, float)
    if theta.shape != (criterion.blocks.n_theta,):
        raise ValueError(f"start has {theta.size} elements, the model has {criterion.blocks.n_theta} in theta")
    if not np.isfinite(theta).all():
        raise ValueError("start has elements that are not finite")
    working = criterion.blocks.theta([triangular(lam) for lam in criterion.lam_of(theta)])
    return working * (FAR / max(float(np.abs(working).max(initial=0.0)), FAR))


def _snap(criterion: Criterion, best: Optimum[Evaluation]) -> Optimum[Evaluation]:
    """Set standard deviations that are rounding errors to zero, if the deviance does not rise."""
    found = [
        block.layout.without_rounding(one, ROUNDING**2) for block, one in zip(criterion.blocks.blocks, best.point.lam)
    ]
    if not any(changed for _, changed in found):
        return best
    point = criterion.at(criterion.blocks.theta([lam for lam, _ in found]))
    if point.deviance > best.point.deviance + 1e-9:
        return best
    return replace(best, point=point)


def _certify(criterion: Criterion, optimum: Optimum[Evaluation], history: tuple[tuple[float, float], ...]) -> Certified:
    """Half the squared most negative eigenvalue of N over the information along its vector: what a step would gain."""
    blocks, point = criterion.blocks, optimum.point
    nothing = Certified(optimum, 0.0, 0.0, point.theta, history)
    singular = _singular_blocks(blocks, point.lam)
    if not any(singular):
        return nothing
    worst = (0.0, 0, np.zeros((0, 0)))
    for k, (block, N) in enumerate(zip(blocks.blocks, point.certificate)):
        if singular[k]:
            for slope, direction in block.layout.off_boundary((N + N.T) / 2, point.lam[k]):
                if slope < worst[0]:
                    worst = (float(slope), k, direction)
    value, k, along = worst
    if value == 0.0:
        return nothing
    directions = [np.zeros((b.layout.n_theta, b.q, b.q)) for b in blocks.blocks]
    directions[k][0] = along
    curvature = float(point.information(directions).max(initial=0.0))
    if curvature <= 0.0:
        return replace(nothing, smallest=value)
    lam = list(point.lam)
    lam[k] = blocks.blocks[k].layout.nearest(lam[k] @ lam[k].T - value / curvature * along)
    return Certified(optimum, 0.5 * value**2 / curvature, value, blocks.theta(lam), history)


def _singular_blocks(blocks: Blocks, lam: list[np.ndarray]) -> list[bool]:
    """Which blocks have a term that is on its boundary, or nearly."""
    return [
        block.layout.least(one) < NEARLY_SINGULAR * max(singular_range(one)[1], 1.0)
        for block, one in zip(blocks.blocks, lam)
    ]
