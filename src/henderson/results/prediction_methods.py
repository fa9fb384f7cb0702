"""The methods on results for what the model says of rows: its own, and new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from henderson.results.base import FittedModel
from henderson.typing import AnyFrame, ByName, ColumnLike, Ddf, Label, Seed, TableLike, Variances

if TYPE_CHECKING:
    from henderson.prediction.predict import Predictor
    from henderson.prediction.statsmodels_prediction import PredictionResults

FloatArray = np.ndarray


class PredictionMethods(FittedModel):
    """fittedvalues, resid, predict, simulate."""

    @cached_property
    def fittedvalues(self) -> pd.Series:
        """Xβ + Zb, and the offset; (n,), with the labels of the rows. Of rows that were read in parts: an iterable of
        arrays, one a part (`numpy.asarray` puts them together).

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.fittedvalues.head(2).round(2).to_dict()
        {0: 253.66, 1: 273.33}
        """
        if self.engine.streamed is not None:
            return self._row_stream(".fitted")
        from henderson.prediction.fitted import fitted_values

        return self._by_row(fitted_values(self.engine))

    @cached_property
    def resid(self) -> pd.Series:
        """Response less fitted values.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.resid.head(2).round(2).to_dict()
        {0: -4.1, 1: -14.63}
        """
        if self.engine.streamed is not None:
            return self._row_stream(".resid")
        return self._by_row(self.engine.observed_for("resid").y - np.asarray(self.fittedvalues))

    def _row_stream(self, column: str) -> Any:
        from henderson.prediction.parts import RowStream

        return RowStream(self.engine, self.engine.streamed.source, column)

    def predict(
        self,
        newdata: TableLike | ArrayLike | None = None,
        transform: bool = True,
        *,
        re: Literal["all", "none"] | str | Sequence[str] | None = None,
        se: bool = False,
        interval: Literal["confidence", "prediction"] | None = None,
        level: float = 0.95,
        new_levels: Literal["raise", "population"] = "raise",
        ddf: Ddf | None = None,
        variance_uncertainty: bool | Literal["observed"] = True,
        method: Literal["analytic", "bootstrap"] = "analytic",
        n_boot: int = 500,
        seed: Seed | None = None,
        type: Literal["link", "response"] = "link",
        bias_adjust: bool = False,
        conditional: bool = False,
        random: bool = False,
        groups: ColumnLike | None = None,
        exog_re: ArrayLike | None = None,
        offset: ColumnLike | None = None,
        weights: ColumnLike | None = None,
        exog: TableLike | ArrayLike | None = None,
    ) -> pd.Series | FloatArray | pd.DataFrame:
        """Predictions of rows, with random effects or without, with standard errors and intervals.

        Parameters
        ----------
        newdata : table or (m, k_fe) array_like, optional
            New data: for a model made by a formula a table of its variables. By default the rows that were fitted.
        transform : bool
            False: `newdata` holds the columns of the design as they are.
        re : {"none", "all"}, str or sequence of str
            The random terms whose predicted effects are in: none (the mean, the default), all (lme4's default), or
            some: ``["(1 | item)"]`` as in the formula, or by the name of their grouping factor. ``"(1 | item)"`` is
            also a part of ``(x | item)``. An offset is part of the mean in any case.
        se : bool
            Standard errors, degrees of freedom and confidence limits, too.
        interval : {"confidence", "prediction"}, optional
            Limits for what is predicted, or for a new observation there: its own error is in, and all effects that are
            not predicted are new, those of terms that are not in `re` and of levels that the fit does not have.
        level : float
            Of the limits.
        new_levels : {"raise", "population"}
            What to do with levels that the fit does not have: refuse them; or predict them at the mean, their variance
            added to the standard error. Labels of another type than the fit's (text for numbers) raise in any case.
        ddf : str, optional
            Degrees of freedom; by default the results' own. With random terms: "satterthwaite", "kenward-roger" (and
            its kinds), "residual", "asymptotic".
        variance_uncertainty : bool or "observed"
            Count the variances as estimated: their part of the error is added to the standard error (Kackar and
            Harville's; with "observed" as these data have it, which is what TMB's delta method gives), and degrees of
            freedom are finite. False: as if they were known, with normal limits (unless `ddf` is given).
        method : {"analytic", "bootstrap"}
            From the joint covariance of all effects; or from refits of responses drawn from the fitted model, whose
            quantiles make the limits (df is NaN).
        n_boot : int
            Refits of the bootstrap.
        seed : int, SeedSequence or Generator, optional
            Of the bootstrap: the same seed gives the same limits.
        type : {"link", "response"}
            With a response that was transformed in the formula (log, log10, log2, log1p, sqrt, logit): predictions on
            that scale, or back on that of the response.
        bias_adjust : bool
            With ``type="response"``: the mean of the response and not its median, to second order.
        conditional : bool
            Of a model with a residual covariance structure: predict from what was observed of the same series (a
            patient's other visits), through the correlation of its residuals and all random effects; mmrm's
            ``conditional=TRUE``. Observed are the rows that were fitted, and those of `newdata` whose response is there
            and not missing: of new series and levels, too, for which no rows of the fit are needed. A row of `newdata`
            that was fitted counts once, and another response for it is refused. A row that was observed is predicted
            as it was.
        random : bool
            True is ``re="all"``.
        groups : (m,) array_like, optional
            With random terms: label of each row, when the groups were given as an array.
        exog_re : (m, k_re) array_like, optional
            With random terms: the columns that vary by group, for a model made of arrays.
        offset : (m,) array_like, optional
            Known part of the mean, when it was given as an array.
        weights : str or (m,) array_like, optional
            With ``interval="prediction"``, for a model with weights: a column of `newdata`, or values. By default what
            the model had.
        exog : optional
            statsmodels' name of `newdata`.

        Returns
        -------
        (m,) Series or array; with `se` or `interval` a table
            The table has columns estimate, se, df, lower, upper. Both are of the make of `newdata` (pandas, with its
            index; polars; pyarrow), arrays and DataFrames for others; a DataFrame has notes in ``attrs["notes"]``.

        Raises
        ------
        DataError
            New data lack a variable, or have a level that the fit does not know.
        ValueError
            An unknown random term, or option.

        Warns
        -----
        ValueWarning
            For rows that are not estimable, such as a cell without data in a fit that dropped columns: they are NaN.

        Examples
        --------
        >>> import henderson
        >>> sleepstudy = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> new = sleepstudy.iloc[[9]].assign(Days=12)
        >>> fit.predict(new).round(1).tolist(), fit.predict(new, re="all").round(1).tolist()
        ([377.0], [489.7])
        >>> fit.predict(new, re="all", interval="prediction").round(1)
           estimate    se     df  lower  upper
        9     489.7  32.8  161.0  424.8  554.5
        >>> fit.predict(new.assign(Subject=999), re="all", se=True, new_levels="population").round(1)
           estimate    se    df  lower  upper
        9     377.0  79.0  15.6  209.1  544.9
        """
        from henderson.prediction.given import Given
        from henderson.prediction.predict import COLUMNS
        from henderson.prediction.request import PredictionRequest
        from henderson.sources.frames import column_like, table_like

        rows = Given(_one_of(newdata, exog), transform, groups, exog_re, offset, weights)
        request = PredictionRequest.of(
            self.design,
            re=re,
            random=random,
            se=se,
            interval=interval,
            level=level,
            new_levels=new_levels,
            ddf=ddf,
            variance_uncertainty=variance_uncertainty,
            method=method,
            n_boot=n_boot,
            seed=seed,
            type=type,
            bias_adjust=bias_adjust,
            conditional=conditional,
        )
        found = self._predictor(rows, request)
        if not request.se:
            return self._by_row(found.estimate) if rows.newdata is None else column_like(rows.newdata, found.estimate)
        values = found.columns()
        table = self._by_row(values, COLUMNS) if rows.newdata is None else table_like(rows.newdata, values, COLUMNS)
        if isinstance(table, pd.DataFrame):
            table.attrs["notes"] = self._predictor.notes(request)
        return table

    def get_prediction(
        self,
        exog: TableLike | ArrayLike | None = None,
        transform: bool = True,
        *,
        row_labels: Sequence[Label] | pd.Index | None = None,
        re: Literal["all", "none"] | str | Sequence[str] | None = None,
        new_levels: Literal["raise", "population"] = "raise",
        ddf: Ddf | None = None,
        variance_uncertainty: bool | Literal["observed"] = True,
        random: bool = False,
        groups: ColumnLike | None = None,
        exog_re: ArrayLike | None = None,
        offset: ColumnLike | None = None,
        weights: ColumnLike | None = None,
    ) -> PredictionResults:
        """Predictions as statsmodels' other models have them.

        Parameters
        ----------
        exog : table or (m, k_fe) array_like, optional
            New data, as for `predict`.
        row_labels : sequence of m labels, optional
            Index of the tables; by default the index of the data.
        transform, re, new_levels, ddf, variance_uncertainty, random, groups, exog_re, offset, weights
            As for `predict`.

        Returns
        -------
        PredictionResults
            With `summary_frame(alpha)`, `conf_int(obs, alpha)`, `predicted_mean`, `se_mean`, `se_obs`.

        Examples
        --------
        >>> import henderson
        >>> sleepstudy = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.mixedlm("Reaction ~ Days", sleepstudy, groups="Subject").fit()
        >>> fit.get_prediction({"Days": [0, 5]}).summary_frame().round(1)
            mean  mean_se  mean_ci_lower  mean_ci_upper  obs_ci_lower  obs_ci_upper
        0  251.4      9.7          232.3          270.5         154.7         348.1
        1  303.7      9.1          286.0          321.5         207.3         400.2
        """
        from henderson.prediction.given import Given
        from henderson.prediction.request import PredictionRequest
        from henderson.prediction.statsmodels_prediction import PredictionResults
        from henderson.sources.frames import labels_of

        request = PredictionRequest.of(
            self.design,
            re=re,
            random=random,
            se=True,
            new_levels=new_levels,
            ddf=ddf,
            variance_uncertainty=variance_uncertainty,
        )
        given = Given(exog, transform, groups, exog_re, offset, weights)
        if row_labels is None:
            row_labels = self.engine.observed_for("get_prediction()").index if exog is None else labels_of(exog)
        labels = None if row_labels is None else pd.Index(row_labels)
        return PredictionResults(self._predictor, given, request, labels)

    @cached_property
    def _predictor(self) -> Predictor:
        """Predictions of this fit; what all rows share is computed once."""
        from henderson.prediction.predict import Predictor

        return Predictor(self.engine, self._inference_with)

    def simulate(
        self,
        n: int = 1,
        newdata: TableLike | ArrayLike | None = None,
        *,
        re: Literal["new", "same"] = "new",
        params: Mapping[str, ByName | Variances] | None = None,
        weights: ColumnLike | None = None,
        offset: ColumnLike | None = None,
        groups: ColumnLike | None = None,
        exog_re: ArrayLike | None = None,
        seed: Seed | None = None,
    ) -> AnyFrame | FloatArray:
        """Responses drawn from the fitted model, for its own rows or for new ones.

        They are on the scale of the model: of log(y), where that is the response. Variances and fixed effects are taken
        as they were estimated, but for those that are given.

        Parameters
        ----------
        n : int
            How many draws.
        newdata : table or (m, k_fe) array_like, optional
            New rows, as for `predict`. They serve also when the fit's own rows were let go.
        re : {"new", "same"}
            Random effects of all levels drawn anew in each draw; or the conditional modes of the levels that the fit
            knows, and those of other levels drawn. Rows that share a label share its effects.
        params : mapping, optional
            Parameters in place of the estimates: ``beta`` (by name), ``varcorr`` or ``theta``, ``sigma``, as for
            `henderson.simulate`.
        weights : str or (m,) array_like, optional
            With `newdata`, for a model with weights (Var ε = σ²/w): a column of it, or values. By default the column or
            the expression that the model had.
        offset, groups, exog_re : optional
            With `newdata`: as for `predict`.
        seed : int, SeedSequence or Generator, optional
            The same seed gives the same draws.

        Returns
        -------
        DataFrame, or (rows, n) array where the rows came as arrays
            A row for each row, with its label, and a column for each draw, ``sim_1``, ``sim_2``, …. For new rows a
            table of their kind (pandas, polars, pyarrow).

        Raises
        ------
        DataError
            New data lack a column, a grouping factor is missing in a row, or, with ``re="same"``, has labels of another
            type than the fit's.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> fit.simulate(3, seed=1).shape
        (30, 3)
        >>> fit.simulate(2, {"Batch": ["A", "new"]}, re="same", seed=1).columns.tolist()
        ['sim_1', 'sim_2']
        """
        from henderson.prediction.from_parameters import at_parameters, number_of_draws

        n, fit = number_of_draws(n), at_parameters(self.engine, params)
        if re not in ("new", "same"):
            raise ValueError(f"re must be 'new' or 'same', not {re!r}")
        beside = {"weights": weights, "offset": offset, "groups": groups, "exog_re": exog_re}
        names = [f"sim_{k + 1}" for k in range(n)]
        if newdata is None:
            from henderson.engine.many.draws import simulate

            if given := [name for name, values in beside.items() if values is not None]:
                raise ValueError(f"{given[0]}= goes with newdata=; the fit's own rows have theirs")
            return self._by_row(simulate(fit, n, seed, re), names)
        from henderson.prediction.simulated import simulate_new
        from henderson.sources.frames import like

        if isinstance(newdata, int | np.integer):
            raise ValueError(f"newdata must be a table, not {newdata!r}; a seed is given as seed=")
        drawn = simulate_new(fit, newdata, n, re=re, **beside, seed=seed)
        return like(newdata, drawn, names)


def _one_of(newdata: Any, exog: Any) -> Any:
    """New data by either of their names."""
    if newdata is not None and exog is not None:
        raise ValueError("exog= is statsmodels' name of newdata=: give one of them")
    return exog if newdata is None else newdata
