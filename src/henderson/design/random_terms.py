"""Bars and statsmodels' ``re_formula`` → `RandomTerm`s: codes, and columns that vary by level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from henderson.contract.design import RandomTerm
from henderson.formula.coding import Part, fill
from henderson.formula.evaluate import Columns, Values
from henderson.sources.columns import Array, to_array
from henderson.sources.factors import Crossing, cross, differ_in_type, encode, match, shown_label, unknown_levels

GroupCodes = tuple[np.ndarray, pd.Index]


@dataclass(frozen=True)
class RandomSpec:
    """How to make a random term's codes and columns for new data.

    Attributes
    ----------
    group : tuple of str
        Columns whose combinations are the levels; an empty name when the labels were given as a nameless array.
    part : Part
        The columns.
    levels : pandas.Index of length J
    crossing : Crossing or None
        How combinations of several columns are numbered.
    """

    group: tuple[str, ...]
    part: Part
    levels: pd.Index
    crossing: Crossing | None = None

    def codes(self, columns: Columns) -> np.ndarray:
        """Levels of the rows of new data, −1 for a level not seen."""
        if self.crossing is None:
            return match(columns[self.group[0]], self.levels)
        return self.crossing.codes([match(columns[n], part) for n, part in zip(self.group, self.crossing.parts)])

    def complaint(self, columns: Columns, codes: np.ndarray) -> str:
        """What to say of the rows whose levels are not known: which level of which column, or which combination."""
        parts = (self.levels,) if self.crossing is None else self.crossing.parts
        for name, levels in zip(self.group, parts):
            own = match(columns[name], levels)
            if (own < 0).any():
                return unknown_levels(name, columns[name], own, levels)
        row = int(np.argmax(codes < 0))
        shown = ", ".join(f"{name} {shown_label(columns[name][row])}" for name in self.group)
        return f"row {row} has a combination that the model does not know: {shown}"

    def is_other_type(self, columns: Columns) -> bool:
        """Whether no label can be known, because all are of another type than the model's."""
        parts = (self.levels,) if self.crossing is None else self.crossing.parts
        return any(differ_in_type(columns[name], levels) for name, levels in zip(self.group, parts))


def labels_of(spec: RandomSpec) -> dict[str, Array]:
    """The labels of each level, column by column."""
    if spec.crossing is None:
        return {spec.group[0]: to_array(spec.levels, spec.group[0])}
    return {
        name: to_array(part[at], name) for name, part, at in zip(spec.group, spec.crossing.parts, spec.crossing.members)
    }


class Groups:
    """Codes and levels of each grouping factor, each computed once."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._known: dict[tuple[str, ...], GroupCodes] = {}
        self.crossings: dict[tuple[str, ...], Crossing] = {}

    def __getitem__(self, group: tuple[str, ...]) -> GroupCodes:
        if group not in self._known:
            if len(group) == 1:
                self._known[group] = encode(self._columns[group[0]], f"the grouping factor {group[0]!r}")
            else:
                codes, crossing = cross([self[(name,)] for name in group])
                self.crossings[group], self._known[group] = crossing, (codes, crossing.labels)
        return self._known[group]


def columns_of(part: Part, values: Mapping[str, Values], n: int, X: np.ndarray, fixed: Part) -> np.ndarray:
    """The (n, q) columns of a bar: a view of X where the fixed part has them at equal distances.

    Columns are the same when they are the same product of the same factors, whatever their names.
    """
    places = {column: j for j, column in enumerate(fixed.columns)}
    at = [places.get(column, -1) for column in part.columns]
    step = at[1] - at[0] if len(at) > 1 else 1
    if at[0] >= 0 and step > 0 and at == list(range(at[0], at[-1] + 1, step)):
        return X[:, at[0] : at[-1] + 1 : step]
    return fill(part, values, np.empty((n, len(part.names)), order="F"))


def random_term(
    name: str, label: str, levels: pd.Index, names: tuple[str, ...], structure: str = "unstructured"
) -> RandomTerm:
    """A `RandomTerm` of a bar."""
    return RandomTerm(name, levels, names, structure, label)
