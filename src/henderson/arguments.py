"""Numbers and names that a user gives as options: read once, refused by the name of the option."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


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


def shown(value: Any) -> str:
    """A value in a message: by its type where it is long."""
    text = repr(value)
    return text if len(text) < 60 and "\n" not in text else f"a {type(value).__name__}"
