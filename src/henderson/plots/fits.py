"""Data and lines level by level: a panel each, with the line of everyone and the level's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.plots.canvas import GREY, MANY, colour, label_levels, level_text, mark, names_are_text, panels
from henderson.plots.cloud import cloud
from henderson.plots.effects import Along
from henderson.plots.labels import columns_of_key, set_title

FloatArray = np.ndarray


@dataclass(frozen=True)
class Panel:
    """One level.

    Attributes
    ----------
    level : label
    x, y : (n,) arrays
        Its data.
    series : (n,) int array
        Which series its rows belong to.
    lines : sequence of (series, x, population, own)
        Lines of its series: a number, and three (k,) arrays.
    """

    level: Any
    x: FloatArray
    y: FloatArray
    series: np.ndarray
    lines: Sequence[tuple[int, FloatArray, FloatArray, FloatArray]]


@names_are_text
def draw(
    shown: Sequence[Panel],
    along: Along,
    labels: Sequence[str],
    names: tuple[str, str],
    *,
    axes: Any = None,
    fig: Any = None,
) -> np.ndarray:
    """Draw them.

    Parameters
    ----------
    shown : sequence of Panel
    along : Along
    labels : sequence of str
        What the series are called; one empty name where there is one.
    names : tuple of two str
        What the grouping factor and the response are called.
    axes : array_like of Axes, optional
    fig : Figure, optional

    Returns
    -------
    array of Axes, one a level
    """
    group, response = names
    wide = min(len(shown), int(np.clip(np.ceil(np.sqrt(1.6 * len(shown))), 1, 8)))
    found = panels(len(shown), wide, axes=axes, fig=fig, size=_size(len(shown)), share=True)
    if along.levels is None:
        found[0].locator_params(axis="x", nbins=5, steps=[1, 2, 5, 10])
    found[0].locator_params(axis="y", nbins=4, steps=[1, 2, 5, 10])
    for ax, one in zip(found, shown):
        _panel(ax, one, len(labels), MANY // len(shown))
        set_title(ax, level_text(one.level), "small", pad=3)
        ax.tick_params(labelsize="x-small")
        if along.levels is not None:
            label_levels(ax, along.levels, "x")
            ax.tick_params(labelsize="x-small")
    owner = found[0].get_figure() if fig is None else fig
    if axes is None:
        owner.supxlabel(along.name, fontsize="medium", parse_math=False)
        owner.supylabel(response, fontsize="medium", parse_math=False)
        _key(owner, found[0], labels, group)
    return found


def _size(n: int) -> tuple[float, float]:
    """Inches of each of n panels."""
    return (3.0, 2.8) if n <= 4 else (2.3, 2.1) if n <= 9 else (1.7, 1.6)


def _panel(ax: Any, one: Panel, n_series: int, many: int) -> None:
    size = float(np.clip(40 / max(len(one.y), 1) ** 0.5, 2, 12))
    if len(one.y) > many:
        cloud(ax, one.x, one.y, many=many, across=18)
    else:
        for k in np.unique(one.series):
            here = one.series == k
            looks: dict[str, Any] = {"color": GREY if n_series == 1 else colour(k), "marker": mark(k), "s": size}
            cloud(ax, one.x[here], one.y[here], **looks)
    for k, x, population, own in one.lines:
        single = "o" if len(x) == 1 else None
        ax.plot(x, population, color="0.6" if n_series == 1 else colour(k), lw=1, ls="--", marker=single, ms=3)
        ax.plot(x, own, color=colour(k), lw=1.7, marker=single, ms=4)


def _key(figure: Any, ax: Any, labels: Sequence[str], group: str) -> None:
    """One legend of all panels, above them."""
    grey = "0.6" if len(labels) == 1 else GREY
    entries = [
        ax.plot([], [], color=grey, ls="--", lw=1, label="everyone")[0],
        ax.plot([], [], color=colour(0) if len(labels) == 1 else GREY, lw=1.7, label=f"this {group}")[0],
    ]
    if len(labels) > 1:
        entries += [
            ax.plot([], [], ls="", marker=mark(k), ms=4, color=colour(k), label=label)[0]
            for k, label in enumerate(labels)
        ]
    columns = columns_of_key(figure, [str(entry.get_label()) for entry in entries], 5)
    key = figure.legend(handles=entries, loc="outside upper center", ncols=columns, frameon=False, fontsize="small")
    for text in key.get_texts():
        text.set_parse_math(False)
