"""Residuals against the fitted values, or against a covariate or a factor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from henderson.plots.canvas import GREY, INK, MOST_LABELS, axes_for, colour, label_levels, names_are_text
from henderson.plots.cloud import cloud, trend, zero


@names_are_text
def against_numbers(
    x: np.ndarray, residuals: np.ndarray, x_name: str, y_name: str, ax: Any = None, middle: float = 0.0
) -> Any:
    """A cloud with the means in bins; (n,) arrays, and what they are called. Returns the axes."""
    ax = axes_for(ax)
    cloud(ax, x, residuals, color=colour(0))
    trend(ax, x, residuals)
    zero(ax, middle)
    ax.set(xlabel=x_name, ylabel=y_name)
    return ax


@names_are_text
def against_levels(
    codes: np.ndarray,
    levels: Sequence[Any],
    residuals: np.ndarray,
    x_name: str,
    y_name: str,
    ax: Any = None,
    middle: float = 0.0,
) -> Any:
    """A box for each level, or a cloud over very many; (n,) codes and residuals, and what they are called. Returns the
    axes."""
    ax = axes_for(ax, (float(np.clip(0.22 * len(levels), 6.4, 12)), 4.4))
    if len(levels) > MOST_LABELS:
        cloud(ax, codes.astype(float), residuals, color=colour(0))
    else:
        _boxes(ax, codes, len(levels), residuals)
    zero(ax, middle)
    label_levels(ax, levels, "x", x_name)
    ax.set_ylabel(y_name)
    return ax


def _boxes(ax: Any, codes: np.ndarray, n_levels: int, residuals: np.ndarray) -> None:
    order = np.argsort(codes, kind="stable")
    parts = np.split(residuals[order], np.searchsorted(codes[order], np.arange(1, n_levels)))
    ax.boxplot(
        parts,
        positions=np.arange(n_levels),
        widths=0.6,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": colour(0), "alpha": 0.35, "lw": 0.8},
        medianprops={"color": INK, "lw": 1.4},
        whiskerprops={"color": GREY},
        capprops={"color": GREY},
        flierprops={"marker": ".", "markersize": 3, "markeredgecolor": GREY, "alpha": 0.5},
    )
