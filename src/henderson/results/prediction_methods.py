"""The methods on results for what the model says of rows: its own, and new ones."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from henderson.results.base import FittedModel

FloatArray = np.ndarray


class PredictionMethods(FittedModel):
    """fittedvalues, resid, predict, simulate."""

    @cached_property
    def fittedvalues(self) -> pd.Series:
        """Xβ + Zb, and the offset; (n,), with the labels of the rows."""
        from henderson.prediction.fitted import fitted_values

        return self._by_row(fitted_values(self.engine))

    @cached_property
    def resid(self) -> pd.Series:
        """Response less fitted values."""
        return self._by_row(self.engine.rows_for("resid").y - np.asarray(self.fittedvalues))

    def predict(
        self,
        exog: Any = None,
        transform: bool = True,
        *,
        random: bool = False,
        new_levels: Literal["raise", "zero"] = "raise",
        groups: Any = None,
        exog_re: Any = None,
        offset: Any = None,
    ) -> pd.Series | FloatArray:
        """The mean without random effects, or with them.

        Parameters
        ----------
        exog : table or (m, k_fe) array_like, optional
            New data: for a model made by a formula a table of its variables.
        transform : bool
            False: `exog` holds the columns of the design as they are.
        random : bool
            Add the conditional modes of the rows' levels (lme4's default). An offset is part of the mean in any case.
        new_levels : {"raise", "zero"}
            With `random`: what to do with levels that the fit does not have. Labels of another type than the fit's
            (text for numbers) raise in any case.
        groups : (m,) array_like, optional
            With `random`: label of each row, when the groups were given as an array.
        exog_re : (m, k_re) array_like, optional
            With `random`: the columns that vary by group, for a model made of arrays.
        offset : (m,) array_like, optional
            Known part of the mean, when it was given as an array.

        Returns
        -------
        (m,) Series or array
            A Series when there is an index.

        Raises
        ------
        DataError
            New data lack a variable, or have a level that the fit does not know.

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
        >>> fit.predict(new).round(1).tolist(), fit.predict(new, random=True).round(1).tolist()
        ([377.0], [489.7])
        """
        from henderson.prediction.new_rows import predict_new

        beta = np.nan_to_num(np.asarray(self.engine.beta))
        if exog is None:
            if random:
                return self.fittedvalues
            return self._by_row(self.engine.rows_for("predict() without new data").mean(beta))
        predicted = predict_new(
            self.engine,
            beta,
            exog,
            random=random,
            new_levels=new_levels,
            groups=groups,
            exog_re=exog_re,
            offset=offset,
            transform=transform,
        )
        index = getattr(exog, "index", None)
        return pd.Series(predicted, index=index) if isinstance(index, pd.Index) else predicted

    def simulate(
        self,
        n: int = 1,
        newdata: Any = None,
        *,
        re: Literal["new", "same"] = "new",
        weights: Any = None,
        offset: Any = None,
        groups: Any = None,
        exog_re: Any = None,
        seed: Any = None,
    ) -> Any:
        """Responses drawn from the fitted model, for its own rows or for new ones.

        They are on the scale of the model: of log(y), where that is the response. Variances and fixed effects are taken
        as they were estimated.

        Parameters
        ----------
        n : int
            How many draws.
        newdata : table or (m, k_fe) array_like, optional
            New rows, as for `predict`. They serve also when the fit's own rows were let go.
        re : {"new", "same"}
            Random effects of all levels drawn anew in each draw; or the conditional modes of the levels that the fit
            knows, and those of other levels drawn. Rows that share a label share its effects.
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
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
            raise ValueError(f"n must be a number of draws, not {n!r}")
        if re not in ("new", "same"):
            raise ValueError(f"re must be 'new' or 'same', not {re!r}")
        beside = {"weights": weights, "offset": offset, "groups": groups, "exog_re": exog_re}
        names = [f"sim_{k + 1}" for k in range(n)]
        if newdata is None:
            from henderson.engine.many.draws import simulate

            if given := [name for name, values in beside.items() if values is not None]:
                raise ValueError(f"{given[0]}= goes with newdata=; the fit's own rows have theirs")
            return self._by_row(simulate(self.engine, int(n), seed, re), names)
        from henderson.prediction.simulated import simulate_new
        from henderson.sources.frames import like

        if isinstance(newdata, int | np.integer):
            raise ValueError(f"newdata must be a table, not {newdata!r}; a seed is given as seed=")
        drawn = simulate_new(self.engine, newdata, int(n), re=re, **beside, seed=seed)
        return like(newdata, drawn, names)
