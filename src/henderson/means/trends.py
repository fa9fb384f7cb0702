"""Trends: how the marginal mean changes with a covariate, at each level of some factors.

The slope at a row of the reference grid is the central difference [x(v + h) − x(v − h)] β̂ / 2h over the
model's own columns, exact for polynomials up to the second degree and otherwise good to h². h is 10⁻⁴ of the
covariate's range.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from henderson.design.replay import fixed_columns
from henderson.engine.fit import Fit
from henderson.inference.inference import Inference
from henderson.means.emmeans import EMMeans, _about, _around, _with_outer
from henderson.means.estimates import check_delta, check_level, side_of
from henderson.means.grid import ReferenceGrid, covariate_values, margins, model_terms, reference_grid, split_specs
from henderson.means.multiplicity.adjust import adjustment_name

_STEP = 1e-4


def emtrends(
    fit: Fit,
    inference: Inference,
    specs: str | Iterable[str],
    var: str,
    *,
    by: str | Iterable[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    level: float = 0.95,
    adjust: str = "none",
    side: Any = 0,
    delta: float = 0.0,
    null: float = 0.0,
) -> EMMeans:
    """Slopes of a covariate at the levels of `specs`.

    Parameters
    ----------
    fit : Fit
    inference : Inference
    specs : str or sequence of str
        As in `emmeans`; ``"1"`` for one slope.
    var : str
        The covariate, or an expression of one that the formula has, such as ``"np.log(x)"``: then slopes are
        with respect to the expression.
    by, at, weights, level, adjust, side, delta, null
        As in `emmeans`.

    Returns
    -------
    EMMeans
        Its estimates are slopes.

    Raises
    ------
    ValueError
        When `var` is a factor, or not in the fixed part.
    """
    column = _covariate(fit, var)
    grid = reference_grid(fit, {column: _middle(fit, column)} | dict(at or {}))
    names, by_names = split_specs(specs, by, grid)
    names = _with_outer(names, by_names, grid)
    found = margins(grid, [*names, *by_names], weights, _slopes(fit, grid, var, column))
    keys = found.frame if len(found.frame.columns) else found.frame.assign(**{"": ["overall"]})
    about = tuple(
        note
        for note in _about(fit, grid, [*names, *by_names, column], found.averaged, weights)
        if not note.startswith("NOTE")
    )
    return EMMeans(
        keys,
        found.rows,
        inference,
        0.0,
        tuple(by_names),
        None,
        adjustment_name(adjust),
        check_level(level),
        side_of(side),
        check_delta(delta),
        float(null),
        (f"Estimates are slopes of {var}", *about),
        _around(names, by_names, grid),
    )


def _covariate(fit: Fit, var: str) -> str:
    """The column of the data that `var` is, or is an expression of."""
    terms = model_terms(fit.design)
    if var in terms.levels:
        raise ValueError(f"{var!r} is a factor: it has no slope")
    if var in terms.means:
        return var
    spec = fit.design.specs.fixed.factors.get(var)
    if spec is not None and spec.levels is None and len(spec.variables) == 1 and len(spec.names) == 1:
        return spec.variables[0]
    known = ", ".join(terms.means) or "none"
    raise ValueError(f"the fixed part has no covariate {var!r}; it has {known}")


def _middle(fit: Fit, column: str) -> float:
    return model_terms(fit.design).means[column]


def _slopes(fit: Fit, grid: ReferenceGrid, var: str, column: str) -> np.ndarray:
    """Derivative of each row of the grid's X with respect to `var`, (m, p)."""
    frame = grid.frame
    value = frame[column].to_numpy(float)
    observed = covariate_values(fit, column)
    spread = float(np.ptp(observed)) if observed is not None else 0.0
    h = _STEP * (spread or float(np.abs(value).max()) or 1.0)
    high, low = value + h, value - h
    difference = fixed_columns(fit.design, frame.assign(**{column: high})) - fixed_columns(
        fit.design, frame.assign(**{column: low})
    )
    if var == column:
        return difference / (high - low)[:, None]
    change = _expression(fit, var, column, high) - _expression(fit, var, column, low)
    return difference / change[:, None]


def _expression(fit: Fit, var: str, column: str, values: np.ndarray) -> np.ndarray:
    from henderson.formula.evaluate import replay

    specs = fit.design.specs
    return replay(specs.fixed.factors[var], {column: values}, len(values), specs.environment).columns[0]
