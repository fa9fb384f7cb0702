"""What each row or level does to a fit: one statistic a panel, its largest values by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.plots.canvas import GREY, INK, MANY, colour, label_levels, level_text, names_are_text, panels
from henderson.plots.cloud import cloud


@dataclass(frozen=True)
class Statistic:
    """One statistic of all cases.

    Attributes
    ----------
    name : str
    value : (k,) array
    neutral : float
        What a case without influence has.
    """

    name: str
    value: np.ndarray
    neutral: float


@names_are_text
def draw(
    statistics: Sequence[Statistic],
    cases: Sequence[Any],
    case_name: str,
    *,
    named: int = 5,
    axes: Any = None,
    fig: Any = None,
) -> np.ndarray:
    """Draw them.

    Parameters
    ----------
    statistics : sequence of Statistic
    cases : sequence of k labels
    case_name : str
        What a case is: ``"row"``, or the name of a factor.
    named : int
        How many of the largest are named.
    axes : array_like of Axes, optional
    fig : Figure, optional

    Returns
    -------
    array of Axes, one a statistic
    """
    wide = 1 if len(statistics) == 1 else 2
    width = float(np.clip(0.2 * len(cases) + 1.5, 4.6, 9.0)) if wide == 1 else 4.8
    found = panels(len(statistics), wide, axes=axes, fig=fig, size=(width, 3.3))
    for ax, one in zip(found, statistics):
        _index_plot(ax, one, cases, named, case_name)
    return found


def _index_plot(ax: Any, one: Statistic, cases: Sequence[Any], named: int, case_name: str) -> None:
    place = np.arange(len(cases))
    if len(cases) > MANY:
        cloud(ax, place, one.value)
    else:
        ax.vlines(place, one.neutral, one.value, color=GREY, lw=1.2 if len(cases) <= 100 else 0.5)
        ax.plot(place, one.value, "o", ms=4 if len(cases) <= 100 else 2, color=colour(0))
    ax.axhline(one.neutral, color=INK, lw=0.8)
    label_levels(ax, cases, "x", case_name)
    if len(cases) > 60:
        ax.set_xlim(-0.02 * len(cases), 1.02 * len(cases))
    far = np.nan_to_num(np.abs(one.value - one.neutral), nan=-1.0)
    for k in np.argsort(-far, kind="stable")[: min(named, len(cases))]:
        if len(cases) > 25:
            up = one.value[k] >= one.neutral
            ax.annotate(level_text(cases[k]), (place[k], one.value[k]), (0, 4 if up else -4), ha="center",
                        va="bottom" if up else "top", textcoords="offset points", fontsize="x-small")  # fmt: skip
    ax.margins(y=0.12)
    ax.set_ylabel(one.name)
