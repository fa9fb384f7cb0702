"""Normal quantiles: an ordered sample against what a normal one of its size would be, with the band of its limits."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from henderson.plots.canvas import INK, PALE

#: order statistics that are shown of a sample, about
MOST = 2000


class Ordered(Protocol):
    """An ordered sample: see `diagnostics.normal_quantiles`."""

    @property
    def n(self) -> int:
        """Size of the sample."""

    @property
    def theoretical(self) -> np.ndarray:
        """Quantiles of the normal distribution, (k,)."""

    @property
    def sample(self) -> np.ndarray:
        """The sample in order, (k,)."""

    @property
    def lower(self) -> np.ndarray:
        """Lower limits of each, were the sample standard normal, (k,)."""

    @property
    def upper(self) -> np.ndarray:
        """Upper limits, (k,)."""


def draw(ax: Any, one: Ordered, *, band: bool = True, **looks: Any) -> Any:
    """Points of one sample; the line of equality and the band are drawn once."""
    if band:
        ax.fill_between(one.theoretical, one.lower, one.upper, color=PALE, alpha=0.5, lw=0, zorder=0)
        ax.axline((0, 0), slope=1, color=INK, lw=0.9, ls="--", zorder=1)
    ax.set(xlabel="normal quantile", ylabel="ordered, standardised")
    return ax.scatter(one.theoretical, one.sample, **{"s": 12, "linewidths": 0, "alpha": 0.75} | looks)
