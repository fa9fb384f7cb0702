"""The report's pictures: drawn by `results.plot` on figures of their own, and held in the page as SVG."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from henderson.engine.residual.fit import StructuredFit, has_negative
from henderson.errors import NotAvailable
from henderson.means.grid import model_terms, reference_grid
from henderson.plots.canvas import needed
from henderson.prediction.level_effects import modes_by_factor
from henderson.prediction.level_lines import grouping_factors, variables
from henderson.report.document.page import text

#: pictures of effects, panels of levels; factors with more levels than this have no caterpillar
MOST_EFFECTS, MOST_PANELS, MOST_LEVELS = 4, 3, 100
#: rows above which data are not drawn point by point behind an effect
MOST_ROWS = 10_000


def figure(draw: Callable[[Any], Any], caption: str, size: tuple[float, float]) -> str:
    """A picture with its caption.

    Parameters
    ----------
    draw : callable
        Draws on the figure that it is given.
    caption : str
    size : tuple of two floats
        In inches.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with rc_context({"text.parse_math": False}):  # a level called "$5" or "a_$b$" is a name, not mathematics
        canvas = Figure(figsize=size, layout="constrained")
        draw(canvas)
        canvas.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    wide = f"{96 * size[0]:.0f}"
    image = f'<img width="{wide}" alt="{text(caption)}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure>{image}<figcaption>{text(caption)}</figcaption></figure>"


def pictures(results: Any) -> str:
    """All pictures of a fit, as HTML.

    Parameters
    ----------
    results : MixedModelResults
        With its rows.
    """
    needed()
    return "\n".join([*_effects(results), *_levels(results), *_modes(results), *_series(results), _check(results)])


def _effects(results: Any) -> Iterator[str]:
    """Means along each variable of the fixed part, the first few."""
    if results.design.specs is None:
        return
    known = model_terms(results.design).levels
    for name in list(reference_grid(results.design).values)[:MOST_EFFECTS]:
        data = results.nobs <= MOST_ROWS
        what = "Marginal means" if name in known else "Mean"
        caption = f"{what} of {results.design.y_name} by {name} with 95 % confidence limits"
        caption += ", other variables held or averaged" + (", and the data." if data else ".")
        yield figure(partial(_effect, results, name, data), caption, (6.4, 4.2))


def _effect(results: Any, name: str, data: bool, fig: Any) -> None:
    results.plot.effects(name, data=data, ax=fig.subplots())


def _levels(results: Any) -> Iterator[str]:
    """Data and lines of a few levels of the first grouping factor."""
    fit = results.engine
    rows = fit.observed_for("report()")
    by = next(iter(grouping_factors(fit.design, rows)), None)
    if by is None or not variables(fit.design, rows):
        return
    yield figure(
        lambda fig: results.plot.fits(by, most=MOST_PANELS, fig=fig),
        f"Some levels of {by}: the data, the line of the population, and the level's own.",
        (7.6, 2.8),
    )


def _modes(results: Any) -> Iterator[str]:
    """A caterpillar for each grouping factor that has not too many levels."""
    if isinstance(results.engine, StructuredFit) and has_negative(results.engine):
        return  # effects with a negative variance have no spread
    for group, modes in modes_by_factor(results.engine).items():
        if len(modes) <= MOST_LEVELS:
            tall = max(2.6, 0.17 * len(modes) + 1.0)
            wide = min(2.2 + 2.6 * modes.shape[1], 9.0)
            yield figure(
                partial(_caterpillar, results, group),
                f"Random effects of the levels of {group} with 95 % intervals, in order.",
                (wide, tall),
            )


def _caterpillar(results: Any, group: str, fig: Any) -> None:
    results.plot.ranef(group, fig=fig)


def _series(results: Any) -> Iterator[str]:
    """Correlations within a series, of a model whose residuals have a structure."""
    residual, fit = results.design.residual, results.engine
    # without random effects they are among the checks
    if not isinstance(fit, StructuredFit) or residual is None or not results.design.terms or not fit.tells_of_rows:
        return
    try:
        results.autocorrelation()
    except NotAvailable:
        return
    caption = f"Correlation of the residuals of one {residual.group} by distance: as seen, and as the model has it."
    yield figure(lambda fig: results.plot.autocorrelation(ax=fig.subplots()), caption, (5.6, 3.6))


def _check(results: Any) -> str:
    last = "residuals and random effects"
    if results.design.residual is not None and not results.design.terms:
        last = "whitened residuals, and the correlations within a series"
    return figure(
        lambda fig: results.plot(fig=fig),
        f"Residuals against fitted values, their spread, and normal quantiles of {last}: "
        "a shapeless cloud and points within the bands are what the model expects.",
        (7.6, 6.0),
    )
