"""A bar on several columns of members, (1 | mm(t1, t2)): a row has Σ_m w_m b_m, m over its members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.contract.design import RandomTerm
from henderson.contract.rows import TermRows
from henderson.errors import DataError, FormulaError
from henderson.formula.bars import Bar
from henderson.formula.coding import Part
from henderson.formula.evaluate import Columns
from henderson.formula.membership import Membership
from henderson.sources.columns import Array, kind_of, to_float
from henderson.sources.factors import encode, match, unknown_levels


@dataclass(frozen=True, eq=False)
class MembershipSpec:
    """How rows of new data load on the members.

    Attributes
    ----------
    group : tuple of str
        The columns of labels.
    members : Membership
    part : Part
        The column that varies.
    levels : pandas.Index of length J
    """

    group: tuple[str, ...]
    members: Membership
    part: Part
    levels: pd.Index

    @property
    def variables(self) -> tuple[str, ...]:
        """Columns beside the labels that it uses."""
        return (*self.members.weights, *self.part.variables)

    def loadings(self, labels: Mapping[str, Array], columns: Columns, column: np.ndarray) -> sparse.csr_array:
        """Z, (m, J + 1); members that are not known load on the last column, as one effect of their joint variance."""
        m, J = len(column), len(self.levels)
        weights = _weights(self.members, columns, m)
        fresh = np.zeros(m)
        entries = []
        for k, name in enumerate(self.group):
            codes = match(labels[name], self.levels)
            known = np.flatnonzero(codes >= 0)
            entries.append((weights[known, k] * column[known], known, codes[known]))
            fresh[codes < 0] += weights[codes < 0, k] ** 2
        new = np.flatnonzero(fresh)
        entries.append((np.sqrt(fresh[new]) * column[new], new, np.full(len(new), J)))
        data, rows, places = (np.concatenate(parts) for parts in zip(*entries))
        out = sparse.coo_array((data, (rows, places)), shape=(m, J + 1))
        return sparse.csr_array(out)

    def complaint(self, labels: Mapping[str, Array]) -> str | None:
        """What to say of members that are not known; None where all are."""
        for name in self.group:
            codes = match(labels[name], self.levels)
            if (codes < 0).any():
                return unknown_levels(name, labels[name], codes, self.levels)
        return None


def membership_term(
    bar: Bar, part: Part, varying: np.ndarray, columns: Columns
) -> tuple[RandomTerm, TermRows, MembershipSpec]:
    """A bar's term on several columns of members, its rows, and how to replay it.

    Raises
    ------
    FormulaError
        For several effects a level, or a structure.
    DataError
        When members are of different kinds, or weights are negative, or a row's are all zero.
    """
    members = bar.members
    assert members is not None
    if varying.shape[1] != 1 or bar.structure != "unstructured":
        raise FormulaError(f"({bar.columns} | {bar.name}): mm() goes with one effect a level, (1 | …) or (0 + x | …)")
    kinds = {kind_of(columns[name]) for name in members.columns}
    if len(kinds - {"category"}) > 1:
        raise DataError(f"{bar.name}: the columns of members are of different kinds, {' and '.join(sorted(kinds))}")
    n, k = len(varying), len(members.columns)
    together = pd.concat([pd.Series(np.asarray(columns[name])) for name in members.columns], ignore_index=True)
    codes, levels = encode(together.to_numpy(), f"the members of {bar.name}")
    weights = _weights(members, columns, n)
    values = (weights * varying).T.ravel()
    rows = np.tile(np.arange(n), k)
    loadings = sparse.csr_array(sparse.coo_array((values, (rows, codes)), shape=(n, len(levels))))
    term = RandomTerm(bar.name, levels, part.names, "unstructured", bar.label, True)
    return term, TermRows(None, np.empty((n, 0)), loadings), MembershipSpec(members.columns, members, part, levels)


def _weights(members: Membership, columns: Columns, n: int) -> np.ndarray:
    """Weights of the members, (n, k)."""
    k = len(members.columns)
    if not members.weights:
        return np.full((n, k), 1 / k if members.scale else 1.0)
    weights = np.column_stack([to_float(columns[name], name) for name in members.weights])
    if (weights < 0).any() or not np.isfinite(weights).all():
        row, place = (int(one) for one in np.argwhere((weights < 0) | ~np.isfinite(weights))[0])
        shown = f"{members.weights[place]!r} is {weights[row, place]:g} in row {row}"
        raise DataError(f"weights of members are finite and not negative: {shown}")
    if not members.scale:
        return weights
    total = weights.sum(axis=1, keepdims=True)
    if (total == 0).any():
        raise DataError(f"the weights of the members are all zero in row {int(np.argmax(total[:, 0] == 0))}")
    return np.asarray(weights / total)
