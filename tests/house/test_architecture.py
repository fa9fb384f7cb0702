"""ARCHITECTURE.md is true: what it names is there, and every file of the engine and of the results is named."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SOURCE = TOP / "src" / "henderson"
TEXT = (TOP / "ARCHITECTURE.md").read_text(encoding="utf-8")
#: what is named for orientation where it is not defined
ELSEWHERE = {"Design", "Rows", "Fit"}


def rows() -> list[tuple[Path, str, str]]:
    """Folder of the table, rooms or files, and what they own, of each row of the tables."""
    found, folder = [], SOURCE
    for line in TEXT.splitlines():
        if heading := re.match(r"### `(\S+)/`", line):
            folder = SOURCE / heading[1]
        if line.startswith("| `"):
            names, owns = line.strip("| ").split(" | ", 1)
            found.append((folder, names, owns))
    return found


def in_backticks(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


@cache
def names_in(place: Path) -> set[str]:
    """Files, folders, functions, classes and variables of a file or of a folder."""
    found = {*place.relative_to(SOURCE).with_suffix("").parts}
    if place.is_dir():
        return found.union(*map(names_in, place.rglob("*.py")))
    for node in ast.walk(ast.parse(place.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


@pytest.mark.parametrize(("folder", "names", "owns"), rows(), ids=[names for _, names, _ in rows()])
def test_what_a_row_names_is_in_its_room(folder, names, owns):
    places = [folder / name for name in in_backticks(names)]
    assert [place for place in places if not place.exists()] == []
    said = [part for name in in_backticks(owns) for part in re.split(r"[./]", name) if part]
    known = ELSEWHERE.union(*map(names_in, places)) if said else ELSEWHERE
    assert [name for name in said if name not in known] == []


@pytest.mark.parametrize("room", ["engine", "results"])
def test_every_file_is_named(room):
    """Those of rooms within `factor/` are one thing each: a rest."""
    files = [*(SOURCE / room).glob("*.py"), *(SOURCE / room).glob("*/*.py")]
    said = {Path(name).stem for name in in_backticks(TEXT)}
    assert [path for path in files if path.stem != "__init__" and path.stem not in said] == []
