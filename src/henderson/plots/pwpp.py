"""p-values of pairwise comparisons: each a bar at its p that joins the two means it compares.

The axis of p is drawn as p^{1/3}: small values, which matter, have room, and zero has a place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.plots.canvas import GREY, INK, colour, mark, names_are_text, panels
from henderson.plots.labels import CHARACTER, SIZES, set_title

#: characters of a label for which a panel of the usual width has room
USUAL = 20
TICKS = (0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Comparisons:
    """The comparisons of one family of means.

    Attributes
    ----------
    heading : str
    labels : sequence of k str
        Means, lowest first.
    first, second : (c,) int arrays
        Which two means are compared.
    p : (c,) array
    """

    heading: str
    labels: Sequence[str]
    first: np.ndarray
    second: np.ndarray
    p: np.ndarray


@names_are_text
def draw(families: Sequence[Comparisons], alpha: float, note: str, name: str, axes: Any = None) -> np.ndarray:
    """One panel a family.

    Parameters
    ----------
    families : sequence of Comparisons
    alpha : float
        Where the line is drawn.
    note, name : str
        How p-values were adjusted; what the means are of.
    axes : array_like of Axes, optional

    Returns
    -------
    array of Axes, one a family
    """
    most = max(len(one.labels) for one in families)
    longest = max(len(label) for one in families for label in one.labels)
    wide = 5.6 + CHARACTER * SIZES["small"] * max(0, longest - USUAL)
    found = panels(len(families), 2, axes=axes, size=(wide, float(np.clip(0.34 * most + 1.4, 2.6, 12))))
    for ax, one in zip(found, families):
        _draw(ax, one, alpha)
        ax.set(xlabel=f"p ({note})", ylabel=name)
        set_title(ax, one.heading)
    return found


def _draw(ax: Any, one: Comparisons, alpha: float) -> None:
    ax.set_xscale("function", functions=(np.cbrt, lambda root: root**3))
    ax.axvline(alpha, color=INK, lw=0.9, ls="--", zorder=1)
    for a, b, p in zip(one.first, one.second, one.p):
        if np.isfinite(p):
            significant = p < alpha
            looks = {"color": colour(1) if significant else GREY, "lw": 1.5 if significant else 1.0}
            ax.plot([p, p], [a, b], marker=mark(0), ms=4, zorder=2 + significant, **looks)
    ax.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS], fontsize="small")
    ax.set_xticks([], minor=True)
    ax.set_xlim(-1e-5, 1.15)
    ax.set_yticks(np.arange(len(one.labels)), one.labels, fontsize="small" if len(one.labels) <= 30 else "xx-small")
    ax.set_ylim(-0.6, len(one.labels) - 0.4)
    ax.grid(axis="y", color="0.92")
    ax.set_axisbelow(True)
