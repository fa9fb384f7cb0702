"""Narrow peaks of the likelihood: where the fitted values come near to few rows that have a variance of their own.

A stratum of m rows with a variance σ² of its own, at its best for each β, adds m log RSS(β) to −2 log L: the likelihood
is a product of t densities, which has many maxima. So from an optimum

1. the standard deviation of each stratum, or visit, of few rows is made SMALLER in turn: the effects then fit its rows;
   one that is next to none is made larger
2. from there variances settle, all starts at once (`settling`)
3. descents begin at the lowest; from an end that is lower than the optimum, once more

Where residuals correlate, visits do not settle: they are few, and descents begin at once, as they do of strata of so
few rows besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from henderson.contract.residual import ResidualRows
from henderson.contract.rows import Rows
from henderson.covariance.residual.residual import Residual
from henderson.covariance.residual.structure import ByVisit
from henderson.engine.residual.ends import End
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.settling import NEXT_TO_NONE, Settled, Settling
from henderson.engine.search.optimize import Optimum

FloatArray = np.ndarray

#: rows of a stratum, and of a visit whose residuals correlate with others, below which it may have a peak of its own;
#: what its standard deviation is times
FEW, FEW_SERIES, SMALLER = 20, 10, (0.2, 0.05, 0.01)
#: the least standard deviation, the median one, to begin from; what is added to G, in units of y, before it settles
LEAST, SIZES = 1e-4, (1e-4, 0.02, 0.5)
#: variance, the largest one, below which it may have vanished, and the curvature in its logarithm if it has
VANISHING, FLAT = 1e-6, 1e-3
#: variance (y has unit variance) below which sums of squares lose their digits to its rows' weights, and the deviance
#: above its limit that is of no account
FLOOR, OF_NO_ACCOUNT = 3e-10, 5e-7
#: cubes of the blocks' rows, and rows times strata, of all starts: beyond, only strata of the fewest rows are changed
WORK = 3e8
#: deviance above the optimum's at which what has settled is left, also where correlations have not; most descents
ABOVE, ABOVE_CORRELATED, DESCENTS = 0.1, 3.0, 4


@dataclass(frozen=True)
class Strata:
    """Sets of rows with standard deviations of their own.

    Attributes
    ----------
    codes : (n,) intp array
    counts : (k,) int array
    scaled : callable
        ψ (r,) with standard deviations times factors (k,).
    settle : bool
        Whether V is linear in their variances.
    """

    codes: np.ndarray
    counts: np.ndarray
    scaled: Callable[[FloatArray, FloatArray], FloatArray]
    settle: bool

    @property
    def few(self) -> np.ndarray:
        """Those of few rows."""
        return np.flatnonzero((self.counts > 0) & (self.counts < (FEW if self.settle else FEW_SERIES)))

    def times(self, some: np.ndarray, factors: FloatArray | float) -> FloatArray:
        """Factors that are one but for one of `some` strata, in turn, (s, k)."""
        out = np.ones((len(some), len(self.counts)))
        out[np.arange(len(some)), some] = factors
        return out


def beside(model: BlockModel, rows: Rows, point: End) -> Iterator[FloatArray]:
    """φ where other peaks are to be looked for, after an optimum."""
    assert rows.residual is not None
    m, psi = model.n_g, point.psi
    for strata in strata_of(model.residual, rows.residual):
        if not len(strata.few):
            continue
        if not strata.settle:
            for own in strata.times(strata.few, SMALLER[-1]):
                yield model.working(np.concatenate([psi[:m], strata.scaled(psi[m:], own)]))
        elif can_settle(model, rows):
            found = settled(model, rows, point, strata)
            for i, own in enumerate(found.factors):
                g = [layout.g(G[i]) for layout, G in zip(model.layouts, found.G)]
                yield model.working(np.concatenate([*g, strata.scaled(psi[m:], own)]))


def can_settle(model: BlockModel, rows: Rows) -> bool:
    """Whether all is free, every row has one level of each term, and levels are independent."""
    free = model.design.constraints is None and not model.design.is_related
    return free and all(term.codes is not None for term in rows.terms)


def settled(model: BlockModel, rows: Rows, point: End, strata: Strata) -> Settled:
    """Where strata settle, the lowest first, if not far above an optimum."""
    settling = Settling.of(model, rows, point.psi, strata.codes, len(strata.counts))
    sds = settling.sds
    median = float(np.nanmedian(sds))
    none = np.flatnonzero(sds < NEXT_TO_NONE * median)
    lifted = strata.times(none, median / sds[none])
    sizes = SIZES if model.layouts else SIZES[:1]
    most = int(WORK / (len(SMALLER) * len(sizes) * settling.work)) + 1
    few = strata.few[np.lexsort((sds[strata.few], strata.counts[strata.few]))][:most]
    factors = np.concatenate([*(strata.times(few, factor) for factor in SMALLER), lifted])
    if len(none) > 1:
        factors = np.concatenate([factors, lifted.prod(axis=0, keepdims=True)])
    G = [layout.covariance(point.psi[to]) for layout, to in zip(model.layouts, model.g_of)]
    begun = tuple(np.repeat([own + size * np.eye(len(own)) for size in sizes], len(factors), axis=0) for own in G)
    found = settling.settled(Settled(np.tile(factors, (len(sizes), 1)), begun, np.zeros(len(sizes) * len(factors))))
    above = point.deviance + (ABOVE if model.residual.structure.memory == 0 else ABOVE_CORRELATED)
    found = found[np.flatnonzero(found.deviance < above)[:DESCENTS]]
    return replace(found, factors=np.maximum(found.factors, LEAST * median / np.where(sds > 0, sds, np.inf)))


def at_limit(model: BlockModel, point: End) -> np.ndarray:
    """Which of the structure's variances, and ratios, are next to none and of no account any more, (r,) bool.

    Where effects fit all rows of a stratum, fixed ones under REML or random ones, the likelihood has a limit as its
    variance goes to zero, and a search ends anywhere on the way, slope and curvature in the variance's logarithm gone.
    """
    psi, kinds = point.psi[model.n_g :], np.array(model.residual.kinds)
    small = np.zeros(len(psi), bool)
    if model.design.constraints is not None:
        return small
    if model.residual.structure.memory == 0:
        small |= (kinds == "variance") & (psi < VANISHING * psi.max(initial=0.0, where=kinds == "variance"))
    small |= (kinds == "ratio") & (psi**2 < VANISHING * (psi**2).max(initial=1.0, where=kinds == "ratio"))
    if small.any():
        small &= np.diag(point.hessian_model)[model.n_theta :] < FLAT
        small &= np.abs(point.gradient[model.n_theta :]) < FLAT
    return small


def lifted(model: BlockModel, end: Optimum[End], at: Callable[[FloatArray], End]) -> Optimum[End]:
    """An end whose variances of no account are no smaller than FLOOR, the others a Newton step further.

    Rows that effects fit have the weight 1/ψ, and sums of squares are differences of sums as large: a search is drawn
    to where their rounding is lowest. The deviance lies above its limit by the slope in log ψ, which decides how far a
    variance is lifted.
    """
    first, psi = model.n_theta, end.point.psi[model.n_g :]
    low = at_limit(model, end.point) & (np.array(model.residual.kinds) == "variance") & (psi < FLOOR)
    floor = FLOOR
    while low.any() and floor > psi[low].min():
        theta = end.point.theta.copy()
        theta[first:][low] = model.residual.working(np.where(low, np.maximum(psi, floor), psi))[low]
        point = at(theta)
        if np.isfinite(point.deviance) and point.gradient[first:][low].max() < OF_NO_ACCOUNT:
            others = np.append(np.ones(first, bool), ~low)
            step = np.linalg.lstsq(point.hessian_model[np.ix_(others, others)], -point.gradient[others], rcond=None)[0]
            theta[others] += step
            further = at(theta)
            return replace(end, point=further if further.deviance <= point.deviance else point, full=None)
        floor /= 10
    return end


def strata_of(residual: Residual, rows: ResidualRows) -> Iterator[Strata]:
    """Visits with their own variances, by stratum, and strata of variance functions."""
    of_strata, of_variance = residual.slices
    structure = residual.structure
    if isinstance(structure, ByVisit) and structure.has_own_variances:
        T = structure.n_visits
        codes = rows.where if rows.strata is None else rows.strata * T + rows.where

        def of_visits(psi: FloatArray, factors: FloatArray) -> FloatArray:
            out = psi.copy()
            for here, own in zip(of_strata, factors.reshape(-1, T)):
                out[here] = structure.scaled(psi[here], own)
            return out

        counts = np.bincount(codes, minlength=T * len(of_strata))
        yield Strata(codes, counts, of_visits, structure.memory == 0)
    for function, here, v in zip(residual.variance, of_variance, rows.covariates):
        if function.kind == "ident":

            def of_function(psi: FloatArray, factors: FloatArray, here: slice = here) -> FloatArray:
                """The first stratum, whose factor is one, is like any other: the others are relative to it."""
                out = np.where(residual.degree > 0, factors[0] ** 2 * psi, psi)
                out[here] *= factors[1:] / factors[0]
                return out

            counts = np.bincount(v, minlength=len(function.term.strata))
            for settle in (True,) if structure.memory == 0 else (True, False):
                yield Strata(v, counts, of_function, settle)
