"""Draws the pictures of the walks: each page's blocks are run, and a picture is what the block before it drew.

Run with `python docs/figures/walks.py` (needs matplotlib and polars). A page shows a picture by
`![what is seen](figures/NAME.png)` behind the block, or behind what the block prints.
"""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

HERE = Path(__file__).parent
#: a block of Python, or a picture of this program
PART = re.compile(
    r"^```python\n(?P<code>.*?)^```$|^!\[[^\]]*\]\(figures/(?P<name>walk_\w+)\.png\)$", re.DOTALL | re.MULTILINE
)


def draw(page: Path) -> list[str]:
    """The names of the pictures of a page, drawn."""
    text, names, drawn = page.read_text(encoding="utf-8"), {"__name__": page.stem}, []
    parts = list(PART.finditer(text))
    wanted = [i for i, part in enumerate(parts) if part["name"]]
    for part in parts[: max(wanted, default=-1) + 1]:
        if part["name"]:
            figure_of(names["ax"]).savefig(HERE / f"{part['name']}.png", dpi=100)
            drawn.append(part["name"])
        else:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(part["code"], page.name, "exec"), names)
    return drawn


def figure_of(axes: object) -> Figure:
    """The figure of one axes, or of an array of them."""
    return np.ravel(axes)[0].figure


if __name__ == "__main__":
    for walk in sorted(HERE.parent.glob("*.md")):
        for name in draw(walk):
            print(f"{name}.png of {walk.name}")
