"""What rows of marginal means are called, in contrasts and by the user who writes contrasts by name."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Labels:
    """Names of k means.

    Attributes
    ----------
    texts : tuple of k str
        What contrasts call them: values side by side, numbers after the name of their factor.
    values : tuple of k tuples
        Their levels.

    Examples
    --------
    >>> labels = Labels.of(pd.DataFrame({"recipe": ["A", "B"], "temp": [175, 185]}))
    >>> labels.texts
    ('A temp175', 'B temp185')
    >>> labels.position(("B", 185)), labels.position("A temp175"), labels.position(-1)
    (1, 0, 1)
    >>> Labels.of(pd.DataFrame({"year": [1987, 1988]})).position(1988)
    1
    """

    texts: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...] = ()

    @classmethod
    def of(cls, keys: pd.DataFrame, *, name_numbers: bool = True) -> Labels:
        """Names of rows by their levels; numbers stand alone where something else says of which factor they are."""
        columns = []
        for name in keys.columns:
            texts = [written(value) for value in keys[name]]
            if name_numbers and all(_is_number(text) for text in texts):
                texts = [f"{name}{text}" for text in texts]
            columns.append(texts)
        joined = [" ".join(parts) for parts in zip(*columns)]
        called = tuple(f"({text})" if re.search(r"[-+*/]", text) else text for text in joined)
        return cls(called, tuple(keys.itertuples(index=False, name=None)))

    def __len__(self) -> int:
        return len(self.texts)

    def position(self, name: Any) -> int:
        """The mean called `name`: its text, its level (several: a tuple of them), or else its place.

        Raises
        ------
        ValueError
            When there is none.
        """
        if isinstance(name, str) and name in self.texts:
            return self.texts.index(name)
        size = len(self.values[0]) if self.values else 0
        wanted = name if isinstance(name, tuple) and len(name) == size else (name,)
        for same in (lambda a, b: type(a) is not bool and a == b, lambda a, b: written(a) == written(b), _same_number):
            found = [
                k
                for k, own in enumerate(self.values)
                if len(own) == len(wanted) and all(same(a, b) for a, b in zip(own, wanted))
            ]
            if len(found) == 1:
                return found[0]
        if isinstance(name, int | np.integer) and not isinstance(name, bool) and -len(self) <= name < len(self):
            return int(name) % len(self)
        raise ValueError(f"there is no mean {name!r} to compare with; there are {', '.join(self.texts)}")


def as_labels(given: Labels | Sequence[str]) -> Labels:
    """Labels of means that are given as texts."""
    return given if isinstance(given, Labels) else Labels(tuple(given))


def written(value: Any) -> str:
    """A level or a covariate's value, in at most six digits."""
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return str(value)


def free_name(name: str, taken: Container[Any]) -> str:
    """`name`, or with the first number that makes it another than those taken.

    Examples
    --------
    >>> free_name("contrast", ["contrast"]), free_name("p", ["contrast"])
    ('contrast1', 'p')
    """
    number, out = 0, name
    while out in taken:
        number += 1
        out = f"{name}{number}"
    return out


def _same_number(level: Any, text: Any) -> bool:
    """Whether `text` is a level that is a number, in other digits: "2.0" is 2."""
    return isinstance(text, str) and _is_number(text) and _is_number(str(level)) and float(text) == float(str(level))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
