"""The picture of a profile: ζ against each parameter, with nested intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from scipy.special import ndtri

#: levels of the intervals drawn
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.99)


class Curve(Protocol):
    """What is drawn: ζ of a parameter, both ways, and where the profile reaches."""

    @property
    def values(self) -> np.ndarray:
        """The parameter at the points of the profile, (m,)."""

    def zeta(self, value: np.ndarray) -> np.ndarray:
        """ζ at values of the parameter."""

    def value(self, zeta: np.ndarray) -> np.ndarray:
        """The parameter at values of ζ."""


def draw(curves: Sequence[tuple[str, Curve]], absolute: bool) -> Any:
    """One panel a parameter; straight lines are parameters whose Wald intervals are right."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install henderson[plot]") from error
    wide = min(len(curves), 4)
    deep = -(-len(curves) // wide)
    figure = Figure(figsize=(3.0 * wide, 2.6 * deep), layout="constrained")
    for i, (name, curve) in enumerate(curves):
        axis = figure.add_subplot(deep, wide, i + 1)
        values = np.linspace(curve.values[0], curve.values[-1], 200)
        zeta = curve.zeta(values)
        axis.plot(values, np.abs(zeta) if absolute else zeta, lw=1.4)
        for level in LEVELS:
            z = float(ndtri((1 + level) / 2))
            lower, upper = curve.value(np.array([-z, z]))
            ends = [(x, y) for x, y in ((lower, -z), (upper, z)) if np.isfinite(x)]
            for x, y in ends:
                axis.plot([x, x], [0, abs(y) if absolute else y], color="0.6", lw=0.8)
        axis.axhline(0, color="0.6", lw=0.8)
        axis.set_title(name, fontsize="small")
    figure.supylabel("|ζ|" if absolute else "ζ")
    return figure
