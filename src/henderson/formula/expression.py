"""The text of one factor → a tree: names, calls, arithmetic and conditions, as R and Python both read them.

Operators, those that bind more tightly first::

    ^ **    -x ~x    %in% %% %/%    * / // %    + -    < <= == != >= > in    ! not    & and    | or

This is R's order and Python's, but for two places where they differ: ``&`` and ``|`` join conditions after the
comparisons, as in R (``x > 0 & z < 1``), and R's ``%%`` binds more tightly than ``*``. What only Python's
grammar has (``lambda``, comprehensions, slices) is kept as text, to be run by Python.

Tested: tests/formula/test_expression.py
"""

from __future__ import annotations

import ast
from collections.abc import Container, Sequence
from functools import lru_cache

from henderson.errors import FormulaError
from henderson.formula.tokens import Token, is_keyword, tokens, value_of, written
from henderson.formula.tree import (
    Attribute,
    Binary,
    Call,
    Compare,
    Constant,
    Items,
    Name,
    Node,
    Python,
    Subscript,
    Unary,
)

_CONSTANTS = {"True": True, "False": False, "None": None, "NULL": None}
_PYTHON_ONLY = frozenset({"lambda", "for", "if", "else", "is", "async", "await", "yield"})
_BINDING = {
    **dict.fromkeys(("|", "or"), 10),
    **dict.fromkeys(("&", "and"), 20),
    **dict.fromkeys(("<", "<=", "==", "!=", ">=", ">", "in", "not"), 40),
    **dict.fromkeys(("+", "-"), 60),
    **dict.fromkeys(("*", "/", "//", "%"), 70),
    **dict.fromkeys(("%in%", "%%", "%/%"), 80),
    **dict.fromkeys(("^", "**"), 110),
}
_NOT, _SIGN, _COMPARISON = 30, 100, 40
_REFUSED = {
    "$": "columns are named without their table: write x for d$x",
    "&&": "write & to join conditions",
    "||": "write | to join conditions",
    "<-": "nothing can be assigned in a formula; for 'less than minus' write x < -1",
    "->": "nothing can be assigned in a formula",
    ":=": "nothing can be assigned in a formula",
    "=": "write == to compare",
    ":": "write c(1, 2, 3) for R's 1:3",
    "~": "a formula has one ~",
    ";": "a formula is one expression",
}


class _NeedsPythonError(Exception):
    """Only Python's grammar can tell."""


@lru_cache(maxsize=1024)
def _words(text: str) -> tuple[Token, ...]:
    return tokens(text)


def read(text: str, columns: Container[str], functions: Container[str] = ()) -> Node:
    """The tree of an expression.

    Parameters
    ----------
    text : str
    columns : container of str
        Names of the data: ``bmi.base`` is a column when it is one of them, else an attribute of ``bmi``.
    functions : container of str
        Functions whose names have dots, such as ``as.factor``.

    Raises
    ------
    FormulaError
        When it cannot be read; the message says what would be.

    Examples
    --------
    >>> read("log(bmi.base)", {"bmi.base"})
    Call(function=Name(name='log'), args=(Name(name='bmi.base'),), keywords=(), text='log(bmi.base)')
    >>> read("x^2 > 4", {"x"}).operands[0]
    Binary(operator='**', left=Name(name='x'), right=Constant(value=2))
    """
    words = _words(text)
    reader = _Reader(words, columns, functions, text)
    if any(token.kind == "name" and token.text in _PYTHON_ONLY and token.text not in columns for token in words):
        return reader.python()
    try:
        return reader.whole()
    except _NeedsPythonError:
        return reader.python()


class _Reader:
    """One pass over the words of an expression."""

    def __init__(self, words: Sequence[Token], columns: Container[str], functions: Container[str], text: str) -> None:
        self.words, self.columns, self.functions, self.text = words, columns, functions, text
        self.k = 0

    def whole(self) -> Node:
        node = self.expression(0)
        if self.k < len(self.words):
            raise self.error()
        return node

    @property
    def word(self) -> Token | None:
        return self.words[self.k] if self.k < len(self.words) else None

    def is_next(self, *texts: str) -> bool:
        word = self.word
        return word is not None and word.kind in ("operator", "open", "close", "name") and word.text in texts

    def error(self) -> FormulaError:
        word = self.word
        if word is None:
            return FormulaError(f"{self.text!r} cannot be read: it ends where something should follow")
        if hint := _REFUSED.get(word.text) if word.kind == "operator" else None:
            return FormulaError(f"{self.text!r} cannot be read: {hint}")
        return FormulaError(f"{self.text!r} cannot be read as an expression, at {word.text!r}")

    def expression(self, least: int) -> Node:
        """What binds at least as tightly as `least`."""
        node = self.operand()
        while (word := self.word) is not None:
            symbol = word.text
            binding = _BINDING.get(symbol) if word.kind in ("operator", "name") else None
            if binding is None or binding < least or (word.kind == "name" and symbol in self.columns):
                break
            if binding == _COMPARISON:
                node = self.comparison(node)
                continue
            self.k += 1
            right = self.expression(_SIGN if symbol in ("^", "**") else binding + 1)
            if symbol == "%in%":
                node = Compare(("in",), (node, right))
            else:
                same = {"^": "**", "%%": "%", "%/%": "//", "and": "&", "or": "|"}
                node = Binary(same.get(symbol, symbol), node, right)
        return node

    def comparison(self, first: Node) -> Node:
        operators, operands = [], [first]
        while self.is_next("<", "<=", "==", "!=", ">=", ">", "in", "not"):
            word = self.words[self.k]
            self.k += 1
            symbol = word.text
            if symbol == "not":
                if not self.is_next("in"):
                    raise self.error()
                self.k += 1
                symbol = "not in"
            operators.append(symbol)
            operands.append(self.expression(_COMPARISON + 1))
        return Compare(tuple(operators), tuple(operands))

    def operand(self) -> Node:
        word = self.word
        if word is None:
            raise self.error()
        if word.kind == "operator" and word.text in ("-", "+", "~"):
            self.k += 1
            inner = self.expression(_SIGN)
            return Unary("!", inner) if word.text == "~" else Unary(word.text, inner)
        if word.text in ("!", "not") and word.kind in ("operator", "name") and word.text not in self.columns:
            self.k += 1
            return Unary("!", self.expression(_NOT))
        return self.trailers(self.atom(word))

    def atom(self, word: Token) -> Node:
        self.k += 1
        if word.kind in ("number", "text"):
            if self.word is not None and self.word.kind == word.kind == "text":
                raise _NeedsPythonError
            return Constant(value_of(word))
        if word.kind == "quoted":
            return Name(word.text)
        if word.kind == "name":
            return self.name(word)
        if word.text == "(":
            if self.is_next(")"):
                self.k += 1
                return Items((), False)
            items, has_comma = self.items(")")
            return Items(tuple(items), False) if has_comma else items[0]
        if word.text == "[":
            return Items(tuple(self.items("]")[0]), True)
        if word.text == "{":
            raise _NeedsPythonError
        self.k -= 1
        raise self.error()

    def name(self, word: Token) -> Node:
        text = word.text
        if text in self.columns:
            return Name(text)
        if text in _CONSTANTS:
            return Constant(_CONSTANTS[text])
        if text in self.functions or "." not in text.strip("."):
            if is_keyword(text):
                self.k -= 1
                raise self.error()
            return Name(text)
        parts = text.split(".")
        ends = [k for k in range(len(parts) - 1, 0, -1) if ".".join(parts[:k]) in self.columns]
        end = ends[0] if ends else 1
        node: Node = Name(".".join(parts[:end]))
        for k in range(end, len(parts)):
            node = Attribute(node, parts[k], ".".join(parts[: k + 1]))
        return node

    def trailers(self, node: Node) -> Node:
        start = self.k - 1
        while (word := self.word) is not None:
            if word.text == "(" and word.kind == "open":
                self.k += 1
                node = self.call(node, start)
            elif word.text == "[" and word.kind == "open":
                self.k += 1
                items, has_comma = self.items("]")
                node = Subscript(node, Items(tuple(items), False) if has_comma else items[0])
            elif word.kind == "name" and word.text.startswith(".") and self.words[self.k - 1].kind == "close":
                self.k += 1
                for part in word.text[1:].split("."):
                    node = Attribute(node, part, written(self.words[start : self.k]))
            else:
                break
        return node

    def call(self, function: Node, start: int) -> Node:
        args: list[Node] = []
        keywords: list[tuple[str, Node]] = []
        while not self.is_next(")"):
            word, after = self.word, self.words[self.k + 1] if self.k + 1 < len(self.words) else None
            if word is not None and word.kind in ("name", "quoted") and after is not None and after.text == "=":
                self.k += 2
                keywords.append((word.text, self.expression(0)))
            elif keywords and self.word is not None:
                raise FormulaError(f"{self.text!r} cannot be read: arguments without a name come first")
            else:
                args.append(self.expression(0))
            if self.is_next(","):
                self.k += 1
            elif not self.is_next(")"):
                raise self._slice_or_error()
        self.k += 1
        names = [name for name, _ in keywords]
        if len(set(names)) < len(names):
            raise FormulaError(f"{self.text!r} gives an argument twice")
        if function == Name("Q") and len(args) == 1 and isinstance(args[0], Constant) and not keywords:
            return Name(str(args[0].value))
        return Call(function, tuple(args), tuple(keywords), written(self.words[start : self.k]))

    def items(self, closing: str) -> tuple[list[Node], bool]:
        items: list[Node] = []
        has_comma = False
        while not self.is_next(closing):
            if self.is_next(":"):
                raise self._slice_or_error()
            items.append(self.expression(0))
            if self.is_next(","):
                self.k += 1
                has_comma = True
            elif not self.is_next(closing):
                raise self._slice_or_error()
        self.k += 1
        if not items and closing == ")":
            raise self.error()
        return items, has_comma

    def _slice_or_error(self) -> Exception:
        word = self.word
        if word is not None and word.text == ":" and self.words[self.k].around:
            opening = next(token for token in self.words if token.start == word.around[-1])
            if opening.text in "[{":
                return _NeedsPythonError()
        return self.error()

    def python(self) -> Node:
        """All of the text, for Python: columns whose names are no identifiers have others there."""
        names: dict[str, str] = {}
        words = []
        for token in self.words:
            text = token.text
            if token.kind == "quoted" or (token.kind == "name" and text in self.columns and not text.isidentifier()):
                alias = f"_column_{len(names)}"
                names[alias] = text
                token = Token("name", alias, token.start, token.end, token.around, token.is_python)
            elif token.text in ("%in%", "%%", "%/%", "&&", "||", "$"):
                raise FormulaError(f"{self.text!r} cannot be read: {text} does not go with Python's own grammar")
            words.append(token)
        text = written(words)
        try:
            tree = ast.parse(text, mode="eval")
        except SyntaxError:
            raise FormulaError(f"{self.text!r} cannot be read as an expression") from None
        bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        for node in ast.walk(tree):
            if isinstance(node, ast.comprehension):
                bound.update(name.id for name in ast.walk(node.target) if isinstance(name, ast.Name))
        found = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id not in bound]
        found.sort(key=lambda node: (node.lineno, node.col_offset))
        used = dict.fromkeys(node.id for node in found)
        return Python(text, tuple((name, names.get(name, name)) for name in used))
