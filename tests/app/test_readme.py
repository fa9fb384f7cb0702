"""The README, the documentation and the examples do what they say.

A block of ```python or ```console in a Markdown file is run. When a plain ``` block follows it directly, what
was printed must be that block, character for character. Blocks of one file share their variables, top down.
"""

import contextlib
import io
import re
import runpy
import shlex
from pathlib import Path

import pytest

from henderson.app import cli

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def blocks(text):
    """(language, code, expected output or None) of every runnable block."""
    found = list(FENCE.finditer(text))
    for block, after in zip(found, [*found[1:], None]):
        language, code = block.groups()
        if language not in ("python", "console"):
            continue
        follows = after is not None and not after[1] and not text[block.end() : after.start()].strip()
        yield language, code, after[2] if follows else None


def run_block(language, code, names):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if language == "python":
            exec(compile(code, "README", "exec"), names)
        else:
            for line in code.splitlines():
                if line.startswith("$ henderson "):
                    assert cli.main(shlex.split(line)[2:]) == 0
    return printed.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_prints_what_it_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for language, code, expected in blocks(page.read_text(encoding="utf-8")):
        printed = run_block(language, code, names)
        if expected is not None:
            assert printed == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("program", EXAMPLES, ids=lambda program: program.stem)
def test_example_runs(program, capsys):
    runpy.run_path(str(program), run_name="__main__")
    assert "mixed" in capsys.readouterr().out.lower()


def test_first_screen_of_the_readme_has_both_commands():
    first = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40]
    assert any("make demo" in line for line in first)
    assert any("make test" in line for line in first)
