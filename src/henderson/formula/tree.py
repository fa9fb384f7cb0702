"""The tree of an expression: its nodes, a walk over them, and the names that they use.

Tested: tests/formula/test_expression.py
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Constant:
    """A number, a text, or True, False, None."""

    value: Any


@dataclass(frozen=True)
class Name:
    """A column, a variable or a function."""

    name: str


@dataclass(frozen=True)
class Call:
    """A function's call; `text` is how it is written, the key of what it learns."""

    function: Node
    args: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...]
    text: str


@dataclass(frozen=True)
class Attribute:
    """``value.name``."""

    value: Node
    name: str
    text: str


@dataclass(frozen=True)
class Subscript:
    """``value[index]``."""

    value: Node
    index: Node


@dataclass(frozen=True)
class Unary:
    """A sign (``-``, ``+``) or a negation (``!``)."""

    operator: str
    operand: Node


@dataclass(frozen=True)
class Binary:
    """Arithmetic, or ``&`` and ``|``."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Compare:
    """``a < b``, or a chain ``a < b < c``; ``in`` asks for membership."""

    operators: tuple[str, ...]
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Items:
    """A list or a tuple."""

    items: tuple[Node, ...]
    is_list: bool


@dataclass(frozen=True)
class Python:
    """What only Python reads; `names` maps the names in `text` to columns and variables."""

    text: str
    names: tuple[tuple[str, str], ...]


Node = Constant | Name | Call | Attribute | Subscript | Unary | Binary | Compare | Items | Python


def walk(node: Node) -> Iterator[Node]:
    """`node` and all below it, as written."""
    yield node
    for child in _children(node):
        yield from walk(child)


def _children(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Call):
        return (node.function, *node.args, *(value for _, value in node.keywords))
    if isinstance(node, Attribute):
        return (node.value,)
    if isinstance(node, Subscript):
        return (node.value, node.index)
    if isinstance(node, Unary):
        return (node.operand,)
    if isinstance(node, Binary):
        return (node.left, node.right)
    if isinstance(node, Compare):
        return node.operands
    return node.items if isinstance(node, Items) else ()


def names_in(node: Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names that a tree uses as values, and those that it calls.

    Examples
    --------
    >>> from henderson.formula.expression import read
    >>> columns = {"x", "my column", "z", "w"}
    >>> names_in(read("log(x + k) * `my column` + Q('w')", columns))
    (('x', 'k', 'my column', 'w'), ('log',))
    >>> names_in(read("sum([v for v in z])", columns))
    (('sum', 'z'), ())
    """
    called = [part.function.name for part in walk(node) if isinstance(part, Call) and isinstance(part.function, Name)]
    functions = {id(part.function) for part in walk(node) if isinstance(part, Call)}
    values = []
    for part in walk(node):
        if isinstance(part, Name) and id(part) not in functions:
            values.append(part.name)
        elif isinstance(part, Python):
            values += [name for _, name in part.names]
    return tuple(dict.fromkeys(values)), tuple(dict.fromkeys(called))
