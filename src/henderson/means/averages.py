"""Averages over a reference grid: the rows L of marginal means.

    L_k = Σ_i w_i x_i / Σ_i w_i        over the rows i of the grid that have the k-th values of the variables kept

Nested factors are averaged first, one by one from the innermost out, within each level of the factors around them:
with l nested in g, the mean over all is the mean over g of the means over the l of each g, as emmeans has it. What is
neither kept nor one of those nested and around is averaged with the first of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from henderson.means.estimability import ROUNDING
from henderson.means.grid import ReferenceGrid, frame_of, keys_of

WEIGHTS = ("equal", "proportional", "cells", "outer", "flat")


@dataclass(frozen=True)
class Margins:
    """Averages over a grid.

    Attributes
    ----------
    frame : DataFrame with r rows
        Values of the variables that are not averaged over.
    rows : (r, p) array
        Averages of the grid's X.
    offset : (r,) array
        Averages of its offset.
    averaged : tuple of str
        Factors averaged over.
    """

    frame: pd.DataFrame
    rows: np.ndarray
    offset: np.ndarray
    averaged: tuple[str, ...]


@dataclass(frozen=True)
class _Table:
    """Rows over some variables of a grid.

    Attributes
    ----------
    values : dict of str to pandas.Index
    codes : dict of str to (m,) intp arrays
    columns : (m, p + 1) array
        X and the offset.
    counts : (m,) array
        Rows of the data in each.
    factors : tuple of str
        Variables that count as factors.
    """

    values: Mapping[str, pd.Index]
    codes: Mapping[str, np.ndarray]
    columns: np.ndarray
    counts: np.ndarray
    factors: tuple[str, ...]

    def totals(self, names: Sequence[str]) -> np.ndarray:
        """Counts summed over all factors but `names`, for each row."""
        key, size = keys_of(self.codes, self.values, names, len(self.counts))
        return np.bincount(key, self.counts, minlength=size)[key]


def margins(grid: ReferenceGrid, specs: Sequence[str], weights: str = "equal", X: np.ndarray | None = None) -> Margins:
    """Average a grid over all variables but `specs`.

    Parameters
    ----------
    grid : ReferenceGrid
    specs : sequence of str
        Variables to keep; the first varies fastest in the result.
    weights : {"equal", "proportional", "cells", "outer", "flat"}
        The same for every combination averaged over; in proportion to its frequency in the data; to its
        frequency together with that of `specs`; the product of the frequencies of its levels; the same for
        each that occurs with `specs`.
    X : (m, p) array, optional
        In place of the grid's own.

    Returns
    -------
    Margins
        Rows whose weights are all zero are NaN.

    Raises
    ------
    ValueError
        For other weights.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"unknown weights {weights!r}; there are {', '.join(WEIGHTS)}")
    inside = grid.possible
    columns = np.column_stack([grid.X if X is None else X, grid.offset])[inside]
    codes = {name: code[inside] for name, code in grid.codes.items()}
    table = _Table(grid.values, codes, columns, grid.counts[inside], grid.factors)
    averaged = tuple(name for name in grid.factors if name not in specs and len(grid.values[name]) > 1)
    while nested := [name for name in grid.nested if name in table.codes and name not in specs]:
        around = {outer for name in nested for outer in grid.nested[name]}
        last = [name for name in nested if name not in around][-1]
        within = [name for name in grid.values if name != last and (name in around or name in nested)]
        table = _average(table, [*specs, *(name for name in within if name not in specs)], within, weights)
    table = _average(table, specs, (), weights)
    frame = frame_of(table.values, table.codes) if specs else pd.DataFrame(index=pd.RangeIndex(1))
    return Margins(frame, table.columns[:, :-1], table.columns[:, -1], averaged)


def _average(table: _Table, keep: Sequence[str], within: Sequence[str], weights: str) -> _Table:
    """Average over all variables but `keep`, with weights as they are within each combination of `within`."""
    averaged = [name for name in table.factors if name not in keep]
    weight = _weights(table, averaged, within, weights)
    key, _ = keys_of(table.codes, table.values, keep, len(weight))
    present, row = np.unique(key, return_inverse=True)
    order = np.argsort(row, kind="stable")
    starts = np.searchsorted(row[order], np.arange(len(present)))
    weighted = weight[order, None] * table.columns[order]
    total = np.add.reduceat(weight[order], starts)[:, None]
    sums, sizes = np.add.reduceat(weighted, starts, axis=0), np.add.reduceat(np.abs(weighted), starts, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        # what is a rounding error in a sum would make a row look as if it were not estimable
        columns = np.where(np.abs(sums) < ROUNDING * sizes, 0.0, sums) / total
    return _Table(
        {name: table.values[name] for name in keep},
        {name: table.codes[name][order][starts] for name in keep},
        columns,
        np.add.reduceat(table.counts[order], starts),
        tuple(name for name in table.factors if name in keep),
    )


def _weights(table: _Table, averaged: Sequence[str], within: Sequence[str], kind: str) -> np.ndarray:
    if kind == "equal" or not averaged:
        return np.ones(len(table.counts))
    if kind == "cells":
        return table.totals(table.factors)
    if kind == "flat":
        return (table.totals(table.factors) > 0) * 1.0
    around = [name for name in within if name in table.factors]
    if kind == "outer":
        return np.prod([table.totals([name, *around]) for name in averaged], axis=0)
    return table.totals([*averaged, *around])
