"""Functions of the formula language that learn from the data: polynomials, splines, scales, indicators of levels.

Each gets a dict for its state first: what it put there when the model was fitted is there again for new data.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from henderson.errors import DataError, FormulaError
from henderson.formula.categories import State, as_category
from henderson.formula.splines import check_df


def transform_called(name: str) -> Callable[..., Any]:
    """formulaic's transform of a name."""
    from formulaic.transforms import TRANSFORMS

    return TRANSFORMS[name]


def learned(name: str, state: State, x: Any, *args: Any, **keywords: Any) -> Any:
    return transform_called(name)(x, *args, _state=state, **keywords)


def learned_where_known(name: str, state: State, x: Any, *args: Any, **keywords: Any) -> Any:
    """The same for a transform that would spread one missing value over all rows."""
    known = ~np.isnan(x)
    if known.all():
        return learned(name, state, x, *args, **keywords)
    out = np.full(np.shape(x), np.nan)
    out[known] = learned(name, state, x[known], *args, **keywords)
    return out


def polynomial(state: State, x: Any, *more: Any, degree: Any = None, raw: bool = False, simple: bool = False) -> Any:
    """Orthogonal polynomials over the rows learned from, or powers when `raw`; of several columns their products."""
    del simple
    columns = [x, *(one for one in more if np.ndim(one))]
    more = tuple(one for one in more if not np.ndim(one))
    if len(more) > 2 or np.ndim(degree):
        raise FormulaError("poly() takes columns, a degree, and raw=")
    if more and degree is not None:
        raise FormulaError("poly() is given its degree twice")
    degree = more[0] if more else 1 if degree is None else degree
    raw = more[1] if len(more) > 1 else raw
    if int(degree) != degree or degree < 1:
        raise FormulaError(f"the degree of poly() is a whole number from 1, not {degree}")
    if len(columns) == 1:
        if not raw and "alpha" not in state and len(np.unique(x[np.isfinite(x)])) <= degree:
            raise FormulaError(f"poly() of degree {int(degree)} needs more than {int(degree)} different values")
        return learned("poly", state, x, int(degree), raw=bool(raw))
    # R's polym(): products of each column's own polynomials, up to the degree in all, the first column's fastest
    own = [
        np.column_stack(
            [np.ones(len(one)), polynomial(state.setdefault(f"column {k}", {}), one, int(degree), bool(raw))]
        )
        for k, one in enumerate(columns)
    ]
    powers = [power[::-1] for power in product(range(int(degree) + 1), repeat=len(own)) if 0 < sum(power) <= degree]
    return {".".join(map(str, power)): np.prod([one[:, k] for one, k in zip(own, power)], axis=0) for power in powers}


def b_spline(
    state: State, x: Any, df: Any = None, *args: Any, intercept: Any = None, boundary_knots: Any = None, **more: Any
) -> Any:
    """formulaic's B-splines, with R's names of arguments too."""
    if intercept is not None:
        more["include_intercept"] = bool(intercept)
    if boundary_knots is not None:
        more["lower_bound"], more["upper_bound"] = sorted(float(knot) for knot in boundary_knots)
    if more.get("knots") is not None:
        more["knots"] = np.atleast_1d(more["knots"]).tolist()
    if (
        "knots" in state
        and "extrapolation" not in more
        and ((x < state["lower_bound"]) | (x > state["upper_bound"])).any()
    ):
        raise DataError(
            f"bs() has new values beyond its boundary knots, {state['lower_bound']:g} and {state['upper_bound']:g}; "
            "write bs(x, ..., extrapolation='extend') to go on as R does, or 'clip'"
        )
    if "knots" not in state:
        check_df(df, x)
    return learned("bs", state, x, None if df is None else int(df), *args, **more)


def scale(state: State, x: Any, center: Any = True, scale: Any = True, **more: Any) -> Any:
    if center is False and scale is True:
        raise FormulaError(
            "scale(x, center=FALSE) divides by R's root mean square: write I(x / sd(x)), or what is meant"
        )
    return learned_where_known("scale", state, x, center, scale, **more)


def indicators(state: State, x: Any, *kept: Any) -> dict[str, Any]:
    """lme4's ``dummy(f, "b")``: 1 where the factor has the level, else 0; by default of all levels but the first."""
    made = as_category(x, state)
    names = [str(level) for level in made.levels]
    asked = [str(level) for one in kept for level in np.atleast_1d(np.asarray(one, dtype=object))] or names[1:]
    if unknown := [level for level in asked if level not in names]:
        raise FormulaError(f"dummy() has no level {unknown[0]!r}; there are {', '.join(map(repr, names[:12]))}")
    return {level: np.where(made.codes < 0, np.nan, made.codes == names.index(level)) for level in asked}
