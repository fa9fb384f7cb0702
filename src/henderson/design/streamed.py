"""A model whose rows come in parts: the parts of a source become `Rows`, chunk by chunk, of one `Design`.

`Reader` knows what a model learned (`learning`) and turns a table of any rows into the model's arrays, with the same
functions that a table in memory goes through. `rows_of` is one way through some parts; a `Tally` counts what went by,
and tallies of the parts add up. Rows in which a variable is missing, or an expression has no value, are dropped and
counted.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.contract.rows import Rows, TermRows
from henderson.design import checks
from henderson.design.assembly import (
    columns_in_data,
    joined_columns,
    offset_of,
    offset_variables,
    specs_of,
    varying_columns,
    weights_of,
)
from henderson.design.fixed_sums import FixedSums
from henderson.design.fixed_terms import FactorVariables, factor_variables
from henderson.design.intercept import LME4, STATSMODELS, spelled
from henderson.design.learning import Learned, Witness, complete_rows, learned
from henderson.design.random_terms import RandomSpec, random_term
from henderson.design.structured_effects import structured_effects
from henderson.errors import DataError, FormulaError
from henderson.formula.coding import Part, make_part
from henderson.formula.environment import Environment
from henderson.formula.evaluate import Values, replay
from henderson.formula.plan import Plan
from henderson.formula.terms import shown
from henderson.numerics.extents import Extents
from henderson.sources.columns import Array, settle
from henderson.sources.factors import Lookup
from henderson.sources.streams.distinct import Kinds
from henderson.sources.streams.source import Part as SourcePart
from henderson.sources.table import Table

Order = Literal["degree", "patsy"]


@dataclass(frozen=True)
class Read:
    """Some rows of a source as a model has them.

    Attributes
    ----------
    rows : Rows
        `positions` are those within the part.
    values : dict of str to Values
        Of the factors.
    columns : dict of str to arrays
    n_missing : int
        Rows of the part that were dropped.
    extents : Extents
        Of the columns.
    undefined : dict of str to int
        Rows in which an expression has no value though nothing is missing.
    """

    rows: Rows
    values: dict[str, Values]
    columns: dict[str, Array]
    n_missing: int
    extents: Extents
    undefined: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """Turns tables into the rows of one design.

    Attributes
    ----------
    plan : Plan
    learned : Learned
    env : Environment
    design : Design
        Without numbers of rows.
    found : FactorVariables
    fixed : Part
    """

    plan: Plan
    learned: Learned
    env: Environment
    design: Design
    found: FactorVariables
    fixed: Part

    @classmethod
    def of(
        cls, plan: Plan, witness: Witness, known: Learned, env: Environment, formula: str, order: Order = "degree"
    ) -> Reader:
        """The design of a plan and of what was learned.

        Raises
        ------
        FormulaError, DataError
            For a bar in which nothing varies, a factor of one level.
        """
        fixed = make_part(plan.fixed, known.factors, order=order)
        if order != "patsy":
            checks.check_levels(fixed)

        def shows(name: str) -> Mapping[str, Array]:
            own = known.shown.get(name) or witness.of_columns.get(name)
            return own or next((columns for columns in known.shown.values() if name in columns), witness.first)

        terms, random = [], []
        for bar, own in plan.bars:
            part = make_part(own, known.factors)
            if not part.names:
                raise FormulaError(f"nothing varies in ({bar.columns} | {bar.name})")
            if bar.members is not None:
                raise FormulaError(f"{bar.name}: rows of several levels are not read in parts; give a table in memory")
            levels, crossing = known.groups[bar.group]
            seen = {name: column for expr in part.factors for name, column in shows(expr).items()}
            structure, part = structured_effects(bar, part, seen)
            terms.append(random_term(bar.name, bar.label, levels, part.names, structure))
            random.append(RandomSpec(columns_in_data(plan, bar), part, levels, crossing))
        found = factor_variables(fixed, known.codes.__getitem__, shows)
        groups = known.groups[plan.groups.group][0] if plan.groups else None
        design = Design(
            tuple(terms),
            fixed.names,
            shown(plan.response),
            -1,
            formula=formula,
            weighted=plan.weights is not None,
            has_offset=bool(plan.offsets) or plan.offset is not None,
            specs=specs_of(plan, fixed, random, known.factors, env, groups, None),
        )
        return cls(plan, known, env, spelled(design, STATSMODELS if order == "patsy" else LME4), found, fixed)

    @cached_property
    def _bars(self) -> tuple[tuple[RandomSpec, tuple[Lookup, ...]], ...]:
        """For each bar its spec, and where the labels of its columns are looked up."""
        out = []
        for spec in self.design.specs.random:
            parts = (spec.levels,) if spec.crossing is None else spec.crossing.parts
            out.append((spec, tuple(self._lookup(name, part) for name, part in zip(spec.group, parts))))
        return tuple(out)

    @cached_property
    def _lookups(self) -> list[tuple[str, pd.Index, Lookup]]:
        return []

    def _lookup(self, name: str, levels: pd.Index) -> Lookup:
        """One table a column."""
        for known, own, found in self._lookups:
            if known == name and (own is levels or own.equals(levels)):
                return found
        self._lookups.append((name, levels, Lookup(levels)))
        return self._lookups[-1][2]

    def read(self, table: Table, where: str, kinds: Kinds) -> Read:
        """The rows of a table in which nothing is missing; its columns hold what those of `kinds` did.

        Raises
        ------
        FormulaError, DataError
            Which name where the rows are from.
        """
        try:
            return self._read(table, where, kinds)
        except (FormulaError, DataError) as error:
            text = str(error)
            raise type(error)(text if text.startswith(where) else f"{where}: {text}") from error

    def _read(self, table: Table, where: str, kinds: Kinds) -> Read:
        columns = {name: table[name] for name in self.plan.variables}
        for name, column in columns.items():
            kinds.check(name, column, where)
        extents = Extents()
        kept = complete_rows(columns, extents)
        columns = {name: settle(values if kept is None else values[kept]) for name, values in columns.items()}
        n = table.n if kept is None else len(kept)
        values: dict[str, Values] = {}
        undefined: dict[str, int] = {}
        if n:
            values = {e: replay(spec, columns, n, self.env) for e, spec in self.learned.factors.items()}
            lost = {e: found.missing for e, found in values.items() if self.learned.factors[e].state is not None}
            missed = {e: one for e, one in lost.items() if one is not None}
            if missed:
                undefined = {e: int(one.sum()) for e, one in missed.items()}
                there = np.flatnonzero(~np.logical_or.reduce(list(missed.values())))
                kept = there if kept is None else kept[there]
                columns = {name: column[there] for name, column in columns.items()}
                values = {expr: found.take(there) for expr, found in values.items()}
                n = len(there)
        if not n:
            empty = Rows(np.zeros(0), np.zeros((0, len(self.fixed.names))), (), positions=np.zeros(0, np.intp))
            return Read(empty, {}, columns, table.n, extents, undefined)
        both, of_columns = joined_columns(self.plan, self.fixed, self.learned.factors, values, kept, extents)
        X, y = both[:, :-1], both[:, -1]
        codes: dict[tuple[str, ...], np.ndarray] = {}
        terms = []
        for spec, lookups in self._bars:
            if spec.group not in codes:
                codes[spec.group] = self._codes(spec, lookups, columns)
            terms.append(TermRows(codes[spec.group], varying_columns(spec.part, values, X, self.fixed, kept)))
        rows = Rows(
            y,
            X,
            tuple(terms),
            weights_of(self.plan, self.learned.factors, values, columns, kept),
            offset_of(self.plan, self.learned.factors, values, columns, kept),
            index=table.index if kept is None else table.index[kept],
            positions=kept,
            extents=of_columns,
            joined=both,
        )
        return Read(rows, values, columns, table.n - n, extents, undefined)

    def _codes(self, spec: RandomSpec, lookups: tuple[Lookup, ...], columns: Mapping[str, Array]) -> np.ndarray:
        codes = _looked_up(spec, lookups, columns)
        if codes.min() < 0:
            raise DataError(spec.complaint(columns, codes))
        return codes

    def level_codes(self, term: int, columns: Mapping[str, Array]) -> np.ndarray:
        """Codes of a term's levels, −1 where they are not known, in rows in which nothing is missing."""
        return _looked_up(*self._bars[term], columns)


def _looked_up(spec: RandomSpec, lookups: tuple[Lookup, ...], columns: Mapping[str, Array]) -> np.ndarray:
    each = [lookup(columns[name]) for name, lookup in zip(spec.group, lookups)]
    return each[0] if spec.crossing is None else spec.crossing.codes(each)


@dataclass
class Tally:
    """What is counted of rows as they go by.

    Attributes
    ----------
    sums : FixedSums
    factors : dict of str to (L,) int array
        Rows of each level of the factors.
    groups : dict of int to (J,) int array
        Rows of each level of the terms, one a grouping factor.
    kinds : Kinds
    n, n_missing : int
        Rows given, and rows dropped.
    y : float, or None
        The first response.
    varies : bool
        Whether another differs from it.
    undefined : dict of str to int
        Rows in which an expression has no value though nothing is missing.
    """

    sums: FixedSums
    factors: dict[str, np.ndarray]
    groups: dict[int, np.ndarray]
    kinds: Kinds
    n: int = 0
    n_missing: int = 0
    y: float | None = None
    varies: bool = False
    undefined: dict[str, int] = field(default_factory=dict)

    @classmethod
    def nothing(cls, reader: Reader, witness: Witness) -> Tally:
        """Of no rows."""
        specs = reader.learned.factors
        groups = {spec.group: k for k, spec in enumerate(reader.design.specs.random)}
        return cls(
            FixedSums(reader.fixed, reader.found, offset_variables(reader.plan, specs), witness.first),
            {e: np.zeros(len(spec.levels), np.int64) for e, spec in specs.items() if spec.levels is not None},
            {k: np.zeros(reader.design.terms[k].n_levels, np.int64) for k in groups.values()},
            Kinds(),
        )

    def add(self, found: Read) -> None:
        """Count some rows."""
        rows = found.rows
        self.n_missing += found.n_missing
        self.undefined = _added(self.undefined, found.undefined)
        if not rows.n:
            return
        self.n += rows.n
        self.y = float(rows.y[0]) if self.y is None else self.y
        self.varies = self.varies or bool((rows.y != self.y).any())
        self.sums.add(found.values, found.columns, rows.offset, rows.n, found.extents)
        for expr, counts in self.factors.items():
            codes = found.values[expr].codes
            assert codes is not None
            counts += np.bincount(codes, minlength=len(counts))
        for k, counts in self.groups.items():
            own = rows.terms[k].codes
            assert own is not None
            counts += np.bincount(own, minlength=len(counts))

    def copy(self) -> Tally:
        """One that counts on its own."""
        return copy.deepcopy(self)

    def __add__(self, other: Tally) -> Tally:
        """Of both."""
        ys = {y for y in (self.y, other.y) if y is not None}
        return Tally(
            self.sums + other.sums,
            {expr: counts + other.factors[expr] for expr, counts in self.factors.items()},
            {k: counts + other.groups[k] for k, counts in self.groups.items()},
            self.kinds + other.kinds,
            self.n + other.n,
            self.n_missing + other.n_missing,
            other.y if self.y is None else self.y,
            self.varies or other.varies or len(ys) > 1,
            _added(self.undefined, other.undefined),
        )

    @property
    def has_factors(self) -> bool:
        """Whether every level of the factors that was learned has a row."""
        return all(counts.all() for counts in self.factors.values())

    @property
    def is_complete(self) -> bool:
        """Whether every level that was learned has a row."""
        return self.has_factors and all(counts.all() for counts in self.groups.values())


def _added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {expr: one.get(expr, 0) + other.get(expr, 0) for expr in (*one, *other)}


def rows_of(parts: Iterable[SourcePart], reader: Reader, tally: Tally) -> Iterator[Rows]:
    """One way through some parts: their rows in which nothing is missing, counted by `tally`."""
    for part in parts:
        found = reader.read(part.table, part.where, tally.kinds)
        tally.add(found)
        if found.rows.n:
            yield found.rows


def design_of(reader: Reader, tally: Tally) -> Design:
    """The design, with the numbers of rows and what is known of the fixed part's variables."""
    checks.warn_undefined(tally.undefined)
    specs = replace(reader.design.specs, terms=tally.sums.terms())
    return replace(reader.design, n=tally.n, n_missing=tally.n_missing, specs=specs)


def check_rows_of(design: Design, tally: Tally, *, strict: bool, check_identified: checks.Reaction) -> None:
    """What must hold before a model is fitted."""
    if not tally.varies and tally.n > 1:
        checks.check_response(np.full(2, tally.y), design.y_name)
    checks.check_rows(tally.n, design.x_names)
    checks.check_factors(design.terms)
    checks.check_terms(design.terms, tally.n, strict=strict, check_identified=check_identified)


def without(witness: Witness, reader: Reader, seen: Tally, contrasts: Mapping[str, Any]) -> tuple[Witness, Learned]:
    """What is learned when levels without a complete row had not been seen."""
    keep = {}
    for expr, counts in seen.factors.items():
        codes = reader.learned.codes[expr]
        if expr in witness.of_factors and codes is not None:
            keep[expr] = np.flatnonzero(np.append(counts, 0)[codes] > 0)
    groups = dict(witness.of_groups)
    for k, counts in seen.groups.items():
        spec = reader.design.specs.random[k]
        bar = reader.plan.bars[k][0]
        columns = groups[bar.group]
        place = spec.codes(columns)
        groups[bar.group] = {name: values[counts[place] > 0] for name, values in columns.items()}
    less = replace(witness, of_groups=groups)
    return less, learned(less, reader.plan, reader.env, contrasts, keep)
