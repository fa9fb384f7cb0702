"""Means along a factor or a covariate, with intervals and the data behind them.

A factor: a mark and an interval for each level, the levels of another factor beside each other. A covariate: a line
with its band. The data: points (scattered sideways over a factor's levels), or, above 10⁴ of them, histograms on their
sides over levels, and hexagons along a covariate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.plots.canvas import GREY, MANY, axes_for, colour, label_levels, legend, mark, names_are_text, panels
from henderson.plots.cloud import cloud
from henderson.plots.labels import set_title

FloatArray = np.ndarray

#: of the distance between two levels, what the means of a level's series take
SPREAD = 0.6


@dataclass(frozen=True)
class Series:
    """Means along x.

    Attributes
    ----------
    label : str
        What tells this series from the others; empty where it is the only one.
    x : (k,) array
        Numbers, or numbers of levels.
    estimate, lower, upper : (k,) arrays
    """

    label: str
    x: FloatArray
    estimate: FloatArray
    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True)
class Raw:
    """The data behind means.

    Attributes
    ----------
    x, y : (n,) arrays
        x as that of the series.
    series : (n,) int array
        To which series a row belongs; −1: to none.
    """

    x: FloatArray
    y: FloatArray
    series: np.ndarray


@dataclass(frozen=True)
class Along:
    """What x is.

    Attributes
    ----------
    name : str
    levels : sequence of labels, or None
        None for a covariate.
    """

    name: str
    levels: Sequence[Any] | None


@dataclass(frozen=True)
class Panel:
    """What one panel shows.

    Attributes
    ----------
    heading : str
        Empty where it is the only one.
    series : sequence of Series
    raw : Raw, or None
        The rows of the data that belong here.
    """

    heading: str
    series: Sequence[Series]
    raw: Raw | None


@names_are_text
def draw_panels(
    shown: Sequence[Panel], along: Along, y_name: str, title: str, *, axes: Any = None, fig: Any = None
) -> np.ndarray:
    """Draw several panels with the same axes.

    Parameters
    ----------
    shown : sequence of Panel
    along : Along
    y_name, title : str
        As for `draw`.
    axes, fig : optional
        As for `canvas.panels`.

    Returns
    -------
    array of Axes, one a panel
    """
    wide = min(len(shown), 3)
    tall = 3.0 if along.levels is None else float(np.clip(0.22 * len(along.levels) * len(shown[0].series), 3.0, 5.0))
    found = panels(len(shown), wide, axes=axes, fig=fig, size=(tall, 2.8), share=True)
    for k, (ax, one) in enumerate(zip(found, shown)):
        _fill(ax, one.series, along, one.raw)
        set_title(ax, one.heading)
        if k + wide < len(shown):  # there is a panel below
            ax.set_xlabel("")
        ax.set_ylabel(y_name if k % wide == 0 else "")
    if len(shown[0].series) > 1:
        legend(found[wide - 1], title)
    return found


@names_are_text
def draw(series: Sequence[Series], along: Along, raw: Raw | None, y_name: str, title: str, ax: Any = None) -> Any:
    """Draw them.

    Parameters
    ----------
    series : sequence of Series
    along : Along
    raw : Raw, optional
    y_name, title : str
        What the response is called, and what tells the series apart.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    wide = None if along.levels is None else float(np.clip(0.35 * len(along.levels) * len(series) + 2.5, 5, 14))
    ax = axes_for(ax) if wide is None else axes_for(ax, (wide, 4.4))
    _fill(ax, series, along, raw)
    ax.set_ylabel(y_name)
    if len(series) > 1:
        legend(ax, title)
    return ax


def _fill(ax: Any, series: Sequence[Series], along: Along, raw: Raw | None) -> None:
    """The data, the means, and what is along x."""
    if along.levels is None:
        _lines(ax, series, raw)
        ax.set_xlabel(along.name)
    else:
        _marks(ax, series, raw)
        label_levels(ax, along.levels, "x", along.name)


def shift(k: int, n: int) -> float:
    """How far to the side the k-th of n series stands.

    Examples
    --------
    >>> [round(shift(k, 3), 2) for k in range(3)], shift(0, 1)
    ([-0.2, 0.0, 0.2], 0.0)
    """
    return SPREAD * ((k + 0.5) / n - 0.5)


def _lines(ax: Any, series: Sequence[Series], raw: Raw | None) -> None:
    if raw is not None and len(raw.y) > MANY:
        cloud(ax, raw.x, raw.y)
    elif raw is not None:
        for k in np.unique(raw.series):
            here = raw.series == k
            cloud(ax, raw.x[here], raw.y[here], **_looks(k, len(series), len(raw.y)))
    for k, one in enumerate(series):
        ax.fill_between(one.x, one.lower, one.upper, color=colour(k), alpha=0.2, lw=0)
        ax.plot(one.x, one.estimate, color=colour(k), lw=1.8, ls=("-", "--", "-.", ":")[k % 4], label=one.label)


def _marks(ax: Any, series: Sequence[Series], raw: Raw | None) -> None:
    wide = SPREAD / len(series)
    if raw is not None:
        (_silhouettes if len(raw.y) > MANY else _scattered)(ax, raw, len(series), 0.42 * wide)
    for k, one in enumerate(series):
        place = one.x + shift(k, len(series))
        around = np.array([one.estimate - one.lower, one.upper - one.estimate])
        ax.errorbar(
            place, one.estimate, np.where(np.isfinite(around), around, 0.0), fmt=mark(k), ms=6, color=colour(k),
            elinewidth=2, capsize=3, mec="black", mew=0.8, label=one.label, zorder=3,
        )  # fmt: skip


def _scattered(ax: Any, raw: Raw, n_series: int, reach: float) -> None:
    side = np.random.default_rng(0).uniform(-reach, reach, len(raw.y))  # the same picture each time
    for k in np.unique(raw.series):
        here = raw.series == k
        place = raw.x[here] + side[here] + (shift(k, n_series) if k >= 0 else 0.0)
        cloud(ax, place, raw.y[here], **_looks(k, n_series, len(raw.y)))


def _looks(k: int, n_series: int, n: int) -> dict[str, Any]:
    """Points of a series: pale, so that the means stand out; grey where there is but one series, or it is of none."""
    faint = float(np.clip(8 / max(n, 1) ** 0.5, 0.12, 0.5))
    return {"color": GREY if n_series == 1 or k < 0 else colour(k), "marker": mark(max(k, 0)), "alpha": faint}


def _silhouettes(ax: Any, raw: Raw, n_series: int, reach: float) -> None:
    """Histograms on their sides, each as wide as its fullest bin."""
    distinct = np.unique(raw.y)
    edges = np.linspace(distinct[0], distinct[-1], 41)
    if len(distinct) <= 40:
        middle = (distinct[1:] + distinct[:-1]) / 2
        edges = np.concatenate([[2 * distinct[0] - middle[0]], middle, [2 * distinct[-1] - middle[-1]]])
    for k in np.unique(raw.series):
        for x in np.unique(raw.x[raw.series == k]):
            count, _ = np.histogram(raw.y[(raw.series == k) & (raw.x == x)], edges)
            half = reach * count / max(count.max(), 1)
            centre = x + (shift(k, n_series) if k >= 0 else 0.0)
            ax.barh(
                edges[:-1], 2 * half, np.diff(edges), centre - half, align="edge", lw=0, alpha=0.3,
                color=GREY if n_series == 1 or k < 0 else colour(k),
            )  # fmt: skip
