"""Conditional modes in their own standard deviations.

    b̂_jr / √Var(b̂_jr),   Var(b̂_j) = Var(b_j) − Var(b_j | y)       (at the estimated variances)

A mode is drawn towards zero, the more the fewer rows its level has; divided by its own standard deviation it is
comparable with the others, and standard normal in the model (Lange and Ryan 1989).
"""

from __future__ import annotations

import numpy as np

from henderson.engine.fit import Fit

FloatArray = np.ndarray

#: a mode's variance relative to the effect's, below which it is as good as zero
NO_VARIANCE = 1e-10


def standardised_modes(fit: Fit) -> tuple[FloatArray, ...]:
    """Modes in standard deviations: (J, q) a term, NaN where an effect has no variance."""
    fit.refuse_negative("modes in standard deviations")
    out = []
    for lam, b, conditional in zip(fit.lam, fit.b, fit.b_cov()):
        prior = fit.sigma**2 * np.sum(np.atleast_2d(lam) ** 2, axis=1)
        variance = prior - np.einsum("jaa->ja", conditional)
        is_there = variance > NO_VARIANCE * np.maximum(prior, np.finfo(float).tiny)
        out.append(np.where(is_there, b / np.sqrt(np.where(is_there, variance, 1.0)), np.nan))
    return tuple(out)
