"""Monte-Carlo errors of what 64 probes say of single levels and rows where the rest iterates, and how they are told.

A conditional covariance of the front is M_j + M_j a_jWa_j' M_j and one of the rest W_ll (see
`Factor.conditional_covariances`), of which probes give part: errors E of its entries, turned by T, are |T|E|T|' at the
most.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from henderson.engine.criterion import Evaluation
from henderson.engine.factor.iterative.by_level import PROBES
from henderson.engine.factor.iterative.rest import IterativeRest
from henderson.errors import ApproximationWarning, users_level
from henderson.numerics import small

FloatArray = np.ndarray

#: relative error that is told: smaller ones change no digit that is shown
TOLD = 5e-4


def relative_sd_errors(point: Evaluation, roots: Sequence[FloatArray], covariances: Sequence[FloatArray]) -> FloatArray:
    """Standard errors over probes of conditional standard deviations, relative to them, of all levels and effects.

    Parameters
    ----------
    point : Evaluation
        Whose rest iterates.
    roots : sequence of (q, q) arrays
        From the working to the user's effects, of every block.
    covariances : sequence of (q, q, J) arrays
        Conditional covariances over σ², working, of every block.
    """
    factor, blocks = point.factor, point.criterion.blocks
    assert isinstance(factor.rest, IterativeRest)
    found = factor.rest.by_level
    errors: list[FloatArray] = [np.zeros(0)] * len(blocks.blocks)
    if blocks.front is not None:
        T = factor.front.T
        M = np.abs(small.multiply(np.ascontiguousarray(T.transpose(1, 0, 2)), T))
        errors[blocks.front] = small.congruence(M, found.front_error)
    for k, own in zip(blocks.rest, found.own_error):
        errors[k] = own
    out = []
    for T, cov, error in zip(roots, covariances, errors):
        variance = np.einsum("ab,bcj,ac->aj", T, cov, T, optimize=True)
        of_variance = np.einsum("ab,bcj,ac->aj", np.abs(T), error, np.abs(T), optimize=True)
        out.append(np.divide(of_variance, 2 * variance, out=np.zeros_like(variance), where=variance > 0).ravel())
    return np.concatenate(out)


def summary_of(relative: FloatArray) -> FloatArray:
    """How many, the median and the largest of relative errors, (3,)."""
    return np.array([relative.size, np.median(relative), relative.max()]) if relative.size else np.zeros(3)


def tell(what: str, summary: FloatArray) -> None:
    """Warn of what was estimated from probes, with its relative errors as `summary_of` has them."""
    count, median, largest = summary
    if largest >= TOLD:
        warnings.warn(
            f"{what} ({int(count):,}) were estimated from {PROBES} probes, to {100 * median:.2g}% in the median and "
            f"{100 * largest:.2g}% at most; rest='exact' has no such error",
            ApproximationWarning,
            stacklevel=users_level(),
        )
