"""A cloud of points: the points, or above 10⁴ of them hexagons shaded by their number; and the means in bins of x."""

from __future__ import annotations

from typing import Any

import numpy as np

from henderson.plots.binning import binned_means
from henderson.plots.canvas import GREY, INK, MANY, colour

FloatArray = np.ndarray


def cloud(ax: Any, x: FloatArray, y: FloatArray, *, many: int = MANY, across: int = 45, **looks: Any) -> Any:
    """Points, or hexagons.

    Parameters
    ----------
    ax : Axes
    x, y : (n,) arrays
    many : int
        Above so many points hexagons are drawn.
    across : int
        Hexagons from left to right, at most.
    **looks
        Of the points: `color`, `marker`, `s`, `label`, `alpha`, `zorder`.

    Returns
    -------
    PathCollection or PolyCollection
    """
    if len(x) > many:
        cells = min(across, max(len(np.unique(x)) - 1, 4))
        return ax.hexbin(x, y, gridsize=cells, bins="log", mincnt=1, cmap="Greys", linewidths=0.1, zorder=0)
    faint = float(np.clip(60 / max(len(x), 1) ** 0.6, 0.15, 0.75))
    return ax.scatter(x, y, **{"s": 14, "color": GREY, "alpha": faint, "linewidths": 0} | looks)


def trend(ax: Any, x: FloatArray, y: FloatArray, **looks: Any) -> Any:
    """Means of y in bins of x, joined."""
    found = binned_means(x, y)
    (line,) = ax.plot(found.x, found.y, **{"color": colour(1), "lw": 1.6, "label": "means in bins"} | looks)
    return line


def zero(ax: Any, middle: float = 0.0) -> None:
    """The line where residuals lie around."""
    ax.axhline(middle, color=INK, lw=0.8, ls="--", zorder=1)
