"""The search for the optimum of a model of correlated rows.

Newton's method with the exact Hessian in φ, within a trust region (`search.optimize`), from starts that the structure
makes of the least-squares residuals. Its end is certified by the Hessian there: at a variance of zero, where the
gradient in λ vanishes by symmetry, a lower deviance nearby shows as negative curvature, which the search follows. An
end with a singular λ or a structure at the end of its range is not taken before other starts have been tried. Of a
likelihood whose Hessian is a model the exact one is asked where the model does not certify an end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np

from henderson.contract.rows import Rows
from henderson.covariance.layout import Layout
from henderson.covariance.roots import factor_of
from henderson.engine.residual.by_levels import ByLevels
from henderson.engine.residual.crossed import CrossedModel
from henderson.engine.residual.ends import End, Point
from henderson.engine.residual.markov import MarkovModel
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.peaks import at_limit, beside, lifted
from henderson.engine.residual.plain import PlainModel
from henderson.engine.residual.point import block_at
from henderson.engine.residual.ranges import other_ranges
from henderson.engine.residual.related import RelatedModel
from henderson.engine.residual.starts import (
    by_moments,
    elsewhere,
    of_either_sign,
    of_exponents,
    of_ranges,
    of_summed,
    scattered,
    starts_of,
)
from henderson.engine.residual.summed import SummedModel, SummedPoint
from henderson.engine.search.optimize import MAX_ITERATIONS, Optimum, minimize
from henderson.errors import DataError
from henderson.numerics.lapack import eigen

FloatArray = np.ndarray

#: a singular value of a working λ below which it is singular
SINGULAR = 1e-4
#: a working variance that is zero but for rounding
ROUNDING = 1e-9
#: deviance by which another end must be lower to be taken
LOWER = 1e-7
#: an eigenvalue of the Hessian, each coordinate in its own unit, below minus this is a direction to go on in
NEGATIVE = 1e-4
#: what a slope may be wrong by, times the variance of the rows whose weights are largest
ROUNDED = 8 * float(np.finfo(float).eps)
#: deviance that a step may still promise at a certified end; relative curvature below which a direction is flat
LEFT, FLAT = 1e-6, 1e-12
#: rows a variance parameter below which all starts are tried, and correlations of either sign; below the first of them
#: an optimum within the structure's range is preferred to a lower end of it
FEW, SEVERAL = 20, 75
#: iterations of a descent at an end of the structure's range, after those that most need, before it is given up; and
#: of any where rows are few
LINGERING, USUAL, LONG = 15, 10, 150
#: iterations after which descents from variances at random are compared, and how many go on
TRIAL, AHEAD = 10, 8
#: what is said of an end that is none
FALLING = "the deviance still falls: its least may lie where no variance is left"
UNBOUNDED = "the likelihood still rises where the residuals' covariance is singular"
SINGULAR_DATA = (
    "with bound=False the likelihood rises to where the covariance of the data is singular, and has no maximum there: "
    "keep variances nonnegative"
)


@dataclass(frozen=True)
class Found:
    """Where the search ended.

    Attributes
    ----------
    optimum : Optimum
    starts : int
        Descents made.
    smallest : float
        Smallest eigenvalue of the Hessian in φ, each coordinate in units of max(|φ|, 1).
    """

    optimum: Optimum[End]
    starts: int
    smallest: float


def search_blocks(
    model: BlockModel,
    rows: Rows,
    tell: Callable[[int], object] | None = None,
    near: FloatArray | None = None,
    trusted: bool = False,
    bounded: bool = True,
) -> Found:
    """The optimum of a model.

    Parameters
    ----------
    model : BlockModel
    rows : Rows
        Of the model, for starts.
    tell : callable, optional
        Told the number of evaluations.
    near : (f,) array, optional
        A φ to begin from: no other start is tried unless that ends at a boundary.
    trusted : bool
        Take a certified end near it at a boundary, too: of data that are all but those of `near`.
    bounded : bool
        Whether the likelihood may have a maximum: where it has none, a local one is as good as another.
    """

    plain = PlainModel.where_it_suits(model, rows)
    summed = None if plain is not None else SummedModel.where_it_suits(model, rows)
    at: Callable[[FloatArray], End]
    if plain is not None:
        at = plain.at
    else:
        at = way(model, rows) if summed is None else summed.at

    def evaluate(phi: FloatArray) -> End:
        point = at(phi)
        if tell is not None:
            tell(model.evaluations)
        return point

    few = near is None and model.n < FEW * model.k  # rows to a parameter
    several = few or (near is None and model.n < SEVERAL * model.k and has_several(model))

    def descend(phi: FloatArray, beat: float = -np.inf) -> Optimum[End] | None:
        first = evaluate(phi)
        if not len(phi) and np.isfinite(first.deviance):
            return Optimum(first, 1, 0.0, 0.0, True, "nothing to estimate", (), first)
        if not np.isfinite(first.deviance):
            return None
        return _recognised(
            model, minimize(evaluate, first, beat=beat, give_up=Patience(model, few), dear=summed is not None)
        )

    def improved(best: Optimum[End], starts: Iterable[FloatArray]) -> tuple[Optimum[End], int]:
        """The best of an end and those of descents from elsewhere, and how many these were."""
        tried = 0
        for phi in starts:
            other = descend(phi, best.point.deviance)
            tried += 1
            if other is not None and _is_preferred(model, other, best, few):
                best = other
        return best, tried

    starts = starts_of(model, rows)
    if summed is not None and near is None:
        starts = chain([by_moments(model, rows)], of_summed(summed, starts))
    elif near is None:
        starts = chain(of_ranges(model, rows, evaluate), starts)
    best, tried = descend(next(starts) if near is None else near), 1
    if several or best is None or not best.converged or (at_edge(model, best.point) and not trusted):
        for phi in starts:
            beat = best.point.deviance if best is not None and several and is_certified(model, best) else -np.inf
            other = descend(phi, beat)
            tried += 1
            again = other is not None and best is not None and _is_same(other, best)
            if other is not None and (best is None or _is_preferred(model, other, best, few)):
                best = other
            if several:
                continue
            if again or (best is not None and best.converged and not at_edge(model, best.point)):
                break
    if best is None:
        raise DataError("the likelihood is nowhere finite: the residual covariance structure does not fit the data")
    best, more = improved(best, of_either_sign(model, rows) if several and is_certified(model, best) else ())
    tried += more
    if near is None and model.n < SEVERAL * model.k:
        best, more = improved(best, of_exponents(model, rows, best.point, evaluate))
        tried += more
    best, more = improved(best, other_ranges(model, rows, best.point, evaluate) if near is None else ())
    tried += more
    for first in elsewhere(model, rows, best.point, evaluate) if near is None else ():
        other = minimize(evaluate, first, beat=best.point.deviance)
        tried += 1
        taken = _is_preferred(model, other, best, few) if few else _is_better(other, best)
        best = other if taken else best
    higher = near is None and best.converged
    while higher:  # from each end that is better, once more
        before = best
        for phi in beside(model, rows, before.point):
            peak = descend(phi, best.point.deviance)
            tried += 1
            if peak is not None and peak.converged and _is_preferred(model, peak, best, few):
                best = peak
                break
        higher = best is not before
    if near is None and best.converged and bounded:
        begun = list(scattered(model, rows, best.point))
        best, _ = improved(best, _ahead(evaluate, begun))
        tried += len(begun)
    best = _recognised(model, lifted(model, best, at))
    snapped = _snap(model, best, at)
    at_end = best.full if best.full is not None and best.converged and snapped is best else snapped.point
    best, (smallest, left) = snapped, certificate(at_end, gone := at_limit(model, at_end))
    left = abs(left - (at_end.deviance - best.point.deviance))  # what the last step has not taken
    if isinstance(at_end, SummedPoint) and (left > LEFT or smallest < -NEGATIVE):
        smallest, left = certificate(best.point.exact if isinstance(best.point, SummedPoint) else at_end.exact)
    if best.converged and (left > LEFT or smallest < -NEGATIVE):
        best = replace(best, converged=False, message=FALLING)
    if not best.converged and _at_end(model, best.point):
        best = replace(best, message=UNBOUNDED)
    held = model.design.constraints
    if not best.converged and held is not None and held.unbounded:
        best = replace(best, message=SINGULAR_DATA)
    return Found(best, tried, certificate(at_end)[0] if gone.any() else smallest)


def _ahead(evaluate: Callable[[FloatArray], End], starts: Iterable[FloatArray]) -> list[FloatArray]:
    """Where the descents are that are lowest after TRIAL iterations, no more than AHEAD."""
    found = []
    for phi in starts:
        first = evaluate(phi)
        if np.isfinite(first.deviance):
            found.append(minimize(evaluate, first, give_up=Trial()).point)
    return [point.theta for point in sorted(found, key=lambda point: point.deviance)[:AHEAD]]


class Trial:
    """Gives a descent up after TRIAL iterations."""

    def __init__(self) -> None:
        self.iterations = 0

    def __call__(self, point: End) -> bool:
        """Of an iterate: whether it is to be the last."""
        self.iterations += 1
        return self.iterations >= TRIAL


class Patience:
    """When a descent is given up: where it stays at an end of the structure's range, or takes long and rows are few.

    There the likelihood mostly rises without limit, along a valley in which steps are short.
    """

    def __init__(self, model: BlockModel, few: bool) -> None:
        self.model, self.most = model, LONG if few else MAX_ITERATIONS
        self.iterations = self.lingering = 0

    def __call__(self, point: End) -> bool:
        """Of an iterate: whether it is to be the last."""
        self.iterations += 1
        if self.iterations > USUAL:
            self.lingering += _at_end(self.model, point)
        return self.lingering > LINGERING or self.iterations > self.most


def has_several(model: BlockModel) -> bool:
    """Whether a likelihood of a moderate number of rows may have several maxima: where variances and correlations are
    parameters of their own, one set of variances suits rows that all but determine each other, another those that
    hardly correlate. A covariance that is linear in its parameters follows the products of residuals."""
    return not (model.residual.is_diagonal or model.residual.linear)


def _recognised(model: BlockModel, end: Optimum[End]) -> Optimum[End]:
    """An end at an end of the structure's range, where the last digits of the deviance cannot be had, as converged."""
    if end.converged or not ((gone := at_limit(model, end.point)).any() or _at_end(model, end.point)):
        return end
    smallest, left = certificate(end.point, gone)
    certified = left <= LEFT and smallest >= -NEGATIVE
    return replace(end, converged=True, message="converged") if certified else end


def _at_end(model: BlockModel, point: End) -> bool:
    """Whether the structure is at an end of its range, but for variances of zero where the likelihood has a limit."""
    ends = model.residual.at_boundary(point.psi[model.n_g :])
    return bool(ends.any() and np.any(ends & ~at_limit(model, point)))


def _is_same(other: Optimum[End], best: Optimum[End]) -> bool:
    """Whether two descents found one certified end."""
    return other.converged and best.converged and abs(other.point.deviance - best.point.deviance) < LOWER


def _is_preferred(model: BlockModel, other: Optimum[End], best: Optimum[End], few: bool) -> bool:
    """Whether another end is to be taken: a lower one, but no end of the structure's range for an optimum within it.

    With `few` rows to a parameter the likelihood may be higher, even without limit, where the structure is singular,
    and whether a descent comes to that depends on the order of visits: an optimum within its range is then preferred.
    """
    within, before = is_certified(model, other), is_certified(model, best)
    if few and within != before:
        return within
    return _is_better(other, best) and (within or not before)


def is_certified(model: BlockModel, end: Optimum[End]) -> bool:
    """Whether an end is an optimum, the structure inside its range."""
    if not end.converged or _at_end(model, end.point):
        return False
    smallest, left = certificate(end.point)
    return left <= LEFT and smallest >= -NEGATIVE


def _snap(model: BlockModel, best: Optimum[End], at: Callable[[FloatArray], End]) -> Optimum[End]:
    """Variances of random effects that are rounding errors set to zero, if the deviance does not rise."""
    psi, changed = best.point.psi.copy(), False
    for layout, to in _bounded(model):
        values, vectors = eigen(layout.covariance(psi[to]))
        small = values < ROUNDING
        if small.any() and layout.linear:
            psi[to] = layout.g((vectors * np.where(small, 0.0, values)) @ vectors.T)
            changed = True
    if not changed:
        return best
    point = at(model.working(psi))
    return replace(best, point=point) if point.deviance <= best.point.deviance + LOWER / 100 else best


def way(model: BlockModel, rows: Rows) -> Callable[[FloatArray], Point]:
    """The likelihood with exact second derivatives, by blocks, unless another form of it costs less; of levels with
    known relationships the one that there is."""
    if model.design.is_related:
        return RelatedModel(model, rows).at
    if MarkovModel.suits(model):
        return MarkovModel(model, rows).at
    if CrossedModel.suits(model, rows):
        return CrossedModel(model, rows).at
    return partial(block_at, model)


def _is_better(other: Optimum[End], best: Optimum[End]) -> bool:
    lower = other.point.deviance < best.point.deviance - LOWER
    return lower or (other.converged and not best.converged and other.point.deviance < best.point.deviance + LOWER)


def at_edge(model: BlockModel, point: End) -> bool:
    """Whether a λ is singular, or the structure at an end of its range."""
    return has_singular(model, point.psi) or _at_end(model, point)


def has_singular(model: BlockModel, psi: FloatArray) -> bool:
    """Whether some combination of a term's effects has no variance."""
    return any(layout.least(factor_of(layout.covariance(psi[to]))) < SINGULAR for layout, to in _bounded(model))


def _bounded(model: BlockModel) -> list[tuple[Layout, slice]]:
    """Layouts of the terms with a covariance that is estimated and semidefinite, and where their G parameters are."""
    constraints = model.design.constraints
    return [
        (layout, to)
        for k, (layout, to) in enumerate(zip(model.layouts, model.g_of))
        if constraints is None or (k not in constraints.terms and k not in constraints.unbounded)
    ]


def certificate(point: End | ByLevels, gone: np.ndarray | None = None) -> tuple[float, float]:
    """Smallest eigenvalue of the Hessian, and the deviance that Newton's step would gain where it curves upwards, and
    one of length one where it is straight; of variances of no account (`at_limit`, the last of φ) their slope, but
    for the rounding of sums that their rows outweigh."""
    kept, slope = np.ones(len(point.theta), bool), 0.0
    if gone is not None and gone.any():
        kept[-len(gone) :] = ~gone
        lost = ROUNDED / point.psi[-len(gone) :][gone]
        slope = float(np.maximum(np.abs(point.gradient[~kept]) - lost, 0.0).sum())
    unit = np.maximum(np.abs(point.theta), 1.0)[kept]
    values, vectors = eigen(point.hessian_model[np.ix_(kept, kept)] * (unit[:, None] * unit))
    along = (unit * point.gradient[kept]) @ vectors
    curved = values > FLAT * values.max(initial=0.0)
    left = (along[curved] ** 2 / values[curved]).sum() / 2 + np.abs(along[~curved]).sum()
    return float(values.min(initial=np.inf)), float(left + slope)
