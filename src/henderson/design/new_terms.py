"""New data → what the random terms of a design say of its rows: levels, known or not, and what varies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy import sparse

from henderson.design.known_term import KnownSpec
from henderson.design.membership_term import MembershipSpec
from henderson.design.new_columns import columns_of, complete
from henderson.design.random_terms import RandomSpec
from henderson.design.variance_components import ComponentSpec
from henderson.errors import DataError
from henderson.formula.environment import Environment
from henderson.sources.columns import Array, to_float
from henderson.sources.factors import differ_in_type, match, shown_label, unknown_levels
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
    apart : (m, F) csr_array, or None
        Where a row may have several levels: the columns of those F that the design does not have, in place of the last
        of `loadings`.
    """

    codes: np.ndarray | None
    columns: np.ndarray
    loadings: sparse.csr_array | None = None
    complaint: str | None = None
    is_other_type: bool = False
    labels: Mapping[str, Array] = field(default_factory=dict)
    apart: sparse.csr_array | None = None

    def __getitem__(self, rows: np.ndarray) -> NewTerm:
        def some(array: Any) -> Any:
            return None if array is None else array[rows]

        labels = {name: values[rows] for name, values in self.labels.items()}
        return replace(
            self,
            codes=some(self.codes),
            columns=self.columns[rows],
            loadings=some(self.loadings),
            apart=some(self.apart),
            labels=labels,
        )

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


def new_term(
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
        loadings, apart = spec.loadings(labels, beside, columns_of(spec.part, table, env)[:, 0])
        complaint = spec.complaint(labels)
        is_other = complaint is not None and spec.is_other_type(labels)
        return NewTerm(None, np.empty((table.n, 0)), loadings, complaint, is_other, labels, apart)
    if isinstance(spec, KnownSpec):
        own = labels[spec.group[0]]
        codes = match(own, spec.levels)
        complaint = spec.complaint(own, codes) if (codes < 0).any() else None
        loadings = spec.loadings(codes, columns_of(spec.part, table, env)[:, 0])
        is_other = complaint is not None and differ_in_type(own, spec.levels)
        return NewTerm(None, np.empty((table.n, 0)), loadings, complaint, is_other, labels)
    codes = spec.codes(labels)
    complaint = spec.complaint(labels, codes) if (codes < 0).any() else None
    is_other = complaint is not None and spec.is_other_type(labels)
    return NewTerm(codes, columns_of(spec.part, table, env), None, complaint, is_other, labels)


def all_new(
    spec: RandomSpec | ComponentSpec | KnownSpec | MembershipSpec, n_levels: int, table: Table, env: Environment
) -> NewTerm:
    """A term all of whose levels are new: the columns that vary."""
    if isinstance(spec, RandomSpec):
        return NewTerm(np.full(table.n, -1), columns_of(spec.part, table, env))
    if isinstance(spec, MembershipSpec):
        told = {name: table[name] for name in spec.group} if all(name in table for name in spec.group) else None
        beside = {name: table[name] for name in spec.members.weights}
        return NewTerm(
            None, np.empty((table.n, 0)), spec.all_new(told, beside, columns_of(spec.part, table, env)[:, 0])
        )
    if isinstance(spec, KnownSpec):
        column = columns_of(spec.part, table, env)[:, 0]
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
    columns, keep = complete(spec.variables, table)
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
