"""The functions of the formula language: those of R and patsy that readers of formulas expect.

`FUNCTIONS` maps a name to what it does; a function that learns from the data (`learns`) gets a dict for its
state first: what it put there when the model was fitted is there again for new data. Transforms are
formulaic's where it has them.

Tested: tests/formula/test_functions.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError, FormulaError
from henderson.formula import categories
from henderson.formula.categories import Category
from henderson.formula.splines import check_df, natural_spline
from henderson.sources.columns import kind_of, to_array, to_float

State = dict[str, Any]


@dataclass(frozen=True)
class Function:
    """A function of the formula language.

    Attributes
    ----------
    call : callable
    learns : bool
        Whether its first argument is its state.
    numbers : bool
        Whether columns are given to it as float64.
    """

    call: Callable[..., Any]
    learns: bool = False
    numbers: bool = False


def number(values: Any, what: str) -> Any:
    """Columns of numbers or booleans as float64 arrays; scalars and lists of numbers too."""
    if isinstance(values, Category):
        raise DataError(f"{what} is not for factors")
    if values is None or isinstance(values, bool | int | float | np.generic):
        return values
    if isinstance(values, str):
        raise DataError(f"{what} is for numbers, not for the text {values!r}")
    array = to_array(values, what) if np.ndim(values) == 1 else np.asarray(values)
    if array.ndim == 1:
        if kind_of(array) not in ("number", "bool"):
            raise DataError(f"{what} is for numbers: what it is given holds {kind_of(array)}")
        return to_float(array, what)
    return array.astype(np.float64)


def _formulaic(name: str) -> Callable[..., Any]:
    from formulaic.transforms import TRANSFORMS

    return TRANSFORMS[name]


def _learned(name: str, state: State, x: Any, *args: Any, **keywords: Any) -> Any:
    return _formulaic(name)(x, *args, _state=state, **keywords)


def _learned_where_known(name: str, state: State, x: Any, *args: Any, **keywords: Any) -> Any:
    """The same for a transform that would spread one missing value over all rows."""
    known = ~np.isnan(x)
    if known.all():
        return _learned(name, state, x, *args, **keywords)
    out = np.full(np.shape(x), np.nan)
    out[known] = _learned(name, state, x[known], *args, **keywords)
    return out


def _polynomial(state: State, x: Any, *more: Any, degree: Any = None, raw: bool = False, simple: bool = False) -> Any:
    """Orthogonal polynomials over the rows learned from, or powers when `raw`."""
    del simple
    if len(more) > 2 or np.ndim(more[0] if more else 1) or np.ndim(degree):
        raise FormulaError("poly() takes one column: write poly(x, 2) + poly(z, 2), or (poly(x, 2) + poly(z, 2))^2")
    if more and degree is not None:
        raise FormulaError("poly() is given its degree twice")
    degree = more[0] if more else 1 if degree is None else degree
    raw = more[1] if len(more) > 1 else raw
    if int(degree) != degree or degree < 1:
        raise FormulaError(f"the degree of poly() is a whole number from 1, not {degree}")
    if not raw and "alpha" not in state and len(np.unique(x[np.isfinite(x)])) <= degree:
        raise FormulaError(f"poly() of degree {int(degree)} needs more than {int(degree)} different values")
    return _learned("poly", state, x, int(degree), raw=bool(raw))


def _b_spline(
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
    return _learned("bs", state, x, None if df is None else int(df), *args, **more)


def _scale(state: State, x: Any, center: Any = True, scale: Any = True, **more: Any) -> Any:
    if center is False and scale is True:
        raise FormulaError(
            "scale(x, center=FALSE) divides by R's root mean square: write I(x / sd(x)), or what is meant"
        )
    return _learned_where_known("scale", state, x, center, scale, **more)


def _log(x: Any, base: Any = None) -> Any:
    return np.log(x) if base is None else np.log(x) / np.log(base)


def _round(x: Any, digits: Any = 0) -> Any:
    return np.round(x, int(digits))


def _combined(*values: Any) -> Any:
    """R's ``c()``."""
    if not values:
        raise FormulaError("c() is empty")
    if any(isinstance(value, str) for value in values):
        return [str(value) for value in values]
    return np.concatenate([np.atleast_1d(np.asarray(value)) for value in values])


def _parallel(function: Any, *values: Any) -> Any:
    if not values:
        raise FormulaError("pmin() and pmax() need columns")
    out = values[0]
    for more in values[1:]:
        out = function(out, more)
    return out


def _if_else(test: Any, yes: Any, no: Any) -> Any:
    """R's ``ifelse(test, yes, no)``."""
    condition = as_condition(test, "the first argument of ifelse()")
    both = [_plain(value) for value in (yes, no)]
    if any(isinstance(value, str) or getattr(value, "dtype", np.dtype(float)).kind in "OUST" for value in both):
        both = [np.asarray(value, dtype=object) for value in both]
        if any(
            isinstance(v, int | float | np.number) and not isinstance(v, bool) for b in both for v in np.atleast_1d(b)
        ):
            raise FormulaError("ifelse() has a text in one case and a number in the other")
    else:
        both = [np.asarray(value, dtype=np.float64) for value in both]
    return np.where(condition, *both)


def _plain(values: Any) -> Any:
    """A category, an extension array or a Series as an array of its values."""
    if isinstance(values, Category):
        return values.levels.to_numpy(dtype=object)[values.codes]
    if np.ndim(values) == 0:
        return values
    return np.asarray(to_array(values, "ifelse()"))


def as_condition(values: Any, what: str) -> Any:
    """Booleans, an array or one; numbers are refused, since R and Python read ``x & 1`` differently."""
    if isinstance(values, bool | np.bool_):
        return bool(values)
    array = to_array(values, what) if np.ndim(values) == 1 else np.asarray(values)
    if array.ndim != 1 or kind_of(array) != "bool":
        raise FormulaError(f"{what} must be a condition such as x > 0")
    return to_float(array, what) == 1


def _identity(x: Any) -> Any:
    return x


def _as_numeric(x: Any) -> Any:
    if isinstance(x, Category) or (np.ndim(x) == 1 and kind_of(to_array(x, "as.numeric()")) == "category"):
        raise FormulaError(
            "as.numeric() of a factor numbers its levels in R; write as.numeric(as.character(f)) for their values"
        )
    if np.ndim(x) == 1 and kind_of(to_array(x, "as.numeric()")) == "text":
        try:
            return np.array([float(value) for value in np.asarray(x, dtype=object)])
        except (TypeError, ValueError) as error:
            raise DataError(f"as.numeric() is for texts that are numbers: {error}") from None
    return number(x, "as.numeric()")


def _as_integer(x: Any) -> Any:
    return np.trunc(_as_numeric(x))


def _as_character(x: Any) -> Any:
    return np.array([str(value) for value in np.atleast_1d(_plain(x))], dtype=object)


def _is_na(x: Any) -> Any:
    return x.codes < 0 if isinstance(x, Category) else np.asarray(pd.isna(x))


def _pasted(*values: Any, sep: str = " ") -> Any:
    parts = [_as_character(value) for value in values]
    n = max(len(part) for part in parts)
    return np.array([sep.join(str(part[k % len(part)]) for part in parts) for k in range(n)], dtype=object)


def _all(*values: Any) -> np.ndarray:
    array = np.concatenate([np.atleast_1d(np.asarray(value, float)) for value in values])
    return array[~np.isnan(array)]


def _aggregate(function: Callable[[np.ndarray], Any], *values: Any, na_rm: bool = True) -> float:
    """A number of all rows; missing values are left out."""
    del na_rm
    return float(function(_all(*values)))


def _quantile(x: Any, probs: Any = None) -> Any:
    if probs is None:
        raise FormulaError("quantile() needs the probability: quantile(x, 0.75)")
    found = np.quantile(_all(x), probs)
    return float(found) if np.ndim(found) == 0 or len(found) == 1 else found


def _logit(x: Any) -> Any:
    return np.log(x) - np.log1p(-x)


def _expit(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def _numeric(call: Callable[..., Any]) -> Function:
    return Function(call, numbers=True)


def _learning(call: Callable[..., Any], *, numbers: bool = True) -> Function:
    return Function(call, learns=True, numbers=numbers)


_UFUNCS = {
    function.__name__: function
    for function in (
        *(np.log2, np.log10, np.log1p, np.exp, np.expm1, np.exp2, np.sqrt, np.cbrt, np.square, np.absolute, np.fabs),
        *(np.sign, np.floor, np.ceil, np.trunc, np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan, np.sinh),
        *(np.cosh, np.tanh, np.minimum, np.maximum, np.power, np.add, np.subtract, np.multiply, np.divide, np.hypot),
    )
}
"""NumPy's that closed formulas may use, as ``np.log10(x)`` too."""

FUNCTIONS: dict[str, Function] = {
    **{name: _numeric(function) for name, function in _UFUNCS.items()},
    "abs": _numeric(np.absolute),
    "log": _numeric(_log),
    "exp10": _numeric(partial(np.power, 10.0)),
    "ceiling": _numeric(np.ceil),
    "asin": _numeric(np.arcsin),
    "acos": _numeric(np.arccos),
    "atan": _numeric(np.arctan),
    "round": _numeric(_round),
    "qlogis": _numeric(_logit),
    "logit": _numeric(_logit),
    "plogis": _numeric(_expit),
    "pmin": _numeric(partial(_parallel, np.minimum)),
    "pmax": _numeric(partial(_parallel, np.maximum)),
    "ifelse": Function(_if_else),
    "I": Function(_identity),
    "identity": Function(_identity),
    "c": Function(_combined),
    "as.numeric": Function(_as_numeric),
    "as.double": Function(_as_numeric),
    "as.integer": Function(_as_integer),
    "as.character": Function(_as_character),
    "as.logical": Function(partial(as_condition, what="what as.logical() is given")),
    "is.na": Function(_is_na),
    "paste": Function(_pasted),
    "paste0": Function(partial(_pasted, sep="")),
    "mean": _numeric(partial(_aggregate, np.mean)),
    "median": _numeric(partial(_aggregate, np.median)),
    "sd": _numeric(partial(_aggregate, partial(np.std, ddof=1))),
    "var": _numeric(partial(_aggregate, partial(np.var, ddof=1))),
    "min": _numeric(partial(_aggregate, np.min)),
    "max": _numeric(partial(_aggregate, np.max)),
    "sum": _numeric(partial(_aggregate, np.sum)),
    "quantile": _numeric(_quantile),
    "center": _learning(partial(_learned_where_known, "center")),
    "scale": _learning(_scale),
    "standardize": _learning(partial(_learned_where_known, "standardize")),
    "poly": _learning(_polynomial),
    "bs": _learning(_b_spline),
    "ns": _learning(natural_spline),
    "cr": _learning(partial(_learned, "cr")),
    "cs": _learning(partial(_learned, "cs")),
    "cc": _learning(partial(_learned, "cc")),
    "cut": _learning(categories.cut),
    "C": _learning(categories.categories, numbers=False),
    "factor": _learning(categories.factor, numbers=False),
    "as.factor": _learning(categories.factor, numbers=False),
    "as_factor": _learning(categories.factor, numbers=False),
    "ordered": _learning(partial(categories.factor, ordered=True), numbers=False),
    "relevel": _learning(categories.relevel, numbers=False),
    "contr.custom": Function(_identity),
    "interaction": _learning(categories.interaction, numbers=False),
}

_CODINGS: dict[str, str] = {
    "Treatment": "Treatment",
    "Poly": "Poly",
    "Sum": "Sum",
    "Helmert": "Helmert",
    "Diff": "Diff",
    **{f"contr.{name}": name for name in ("treatment", "SAS", "sum", "helmert", "poly", "diff")},
    "contr.sdif": "diff",
    **{name: name.capitalize() for name in ("treatment", "sum", "helmert", "poly")},  # R's C(f, sum)
}
OF_LABELS = frozenset({"C", "factor", "as.factor", "as_factor", "ordered", "relevel", "interaction"})
"""Functions to which a value is a label."""
CONSTANTS: dict[str, Any] = {"pi": np.pi, "TRUE": True, "FALSE": False, "T": True, "F": False, "Inf": np.inf}

REFUSED: dict[str, str] = {
    **dict.fromkeys(
        [
            "lag",
            "lead",
            "shift",
            "diff",
            "cumsum",
            "cumprod",
            "rank",
            "order",
            "rev",
            "sample",
            "rnorm",
            "runif",
            "hashed",
        ],
        "its value in a row depends on other rows, so that it cannot be told for new data; make a column of it",
    ),
    "cbind": "a model has one response, and columns are added with +",
    "s": "smooth terms are written ns(x, df=4), bs(x, df=4) or cr(x, df=4)",
    "te": "smooth terms are written ns(x, df=4), bs(x, df=4) or cr(x, df=4)",
    "t2": "smooth terms are written ns(x, df=4), bs(x, df=4) or cr(x, df=4)",
    "rcs": "restricted cubic splines are written ns(x, df=4)",
    "Error": "strata are written as random effects: (1 | g)",
    "offset": "an offset is a term of its own: + offset(x)",
    "with": "columns are named without their table",
    "seq": "write the numbers: c(1, 2, 3)",
}
"""What R's readers may try and why it is not here."""


def is_listed(name: str) -> bool:
    """Whether `name` is a function, a coding or a constant of the formula language."""
    return name in FUNCTIONS or name in CONSTANTS or name in _CODINGS


class DottedNames:
    """Names with dots that are words of the language, as a container."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and "." in name and is_listed(name)


def coding(name: str) -> Any:
    """formulaic's contrasts of a name: a class, or a function that makes one."""
    if name not in _CODINGS:
        return None
    if name.startswith("contr."):
        from formulaic.transforms import ContrastsRegistry

        return partial(_r_contrasts, getattr(ContrastsRegistry, _CODINGS[name]))
    return _formulaic(_CODINGS[name])


def _r_contrasts(make: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """``contr.sum()``, or R's ``contr.treatment(3, base=2)``: the matrix for three levels, of which base is a place."""
    if not args or isinstance(args[0], bool) or not isinstance(args[0], int | float | np.number):
        return make(*args, **keywords)
    places, contrasts = [k + 1 for k in range(int(args[0]))], make(*args[1:], **keywords)
    matrix = np.asarray(contrasts.get_coding_matrix(places, reduced_rank=True, sparse=False), float)
    names = contrasts.get_coding_column_names(places, reduced_rank=True)
    return {str(name): column for name, column in zip(names, matrix.T)}


def as_arguments(keywords: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """R's names of arguments as Python's: ``Boundary.knots`` is ``boundary_knots``."""
    return {name.replace(".", "_").lower() if "." in name else name: value for name, value in keywords}
