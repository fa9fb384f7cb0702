"""The first pass over a source: what a model learns from all rows, in the memory of its distinct labels.

1. The first rows tell what each column holds (`peek`).
2. A plain column of numbers, and an expression that learns nothing and is a number, say all at once. Of factors,
   groups and expressions of labels the distinct rows are collected; of expressions that learn from all values
   (``scale``, ``poly``, splines) the columns themselves, 8 bytes a row, up to `HELD` rows.
3. What was collected is evaluated as a table in memory would be (`formula.evaluate.learn`): the same levels, contrasts
   and states, digit by digit.

Only the columns of step 2 are read. So a level is learned also from a row in which another column is missing; after
the second pass has counted the rows of each level, those without are left out (`without`), as if never seen. And where
all there is to learn are groups numbered by a column of a file that says its smallest and its largest number, every
number between is taken for a level, and step 2 reads nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from henderson.design.random_terms import Groups
from henderson.errors import DataError, FormulaError
from henderson.formula.by_rows import learns_from
from henderson.formula.environment import Environment
from henderson.formula.evaluate import FactorSpec, Values, is_plain, learn
from henderson.formula.plan import Plan
from henderson.numerics.extents import Extents
from henderson.sources.columns import Array, find_missing, kind_of, settle
from henderson.sources.factors import Crossing
from henderson.sources.streams.distinct import BITS, Distinct, Kinds, joined
from henderson.sources.streams.source import Part, Ranged, Source, Spread, in_parts_of, reduced
from henderson.sources.table import Table

#: rows of a column that is held in memory while an expression learns from it
HELD = 100_000_000
#: rows of which the first complete ones are looked at
FIRST = 1 << 16
#: rows, for each number between the smallest and the largest of a group, from which all of them are taken for levels
EACH = 50

Columns = dict[str, Array]
GroupName = tuple[str, ...]


@dataclass(frozen=True)
class Witness:
    """Rows that show all that there is to learn.

    Attributes
    ----------
    first : dict of str to arrays
        The first complete rows, all columns used.
    of_factors : dict of str to (dict of str to arrays)
        For each factor that learns: its columns, in rows that say all.
    of_groups : dict of tuple to (dict of str to arrays)
        For each grouping factor: the distinct rows of its columns.
    of_columns : dict of str to (dict of str to arrays)
        Further columns of the fixed part that are no numbers.
    """

    first: Columns
    of_factors: dict[str, Columns]
    of_groups: dict[GroupName, Columns]
    of_columns: dict[str, Columns]


@dataclass(frozen=True)
class Learned:
    """What a model learned of its factors and groups.

    Attributes
    ----------
    factors : dict of str to FactorSpec
    codes : dict of str to (m,) int array or None
        A factor's codes in rows that have each of its levels.
    shown : dict of str to (dict of str to arrays)
        The columns of these rows.
    groups : dict of tuple to (pandas.Index, Crossing or None)
        Levels of each grouping factor.
    """

    factors: dict[str, FactorSpec]
    codes: dict[str, np.ndarray | None]
    shown: dict[str, Columns]
    groups: dict[GroupName, tuple[pd.Index, Crossing | None]]


def peek(source: Source, variables: tuple[str, ...], kinds: Kinds) -> Columns:
    """The first rows in which nothing is missing (a column that is all missing at first is looked for further on)."""
    held: list[Columns] = []
    for part in in_parts_of(source, FIRST).parts(variables):
        columns = {name: part.table[name] for name in variables}
        for name, values in columns.items():
            kinds.check(name, values, part.where)
        kept = complete_rows(columns)
        if kept is None or len(kept):
            return {name: settle(values if kept is None else values[kept]) for name, values in columns.items()}
        held.append(columns)
    if not held:
        raise DataError(f"{source.title}: the data has no rows")
    missing = [n for n in variables if all(pd.isna(columns[n]).all() for columns in held)] or list(variables)
    raise DataError(f"no row is complete: {', '.join(map(repr, missing))} have missing values")


def complete_rows(columns: Mapping[str, Array], extents: Extents | None = None) -> np.ndarray | None:
    """Rows in which nothing is missing; None for all. `extents` are of columns that are gone through again."""

    def is_finite(values: Array) -> bool:
        is_float = isinstance(values.dtype, np.dtype) and values.dtype.kind == "f" and len(values) > 0
        return extents is not None and is_float and extents.of(values).is_finite

    missed = [
        found for values in columns.values() if not is_finite(values) and (found := find_missing(values)) is not None
    ]
    return np.flatnonzero(~np.logical_or.reduce(missed)) if missed else None


def witness(
    source: Source,
    plan: Plan,
    env: Environment,
    contrasts: Mapping[str, Any],
    kinds: Kinds,
    tell: Callable[[int], None],
) -> Witness:
    """Steps 1 and 2."""
    first = peek(source, plan.variables, kinds)
    seen = Seen.nothing(first, plan, env, contrasts, kinds)
    if seen.names and not seen.numbered(source):
        seen = reduced(source, seen.names, seen, tell)
    return seen.witness(first)


@dataclass
class Seen:
    """What there is to learn from some parts: called with them, it returns what they show.

    Attributes
    ----------
    distinct : dict of str to Distinct
        Of each factor whose levels are learned.
    groups : dict of tuple to Distinct
    others : dict of str to Distinct
        Of further columns of the fixed part that are no numbers.
    held : dict of str to (names, list of columns)
        Of each expression that learns from all values of its columns.
    kinds : Kinds
    n : int
        Rows.
    """

    distinct: dict[str, Distinct]
    groups: dict[GroupName, Distinct]
    others: dict[str, Distinct]
    held: dict[str, tuple[tuple[str, ...], list[Columns]]]
    kinds: Kinds
    n: int = 0

    @classmethod
    def nothing(cls, first: Columns, plan: Plan, env: Environment, contrasts: Mapping[str, Any], kinds: Kinds) -> Seen:
        """Step 1: of no rows, for what the first complete rows say that there is to learn."""
        held: dict[str, tuple[tuple[str, ...], list[Columns]]] = {}
        distinct: dict[str, Distinct] = {}
        for expr in plan.factors:
            uses = plan.uses[expr]
            spec = learn(expr, first, env, contrasts=contrasts)[0] if is_plain(expr, first) or not uses else None
            if spec is not None:
                if spec.levels is not None and uses:
                    distinct[expr] = Distinct(uses)
                continue
            learns = learns_from(expr, first, env)
            if learns == "values":
                held[expr] = tuple(uses), []
            elif learns == "labels" or learn(expr, first, env, contrasts=contrasts)[0].levels is not None:
                distinct[expr] = Distinct(uses)
        bars = [bar.group for bar, _ in plan.bars] + ([plan.groups.group] if plan.groups else [])
        groups = {group: Distinct(group) for group in dict.fromkeys(bars)}
        known = {name for one in distinct.values() for name in one.names}
        fixed = dict.fromkeys(name for term in plan.fixed for expr in term for name in plan.uses[expr])
        others = {
            name: Distinct([name])
            for name in fixed
            if name not in known and kind_of(first[name]) not in ("number", "time")
        }
        return cls(distinct, groups, others, held, kinds)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns to read."""
        every = [one.names for one in (*self.distinct.values(), *self.others.values(), *self.groups.values())]
        return tuple(
            dict.fromkeys(name for names in (*every, *(uses for uses, _ in self.held.values())) for name in names)
        )

    def numbered(self, source: Source) -> bool:
        """Whether all there is to learn are groups of which the source says the numbers; then they are learned."""
        if not isinstance(source, Ranged) or source.n is None or self.distinct or self.others or self.held:
            return False
        found = {}
        for group in self.groups:
            ends = source.whole_numbers(group[0]) if len(group) == 1 else None
            if ends is None or (size := int(ends[1]) - int(ends[0]) + 1) > min(BITS, source.n // EACH):
                return False
            found[group] = {group[0]: (np.arange(size) + int(ends[0])).astype(ends.dtype)}
        for group, columns in found.items():
            self.groups[group].add(columns)
        return True

    def __call__(self, parts: Iterable[Part]) -> Seen:
        """What some parts show beside what was seen."""
        out = copy.deepcopy(self)
        for part in parts:
            out.add(part)
        return out

    def add(self, part: Part) -> None:
        """Step 2, of a part."""
        columns = {name: part.table[name] for name in self.names}
        for name, values in columns.items():
            self.kinds.check(name, values, part.where)
        for one in (*self.distinct.values(), *self.groups.values(), *self.others.values()):
            one.add(_complete(columns, one.names))
        for uses, parts in self.held.values():
            parts.append(_complete(columns, uses))
        self._count(part.table.n)

    def __add__(self, other: Seen) -> Seen:
        """What both show."""
        held = {expr: (uses, parts + other.held[expr][1]) for expr, (uses, parts) in self.held.items()}
        out = Seen(
            _added(self.distinct, other.distinct),
            _added(self.groups, other.groups),
            _added(self.others, other.others),
            held,
            self.kinds + other.kinds,
            self.n,
        )
        out._count(other.n)
        return out

    def _count(self, n: int) -> None:
        self.n += n
        if self.held and self.n > HELD:
            raise FormulaError(
                f"{next(iter(self.held))!r} learns from all values of a column, which are held in memory up to "
                f"{HELD:,} rows; there are more: write its numbers into the formula, (x - 10.5) / 2.2, or make a "
                "column of it"
            )

    def witness(self, first: Columns) -> Witness:
        """Rows that show all of it."""
        of_factors = {expr: one.columns() for expr, one in self.distinct.items()}
        of_factors |= {
            expr: {name: joined([part[name] for part in parts], name) for name in uses}
            for expr, (uses, parts) in self.held.items()
        }
        of_groups = {group: one.columns() for group, one in self.groups.items()}
        return Witness(first, of_factors, of_groups, {name: one.columns() for name, one in self.others.items()})


def _added(some: Mapping[Any, Distinct], others: Mapping[Any, Distinct]) -> dict[Any, Distinct]:
    return {key: one + others[key] for key, one in some.items()}


def _complete(columns: Columns, names: tuple[str, ...]) -> Columns:
    own = {name: columns[name] for name in names}
    kept = complete_rows(own)
    return {name: settle(values if kept is None else values[kept]) for name, values in own.items()}


def learned(
    found: Witness,
    plan: Plan,
    env: Environment,
    contrasts: Mapping[str, Any],
    keep: Mapping[str, np.ndarray] | None = None,
) -> Learned:
    """Step 3; `keep` has the rows of a factor's witness whose levels occur in complete rows, where not all do."""
    factors: dict[str, FactorSpec] = {}
    codes: dict[str, np.ndarray | None] = {}
    shown: dict[str, Columns] = {}
    for expr in plan.factors:
        own, rows = found.of_factors.get(expr), (keep or {}).get(expr)
        values: Values
        factors[expr], values = learn(expr, found.first if own is None else own, env, keep=rows, contrasts=contrasts)
        codes[expr] = values.codes
        if own is not None:
            shown[expr] = own if rows is None else {name: column[rows] for name, column in own.items()}
    groups: dict[GroupName, tuple[pd.Index, Crossing | None]] = {}
    for group, columns in found.of_groups.items():
        made = Groups(columns)
        groups[group] = made[group][1], made.crossings.get(group)
    return Learned(factors, codes, shown, groups)


def table_of(source: Source) -> Table:
    """A table with the source's columns, for a plan; of a column the first rows, which say what it holds."""

    if isinstance(source, Spread):
        return source.first

    def read(name: str) -> Array:
        return next(part.table[name] for part in in_parts_of(source, FIRST).parts((name,)))

    return Table(source.names, -1, pd.RangeIndex(0), read)
