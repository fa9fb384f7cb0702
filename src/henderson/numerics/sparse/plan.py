"""What does not change when a sparse matrix of one pattern is factored again: fronts in batches, and where entries go.

A front of w columns and r rows below them is a dense matrix of order w + r,

    [ F_11       ]     its columns' entries of C, and what its children leave (`Cholesky`)
    [ F_21  F_22 ]

Fronts that are equally high above the leaves of the tree depend on none of each other: those of one shape are one array
(B, w + r, w + r), and the leaves of a tree, tens of thousands, one or two arrays. Shapes are rounded up: a column that
is no column has a one on the diagonal, a row that is no row zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy import sparse

from henderson.numerics.sparse.tree import Fronts, fronts_of, heights, minimum_degree

#: sizes to which widths and depths are rounded up; larger ones stay as they are
SIZES = np.array([0, 1, 2, 4, 8, 16, 32, 64])
#: rows beyond which what a front leaves is added as a matrix, not entry by entry; none of them may be none
LARGE = int(SIZES[-1])


@lru_cache(maxsize=2 * LARGE)
def lower_triangle(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the entries of a lower triangle."""
    return np.tril_indices(order)


@dataclass(frozen=True, eq=False)
class Link:
    """Fronts of one batch whose parents are in another.

    Attributes
    ----------
    child, parent : int
        The batches.
    members : (c,) intp array
        Places of the children in theirs.
    into : (c,) intp array
        Places of their parents.
    local : (c, r) intp array
        Where the children's rows stand among the columns and rows of their parents.
    """

    child: int
    parent: int
    members: np.ndarray
    into: np.ndarray
    local: np.ndarray

    def places(self, order: int, lower: bool) -> np.ndarray:
        """Where the entries of what the children leave stand in the parents' batch, flat, (c, entries); `order` is that
        of the parents' matrices."""
        if lower:
            down, across = lower_triangle(self.local.shape[1])
            own = self.local[:, down] * order + self.local[:, across]
        else:
            own = (self.local[:, :, None] * order + self.local[:, None, :]).reshape(len(self.local), -1)
        return own + self.into[:, None] * order**2


@dataclass(frozen=True, eq=False)
class Batch:
    """Fronts of one height and one shape.

    Attributes
    ----------
    columns, rows : (B, w), (B, r) intp arrays
        Places in the order of elimination; n: none.
    entries, targets : (e,) intp arrays
        Which entries of the matrix are theirs, and where they stand in (B, w + r, w + r), flat.
    ones : intp array
        Where columns that are none have their one, flat.
    below : (unique rows, sparse matrix that adds up what belongs to each), or None where no row is twice
    children, parents : list of Link
    """

    columns: np.ndarray
    rows: np.ndarray
    entries: np.ndarray
    targets: np.ndarray
    ones: np.ndarray
    below: tuple[np.ndarray, sparse.csr_array] | None
    children: list[Link] = field(default_factory=list)
    parents: list[Link] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, w, r)."""
        return (*self.columns.shape, self.rows.shape[1])


@dataclass(frozen=True, eq=False)
class Plan:
    """How matrices of one pattern are factored.

    Attributes
    ----------
    n : int
    order : (n,) intp array
        The variable that is eliminated k-th.
    batches : list of Batch
        Children before their parents.
    """

    n: int
    order: np.ndarray
    batches: list[Batch]

    @classmethod
    def of(cls, row: np.ndarray, column: np.ndarray, n: int, order: np.ndarray | None = None) -> Plan:
        """The plan of symmetric matrices of order n with entries at (row, column), each pair once, in either triangle.

        Examples
        --------
        >>> plan = Plan.of(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
        >>> plan.entries
        4
        """
        pattern = sparse.coo_array((np.ones(len(row)), (row, column)), shape=(n, n))
        whole = sparse.csc_array(pattern + pattern.T + sparse.eye_array(n))
        fronts = fronts_of(whole, minimum_degree(whole) if order is None else order)
        return cls(n, fronts.order, _batches(fronts, row, column))

    @property
    def entries(self) -> int:
        """Numbers that a factor holds."""
        return sum(B * w * (w + r) for B, w, r in (batch.shape for batch in self.batches))

    @property
    def bytes(self) -> int:
        """Memory of a factor, and of its inverse on the pattern while that is made."""
        peak = held = 0
        size = [8 * B * (w + r) ** 2 for B, w, r in (batch.shape for batch in self.batches)]
        last = [min((link.child for link in batch.children), default=k) for k, batch in enumerate(self.batches)]
        leaving: dict[int, int] = {}
        for k in range(len(self.batches) - 1, -1, -1):  # as the inverse is made
            held += size[k]
            peak = max(peak, held)
            leaving[last[k]] = leaving.get(last[k], 0) + size[k]
            held -= leaving.pop(k, 0)
        return 8 * self.entries + 2 * peak


def rounded(sizes: np.ndarray) -> np.ndarray:
    """Sizes rounded up to `SIZES`."""
    at = np.searchsorted(SIZES, sizes)
    return np.where(at < len(SIZES), SIZES[np.minimum(at, len(SIZES) - 1)], sizes)


def _batches(fronts: Fronts, row: np.ndarray, column: np.ndarray) -> list[Batch]:
    n, m = len(fronts.order), len(fronts.columns)
    width = np.array([len(one) for one in fronts.columns], np.intp)
    depth = np.array([len(one) for one in fronts.rows], np.intp)
    w, r = rounded(width), rounded(depth)
    height = heights(fronts.parent)
    kinds, batch_of = np.unique(np.column_stack([height, w, r]), axis=0, return_inverse=True)
    batch_of = batch_of.ravel()
    by_batch = np.argsort(batch_of, kind="stable")
    starts = np.searchsorted(batch_of[by_batch], np.arange(len(kinds) + 1))
    member = np.empty(m, np.intp)
    member[by_batch] = np.arange(m) - starts[batch_of[by_batch]]
    # where a variable stands in a front: found by the key front · (n + 1) + variable
    front = np.repeat(np.arange(m), width + depth)
    both = [one for pair in zip(fronts.columns, fronts.rows) for one in pair]
    variables = np.concatenate(both) if both else np.zeros(0, np.intp)
    first = np.cumsum(width + depth) - width - depth
    local = np.arange(len(front)) - first[front]
    is_row = local >= width[front]
    local = local + np.where(is_row, (w - width)[front], 0)
    keys = front * (n + 1) + variables  # ascending

    def place_of(front: np.ndarray, variable: np.ndarray) -> np.ndarray:
        return local[np.searchsorted(keys, front * (n + 1) + variable)]

    rank = np.empty(n, np.intp)
    rank[fronts.order] = np.arange(n)
    low, high = np.minimum(rank[row], rank[column]), np.maximum(rank[row], rank[column])
    front_of = np.empty(n, np.intp)
    front_of[variables[~is_row]] = front[~is_row]
    of_entry = front_of[low]
    order = (w + r)[of_entry]
    target = (member[of_entry] * order + place_of(of_entry, high)) * order + place_of(of_entry, low)
    by_entry = np.argsort(batch_of[of_entry], kind="stable")
    entry_ends = np.searchsorted(batch_of[of_entry][by_entry], np.arange(len(kinds) + 1))
    batches = []
    of_variable = batch_of[front]
    by_variable = np.argsort(of_variable, kind="stable")
    variable_ends = np.searchsorted(of_variable[by_variable], np.arange(len(kinds) + 1))
    for k, (_, wide, deep) in enumerate(kinds.tolist()):
        own = by_batch[starts[k] : starts[k + 1]]
        table = np.full((len(own), wide + deep), n, np.intp)
        at = by_variable[variable_ends[k] : variable_ends[k + 1]]
        table[member[front[at]], local[at]] = variables[at]
        some = by_entry[entry_ends[k] : entry_ends[k + 1]]
        empty = np.argwhere(table[:, :wide] == n)
        ones = (empty[:, 0] * (wide + deep) + empty[:, 1]) * (wide + deep) + empty[:, 1]
        batches.append(
            Batch(table[:, :wide], table[:, wide:], some, target[some], ones, _adding(table[:, wide:], len(own)))
        )
    _link(batches, fronts, batch_of, member, place_of)
    return batches


def _adding(rows: np.ndarray, size: int) -> tuple[np.ndarray, sparse.csr_array] | None:
    if size == 1:
        return None
    unique, at = np.unique(rows, return_inverse=True)
    count = rows.size
    adding = sparse.csr_array((np.ones(count), (at.ravel(), np.arange(count))), shape=(len(unique), count))
    return unique, adding


def _link(
    batches: list[Batch],
    fronts: Fronts,
    batch_of: np.ndarray,
    member: np.ndarray,
    place_of: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> None:
    """Add the links between batches: who takes what each leaves."""
    children = np.flatnonzero(fronts.parent >= 0)
    pairs = np.column_stack([batch_of[children], batch_of[fronts.parent[children]]])
    kinds, which = np.unique(pairs, axis=0, return_inverse=True)
    by_kind = np.argsort(which.ravel(), kind="stable")
    ends = np.searchsorted(which.ravel()[by_kind], np.arange(len(kinds) + 1))
    for k, (child, parent) in enumerate(kinds.tolist()):
        own = children[by_kind[ends[k] : ends[k + 1]]]
        rows = batches[child].rows[member[own]]
        real = rows < len(fronts.order)
        local = np.zeros(rows.shape, np.intp)
        above = np.repeat(fronts.parent[own], real.sum(axis=1))
        local[real] = place_of(above, rows[real])
        link = Link(child, parent, member[own], member[fronts.parent[own]], local)
        batches[child].parents.append(link)
        batches[parent].children.append(link)
