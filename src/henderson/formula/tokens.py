"""The words of a formula: names, numbers, texts, operators and brackets, with where they stand.

Names may have dots (``bmi.base``, ``np.log``, ``as.factor``). What stands in backticks is a name, whatever is
in it. ``^`` is a power wherever it stands, and is written ``**`` inside calls.

Tested: tests/formula/test_tokens.py
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from henderson.errors import FormulaError

CLOSING = {"(": ")", "[": "]", "{": "}"}
DEEPEST = 100
"""Brackets inside brackets that are read; more are a mistake, and would exhaust Python's stack."""

_SPACE = re.compile(r"\s+")
_TEXT = re.compile(r"[rRbBuU]?(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')", re.DOTALL)
_NUMBER = re.compile(r"(?:0[xX][\da-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[Lj]?(?![\w.])")
_NAME = re.compile(r"(?:[^\W\d]|\.(?=[^\W\d]))[\w.]*|\.(?![\w.])")
_PACKAGE = re.compile(r"([^\W\d][\w.]*)::([^\W\d][\w.]*)\(")
_OPERATOR = re.compile(r"%in%|%%|%/%|\|\||\*\*|//|<=|>=|==|!=|<-|&&|:=|->|[-+*/%^:~|<>=!&,;@.?$\\]")
_QUOTING = re.compile(r"`([^`]*)`|\bQ\((['\"])(.*?)\2\)")
_PLAIN = re.compile(r"[^\W\d][\w.]*|\.[^\W\d][\w.]*")

Kind = Literal["name", "quoted", "text", "number", "operator", "open", "close"]


@dataclass(frozen=True)
class Token:
    """A word of a formula.

    Attributes
    ----------
    kind : str
    text : str
        As written; a quoted name without its backticks.
    start, end : int
        Its place.
    around : tuple of int
        Where the brackets around it were opened.
    is_python : bool
        Whether it stands in a call, ``[...]`` or ``{...}``: there operators are arithmetic.
    partner : int
        Of a bracket: where the other one stands.
    """

    kind: Kind
    text: str
    start: int
    end: int
    around: tuple[int, ...] = ()
    is_python: bool = False
    partner: int = -1


@lru_cache(maxsize=1024)
def tokens(text: str) -> tuple[Token, ...]:
    """The words of `text`.

    Raises
    ------
    FormulaError
        When a quote or a bracket is not closed, or brackets are nested more than `DEEPEST` deep.

    Examples
    --------
    >>> [token.text for token in tokens("log(bmi.base)^2 %in% `my x`")]
    ['log', '(', 'bmi.base', ')', '^', '2', '%in%', 'my x']
    """
    found: list[Token] = []
    around: list[int] = []
    python: list[bool] = []
    opened: list[int] = []
    i = 0
    while i < len(text):
        if space := _SPACE.match(text, i):
            i = space.end()
            continue
        char = text[i]
        inside = bool(python and python[-1])
        if char in CLOSING:
            if len(around) >= DEEPEST:
                raise FormulaError(f"brackets are nested more than {DEEPEST} deep at position {i} of the formula")
            is_call = char != "(" or bool(found and _ends_operand(found[-1]))
            opened.append(len(found))
            found.append(Token("open", char, i, i + 1, tuple(around), inside))
            around.append(i)
            python.append(inside or is_call)
            i += 1
            continue
        if char in ")]}":
            if not around or CLOSING[text[around[-1]]] != char:
                raise FormulaError(f"unbalanced {char!r} at position {i} of {text!r}")
            start = around.pop()
            python.pop()
            k = opened.pop()
            old = found[k]
            found[k] = Token("open", old.text, old.start, old.end, old.around, old.is_python, i)
            found.append(Token("close", char, i, i + 1, tuple(around), bool(python and python[-1]), start))
            i += 1
            continue
        token = _word(text, i)
        found.append(Token(token.kind, token.text, i, token.end, tuple(around), inside))
        i = token.end
    if around:
        raise FormulaError(f"unbalanced {text[around[-1]]!r} at position {around[-1]} of {text!r}")
    return tuple(found)


def _word(text: str, i: int) -> Token:
    """The word at position `i`."""
    char = text[i]
    if char == "`":
        end = text.find("`", i + 1)
        if end < 0:
            raise FormulaError(f"unclosed ` at position {i} of {text!r}; a name with ` in it stands in Q('…')")
        if end == i + 1:
            raise FormulaError(f"no name between the backticks at position {i} of {text!r}")
        return Token("quoted", text[i + 1 : end], i, end + 1)
    if of_package := _PACKAGE.match(text, i):
        raise FormulaError(f"functions stand without R's packages: write {of_package[2]}(…) for {of_package[0]}…)")
    patterns: tuple[tuple[Kind, re.Pattern[str]], ...] = (
        ("text", _TEXT),
        ("number", _NUMBER),
        ("name", _NAME),
        ("operator", _OPERATOR),
    )
    for kind, pattern in patterns:
        if match := pattern.match(text, i):
            return Token(kind, match[0], i, match.end())
    if char in "'\"":
        raise FormulaError(f"unclosed {char} at position {i} of {text!r}")
    if char.isdigit():
        name = re.split(r"[^\w.]", text[i:])[0]
        raise FormulaError(f"a name that begins with a digit stands in backticks: `{name}`")
    raise FormulaError(f"{char!r} at position {i} of {text!r} means nothing in a formula")


def _ends_operand(token: Token) -> bool:
    return token.kind in ("name", "quoted", "close") and token.text not in ("and", "or", "not", "in", "if", "else")


def is_unary(words: Sequence[Token], k: int) -> bool:
    """Whether the sign ``words[k]`` stands before its only operand, after another operator or at the start."""
    if words[k].kind != "operator" or words[k].text not in ("+", "-", "!", "~"):
        return False
    if k == 0:
        return True
    before = words[k - 1]
    return before.kind == "open" or before.kind == "operator" or (words[k].is_python and _joins(before))


def written(words: Iterable[Token]) -> str:
    """The text of `words`, spaced as Python programmers space it: a factor's name in tables.

    Examples
    --------
    >>> written(tokens("I( x^2+1 )")), written(tokens("C(k,Treatment(reference = \\"b\\"))"))
    ('I(x ** 2 + 1)', 'C(k, Treatment(reference="b"))')
    """
    words = list(words)
    return "".join(_spaced(words, k) for k in range(len(words)))


def _spaced(words: Sequence[Token], k: int) -> str:
    """The word at `k` with the spaces that belong to it."""
    token, before = words[k], words[k - 1] if k else None
    text = backticked(token.text) if token.kind == "quoted" else token.text
    if token.kind != "operator":
        is_apart = (
            before is not None and before.kind not in ("operator", "open") and token.kind not in ("open", "close")
        )
        is_attribute = before is not None and before.kind == "close" and text.startswith(".")
        follows_word = before is not None and _joins(before)
        return f" {text}" if (is_apart and not is_attribute) or follows_word else text
    if text == ",":
        return ", " if k + 1 < len(words) and words[k + 1].kind != "close" else ","
    if is_unary(words, k):
        return f" {text}" if before is not None and _joins(before) else text
    if text in (":", ";") or (text == "=" and len(token.around) > len(words[0].around)):
        return text
    return f" {'**' if text == '^' else text} "


def _joins(token: Token) -> bool:
    return token.kind == "name" and token.text in _JOINING


_JOINING = frozenset({"and", "or", "not", "in", "is", "if", "else", "for", "lambda"})


def backticked(name: str) -> str:
    """How a column is written in a formula: in backticks unless its name is a word.

    Examples
    --------
    >>> backticked("age"), backticked("bmi.base"), backticked("my x"), backticked("1"), backticked("True")
    ('age', 'bmi.base', '`my x`', '`1`', '`True`')
    """
    if _PLAIN.fullmatch(name) and name not in _WORDS:
        return name
    return f"`{name}`"


_WORDS = frozenset(
    {"True", "False", "None", "and", "or", "not", "in", "is", "lambda", "if", "else", "for", "TRUE", "FALSE", "NULL"}
)
"""Names that mean something else unless in backticks."""


def unquoted(name: str) -> str:
    """A name without the backticks around it.

    Examples
    --------
    >>> unquoted("`my x`"), unquoted("x"), unquoted("`a`:`b`")
    ('my x', 'x', '`a`:`b`')
    """
    return name[1:-1] if len(name) > 2 and name[0] == name[-1] == "`" and name.count("`") == 2 else name


def bare(text: str) -> str:
    """A text without what a formula puts around odd names anywhere in it: backquotes, ``Q("…")``.

    Examples
    --------
    >>> bare("`my x`"), bare("`a`:`b`"), bare("Q('my x') - `b c`"), bare("`unclosed")
    ('my x', 'a:b', 'my x - b c', '`unclosed')
    """
    return _QUOTING.sub(_quoted, text)


def _quoted(found: re.Match[str]) -> str:
    return found[3] if found[1] is None else found[1]


def bare_but_numbers(text: str) -> str:
    """The same, but for a name that is a number and stands alone, which is in backquotes.

    Examples
    --------
    >>> bare_but_numbers("`1` - 2 * Q('2') = `my x`"), bare_but_numbers("`1`:`f`[T.b]")
    ('`1` - 2 * `2` = my x', '1:f[T.b]')
    """

    def plain(found: re.Match[str]) -> str:
        name, start, end = _quoted(found), *found.span()
        alone = text[start - 1 : start] not in (":", "]") and text[end : end + 1] not in (":", "[")
        return f"`{name}`" if alone and _NUMBER.fullmatch(name) else name

    return _QUOTING.sub(plain, text)


def is_keyword(name: str) -> bool:
    """Whether Python's grammar keeps `name` for itself."""
    return keyword.iskeyword(name)


def value_of(token: Token) -> object:
    """The value of a number or a text; R's ``2L`` is 2."""
    text = token.text.removesuffix("L") if token.kind == "number" else token.text
    return ast.literal_eval(text)
