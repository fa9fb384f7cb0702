"""Linear constraints R b = q from what a user writes: text, matrices, named contrasts.

``"x1 = x2, x3 - 2*x4 = 1"`` is read against the names of the coefficients, which may hold any characters
(``C(g)[T.b]``, ``a:b``, ``(Intercept)``): at each place the longest name that fits is taken. Names can stand in
backquotes or in ``Q("…")``, as in a formula, whichever of these the formula had; a name that is a number needs them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from henderson.errors import FormulaError
from henderson.formula.tokens import bare, bare_but_numbers
from henderson.typing import ConstraintsLike

_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class Constraints(NamedTuple):
    """R b = q.

    Attributes
    ----------
    R : (m, k) array
    q : (m,) array
    labels : tuple of m str
        What a table calls each row.
    """

    R: np.ndarray
    q: np.ndarray
    labels: tuple[str, ...]


def parse_constraints(constraints: ConstraintsLike | Constraints, names: Sequence[str]) -> Constraints:
    """Read linear constraints on coefficients.

    Parameters
    ----------
    constraints : str, sequence of str, array_like, tuple (R, q), or mapping
        Text: equations joined by commas; ``"a = b = 0"`` is two, an expression alone is compared with zero.
        Array: R, (m, k) or (k,), with q = 0. Mapping: label → expression, (k,) weights or {name: weight};
        or expression → number, the value it is compared with.
    names : sequence of k str
        Names of the coefficients.

    Returns
    -------
    Constraints

    Raises
    ------
    FormulaError
        For text that is not a linear expression in the names.
    ValueError
        For an array of another width than k.

    Examples
    --------
    >>> R, q, labels = parse_constraints("x1 = 2*x2, x3 = 1", ["x1", "x2", "x3"])
    >>> R
    array([[ 1., -2.,  0.],
           [ 0.,  0.,  1.]])
    >>> q, labels
    (array([0., 1.]), ('x1 = 2*x2', 'x3 = 1'))
    >>> parse_constraints({"diff": {"a": 1, "b": -1}}, ["a", "b"]).labels
    ('diff',)
    """
    if isinstance(constraints, Constraints):
        return constraints
    if len(set(map(bare, names))) == len(names):
        constraints, names = _bare(constraints), [_in_text(bare(name)) for name in names]
    if isinstance(constraints, str):
        return _stack([row for text in _split(constraints, names) for row in _equation(text, names)], names)
    if isinstance(constraints, Mapping):
        return _stack([_named(str(label), value, names) for label, value in constraints.items()], names)
    if isinstance(constraints, list | tuple) and constraints and all(isinstance(c, str) for c in constraints):
        return _stack([row for text in constraints for row in _equation(text, names)], names)
    values: Any = 0.0
    if isinstance(constraints, tuple) and len(constraints) == 2:
        constraints, values = constraints
    matrix = np.atleast_2d(_numbers(_by_name(constraints, names), "a constraint matrix"))
    if matrix.ndim != 2 or matrix.shape[1] != len(names):
        raise ValueError(f"a constraint matrix over {', '.join(names)} has {len(names)} columns, not {matrix.shape[1]}")
    q = _numbers(values, "the values of constraints").ravel()
    if len(q) not in (1, len(matrix)):
        raise ValueError(f"{len(matrix)} constraints have {len(matrix)} values, or one, not {len(q)}")
    return Constraints(matrix, np.array(np.broadcast_to(q, len(matrix))), tuple(f"c{i}" for i in range(len(matrix))))


def _by_name(values: Any, names: Sequence[str]) -> Any:
    """What has labels, a Series or a DataFrame with a column for each coefficient, in the order of the names."""
    if not isinstance(values, pd.Series | pd.DataFrame):
        return values
    labels = values.index if isinstance(values, pd.Series) else values.columns
    if isinstance(labels, pd.RangeIndex):
        return values.to_numpy()
    own = pd.Index([_in_text(bare(str(label))) for label in labels])
    alias = {"Intercept": "(Intercept)", "(Intercept)": "Intercept"}
    places = own.get_indexer(pd.Index([name if name in own else alias.get(name, name) for name in names]))
    if not own.is_unique or len(own) != len(names) or (places < 0).any():
        raise FormulaError(f"weights are of {', '.join(map(str, labels))}; the coefficients are {', '.join(names)}")
    return values.to_numpy()[..., places]


def _numbers(values: Any, what: str) -> np.ndarray:
    """Finite numbers of any shape."""
    try:
        found = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{what} holds numbers, not {values!r}") from None
    if not np.isfinite(found).all():
        raise ValueError(f"{what} holds finite numbers, not {values!r}")
    return found


def _in_text(name: str) -> str:
    """A bare name as a text must have it: one that is a number in backquotes."""
    return f"`{name}`" if _NUMBER.fullmatch(name) else name


def _bare(constraints: Any) -> Any:
    """Constraints with each text in them bare."""
    if isinstance(constraints, str):
        return bare_but_numbers(constraints)
    if isinstance(constraints, Mapping):
        return {_bare(label): _bare(value) for label, value in constraints.items()}
    if isinstance(constraints, list | tuple) and all(isinstance(c, str) for c in constraints):
        return [bare_but_numbers(text) for text in constraints]
    return constraints


_Row = tuple[str, np.ndarray, float]


def _stack(rows: list[_Row], names: Sequence[str]) -> Constraints:
    if not rows:
        raise FormulaError("no constraint given")
    return Constraints(
        np.array([row for _, row, _ in rows]).reshape(len(rows), len(names)),
        np.array([q for _, _, q in rows]),
        tuple(label for label, _, _ in rows),
    )


def _named(label: str, value: Any, names: Sequence[str]) -> _Row:
    """One row of a mapping."""
    if isinstance(value, str):
        ((_, weights, q),) = _equation(value, names)
        return label, weights, q
    if isinstance(value, Mapping):
        own = {_in_text(str(name)): weight for name, weight in value.items()}
        unknown = [name for name in own if name not in names]
        if unknown:
            raise FormulaError(
                f"unknown coefficient {unknown[0]!r} in contrast {label!r}; there are: {', '.join(names)}"
            )
        return label, _numbers([own.get(name, 0.0) for name in names], f"the contrast {label!r}"), 0.0
    if np.ndim(value) == 0:
        weights, constant = _Expression(label, names).read()
        if not weights.any():
            raise FormulaError(f"no coefficient in the constraint {label!r}; there are: {', '.join(names)}")
        return label, weights, float(_numbers(value, f"the constraint {label!r}")) - constant
    weights = _numbers(_by_name(value, names), f"the contrast {label!r}").ravel()
    if len(weights) != len(names):
        raise ValueError(f"contrast {label!r} has {len(weights)} weights for {len(names)} coefficients")
    return label, weights, 0.0


def _split(text: str, names: Sequence[str]) -> list[str]:
    """Pieces between the commas that are outside brackets and names."""
    pieces, depth, start, i = [], 0, 0, 0
    while i < len(text):
        name = _name_at(text, i, len(text), names)
        if not name:
            depth += (text[i] in "([") - (text[i] in ")]")
            if text[i] == "," and depth == 0:
                pieces.append(text[start:i])
                start = i + 1
        i += max(len(name), 1)
    return [piece.strip() for piece in (*pieces, text[start:]) if piece.strip()]


def _equation(text: str, names: Sequence[str]) -> list[_Row]:
    """The rows of ``a = b = …``: each side less the next."""
    sides = [_Expression(text, names, start, end).read() for start, end in _sides(text, names)]
    if len(sides) == 1:
        sides.append((np.zeros(len(names)), 0.0))
    label = " ".join(text.split())
    rows = [(label, a - b, d - c) for (a, c), (b, d) in pairwise(sides)]
    for _, row, _ in rows:
        if not row.any():
            raise FormulaError(f"no coefficient in the constraint {text!r}; there are: {', '.join(names)}")
    return rows


def _sides(text: str, names: Sequence[str]) -> list[tuple[int, int]]:
    """Where the sides of an equation are, an ``=`` inside a name being no equals sign."""
    cuts, i = [], 0
    while i < len(text):
        name = _name_at(text, i, len(text), names)
        if text[i] == "=":
            cuts.append(i)
        i += max(len(name), 1)
    return list(zip([0, *(cut + 1 for cut in cuts)], [*cuts, len(text)]))


def _name_at(text: str, i: int, end: int, names: Sequence[str]) -> str:
    """The longest coefficient name at a place of the text; empty when there is none."""
    if i and _is_word(text[i - 1]) and _is_word(text[i]):
        return ""
    best = ""
    for name in names:
        stop = i + len(name)
        ends_inside_word = stop < len(text) and _is_word(name[-1]) and _is_word(text[stop])
        if len(name) > len(best) and stop <= end and text.startswith(name, i) and not ends_inside_word:
            best = name
    return best


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


class _Expression:
    """A linear expression in the names, read by recursive descent: value = (weights (k,), constant)."""

    def __init__(self, text: str, names: Sequence[str], start: int = 0, end: int | None = None):
        self.text, self.names, self.i = text, list(names), start
        self.end = len(text) if end is None else end
        if "Intercept" in self.names and "(Intercept)" not in self.names:
            self.aliases = {"(Intercept)": self.names.index("Intercept")}
        elif "(Intercept)" in self.names and "Intercept" not in self.names:
            self.aliases = {"Intercept": self.names.index("(Intercept)")}
        else:
            self.aliases = {}

    def read(self) -> tuple[np.ndarray, float]:
        value = self._sum()
        if self._next():
            raise self._error()
        return value

    def _next(self) -> str:
        while self.i < self.end and self.text[self.i].isspace():
            self.i += 1
        return self.text[self.i] if self.i < self.end else ""

    def _error(self) -> FormulaError:
        rest = self.text[self.i : self.end].strip()
        return FormulaError(f"cannot read {rest!r} in the constraint {self.text!r}; there are: {', '.join(self.names)}")

    def _sum(self) -> tuple[np.ndarray, float]:
        row, constant = self._product()
        while (sign := self._next()) in ("+", "-") and sign:
            self.i += 1
            other, more = self._product()
            factor = 1.0 if sign == "+" else -1.0
            row, constant = row + factor * other, constant + factor * more
        return row, constant

    def _product(self) -> tuple[np.ndarray, float]:
        row, constant = self._atom()
        while (operator := self._next()) in ("*", "/") and operator:
            self.i += 1
            other, factor = self._atom()
            if operator == "*" and not row.any():
                row, constant, factor = other, factor, constant
            elif other.any() or (operator == "/" and factor == 0):
                raise FormulaError(f"the constraint {self.text!r} is not linear in the coefficients")
            factor = factor if operator == "*" else 1 / factor
            row, constant = factor * row, factor * constant
        return row, constant

    def _atom(self) -> tuple[np.ndarray, float]:
        char = self._next()
        if char in ("+", "-") and char:
            self.i += 1
            row, constant = self._atom()
            return (row, constant) if char == "+" else (-row, -constant)
        if name := _name_at(self.text, self.i, self.end, [*self.names, *self.aliases]):
            self.i += len(name)
            row = np.zeros(len(self.names))
            row[self.aliases[name] if name in self.aliases else self.names.index(name)] = 1.0
            return row, 0.0
        if number := _NUMBER.match(self.text, self.i, self.end):
            if not np.isfinite(float(number[0])):
                raise self._error()
            self.i = number.end()
            return np.zeros(len(self.names)), float(number[0])
        if char == "(":
            self.i += 1
            value = self._sum()
            if self._next() != ")":
                raise self._error()
            self.i += 1
            return value
        raise self._error()
