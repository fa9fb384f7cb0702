"""`make oldest` tests with the releases that pyproject.toml names as the oldest."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

TOP = Path(__file__).parents[2]


def test_pins_are_the_lower_bounds():
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(one for name in ("plot", "io", "progress", "duckdb", "sklearn", "tables") for one in extras[name]),
    ]
    bounds = {one.replace(">=", "==") for one in wanted}
    pins = set(
        re.findall(r"^[\w-]+==[\d.]+$", (TOP / "tests" / "oldest.txt").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert pins == bounds
