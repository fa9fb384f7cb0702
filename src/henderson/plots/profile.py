"""The picture of a profile: ζ against each parameter, with nested intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from scipy.special import ndtri

from henderson.plots.canvas import colour, names_are_text, needed, panels
from henderson.plots.labels import set_title

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


#: inches of a panel
SIZE = (3.0, 2.6)


def figure(curves: Sequence[tuple[str, Curve]], absolute: bool) -> Any:
    """The picture as a matplotlib Figure that pyplot does not know: notebooks show it once, where it is returned."""
    needed()
    from matplotlib.figure import Figure

    wide = min(len(curves), 4)
    fig = Figure(figsize=(SIZE[0] * wide, SIZE[1] * -(-len(curves) // wide)), layout="constrained")
    draw(curves, absolute, fig=fig)
    return fig


@names_are_text
def draw(curves: Sequence[tuple[str, Curve]], absolute: bool, *, axes: Any = None, fig: Any = None) -> np.ndarray:
    """One panel a parameter; straight lines are parameters whose Wald intervals are right.

    Returns
    -------
    array of Axes, one a parameter
    """
    found = panels(len(curves), 4, axes=axes, fig=fig, size=SIZE)
    for ax, (name, curve) in zip(found, curves):
        values = np.linspace(curve.values[0], curve.values[-1], 200)
        zeta = curve.zeta(values)
        ax.plot(values, np.abs(zeta) if absolute else zeta, lw=1.6, color=colour(0))
        for level in LEVELS:
            z = float(ndtri((1 + level) / 2))
            lower, upper = curve.value(np.array([-z, z]))
            ends = [(x, y) for x, y in ((lower, -z), (upper, z)) if np.isfinite(x)]
            for x, y in ends:
                ax.plot([x, x], [0, abs(y) if absolute else y], color="0.6", lw=0.8)
        ax.axhline(0, color="0.6", lw=0.8)
        set_title(ax, name, "small")
        ax.set_ylabel("|ζ|" if absolute else "ζ")
    return found
