"""Marginal means with their intervals, and arrows that compare them.

Means stand one above the other, family by family. Arrows of two means of a family overlap where their difference is not
significant, and do not where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.plots.canvas import INK, axes_for, colour, names_are_text

FloatArray = np.ndarray


@dataclass(frozen=True)
class Family:
    """Means of one family.

    Attributes
    ----------
    heading : str
        Empty where there is one family.
    labels : sequence of k str
    estimate, lower, upper : (k,) arrays
    left, right : (k,) arrays, or None
        Lengths of the arrows; NaN where there is none.
    """

    heading: str
    labels: Sequence[str]
    estimate: FloatArray
    lower: FloatArray
    upper: FloatArray
    left: FloatArray | None = None
    right: FloatArray | None = None


@names_are_text
def draw(families: Sequence[Family], x_name: str, note: str, ax: Any = None, *, null: float | None = None) -> Any:
    """Draw them, the first at the top; `note` says what arrows are, `null` where to draw a line. Returns the axes."""
    rows = sum(len(one.labels) + bool(one.heading) for one in families)
    ax = axes_for(ax, (6.4, float(np.clip(0.3 * rows + 1.3, 2.4, 14))))
    texts: list[str] = []
    headings = []
    for one in families:
        if one.heading:
            headings.append(len(texts))
            texts.append(one.heading)
        place = len(texts) + np.arange(len(one.labels))
        texts += one.labels
        _family(ax, one, place)
    if null is not None:
        ax.axvline(null, color=INK, lw=0.8, ls="--", zorder=1)
    small = "x-small" if rows > 30 else "small"
    ax.set_yticks(np.arange(len(texts)), texts, fontsize=small)
    for k in headings:
        ax.get_yticklabels()[k].set_fontweight("bold")
        ax.yaxis.get_major_ticks()[k].tick1line.set_visible(False)
    ax.set_ylim(len(texts) - 0.4, -0.6)
    ax.set_xlabel(x_name)
    if note:
        ax.set_title(note, fontsize="small", loc="left", color="0.35", wrap=True)
    return ax


def _family(ax: Any, one: Family, place: np.ndarray) -> None:
    ax.hlines(place, one.lower, one.upper, color=colour(5), lw=7, alpha=0.45, zorder=1)
    for lengths, sign in ((one.left, -1.0), (one.right, 1.0)):
        if lengths is None:
            continue
        for y, x, length in zip(place, one.estimate, lengths):
            if np.isfinite(length) and length > 0:
                head = {"arrowstyle": "-|>,head_width=0.18,head_length=0.35", "color": colour(1), "lw": 1.3}
                ax.annotate("", (x + sign * length, y), (x, y), arrowprops={**head, "shrinkA": 0, "shrinkB": 0})
    ax.plot(one.estimate, place, "o", ms=5, color=INK, zorder=3)
    ends = [end for end in (one.left, one.right) if end is not None]
    if ends:  # annotations do not widen the limits
        reach = np.concatenate([one.estimate - np.nan_to_num(ends[0]), one.estimate + np.nan_to_num(ends[1])])
        ax.update_datalim(np.column_stack([reach, np.tile(place, 2)]))
        ax.autoscale_view()
