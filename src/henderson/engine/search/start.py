"""Where a search begins: a scoring step on the variances from the moment estimate, or two from λ = I.

V is linear in the entries of G, so a scoring step from any G is close to a quadratic unbiased estimate (MINQUE,
Rao 1971) with that G as its guess; it is exact in balanced one-way data. A second step, from there, lands close to the
optimum of almost every model. Each is cut back to a positive definite matrix. In balanced data the moment estimate is
the optimum already, and no step is taken.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from henderson.covariance.roots import triangular
from henderson.engine.criterion import Criterion, Evaluation
from henderson.engine.sums.blocks import Blocks
from henderson.errors import DataError
from henderson.numerics.lapack import eigen, symmetric_solve
from henderson.numerics.matrices import combination, inner_products

#: smallest and largest variance that a start may have, relative to the residual's share
FLOOR, CEILING = 0.002, 50.0
STEPS = 2
#: rows of the dense rest from which a factor that is there serves as a start, and none is made
DEAR = 100
#: ∂d/∂G relative to the trace in it below which a start is an optimum
STATIONARY = 1e-8
#: starts drawn in models of few effects, how large, and what few means
DRAWN_SIZES = (0.5, 2.0, 0.5, 5.0, 1.0, 20.0, 2.0, 0.2)
DRAWN, SMALL = len(DRAWN_SIZES), 150
#: size (working basis) to which a given start is cut: further out the deviance is flat, and all but its rounding gone
FAR = 100.0
#: least variance of an effect, relative to the residual's share, from which a moment estimate is well inside
INSIDE = 0.02
#: sizes of λ that are tried when a start has no deviance
RETREATS = (1.0, 0.1, 0.0)
#: variance of a row's effects, relative to the residual's, from which a term may have taken its place, and correlation
#: below which effects are much like noise; standard deviations at which such a term is looked at again
SATURATED, NOISE, SHARES = 100.0, 0.3, (0.4, 1.5, 4.0)
#: standard deviations at which variances that ended at zero are tried again
WIDENED = (1.0, 5.0)


def scoring_start(criterion: Criterion, evaluate: Callable[[np.ndarray], Evaluation]) -> Evaluation:
    """The criterion at the start: scoring steps from the moment estimate, or where that is dear from λ = I."""
    blocks, equations = criterion.blocks, criterion.moment_equations
    if equations is None:
        guess = [np.eye(block.q) for block in blocks.blocks]
    else:
        guess = equations.covariances(criterion.system.cross)
    point = evaluate(_within(blocks, guess))
    for _ in range(STEPS if equations is None else 1):
        if not np.isfinite(point.deviance) or _is_stationary(point):
            break
        point = evaluate(scored_theta(blocks, point))
    return point


def inner_estimate(criterion: Criterion) -> np.ndarray | None:
    """θ of the moment estimate where there is one factor, of which it costs little, and no variance is near zero: on
    the boundary the gradient in θ vanishes whether there is a minimum or not."""
    equations, blocks = criterion.moment_equations if criterion.system.has_one_factor else None, criterion.blocks
    if equations is None:
        return None
    guess = equations.covariances(criterion.system.cross)
    if not all(INSIDE <= (values := eigen(G)[0])[0] <= values[-1] <= CEILING for G in guess):
        return None
    return blocks.theta([block.layout.nearest(G) for block, G in zip(blocks.blocks, guess)])


def _is_stationary(point: Evaluation) -> bool:
    """Whether the derivatives ∂d/∂G_k are rounding of the traces and squares of which they are differences."""
    return all(np.abs(N).max() <= STATIONARY * np.abs(own).max() for N, own in zip(point.certificate, point.totals))


def scored_theta(blocks: Blocks, point: Evaluation) -> np.ndarray:
    """θ after one scoring step in the free entries of G."""
    return _within(blocks, scored_covariances(blocks, point))


def scored_covariances(blocks: Blocks, point: Evaluation) -> list[np.ndarray]:
    """G of every block after that step, which need be neither semidefinite nor of its structure."""
    bases = [block.layout.basis() for block in blocks.blocks]
    information = point.information(bases, expected=True, in_g=True)
    gradient = np.zeros(blocks.n_g)
    for block, basis, N in zip(blocks.blocks, bases, point.certificate):
        gradient[block.g_parameters] = inner_products(basis, N)
    point.lighten()
    step = -symmetric_solve(information, gradient)
    return [
        one @ one.T + combination(step[block.g_parameters], basis)
        for block, basis, one in zip(blocks.blocks, bases, point.lam)
    ]


def _within(blocks: Blocks, covariances: list[np.ndarray]) -> np.ndarray:
    """θ of covariances cut back to what a start may have."""
    lam = []
    for block, G in zip(blocks.blocks, covariances):
        values, vectors = eigen(G)
        if not FLOOR <= values[0] <= values[-1] <= CEILING:
            G = (vectors * np.clip(values, FLOOR, CEILING)) @ vectors.T
        lam.append(block.layout.nearest(G))
    return blocks.theta(lam)


def other_starts(blocks: Blocks, balanced: bool) -> list[np.ndarray]:
    """θ elsewhere, for models that may have several minima: λ = I/5, and numbers drawn once and for all.

    More of them in small unbalanced models, which have several minima more often and where a descent costs little.
    """
    rng = np.random.default_rng(0)
    many = DRAWN if not balanced and blocks.n_effects <= SMALL else 1
    drawn = [size * rng.normal(size=blocks.n_theta) for size in DRAWN_SIZES[:many]]
    return [blocks.theta([0.2 * np.eye(block.q) for block in blocks.blocks]), *drawn]


def restarts(blocks: Blocks, point: Evaluation) -> list[np.ndarray]:
    """θ elsewhere, where a term's structure (common factors) often has several minima: see `Structure.restarts`.

    What it is told is the covariance that a scoring step from the end leads to, free of the structure.
    """
    found: list[np.ndarray] = []
    if not any(structure.many_minima for block in blocks.blocks for structure in block.layout.structures):
        return found
    for block, G in zip(blocks.blocks, scored_covariances(blocks, point)):
        for structure, rows, place in zip(block.layout.structures, block.layout.terms, block.layout.theta_of):
            for theta in structure.restarts(G[rows, rows]):
                other = point.theta.copy()
                other[block.parameters[place]] = theta
                found.append(other)
    return found


def shared_starts(blocks: Blocks, point: Evaluation, n: int) -> list[list[np.ndarray]]:
    """θ of an end where correlated effects, about one to a row, may stand for the residual: for each of some sizes of
    a row's effects, the members of their family of correlations that are not noise, too.

    So it may be where the residual variance is all but nothing, because less correlation explains every row, or where
    the effects are all but uncorrelated, and noise themselves: beside either there often is another minimum, in which
    noise and effects share the variance.
    """
    found: list[list[np.ndarray]] = []
    for block, lam in zip(blocks.blocks, point.lam):
        if 2 * block.size < n:
            continue
        for structure, rows, place in zip(block.layout.structures, block.layout.terms, block.layout.theta_of):
            own = lam[rows, rows]
            if not own.any() or not ((own**2).sum() >= SATURATED or _is_noise(own)):
                continue
            for size in SHARES:
                family = [one for one in structure.family(own, size) if not _is_noise(structure.lam(one, len(own)))]
                others = [point.theta.copy() for _ in family]
                for other, theta in zip(others, family):
                    other[block.parameters[place]] = theta
                found += [others] if others else []
    return found


def _is_noise(lam: np.ndarray) -> bool:
    """Whether effects with the root λ are all but uncorrelated."""
    cov = lam @ lam.T
    return bool(np.abs(np.tril(cov, -1)).max(initial=0.0) <= NOISE * np.diag(cov).mean())


def widened_starts(blocks: Blocks, lam: list[np.ndarray], singular: list[bool]) -> list[np.ndarray]:
    """θ of an end whose singular λ are of full rank again, of a natural size and of a large one."""
    return [
        blocks.theta([size * np.eye(len(one)) if zero else triangular(one) for one, zero in zip(lam, singular)])
        for size in WIDENED
    ]


def first_point(
    criterion: Criterion,
    evaluate: Callable[[np.ndarray], Evaluation],
    start: np.ndarray | None = None,
    begin: np.ndarray | None = None,
    low: tuple[np.ndarray, float] | None = None,
) -> Evaluation:
    """Where the first descent begins.

    Parameters
    ----------
    criterion : Criterion
    evaluate : callable
        The criterion at a θ.
    start : (k,) array, optional
        A working θ that is given.
    begin : (k,) array, optional
        A working θ from which a scoring step leads to a good start; of one variance it is that already.
    low : tuple of (k,) array and float, optional
        The lowest point of a coarse survey, and its deviance: where scoring is not lower, a step from there.
    """
    blocks = criterion.blocks
    if start is not None:
        point = evaluate(start)
    elif begin is not None:
        point = evaluate(begin)
        point = point if blocks.n_theta == 1 else _scored(criterion, evaluate, point)
    else:
        point = scoring_start(criterion, evaluate)
        if low is not None and low[1] < point.deviance:
            point = _scored(criterion, evaluate, evaluate(low[0]))
    for size in RETREATS:
        if np.isfinite(point.deviance):
            return point
        point = evaluate(blocks.theta([size * np.eye(block.q) for block in blocks.blocks]))
    if not np.isfinite(point.deviance):
        raise DataError("the deviance has no value to rounding, at whatever size of the random effects")
    return point


def point_after(
    criterion: Criterion, evaluate: Callable[[np.ndarray], Evaluation], near: Evaluation, *, rough: bool = False
) -> Evaluation:
    """Where the descent begins when a fit of the same design is known: at its factor, where another is dear and a guess
    at the variances hardly nearer, or where a `rough` end will do."""
    if not rough and criterion.order < DEAR and criterion.moment_equations is not None:
        return first_point(criterion, evaluate)
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


def working_theta(criterion: Criterion, theta: np.ndarray) -> np.ndarray:
    """A user's θ in the working basis, cut to where the deviance has a slope."""
    theta = np.asarray(theta, float)
    if theta.shape != (criterion.blocks.n_theta,):
        raise ValueError(f"start has {theta.size} elements, the model has {criterion.blocks.n_theta} in theta")
    if not np.isfinite(theta).all():
        raise ValueError("start has elements that are not finite")
    working = criterion.blocks.theta([triangular(lam) for lam in criterion.lam_of(theta)])
    return working * (FAR / max(float(np.abs(working).max(initial=0.0)), FAR))
