"""New data → the columns of a design, coded as it was: levels, state of transforms, contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.contract.design import Design
from henderson.design.checks import check_weights
from henderson.design.from_arrays import given_columns
from henderson.design.known_term import KnownSpec
from henderson.design.membership_term import MembershipSpec
from henderson.design.random_terms import RandomSpec
from henderson.design.variance_components import ComponentSpec
from henderson.errors import DataError, FormulaError
from henderson.formula.coding import Part, fill
from henderson.formula.environment import Environment
from henderson.formula.evaluate import Columns, FactorSpec, Values, as_number, replay
from henderson.sources.alignment import aligned
from henderson.sources.columns import Array, find_missing, settle, to_float
from henderson.sources.factors import differ_in_type, match, shown_label, unknown_levels
from henderson.sources.frames import read_table
from henderson.sources.table import Table

#: what is wanted of a random term: its levels and columns; its columns alone, all levels taken for new; nothing
Wanted = Literal["known", "new"] | None


@dataclass(frozen=True)
class NewTerm:
    """What a random term says of new rows.

    Attributes
    ----------
    codes : (m,) intp array, or None
        Level of each row, −1 for a level that the design does not have, or a missing one; None for a component.
    columns : (m, q) float64 array
        What varies; (m, 0) for a component.
    loadings : (m, J + 1) csr_array, or None
        For a variance component its Z; the last column stands for effects that the design does not have.
    complaint : str or None
        What to say of the rows whose level is not known; None when all are.
    is_other_type : bool
        Whether no level can be known, since the labels are of another type than the model's.
    labels : mapping of str to (m,) arrays
        What tells one level from another, known or not; empty for a component whose columns differ by group.
    """

    codes: np.ndarray | None
    columns: np.ndarray
    loadings: sparse.csr_array | None = None
    complaint: str | None = None
    is_other_type: bool = False
    labels: Mapping[str, Array] = field(default_factory=dict)

    @property
    def has_new(self) -> bool:
        """Whether a row has an effect that the design does not have."""
        if self.loadings is not None:
            return bool((self.loadings.indices == self.loadings.shape[1] - 1).any())
        return self.codes is not None and bool((self.codes < 0).any())

    def times(self, b: np.ndarray) -> np.ndarray:
        """Zb, (m,), for effects b (J, q); zero where a level is not known."""
        if self.loadings is not None:
            return np.asarray(self.loadings @ np.append(b[:, 0], 0.0))
        assert self.codes is not None
        return np.where(self.codes < 0, 0.0, np.einsum("ia,ia->i", self.columns, b[self.codes]))


@dataclass(frozen=True)
class NewColumns:
    """What a design's model says of new rows.

    Attributes
    ----------
    X : (m, p) float64 array
        NaN where a variable of the fixed part is missing.
    offset : (m,) float64 array
        Zero where the formula has none.
    terms : tuple of NewTerm or None
        None for those that are not wanted.
    index : pandas.Index of length m
    """

    X: np.ndarray
    offset: np.ndarray
    terms: tuple[NewTerm | None, ...]
    index: pd.Index


def fixed_columns(
    design: Design,
    newdata: Any,
    contrasts: str | None = None,
    codes: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """X for new rows.

    Parameters
    ----------
    design : Design
    newdata : table, as for `design_from_formula`; for a design made of arrays, an (m, p) array or DataFrame
    contrasts : {"sum", "treatment"}, optional
        Contrasts for all categorical factors in place of their own. The columns of each term stay where they
        are.
    codes : mapping of str to (m,) intp arrays, optional
        Levels of some categorical factors, by their text, in place of what `newdata` says.

    Returns
    -------
    (m, p) float64 array
        NaN where a variable is missing.

    Raises
    ------
    DataError
        When a column is not there, or a factor has a level that the design does not have.

    Examples
    --------
    >>> from henderson.design.from_formula import design_from_formula
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0, 5.0, 4.0], "a": list("uvwuvw"), "g": list("aaabbb")}
    >>> design, _ = design_from_formula("y ~ a + (1 | g)", data)
    >>> fixed_columns(design, {"a": ["w"]}), fixed_columns(design, {"a": ["w"]}, "sum")
    (array([[1., 0., 1.]]), array([[ 1., -1., -1.]]))
    """
    if design.specs is None:
        return given_columns(newdata, design.x_names, "exog")
    table = read_table(newdata)
    fixed = design.specs.fixed
    return _columns(fixed, table, design.specs.environment, _contrasts(fixed, contrasts), codes)


def known_part(design: Design, newdata: Any) -> np.ndarray:
    """The known part of the mean for new rows, (m,): the formula's offsets and the column given as `offset`.

    Zero where the offset was given as an array, which says nothing of new rows.
    """
    table, specs = read_table(newdata), design.specs
    known = np.zeros(table.n)
    for spec in specs.offsets:
        known = known + numeric_column(spec, table, specs.environment)
    if specs.offset_column is not None:
        known = known + to_float(table[specs.offset_column], specs.offset_column)
    return known


def new_weights(design: Design, newdata: Any, weights: Any = None) -> np.ndarray | None:
    """Prior weights of new rows, (m,); None for a model that has none.

    Parameters
    ----------
    design : Design
        Made by `design_from_formula`.
    newdata : table
    weights : str or (m,) array_like, optional
        A column of `newdata`, or values. By default what the model's weights were, a column or an expression.

    Raises
    ------
    DataError
        When they are not there, or not positive.
    """
    specs = design.specs
    if not design.weighted:
        return None
    table = read_table(newdata)
    name = weights if isinstance(weights, str) else specs.weights_column if weights is None else None
    if name is not None:
        found = to_float(table[name], name)
    elif weights is not None:
        name, found = "weights", to_float(_beside(weights, table, "weights"), "weights")
    elif specs.weights is not None:
        name, found = specs.weights.expr, numeric_column(specs.weights, table, specs.environment)
    else:
        raise DataError("the weights were given as an array: give weights=, those of the new rows")
    check_weights(found, name)
    return found


def response_of(design: Design, newdata: Any) -> np.ndarray:
    """The response of new rows, (m,); NaN where it is missing."""
    return numeric_column(design.specs.response, read_table(newdata), design.specs.environment)


def variables_of(design: Design) -> tuple[str, ...]:
    """Columns of which the rows of a design are made, its response's and its groups' too."""
    specs = design.specs
    names = [*specs.response.variables, *specs.fixed.variables]
    for spec in specs.random:
        names += [*spec.group, *(spec.variables if isinstance(spec, ComponentSpec) else spec.part.variables)]
    for one in (*specs.offsets, *([] if specs.weights is None else [specs.weights])):
        names += one.variables
    names += [name for name in (specs.offset_column, specs.weights_column) if name is not None]
    return tuple(dict.fromkeys(names))


def new_columns(
    design: Design, newdata: Any, wanted: Sequence[Wanted] = (), *, groups: Any = None, offset: Any = None
) -> NewColumns:
    """X, offset and random terms for new rows.

    Parameters
    ----------
    design : Design
        Made by `design_from_formula`.
    newdata : table
    wanted : sequence of {"known", "new", None}
        What is wanted of each random term: its levels and columns; its columns alone, all levels taken for new; nothing
        (also of terms that are not listed). What is not wanted need not be in `newdata`.
    groups : (m,) array_like, optional
        Labels of the groups, when these were given as an array.
    offset : (m,) array_like, optional
        The known part of the mean, when it was given as an array.

    Returns
    -------
    NewColumns
    """
    specs = design.specs
    _check_beside(specs, groups, offset)
    table = read_table(newdata)
    env = specs.environment
    known = known_part(design, table)
    if specs.offset_given and offset is None:
        raise DataError("the offset was given as an array: give offset=, its values in the new rows")
    if offset is not None:
        known = known + to_float(_beside(offset, table, "offset"), "offset")
    labels = None if groups is None else _beside(groups, table, "groups")
    given = {} if labels is None else {specs.group_column or "": labels}
    terms: list[NewTerm | None] = []
    for spec, term, which in zip(specs.random, design.terms, wanted):
        if which == "new":
            terms.append(_all_new(spec, term.n_levels, table, env))
        else:
            terms.append(None if which is None else _new_term(spec, term.n_levels, table, env, given))
    return NewColumns(_columns(specs.fixed, table, env), known, tuple(terms), table.index)


def _check_beside(specs: Any, groups: Any, offset: Any) -> None:
    """What is given beside a table must be what the model was given so."""
    if groups is not None and specs.groups is None:
        raise ValueError("groups= goes with a model whose groups were given beside the formula; here columns are read")
    if offset is not None and not specs.offset_given:
        raise ValueError("offset= goes with a model whose offset was given as an array; here it is read from the table")


def _beside(values: Any, table: Table, role: str) -> Array:
    found = aligned(values, table.index, role, labelled=table.labelled)
    if len(found) != table.n:
        raise DataError(f"{role} has {len(found)} entries, the new data {table.n} rows")
    return found


def _new_term(
    spec: RandomSpec | ComponentSpec | KnownSpec | MembershipSpec,
    n_levels: int,
    table: Table,
    env: Environment,
    given: Mapping[str, Array],
) -> NewTerm:
    labels = {name: _labels(name, table, given) for name in spec.group}
    if isinstance(spec, ComponentSpec):
        return _new_component(spec, n_levels, table, env, labels[spec.group[0]])
    if isinstance(spec, MembershipSpec):
        beside = {name: table[name] for name in spec.members.weights}
        loadings = spec.loadings(labels, beside, _columns(spec.part, table, env)[:, 0])
        return NewTerm(None, np.empty((table.n, 0)), loadings, spec.complaint(labels), False, labels)
    if isinstance(spec, KnownSpec):
        own = labels[spec.group[0]]
        codes = match(own, spec.levels)
        complaint = spec.complaint(own, codes) if (codes < 0).any() else None
        loadings = spec.loadings(codes, _columns(spec.part, table, env)[:, 0])
        is_other = complaint is not None and differ_in_type(own, spec.levels)
        return NewTerm(None, np.empty((table.n, 0)), loadings, complaint, is_other, labels)
    codes = spec.codes(labels)
    complaint = spec.complaint(labels, codes) if (codes < 0).any() else None
    is_other = complaint is not None and spec.is_other_type(labels)
    return NewTerm(codes, _columns(spec.part, table, env), None, complaint, is_other, labels)


def _all_new(
    spec: RandomSpec | ComponentSpec | KnownSpec | MembershipSpec, n_levels: int, table: Table, env: Environment
) -> NewTerm:
    """A term all of whose levels are new: the columns that vary."""
    if isinstance(spec, RandomSpec):
        return NewTerm(np.full(table.n, -1), _columns(spec.part, table, env))
    if isinstance(spec, MembershipSpec):
        raise DataError(f"rows have several levels of {', '.join(spec.group)}: there is no telling those of new ones")
    if isinstance(spec, KnownSpec):
        column = _columns(spec.part, table, env)[:, 0]
        return NewTerm(None, np.empty((table.n, 0)), spec.loadings(np.full(table.n, -1), column))
    if spec.plain is None:
        raise DataError(
            f"the columns of the component {spec.name!r} differ by group: there is no telling those of a new group"
        )
    entry = np.ones(table.n)
    for name, levels in spec.plain:
        if levels is None:
            entry = entry * to_float(table[name], name)
    shape = (table.n, n_levels + 1)
    loadings = sparse.csr_array((entry, np.full(table.n, n_levels), np.arange(table.n + 1)), shape=shape)
    return NewTerm(None, np.empty((table.n, 0)), loadings)


def _labels(name: str, table: Table, given: Mapping[str, Array]) -> Array:
    """The labels of a grouping factor; the empty name is that of groups given as a nameless array."""
    if name in given:
        return given[name]
    if not name:
        raise DataError("the groups were given as an array without a name: give groups=, the label of each new row")
    return table[name]


def _new_component(spec: ComponentSpec, n_effects: int, table: Table, env: Environment, labels: Array) -> NewTerm:
    columns, keep = _complete(spec.variables, table)
    rows = np.arange(table.n) if keep is None else keep
    codes = match(labels[rows], spec.groups)
    found = spec.loadings(codes, columns, n_effects, env).tocoo()
    data = np.append(found.data, np.full(table.n - len(rows), np.nan))
    lost = np.setdiff1d(np.arange(table.n), rows)
    where = np.append(rows[found.coords[0]], lost), np.append(found.coords[1], np.full(len(lost), n_effects))
    loadings = sparse.csr_array((data, where), shape=(table.n, n_effects + 1))
    unknown = rows[found.coords[0][found.coords[1] == n_effects]]
    complaint, is_other = None, False
    if (codes < 0).any():
        complaint = unknown_levels(spec.group[0] or "groups", labels[rows], codes, spec.groups)
        is_other = differ_in_type(labels[rows], spec.groups)
    elif len(unknown):
        shown = ", ".join(
            f"{name} {shown_label(columns[name][np.searchsorted(rows, unknown[0])])}" for name in spec.variables
        )
        group = shown_label(labels[unknown[0]])
        complaint = f"the component {spec.name!r} has no effect for {shown} in group {group} (row {unknown[0]})"
        for name, levels in spec.plain or ():
            own = None if levels is None else match(columns[name], levels)
            if own is not None and levels is not None and (own < 0).any():
                complaint = unknown_levels(name, columns[name], own, levels)
                is_other = is_other or differ_in_type(columns[name], levels)
    telling: dict[str, Array] = {}
    if spec.plain is not None:
        telling = {spec.group[0]: labels, **{name: table[name] for name, levels in spec.plain if levels is not None}}
    return NewTerm(None, np.empty((table.n, 0)), loadings, complaint, is_other, telling)


def _contrasts(part: Part, kind: str | None) -> dict[str, np.ndarray] | None:
    if kind is None:
        return None
    if kind not in ("sum", "treatment"):
        raise FormulaError(f"contrasts must be 'sum' or 'treatment', not {kind!r}")
    make = sum_contrasts if kind == "sum" else treatment_contrasts
    return {expr: make(len(spec.levels)) for expr, spec in part.factors.items() if spec.levels is not None}


def sum_contrasts(n_levels: int) -> np.ndarray:
    """(L, L − 1) contrasts that sum to zero, the last level −1 throughout."""
    return np.vstack([np.eye(n_levels - 1), -np.ones(n_levels - 1)])


def treatment_contrasts(n_levels: int) -> np.ndarray:
    """(L, L − 1) indicators of all levels but the first."""
    return np.eye(n_levels)[:, 1:]


def _columns(
    part: Part,
    table: Table,
    env: Environment,
    contrasts: Mapping[str, np.ndarray] | None = None,
    codes: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Columns of a part, NaN in rows where a variable is missing."""
    codes = codes or {}
    out = np.full((table.n, len(part.names)), np.nan)
    specs = {expr: spec for expr, spec in part.factors.items() if expr not in codes}
    columns, keep = _complete(list(dict.fromkeys(v for spec in specs.values() for v in spec.variables)), table)
    n = table.n if keep is None else len(keep)
    if n == 0:
        return out
    values = {expr: replay(spec, columns, n, env) for expr, spec in specs.items()}
    values |= {expr: Values(codes=own if keep is None else own[keep]) for expr, own in codes.items()}
    if keep is None:
        return fill(part, values, out, contrasts)
    out[keep] = fill(part, values, np.empty((n, out.shape[1])), contrasts)
    return out


def _complete(names: Sequence[str], table: Table) -> tuple[Columns, np.ndarray | None]:
    """The columns, in the rows where all are there (None: all rows)."""
    columns = {name: table[name] for name in names}
    missed = [found for values in columns.values() if (found := find_missing(values)) is not None]
    if not missed:
        return {name: settle(values) for name, values in columns.items()}, None
    keep = np.flatnonzero(~np.logical_or.reduce(missed))
    return {name: settle(values[keep]) for name, values in columns.items()}, keep


def numeric_column(spec: FactorSpec, table: Table, env: Environment) -> np.ndarray:
    """A one-column factor of new rows."""
    out = np.full(table.n, np.nan)
    columns, keep = _complete(spec.variables, table)
    rows = np.arange(table.n) if keep is None else keep
    if len(rows):
        out[rows] = as_number(spec, replay(spec, columns, len(rows), env))
    return out


def varying_columns(design: Design, k: int, newdata: Any) -> np.ndarray:
    """The columns of a random term that is a bar, for new rows of any level, (m, q)."""
    return _columns(design.specs.random[k].part, read_table(newdata), design.specs.environment)
