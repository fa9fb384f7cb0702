"""Sums of products: a formula's fixed part, or the left side of a bar, as a tuple of terms.

A term is the tuple of its factors' texts, the intercept is ``()``: ``"a * x"`` has the terms ``(), ("a",),
("x",), ("a", "x")``. Formulas of plain columns, ``C(column)`` or R's ``factor(column)``, ``+ - : *``,
parentheses, 0 and 1 are read here, at a thousandth of formulaic's price and without importing it; everything
else is formulaic's, whose terms and order these are too.
"""

from __future__ import annotations

import re
from functools import lru_cache

from henderson.errors import FormulaError

Term = tuple[str, ...]

_TOKEN = re.compile(
    r"\s*(?:(?P<factor>(?:C|factor)\(\s*[^\W\d]\w*\s*\)|[^\W\d]\w*(?!\w*\s*[\(\.\[]))|(?P<number>[01])(?![\w.])|(?P<symbol>[+\-:*()]))"
)
_PLAIN = re.compile(r"(?:(?:C|factor)\(\s*)?([^\W\d]\w*)(?:\s*\))?")
_RESERVED = frozenset({"True", "False", "None", "and", "or", "not", "in", "is", "lambda", "if", "else", "for"})


class _NotPlain(Exception):
    """The text needs formulaic."""


def terms_of(text: str) -> tuple[Term, ...]:
    """Terms of `text`, in formulaic's order: by number of factors, then as written.

    Examples
    --------
    >>> terms_of("a * x - 1")
    (('a',), ('x',), ('a', 'x'))
    >>> terms_of("x + np.log(z)")
    ((), ('x',), ('np.log(z)',))
    """
    return tuple(sorted(written_terms(text), key=len))


@lru_cache(maxsize=512)
def written_terms(text: str) -> tuple[Term, ...]:
    """Terms of `text` as written, the intercept first."""
    try:
        return tuple(_read_plain(text))
    except _NotPlain:
        return tuple(_read_formulaic(text))


def _read_formulaic(text: str) -> list[Term]:
    from formulaic import Formula
    from formulaic.errors import FormulaicError
    from formulaic.formula import SimpleFormula

    try:
        formula = Formula(text, _ordering="none")
    except (FormulaicError, SyntaxError) as error:
        message = re.sub(r"\x1b\[[\d;]*m|⧛|⧚", "", str(error)).strip().splitlines()
        raise FormulaError(f"{text!r} cannot be read: {message[0] if message else error}") from error
    if not isinstance(formula, SimpleFormula):
        raise FormulaError(f"{text!r} has more than one part")
    terms = []
    for term in formula:
        factors = [factor.expr for factor in term.factors if factor.expr != "1"]
        for factor in factors:
            if re.fullmatch(r"[\d.]+", factor):
                raise FormulaError(f"the number {factor} is not a term of {text!r}; write I({factor} * x)")
        terms.append(tuple(factors))
    return terms


def _read_plain(text: str) -> list[Term]:
    tokens = _tokens(text)
    terms: dict[frozenset[str], Term] = {frozenset(): ()}
    for sign, piece in _split_sum(tokens):
        if piece in (["0"], ["1"]):
            if (piece == ["1"]) == (sign == "+"):
                terms.setdefault(frozenset(), ())
            elif piece == ["1"] or sign == "+":
                terms.pop(frozenset(), None)
            continue
        for term in _product(piece):
            if sign == "+":
                terms.setdefault(frozenset(term), term)
            else:
                terms.pop(frozenset(term), None)
    return list(terms.values())


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    i = 0
    text = text.rstrip()
    while i < len(text):
        found = _TOKEN.match(text, i)
        if not found:
            raise _NotPlain
        token = found.group("factor") or found.group("number") or found.group("symbol")
        if found.group("factor"):
            token = re.sub(r"\s", "", token)
            if token in _RESERVED:
                raise _NotPlain
        elif tokens and token == "*" == tokens[-1]:
            raise _NotPlain
        tokens.append(token)
        i = found.end()
    return tokens


def _split_sum(tokens: list[str]) -> list[tuple[str, list[str]]]:
    """Pieces between the ``+`` and ``-`` outside parentheses, with their signs."""
    pieces: list[tuple[str, list[str]]] = []
    sign, depth = "+", 0
    piece: list[str] = []
    for token in [*tokens, "+"]:
        depth += (token == "(") - (token == ")")
        if depth < 0:
            raise _NotPlain
        if depth == 0 and token in "+-":
            if piece:
                pieces.append((sign, piece))
            elif pieces or sign == "-":
                raise _NotPlain
            sign, piece = token, []
        else:
            piece.append(token)
    if depth:
        raise _NotPlain
    return pieces


def _cut(tokens: list[str], symbol: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        if depth == 0 and token == symbol:
            parts.append([])
        else:
            parts[-1].append(token)
    if not all(parts):
        raise _NotPlain
    return parts


def _product(tokens: list[str]) -> list[Term]:
    """Terms of a piece with ``*`` and ``:``; ``a * b`` is ``a + b + a:b``."""
    parts = _cut(tokens, "*")
    terms = _interaction(parts[0])
    for part in parts[1:]:
        more = _interaction(part)
        terms = _unique([*terms, *more, *(_join(a, b) for a in terms for b in more)])
    return terms


def _interaction(tokens: list[str]) -> list[Term]:
    terms: list[Term] | None = None
    for part in _cut(tokens, ":"):
        more = _atom(part)
        terms = more if terms is None else _unique([_join(a, b) for a in terms for b in more])
    return terms or []


def _atom(tokens: list[str]) -> list[Term]:
    if len(tokens) == 1 and tokens[0] not in "01+-:*()":
        return [(tokens[0],)]
    if len(tokens) < 3 or tokens[0] != "(" or tokens[-1] != ")":
        raise _NotPlain
    terms: list[Term] = []
    for sign, piece in _split_sum(tokens[1:-1]):
        if sign == "-" or piece in (["0"], ["1"]):
            raise _NotPlain
        terms += _product(piece)
    return _unique(terms)


def _join(a: Term, b: Term) -> Term:
    return tuple(dict.fromkeys((*a, *b)))


def _unique(terms: list[Term]) -> list[Term]:
    kept: dict[frozenset[str], Term] = {}
    for term in terms:
        kept.setdefault(frozenset(term), term)
    return list(kept.values())


def plain_column(factor: str) -> tuple[str, bool] | None:
    """Column of a plain factor and whether it stands in ``C()``; None when the factor is an expression."""
    found = _PLAIN.fullmatch(factor)
    if not found or ("(" in factor) != (")" in factor):
        return None
    return found[1], "(" in factor
