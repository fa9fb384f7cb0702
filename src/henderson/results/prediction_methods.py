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
    def fittedvalues(self) -> Any:
        """Xβ + Zb, and the offset; (n,), with the labels of the rows."""
        from henderson.prediction.fitted import fitted_values

        self._needs_rows()
        return self._by_row(fitted_values(self.engine))

    @cached_property
    def resid(self) -> Any:
        """Response less fitted values."""
        self._needs_rows()
        return self._by_row(self.design.y - np.asarray(self.fittedvalues))

    def predict(
        self,
        exog: Any = None,
        transform: bool = True,
        *,
        random: bool = False,
        new_levels: Literal["raise", "zero"] = "raise",
    ) -> pd.Series | FloatArray:
        """The mean without random effects, or with them.

        Parameters
        ----------
        exog : table or (m, k_fe) array_like, optional
            New data: for a model made by a formula a table of its variables.
        transform : bool
            False: `exog` holds the columns of the design as they are.
        random : bool
            Add the conditional modes of the rows' levels, and the offset (lme4's default; needs a formula).
        new_levels : {"raise", "zero"}
            With `random`: what to do with levels that the fit does not have.

        Returns
        -------
        (m,) Series or array
            A Series when there is an index.

        Raises
        ------
        DataError
            New data lack a variable, or have a level that the fit does not know.

        Examples
        --------
        >>> import henderson
        >>> sleepstudy = henderson.datasets.load("sleepstudy")
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
        >>> new = sleepstudy.iloc[[9]].assign(Days=12)
        >>> fit.predict(new).round(1).tolist(), fit.predict(new, random=True).round(1).tolist()
        ([377.0], [489.7])
        """
        from henderson.design.replay import fixed_columns

        beta = np.nan_to_num(np.asarray(self.engine.beta))
        if random:
            if exog is None:
                return self.fittedvalues
            if self.design.specs is None:
                raise ValueError("predictions with random effects need a model made by a formula")
            from henderson.prediction.with_random_effects import with_random_effects

            predicted = with_random_effects(self.engine, beta, exog, new_levels)
            index = getattr(exog, "index", None)
            return pd.Series(predicted, index=index) if isinstance(index, pd.Index) else predicted
        if exog is None:
            self._needs_rows()
            return self._by_row(self.design.X @ beta)
        if self.design.specs is None or not transform or isinstance(exog, np.ndarray):
            columns = np.asarray(exog, float)
            columns = columns[None] if columns.ndim == 1 and len(columns) == len(beta) else columns
        else:
            columns = fixed_columns(self.design, exog)
        predicted = columns @ beta
        index = getattr(exog, "index", None)
        return pd.Series(predicted, index=index) if isinstance(index, pd.Index) else predicted
