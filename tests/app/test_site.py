"""The site builds without a warning; every public name has a page, the gallery has its pictures; nothing is fetched."""

import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import henderson
from outside_pages import links_from, shown_files

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: made by a build, in place: pages of another build must not stay
MADE = [DOCS / "api" / "generated", DOCS / "pictures_made"]


def test_the_site(tmp_path):
    for folder in MADE:
        shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "--doctree-dir"]
    command += [str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "site")]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-5000:]
    site = tmp_path / "site"
    assert names_without_page(site) == []
    assert gallery_without_pictures(site) == []
    assert fetched_from_elsewhere(site) == []


def names_without_page(site):
    """Public names to which the site's own index of objects does not lead."""
    packed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    known = {line.split()[0] for line in zlib.decompress(packed).decode().splitlines()}
    public = [name for name in henderson.__all__ if name not in ("__version__", "datasets")]
    public += [f"datasets.{name}" for name in henderson.datasets.__all__]
    return [name for name in public if f"henderson.{name}" not in known]


def gallery_without_pictures(site):
    """Programs of the gallery that drew nothing."""
    programs = sorted((DOCS / "gallery").rglob("*.py"))
    return [path.stem for path in programs if not list((site / "_images").glob(f"sphx_glr_{path.stem}_0*.png"))]


def fetched_from_elsewhere(site):
    """What a page would fetch over a network: scripts, styles, pictures."""
    fetched = re.compile(r"<(?:script|img|link|iframe)\b[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*\"")
    return [(page.name, found) for page in site.rglob("*.html") for found in fetched.findall(page.read_text("utf-8"))]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("[a](../ARCHITECTURE.md#rooms)", "[a](project/architecture.md#rooms)"),
        ("[code](../src/henderson/door.py)", "[code](../src/henderson/door.py)"),
        ("[rooms](../src/henderson)", "rooms"),
        ("[listings](../tests/oracles/README.md)", "listings"),
        ("[a](power.md) and [b](https://numpy.org)", "[a](power.md) and [b](https://numpy.org)"),
        ("x[0](nothing)", "x[0](nothing)"),
    ],
)
def test_links_lead_to_pages(written, read):
    assert links_from(written, DOCS, DOCS / "tables.md", shown_files(DOCS)) == read
