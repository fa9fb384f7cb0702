"""Labels as long as data have them: nothing is cut, overlaps or takes the picture's room."""

from __future__ import annotations

from itertools import pairwise

import pytest

import henderson
from henderson import lmer
from henderson.plots.labels import shortened, wrapped

pyplot = pytest.importorskip("matplotlib.pyplot")

LONG = {
    "A": "A as in the recipe that everybody's grandmother knew",
    "B": "B with half of the chocolate and twice the butter",
    "C": "C (the third and longest-named recipe of the study)",
}


@pytest.fixture(scope="module")
def fit():
    cake = henderson.datasets.load("cake")
    cake["recipe"] = cake["recipe"].astype(str).map(LONG)
    cake["temperature"] = cake["temperature"].astype(str) + " degrees Fahrenheit in the oven"
    return lmer("angle ~ recipe + temperature + (1 | replicate/recipe)", cake)


def overlapping(texts):
    """Pairs of texts side by side that cover each other (those that are turned cover each other's boxes)."""
    shown = [text for text in texts if text.get_text() and text.get_rotation() == 0]
    boxes = sorted((text.get_window_extent() for text in shown), key=lambda box: box.x0)
    return [(one, other) for one, other in pairwise(boxes) if one.x1 > other.x0 + 2 and one.y0 < other.y1]


def inside(ax):
    """Whether what stands below and beside the axes is in the figure, by two pixels."""
    width, height = ax.figure.canvas.get_width_height()
    key = ax.get_legend()
    texts = [*ax.get_xticklabels(), ax.xaxis.label, *(key.get_texts() if key is not None else [])]
    boxes = [text.get_window_extent() for text in texts]
    return all(b.x0 > -2 and b.y0 > -2 and b.x1 < width + 2 and b.y1 < height + 2 for b in boxes)


@pytest.mark.parametrize("by", [None, "temperature"])
def test_levels_below_an_axis_leave_room_for_the_picture(fit, by):
    ax = fit.plot.effects("recipe", by=by)
    figure = ax.figure
    figure.canvas.draw()
    assert [text.get_text()[:8] for text in ax.get_xticklabels()] == [name[:8] for name in LONG.values()]
    assert overlapping(ax.get_xticklabels()) == []
    assert inside(ax)
    assert ax.get_window_extent().height > 0.5 * figure.canvas.get_width_height()[1]
    pyplot.close(figure)


def test_many_of_them_are_turned_and_shortened(fit):
    axes = fit.plot.fits(by="replicate", x="temperature")
    figure = axes[0].figure
    figure.canvas.draw()
    assert "…" in axes[-1].get_xticklabels()[0].get_text()
    assert inside(axes[-1])
    assert axes[0].get_window_extent().height > 20
    pyplot.close(figure)


def test_titles_are_no_wider_than_their_axes(fit):
    axes = fit.plot.ranef()
    axes[0].figure.canvas.draw()
    assert overlapping([ax.title for ax in axes]) == []
    pyplot.close(axes[0].figure)


def test_what_became_alike_stays_long():
    texts = ["a group of ten A with a name", "a group of ten B with a name"]
    assert shortened(texts, 14) == texts
    assert wrapped("one two three four five six seven", 9) == "one two\nthree\nfour five\nsix seven"
    assert wrapped("one two three four five six seven eight", 9) == "one two\nthree\nfour five\nsix …"
