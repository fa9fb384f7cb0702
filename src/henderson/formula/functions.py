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

from henderson.formula import categories, rowwise, transforms
from henderson.formula.splines import natural_spline


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
    "log": _numeric(rowwise.log),
    "exp10": _numeric(partial(np.power, 10.0)),
    "ceiling": _numeric(np.ceil),
    "asin": _numeric(np.arcsin),
    "acos": _numeric(np.arccos),
    "atan": _numeric(np.arctan),
    "round": _numeric(rowwise.round_to),
    "qlogis": _numeric(rowwise.logit),
    "logit": _numeric(rowwise.logit),
    "plogis": _numeric(rowwise.expit),
    "pmin": _numeric(partial(rowwise.parallel, np.minimum)),
    "pmax": _numeric(partial(rowwise.parallel, np.maximum)),
    "ifelse": Function(rowwise.if_else),
    "I": Function(rowwise.identity),
    "identity": Function(rowwise.identity),
    "c": Function(rowwise.combined),
    "as.numeric": Function(rowwise.as_numeric),
    "as.double": Function(rowwise.as_numeric),
    "as.integer": Function(rowwise.as_integer),
    "as.character": Function(rowwise.as_character),
    "as.logical": Function(partial(rowwise.as_condition, what="what as.logical() is given")),
    "is.na": Function(rowwise.is_na),
    "nchar": Function(rowwise.n_characters),
    "xor": Function(rowwise.exclusive_or),
    "paste": Function(rowwise.pasted),
    "paste0": Function(partial(rowwise.pasted, sep="")),
    "mean": _numeric(partial(rowwise.aggregate, np.mean)),
    "median": _numeric(partial(rowwise.aggregate, np.median)),
    "sd": _numeric(partial(rowwise.aggregate, partial(np.std, ddof=1))),
    "var": _numeric(partial(rowwise.aggregate, partial(np.var, ddof=1))),
    "min": _numeric(partial(rowwise.aggregate, np.min)),
    "max": _numeric(partial(rowwise.aggregate, np.max)),
    "sum": _numeric(partial(rowwise.aggregate, np.sum)),
    "quantile": _numeric(rowwise.quantile),
    "center": _learning(partial(transforms.learned_where_known, "center")),
    "scale": _learning(transforms.scale),
    "standardize": _learning(partial(transforms.learned_where_known, "standardize")),
    "poly": _learning(transforms.polynomial),
    "polym": _learning(transforms.polynomial),
    "dummy": _learning(transforms.indicators, numbers=False),
    "bs": _learning(transforms.b_spline),
    "ns": _learning(natural_spline),
    "cr": _learning(partial(transforms.learned, "cr")),
    "cs": _learning(partial(transforms.learned, "cs")),
    "cc": _learning(partial(transforms.learned, "cc")),
    "cut": _learning(categories.cut),
    "C": _learning(categories.categories, numbers=False),
    "factor": _learning(categories.factor, numbers=False),
    "as.factor": _learning(categories.factor, numbers=False),
    "as_factor": _learning(categories.factor, numbers=False),
    "ordered": _learning(partial(categories.factor, ordered=True), numbers=False),
    "relevel": _learning(categories.relevel, numbers=False),
    "contr.custom": Function(rowwise.identity),
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
OF_LABELS = frozenset({"C", "factor", "as.factor", "as_factor", "ordered", "relevel", "interaction", "dummy"})
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
    return transforms.transform_called(_CODINGS[name])


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
