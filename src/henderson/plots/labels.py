"""Labels of any length in the room that there is: shortened in the middle, or wrapped."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

#: inches of a character at matplotlib's default size, as wide as labels have on average
CHARACTER = 0.075
#: sizes of text by name, relative to the default
SIZES = {"medium": 1.0, "small": 0.83, "x-small": 0.69}
#: lines of a wrapped label or title
MOST_LINES = 4


def shortened(texts: Sequence[str], most: int) -> list[str]:
    """Texts of at most so many characters, what is in their middle left out; all as they are if two became one.

    Examples
    --------
    >>> shortened(["Golden Rain of Svalöf, winter", "Victory"], 16)
    ['Golden Rai…inter', 'Victory']
    >>> shortened(["condition A of ten", "condition B of ten"], 12)
    ['condition A of ten', 'condition B of ten']
    """
    head = -(-(most - 1) * 2 // 3)
    tail = most - 1 - head
    out = [text if len(text) <= most else f"{text[:head]}…{text[len(text) - tail :]}" for text in texts]
    return out if len(set(out)) == len(set(texts)) else list(texts)


def wrapped(text: str, wide: int) -> str:
    """A text in lines of so many characters, the last of too many lines cut.

    Examples
    --------
    >>> wrapped("Victory (a very long name)", 12)
    'Victory (a\\nvery long\\nname)'
    """
    lines = textwrap.wrap(text, max(wide, 6), max_lines=MOST_LINES, placeholder=" …")
    return "\n".join(lines) if len(lines) > 1 else text


def set_title(ax: Any, text: str, size: str = "medium", **options: Any) -> None:
    """A title above axes that is no wider than they are."""
    ax.set_title(wrapped(text, int(width_of(ax) / (CHARACTER * SIZES[size]))), fontsize=size, **options)


def width_of(ax: Any) -> float:
    """Inches of axes."""
    return float(ax.get_window_extent().width / ax.get_figure(root=True).dpi)


def height_of(ax: Any) -> float:
    """Inches of axes."""
    return float(ax.get_window_extent().height / ax.get_figure(root=True).dpi)


def columns_of_key(figure: Any, texts: Sequence[str], most: int) -> int:
    """Columns of a legend of small text for which a figure is wide enough, up to `most`."""
    each = (max(map(len, texts)) + 5) * CHARACTER * SIZES["small"]
    inches = figure.get_window_extent().width / figure.dpi
    return max(1, min(most, len(texts), int(inches / each)))


def apart(ax: Any, x: np.ndarray, y: np.ndarray, texts: Sequence[str], first: np.ndarray, points: float) -> list[int]:
    """Which texts beside points of a picture have room: one after another, those that would cover an earlier are left
    out.

    Parameters
    ----------
    ax : matplotlib Axes
        With the points, so that its limits are known.
    x, y : (k,) arrays
    texts : sequence of k str
    first : (k,) int array
        In which order they are placed.
    points : float
        Size of the font.
    """
    dot = ax.figure.dpi / 72
    ax.autoscale_view()
    at = ax.transData.transform(np.column_stack([x, y]))
    wide = np.array([0.62 * len(text) * points * dot for text in texts])
    shown: list[int] = []
    for k in first.tolist():
        gap = np.abs(at[shown] - at[k])
        room = np.column_stack(
            [np.where(at[shown, 0] < at[k, 0], wide[shown], wide[k]), np.full(len(shown), points * dot)]
        )
        if not (gap < room).all(axis=1).any():
            shown.append(k)
    return sorted(shown)
