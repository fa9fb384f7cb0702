"""Numbers and names that a user gives as options: read once, refused by the name of the option."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from functools import wraps
from types import FunctionType
from typing import Any, Literal, TypeVar, get_args, get_origin

import numpy as np

C = TypeVar("C", bound=type)


def number(value: Any, name: str, at_least: float = -np.inf) -> float:
    """A finite number.

    Raises
    ------
    ValueError
        For anything else, naming the option.

    Examples
    --------
    >>> number(2, "delta"), number(np.float32(0.5), "delta", at_least=0)
    (2.0, 0.5)
    """
    is_number = isinstance(value, float | int | np.number) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value):
        raise ValueError(f"{name} must be a number, not {shown(value)}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least:g}, not {shown(value)}")
    return float(value)


def probability(value: Any, name: str) -> float:
    """A number between 0 and 1, such as a level of confidence.

    Examples
    --------
    >>> probability(0.95, "level")
    0.95
    >>> probability(95, "level")
    Traceback (most recent call last):
        ...
    ValueError: level must be between 0 and 1, not 95: 95 % is 0.95
    """
    if isinstance(value, bool) or not isinstance(value, float | int | np.number) or not 0 < value < 1:
        is_percent = isinstance(value, float | int | np.number) and 1 < value < 100
        hint = f": {value:g} % is {value / 100:g}" if is_percent else ""
        raise ValueError(f"{name} must be between 0 and 1, not {shown(value)}{hint}")
    return float(value)


def names(value: Any, name: str) -> list[Any]:
    """One name, or several, as a list.

    Examples
    --------
    >>> names("a", "by"), names(("a", "b"), "by")
    (['a'], ['a', 'b'])
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        found = list(value)
        if all(isinstance(one, str | int | np.integer) for one in found):
            return found
    raise ValueError(f"{name} is a name or several, not {shown(value)}")


def whole(value: Any, name: str, at_least: int = 1) -> int:
    """A whole number.

    Examples
    --------
    >>> whole(np.int64(200), "n")
    200
    >>> whole("many", "n")
    Traceback (most recent call last):
        ...
    ValueError: n must be a whole number from 1 on, not 'many'
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < at_least:
        raise ValueError(f"{name} must be a whole number from {at_least} on, not {shown(value)}")
    return int(value)


def plain_options(cls: C) -> C:
    """A class whose methods refuse a table or an array where an option is a word, or yes or no.

    Which these are is read from the annotations, once for all methods, inherited ones too.

    Examples
    --------
    >>> @plain_options
    ... class Fit:
    ...     def predict(self, data, type: Literal["link", "response"] = "link"):
    ...         return type
    >>> Fit().predict([1], type="response")
    'response'
    >>> Fit().predict([1], type=np.zeros(2))
    Traceback (most recent call last):
        ...
    ValueError: type must be 'link' or 'response', not array([0., 0.])
    """
    for name in dir(cls):
        method = inspect.getattr_static(cls, name)
        if name.startswith("_") or not isinstance(method, FunctionType) or hasattr(method, "__wrapped__"):
            continue
        wanted = {option: text for option, kind in method.__annotations__.items() if (text := _choices(kind, method))}
        if wanted:
            setattr(cls, name, _refusing(method, wanted))
    return cls


def _choices(kind: Any, method: FunctionType) -> str:
    """What an option may be, by its annotation as text; empty where it may be a list or a table."""
    words: list[str] = []
    others: list[str] = []
    for part in re.sub(r"Literal\[(.*?)\]", lambda found: found[1].replace(", ", " | "), str(kind)).split(" | "):
        named = method.__globals__.get(part)
        if part == "bool":
            words += ["True", "False"]
        elif part[:1] in ("'", '"'):
            words.append(part.replace('"', "'"))
        elif listed := [one for one in (named, *get_args(named)) if get_origin(one) is Literal]:
            words += [repr(word) for one in listed for word in get_args(one)]
        elif part == "str":
            others = ["text"]
        elif part not in ("None", "int", "float") and not part.isdigit():
            return ""
    words = words or others
    return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _refusing(method: FunctionType, wanted: dict[str, str]) -> FunctionType:
    names = method.__code__.co_varnames[1 : method.__code__.co_argcount]

    def check(args: tuple[Any, ...], options: dict[str, Any]) -> None:
        for name, value in (*zip(names, args), *options.items()):
            several = getattr(value, "ndim", 0) > 0 or hasattr(value, "columns") or isinstance(value, dict)
            if several and name in wanted:
                raise ValueError(f"{name} must be {wanted[name]}, not {shown(value)}")

    def checked(self: Any, *args: Any, **options: Any) -> Any:
        check(args, options)
        return method(self, *args, **options)

    # of the method's own module, where its doctest is looked for
    own = FunctionType(checked.__code__, method.__globals__, method.__name__, None, checked.__closure__)
    return wraps(method)(own)  # type: ignore[return-value]  # a function, which mypy calls a _Wrapped


def shown(value: Any) -> str:
    """A value in a message: by its type where it is long."""
    text = repr(value)
    return text if len(text) < 60 and "\n" not in text else f"a {type(value).__name__}"
