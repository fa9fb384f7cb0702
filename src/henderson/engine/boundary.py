"""How near a fit is to the boundary: what leaving out its weakest combination of random effects would cost.

Columns are scaled to unit mean square and the cost is a deviance, so that no answer depends on units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.covariance.layout import layouts_of
from henderson.covariance.structures import structure_called
from henderson.engine.fit import Fit

FloatArray = np.ndarray

#: a standard deviation of a term's scaled effects, relative to σ, below which it is zero
SINGULAR = 1e-4
#: standard deviation, relative to the residual's, above which a combination is not looked at
WEAK = 0.1


def term_sizes(fit: Fit) -> list[FloatArray]:
    """Root mean square of each column of every term, (q,) each."""
    return [np.sqrt(np.diag(gram) / fit.n) for gram in fit.digest.grams]


def smallest_sds(fit: Fit) -> list[float]:
    """Smallest standard deviation of a combination of each term's effects scaled by their sizes, relative to σ."""
    bounded = bounded_terms(fit)
    return [
        structure_called(term.structure).least(sizes[:, None] * lam) if k in bounded else np.inf
        for k, (term, sizes, lam) in enumerate(zip(fit.design.terms, term_sizes(fit), fit.lam))
    ]


def is_singular(fit: Fit) -> bool:
    """Whether some combination of a term's effects has no variance.

    See `lacks_variance`.
    """
    return bool(lacks_variance(fit)[bounded_terms(fit)].any())


def lacks_variance(fit: Fit) -> np.ndarray:
    """Of which terms some combination of effects has no variance, (m,) bool.

    It is looked for in the working basis, whose columns are uncorrelated where the structure lets them: a slope on a
    covariate far from zero is all but a multiple of its intercept.
    """
    both = zip(fit.design.terms, fit.working_terms)
    return np.array([structure_called(term.structure).least(lam) < SINGULAR for term, lam in both], bool)


def bounded_terms(fit: Fit) -> list[int]:
    """Terms whose covariance is estimated, and semidefinite."""
    held = fit.design.constraints
    return [
        k for k in range(len(fit.design.terms)) if held is None or (k not in held.terms and k not in held.unbounded)
    ]


@dataclass(frozen=True)
class Direction:
    """A combination of one level's effects that has no variance.

    Attributes
    ----------
    term : int
        Number of the term in the design.
    weights : (q,) array
        Σ weights_r b_r is zero for every level; the largest is 1 in the units of the effects' standard deviations.
    """

    term: int
    weights: FloatArray


def directions_without_variance(fit: Fit) -> list[Direction]:
    """The combinations that make a fit singular, term after term.

    They are the left singular vectors u of Sλ (S the columns' sizes) that belong to no singular value: u'S b = 0.
    """
    out = []
    all_sizes = term_sizes(fit)
    for k in bounded_terms(fit):
        term, sizes, lam = fit.design.terms[k], all_sizes[k], fit.lam[k]
        vectors, values, _ = np.linalg.svd(sizes[:, None] * lam)
        expected = structure_called(term.structure).rank(len(lam))
        for vector in vectors[:, :expected][:, values[:expected] < SINGULAR].T:
            weights = np.where(np.abs(vector) > 1e-3 * np.abs(vector).max(), vector, 0.0) * sizes
            out.append(Direction(k, weights / weights[np.argmax(np.abs(weights))]))
    return out


def cost_of_boundary(fit: Fit) -> float:
    """Least rise of the deviance when a term loses its weakest combination; infinite when none is weak."""
    least = np.inf
    layouts = layouts_of(fit.design.terms)
    weakest = smallest_sds(fit)
    for k, (term, sizes, lam) in enumerate(zip(fit.design.terms, term_sizes(fit), fit.lam)):
        if weakest[k] < WEAK:
            others = list(fit.lam)
            others[k] = structure_called(term.structure).without_weakest(lam, sizes)
            theta = np.concatenate([layout.theta(one) for layout, one in zip(layouts, others)])
            least = min(least, fit.criterion.deviance(theta) - fit.deviance)
    return least
