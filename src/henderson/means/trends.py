"""Trends: how the marginal mean changes with a covariate, at each level of some factors.

The slope at a row of the reference grid is the central difference [x(v + h) − x(v − h)] β̂ / 2h over the
model's own columns, exact for polynomials up to the second degree and otherwise good to h². h is 10⁻⁴ of the
covariate's range.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from henderson.arguments import shown
from henderson.contract.design import Design
from henderson.design.replay import fixed_columns, known_part
from henderson.formula.evaluate import replay
from henderson.formula.response import ResponseScale
from henderson.inference.inference import Inference
from henderson.means.averages import margins
from henderson.means.comparable import EMMeans
from henderson.means.emmeans import about_averages, keys_of_rows
from henderson.means.grid import ReferenceGrid, expression_codes, model_terms, reference_grid, values_at
from henderson.means.options import PLAIN, TestOptions
from henderson.means.response import WayBack, way_back
from henderson.means.specs import split_specs, with_outer
from henderson.means.variables import find_variable

_STEP = 1e-4


def emtrends(
    design: Design,
    inference: Inference,
    specs: str | Iterable[str],
    var: str,
    *,
    by: str | Iterable[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    test: TestOptions = PLAIN,
    way: WayBack | None = None,
) -> EMMeans:
    """Slopes of a covariate at the levels of `specs`.

    Parameters
    ----------
    design : Design
    inference : Inference
    specs : str or sequence of str
        As in `emmeans`; ``"1"`` for one slope.
    var : str
        The covariate, or an expression of one that the formula has, such as ``"np.log(x)"``: then slopes are
        with respect to the expression.
    by, at, weights, test, way
        As in `emmeans`. On the scale of the response a slope is h'(η) times that of the model, averaged over the grid.

    Returns
    -------
    EMMeans
        Its estimates are slopes.

    Raises
    ------
    ValueError
        When `var` is a factor, or not in the fixed part.
    """
    way = way_back(design) if way is None else way
    if not isinstance(var, str):
        raise ValueError(f"var is the name of a covariate, not {shown(var)}")
    var, column = _covariate(design, var)
    grid = reference_grid(design, {column: model_terms(design).means[column]} | dict(values_at(at)))
    names, by_names = with_outer(*split_specs(specs, by, grid), grid)
    slopes, of_offset = _slopes(design, grid, var, column)
    scale = None if way is None else way.in_use(test)
    if scale is None:
        found = margins(grid, [*names, *by_names], weights, np.column_stack([slopes, of_offset]))
        rows, known, said = found.rows[:, :-1], found.rows[:, -1], () if way is None else way.notes(test)
    else:
        rows, value = _of_response(grid, slopes, of_offset, inference, scale)
        found = margins(grid, [*names, *by_names], weights, np.column_stack([rows, value]))
        rows = found.rows[:, :-1]
        known, said = found.rows[:, -1] - inference.estimate(rows), (f"Slopes of {scale.of}", *scale.notes[1:])
    about = about_averages(design, grid, [*names, *by_names, column], found.averaged, weights)
    about = tuple(note for note in about if not note.startswith(("NOTE", "Offset")))
    about = (f"Estimates are slopes of {var}", *about, *said)
    return EMMeans(keys_of_rows(found), rows, inference, known, tuple(by_names), test, None, about, f"slope of {var}")


def _of_response(
    grid: ReferenceGrid, slopes: np.ndarray, of_offset: np.ndarray, inference: Inference, scale: ResponseScale
) -> tuple[np.ndarray, np.ndarray]:
    """Slopes h'(η)s of the response at the rows of a grid, s = dη/dx: their derivatives along β, (m, p), and values."""
    eta, s = inference.estimate(grid.X) + grid.offset, inference.estimate(slopes) + of_offset
    rate = scale.slope(eta)
    bend = (scale.slope(eta + _STEP) - scale.slope(eta - _STEP)) / (2 * _STEP)
    return rate[:, None] * slopes + (bend * s)[:, None] * grid.X, rate * s


def _covariate(design: Design, var: str) -> tuple[str, str]:
    """`var` as the formula spells it, and the column of the data that it is, or is an expression of."""
    terms = model_terms(design)
    factors = design.specs.fixed.factors
    name = find_variable(var, dict.fromkeys([*terms.levels, *terms.means, *factors]), {})
    if name in terms.levels:
        raise ValueError(f"{var!r} is a factor: it has no slope")
    if name is not None and name in terms.means:
        return name, name
    spec = None if name is None else factors.get(name)
    if name is not None and spec is not None and spec.levels is None and len(spec.variables) == len(spec.names) == 1:
        return name, spec.variables[0]
    known = ", ".join(terms.means) or "none"
    raise ValueError(f"the fixed part has no covariate {var!r}; it has {known}")


def _slopes(design: Design, grid: ReferenceGrid, var: str, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of each row of the grid's X with respect to `var`, (m, p), and of its offset, (m,)."""
    frame, codes = grid.frame, expression_codes(model_terms(design), grid.values, grid.codes)
    value = frame[column].to_numpy(float)
    h = _STEP * (model_terms(design).ranges.get(column) or float(np.abs(value).max()) or 1.0)
    high, low = value + h, value - h
    above, below = (fixed_columns(design, frame.assign(**{column: at}), codes=codes) for at in (high, low))
    change = high - low
    if var != column:
        change = _expression(design, var, column, high) - _expression(design, var, column, low)
    known = np.zeros(len(frame))
    if column in model_terms(design).offset_variables:
        known = np.subtract(*(known_part(design, frame.assign(**{column: at})) for at in (high, low)))
    return (above - below) / change[:, None], known / change


def _expression(design: Design, var: str, column: str, values: np.ndarray) -> np.ndarray:
    specs = design.specs
    return replay(specs.fixed.factors[var], {column: values}, len(values), specs.environment).columns[0]
