"""What was fitted, by statsmodels' names: the `model` of results that have no model object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.engine.fit import Fit
from henderson.numerics.linalg import spans_constant


@dataclass(frozen=True, repr=False, eq=False)
class ModelFacts:
    """A model's names and arrays.

    Attributes
    ----------
    _fit : Fit
    """

    _fit: Fit

    @property
    def formula(self) -> str:
        """The formula, as it was given."""
        return self._fit.design.formula

    @property
    def endog_names(self) -> str:
        """Name of the response."""
        return self._fit.design.y_name

    @property
    def exog_names(self) -> list[str]:
        """Names of the fixed-effects columns."""
        return list(self._fit.design.x_names)

    @property
    def endog(self) -> np.ndarray:
        """Response, (n,)."""
        return self._fit.observed_for("model.endog").y

    @property
    def exog(self) -> np.ndarray:
        """Fixed-effects columns, (n, p)."""
        return self._fit.observed_for("model.exog").X

    @property
    def k_constant(self) -> int:
        """1 when the fixed effects span a constant, else 0."""
        return int(spans_constant(self._fit.observed_for("model.k_constant").X))

    @property
    def nobs(self) -> int:
        """Number of rows."""
        return self._fit.n

    def __repr__(self) -> str:
        return f"<mixed model: {self.formula}>"
