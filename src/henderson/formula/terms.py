"""Sums of products: a formula's fixed part, or the left side of a bar, as a tuple of terms.

A term is the tuple of its factors' texts, the intercept is ``()``: ``"a * x"`` has the terms ``(), ("a",),
("x",), ("a", "x")``. The operators, those that bind more tightly first, as R and patsy have them:

=====================  ==========================================================
``(a + b)^2``, ``**``  products of up to two of the terms
``a:b``                the product
``b %in% a``           the product ``b:a``
``a*b``                ``a + b + a:b``
``a/b``                ``a + a:b``
``a + b``, ``a - b``   with, without; ``0`` and ``-1`` leave the intercept out
=====================  ==========================================================

A factor is a name, a call, ``{...}``, or a condition in parentheses (``(x > 0)``); its text is the one that
`tokens.written` makes, a name in backticks where it must be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from henderson.errors import FormulaError
from henderson.formula.tokens import Token, is_unary, tokens, unquoted, written

Term = tuple[str, ...]

COMPARISONS = frozenset({"<", ">", "<=", ">=", "==", "!="})
_CONDITIONS = COMPARISONS | {"&", "!", "and", "or", "not", "in"}
_SUMS = frozenset({"+", "-", "*", "/", ":", "^", "**", "//", "%%", "%/%"})
_HIGHEST_POWER = 12


def terms_of(text: str) -> tuple[Term, ...]:
    """Terms of `text`: by number of factors, then as written.

    Examples
    --------
    >>> terms_of("a * x - 1")
    (('a',), ('x',), ('a', 'x'))
    >>> terms_of("x + np.log(z)")
    ((), ('x',), ('np.log(z)',))
    >>> terms_of("`my x` * (z > 0)")
    ((), ('`my x`',), ('z > 0',), ('`my x`', 'z > 0'))
    """
    return tuple(sorted(written_terms(text), key=len))


@lru_cache(maxsize=512)
def written_terms(text: str) -> tuple[Term, ...]:
    """Terms of `text` as written, the intercept first."""
    words = tokens(text)
    if not words:
        raise FormulaError("a formula without terms: write 1 for the intercept")
    terms = _Terms([()])
    _add_sum(words, "+", terms, text)
    return tuple(terms)


class _Terms:
    """Terms in the order in which they came; those with the same factors are one."""

    def __init__(self, terms: Iterable[Term] = ()) -> None:
        self._known: dict[frozenset[str], Term] = {}
        for term in terms:
            self.add(term)

    def __iter__(self) -> Iterator[Term]:
        return iter(self._known.values())

    def add(self, term: Term) -> None:
        self._known.setdefault(frozenset(term), term)

    def remove(self, term: Term) -> None:
        self._known.pop(frozenset(term), None)


def _add_sum(words: Sequence[Token], sign: str, terms: _Terms, text: str) -> None:
    """Add the terms of a sum to `terms`, or take them away."""
    if is_condition(words, text):
        _change(terms, sign, [(written(words),)])
        return
    for own, piece in _signed(words, text):
        both = "+" if own == sign else "-"
        inner = _in_parentheses(piece)
        if inner is not None and not is_condition(inner, text):
            _add_sum(inner, both, terms, text)
        elif len(piece) == 1 and piece[0].kind == "number" and piece[0].text in ("0", "1"):
            _change(terms, both if piece[0].text == "1" else "-+"[both == "-"], [()])
        else:
            _change(terms, both, _product(piece, text))


def _change(terms: _Terms, sign: str, changed: Iterable[Term]) -> None:
    for term in changed:
        if sign == "+":
            terms.add(term)
        else:
            terms.remove(term)


def _at(words: Sequence[Token]) -> int:
    """How many brackets are around `words`."""
    return len(words[0].around)


def is_condition(words: Sequence[Token], text: str) -> bool:
    """Whether `words` are a condition such as ``x > 0``; one that two readers would read differently is refused."""
    own = [k for k, token in enumerate(words) if len(token.around) == _at(words)]
    joined = {words[k].text for k in own if words[k].kind in ("operator", "name")} if len(words) > 1 else set()
    if not joined & _CONDITIONS and not any(_is_membership(words, k) for k in own):
        return False
    for k in own:
        if words[k].text in _SUMS and words[k].kind == "operator" and not is_unary(words, k):
            raise FormulaError(
                f"{text!r}: a condition among {words[k].text!r} stands in parentheses, as in (x > 0), and one of an "
                "expression in I(), as in I(x + z > 0)"
            )
    if words[0].text in ("+", "-"):
        raise FormulaError(f"{text!r}: write I({written(words)}) for a condition that begins with a sign")
    return True


def _is_membership(words: Sequence[Token], k: int) -> bool:
    """Whether ``%in%`` at `k` asks for values, as in ``a %in% c('u', 'v')``; else it nests ``a`` in ``b``."""
    if words[k].text != "%in%" or k + 1 == len(words):
        return False
    after = words[k + 1]
    is_vector = after.text == "c" and k + 2 < len(words) and words[k + 2].text == "("
    return is_vector or after.kind in ("text", "number") or after.text == "["


def _signed(words: Sequence[Token], text: str) -> list[tuple[str, Sequence[Token]]]:
    """Pieces between the ``+`` and ``-`` outside brackets, with their signs."""
    pieces: list[tuple[str, Sequence[Token]]] = []
    sign, start = "+", 0
    ends = [k for k, token in enumerate(words) if token.text in ("+", "-") and _is_own(token, words)]
    for k in [*ends, len(words)]:
        if k > start:
            pieces.append((sign, words[start:k]))
            sign = "+"
        if k < len(words):
            sign = "-" if (words[k].text == "-") == (sign == "+") else "+"
            if k + 1 == len(words):
                raise FormulaError(f"nothing follows {words[k].text!r} in {text!r}")
        start = k + 1
    return pieces


def _is_own(token: Token, words: Sequence[Token]) -> bool:
    return token.kind == "operator" and len(token.around) == _at(words)


def _in_parentheses(words: Sequence[Token]) -> Sequence[Token] | None:
    """What is inside the parentheses that enclose all of `words`."""
    if len(words) > 2 and words[0].text == "(" and words[0].partner == words[-1].start:
        return words[1:-1]
    return None


def _cut(words: Sequence[Token], symbols: tuple[str, ...], text: str) -> tuple[list[Sequence[Token]], list[str]]:
    """Pieces between the `symbols` outside brackets, and the symbols."""
    at = [k for k, token in enumerate(words) if token.text in symbols and _is_own(token, words)]
    starts, ends = [0, *(k + 1 for k in at)], [*at, len(words)]
    pieces = [words[a:b] for a, b in zip(starts, ends)]
    for k, piece in enumerate(pieces):
        if not piece:
            where = "before" if k < len(at) and not k else "after"
            raise FormulaError(f"{text!r} cannot be read: nothing stands {where} {words[at[max(k - 1, 0)]].text!r}")
    return pieces, [words[k].text for k in at]


def _product(words: Sequence[Token], text: str) -> list[Term]:
    """Terms of a piece with ``*`` and ``/``."""
    pieces, symbols = _cut(words, ("*", "/"), text)
    terms = _interaction(pieces[0], text)
    for symbol, piece in zip(symbols, pieces[1:]):
        more = _interaction(piece, text)
        if symbol == "*":
            terms = list(_Terms([*terms, *more, *(_join(a, b) for a in terms for b in more)]))
        else:
            around = _join(*terms)
            terms = list(_Terms([*terms, *(_join(around, b) for b in more)]))
    return terms


def _interaction(words: Sequence[Token], text: str) -> list[Term]:
    pieces, _ = _cut(words, (":",), text)
    terms = _nested(pieces[0], text)
    for piece in pieces[1:]:
        more = _nested(piece, text)
        terms = list(_Terms(_join(a, b) for a in terms for b in more))
    return terms


def _nested(words: Sequence[Token], text: str) -> list[Term]:
    pieces, _ = _cut(words, ("%in%",), text)
    terms = _power(pieces[0], text)
    for piece in pieces[1:]:
        around = _join(*_power(piece, text))
        terms = list(_Terms(_join(a, around) for a in terms))
    return terms


def _power(words: Sequence[Token], text: str) -> list[Term]:
    pieces, _ = _cut(words, ("^", "**"), text)
    terms = _atom(pieces[0], text)
    for piece in pieces[1:]:
        power = piece[0].text.removesuffix("L")
        if len(piece) > 1 or not power.isdigit() or not 1 <= int(power) <= _HIGHEST_POWER:
            raise FormulaError(
                f"the power in {text!r} is a whole number from 1 to {_HIGHEST_POWER}; for arithmetic write I(x^2)"
            )
        base = terms
        for _ in range(int(power) - 1):
            terms = list(_Terms([*terms, *(_join(a, b) for a in terms for b in base)]))
    return terms


def _atom(words: Sequence[Token], text: str) -> list[Term]:
    inner = _in_parentheses(words)
    first = words[0]
    if inner is not None:
        if is_condition(inner, text):
            return [(written(inner),)]
        terms = _Terms()
        _add_sum(inner, "+", terms, text)
        return list(terms)
    if first.kind == "number" and len(words) == 1:
        if first.text == "1":
            return [()]
        raise FormulaError(f"the number {first.text} is not a term of {text!r}; write I({first.text} * x)")
    if first.text == "{" and first.partner == words[-1].start and len(words) > 2:
        return [(written(words[1:-1]),)]
    if first.kind == "text" and len(words) == 1:
        raise FormulaError(f"the text {first.text} is not a term of {text!r}; write a column's name without quotes")
    if first.kind not in ("name", "quoted") or not _is_factor(words):
        raise FormulaError(f"{written(words)!r} cannot be read as a term of {text!r}{_hint(words)}")
    return [(written(words),)]


def _hint(words: Sequence[Token]) -> str:
    """What may have been meant by words that are no term."""
    symbols = {word.text for word in words if word.kind == "operator" and _is_own(word, words)}
    if symbols & {"%%", "%/%", "//", "%", "|"}:
        return f": arithmetic stands in I(), as in I({written(words)})"
    if "$" in symbols:
        return ": columns are named without their table"
    if not symbols and all(word.kind in ("name", "number") for word in words):
        return f": a name with spaces stands in backticks, `{' '.join(word.text for word in words)}`"
    return ""


def as_text(term: Term) -> str:
    """A term as a formula has it, conditions in parentheses.

    Examples
    --------
    >>> as_text(("x", "z > 0"))
    'x:(z > 0)'
    """
    return ":".join(f"({factor})" if is_condition(tokens(factor), factor) else factor for factor in term)


def _is_factor(words: Sequence[Token]) -> bool:
    """Whether `words` are a name with calls, subscripts and attributes behind it."""
    k = 1
    while k < len(words):
        token = words[k]
        if token.text in ("(", "["):
            k = next(j for j in range(k, len(words)) if words[j].start == token.partner) + 1
        elif token.kind == "name" and token.text.startswith(".") and words[k - 1].kind == "close":
            k += 1
        else:
            return False
    return True


def _join(*terms: Term) -> Term:
    return tuple(dict.fromkeys(factor for term in terms for factor in term))


_CATEGORIES = ("C", "factor", "as.factor", "as_factor")


def plain_column(factor: str) -> tuple[str, bool] | None:
    """Column of a plain factor and whether it stands in ``C()``; None when the factor is an expression.

    Examples
    --------
    >>> plain_column("x"), plain_column("`my x`"), plain_column("C(`my x`)"), plain_column("log(x)")
    (('x', False), ('my x', False), ('my x', True), None)
    """
    try:
        words = tokens(factor)
    except FormulaError:
        return None
    as_category = len(words) == 4 and words[0].text in _CATEGORIES and words[1].text == "("
    if as_category:
        words = words[2:3]
    if len(words) != 1 or words[0].kind not in ("name", "quoted"):
        return None
    return words[0].text, as_category


def shown(factor: str) -> str:
    """The name of a factor in tables: without the backticks around a name.

    Examples
    --------
    >>> shown("`my x`"), shown("log(`my x`)")
    ('my x', 'log(`my x`)')
    """
    return unquoted(factor)
