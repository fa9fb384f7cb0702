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
from henderson.sources.factors import differ_in_type, encode, match, unknown_levels


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

    def loadings(
        self, labels: Mapping[str, Array], columns: Columns, column: np.ndarray
    ) -> tuple[sparse.csr_array, sparse.csr_array]:
        """What rows load on.

        Returns
        -------
        loadings : (m, J + 1) csr_array
            Z; members that are not known load on the last column, as one effect of their joint variance.
        apart : (m, F) csr_array
            The columns of the F members that are not known, each by itself: a label that stands twice in a row is one
            member. A missing label is a member of its own.
        """
        weights = _weights(self.members, columns, len(column)) * column[:, None]
        codes = np.column_stack([match(labels[name], self.levels) for name in self.group])
        new = codes < 0
        there = [np.asarray(labels[name], object)[own] for name, own in zip(self.group, new.T)]
        fresh = _numbered(np.concatenate(there))
        return self._joined(weights, codes, fresh)

    def all_new(self, labels: Mapping[str, Array] | None, columns: Columns, column: np.ndarray) -> sparse.csr_array:
        """Z, (m, J + 1), where all members are new; they differ where there are no labels to tell."""
        weights = _weights(self.members, columns, len(column)) * column[:, None]
        fresh = np.arange(weights.size)
        if labels is not None:
            fresh = _numbered(np.concatenate([np.asarray(labels[name], object) for name in self.group]))
        return self._joined(weights, np.full(weights.shape, -1), fresh)[0]

    def _joined(
        self, weights: np.ndarray, codes: np.ndarray, fresh: np.ndarray
    ) -> tuple[sparse.csr_array, sparse.csr_array]:
        """`loadings` from weights (m, k), codes (m, k) that are −1 where a member is new, and numbers of those (in the
        order of the columns)."""
        m, J = len(weights), len(self.levels)
        new = codes < 0
        shape = (m, int(fresh.max(initial=-1)) + 1)
        apart = sparse.csr_array(sparse.coo_array((weights.T[new.T], (np.nonzero(new.T)[1], fresh)), shape=shape))
        size = np.sqrt(np.asarray(apart.multiply(apart).sum(axis=1)).ravel())
        at = np.flatnonzero(new.any(axis=1))
        rows, k = np.nonzero(~new)
        data, places = np.append(weights[rows, k], size[at]), np.append(codes[rows, k], np.full(len(at), J))
        together = sparse.coo_array((data, (np.append(rows, at), places)), shape=(m, J + 1))
        return sparse.csr_array(together), apart

    def is_other_type(self, labels: Mapping[str, Array]) -> bool:
        """Whether no label of some column can be known, because all are of another type than the model's."""
        return any(differ_in_type(labels[name], self.levels) for name in self.group)

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


def _numbered(labels: np.ndarray) -> np.ndarray:
    """A number for each label, the same for the same one; missing ones have one each."""
    codes, found = pd.factorize(labels)
    lost = np.flatnonzero(codes < 0)
    codes[lost] = len(found) + np.arange(len(lost))
    return codes


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
