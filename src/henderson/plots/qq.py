"""Normal quantiles: an ordered sample against what a normal one of its size would be, with the band of its limits."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from henderson.plots.binning import some_ranks
from henderson.plots.canvas import INK, PALE

#: points shown of a sample
MOST = 2000


class Ordered(Protocol):
    """An ordered sample: see `diagnostics.normal_quantiles`."""

    @property
    def theoretical(self) -> np.ndarray:
        """Quantiles of the normal distribution, (n,)."""

    @property
    def sample(self) -> np.ndarray:
        """The sample in order, (n,)."""

    @property
    def lower(self) -> np.ndarray:
        """Lower limits of each, were the sample standard normal, (n,)."""

    @property
    def upper(self) -> np.ndarray:
        """Upper limits, (n,)."""


def draw(ax: Any, one: Ordered, *, band: bool = True, **looks: Any) -> Any:
    """Points of one sample; the line of equality and the band are drawn once."""
    show = some_ranks(len(one.sample), MOST)
    if band:
        x = one.theoretical[show]
        ax.fill_between(x, one.lower[show], one.upper[show], color=PALE, alpha=0.5, lw=0, zorder=0)
        ax.axline((0, 0), slope=1, color=INK, lw=0.9, ls="--", zorder=1)
    ax.set(xlabel="normal quantile", ylabel="ordered, standardised")
    return ax.scatter(one.theoretical[show], one.sample[show], **{"s": 12, "linewidths": 0, "alpha": 0.75} | looks)
