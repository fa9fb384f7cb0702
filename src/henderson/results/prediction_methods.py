"""The methods on results for what the model says of rows: its own, and new ones."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from henderson.results.base import FittedModel

FloatArray = np.ndarray


class PredictionMethods(FittedModel):
    """fittedvalues, resid, predict."""

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
