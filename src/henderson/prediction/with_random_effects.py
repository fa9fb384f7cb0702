"""Predictions for new rows: the mean, and with the conditional modes of the levels that the fit knows.

ŷ = Xβ̂ + offset + Σ_k z_k'b̂_k; a level that the fit does not have contributes its mean, zero, when that is allowed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from henderson.design.replay import new_columns
from henderson.engine.fit import Fit
from henderson.errors import DataError


def with_random_effects(fit: Fit, beta: np.ndarray, newdata: Any, new_levels: str) -> np.ndarray:
    """Predictions (m,) with random effects.

    Parameters
    ----------
    fit : Fit
    beta : (p,) array
        Fixed effects, zero where a column was dropped.
    newdata : table
    new_levels : {"raise", "zero"}
        What to do with levels that the fit does not have.

    Raises
    ------
    DataError
        For a level that is not in the fit, unless `new_levels` is "zero"; names the factor, the level and its row.
        Labels of another type than the fit's (text for numbers) raise in any case.
    """
    if new_levels not in ("raise", "zero"):
        raise ValueError(f"new_levels must be 'raise' or 'zero', not {new_levels!r}")
    rows = new_columns(fit.design, newdata)
    predicted = rows.X @ beta + rows.offset
    for k, (b, codes, columns) in enumerate(zip(fit.b, rows.codes, rows.columns)):
        if rows.complaints[k] is not None and (new_levels == "raise" or rows.other_types[k]):
            hint = "" if rows.other_types[k] else "; new_levels='zero' predicts it at the mean"
            raise DataError(f"{rows.complaints[k]}{hint}")
        predicted = predicted + np.where(codes < 0, 0.0, np.einsum("ia,ia->i", columns, b[codes]))
    return predicted
