"""The first look at a fit, in four panels: residuals against fitted, their spread, their shape, the modes' shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from henderson.plots import qq
from henderson.plots.canvas import colour, legend, mark, names_are_text, panels
from henderson.plots.cloud import cloud, trend, zero

#: random effects that are told apart by colour
MOST_EFFECTS = 7


@names_are_text
def draw(
    fitted: np.ndarray,
    residuals: np.ndarray,
    standardised: np.ndarray,
    shape: qq.Ordered,
    modes: Mapping[str, qq.Ordered],
    *,
    response: str,
    residual: str,
    shape_of: str = "standardised residual",
    last: Callable[[Any], Any] | None = None,
    axes: Any = None,
    fig: Any = None,
) -> np.ndarray:
    """Draw them.

    Parameters
    ----------
    fitted, residuals, standardised : (n,) arrays
        Fitted values, residuals in units of the response, residuals in standard deviations.
    shape : Ordered
        The standardised residuals in order.
    modes : mapping of str to Ordered
        Each random effect's standardised modes in order; empty where none has a variance.
    response, residual, shape_of : str
        What the response, the residuals and those of `shape` are called.
    last : callable, optional
        Draws the last panel in place of the modes.
    axes : (2, 2) array_like of Axes, optional
    fig : Figure, optional

    Returns
    -------
    (2, 2) array of Axes
    """
    four = panels(4, 2, axes=axes, fig=fig, size=(4.6, 3.5))
    first, second, third, fourth = four
    cloud(first, fitted, residuals, color=colour(0))
    trend(first, fitted, residuals)
    zero(first)
    first.set(xlabel=f"fitted {response}", ylabel=residual, title="Residuals: no pattern is good")
    legend(first, loc="best", bbox_to_anchor=None)
    root = np.sqrt(np.abs(standardised))
    cloud(second, fitted, root, color=colour(0))
    trend(second, fitted, root)
    second.set(xlabel=f"fitted {response}", ylabel="√|standardised residual|", title="Spread: level is good")
    qq.draw(third, shape, color=colour(0))
    third.set(title="Residuals: on the line is normal", ylabel=f"{shape_of}, ordered")
    if last is not None:
        last(fourth)
        for ax in four:
            ax.title.set_fontsize("medium")
        return four.reshape(2, 2)
    for k, (name, one) in enumerate(modes.items()):
        looks = {"color": colour(k), "marker": mark(k), "label": name if k < MOST_EFFECTS else None}
        qq.draw(fourth, one, band=k == _smallest(modes), **looks)
    fourth.set(title="Random effects: on the line is normal", ylabel="standardised mode, ordered")
    if len(modes) > MOST_EFFECTS:
        fourth.plot([], [], " ", label=f"and {len(modes) - MOST_EFFECTS} more")
    if not modes:
        fourth.text(0.5, 0.5, "no random effect has a variance", ha="center", transform=fourth.transAxes)
        fourth.set(xticks=[], yticks=[])
    legend(fourth, loc="upper left", bbox_to_anchor=None)
    for ax in four:
        ax.title.set_fontsize("medium")
    return four.reshape(2, 2)


def _smallest(modes: Mapping[str, qq.Ordered]) -> int:
    """The sample with the fewest levels: its band is the widest."""
    return int(np.argmin([one.n for one in modes.values()]))
