"""Which combinations of the fixed part's factors the data have, and how often: what marginal means need of the rows.

A cell is one combination of levels. Covariates with two values count as factors here, as emmeans has it. What is kept
is small whatever the number of rows, so marginal means need no rows, and cells of two chunks could be added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

#: combinations above this many times the rows are numbered by sorting rather than by counting
_SPARSE = 4


@dataclass(frozen=True)
class Cells:
    """The cells that occur.

    Attributes
    ----------
    values : dict of str to pandas.Index
        Levels of each factor; the two values, sorted, of each covariate that has two.
    codes : dict of str to (c,) intp array
        Which of them each cell has.
    counts : (c,) float array
        Rows in each cell.
    """

    values: Mapping[str, pd.Index] = field(default_factory=dict)
    codes: Mapping[str, np.ndarray] = field(default_factory=dict)
    counts: np.ndarray = field(default_factory=lambda: np.ones(1))


def cells_of(levels: Mapping[str, pd.Index], codes: Mapping[str, np.ndarray]) -> Cells:
    """Count the cells.

    Parameters
    ----------
    levels : mapping of str to pandas.Index
    codes : mapping of str to (n,) intp arrays

    Examples
    --------
    >>> levels = {"a": pd.Index(["u", "v"]), "b": pd.Index([1, 2])}
    >>> cells = cells_of(levels, {"a": np.array([0, 1, 1, 1]), "b": np.array([0, 0, 1, 1])})
    >>> cells.codes["a"].tolist(), cells.codes["b"].tolist(), cells.counts.tolist()
    ([0, 1, 1], [0, 0, 1], [1.0, 1.0, 2.0])
    """
    if not levels:
        return Cells()
    n = len(next(iter(codes.values())))
    cell, size = np.zeros(n, np.intp), 1
    first = np.arange(n)
    for name, index in levels.items():
        cell = cell + size * codes[name]
        size *= len(index)
        if size > _SPARSE * n + 4096:
            _, first, cell = np.unique(cell, return_index=True, return_inverse=True)
            size = len(first)
    counts = np.bincount(cell, minlength=size)
    first = np.zeros(size, np.intp)
    first[cell] = np.arange(n)
    first, counts = first[counts > 0], counts[counts > 0]
    return Cells(dict(levels), {name: codes[name][first] for name in levels}, counts.astype(float))


def two_values(column: np.ndarray) -> tuple[np.ndarray, pd.Index] | None:
    """Codes (n,) and values, sorted, of a numeric column that has two values; None for another.

    Examples
    --------
    >>> codes, values = two_values(np.array([3.0, 1.0, 3.0]))
    >>> codes.tolist(), values.tolist()
    ([1, 0, 1], [1.0, 3.0])
    >>> two_values(np.array([3.0, 1.0, 2.0])) is None
    True
    """
    if len(set(column[:64].tolist())) > 2:
        return None
    low, high = column.min(initial=np.inf), column.max(initial=-np.inf)
    if not low < high or not np.all((column == low) | (column == high)):
        return None
    return (column == high).astype(np.intp), pd.Index([low, high])
