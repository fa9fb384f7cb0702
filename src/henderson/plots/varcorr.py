"""Standard deviations and correlations of the random effects with their intervals, a panel for each unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.plots.canvas import GREY, INK, colour, names_are_text, panels

FloatArray = np.ndarray


@dataclass(frozen=True)
class Block:
    """Parameters in one unit.

    Attributes
    ----------
    title : str
        What they are, with their unit.
    labels : sequence of k str
    estimate, lower, upper : (k,) arrays
        Limits may be NaN.
    least, most : float
        Bounds of what is possible.
    """

    title: str
    labels: Sequence[str]
    estimate: FloatArray
    lower: FloatArray
    upper: FloatArray
    least: float = 0.0
    most: float = np.inf


@names_are_text
def draw(blocks: Sequence[Block], *, axes: Any = None, fig: Any = None) -> np.ndarray:
    """One panel a block, one above the other. Returns the axes."""
    heights = [0.27 * len(one.labels) + 0.85 for one in blocks]
    found = panels(len(blocks), 1, axes=axes, fig=fig, size=(6.4, 1.0), heights=heights)
    for ax, one in zip(found, blocks):
        place = np.arange(len(one.labels))[::-1]
        there = np.isfinite(one.lower) & np.isfinite(one.upper)
        ax.hlines(place[there], one.lower[there], one.upper[there], color=GREY, lw=2)
        ax.plot(one.estimate[there], place[there], "o", ms=6, color=colour(0))
        ax.plot(one.estimate[~there], place[~there], "o", ms=6, mfc="white", color=colour(0))
        for end in (one.least, one.most):
            if np.isfinite(end) and (one.least < 0 or _is_near(end, one)):
                ax.axvline(end, color=INK, lw=0.8, ls=":")
        if one.least < 0:
            ax.axvline(0, color=INK, lw=0.8, ls="--")
            if np.isfinite(one.least):
                ax.set_xlim(one.least - 0.05, one.most + 0.05)
        ax.set_yticks(place, one.labels, fontsize="small")
        ax.set_ylim(-0.6, len(place) - 0.4)
        ax.set_xlabel(one.title, fontsize="small")
    return found


def _is_near(end: float, one: Block) -> bool:
    """Whether a bound is near enough to be shown: within the reach of what is drawn, or a third of it away."""
    drawn = np.concatenate([one.estimate, one.lower, one.upper])
    low, high = np.nanmin(drawn), np.nanmax(drawn)
    return bool(low - end <= (high - end) / 3)
