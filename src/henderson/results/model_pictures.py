"""Pictures of what a model says: `results.plot.effects`, `ranef`, `fits`, `varcorr`, `profile`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from henderson.arguments import probability
from henderson.errors import NotAvailable
from henderson.plots import caterpillar, effects, fits, profile, varcorr
from henderson.results.pictures import Pictures, given, handed
from henderson.typing import (
    Adjust,
    AnyFigure,
    BootstrapInterval,
    BootstrapKind,
    Ddf,
    IntervalMethod,
    Label,
    ManyAxes,
    Seed,
    Side,
    Values,
    Weights,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ModelPictures(Pictures):
    """effects, ranef, fits, varcorr, profile."""

    def effects(
        self,
        specs: str,
        by: str | Sequence[str] | None = None,
        *,
        panels: str | Sequence[str] | None = None,
        data: bool = False,
        at: Values | None = None,
        weights: Weights = "equal",
        ddf: Ddf | None = None,
        level: float = 0.95,
        adjust: Adjust = "none",
        side: Side = "two-sided",
        delta: float = 0.0,
        null: float = 0.0,
        type: Literal["link", "response"] = "link",
        bias_adjust: bool = False,
        sigma: float | None = None,
        ax: Axes | None = None,
        axes: ManyAxes | None = None,
        fig: AnyFigure | None = None,
    ) -> Axes | np.ndarray:
        """Marginal means with their intervals: at the levels of a factor, or along a covariate.

        Parameters
        ----------
        specs : str
            The factor or the covariate.
        by : str or sequence of str, optional
            Variables whose combinations are told apart by colour; a covariate is at its mean and a standard deviation
            to either side, unless `at` has its values.
        panels : str or sequence of str, optional
            Further variables, whose combinations have a panel each.
        data : bool
            Whether to show the data behind the means.
        at, weights, ddf, level, adjust, side, delta, null, type, bias_adjust, sigma
            As for `emmeans`; with ``type="response"`` means and data are on the scale of the response before it was
            transformed.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.
        axes : array of matplotlib Axes, optional
            With `panels`: one a panel.
        fig : matplotlib Figure or SubFigure, optional
            With `panels`: where to make them.

        Returns
        -------
        matplotlib Axes, or with `panels` an array of them

        Examples
        --------
        >>> import henderson
        >>> cake = henderson.datasets.load("cake")
        >>> fit = henderson.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", cake)
        >>> ax = fit.plot.effects("temp", by="recipe", data=True)
        >>> ax.get_xlabel(), ax.get_ylabel(), ax.get_legend().get_title().get_text()
        ('temp', 'angle', 'recipe')
        """
        from henderson.means.effects import effect
        from henderson.means.series import quantity_of

        fit = self._results.engine
        if data:
            fit.observed_for("plot.effects(data=True)")

        def means_of(names: Sequence[str], values: Mapping[str, Any]) -> Any:
            return self._results.emmeans(
                names, at=values, weights=weights, ddf=ddf, level=level, adjust=adjust, side=side, delta=delta,
                null=null, type=type, bias_adjust=bias_adjust, sigma=sigma,
            )  # fmt: skip

        rows = fit.observed if fit.has_rows else None
        found = effect(fit.design, rows, means_of, specs, by=by, panels=panels, at=at, data=data)
        name = quantity_of(found.means)
        if panels:
            return effects.draw_panels(found.panels, found.along, name, found.title, axes=given(ax, axes), fig=fig)
        if axes is not None or fig is not None:
            raise ValueError("axes= and fig= go with panels=; one picture takes ax=")
        (one,) = found.panels
        return effects.draw(one.series, found.along, one.raw, name, found.title, ax)

    def ranef(
        self,
        group: str | None = None,
        effects: str | Sequence[str] | None = None,
        *,
        kind: Literal["caterpillar", "pairs"] = "caterpillar",
        level: float = 0.95,
        sort: bool = True,
        ax: ManyAxes | None = None,
        axes: ManyAxes | None = None,
        fig: AnyFigure | None = None,
    ) -> Axes | np.ndarray:
        """Conditional modes of the random effects with intervals by their conditional standard deviations.

        Parameters
        ----------
        group : str, optional
            A grouping factor; all by default.
        effects : str or sequence of str, optional
            Which of its effects; all by default.
        kind : {"caterpillar", "pairs"}
            A panel an effect, its levels in order; or a panel for each two effects of a factor, against each other.
        level : float
            Of the intervals.
        sort : bool
            False: levels in their own order, the first at the top.
        ax, axes : matplotlib Axes or array of them, optional
            One a panel.
        fig : matplotlib Figure or SubFigure, optional
            Where to make them; by default a new figure.

        Returns
        -------
        array of matplotlib Axes (`ax` itself, where it is one)

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> [ax.get_title() for ax in fit.plot.ranef()]
        ['(Intercept) by Subject', 'Days by Subject']
        """
        if kind not in ("caterpillar", "pairs"):
            raise ValueError(f"kind must be 'caterpillar' or 'pairs', not {kind!r}")
        modes = self._modes(group, effects, level)
        if kind == "caterpillar":
            return handed(caterpillar.draw(modes, level, sort=sort, axes=given(ax, axes), fig=fig), ax)
        if all(first.group != second.group for k, second in enumerate(modes) for first in modes[:k]):
            raise ValueError("kind='pairs' needs a factor with two effects or more; these have one each")
        return handed(caterpillar.draw_pairs(modes, axes=given(ax, axes), fig=fig), ax)

    def _modes(self, group: str | None, wanted: str | Sequence[str] | None, level: float) -> list[caterpillar.Modes]:
        from henderson.numerics.distributions import t_quantile
        from henderson.prediction.level_effects import modes_by_factor, sds_by_factor

        level = probability(level, "level")
        self._results.engine.refuse_negative("plot.ranef()")
        modes, sds = modes_by_factor(self._results.engine), sds_by_factor(self._results.engine)
        if not modes:
            raise NotAvailable("plot.ranef(): the model has no random effects")
        if group is not None and group not in modes:
            raise ValueError(f"group: no random effects vary by {group!r}; there are {', '.join(modes)}")
        factors = list(modes) if group is None else [group]
        known = list(dict.fromkeys(str(name) for factor in factors for name in modes[factor].columns))
        asked = [wanted] if isinstance(wanted, str) else known if wanted is None else list(wanted)
        for name in asked:
            if name not in known:
                raise ValueError(f"effects: there is no random effect {name!r}; there are {', '.join(known)}")
        z = float(t_quantile((1 + level) / 2, np.inf))
        return [
            caterpillar.Modes(factor, str(name), list(modes[factor].index), column, z * sd)
            for factor in factors
            for name, column, sd in zip(modes[factor].columns, modes[factor].to_numpy().T, sds[factor].to_numpy().T)
            if str(name) in asked
        ]

    def fits(
        self,
        by: str | None = None,
        x: str | None = None,
        *,
        lines: str | Sequence[str] | None = None,
        levels: Sequence[Label] | None = None,
        most: int = 24,
        ax: ManyAxes | None = None,
        axes: ManyAxes | None = None,
        fig: AnyFigure | None = None,
    ) -> Axes | np.ndarray:
        """Data and lines level by level, as lattice has them: a panel each, with everyone's line and the level's own.

        Lines are means over the rows of the level, all with the same x. The level's own has its random effects, and
        those of factors around it; random effects of crossed factors are zero.

        Parameters
        ----------
        by : str, optional
            A grouping factor; by default the first in the tables.
        x : str, optional
            A variable of the fixed part to draw along; by default a covariate whose slope varies by level, else
            another that varies within levels.
        lines : str or sequence of str, optional
            Factors whose levels have lines of their own; by default those that vary within levels, while few. Empty:
            none.
        levels : sequence of labels, optional
            Which levels to show.
        most : int
            Otherwise: how many. They are spread over the ranks of the factor's first random effect.
        ax, axes : array of matplotlib Axes, optional
            One a level.
        fig : matplotlib Figure or SubFigure, optional
            Where to make them; by default a new figure.

        Returns
        -------
        array of matplotlib Axes, one a level

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> len(fit.plot.fits("Subject", levels=[308, 335]))
        2
        """
        from henderson.prediction import level_lines as of

        fit = self._results.engine
        rows = fit.observed_for("plot.fits()")
        factors, known = of.grouping_factors(fit.design, rows), of.variables(fit.design, rows)
        by = next(iter(self._results.ngrps or factors), None) if by is None else fit.design.group_called(by)
        if by not in factors:
            raise ValueError(f"by: {by!r} is not a grouping factor; there are {', '.join(factors) or 'none'}")
        if x is not None and x not in known:
            raise ValueError(f"x: the fixed part has no variable {x!r}; it has {', '.join(known) or 'none'}")
        if most < 1:
            raise ValueError(f"most must be a number of panels, not {most!r}")
        factor = factors[by]
        along = of.best_variable(fit.design, rows, factor) if x is None else known[x]
        names = [lines] if isinstance(lines, str) else lines
        series = of.series_factor(fit.design, rows, factor, along, names)
        chosen = of.spread_levels(fit, factor, most) if levels is None else _codes_of(levels, factor)
        found = of.level_lines(fit, rows, factor, chosen, along, series)
        shown = []
        for code, own in zip(chosen, found):
            here = factor.codes == code
            each = [(line.series, line.x, line.population, line.own) for line in own]
            shown.append(fits.Panel(factor.levels[code], along.values[here], rows.y[here], series.codes[here], each))
        drawn = fits.draw(
            shown,
            effects.Along(along.name, None if along.levels is None else list(along.levels)),
            list(series.levels),
            (by, fit.design.y_name),
            axes=given(ax, axes),
            fig=fig,
        )
        return handed(drawn, ax)

    def profile(
        self,
        which: str | Sequence[str] | None = None,
        *,
        absolute: bool = False,
        level: float = 0.99,
        reml: bool = False,
        ax: ManyAxes | None = None,
        axes: ManyAxes | None = None,
        fig: AnyFigure | None = None,
    ) -> Axes | np.ndarray:
        """Likelihood profiles: the signed root ζ of the change in deviance, straight where Wald's intervals are right.

        Parameters
        ----------
        which, level, reml
            As for `profile`; a parameter a panel.
        absolute : bool
            `|ζ|`.
        ax, axes : matplotlib Axes or array of them, optional
            One a parameter.
        fig : matplotlib Figure or SubFigure, optional
            Where to make them; by default a new figure.

        Returns
        -------
        array of matplotlib Axes (`ax` itself, where it is one)

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> [ax.get_title() for ax in fit.plot.profile(["sigma", "Days"])]
        ['sigma', 'Days']
        """
        curves = self._results.profile(which, level=level, reml=reml).named_curves()
        return handed(profile.draw(curves, absolute, axes=given(ax, axes), fig=fig), ax)

    def varcorr(
        self,
        *,
        method: IntervalMethod = "wald",
        level: float = 0.95,
        transform: bool | None = None,
        reml: bool | None = None,
        n: int | None = None,
        interval: BootstrapInterval | None = None,
        kind: BootstrapKind | None = None,
        seed: Seed | None = None,
        within: bool | None = None,
        progress: bool | None = None,
        ax: ManyAxes | None = None,
        axes: ManyAxes | None = None,
        fig: AnyFigure | None = None,
    ) -> Axes | np.ndarray:
        """Standard deviations and correlations of the random effects with their intervals, a panel for each unit.

        A hollow mark has no interval by the method: a variance of zero has no Wald interval, for one.

        Parameters
        ----------
        method : {"wald", "profile", "boot"}
            Of the intervals.
        level : float
        transform, reml, n, interval, kind, seed, within, progress : optional
            Of the method, as for `conf_int`.
        ax, axes : matplotlib Axes or array of them, optional
            One a unit.
        fig : matplotlib Figure or SubFigure, optional
            Where to make them; by default a new figure.

        Returns
        -------
        array of matplotlib Axes (`ax` itself, where it is one)

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> len(fit.plot.varcorr())
        3
        """
        from henderson.intervals.blocks import blocks

        given_options = {
            "transform": transform, "reml": reml, "n": n, "interval": interval, "kind": kind, "seed": seed,
            "within": within, "progress": progress,
        }  # fmt: skip
        options = {name: value for name, value in given_options.items() if value is not None}
        found = blocks(self._results.engine, self._results.inference, method, level, options)
        return handed(varcorr.draw(found, axes=given(ax, axes), fig=fig), ax)


def _codes_of(levels: Sequence[Any], factor: Any) -> np.ndarray:
    """Codes of levels by their labels, or by the text of their labels."""
    if isinstance(levels, str):
        levels = [levels]
    text = {str(label): k for k, label in enumerate(factor.levels)}
    for label in levels:
        if str(label) not in text:
            raise ValueError(f"levels: {factor.name!r} has no level {label!r}")
    return np.array([text[str(label)] for label in levels], dtype=np.intp)
