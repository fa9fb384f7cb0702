"""The way from results to their pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from henderson.results.base import FittedModel

if TYPE_CHECKING:
    from henderson.results.plot_accessor import PlotAccessor


class PlotMethods(FittedModel):
    """plot."""

    @property
    def plot(self) -> PlotAccessor:
        """Pictures of the fit (they need matplotlib): ``results.plot()``, ``results.plot.ranef()``, …

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.plot().shape, fit.plot.effects("Days").get_xlabel()
        ((2, 2), 'Days')
        """
        from henderson.results.plot_accessor import PlotAccessor

        return PlotAccessor(self)
