"""The house stands: no circle of imports at any level, and no room imports from a room below it.

The order is that of the table of rooms in ARCHITECTURE.md. Imports inside functions and under TYPE_CHECKING count: what
a file names it depends on.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import henderson

TOP = Path(__file__).parents[2]
SOURCE = TOP / "src" / "henderson"
#: what users import: the package's own names, found when they are first used, and `python -m henderson`; of the rooms
#: only `app` is a user
ENTRANCE = {"henderson", "henderson.__main__"}


@cache
def modules() -> dict[str, Path]:
    """Name of every module -> its file."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        name = ".".join(("henderson", *path.relative_to(SOURCE).with_suffix("").parts))
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def imports(name: str) -> frozenset[str]:
    """Modules of the package that a module imports, wherever in it."""
    known, found = modules(), set()
    for node in ast.walk(ast.parse(known[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}, line {node.lineno}: imports are absolute"
            whole = node.module or ""
            found |= {f"{whole}.{a.name}" if f"{whole}.{a.name}" in known else whole for a in node.names}
    return frozenset(found & known.keys())


@cache
def rooms() -> tuple[str, ...]:
    """The rooms in the order of the table in ARCHITECTURE.md."""
    text = (TOP / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = re.search(r"\| room \| owns \|\n\|[-|]+\|\n((?:\|.*\n)+)", text)
    assert table is not None, "ARCHITECTURE.md has no table of rooms"
    names = (name for line in table[1].splitlines() for name in re.findall(r"`([^`]+)`", line.split("|")[1]))
    return tuple(name.rstrip("/").removesuffix(".py") for name in names)


def room(name: str) -> str:
    return name.split(".")[1]


def circles() -> Iterator[list[str]]:
    """Strongly connected components of more than one module (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in imports(name):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            part = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(part) > 1 or name in imports(name):
                found.append(sorted(part))

    for name in modules():
        if name not in index:
            visit(name)
    yield from found


def test_no_circle():
    assert list(circles()) == []


def test_every_room_is_in_the_table():
    there = {room(name) for name in modules().keys() - ENTRANCE}
    assert there == set(rooms())


@pytest.mark.parametrize("name", sorted(modules().keys() - ENTRANCE))
def test_a_room_imports_only_from_rooms_above_it(name):
    order = rooms()
    own = order.index(room(name))
    entrance = set() if room(name) == "app" else ENTRANCE & imports(name)
    below = entrance | {other for other in imports(name) - ENTRANCE if order.index(room(other)) > own}
    assert not below, f"{name} imports from below"


def test_the_engine_loads_nothing_of_formulas():
    reached, waiting = set(), ["henderson.engine.fit"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting += imports(name) - reached
    assert not {name for name in reached if room(name) in ("formula", "design", "results", "compat")}


def test_the_version_is_the_packages():
    assert (
        tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
        == henderson.__version__
    )
