"""statsmodels' view of a model: independent groups, their rows, and the random effects that belong to each.

The groups are the levels of the top grouping factor, the one in which every level of every other term lies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.compat.statsmodels.packing import Packing
from henderson.compat.statsmodels.params import VCSpec
from henderson.contract.design import Design, RandomTerm
from henderson.contract.rows import Rows, TermRows
from henderson.errors import NotAvailable

FloatArray = np.ndarray


@dataclass(frozen=True)
class Groups:
    """Rows of each group.

    Attributes
    ----------
    codes : (n,) int array
    labels : list
        Labels of the groups, in code order.
    """

    codes: FloatArray
    labels: list[Any]

    @classmethod
    def of(cls, term: RandomTerm, rows: TermRows) -> Groups:
        """The levels of a term."""
        assert rows.codes is not None
        return cls(rows.codes, list(term.levels))

    @cached_property
    def order(self) -> FloatArray:
        """Rows sorted by group, their order within it kept."""
        return np.argsort(self.codes, kind="stable")

    @cached_property
    def sizes(self) -> FloatArray:
        """Rows of each group."""
        return np.bincount(self.codes, minlength=len(self.labels))

    def without_rows(self) -> Groups:
        """Labels and sizes only."""
        return Groups.of_sizes(self.labels, self.sizes)

    @classmethod
    def of_sizes(cls, labels: list[Any], sizes: FloatArray) -> Groups:
        """Groups whose rows are not there."""
        out = cls(np.zeros(0, int), labels)
        out.__dict__["sizes"] = sizes
        return out

    def to_state(self) -> dict[str, Any]:
        """What a file holds: the sizes too, which outlast the rows."""
        return {"codes": self.codes, "labels": self.labels, "sizes": self.sizes}

    def split(self, array: FloatArray) -> list[FloatArray]:
        """The rows of an array, one piece a group."""
        return np.split(array[self.order], np.cumsum(self.sizes)[:-1])

    @cached_property
    def rows(self) -> dict[Any, list[int]]:
        """Label → its rows."""
        pieces = np.split(self.order, np.cumsum(self.sizes)[:-1])
        return {label: piece.tolist() for label, piece in zip(self.labels, pieces)}


def top_groups(design: Design, rows: Rows) -> Groups:
    """The groups whose observations are independent, when one grouping factor nests all others.

    Raises
    ------
    DataError
        When no factor does.
    """
    terms = list(zip(design.terms, rows.terms))
    candidates = sorted((one for one in terms if not one[0].loaded), key=lambda one: one[0].n_levels)
    if candidates:
        top = Groups.of(*candidates[0])
        if all(own.owners(top.codes, term.n_levels) is not None for term, own in terms):
            return top
    names = ", ".join(dict.fromkeys(term.group for term in design.terms))
    raise NotAvailable(f"the grouping factors {names} are crossed: there are no independent groups; see `ranef`")


@dataclass(frozen=True)
class Members:
    """Which effects belong to which group, one term.

    Attributes
    ----------
    order : (J,) int array
        Levels sorted by group.
    ends : (n_groups,) int array
        Where each group's levels end in `order`.
    """

    order: FloatArray
    ends: FloatArray

    @classmethod
    def of(cls, term: RandomTerm, rows: TermRows, groups: Groups) -> Members:
        owner = rows.owners(groups.codes, term.n_levels)
        assert owner is not None
        ends = np.cumsum(np.bincount(owner, minlength=len(groups.labels)))
        return cls(np.argsort(owner, kind="stable"), ends)

    def __iter__(self) -> Iterator[FloatArray]:
        return iter(np.split(self.order, self.ends[:-1]))


def level_names(term: RandomTerm) -> list[str]:
    """What statsmodels calls each effect of a component: the name of its column."""
    if isinstance(term.levels, pd.MultiIndex):
        return [str(name) for name in term.levels.get_level_values(-1)]
    return [str(level) for level in term.levels]


def vc_spec(design: Design, rows: Rows, packing: Packing, groups: Groups) -> VCSpec:
    """The variance components as statsmodels holds them: a matrix per component and group."""
    names, colnames, mats = [], [], []
    for k in packing.vc_terms:
        term = design.terms[k]
        labels = np.array(level_names(term), dtype=object)
        z = rows.terms[k].matrix(term.n_levels)[groups.order]
        starts = np.concatenate([[0], np.cumsum(groups.sizes)])
        members = list(Members.of(term, rows.terms[k], groups))
        names.append(term.label)
        colnames.append([labels[levels].tolist() for levels in members])
        mats.append([z[a:b][:, levels].toarray() for a, b, levels in zip(starts, starts[1:], members)])
    return VCSpec(names, colnames, mats)


def effects_by_group(
    design: Design,
    members: Mapping[int, Members],
    packing: Packing,
    groups: Groups,
    re_names: list[str],
    b: tuple[FloatArray, ...],
) -> dict[Any, pd.Series]:
    """Conditional modes of each group: its random effects, then its components' effects.

    Parameters
    ----------
    design, members, packing, groups
    re_names : list of str
        Names of the random effects.
    b : tuple of (J, q) arrays
        Conditional modes of each term.
    """
    terms = [*packing.re_terms, *packing.vc_terms]
    names = effect_labels(design, members, packing, groups, re_names)
    pieces = zip(*([b[k][levels].ravel() for levels in members[k]] for k in terms))
    return {
        label: pd.Series(np.concatenate(parts), index=index)
        for label, parts, index in zip(groups.labels, pieces, names)
    }


def effect_labels(
    design: Design, members: Mapping[int, Members], packing: Packing, groups: Groups, re_names: list[str]
) -> list[pd.Index]:
    """Index of each group's effects."""
    whole = [design.terms[k].n_levels == len(groups.labels) for k in packing.re_terms]
    if all(whole) and not packing.vc_terms:
        return [pd.Index(re_names)] * len(groups.labels)
    names: list[list[str]] = [[] for _ in groups.labels]
    start = 0
    for k, own in zip((*packing.re_terms, *packing.vc_terms), (*whole, *[False] * len(packing.vc_terms))):
        term = design.terms[k]
        if k in packing.re_terms:
            columns = re_names[start : start + term.n_columns]
            start += term.n_columns
        else:
            columns = [term.label]
        levels = [""] * term.n_levels if own else [f"[{name}]" for name in level_names(term)]
        for into, own_levels in zip(names, members[k]):
            into.extend(column + levels[level] for level in own_levels for column in columns)
    # slices of one index: an index of text costs as much as all the rest of a group's Series
    flat, ends = pd.Index([name for own in names for name in own]), np.cumsum([len(own) for own in names])
    return [flat[end - len(own) : end] for own, end in zip(names, ends.tolist())]


def _both_sides(matrices: FloatArray, factors: list[tuple[int, FloatArray]]) -> FloatArray:
    """Λ'AΛ of symmetric matrices A (g, s, s) for a block-diagonal Λ: of each term, levels and the λ (q, q) of each."""
    for _ in range(2):
        columns, start = [], 0
        for n_levels, own in factors:
            part = matrices[:, :, start : (start := start + n_levels * len(own))]
            blocks = part.reshape(*part.shape[:2], n_levels, len(own))
            columns.append(part * own[0, 0] if len(own) == 1 else (blocks @ own).reshape(part.shape))
        matrices = np.concatenate(columns, axis=2).swapaxes(1, 2)
    return matrices


def covariances_by_group(
    design: Design,
    rows: Rows,
    members: Mapping[int, Members],
    packing: Packing,
    groups: Groups,
    re_names: list[str],
    lam: tuple[FloatArray, ...],
    scale: float,
) -> dict[Any, pd.DataFrame]:
    """Conditional covariance of each group's effects given β and θ: σ² Λ (Λ'Z'WZΛ + I)⁻¹ Λ'.

    Z'WZ is block-diagonal by group; groups with equal numbers of levels in each term share Λ and are inverted together.
    """
    terms = [*packing.re_terms, *packing.vc_terms]
    levels_of = [list(members[k]) for k in terms]
    sizes = np.array([[len(levels) for levels in each] for each in levels_of]).T  # groups × terms
    starts = np.cumsum([0, *(design.terms[k].n_levels * len(lam[k]) for k in terms)])
    columns = [
        np.concatenate([
            start + (levels_of[t][i][:, None] * len(lam[k]) + np.arange(len(lam[k]))).ravel()
            for t, (k, start) in enumerate(zip(terms, starts))
        ])
        for i in range(len(groups.labels))
    ]  # fmt: skip
    group, place = np.empty(starts[-1], np.intp), np.empty(starts[-1], np.intp)
    for i, own in enumerate(columns):
        group[own], place[own] = i, np.arange(len(own))
    Z = sparse.hstack([rows.terms[k].matrix(design.terms[k].n_levels) for k in terms], format="csc")
    products = (Z.T @ sparse.diags_array(rows.unit_weights) @ Z).tocoo()
    row, column = products.coords
    names = effect_labels(design, members, packing, groups, re_names)
    found: list[Any] = [None] * len(columns)
    for shape in np.unique(sizes, axis=0):
        same = np.flatnonzero((sizes == shape).all(axis=1))
        size = sum(int(m) * len(lam[k]) for m, k in zip(shape, terms))
        at = np.full(len(columns), -1)
        at[same] = np.arange(len(same))
        own = at[group[row]] >= 0
        inner = np.zeros((len(same), size, size))
        inner[at[group[row[own]]], place[row[own]], place[column[own]]] = products.data[own]
        factors = [(int(m), lam[k]) for m, k in zip(shape, terms)]
        inverse = np.linalg.inv(_both_sides(inner, factors) + np.eye(size))
        for i, cov in zip(same.tolist(), scale * _both_sides(inverse, [(m, own.T) for m, own in factors])):
            found[i] = cov
    return {
        label: pd.DataFrame(cov, index=index, columns=index) for label, cov, index in zip(groups.labels, found, names)
    }
