"""What the pages say of files is so: paths in backticks are there, links lead somewhere, every page is listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGES = [*sorted(TOP.glob("*.md")), *sorted((TOP / "docs").glob("*.md"))]
#: every file and folder that a page may speak of, by any end of its path
PLACES = [
    f"/{path.relative_to(TOP)}" for part in ("src", "tests", "docs", "benchmarks") for path in (TOP / part).rglob("*")
]
MODULES = sorted((TOP / "src" / "henderson").rglob("*.py"))


def is_there(path: str) -> bool:
    end = "/" + path.rstrip("/")
    return (TOP / path).exists() or any(place.endswith(end) for place in PLACES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_are_there(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    paths = re.findall(r"`([\w./-]+(?:/|\.(?:py|md|R)))`", text)
    assert [path for path in paths if not is_there(path)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("picture", sorted((TOP / "docs" / "figures").glob("walk_*.png")), ids=lambda path: path.stem)
def test_a_picture_of_a_walk_stands_behind_the_lines_that_draw_it(picture):
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    (before,) = [text.partition(mark)[0] for text in texts if (mark := f"(figures/{picture.name})") in text]
    assert re.findall(r"^```python\n(.*?)^```$", before, flags=re.DOTALL | re.MULTILINE)[-1].startswith("ax = ")


def test_every_page_is_in_the_table_of_contents():
    docs, listed = TOP / "docs", {TOP / "docs" / "index.md"}
    for page in docs.rglob("*.md"):
        for entries in re.findall(
            r"^```{toctree}\n(.*?)^```$", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
        ):
            for entry in re.findall(r"^(?:.*<)?([\w./*-]+)>?$", entries, flags=re.MULTILINE):
                listed |= {path.resolve() for path in page.parent.glob(f"{entry}.md")}
    assert {page for page in docs.rglob("*.md") if "_build" not in page.parts} - listed == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(TOP / "src" / "henderson")))
def test_a_module_names_tests_that_are_there(module):
    named = re.findall(r"tests/[\w/.]+\.(?:py|json|gz|R)\b", module.read_text(encoding="utf-8"))
    assert [name for name in named if not (TOP / name).exists()] == []
