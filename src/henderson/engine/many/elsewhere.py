"""Other minima of many likelihoods: for each member of a batch the lowest of a few common starts are descended from.

A common start is one λ for each term: small, natural or large multiples of I, and matrices of rank one along the sums
and differences of the effects; in a basis where an average level's columns are orthonormal these are sizes that matter.
All are evaluated for all members, and each member goes down from its own lowest.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from henderson.covariance.layout import Layout
from henderson.numerics.newton import Evaluate, minimize_batch

FloatArray = np.ndarray

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


def lower_elsewhere(
    layout: Layout, evaluate: Evaluate, x: FloatArray, value: FloatArray, converged: np.ndarray
) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Where members end when they descend from other starts too.

    Parameters
    ----------
    layout : Layout
    evaluate : callable
        The functions of θ, see `minimize_batch`.
    x, value, converged : (k, B), (B,), (B,) arrays
        Where the members ended.

    Returns
    -------
    x, value, converged : arrays
        Where they end now.
    """
    batch, x, value, converged = len(value), x.copy(), value.copy(), converged.copy()
    starts, everybody = common_starts(layout), np.arange(batch)
    with np.errstate(invalid="ignore", divide="ignore"):
        seen = np.array([evaluate(np.repeat(one[:, None], batch, 1), everybody)[0] for one in starts.T])
    seen = np.where(np.isfinite(seen), seen, np.inf)
    descents = DESCENTS if layout.n_theta == layout.q else DESCENTS_OF_SEVERAL
    for chosen in np.argsort(seen, axis=0, kind="stable")[:descents]:
        more = minimize_batch(evaluate, starts[:, chosen])
        lower = more.converged & ~(more.value >= value - LOWER)
        x[:, lower], value[lower], converged[lower] = more.x[:, lower], more.value[lower], more.converged[lower]
    return x, value, converged


def _signs(q: int) -> FloatArray:
    """(1, ±1, …), one row each."""
    return np.array([(1.0, *rest) for rest in product([1.0, -1.0], repeat=q - 1)])
