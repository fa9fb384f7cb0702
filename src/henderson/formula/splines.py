"""Natural cubic splines, R's ``ns()``: cubic B-splines that are straight lines beyond the boundary knots.

With B the cubic B-splines on the knots and C = B'' at the two boundary knots (2 rows), the natural splines are
the combinations N = B Q₂, where C' = [Q₁ Q₂] R. Householder's Q is the one that R's users know the
coefficients of. Outside the boundary a spline goes on along its tangent.

The first B-spline is left out unless `intercept`, so that the columns do not add up to a constant.

Tested: tests/formula/test_splines.py
"""

from __future__ import annotations

from typing import Any

import numpy as np

from henderson.errors import FormulaError

_ORDER = 4
"""Of a cubic B-spline."""


def natural_spline(
    state: dict[str, Any],
    x: Any,
    df: int | None = None,
    knots: Any = None,
    intercept: bool = False,
    boundary_knots: Any = None,
) -> np.ndarray:
    """The natural cubic spline basis.

    Parameters
    ----------
    state : dict
        Gets the knots, so that new data have the same basis.
    x : (n,) array
    df : int, optional
        Number of columns; df − 1 − intercept knots stand at quantiles of x.
    knots : (m,) array_like, optional
        Inner knots, in place of `df`.
    intercept : bool
    boundary_knots : (2,) array_like, optional
        Where the straight lines begin; the range of x by default.

    Returns
    -------
    (n, df) array
    """
    x = np.asarray(x, np.float64)
    if "knots" not in state:
        known = x[np.isfinite(x)]
        outer = np.sort(np.asarray([known.min(), known.max()] if boundary_knots is None else boundary_knots, float))
        if outer.shape != (2,) or not outer[0] < outer[1]:
            raise FormulaError("ns() needs two boundary knots that differ")
        check_df(df, known)
        if df is not None and knots is not None:
            raise FormulaError("ns() takes df or knots, not both")
        if knots is None:
            n_knots = 0 if df is None else int(df) - 1 - bool(intercept)
            if n_knots < 0:
                raise FormulaError(f"ns() needs df of {1 + bool(intercept)} or more, not {df}")
            within = known[(known >= outer[0]) & (known <= outer[1])]
            inner = np.quantile(within, np.linspace(0, 1, n_knots + 2)[1:-1])
        else:
            inner = np.sort(np.atleast_1d(np.asarray(knots, float)))
        state["knots"] = np.concatenate([np.repeat(outer[0], _ORDER), inner, np.repeat(outer[1], _ORDER)])
        state["intercept"] = bool(intercept)
    return _basis(x, state["knots"], 0 if state["intercept"] else 1)


def check_df(df: Any, x: np.ndarray) -> None:
    """A spline has no more columns than x has values."""
    if df is not None and df > len(x):
        raise FormulaError(f"a spline of df={df} needs as many rows, there are {len(x)}")


def _basis(x: np.ndarray, knots: np.ndarray, first: int) -> np.ndarray:
    """N at `x`, the first `first` B-splines left out."""
    from scipy.interpolate import BSpline

    low, high = knots[0], knots[-1]
    splines = BSpline(knots, np.eye(len(knots) - _ORDER), _ORDER - 1)
    slopes, bends = splines.derivative(1), splines.derivative(2)
    inside = np.clip(x, low, high)
    values = splines(np.where(np.isnan(inside), low, inside))[:, first:]
    for edge, is_out in ((low, x < low), (high, x > high)):
        if is_out.any():
            values[is_out] += (x[is_out] - edge)[:, None] * slopes(edge)[first:]
    values[np.isnan(x)] = np.nan
    Q, _ = np.linalg.qr(bends(np.array([low, high]))[:, first:].T, mode="complete")
    return values @ Q[:, 2:]
