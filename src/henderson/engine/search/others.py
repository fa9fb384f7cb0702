"""Where else than at the end of a descent a lower minimum may be: low points of a survey, and starts elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from henderson.engine.criterion import Evaluation
from henderson.engine.search.basins import Basins
from henderson.engine.search.cones import roots
from henderson.engine.search.descent import WORTHWHILE
from henderson.engine.search.look import BALANCED, UNLIKE, Look, Seen
from henderson.engine.search.lows import Lows, elsewhere
from henderson.engine.search.screen import ROUGH, TOLERANCE, WIDE, ends, is_cheap
from henderson.engine.search.start import inner_estimate, other_starts, shared_starts, widened_starts
from henderson.engine.search.survey import Survey
from henderson.engine.sums.blocks import NEARLY_SINGULAR

#: effects up to which a singular model is searched from other starts too
SEARCH_AGAIN = 500
#: most starts from which descents are made one by one
ONE_BY_ONE = 4
#: how far below a low point of a lattice a minimum may be; between levels that are not unlike
MARGIN, NEARER = 8.0, 2.0
#: how far above an end the boundary beside it may be for a minimum there to be lower
BESIDE = 1.0


@dataclass(frozen=True)
class Screened:
    """Where descents all at once ended, before any of the engine's.

    Attributes
    ----------
    lowest : (k,) array
        The lowest end.
    others : list of (k,) arrays, or None
        Those that have not arrived; None where descents were not made from all that is low.
    starts : int
    """

    lowest: np.ndarray
    others: list[np.ndarray] | None
    starts: int


def screened(look: Look, seen: Seen, start: np.ndarray | None = None) -> Screened | None:
    """Ends of descents on the survey's deviance, where it is due and that is cheap: from all low points of a lattice,
    if levels are very unlike; else from a start that is given, from moments where levels are much alike, or where a
    glance or a grid is lowest. None where there is nothing to begin from, or none has arrived."""
    if not look.is_due or look.survey is None or not is_cheap(look.survey):
        return None
    blocks, low = look.criterion.blocks, seen.low
    if start is None and low is not None and look.is_askew:
        singular = any(blocks.singular(blocks.lam(low.theta[0])))
        worth = low.theta[low.deviance <= low.deviance[0] + _margin(look, low, singular)]
        if low.is_sparse:
            worth = np.concatenate([worth, other_starts(blocks, balanced=False)])
        theta, deviance = ends(look.survey, worth, ROUGH if len(worth) == 1 else TOLERANCE)
        arrived = np.isfinite(deviance)
        if not arrived.any():
            return None
        lowest = theta[np.where(arrived, deviance, np.inf).argmin()]
        return Screened(lowest, list(theta[~arrived]), len(theta))
    begin = seen.begin if low is None else low.theta[0]
    begin = begin if start is None else start
    if begin is None or blocks.n_theta == 1:  # of one variance the engine's own steps cost no more
        return None
    if start is None and look.is_mild and (estimate := inner_estimate(look.criterion)) is not None:
        begin = estimate
    theta, deviance = ends(look.survey, begin[None], ROUGH, WIDE)
    return Screened(theta[0], None, 1) if np.isfinite(deviance[0]) else None


def promising(look: Look, seen: Seen, point: Evaluation, singular: bool) -> list[tuple[np.ndarray, float]]:
    """θ from which a descent may end lower than at a point, and the deviance promised there."""
    if seen.low is None:
        return _in_other_basins(look, point, seen.basins)
    margin = _margin(look, seen.low, singular)
    low = seen.low[seen.low.deviance <= point.deviance + margin]
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


def _in_other_basins(look: Look, point: Evaluation, basins: Basins | None) -> list[tuple[np.ndarray, float]]:
    """The same without a lattice.

    Other basins of the survey; starts anywhere when a λ of several effects ended singular, or has so many that a grid
    sees little and levels are very unlike; in models too large for either, or on a grid of distant
    points, variances that ended at zero at sizes that they might have.
    """
    blocks = look.criterion.blocks
    singular = point.singular
    out = [] if basins is None else list(zip(basins.theta, (basins.deviance - basins.error).tolist()))
    several = any(one and len(lam) > 1 for one, lam in zip(singular, point.lam))
    wide = look.unlike > UNLIKE and any(len(lam) > 2 for lam in point.lam)
    small = blocks.n_effects <= SEARCH_AGAIN
    if small and (several or (wide and look.survey is not None and is_cheap(look.survey))):
        out += [(theta, -np.inf) for theta in other_starts(blocks, look.unlike <= BALANCED)]
    coarse = basins is not None and not basins.is_close
    if (coarse or not out) and any(singular) and look.is_due and not look.is_huge:
        out += [(theta, -np.inf) for theta in widened_starts(blocks, point.lam, singular)]
    return out


def lowest(
    look: Look, evaluate: Callable[[np.ndarray], Evaluation], elsewhere: list[tuple[np.ndarray, float]]
) -> list[tuple[np.ndarray, float]]:
    """The lower half of many starts, or fewer."""
    deviance = _deviances(look, evaluate, [one for one, _ in elsewhere])
    kept = min(ONE_BY_ONE, len(elsewhere) // 2)
    return [elsewhere[i] for i in np.argsort(deviance, kind="stable")[:kept]]


def shared_again(
    look: Look, evaluate: Callable[[np.ndarray], Evaluation], point: Evaluation
) -> list[tuple[np.ndarray, float]]:
    """Of the starts of each size where effects may stand for the residual (`shared_starts`), the lowest."""
    sizes = shared_starts(look.criterion.blocks, point, look.criterion.system.cross.n)
    return [(theta[int(np.argmin(_deviances(look, evaluate, theta)))], -np.inf) for theta in sizes]


def on_the_boundary(
    look: Look, evaluate: Callable[[np.ndarray], Evaluation], point: Evaluation
) -> list[tuple[np.ndarray, float]]:
    """θ beside an end where a covariance that is not singular there just is, one effect r having no variance of its
    own: G − ee'/(G⁻¹)ᵣᵣ, e its unit vector. Only those hardly above the end, in small models of unlike levels: a
    minimum on the boundary can be so near to one inside that a survey takes both for one."""
    blocks = look.criterion.blocks
    if not look.is_due or blocks.n_effects > SEARCH_AGAIN:
        return []
    theta = [point.theta]
    for one in look.criterion.cones:
        if one.q == 1:
            continue
        lam = one.lam(point.theta[None])[0]
        if np.linalg.svd(lam, compute_uv=False)[-1] < NEARLY_SINGULAR:
            continue
        beside = np.repeat((lam @ lam.T)[None], one.q, axis=0)
        beside[range(one.q), range(one.q), range(one.q)] -= 1.0 / (np.linalg.inv(lam) ** 2).sum(axis=0)
        for own in roots(beside):
            theta.append(point.theta.copy())
            theta[-1][one.parameters] = own
    if len(theta) == 1:
        return []
    deviance = _deviances(look, evaluate, theta)
    return [(one, -np.inf) for one, own in zip(theta[1:], deviance[1:]) if own <= deviance[0] + BESIDE]


def _deviances(look: Look, evaluate: Callable[[np.ndarray], Evaluation], theta: list[np.ndarray]) -> np.ndarray:
    """The deviance at several θ, all at once where there is a survey; infinite where there is none."""
    several = (
        np.array([evaluate(one).deviance for one in theta])
        if look.survey is None
        else look.survey.deviances(np.array(theta))
    )
    return np.where(np.isfinite(several), several, np.inf)


def lower(
    survey: Survey, point: Evaluation, elsewhere: list[tuple[np.ndarray, float]]
) -> list[tuple[np.ndarray, float]]:
    """Ends of descents from elsewhere that are lower than a point, the lowest first, and what they promise."""
    theta, deviance = ends(survey, np.array([theta for theta, _ in elsewhere]))
    deviance += point.deviance - survey.deviances(point.theta[None])[0] + WORTHWHILE
    order = np.argsort(deviance, kind="stable")
    return [(theta[i], float(deviance[i])) for i in order if deviance[i] <= point.deviance]


def was_seen(look: Look, basins: Basins | None, theta: np.ndarray, ends: list[Evaluation]) -> bool:
    """Whether a start of the survey is in the basin of an end known: much the same sizes."""
    if basins is None or theta[basins.coordinates].min() <= 0:
        return False
    sd = _standard_deviations(look, theta)[basins.coordinates]
    return any(basins.same(sd, _standard_deviations(look, end.theta)[basins.coordinates]) for end in ends)


def _standard_deviations(look: Look, theta: np.ndarray) -> np.ndarray:
    """Working standard deviations of the effects, at the places of θ that are on the diagonals of the λ, (k,)."""
    blocks = look.criterion.blocks
    if len(blocks.standard_deviations[0]) == len(theta):
        return np.abs(theta)
    return blocks.theta([np.diag(np.sqrt((one**2).sum(axis=1))) for one in blocks.lam(theta)])
