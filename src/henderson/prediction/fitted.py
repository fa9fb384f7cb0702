"""Fitted values: ŷ = Xβ̂ + Σ_k Z_k b̂_k + offset, and the residuals y − ŷ."""

from __future__ import annotations

import numpy as np

from henderson.engine.fit import Fit

FloatArray = np.ndarray


def fitted_values(fit: Fit) -> FloatArray:
    """ŷ of the rows, (n,)."""
    rows = fit.rows_for("fittedvalues")
    return rows.mean(fit.beta, fit.kept) + rows.random_part(fit.b)


def scaled_residuals(fit: Fit) -> FloatArray:
    """√w (y − ŷ) / σ, (n,)."""
    rows = fit.rows_for("residuals")
    return (rows.y - fitted_values(fit)) / fit.sigma * np.sqrt(rows.unit_weights)
