"""Limits of predictions by the parametric bootstrap: no approximation of how estimated variances matter.

1. Draw b* and y* from the fitted model; new levels, and new observations, have theirs.
2. Fit y*, and predict: τ̂* with its standard error s* at the variances of that fit.
3. t* = (τ* − τ̂*) / s* for the drawn target τ*.

The limits are τ̂ + q s with q the quantiles of t* and s the standard error at the fit's own variances (Chatterjee,
Lahiri and Li 2008): what is pivotal is drawn, so that estimated variances count without being linearized.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from henderson.engine.fit import Fit, refit
from henderson.engine.many.draws import add_effects, entropy_of, fitted_effects, stream
from henderson.engine.many.refits import NEGLIGIBLE
from henderson.prediction.errors import JointErrors
from henderson.prediction.loads import loads_of
from henderson.prediction.new_rows import Targets
from henderson.progress import progress_bar

FloatArray = np.ndarray


def pivots(fit: Fit, targets: Targets, own: FloatArray, n: int, seed: Any) -> FloatArray:
    """t* of n replicates, (m, n).

    Parameters
    ----------
    fit : Fit
    targets : Targets
    own : (m,) array
        Variance of each row's own error over σ²; zero for its mean.
    n : int
    seed : int, SeedSequence or Generator, optional
    """
    rows = fit.rows_for("method='bootstrap'")
    mean = rows.mean(fit.beta, fit.kept)
    sd = fit.sigma / np.sqrt(rows.unit_weights)
    _, fresh = loads_of(fit.criterion, fit.at_optimum().lam, targets.X, targets.terms)
    spread = fit.sigma * np.sqrt(fresh.variance + own)
    kept, near, entropy = fit.kept, fit.near(), entropy_of(seed)
    out = np.empty((len(targets.mean), n))
    with progress_bar("Bootstrap, fits", n, None) as tell:
        for k in range(n):
            rng = stream(entropy, k)
            b = fitted_effects(fit, rng)
            y = (mean + sd * rng.standard_normal(rows.n))[:, None]
            for term, effects in zip(rows.terms, b):
                add_effects(y, term, effects[:, :, None])
            again = refit(fit, y[:, 0], near=near, tolerance=NEGLIGIBLE, progress=False)
            drawn = targets.estimates(b) + spread * rng.standard_normal(len(spread))
            moved = targets.X[:, kept] @ (again.beta - fit.beta)[kept]
            found = JointErrors(again, None)(targets.X, targets.terms, own)
            out[:, k] = (drawn - targets.estimates(again.b) - moved) / np.sqrt(found.variance)
            tell(k + 1)
    return out
