"""Rows of contrasts L: which of them are independent, Wald's F of those, and what to call one.

F = (R β̂ − q)' (R cov R')⁻¹ (R β̂ − q) / rank(R)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FloatArray = np.ndarray

#: a row is orthogonal to a vector of the null space when the sum is below this, relative to its terms
_ESTIMABLE = 1e-8

#: entries of a row below this, in units of the columns, are rounding errors of what it was computed from
_ROUNDING = 1e-11


def row_name(row: FloatArray, names: Sequence[str]) -> str:
    """``"a - 2*b"`` for a row of numbers."""
    text = ""
    for value, name in zip(row, names):
        if value:
            size = "" if abs(value) == 1 else f"{abs(value):.4g}*"
            sign = "-" if value < 0 else "+"
            text += (f" {sign} " if text else sign.replace("+", "")) + size + name
    return text or "0"


def independent_rows(rows: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows spanning the row space, and the values that go with them; dependent rows must agree with the others.

    Rows of full rank come back as they are.

    Raises
    ------
    ValueError
        When a dependent row contradicts the others.
    """
    from scipy.linalg import qr

    size = np.linalg.norm(rows, axis=1)
    scaled = rows / np.where(size > 0, size, 1.0)[:, None]
    triangle, order = qr(scaled.T, mode="r", pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    rank = int((diagonal > 1e-9 * max(diagonal.max(initial=0.0), 1e-300)).sum()) if size.any() else 0
    if rank == len(rows):
        return rows, values
    chosen = np.sort(order[:rank])
    weights, *_ = np.linalg.lstsq(rows[chosen].T, rows.T, rcond=None)
    implied = weights.T @ values[chosen]
    if np.abs(implied - values).max(initial=0.0) > 1e-6 * (np.abs(values).max(initial=0.0) + 1e-300):
        raise ValueError("the rows of the hypothesis contradict each other")
    return rows[chosen], values[chosen]


def wald_f(rows: FloatArray, values: FloatArray, cov: FloatArray) -> float:
    """values' (R cov R')⁻¹ values / rank(R)."""
    rows, values = independent_rows(rows, values)
    return float(values @ np.linalg.solve(rows @ cov @ rows.T, values) / len(rows))


def needs_dropped(rows: FloatArray, null: FloatArray, kept: np.ndarray, errors: FloatArray) -> np.ndarray:
    """Which dropped columns rows of contrasts need: to whose vector of the null space they are not orthogonal.

    Parameters
    ----------
    rows : (r, p) array
    null : (p, d) array
        Basis of {a : X a = 0}, a vector for each column that was dropped.
    kept : (p,) bool array
    errors : (p_kept,) array
        Standard errors, by which the size of a column's coefficient is known.

    Returns
    -------
    (r, d) bool array
    """
    if not null.size:
        return np.zeros((len(rows), 0), bool)
    # the unit of a column: the standard error of its coefficient; of one that was dropped: a typical one
    unit = np.full(len(null), np.median(errors[errors > 0]) if (errors > 0).any() else 1.0)
    unit[kept] = np.where(errors > 0, errors, unit[kept])
    size = (np.abs(rows) * unit).max(axis=1, initial=0.0)
    of_null = (np.abs(null) / unit[:, None]).max(axis=0, initial=0.0)
    least: FloatArray = _ESTIMABLE * (np.abs(rows) @ np.abs(null)) + _ROUNDING * np.outer(size, of_null)
    return np.asarray(np.abs(rows @ null) > least)
