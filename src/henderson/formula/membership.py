"""``(1 | mm(t1, t2, t3))``: rows that belong to several levels of one factor, with weights (brms' language).

``mm(t1, t2, weights=c(w1, w2), scale=False)``: the members are columns of labels of one kind, the weights columns of
numbers. Without them each member has the same; unless ``scale=False`` weights are divided by their sum in the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from henderson.errors import FormulaError
from henderson.formula.terms import plain_column
from henderson.formula.tokens import tokens

#: words that join columns of weights
JOINS = ("c", "cbind", "")


@dataclass(frozen=True)
class Membership:
    """What is inside ``mm(...)``.

    Attributes
    ----------
    columns : tuple of str
        Columns of labels.
    weights : tuple of str
        Columns of weights, one for each, or none.
    scale : bool
        Whether weights are divided by their sum.
    """

    columns: tuple[str, ...]
    weights: tuple[str, ...] = ()
    scale: bool = True


def members_of(text: str) -> Membership | None:
    """The members of a grouping factor's text; None where it is no ``mm(...)``.

    Raises
    ------
    FormulaError
        For fewer than two members, something that is no column, or an argument that ``mm`` does not take.

    Examples
    --------
    >>> members_of("mm(t1, t2, weights=c(w1, w2))")
    Membership(columns=('t1', 't2'), weights=('w1', 'w2'), scale=True)
    """
    words = tokens(text)
    if len(words) < 3 or words[0].text != "mm" or words[1].text != "(" or words[1].partner != words[-1].start:
        return None
    columns: list[str] = []
    weights: tuple[str, ...] = ()
    scale = True
    for argument in _split(text[words[1].end : words[-1].start]):
        name, equals, value = (part.strip() for part in argument.partition("="))
        if not equals:
            columns.append(_column(argument, text))
        elif name == "weights":
            inner = tokens(value)
            joined = inner[0].text if inner and inner[0].kind == "name" else ""
            if len(inner) < 3 or joined not in JOINS or inner[-1].text != ")":
                raise FormulaError(f"{text}: weights are columns, as in weights=c(w1, w2), not {value!r}")
            opened = inner[1] if joined else inner[0]
            weights = tuple(_column(one, text) for one in _split(value[opened.end : inner[-1].start]))
        elif name == "scale" and value.upper() in ("TRUE", "FALSE", "T", "F"):
            scale = value.upper().startswith("T")
        else:
            raise FormulaError(f"{text}: mm() takes columns, weights=c(...) and scale=True or False, not {argument!r}")
    if len(columns) < 2:
        raise FormulaError(f"{text}: mm() takes two columns of members or more")
    if weights and len(weights) != len(columns):
        raise FormulaError(f"{text}: {len(columns)} members and {len(weights)} weights")
    return Membership(tuple(columns), weights, scale)


def _split(text: str) -> Sequence[str]:
    """The pieces between the commas outside brackets."""
    cuts = [word for word in tokens(text) if word.text == "," and not word.around]
    starts, ends = [0, *(cut.end for cut in cuts)], [*(cut.start for cut in cuts), len(text)]
    return [text[a:b].strip() for a, b in zip(starts, ends)]


def _column(text: str, piece: str) -> str:
    found = plain_column(text) if text else None
    if found is None:
        raise FormulaError(f"{piece}: {text!r} is not a column")
    return found[0]
