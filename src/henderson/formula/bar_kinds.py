"""The words of bars with a structure, ``ar1(0 + t | g, hom=False)``: lme4's and glmmTMB's, and what each takes.

A kind says the name of the covariance structure with one variance and with a variance for each effect, and whether it
needs an order of its effects: then its left side is one factor, ``0 + t``, whose levels are ordered or numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from henderson.errors import FormulaError
from henderson.formula.tokens import Token, tokens


@dataclass(frozen=True)
class BarKind:
    """What a word of a bar means.

    Attributes
    ----------
    homogeneous, heterogeneous : str
        Names of the structures; empty where there is none.
    hom : bool or None
        Which of them the word alone means; None: it takes no ``hom``.
    ordered : bool
        Whether the order of the effects counts.
    timed : bool
        Whether their distances do, in any unit.
    factors : bool
        Whether a number of factors stands beside the bar: ``rr(0 + trait | g, 2)``.
    """

    homogeneous: str
    heterogeneous: str
    hom: bool | None = None
    ordered: bool = False
    timed: bool = False
    factors: bool = False


KINDS: dict[str, BarKind] = {
    "us": BarKind("", "unstructured"),
    "diag": BarKind("identity", "diagonal", False),
    "homdiag": BarKind("identity", "diagonal", True),
    "cs": BarKind("homcs", "cs", False),
    "homcs": BarKind("homcs", "cs", True),
    "ar1": BarKind("ar1", "hetar1", True, ordered=True),
    "hetar1": BarKind("ar1", "hetar1", False, ordered=True),
    "toep": BarKind("homtoep", "toep", False, ordered=True),
    "homtoep": BarKind("homtoep", "toep", True, ordered=True),
    "ou": BarKind("ou", "hetou", True, ordered=True, timed=True),
    "rr": BarKind("", "rr", factors=True),
    "fa": BarKind("", "fa", factors=True),
}


def kind_of_piece(piece: str) -> str | None:
    """The kind of a piece of a formula that is a call of one with a bar in it; None for anything else."""
    words = tokens(piece)
    if len(words) < 4 or words[0].kind != "name" or words[0].text not in KINDS:
        return None
    opened = words[1]
    if opened.text != "(" or opened.partner != words[-1].start:
        return None
    return words[0].text if any(_is_bar(word, opened.start) for word in words) else None


def _is_bar(word: Token, opened: int) -> bool:
    return word.kind == "operator" and word.text in ("|", "||") and word.around == (opened,)


def structured(piece: str, kind: str) -> tuple[str, str, str]:
    """Left side, right side and structure of ``kind(left | right, hom=…)``.

    Raises
    ------
    FormulaError
        For two bars, ``||``, or an argument that the kind does not take.

    Examples
    --------
    >>> structured("cs(0 + f | g, hom=TRUE)", "cs")
    ('0 + f', 'g', 'homcs')
    """
    words = tokens(piece)
    opened = words[1].start
    own = [word for word in words if word.around == (opened,) and word.kind == "operator"]
    cuts = [word for word in own if word.text == ","]
    ends = [opened + 1, *(cut.end for cut in cuts)], [*(cut.start for cut in cuts), len(piece) - 1]
    arguments = [piece[a:b].strip() for a, b in zip(*ends)]
    bars = [word for word in own if word.text in ("|", "||")]
    if len(bars) != 1 or bars[0].start > ends[1][0]:
        raise FormulaError(f"{piece!r} reads {kind}(terms | group): it has {len(bars)} bars")
    if bars[0].text == "||":
        raise FormulaError(f"{piece!r}: || takes no structure; write {kind}(terms | group), or diag() for ||")
    left, right = piece[opened + 1 : bars[0].start].strip(), piece[bars[0].end : ends[1][0]].strip()
    if not left or not right:
        raise FormulaError(f"nothing {'before' if not left else 'after'} the bar in {piece!r}")
    return left, right, _structure(kind, arguments[1:], piece)


def _structure(kind: str, arguments: Sequence[str], piece: str) -> str:
    """The structure's name, from the kind and its arguments."""
    own = KINDS[kind]
    if own.factors:
        return f"{own.heterogeneous}({_n_factors(kind, arguments, piece)})"
    takes = "no argument beside the bar" if own.hom is None else "hom=True or hom=False"
    hom = own.hom
    for argument in arguments:
        name, equals, value = (part.strip() for part in argument.partition("="))
        if name != "hom" or not equals or own.hom is None:
            raise FormulaError(f"{piece!r}: {kind}() takes {takes}, not {argument!r}")
        if value not in ("True", "TRUE", "T", "False", "FALSE", "F"):
            raise FormulaError(f"{piece!r}: hom is True or False, not {value!r}")
        hom = value.startswith("T")
    return own.homogeneous if hom else own.heterogeneous


def _n_factors(kind: str, arguments: Sequence[str], piece: str) -> int:
    """The number of factors: ``2``, ``d = 2`` (glmmTMB's word) or ``k = 2``."""
    example = f"{kind}() takes the number of factors beside the bar, {kind}(0 + trait | g, 2)"
    if len(arguments) != 1:
        raise FormulaError(f"{piece!r}: {example}")
    name, equals, value = (part.strip() for part in arguments[0].rpartition("="))
    if (equals and name not in ("d", "k")) or not value.isdigit() or int(value) < 1:
        raise FormulaError(f"{piece!r}: {example}, a whole number from 1, not {arguments[0]!r}")
    return int(value)


def kind_of_structure(structure: str) -> tuple[str, str]:
    """The word for a structure, and what follows the bar: ``("ar1", ", hom=False")``.

    Examples
    --------
    >>> kind_of_structure("ou(0,1,3)"), kind_of_structure("hetou(0,1)"), kind_of_structure("rr(2)")
    (('ou', ''), ('ou', ', hom=False'), ('rr', ', 2'))
    """
    family, _, numbers = structure.rstrip(")").partition("(")
    if family in KINDS and KINDS[family].factors:
        return family, f", {numbers}"
    for word, kind in KINDS.items():
        default = kind.homogeneous if kind.hom else kind.heterogeneous
        if default == family:
            return word, ""
    for word, kind in KINDS.items():
        if family in (kind.homogeneous, kind.heterogeneous):
            return word, f", hom={family == kind.homogeneous}"
    return "", ""


def is_ordered(structure: str) -> bool:
    """Whether the order of the effects counts in a structure, as a bar names it."""
    return any(structure in (kind.homogeneous, kind.heterogeneous) for kind in KINDS.values() if kind.ordered)


def is_timed(structure: str) -> bool:
    """Whether their distances do, in any unit."""
    return any(structure in (kind.homogeneous, kind.heterogeneous) for kind in KINDS.values() if kind.timed)


def bar_text(structure: str, columns: str, group: str) -> str:
    """A bar as it is written.

    Examples
    --------
    >>> bar_text("unstructured", "1 + x", "g"), bar_text("ar1(0,2,3)", "0 + t", "g")
    ('(1 + x | g)', 'ar1(0 + t | g)')
    """
    word, argument = kind_of_structure(structure)
    return f"({columns} | {group})" if word in ("", "us") else f"{word}({columns} | {group}{argument})"
