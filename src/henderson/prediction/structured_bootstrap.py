"""Pivots of the parametric bootstrap of predictions where residuals correlate; see `bootstrap`.

Residuals are drawn series by series; a new observation is of a series that the fit does not have.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from henderson.contract.residual import ResidualRows
from henderson.engine.many.draws import add_effects, entropy_of, fitted_effects, stream
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.fitting import refit_structured
from henderson.engine.residual.rows import own_variances, series_roots
from henderson.prediction.new_rows import Targets
from henderson.prediction.related_errors import errors_of
from henderson.progress import progress_bar

FloatArray = np.ndarray


def structured_pivots(
    fit: StructuredFit, targets: Targets, places: ResidualRows | None, own: FloatArray, n: int, seed: Any
) -> FloatArray:
    """t* of n replicates, (m, n).

    Parameters
    ----------
    fit : StructuredFit
    targets : Targets
    places : ResidualRows, or None
        Where new observations stand in their series; None: their means are predicted.
    own : (m,) array
        1/w of each row.
    n : int
    seed : int, SeedSequence or Generator, optional
    """
    fit.refuse_negative("method='bootstrap'")
    rows = fit.observed_for("method='bootstrap'")
    assert rows.residual is not None
    mean, kept, entropy = rows.mean(fit.beta, fit.kept), fit.kept, entropy_of(seed)
    roots = series_roots(fit.structure, fit.psi, rows.residual, rows.weights)
    spread = np.sqrt(_fresh(fit, targets, places, own))
    X = np.where(kept, targets.X, 0.0)
    out = np.empty((len(targets.mean), n))
    with progress_bar("Bootstrap, fits", n, None) as tell:
        for k in range(n):
            rng = stream(entropy, k)
            b = fitted_effects(fit, rng)
            y = mean[:, None].copy()
            for at, low in roots:
                y[at, 0] += np.einsum("bij,bj->bi", low, rng.standard_normal(at.shape))
            for term, effects in zip(rows.terms, b):
                add_effects(y, term, effects[:, :, None])
            again = refit_structured(fit, y[:, 0], progress=False)
            drawn = targets.estimates(b) + spread * rng.standard_normal(len(spread))
            moved = X[:, kept] @ (again.beta - fit.beta)[kept]
            error = errors_of(again, None)(X, targets.terms, own, places=places)
            out[:, k] = (drawn - targets.estimates(again.b) - moved) / np.sqrt(error.variance)
            tell(k + 1)
    return out


def _fresh(fit: StructuredFit, targets: Targets, places: ResidualRows | None, own: FloatArray) -> FloatArray:
    """Variance of what a row has that the fit does not know: effects of new levels, and its residual, (m,)."""
    out = np.zeros(len(own)) if places is None else own_variances(fit.structure, fit.psi, places) * own
    for new, G, lam in zip(targets.terms, fit.covariances, fit.lam):
        if new is None:
            continue
        if new.loadings is not None:
            out = out + fit.sigma**2 * G[0, 0] * np.square(new.loadings[:, [-1]].toarray()[:, 0])
        else:
            assert new.codes is not None
            size = np.square(new.columns).sum(axis=1) * G[0, 0]  # of a variance, which may be negative
            of_level = size if np.isnan(lam).any() else np.square(new.columns @ lam).sum(axis=1)
            out = out + np.where(new.codes < 0, fit.sigma**2 * of_level, 0.0)
    return out
