"""An interaction: means joined along one factor, a line for each combination of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from henderson.plots.canvas import axes_for, colour, label_levels, legend, mark, names_are_text
from henderson.plots.effects import Along, Series


@names_are_text
def draw(series: Sequence[Series], along: Along, intervals: bool, y_name: str, title: str, ax: Any = None) -> Any:
    """Draw it; see `effects.draw`. Returns the axes."""
    ax = axes_for(ax)
    places = np.unique(np.concatenate([one.x for one in series]))
    gap = float(np.diff(places).min()) if len(places) > 1 else 1.0
    for k, one in enumerate(series):
        place = one.x + 0.04 * gap * (k - (len(series) - 1) / 2) * intervals
        looks = {"color": colour(k), "marker": mark(k), "ls": ("-", "--", "-.", ":")[k % 4], "lw": 1.5, "ms": 5}
        around = np.array([one.estimate - one.lower, one.upper - one.estimate])
        limits = np.where(np.isfinite(around), around, 0.0) if intervals else None
        ax.errorbar(place, one.estimate, limits, label=one.label, elinewidth=1, capsize=2.5, **looks)
    if along.levels is None:
        ax.set_xlabel(along.name)
        ax.set_xticks(places) if len(places) <= 12 else None
    else:
        label_levels(ax, along.levels, "x", along.name)
    ax.set_ylabel(y_name)
    if len(series) > 1:
        legend(ax, title)
    return ax
