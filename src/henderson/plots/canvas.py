"""Axes to draw on, given by the user or new, and how pictures look: colours, marks, sizes, labels of levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

import numpy as np

from henderson.plots.labels import CHARACTER, SIZES, height_of, shortened, width_of, wrapped

#: above this many points clouds are drawn as hexagons, curves as bins
MANY = 10_000
#: colours that remain apart for all kinds of colour vision (Okabe and Ito 2008), without the yellow that white swallows
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
INK, GREY, PALE = "0.15", "0.45", "0.75"
#: labels on an axis before they are thinned, and below an axis before they are turned where they are long
MOST_LABELS, FEW = 60, 8
#: characters of a label beside an axis, and of one that is turned, or of a line of a legend
LONGEST, LONGEST_TURNED = 40, 24


def needed() -> Any:
    """matplotlib's pyplot.

    Raises
    ------
    ImportError
        When it is not installed; says how it is.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install henderson[plot]") from error
    return pyplot


def colour(k: int) -> str:
    """The k-th colour."""
    return COLOURS[k % len(COLOURS)]


def mark(k: int) -> str:
    """The k-th mark: colours are never all that tells groups apart."""
    return MARKS[k % len(MARKS)]


def axes_for(ax: Any, size: tuple[float, float] = (6.4, 4.4)) -> Any:
    """The user's axes, or those of a new figure of a size in inches."""
    if ax is not None:
        if not hasattr(ax, "plot"):
            raise ValueError(f"ax must be matplotlib Axes, not {type(ax).__name__}")
        return ax
    return needed().subplots(figsize=size, layout="constrained")[1]


def panels(
    n: int,
    wide: int,
    *,
    axes: Any = None,
    fig: Any = None,
    size: tuple[float, float] = (3.2, 2.6),
    share: bool = False,
    heights: Sequence[float] | None = None,
) -> np.ndarray:
    """n axes, filled row by row, `wide` in a row: the user's, or made in `fig`, or in a new figure.

    Parameters
    ----------
    n, wide : int
    axes : array_like of Axes, optional
    fig : Figure or SubFigure, optional
    size : tuple of two floats
        Of one panel, in inches, for a new figure.
    share : bool
        Whether all panels have the same limits.
    heights : sequence of float, optional
        Of the rows, relative to each other.

    Returns
    -------
    (n,) array of Axes

    Raises
    ------
    ValueError
        When the axes are not n.
    """
    if axes is not None and fig is not None:
        raise ValueError("give axes= or fig=, not both")
    if axes is not None:
        given = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
        if len(given) != n:
            raise ValueError(f"axes= must hold {n} Axes for this picture, not {len(given)}")
        return np.array([axes_for(ax) for ax in given], dtype=object)
    wide = min(n, wide)
    deep = -(-n // wide)
    if fig is None:
        tall = deep if heights is None else float(sum(heights))
        fig = needed().figure(figsize=(size[0] * wide, size[1] * tall), layout="constrained")
    grid = fig.subplots(
        deep, wide, sharex=share, sharey=share, squeeze=False, gridspec_kw={"height_ratios": heights}
    ).ravel()
    for ax in grid[n:]:
        ax.remove()
    if share and n < len(grid):  # the last of each column shows its numbers, also where the row below is empty
        for ax in grid[n - wide : n]:
            ax.xaxis.set_tick_params(labelbottom=True)
    return grid[:n]


def level_text(level: Any) -> str:
    """What a level is called on an axis.

    Examples
    --------
    >>> level_text(308), level_text(("308", "Days")), level_text(0.1 + 0.2), level_text(np.float64(2))
    ('308', '308:Days', '0.3', '2')
    """
    if isinstance(level, tuple):
        return ":".join(level_text(part) for part in level)
    if isinstance(level, float | np.floating):
        return f"{level:.6g}"
    return str(level)


def label_levels(ax: Any, labels: Sequence[Any], which: str = "x", name: str = "") -> None:
    """Levels at 0, 1, …, on the x or the y axis; wrapped, or turned and shortened, where they are long; none where they
    are too many.

    Parameters
    ----------
    ax : Axes
    labels : sequence
    which : {"x", "y"}
    name : str
        What they are levels of: the label of the axis.
    """
    axis = ax.xaxis if which == "x" else ax.yaxis
    texts = [level_text(label) for label in labels]
    n = len(texts)
    if n > MOST_LABELS:
        axis.set_ticks([])
        axis.set_label_text(f"{n:,} rows" if name == "row" else f"{name} ({n:,} levels)")
    else:
        small = n > (12 if which == "x" else 25)
        character = 0.058 if small else 0.085  # inches; more than on average: labels in a row must not touch
        inches = width_of(ax) - _beside(ax)
        turned = which == "x" and sum(len(text) + 1.2 for text in texts) * character > inches
        if which == "y":
            texts = shortened(texts, LONGEST)
        elif turned:
            room = int(inches / n / character) - 1
            lines = [wrapped(text, room) for text in texts]
            turned = n > FEW or any("…" in one or len(max(one.split("\n"), key=len)) > room for one in lines)
            most = int(np.clip(0.7 * height_of(ax) / character, 10, LONGEST_TURNED))
            texts = shortened(texts, most) if turned else lines
        axis.set_ticks(np.arange(n), texts, fontsize="x-small" if small else None)
        axis.set_label_text(name)
        for text in axis.get_ticklabels() if turned else []:
            text.set(rotation=90 if n > 25 else 40, ha="right", rotation_mode="anchor")
            if n > 25:
                text.set(va="center")
    reach = (-0.6, n - 0.4)
    ax.set_xlim(reach) if which == "x" else ax.set_ylim(reach)


def _beside(ax: Any) -> float:
    """Inches that a legend beside the axes will take from them."""
    labels = ax.get_legend_handles_labels()[1]
    if len(labels) < 2:
        return 0.0
    return 0.5 + CHARACTER * SIZES["small"] * min(max(map(len, labels)), LONGEST_TURNED)


def names_are_text(draw: Callable[..., Any]) -> Callable[..., Any]:
    """A picture whose labels are what the data call things: a dollar in a name begins no mathematics.

    Only what it writes with a dollar is marked so; what a user writes on the axes, before or after, may be mathematics.
    """

    @wraps(draw)
    def drawn(*args: Any, **options: Any) -> Any:
        before = {text: text.get_text() for one in (*args, *options.values()) for text in _texts(one)}
        found = draw(*args, **options)
        for text in _texts(found):
            if "$" in text.get_text() and before.get(text) != text.get_text():
                text.set_parse_math(False)
        return found

    return drawn


def _texts(axes: Any) -> Iterator[Any]:
    """All text on axes (none, where they are something else) but numbers, which may be powers of ten."""
    from matplotlib.axes import Axes
    from matplotlib.text import Text
    from matplotlib.ticker import FixedLocator

    for ax in np.atleast_1d(np.asarray(axes, dtype=object)).ravel():
        if isinstance(ax, Axes):
            labels = {axis: axis.get_ticklabels(which="both") for axis in (ax.xaxis, ax.yaxis)}  # which fills them in
            scales = [axis for axis in labels if not isinstance(axis.get_major_locator(), FixedLocator)]
            numbers = {text for axis in scales for text in labels[axis]}
            yield from (text for text in ax.findobj(Text) if text not in numbers)


def legend(ax: Any, title: str = "", **options: Any) -> None:
    """A legend beside the axes where it has entries, so that it covers no data."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return
    if not options:
        labels, title = [wrapped(label, LONGEST_TURNED) for label in labels], wrapped(title, LONGEST_TURNED)
    where = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False, "fontsize": "small"} | options
    ax.legend(handles, labels, title=title or None, title_fontsize="small", **where)
