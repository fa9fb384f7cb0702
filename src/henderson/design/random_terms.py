"""Bars and statsmodels' ``re_formula`` → `RandomTerm`s: codes, and columns that vary by level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from henderson.contract.design import RandomTerm
from henderson.formula.coding import Part, fill
from henderson.formula.evaluate import Columns, Values
from henderson.sources.factors import cross, encode, match
from henderson.sources.frames import Array

GroupCodes = tuple[np.ndarray, pd.Index]


@dataclass(frozen=True)
class RandomSpec:
    """How to make a random term's codes and columns for new data.

    Attributes
    ----------
    group : tuple of str
        Columns whose combinations are the levels; empty when the labels were given as an array.
    part : Part or None
        The columns; None for a variance component.
    levels : pandas.Index of length J
    """

    group: tuple[str, ...]
    part: Part | None
    levels: pd.Index

    def codes(self, columns: Columns) -> np.ndarray:
        """Levels of the rows of new data, −1 for a level not seen."""
        if len(self.group) == 1:
            return match(columns[self.group[0]], self.levels)
        each = [encode_new(columns[name]) for name in self.group]
        codes, labels = cross(each)
        found = match(labels.to_numpy(), self.levels)[codes]
        missing = np.logical_or.reduce([pd.isna(columns[name]) for name in self.group])
        return np.where(missing, -1, found)


def encode_new(values: Array) -> GroupCodes:
    """Codes and levels of a column that may have missing values (those get a level of their own)."""
    codes, levels = pd.factorize(values, use_na_sentinel=False)
    return codes.astype(np.intp, copy=False), pd.Index(levels)


class Groups:
    """Codes and levels of each grouping factor, each computed once."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._known: dict[tuple[str, ...], GroupCodes] = {}

    def __getitem__(self, group: tuple[str, ...]) -> GroupCodes:
        if group not in self._known:
            if len(group) == 1:
                self._known[group] = encode(self._columns[group[0]], f"the grouping factor {group[0]!r}")
            else:
                self._known[group] = cross([self[(name,)] for name in group])
        return self._known[group]


def columns_of(part: Part, values: Mapping[str, Values], n: int, X: np.ndarray, x_names: tuple[str, ...]) -> np.ndarray:
    """The (n, q) columns of a bar: a view of X where they stand in it at equal distances."""
    at = [x_names.index(name) if name in x_names else -1 for name in part.names]
    step = at[1] - at[0] if len(at) > 1 else 1
    if at[0] >= 0 and step > 0 and at == list(range(at[0], at[-1] + 1, step)):
        return X[:, at[0] : at[-1] + 1 : step]
    return fill(part, values, np.empty((n, len(part.names)), order="F"))


def random_term(
    name: str,
    label: str,
    groups: GroupCodes,
    columns: np.ndarray,
    names: tuple[str, ...],
    structure: str = "unstructured",
) -> RandomTerm:
    """A `RandomTerm` with lme4's name for the intercept."""
    shown = tuple("(Intercept)" if column == "Intercept" else column for column in names)
    return RandomTerm(name, groups[0], groups[1], columns, shown, structure, None, label)
