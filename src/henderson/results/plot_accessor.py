"""`results.plot`: each picture is a method, which asks the results for numbers and hands them to `henderson.plots`."""

from __future__ import annotations

from henderson.arguments import plain_options
from henderson.results.check_pictures import CheckPictures
from henderson.results.model_pictures import ModelPictures


@plain_options
class PlotAccessor(ModelPictures, CheckPictures):
    """Pictures of a fit.

    Each takes `ax` (or `axes` and `fig`, where there are several panels) and returns what it drew on. Names are those
    of the data. Above 10,000 points clouds are drawn as hexagons, or in bins.

    Parameters
    ----------
    results : MixedModelResults

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> fit.plot
    Pictures: plot(), plot.effects(), plot.ranef(), plot.fits(), ...
    """

    def __repr__(self) -> str:
        names = [name for one in (ModelPictures, CheckPictures) for name in vars(one) if not name.startswith("_")]
        return "Pictures: plot(), " + ", ".join(f"plot.{name}()" for name in names)
