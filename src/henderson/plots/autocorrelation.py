"""Correlations of residuals within series by distance: points as they were seen, a line as the model has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from henderson.plots.canvas import GREY, INK, axes_for, colour, legend, names_are_text

FloatArray = np.ndarray

#: room above the bars for the key, relative to their range
KEY = 0.25


@names_are_text
def draw(
    distance: FloatArray,
    observed: FloatArray,
    expected: FloatArray,
    se: FloatArray,
    *,
    group: str,
    along: str,
    ax: Any = None,
) -> Any:
    """Draw them.

    Parameters
    ----------
    distance, observed, expected, se : (k,) arrays
        Of each distance; the bars are two standard errors to either side.
    group, along : str
        The factor of the series, and what distances are in.
    ax : matplotlib Axes, optional
    """
    ax = axes_for(ax)
    ax.axhline(0, color=INK, lw=0.8, ls=":")
    ax.vlines(distance, observed - 2 * se, observed + 2 * se, color=GREY, lw=1.5, zorder=2)
    ax.plot(distance, expected, "-", color=colour(1), lw=1.5, label="the model's", zorder=3)
    if len(distance) == 1:
        ax.plot(distance, expected, "_", ms=18, color=colour(1), zorder=3)
    ax.plot(distance, observed, "o", ms=5, color=colour(0), label="the residuals'", zorder=4)
    whole = np.allclose(distance, np.round(distance)) and len(distance) <= 12
    if whole:
        ax.set_xticks(distance, [f"{one:.0f}" for one in distance])
    ax.margins(x=0.08, y=0.16)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + KEY * (high - low))
    ax.set(xlabel=along, ylabel="correlation", title=f"Residuals of one {group}")
    legend(ax, loc="upper right", bbox_to_anchor=None)
    return ax
