"""Which variable a user's name means: marginal means are asked for by names as a formula writes them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from henderson.formula.terms import plain_column
from henderson.formula.tokens import bare


def find_variable(name: str, known: Collection[str], expressions: Mapping[str, tuple[str, ...]]) -> str | None:
    """The variable that a name means; None when there is none, or more than one.

    Parameters
    ----------
    name : str
        A variable, a factor of the formula (``C(year)``), a name in backquotes, an expression with other blanks or in
        brackets, or, where a variable is an expression, the one column that it uses.
    known : collection of str
        The variables.
    expressions : mapping of str to tuple of str
        Those that are expressions, with the columns that they use.

    Examples
    --------
    >>> find_variable("`x 1`", ["x 1"], {}), find_variable("C(year)", ["year"], {})
    ('x 1', 'year')
    >>> expressions = {"C(year > 2021)": ("year",)}
    >>> find_variable("C(year>2021)", expressions, expressions), find_variable("year", expressions, expressions)
    ('C(year > 2021)', 'C(year > 2021)')
    """
    plain = plain_column(name)
    for candidate in (name, bare(name), plain[0] if plain else name, f"`{bare(name)}`"):
        if candidate in known:
            return candidate
    meant = [own for own in known if _same(own) == _same(name)]
    meant = meant or [own for own, used in expressions.items() if used == (bare(name),)]
    return meant[0] if len(meant) == 1 else None


def _same(text: str) -> str:
    """An expression without blanks and quotes of names, nor brackets around it."""
    text = re.sub(r"\s+", "", bare(text))
    while len(text) > 2 and text[0] == "(" and text[-1] == ")" and _closes_at(text) == len(text) - 1:
        text = text[1:-1]
    return text


def _closes_at(text: str) -> int:
    """Where the bracket that a text opens with is closed."""
    depth = 0
    for i, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return i
    return -1
