"""The search for the optimum of a model of correlated rows.

Newton's method with the exact Hessian in φ, within a trust region (`search.optimize`), from starts that the structure
makes of the least-squares residuals. Its end is certified by the Hessian there: at a variance of zero, where the
gradient in λ vanishes by symmetry, a lower deviance nearby shows as negative curvature, which the search follows. An
end with a singular λ or a structure at the end of its range is not taken before other starts have been tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TypeAlias

import numpy as np

from henderson.contract.constraints import is_fixed
from henderson.contract.rows import Rows
from henderson.covariance.layout import Layout
from henderson.covariance.roots import factor_of
from henderson.engine.residual.crossed import CrossedModel, CrossedPoint
from henderson.engine.residual.markov import MarkovModel, MarkovPoint
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.plain import PlainModel, PlainPoint
from henderson.engine.residual.point import BlockPoint, block_at
from henderson.engine.residual.summed import SummedModel, SummedPoint
from henderson.engine.search.optimize import Optimum, minimize
from henderson.errors import DataError
from henderson.numerics.lapack import eigen

FloatArray = np.ndarray

#: rows a variance parameter below which all starts are tried
FEW = 20
#: share of the variance that random effects begin with: of the first start, and of the others
SHARES = (0.3, 0.05, 0.7)
#: share of the variance that a term has at least where moments say what it begins with
LEAST = 0.01
#: shares of the variance that effects of single rows have beside residuals that correlate, in further starts, and the
#: correlations of neighbours there
NOISE, CORRELATED = (0.2, 0.5, 0.85), (0.97, 0.7, -0.6)
#: a singular value of a working λ below which it is singular
SINGULAR = 1e-4
#: a working variance that is zero but for rounding
ROUNDING = 1e-9
#: deviance by which another end must be lower to be taken
LOWER = 1e-7
#: an eigenvalue of the Hessian, each coordinate in its own unit, below minus this is a direction to go on in
NEGATIVE = 1e-4
#: deviance that a step may still promise at a certified end; relative curvature below which a direction is flat
LEFT, FLAT = 1e-6, 1e-12
#: rows a variance parameter below which all starts are tried
FEW = 20
#: share of the variances that is added to a covariance of low rank to find other factors in it; descents from these
LIFTED, AGAIN = 0.3, 4
#: points with exact second derivatives, and all that a search may end at
Point: TypeAlias = BlockPoint | MarkovPoint | CrossedPoint
End: TypeAlias = Point | SummedPoint | PlainPoint
#: what is said of an end that is none
FALLING = "the deviance still falls: its least may lie where no variance is left"
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

    def descend(phi: FloatArray) -> Optimum[End] | None:
        first = evaluate(phi)
        if not len(phi) and np.isfinite(first.deviance):
            return Optimum(first, 1, 0.0, 0.0, True, "nothing to estimate", (), first)
        return minimize(evaluate, first) if np.isfinite(first.deviance) else None

    starts = _starts(model, rows)
    if summed is not None and near is None:
        starts = chain([_by_moments(model, rows)], _of_summed(summed, starts))
    best, tried = descend(next(starts) if near is None else near), 1
    few = near is None and model.n < FEW * model.k  # rows to a parameter: there may be several optima
    if few or best is None or not best.converged or (at_edge(model, best.point) and not trusted):
        for phi in starts:
            other = descend(phi)
            tried += 1
            again = other is not None and best is not None and _is_same(other, best)
            if other is not None and (best is None or _is_preferred(model, other, best, few)):
                best = other
            if few:
                continue
            if again or (best is not None and best.converged and not at_edge(model, best.point)):
                break
    if best is None:
        raise DataError("the likelihood is nowhere finite: the residual covariance structure does not fit the data")
    for first in _elsewhere(model, rows, best.point, evaluate) if near is None else ():
        other = minimize(evaluate, first, beat=best.point.deviance)
        tried += 1
        best = other if _is_better(other, best) else best
    snapped = _snap(model, best, at)
    at_end = best.full if best.full is not None and best.converged and snapped is best else snapped.point
    best, (smallest, left) = snapped, _certificate(at_end)
    if best.converged and (left > LEFT or smallest < -NEGATIVE):
        best = replace(best, converged=False, message=FALLING)
    held = model.design.constraints
    if not best.converged and held is not None and held.unbounded:
        best = replace(best, message=SINGULAR_DATA)
    return Found(best, tried, smallest)


def _is_same(other: Optimum[End], best: Optimum[End]) -> bool:
    """Whether two descents found one certified end."""
    return other.converged and best.converged and abs(other.point.deviance - best.point.deviance) < LOWER


def _is_preferred(model: BlockModel, other: Optimum[End], best: Optimum[End], few: bool) -> bool:
    """Whether another end is to be taken: a lower one, but no end of the structure's range for an optimum within it.

    With `few` rows to a parameter the likelihood may be higher, even without limit, where the structure is singular,
    and whether a descent comes to that depends on the order of visits: an optimum within its range is then preferred.
    """
    within, before = _is_certified(model, other), _is_certified(model, best)
    if few and within != before:
        return within
    return _is_better(other, best) and (within or not before)


def _is_certified(model: BlockModel, end: Optimum[End]) -> bool:
    """Whether an end is an optimum, the structure inside its range."""
    if not end.converged or np.any(model.residual.at_boundary(end.point.psi[model.n_g :])):
        return False
    smallest, left = _certificate(end.point)
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
    """The likelihood with exact second derivatives: by blocks, unless another form of it costs less."""
    if MarkovModel.suits(model):
        return MarkovModel(model, rows).at
    if CrossedModel.suits(model, rows):
        return CrossedModel(model, rows).at
    return partial(block_at, model)


def _is_better(other: Optimum[End], best: Optimum[End]) -> bool:
    lower = other.point.deviance < best.point.deviance - LOWER
    return lower or (other.converged and not best.converged and other.point.deviance < best.point.deviance + LOWER)


def _starts(model: BlockModel, rows: Rows) -> Iterator[FloatArray]:
    """Coordinates to begin from, the best guess first."""
    e, degree = _least_squares(model, rows), model.residual.degree
    assert rows.residual is not None
    found = model.residual.starts(e, rows.residual, rows.weights)
    shares = SHARES if model.layouts else (0.0,)
    for share in shares:
        for psi in found:
            sizes = [share / max(len(model.layouts), 1)] * len(model.layouts)
            yield _start_of(model, sizes, np.where(degree > 0, (1 - share) * psi, psi))


def _least_squares(model: BlockModel, rows: Rows) -> FloatArray:
    """Residuals of least squares, in units of s, (n,)."""
    c = np.empty((rows.n, model.p + 1))
    model.basis.rows(rows, c)
    return c[:, -1] if rows.weights is None else c[:, -1] / np.sqrt(rows.weights)


def _start_of(model: BlockModel, sizes: list[float], psi: FloatArray) -> FloatArray:
    """φ of variances of the terms' effects, all together of each, and of the structure's parameters."""
    of_g = [
        np.array([size]) if model.coordinates.is_signed(k) else layout.theta_of_cov(np.eye(layout.q) * size / layout.q)
        for k, (layout, size) in enumerate(zip(model.layouts, sizes))
    ]
    return model.coordinates.free(np.concatenate([*of_g, model.residual.working(psi)]))


def _shared(model: BlockModel, rows: Rows, evaluate: Callable[[FloatArray], End]) -> list[End]:
    """Where random effects, about one to a row, are noise beside residuals that correlate: of each of several shares
    of it the correlation with the lowest deviance.

    Either can stand for the other: without noise where less correlation explains every row, and with all but
    uncorrelated residuals, there may be minima of their own.
    """
    noisy = [2 * term.n_levels * term.n_columns > model.n for term in model.design.terms]
    if not any(noisy) or model.residual.structure.memory == 0:
        return []
    e, degree, found = _least_squares(model, rows), model.residual.degree, []
    assert rows.residual is not None
    family = [model.residual.starts(e, rows.residual, rows.weights, rho=rho)[0] for rho in CORRELATED]
    for noise in NOISE:
        sizes = [noise / sum(noisy) if own else SHARES[1] / len(noisy) for own in noisy]
        tried = [evaluate(_start_of(model, sizes, np.where(degree > 0, (1 - noise) * psi, psi))) for psi in family]
        found.append(min(tried, key=lambda one: one.deviance))
    return found


def _by_moments(model: BlockModel, rows: Rows) -> FloatArray:
    """Coordinates that sums by level say, a term after the other, and products of what they leave of the residuals.

    Of a column z with d_j = Σz² in level j and b_j = Σze/d_j, G = (Σd_jb_j² − J s²)/Σd_j, s² the mean square within
    levels, and e loses z b_j shrunk.
    """
    e, sizes = _least_squares(model, rows), []
    assert rows.residual is not None
    least = LEAST * float(e @ e) / len(e)
    for term, own, T in zip(model.design.terms, rows.terms, model.roots):
        size = 0.0
        assert own.codes is not None
        for z in (own.columns @ T).T:
            d = np.bincount(own.codes, z * z, term.n_levels)
            b = np.bincount(own.codes, z * e, term.n_levels) / np.where(d > 0, d, 1.0)
            between = float(d @ b**2)
            within = max(float(e @ e) - between, 0.0) / max(len(e) - term.n_levels, 1)
            g = max((between - np.count_nonzero(d) * within) / float(d.sum()), least)
            e = e - z * (b * g * d / (g * d + within + least))[own.codes]
            size += g
        sizes.append(size)
    return _start_of(model, sizes, model.residual.starts(e, rows.residual, rows.weights)[0])


def _of_summed(summed: SummedModel, starts: Iterator[FloatArray]) -> Iterator[FloatArray]:
    """The others: of each share what the residuals say, in order, and all but independent ones."""
    guesses = list(starts)
    yield from _in_order(summed, guesses[::2])
    yield from guesses[1::2]


def _in_order(summed: SummedModel, starts: list[FloatArray]) -> list[FloatArray]:
    """Starts with their overall variance at its best, r²/ν times theirs, the lowest deviance first.

    With that factor s the deviance is ν log s + ν − r² more.
    """
    model, found = summed.model, []
    degree = np.concatenate([np.ones(model.n_g), model.residual.degree])
    for phi in starts:
        point = summed.at(phi)
        if np.isfinite(point.deviance):
            scale = point.r2 / model.nu
            deviance = point.deviance + model.nu * (np.log(scale) + 1) - point.r2
            found.append((float(deviance), model.working(np.where(degree > 0, scale, 1.0) * point.psi)))
    return [phi for _, phi in sorted(found, key=lambda one: one[0])] or starts


def _elsewhere(model: BlockModel, rows: Rows, point: End, evaluate: Callable[[FloatArray], End]) -> list[End]:
    """The lowest points of those from which a model with several minima is searched again: common factors in the
    bars, or noise and correlated residuals beside each other."""
    found = _shared(model, rows, evaluate)
    own, to, _ = model.coordinates.places
    for k, (layout, place, g) in enumerate(zip(model.layouts, own, to)):
        if is_fixed(model.design.constraints, k):
            continue
        G = layout.covariance(point.psi[g])
        for theta in layout.structures[0].restarts(G + LIFTED * np.diag(np.diag(G))):
            x = model.coordinates.whole(point.theta).copy()
            x[place] = theta
            found.append(evaluate(model.coordinates.free(x)))
    known = [one for one in found if np.isfinite(one.deviance)]
    return sorted(known, key=lambda one: one.deviance)[:AGAIN]


def at_edge(model: BlockModel, point: End) -> bool:
    """Whether a λ is singular, or the structure at an end of its range."""
    return has_singular(model, point.psi) or bool(np.any(model.residual.at_boundary(point.psi[model.n_g :])))


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


def _certificate(point: End) -> tuple[float, float]:
    """Smallest eigenvalue of the Hessian, and the deviance that Newton's step would gain where it curves upwards."""
    unit = np.maximum(np.abs(point.theta), 1.0)
    values, vectors = eigen(point.hessian_model * (unit[:, None] * unit))
    along = (unit * point.gradient) @ vectors
    curved = values > FLAT * values.max(initial=0.0)
    return float(values.min(initial=np.inf)), float((along[curved] ** 2 / values[curved]).sum() / 2)
