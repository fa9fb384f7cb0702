"""Functions of the formula language without a memory: of a row's values, or one number of all rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError, FormulaError
from henderson.formula.categories import Category
from henderson.sources.columns import kind_of, to_array, to_float


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


def log(x: Any, base: Any = None) -> Any:
    return np.log(x) if base is None else np.log(x) / np.log(base)


def round_to(x: Any, digits: Any = 0) -> Any:
    return np.round(x, int(digits))


def combined(*values: Any) -> Any:
    """R's ``c()``."""
    if not values:
        raise FormulaError("c() is empty")
    if any(isinstance(value, str) for value in values):
        return [str(value) for value in values]
    return np.concatenate([np.atleast_1d(np.asarray(value)) for value in values])


def parallel(function: Any, *values: Any) -> Any:
    if not values:
        raise FormulaError("pmin() and pmax() need columns")
    out = values[0]
    for more in values[1:]:
        out = function(out, more)
    return out


def if_else(test: Any, yes: Any, no: Any) -> Any:
    """R's ``ifelse(test, yes, no)``."""
    condition = as_condition(test, "the first argument of ifelse()")
    both = [plain_values(value) for value in (yes, no)]
    if any(isinstance(value, str) or getattr(value, "dtype", np.dtype(float)).kind in "OUST" for value in both):
        both = [np.asarray(value, dtype=object) for value in both]
        if any(
            isinstance(v, int | float | np.number) and not isinstance(v, bool) for b in both for v in np.atleast_1d(b)
        ):
            raise FormulaError("ifelse() has a text in one case and a number in the other")
    else:
        both = [np.asarray(value, dtype=np.float64) for value in both]
    return np.where(condition, *both)


def plain_values(values: Any) -> Any:
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


def identity(x: Any) -> Any:
    return x


def as_numeric(x: Any) -> Any:
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


def as_integer(x: Any) -> Any:
    return np.trunc(as_numeric(x))


def as_character(x: Any) -> Any:
    return np.array([str(value) for value in np.atleast_1d(plain_values(x))], dtype=object)


def n_characters(x: Any) -> Any:
    """R's ``nchar()``: the length of each text."""
    if isinstance(x, Category) or (np.ndim(x) == 1 and kind_of(to_array(x, "nchar()")) == "category"):
        raise FormulaError("nchar() is for texts, as in R: of a factor write nchar(as.character(f))")
    return np.array([float(len(text)) for text in as_character(x)])


def exclusive_or(one: Any, other: Any) -> Any:
    """R's ``xor()``: one of two conditions, not both."""
    return np.logical_xor(*(as_condition(value, "what xor() is given") for value in (one, other)))


def is_na(x: Any) -> Any:
    return x.codes < 0 if isinstance(x, Category) else np.asarray(pd.isna(x))


def pasted(*values: Any, sep: str = " ") -> Any:
    parts = [as_character(value) for value in values]
    n = max(len(part) for part in parts)
    return np.array([sep.join(str(part[k % len(part)]) for part in parts) for k in range(n)], dtype=object)


def _all(*values: Any) -> np.ndarray:
    array = np.concatenate([np.atleast_1d(np.asarray(value, float)) for value in values])
    return array[~np.isnan(array)]


def aggregate(function: Callable[[np.ndarray], Any], *values: Any, na_rm: bool = True) -> float:
    """A number of all rows; missing values are left out."""
    del na_rm
    return float(function(_all(*values)))


def quantile(x: Any, probs: Any = None) -> Any:
    if probs is None:
        raise FormulaError("quantile() needs the probability: quantile(x, 0.75)")
    found = np.quantile(_all(x), probs)
    return float(found) if np.ndim(found) == 0 or len(found) == 1 else found


def logit(x: Any) -> Any:
    return np.log(x) - np.log1p(-x)


def expit(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))
