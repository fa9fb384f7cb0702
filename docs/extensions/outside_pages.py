"""Markdown files outside docs/ as pages of the site, and links to them from everywhere.

A page whose only line is ``This page is [FILE](PATH).`` shows that file, below the heading before the line if there is
one. In every page relative links are then set right: to the page that shows a file where there is one, else to the file
itself (a download). A link to a folder, or to Markdown that no page shows, is only its text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

STUB = re.compile(r"\A(# [^\n]*\n\n)?This page is \[[^\]]*\]\(([^)]+)\)\.\s*\Z")
DOCS = Path(__file__).parents[1]
LINK = re.compile(r"(\[[^\]]*\])\(([^)#\s]+)(#[^)\s]*)?\)")


def shown_files(docs: Path) -> dict[Path, Path]:
    """File outside docs → the page that shows it."""
    found = {}
    for page in docs.rglob("*.md"):
        stub = STUB.match(page.read_text(encoding="utf-8"))
        if stub:
            found[(page.parent / stub[2]).resolve()] = page
    return found


def links_from(text: str, written_in: Path, page: Path, shown: dict[Path, Path]) -> str:
    """The text of a file with its relative links as the page that shows it needs them.

    Parameters
    ----------
    text : str
        Markdown.
    written_in : Path
        The folder to which links are relative in the text.
    page : Path
        The page; they are made relative to its folder.
    shown : dict of Path to Path
        `shown_files`.
    """

    docs = DOCS.resolve()

    def turned(link: re.Match[str]) -> str:
        words, path, anchor = link[1], link[2], link[3] or ""
        target = (written_in / path).resolve()
        if "://" in path or not target.exists():
            return link[0]
        target = shown.get(target, target)
        if target.is_dir() or (target.suffix == ".md" and docs not in target.parents):
            return words[1:-1]
        return f"{words}({os.path.relpath(target, page.parent)}{anchor})"

    return LINK.sub(turned, text)


def read_page(app: Any, name: str, source: list[str]) -> None:
    page = Path(app.env.doc2path(name)).resolve()
    if page.suffix != ".md":
        return
    stub, written_in = STUB.match(source[0]), page.parent
    if stub:
        file = (page.parent / stub[2]).resolve()
        app.env.note_dependency(str(file))
        source[0], written_in = (stub[1] or "") + file.read_text(encoding="utf-8"), file.parent
    source[0] = links_from(source[0], written_in, page, app.config.outside_shown)


def setup(app: Any) -> dict[str, Any]:
    app.add_config_value("outside_shown", shown_files(Path(app.srcdir).resolve()), "")
    app.connect("source-read", read_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
