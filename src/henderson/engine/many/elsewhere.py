"""Other minima of many likelihoods: for each member of a batch the lowest of a few common starts are descended from.

A common start is one λ for each term: small, natural or large multiples of I, and matrices of rank one along the sums
and differences of the effects; in a basis where an average level's columns are orthonormal these are sizes that matter.
All are evaluated for all members, and each member goes down from its own lowest: from those that are not so high above
its end that no minimum can be below them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from henderson.covariance.layout import Layout
from henderson.numerics.newton import Evaluate, minimize_batch

FloatArray = np.ndarray
#: value and gradient, as `Evaluate`
Slope = Callable[[FloatArray, np.ndarray], tuple[FloatArray, FloatArray]]

#: standard deviations of the starts: of one term alone, and of several together
SIZES, FEWER = (0.1, 0.4, 1.0, 2.0, 5.0, 12.0), (0.1, 1.0, 4.0)
#: what another minimum's deviance must be lower by
LOWER = 1e-6
#: most starts, and those of them from which a member descends: with one effect a term, with several
MOST, DESCENTS, DESCENTS_OF_SEVERAL = 30, 2, 4


def common_starts(layout: Layout) -> FloatArray:
    """θ of the starts, (k, S)."""
    sizes = SIZES if len(layout.terms) == 1 else FEWER
    of_terms = []
    for rows in layout.terms:
        q = rows.stop - rows.start
        roots = [size * np.eye(q) for size in sizes]
        if 2 <= q <= 3:
            roots += [size * np.outer(s, np.eye(q)[0]) for size in sizes[1:] for s in _signs(q)]
        of_terms.append(roots)
    out = []
    for chosen in product(*of_terms):
        cov = np.zeros((layout.q, layout.q))
        for rows, root in zip(layout.terms, chosen):
            cov[rows, rows] = root @ root.T
        out.append(layout.theta_of_cov(cov))
    return np.array(out[:: -(-len(out) // MOST)]).T


@dataclass(frozen=True)
class Elsewhere:
    """Where else the members of a batch may end lower.

    Attributes
    ----------
    starts : (k, S) array
    known : (S, B) array, or None
        The deviance of every member at the starts, up to a constant, where that is known.
    margin : float
        How far below a start a minimum may be.
    """

    starts: FloatArray
    known: FloatArray | None = None
    margin: float = np.inf

    @classmethod
    def of(cls, layout: Layout) -> Elsewhere:
        """From all common starts."""
        return cls(common_starts(layout))

    def __getitem__(self, members: np.ndarray) -> Elsewhere:
        known = None if self.known is None else self.known[:, members]
        return Elsewhere(self.starts, known, self.margin)

    def seen(self, slope: Slope, batch: int) -> FloatArray:
        """The deviances at the starts, (S, B); infinite where there is none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.known is None:
                everybody = np.arange(batch)
                seen = np.array([slope(np.repeat(one[:, None], batch, 1), everybody)[0] for one in self.starts.T])
            else:
                seen = self.known + (slope(self.starts[:, :1], np.zeros(1, int))[0] - self.known[0, 0])
        return np.where(np.isfinite(seen), seen, np.inf)


def lower_elsewhere(
    layout: Layout,
    evaluate: Evaluate,
    slope: Slope,
    elsewhere: Elsewhere,
    x: FloatArray,
    value: FloatArray,
    converged: np.ndarray,
) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Where members end when they descend from other starts too.

    Parameters
    ----------
    layout : Layout
    evaluate, slope : callable
        The functions of θ, see `minimize_batch`, and without second derivatives.
    elsewhere : Elsewhere
    x, value, converged : (k, B), (B,), (B,) arrays
        Where the members ended.

    Returns
    -------
    x, value, converged : arrays
        Where they end now.
    """
    x, value, converged = x.copy(), value.copy(), converged.copy()
    seen = elsewhere.seen(slope, len(value))
    descents = DESCENTS if layout.n_theta == layout.q else DESCENTS_OF_SEVERAL
    for chosen in np.argsort(seen, axis=0, kind="stable")[:descents]:
        height = seen[chosen, np.arange(len(value))] - value
        members = np.flatnonzero(~(converged & (height > elsewhere.margin)))
        if not len(members):
            break
        more = minimize_batch(among(evaluate, members), elsewhere.starts[:, chosen[members]])
        better = more.converged & ~(more.value >= value[members] - LOWER)
        lower = members[better]
        x[:, lower], value[lower], converged[lower] = more.x[:, better], more.value[better], True
    return x, value, converged


def among(evaluate: Evaluate, members: np.ndarray) -> Evaluate:
    """The function of some members of a batch."""
    return lambda x, who: evaluate(x, members[who])


def _signs(q: int) -> FloatArray:
    """(1, ±1, …), one row each."""
    return np.array([(1.0, *rest) for rest in product([1.0, -1.0], repeat=q - 1)])
