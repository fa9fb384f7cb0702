"""The picture of power against size: a line with a band for each combination of the other factors' sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from henderson.plots.canvas import axes_for, names_are_text
from henderson.plots.labels import set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@names_are_text
def draw(frame: pd.DataFrame, factors: Sequence[str], target: float, effect: str, ax: Axes | None = None) -> Axes:
    """Power against the numbers of levels of the factor with most sizes.

    Parameters
    ----------
    frame : DataFrame
        Columns of the factors, rows, power, lower, upper.
    factors : sequence of str
        Those that vary are shown: the one with most sizes along the axis, the others as lines.
    target : float
        Where a dashed line is drawn.
    effect : str
        Title.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = axes_for(ax, (5.2, 3.6))
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    along = max(factors, key=lambda name: frame[name].nunique(), default="rows")
    others = [name for name in factors if name != along and frame[name].nunique() > 1]
    groups: list[tuple[Any, pd.DataFrame]] = list(frame.groupby(others)) if others else [((), frame)]
    for key, own in groups:
        own = own.sort_values(along)
        label = ", ".join(f"{name} = {value}" for name, value in zip(others, key))
        (line,) = ax.plot(own[along], own["power"], marker="o", ms=4, label=label or None)
        if len(own) > 1:
            ax.fill_between(own[along], own["lower"], own["upper"], color=line.get_color(), alpha=0.15, lw=0)
        else:
            ax.vlines(own[along], own["lower"], own["upper"], color=line.get_color())
    ax.axhline(target, color="0.5", lw=0.8, ls="--")
    ax.set_ylim(0, 1.02)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("rows" if along == "rows" else f"number of levels of {along}")
    ax.set_ylabel("power")
    set_title(ax, effect)
    if others:
        ax.legend(frameon=False, fontsize="small")
    return ax
