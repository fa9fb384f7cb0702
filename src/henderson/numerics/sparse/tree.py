"""The pattern of a sparse Cholesky factor, PCP' = LL': an order of elimination, and which columns go together.

Eliminating a column joins all rows below it. With struct(j) the rows below the diagonal in column j of L,

    struct(j) = {i > j : C_ij ≠ 0} ∪ ⋃_{children c of j} struct(c) \\ {j},     parent(j) = min struct(j)

(the elimination tree; Liu 1990). Columns of one chain with the same rows below are one *front*, a dense block of work.
Fronts are joined with their parents further where that stores few zeros: small ones cost more in calls than in
arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

#: share of a joined front's entries that may be zeros, and columns up to which that share is larger
ZEROS, FEW, MORE = 0.1, 16, 0.3

Pairs = list[np.ndarray]


@dataclass(frozen=True, eq=False)
class Fronts:
    """Columns of L by front, in the order of elimination.

    Attributes
    ----------
    order : (n,) intp array
        The variable that is eliminated k-th.
    columns, rows : list of int arrays
        Of each front: its columns, and the rows below them, as places in that order, ascending.
    parent : (m,) intp array
        The front that takes what each leaves; −1: none.
    """

    order: np.ndarray
    columns: list[np.ndarray]
    rows: list[np.ndarray]
    parent: np.ndarray

    @property
    def entries(self) -> int:
        """Entries of L that are stored."""
        return sum(len(own) * (len(own) + len(below)) for own, below in zip(self.columns, self.rows))


def minimum_degree(pattern: sparse.csc_array) -> np.ndarray:
    """An order of elimination with little fill, (n,): minimum degree, as SuperLU has it.

    Parameters
    ----------
    pattern : (n, n) csc array
        Symmetric; its values do not matter.

    Examples
    --------
    >>> star = sparse.csc_array(np.eye(4) + np.eye(4)[[0]] + np.eye(4)[:, [0]])
    >>> int(minimum_degree(star)[0]) != 0  # not the middle first, which would join all others
    True
    """
    from scipy.sparse.linalg import spilu

    n = pattern.shape[0]
    if n < 3:
        return np.arange(n)
    dominant = sparse.csc_array(
        (np.full(pattern.nnz, -1.0), pattern.indices.copy(), pattern.indptr.copy()), shape=pattern.shape
    )
    dominant = sparse.csc_array(dominant + sparse.diags_array(np.diff(pattern.indptr) + 2.0))
    # an incomplete factor that drops everything: the order is all that it costs
    found = spilu(
        dominant,
        drop_tol=1e9,
        fill_factor=1,
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0,
        options={"SymmetricMode": True},
    )
    return np.argsort(found.perm_c).astype(np.intp)


def fronts_of(pattern: sparse.csc_array, order: np.ndarray) -> Fronts:
    """The fronts of a symmetric pattern eliminated in an order.

    Examples
    --------
    >>> chain = sparse.csc_array(np.eye(3) + np.eye(3, k=1) + np.eye(3, k=-1))
    >>> [one.tolist() for one in fronts_of(chain, np.arange(3)).columns]
    [[0, 1, 2]]
    """
    n = len(order)
    place = np.empty(n, np.intp)
    place[order] = np.arange(n)
    parent = _parents(*_below(pattern, place), n)
    post = _postorder(parent)
    order = order[post]
    place[order] = np.arange(n)
    rank = np.empty(n, np.intp)
    rank[post] = np.arange(n)
    parent = np.where(parent[post] < 0, -1, rank[parent[post]])
    columns, rows = _chains(parent, *_below(pattern, place))
    return _joined(order, columns, rows)


def _below(pattern: sparse.csc_array, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entries below the diagonal in the order of elimination: columns and rows."""
    column = place[np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))]
    row = place[pattern.indices]
    lower = row > column
    return column[lower], row[lower]


def _parents(column: np.ndarray, row: np.ndarray, n: int) -> np.ndarray:
    """The elimination tree, by paths compressed (Liu 1986)."""
    by_row = np.lexsort((column, row))
    parent, ancestor = [-1] * n, [-1] * n
    for k, i in zip(row[by_row].tolist(), column[by_row].tolist()):
        while i != -1 and i < k:
            above = ancestor[i]
            ancestor[i] = k
            if above == -1:
                parent[i] = k
            i = above
    return np.array(parent, np.intp)


def heights(parent: np.ndarray) -> np.ndarray:
    """Edges to the furthest leaf below; parents come after their children."""
    height = [0] * len(parent)
    for k, above in enumerate(parent.tolist()):
        if above >= 0 and height[above] <= height[k]:
            height[above] = height[k] + 1
    return np.array(height, np.intp)


def _postorder(parent: np.ndarray) -> np.ndarray:
    """An order in which the descendants of each stand right before it."""
    n = len(parent)
    size = [1] * n
    for k, above in enumerate(parent.tolist()):
        if above >= 0:
            size[above] += size[k]
    end, place = [0] * n, np.empty(n, np.intp)  # the last of the subtree of k stands at `place`
    free = n
    for k in range(n - 1, -1, -1):
        above = int(parent[k])
        if above < 0:
            place[k] = free - 1
            free -= size[k]
        else:
            place[k] = end[above]
            end[above] -= size[k]
        end[k] = int(place[k]) - 1
    post = np.empty(n, np.intp)
    post[place] = np.arange(n)
    return post


def _chains(parent: np.ndarray, column: np.ndarray, row: np.ndarray) -> tuple[Pairs, Pairs]:
    """Columns and rows of the fronts before any are joined: chains in which a column has one row less than the last.

    All columns of one height are done at once.
    """
    n = len(parent)
    height = heights(parent)
    by_height = np.argsort(height, kind="stable")
    ends = np.searchsorted(height[by_height], np.arange(height.max(initial=0) + 2))
    n_children = np.bincount(parent[parent >= 0], minlength=n)
    by_owner = np.argsort(height[column], kind="stable")
    column, row = column[by_owner], row[by_owner]
    own_ends = np.searchsorted(height[column], np.arange(len(ends)))
    waiting: list[Pairs] = [[] for _ in range(len(ends))]
    head = np.arange(n)  # the first column of the chain of each
    count = np.zeros(n, np.intp)
    structures: dict[int, np.ndarray] = {}
    for h in range(len(ends) - 1):
        mine = slice(own_ends[h], own_ends[h + 1])
        keys = np.sort(np.concatenate([column[mine] * n + row[mine], *waiting[h]]))
        keys = keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys
        waiting[h] = []
        own, below = np.divmod(keys, n)
        here = np.sort(by_height[ends[h] : ends[h + 1]])
        starts = np.searchsorted(own, here)
        count[here] = np.diff(np.append(starts, len(own)))
        # what goes on to the parents, which are higher
        first = parent[own]
        passed = below != first
        target, keys = height[first[passed]], first[passed] * n + below[passed]
        for t in np.unique(target):
            waiting[t].append(keys[target == t])
        for j, start in zip(here.tolist(), starts.tolist()):
            structures[j] = below[start : start + count[j]]
    members: dict[int, list[int]] = {}
    for j in range(n):  # children come first
        c = j - 1  # an only child stands right before its parent
        if j and parent[c] == j and n_children[j] == 1 and count[c] == count[j] + 1:
            head[j] = head[c]
            structures[int(head[j])] = structures.pop(j)
        members.setdefault(int(head[j]), []).append(j)
    heads = sorted(members)
    return [np.array(members[k], np.intp) for k in heads], [structures[k] for k in heads]


def _joined(order: np.ndarray, columns: Pairs, rows: Pairs) -> Fronts:
    """Fronts joined with their parents where that stores few zeros."""
    n = len(order)
    m = len(columns)
    front_of = np.empty(n, np.intp)
    for k, own in enumerate(columns):
        front_of[own] = k
    parent = np.array([front_of[below[0]] if len(below) else -1 for below in rows], np.intp)
    width, depth = [len(own) for own in columns], [len(below) for below in rows]
    stored = [w * (w + 1) // 2 + w * r for w, r in zip(width, depth)]  # entries that are not zero
    taken: list[list[int]] = [[] for _ in range(m)]
    into = list(range(m))
    for k in range(m):  # children come first, so what they took is known
        above = int(parent[k])
        if above < 0:
            continue
        w, r = width[k] + width[above], depth[above]
        whole, real = w * (w + 1) // 2 + w * r, stored[k] + stored[above]
        if whole - real <= (MORE if w <= FEW else ZEROS) * whole:
            into[k] = above
            taken[above].append(k)
            width[above], stored[above] = w, real
    kept = [k for k in range(m) if into[k] == k]
    number = np.full(m, -1, np.intp)
    number[kept] = np.arange(len(kept))
    for k in range(m - 1, -1, -1):
        if into[k] != k:
            number[k] = number[into[k]]
    all_columns = [
        np.sort(np.concatenate([columns[one] for one in _with_taken(k, taken)])) if taken[k] else columns[k]
        for k in kept
    ]
    above_each = np.array([number[parent[k]] if parent[k] >= 0 else -1 for k in kept], np.intp)
    return Fronts(order, all_columns, [rows[k] for k in kept], above_each)


def _with_taken(k: int, taken: list[list[int]]) -> list[int]:
    found, to_see = [], [k]
    while to_see:
        one = to_see.pop()
        found.append(one)
        to_see += taken[one]
    return found
