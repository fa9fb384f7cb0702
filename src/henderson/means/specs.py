"""What a user asks marginal means of: ``"A * B"``, ``["A", "B"]``, ``"A | B"``, and names as a formula writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from henderson.arguments import names
from henderson.means.grid import ReferenceGrid
from henderson.means.variables import find_variable


def split_specs(
    specs: str | Iterable[str], by: str | Iterable[str] | None, grid: ReferenceGrid
) -> tuple[list[str], list[str]]:
    """Variables of `specs`, and those of `by`; neither list has a variable twice, nor one of the other.

    A name may be a variable, a factor of the formula (``C(year)``), a name in backquotes, or, where a variable is an
    expression, the one column that it uses.

    Raises
    ------
    ValueError
        When a name is not a variable of the fixed part.
    """
    if isinstance(specs, str) and specs not in grid.values and "|" in _outside_quotes(specs):
        if by is not None:
            raise ValueError("give by, or | in specs, not both")
        cut = _outside_quotes(specs).index("|")
        specs, by = specs[:cut], specs[cut + 1 :]
    if isinstance(specs, str) and specs not in grid.values and (asked := _before_tilde(specs)):
        raise ValueError(f"contrasts are asked for afterwards: emmeans(…).contrasts({asked!r}), not {specs!r}")
    first = [variable(name, grid) for name in _names(specs, grid)]
    second = [variable(name, grid) for name in _names(() if by is None else by, grid)]
    return [name for name in dict.fromkeys(first) if name not in second], list(dict.fromkeys(second))


def with_outer(names: Sequence[str], by: Sequence[str], grid: ReferenceGrid) -> tuple[list[str], list[str]]:
    """Both lists with the factors around those that are nested: nested ones first, those around them, then others."""
    around_by = [outer for name in by for outer in grid.nested.get(name, ()) if outer not in by]
    by = list(dict.fromkeys([*by, *around_by]))
    names = [name for name in names if name not in by]
    nested = [name for name in names if name in grid.nested]
    outer = {o for name in nested for o in grid.nested[name] if o not in by}
    inner_most = [name for name in nested if name not in outer]
    around = [name for name in grid.values if name in outer]
    return list(dict.fromkeys([*inner_most, *around, *names])), by


def _before_tilde(specs: str) -> str:
    """What R's ``pairwise ~ A`` has on the left."""
    return specs[: max(_outside_quotes(specs).find("~"), 0)].strip()


def _outside_quotes(text: str) -> str:
    return re.sub(r"`[^`]*`|\([^()]*\)", lambda found: "_" * len(found[0]), text)


def _names(specs: str | Iterable[str], grid: ReferenceGrid) -> list[str]:
    if not isinstance(specs, str):
        return [
            str(name)
            for name in names(specs, "a variable of marginal means")
            if str(name) in grid.values or str(name) not in ("", "1")
        ]
    if specs.strip() in grid.values:
        return [specs.strip()]
    blank = _outside_quotes(specs)
    cuts = [-1, *(i for i, char in enumerate(blank) if char in "*:+,~"), len(specs)]
    found = [specs[start + 1 : stop].strip() for start, stop in pairwise(cuts)]
    return [name for name in found if name in grid.values or name not in ("", "1")]


def variable(name: str, grid: ReferenceGrid) -> str:
    """The variable of the grid that a name means.

    Raises
    ------
    ValueError
        When there is none.
    """
    meant = find_variable(name, grid.values, grid.expressions)
    if meant is None:
        known = ", ".join(map(str, grid.values)) or "none"
        raise ValueError(f"the fixed part has no variable {name!r} to take means at; it has {known}")
    return meant
