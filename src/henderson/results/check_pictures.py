"""Pictures that check a model: `results.plot()`, `results.plot.residuals`, `influence`, `autocorrelation`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from henderson.design.variance_parameters import lme4_order
from henderson.engine.residual.fit import StructuredFit, has_negative
from henderson.errors import NotAvailable
from henderson.plots import autocorrelation, check, influence, qq, residuals
from henderson.results.pictures import Pictures, given, handed
from henderson.typing import AnyFigure, ColumnLike, ManyAxes, ResidualKind, ResidualLevel, Seed

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class CheckPictures(Pictures):
    """The first look, residuals, influence, autocorrelation."""

    def __call__(
        self, *, ax: ManyAxes | None = None, axes: ManyAxes | None = None, fig: AnyFigure | None = None
    ) -> np.ndarray:
        """The first look at a fit: residuals against fitted values, their spread, their quantiles, those of the modes.

        The band of a quantile plot holds each point of a normal sample with 95 % probability; in that of the random
        effects it is for the factor with the fewest levels. Where residuals correlate their quantiles are of
        the whitened ones, and without random effects the last panel has their correlations within series.

        Parameters
        ----------
        ax, axes : (2, 2) array of matplotlib Axes, optional
        fig : matplotlib Figure or SubFigure, optional
            Where to make them; by default a new figure.

        Returns
        -------
        (2, 2) array of matplotlib Axes

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.plot()[0, 0].get_ylabel()
        'residual of Reaction'
        """
        from henderson.diagnostics.normal_quantiles import normal_quantiles
        from henderson.diagnostics.standardised_modes import standardised_modes

        fit, design = self._results.engine, self._results.design
        fit.observed_for("plot()")
        structured = isinstance(fit, StructuredFit)
        whitened = isinstance(fit, StructuredFit) and fit.tells_of_rows
        scaled = np.asarray(self._results.residuals("pearson"))
        left = np.asarray(self._results.residuals("raw")) if structured else scaled * fit.sigma
        shape = np.asarray(self._results.residuals("scaled", "marginal")) if whitened else scaled
        no_effects = isinstance(fit, StructuredFit) and has_negative(fit)  # a negative variance has none
        modes, by_term = {}, () if no_effects else standardised_modes(fit)
        for k in () if no_effects else lme4_order(design.terms):
            term = design.terms[k]
            for name, column in zip(term.names, by_term[k].T):
                if np.isfinite(column).any():
                    modes[f"{name} by {term.group}"] = normal_quantiles(column, most=qq.MOST)
        name = "√weight · residual" if design.weighted and not structured else "residual"
        found = check.draw(
            np.asarray(self._results.fittedvalues),
            left,
            scaled,
            normal_quantiles(shape, most=qq.MOST),
            modes,
            response=design.y_name,
            residual=f"{name} of {design.y_name}",
            shape_of="whitened residual" if whitened else "standardised residual",
            last=self._instead_of_modes() if whitened and not design.terms else None,
            axes=given(ax, axes),
            fig=fig,
        )
        return found

    def _instead_of_modes(self) -> Callable[[Any], Any] | None:
        """What the last panel has of a model without random effects whose residuals correlate; None where no series has
        two rows."""
        try:
            table = self._results.autocorrelation()
        except NotAvailable:
            return None
        return lambda ax: self._correlations(table, ax)

    def _correlations(self, table: Any, ax: Any) -> Any:
        columns = (table[name].to_numpy(float) for name in ("observed", "expected", "se"))
        group, along = self._results.design.residual.group, str(table.index.name)
        return autocorrelation.draw(table.index.to_numpy(float), *columns, group=group, along=along, ax=ax)

    def autocorrelation(self, *, ax: Axes | None = None) -> Axes:
        """Correlations of the residuals within a series by distance, and the line of the model's.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib Axes

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.mmrm("FEV1 ~ ARMCD * AVISIT + ar1h(AVISIT | USUBJID)", henderson.datasets.load("fev"))
        >>> ax = fit.plot.autocorrelation()
        >>> ax.get_xlabel(), ax.get_title()
        ('visits apart', 'Residuals of one USUBJID')
        """
        return self._correlations(self._results.autocorrelation(), ax)

    def residuals(
        self,
        x: str | None = None,
        *,
        kind: ResidualKind = "raw",
        level: ResidualLevel | None = None,
        n: int = 1000,
        seed: Seed | None = None,
        ax: Axes | None = None,
    ) -> Axes:
        """Residuals against the fitted values, or against a variable.

        Parameters
        ----------
        x : str, optional
            A variable of the fixed part, or a grouping factor (boxes); by default the fitted values, without random
            effects for marginal residuals.
        kind, level, n, seed
            As for `residuals`: what is divided by, what is subtracted.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure.

        Returns
        -------
        matplotlib Axes

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> ax = fit.plot.residuals("Days")
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('Days', 'residual of Reaction')
        """
        from henderson.prediction.level_lines import grouping_factors, variables

        fit = self._results.engine
        rows = fit.observed_for("plot.residuals()")
        known, factors = variables(fit.design, rows), grouping_factors(fit.design, rows)
        if x is not None and x not in known and x not in factors:
            there = ", ".join(dict.fromkeys([*known, *factors]))
            raise ValueError(f"x: the model has no variable or grouping factor {x!r}; it has {there}")
        values = np.asarray(self._results.residuals(kind, level, n=n, seed=seed))
        name = f"residual of {fit.design.y_name}" if kind == "raw" else f"{kind} residual"
        middle = 0.5 if kind == "quantile" else 0.0
        if x is None:
            marginal = level == "marginal" or (level is None and kind == "quantile")
            fitted = rows.mean(fit.beta, fit.kept) if marginal else np.asarray(self._results.fittedvalues)
            label = f"fitted {fit.design.y_name}" + (", without random effects" if marginal else "")
            return residuals.against_numbers(fitted, values, label, name, ax, middle)
        if x in known:
            one = known[x]
            if one.levels is None:
                return residuals.against_numbers(one.values, values, x, name, ax, middle)
            codes, levels = one.values.astype(np.intp), list(one.levels)
        else:
            codes, levels = factors[x].codes, list(factors[x].levels)
        return residuals.against_levels(codes, levels, values, x, name, ax, middle)

    def influence(
        self,
        by: ColumnLike | None = None,
        statistics: str | Sequence[str] = "cooks",
        *,
        exact: bool | None = None,
        named: int = 5,
        ax: ManyAxes | None = None,
        axes: ManyAxes | None = None,
        fig: AnyFigure | None = None,
    ) -> Axes | np.ndarray:
        """What each row, or each level of a factor, does to the fit.

        Parameters
        ----------
        by, exact
            As for `influence`.
        statistics : str or sequence of str
            Columns of its table, a panel each: ``"cooks"``, ``"mdffits"``, ``"covratio"``, ``"dfbetas[x]"``, ….
        named : int
            How many of the largest are named.
        ax, axes : matplotlib Axes or array of them, optional
            One a statistic.
        fig : matplotlib Figure or SubFigure, optional
            Where to make them; by default a new figure.

        Returns
        -------
        array of matplotlib Axes (`ax` itself, where it is one)

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> [ax.get_ylabel() for ax in fit.plot.influence("Subject", ["cooks", "dfbetas[Days]"])]
        ['cooks', 'dfbetas[Days]']
        """
        from henderson.diagnostics.influence import measure_names

        fit = self._results.engine
        fit.observed_for("plot.influence()")
        asked = [statistics] if isinstance(statistics, str) else list(statistics)
        known = measure_names(fit, exact is not False)
        for name in asked:
            if name not in known:
                raise ValueError(f"statistics: there is no {name!r}; there are {', '.join(known)}")
        table = self._results.influence(by, exact)
        for name in asked:
            if name not in table:
                raise ValueError(f"statistics: {name!r} of so many fits takes long, and needs exact=True")
        shown = [influence.Statistic(name, table[name].to_numpy(float), float(name == "covratio")) for name in asked]
        case = "row" if by is None else by if isinstance(by, str) else str(table.index.name or "group")
        drawn = influence.draw(shown, list(table.index), case, named=named, axes=given(ax, axes), fig=fig)
        return handed(drawn, ax)
