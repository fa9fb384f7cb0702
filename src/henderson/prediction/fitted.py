"""Fitted values: ŷ = Xβ̂ + Σ_k Z_k b̂_k + offset."""

from __future__ import annotations

import numpy as np

from henderson.engine.fit import Fit

FloatArray = np.ndarray


def fitted_values(fit: Fit) -> FloatArray:
    """ŷ of the rows, (n,)."""
    rows = fit.observed_for("fittedvalues")
    return rows.mean(fit.beta, fit.kept) + rows.random_part(fit.b)
