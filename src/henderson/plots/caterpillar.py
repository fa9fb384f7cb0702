"""Conditional modes of the random effects, one panel an effect: in order, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.plots.binning import binned_means, some_ranks
from henderson.plots.canvas import GREY, MANY, MOST_LABELS, colour, label_levels, names_are_text, panels
from henderson.plots.cloud import zero
from henderson.plots.labels import apart, set_title

FloatArray = np.ndarray

#: points of the font of labels beside points
SMALL = 5.8


@dataclass(frozen=True)
class Modes:
    """Modes of one effect of one factor.

    Attributes
    ----------
    group, effect : str
    levels : sequence of J labels
    mode : (J,) array
    half : (J,) array
        Half the length of the intervals.
    """

    group: str
    effect: str
    levels: Sequence[Any]
    mode: FloatArray
    half: FloatArray


@names_are_text
def draw(effects: Sequence[Modes], level: float, *, sort: bool = True, axes: Any = None, fig: Any = None) -> np.ndarray:
    """Caterpillars.

    Parameters
    ----------
    effects : sequence of Modes
    level : float
        Of the intervals, for the text.
    sort : bool
        Each effect in the order of its own modes; else the levels as they are.
    axes : array_like of Axes, optional
        As many as effects.
    fig : Figure, optional

    Returns
    -------
    array of Axes, one an effect
    """
    shown = [len(one.levels) if len(one.levels) <= MOST_LABELS else 24 for one in effects]
    deep = float(np.clip(0.16 * max(shown) + 1.2, 2.8, 11))
    found = panels(len(effects), 3, axes=axes, fig=fig, size=(4.2, deep))
    for ax, one in zip(found, effects):
        _caterpillar(ax, one, sort)
        set_title(ax, f"{one.effect} by {one.group}")
        ax.set_xlabel(f"mode, {100 * level:g} % interval")
    return found


def _caterpillar(ax: Any, one: Modes, sort: bool) -> None:
    order = np.argsort(one.mode, kind="stable") if sort else np.arange(len(one.mode))[::-1]
    mode, half, place = one.mode[order], one.half[order], np.arange(len(order))
    if len(order) > MANY:
        rank = place.astype(float)
        low, high = binned_means(rank, mode - half, 400), binned_means(rank, mode + half, 400)
        ax.fill_betweenx(low.x, low.y, high.y, color=colour(0), alpha=0.3, lw=0)
        show = some_ranks(len(order), 2000)
        ax.plot(mode[show], rank[show], color=colour(0), lw=1.2)
    else:
        sparse = len(order) <= MOST_LABELS
        ax.hlines(place, mode - half, mode + half, color=GREY if sparse else colour(5), lw=1.2 if sparse else 0.4)
        ax.plot(mode, place, "o", ms=3.5 if sparse else 1.2, color=colour(0))
    ax.axvline(0, color="0.15", lw=0.8, ls="--", zorder=1)
    label_levels(ax, [one.levels[k] for k in order], "y", one.group)
    if len(order) > MOST_LABELS:
        ax.set_ylim(-0.02 * len(order), 1.02 * len(order))


@names_are_text
def draw_pairs(effects: Sequence[Modes], *, axes: Any = None, fig: Any = None) -> np.ndarray:
    """Modes of each two effects of a factor against each other; see `draw`. A panel a pair."""
    pairs = [
        (first, second)
        for k, second in enumerate(effects)
        for first in effects[:k]
        if first.group == second.group and len(first.levels) == len(second.levels)
    ]
    found = panels(len(pairs), 3, axes=axes, fig=fig, size=(4.0, 3.6))
    for ax, (first, second) in zip(found, pairs):
        _pair(ax, first, second)
    return found


def _pair(ax: Any, first: Modes, second: Modes) -> None:
    x, y = first.mode, second.mode
    if len(x) > MANY:
        ax.hexbin(x, y, gridsize=45, bins="log", mincnt=1, cmap="Blues", linewidths=0.1)
    else:
        sparse = len(x) <= MOST_LABELS
        if sparse:
            ax.errorbar(x, y, second.half, first.half, fmt="none", ecolor="0.8", elinewidth=0.8, zorder=1)
        ax.plot(x, y, "o", ms=4 if sparse else 2, alpha=0.8 if sparse else 0.4, color=colour(0), mec="none")
        if len(x) <= 30:
            outer = np.hypot(*(one / max(float(np.ptp(one)), np.finfo(float).tiny) for one in (x, y)))
            texts = [str(label) for label in first.levels]
            for k in apart(ax, x, y, texts, np.argsort(-outer, kind="stable"), SMALL):
                ax.annotate(texts[k], (x[k], y[k]), (3, 3), textcoords="offset points", fontsize=SMALL, color=GREY)
    zero(ax)
    ax.axvline(0, color="0.15", lw=0.8, ls="--", zorder=1)
    ax.set(xlabel=first.effect, ylabel=second.effect)
    set_title(ax, first.group)
