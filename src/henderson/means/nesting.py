"""Which factors of the fixed part are nested in which, from the formula and from the data.

A factor is nested in another when

- the formula says so: every term that has it has the other too, and not the other way round (``g/l`` is ``g + g:l``);
- or the data do: each of its levels occurs in one level of the other. Of two factors that say the same, the one that
  comes first is nested in the one that comes later.

emmeans finds nested factors in the same two ways.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from henderson.design.cells import Cells


def nesting(names: Sequence[str], uses: Sequence[frozenset[str]], cells: Cells) -> dict[str, tuple[str, ...]]:
    """The factors around each nested factor.

    Parameters
    ----------
    names : sequence of str
        Variables that have several values, in the order of the grid.
    uses : sequence of frozenset of str
        Variables of each term of the fixed part.
    cells : Cells
        Of the data.

    Returns
    -------
    dict of str to tuple of str
        All factors around a nested one, also those around the factors around it.

    Examples
    --------
    >>> nesting(["g", "l"], [frozenset("g"), frozenset("gl")], Cells())
    {'l': ('g',)}
    """
    around: dict[str, set[str]] = {name: set() for name in names}
    for source in (_by_formula(names, uses), _by_data(names, cells)):
        for inner, outer in source.items():
            around[inner] |= outer
    for _ in names:
        for outer in around.values():
            outer.update(*(around[name] for name in outer))
    return {
        inner: tuple(name for name in names if name in outer)
        for inner, outer in around.items()
        if outer and inner not in outer
    }


def _by_formula(names: Sequence[str], uses: Sequence[frozenset[str]]) -> dict[str, set[str]]:
    shared: dict[str, set[str]] = {}
    for name in names:
        own = [use & set(names) for use in uses if name in use]
        shared[name] = set(frozenset.intersection(*own)) - {name} if own else set()
    return {name: set() if any(name in shared[other] for other in found) else found for name, found in shared.items()}


def _by_data(names: Sequence[str], cells: Cells) -> dict[str, set[str]]:
    counted = [name for name in names if name in cells.codes]
    found: dict[str, set[str]] = {name: set() for name in counted}
    for k, one in enumerate(counted):
        for other in counted[k + 1 :]:
            if is_within(cells.codes[one], cells.codes[other]):
                found[one].add(other)
            elif is_within(cells.codes[other], cells.codes[one]):
                found[other].add(one)
    return found


def is_within(inner: np.ndarray, outer: np.ndarray) -> bool:
    """Whether each level of one factor occurs in one level of another; (c,) codes of both."""
    owner = np.zeros(inner.max(initial=0) + 1, np.intp)
    owner[inner] = outer
    return bool(np.array_equal(owner[inner], outer))
