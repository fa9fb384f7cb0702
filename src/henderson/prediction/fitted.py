"""Fitted values: ŷ = Xβ̂ + Σ_k Z_k b̂_k + offset, and the residuals y − ŷ."""

from __future__ import annotations

import numpy as np

from henderson.engine.fit import Fit

FloatArray = np.ndarray


def fitted_values(fit: Fit) -> FloatArray:
    """ŷ of the rows, (n,)."""
    design, kept = fit.design, fit.kept
    fitted = design.X[:, kept] @ fit.beta[kept]
    for term, b in zip(design.terms, fit.b):
        if term.loadings is not None:
            fitted = fitted + term.loadings @ b[:, 0]
        else:
            fitted = fitted + np.einsum("ia,ia->i", term.columns, b[term.codes])
    return fitted if design.offset is None else fitted + design.offset


def scaled_residuals(fit: Fit) -> FloatArray:
    """√w (y − ŷ) / σ, (n,)."""
    weights = fit.design.weights
    return (fit.design.y - fitted_values(fit)) / fit.sigma * (1.0 if weights is None else np.sqrt(weights))
