"""An order of elimination in rounds: many variables at once, none next to another, those with few neighbours first.

Eliminating a variable joins its neighbours, so one with one neighbour adds nothing and one with two at most the entry
between them. Rounds take chains and trees away in a number that grows with the logarithm of their length (Miller and
Reif 1985), so that few batches of many fronts are left to be factored, where minimum degree would eat a chain from its
ends. In a round, of the variables with at most `limit` neighbours,

    those are taken that come before all such neighbours by (number of neighbours, a random number),

where `limit` is two, or else the least number that a share of all variables do not exceed. What is left at last, few or
all but full, goes in the order in which it stands. What an order costs shows while it is made:

    multiplications = Σ (1 + neighbours)² over what was taken + (what is left)³ / 3
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from henderson.numerics.distinct import distinct

#: share of the variables that may be taken in a round
SHARE = 0.1
#: variables that are one front, and share of the entries among them from which they are, however many
FEW, FULL = 32, 0.5


def by_rounds(pattern: sparse.csc_array, most: float = np.inf) -> np.ndarray | None:
    """An order of elimination with little fill, (n,); None where factoring in it takes more than `most`.

    Parameters
    ----------
    pattern : (n, n) csc array
        Symmetric; its values do not matter.
    most : float
        Multiplications.

    Examples
    --------
    >>> star = sparse.csc_array(np.eye(40) + np.eye(40)[[0]] + np.eye(40)[:, [0]])
    >>> by_rounds(star).tolist().index(0) > 30  # the middle, which would join all others, comes late
    True
    >>> by_rounds(sparse.csc_array(np.ones((90, 90))), most=1e5) is None
    True
    """
    n = pattern.shape[0]
    column = np.repeat(np.arange(n, dtype=np.int64), np.diff(pattern.indptr))
    row = pattern.indices.astype(np.int64)
    lower = row > column
    edges = distinct(column[lower] * n + row[lower])  # a pair of neighbours once, the first of them the smaller
    alive, taken, cost = np.arange(n), [], 0.0
    draw = np.random.default_rng(0).permutation(n)
    while True:
        first, second = np.divmod(edges, n)
        count = np.bincount(first, minlength=n) + np.bincount(second, minlength=n)
        left = len(alive)
        if left <= FEW or len(edges) >= FULL * left * (left - 1) / 2:
            break
        here = count[alive]
        limit = max(2, int(np.partition(here, int(SHARE * left))[int(SHARE * left)]))
        own = _apart(alive, here, limit, count * n + draw, first, second)
        taken.append(own)
        cost += float(np.square(1.0 + count[own]).sum())
        gone = np.zeros(n, bool)
        gone[own] = True
        touched = gone[first] | gone[second]
        edges = _joined(edges[~touched], _pairs(first[touched], second[touched], gone, n))
        alive = alive[~gone[alive]]
        if cost + float(len(edges)) ** 2 / max(len(alive), 1) > most:  # each pair will be an entry of a column
            return None
    if cost + float(left) ** 3 / 3 > most:
        return None
    return np.concatenate([*taken, alive])


def _apart(
    alive: np.ndarray, here: np.ndarray, limit: int, rank: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Variables with at most `limit` neighbours, none next to another."""
    able = np.zeros(len(rank), bool)
    able[alive[here <= limit]] = True
    both = able[first] & able[second]
    first, second = first[both], second[both]
    after = np.where(rank[first] > rank[second], first, second)
    able[after] = False
    return np.flatnonzero(able)


def _pairs(first: np.ndarray, second: np.ndarray, gone: np.ndarray, n: int) -> np.ndarray:
    """The pairs that elimination joins, from the edges of those that are gone; each edge has one of them."""
    of, other = np.where(gone[first], first, second), np.where(gone[first], second, first)
    order = np.lexsort((other, of))
    other = other[order]
    counts = np.unique(of, return_counts=True)[1]
    starts = np.cumsum(counts) - counts
    out = []
    for size in np.unique(counts[counts > 1]):
        table = other[starts[counts == size][:, None] + np.arange(size)]
        i, j = np.triu_indices(size, 1)
        out.append((table[:, i] * n + table[:, j]).ravel())
    return np.concatenate(out) if out else np.zeros(0, np.int64)


def _joined(edges: np.ndarray, more: np.ndarray) -> np.ndarray:
    return distinct(np.concatenate([edges, more])) if len(more) else edges
