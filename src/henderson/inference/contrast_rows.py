"""Rows of contrasts L: which of them are independent, Wald's F of those, and what to call one.

F = (R β̂ − q)' (R cov R')⁻¹ (R β̂ − q) / rank(R)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

FloatArray = np.ndarray

#: a row is orthogonal to a vector of the null space when the sum is below this, relative to its terms
ESTIMABLE = 1e-8

#: entries of a row below this, in units of the columns, are rounding errors of what it was computed from
_ROUNDING = 1e-11


@dataclass(frozen=True)
class Turned:
    """A covariance of β̂ in the working basis, where a covariate that is far from zero is moved there.

    In the user's units the variance of a mean at such a covariate is a difference of numbers that agree in all but
    their last digits.

    Attributes
    ----------
    to_beta : (p, p) array
        From the working basis, over the columns kept.
    cov : (p, p) array
    """

    to_beta: FloatArray
    cov: FloatArray


def row_name(row: FloatArray, names: Sequence[str]) -> str:
    """``"a - 2*b"`` for a row of numbers."""
    text = ""
    for value, name in zip(row, names):
        if value:
            size = "" if abs(value) == 1 else f"{abs(value):.4g}*"
            sign = "-" if value < 0 else "+"
            text += (f" {sign} " if text else sign.replace("+", "")) + size + name
    return text or "0"


def independent_rows(rows: FloatArray, values: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows spanning the row space, and the values that go with them; dependent rows must agree with the others.

    Rows of full rank come back as they are. Which they are does not depend on the units of the columns: a coefficient's
    is its standard error.

    Parameters
    ----------
    rows : (r, p) array
    values : (r,) array
    errors : (p,) array
        Standard errors of the coefficients.

    Raises
    ------
    ValueError
        When a dependent row contradicts the others.
    """
    from scipy.linalg import qr

    scaled = rows * units_of(errors)
    size = np.linalg.norm(scaled, axis=1)
    size[size == 0] = 1.0
    scaled, own = scaled / size[:, None], values / size
    triangle, order = qr(scaled.T, mode="r", pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    rank = int((diagonal > 1e-9 * diagonal.max(initial=0.0)).sum())
    if rank == len(rows):
        return rows, values
    chosen = np.sort(order[:rank])
    weights, *_ = np.linalg.lstsq(scaled[chosen].T, scaled.T, rcond=None)
    implied = weights.T @ own[chosen]
    if np.abs(implied - own).max(initial=0.0) > 1e-6 * (np.abs(own).max(initial=0.0) + 1e-300):
        raise ValueError("the rows of the hypothesis contradict each other")
    return rows[chosen], values[chosen]


def units_of(errors: FloatArray) -> FloatArray:
    """The unit of each coefficient, (p,): its standard error; of one without an error, a typical one."""
    known = errors > 0
    return np.where(known, errors, np.median(errors[known]) if known.any() else 1.0)


def wald_f(rows: FloatArray, values: FloatArray, cov: FloatArray | Turned) -> float:
    """values' (R cov R')⁻¹ values / rank(R); of a turned covariance LL', by QR of L'R', which has the digits of
    hypotheses far from the data."""
    rows, values = independent_rows(rows, values, errors_of(cov))
    if isinstance(cov, Turned):
        try:
            root = rows @ cov.to_beta @ np.linalg.cholesky(cov.cov)
        except np.linalg.LinAlgError:  # fewer clusters than coefficients
            root = None
        if root is not None:
            size = np.linalg.norm(root, axis=1)
            u = solve_triangular(np.linalg.qr((root / size[:, None]).T, mode="r"), values / size, trans="T")
            return float(u @ u / len(rows))
    inner = covariance_of(rows, cov)
    size = errors_of(inner)
    t = values / size
    return float(t @ np.linalg.solve(inner / np.outer(size, size), t) / len(rows))


def covariance_of(rows: FloatArray, cov: FloatArray | Turned) -> FloatArray:
    """R cov R', (r, r)."""
    if isinstance(cov, Turned):
        rows, cov = rows @ cov.to_beta, cov.cov
    return np.asarray(rows @ cov @ rows.T)


def errors_of(cov: FloatArray | Turned) -> FloatArray:
    """Square roots of the diagonal of a covariance of β̂, (p,)."""
    diagonal = np.diag(cov) if isinstance(cov, np.ndarray) else ((cov.to_beta @ cov.cov) * cov.to_beta).sum(axis=1)
    return np.sqrt(np.maximum(diagonal, 0.0))


def needs_dropped(
    rows: FloatArray, null: FloatArray, kept: np.ndarray, errors: FloatArray, told: float = ESTIMABLE
) -> np.ndarray:
    """Which dropped columns rows of contrasts need: to whose vector of the null space they are not orthogonal.

    Parameters
    ----------
    rows : (r, p) array
    null : (p, d) array
        Basis of {a : X a = 0}, a vector for each column that was dropped.
    kept : (p,) bool array
    errors : (p_kept,) array
        Standard errors, by which the size of a column's coefficient is known.
    told : float
        Share of its terms from which a sum is not zero; see `FitMoments.told`.

    Returns
    -------
    (r, d) bool array
    """
    if not null.size:
        return np.zeros((len(rows), 0), bool)
    all_errors = np.zeros(len(null))
    all_errors[kept] = errors
    unit = units_of(all_errors)
    size = (np.abs(rows) * unit).max(axis=1, initial=0.0)
    of_null = (np.abs(null) / unit[:, None]).max(axis=0, initial=0.0)
    least: FloatArray = told * (np.abs(rows) @ np.abs(null))
    if told == ESTIMABLE:  # far from zero errors of a coefficient do not tell how large it is
        least += _ROUNDING * np.outer(size, of_null)
    return np.asarray(np.abs(rows @ null) > least)
