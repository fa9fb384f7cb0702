"""What was drawn: the numbers in matplotlib's artists."""

import numpy as np


def points(collection):
    """(n, 2) of a scatter."""
    return np.asarray(collection.get_offsets())


def line(artist):
    """(n, 2) of a line."""
    return np.column_stack([np.asarray(v, float) for v in artist.get_data()])


def segments(collection):
    """(n, 2, 2): ends of the segments of `hlines`, `vlines` or error bars."""
    return np.array(collection.get_segments())


def ticks(axis):
    """Labels of an axis."""
    return [text.get_text() for text in axis.get_ticklabels()]


def legend_labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]
