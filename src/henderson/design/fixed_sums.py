"""What tests and marginal means need of the rows, summed part by part: means, ranges and cells of the fixed part.

Sums of the parts are those of the whole. A covariate counts as a factor of two values until a third one comes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from henderson.design.cells import Cells
from henderson.design.fixed_terms import FactorVariables, FixedTerms, numeric_variables, put_together
from henderson.formula.coding import Part
from henderson.formula.evaluate import Columns, Values
from henderson.numerics.extents import Extents
from henderson.sources.columns import kind_of, to_float
from henderson.sources.factors import match

#: rows that are looked at before all of them are
FEW = 64


class FixedSums:
    """Means, ranges and cells of the parts that were added.

    Parameters
    ----------
    part : Part
        The fixed part.
    found : FactorVariables
    offset_variables : sequence of str
    first : mapping of str to arrays
        Some rows of the data, for what columns hold.
    """

    def __init__(self, part: Part, found: FactorVariables, offset_variables: Sequence[str], first: Columns) -> None:
        self.part, self.found, self.offset_variables = part, found, tuple(offset_variables)
        self.numbers = numeric_variables(part, found, offset_variables, lambda name: kind_of(first[name]))
        self.n, self.offset = 0, 0.0
        self.sums = dict.fromkeys(self.numbers, 0.0)
        self.low = dict.fromkeys(self.numbers, np.inf)
        self.high = dict.fromkeys(self.numbers, -np.inf)
        plain = set(found.plain(part))
        self.pairs: dict[str, list[float]] = {name: [] for name in self.numbers if name in plain}
        self.counted = [*found.in_order(part), *self.pairs]
        self.counts: dict[tuple[float, ...], int] = {}

    def add(
        self, values: Mapping[str, Values], columns: Columns, offset: np.ndarray | None, n: int, extents: Extents
    ) -> None:
        """Add rows: the values of the factors, the columns and their extents."""
        self.n += n
        if offset is not None:
            self.offset += float(offset.sum())
        for name in self.numbers:
            x = to_float(columns[name], name)
            own = extents.of(x)
            self.sums[name] += own.total
            self.low[name], self.high[name] = min(self.low[name], own.low), max(self.high[name], own.high)
            if name in self.pairs:
                self._two_values(name, x)
        if self.counted:
            self._count(values, columns, n)

    def _two_values(self, name: str, x: np.ndarray) -> None:
        for some in (x[:FEW], x):
            both = sorted({*self.pairs[name], float(some.min()), float(some.max())})
            if len(both) > 2 or not np.isin(some, both).all():
                place = self.counted.index(name)
                counts: dict[tuple[float, ...], int] = {}
                for key, many in self.counts.items():
                    short = key[:place] + key[place + 1 :]
                    counts[short] = counts.get(short, 0) + many
                self.counts = counts
                self.counted.remove(name)
                del self.pairs[name]
                return
        self.pairs[name] = both

    def _count(self, values: Mapping[str, Values], columns: Columns, n: int) -> None:
        """Count the cells of some rows; a covariate of two values is in a cell by its value."""
        cell, size, labels = np.zeros(n, np.intp), 1, []
        for name in self.counted:
            if name in self.pairs:
                own = np.asarray(self.pairs[name])
                codes = np.searchsorted(own, to_float(columns[name], name))
            else:
                expr = self.found.made_of[name]
                found = match(columns[name], self.found.levels[name]) if expr is None else values[expr].codes
                assert found is not None
                codes, own = found, np.arange(len(self.found.levels[name]))
            cell, size = cell + size * codes, size * len(own)
            labels.append(own)
            if size > 4 * n + 4096:
                size = -1
                break
        if size > 0:
            counts = np.bincount(cell, minlength=size)
            cells = np.flatnonzero(counts)
            for number, many in zip(cells.tolist(), counts[cells].tolist()):
                self._add(number, labels, many)
            return
        self._count_sparse(values, columns)

    def _add(self, number: int, labels: list[np.ndarray], many: int) -> None:
        key = []
        for own in labels:
            number, at = divmod(number, len(own))
            key.append(float(own[at]))
        self.counts[tuple(key)] = self.counts.get(tuple(key), 0) + many

    def _count_sparse(self, values: Mapping[str, Values], columns: Columns) -> None:
        """The same where the cells are many more than the rows."""
        wide = {}
        for name in self.counted:
            expr = self.found.made_of.get(name)
            if name in self.pairs:
                wide[name] = to_float(columns[name], name)
            elif expr is None:
                wide[name] = match(columns[name], self.found.levels[name]).astype(float)
            else:
                wide[name] = np.asarray(values[expr].codes, float)
        rows, counts = np.unique(np.column_stack(list(wide.values())), axis=0, return_counts=True)
        for key, many in zip(map(tuple, rows.tolist()), counts.tolist()):
            self.counts[key] = self.counts.get(key, 0) + many

    def __add__(self, other: FixedSums) -> FixedSums:
        """Of both; they are of one fixed part with the same levels."""
        out = copy.copy(self)
        out.n, out.offset = self.n + other.n, self.offset + other.offset
        out.sums = {name: self.sums[name] + other.sums[name] for name in self.numbers}
        out.low = {name: min(self.low[name], other.low[name]) for name in self.numbers}
        out.high = {name: max(self.high[name], other.high[name]) for name in self.numbers}
        both = {n: sorted({*self.pairs[n], *other.pairs[n]}) for n in self.pairs if n in other.pairs}
        out.pairs = {name: values for name, values in both.items() if len(values) <= 2}
        out.counted = [name for name in self.counted if name in out.found.levels or name in out.pairs]
        out.counts = {}
        for part in (self, other):
            place = [part.counted.index(name) for name in out.counted]
            for key, many in part.counts.items():
                short = tuple(key[k] for k in place)
                out.counts[short] = out.counts.get(short, 0) + many
        return out

    def terms(self) -> FixedTerms:
        """The terms of the fixed part, as a table of all rows has them."""
        return put_together(
            self.part,
            self.found,
            {name: self.sums[name] / self.n for name in self.numbers},
            {name: float(self.high[name] - self.low[name]) for name in self.numbers},
            self._cells(),
            self.offset / self.n,
            self.offset_variables,
        )

    def _cells(self) -> Cells:
        varying = [name for name in self.counted if name not in self.pairs or len(self.pairs[name]) == 2]
        if not varying:
            return Cells()
        place = [self.counted.index(name) for name in varying]
        merged: dict[tuple[float, ...], int] = {}
        for key, many in self.counts.items():
            short = tuple(key[k] for k in place)
            merged[short] = merged.get(short, 0) + many
        keys = np.array(list(merged))
        levels: dict[str, pd.Index] = {}
        codes: dict[str, np.ndarray] = {}
        for k, name in enumerate(varying):
            own = pd.Index(self.pairs[name]) if name in self.pairs else self.found.levels[name]
            levels[name] = own
            codes[name] = (own.get_indexer(pd.Index(keys[:, k])) if name in self.pairs else keys[:, k]).astype(np.intp)
        order = np.lexsort([codes[name] for name in varying])  # the first varies fastest
        counts = np.array(list(merged.values()), float)[order]
        return Cells(levels, {name: own[order] for name, own in codes.items()}, counts)
