"""The same model fitted to another response: what the design and the sums know already is not computed again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from henderson.engine.fit import Fit, refit
from henderson.errors import DataError
from henderson.results.base import FittedModel
from henderson.results.fit_warnings import warn_unless_certified
from henderson.sources.columns import check_finite, numbers

if TYPE_CHECKING:
    from typing import Self


class Refitting(FittedModel):
    """`refit`."""

    def refit(self, y: ArrayLike | pd.Series, *, progress: bool | None = None) -> Self:
        """Fit the model to another response on the same rows.

        Parameters
        ----------
        y : (n,) array_like or Series
            The response of the rows that were fitted (those without missing values), in their order; a Series is
            matched by its index, and may have further rows. On the scale of the model: where the formula transforms
            its response, that is done.
        progress : bool, optional
            See `henderson.lmer`.

        Returns
        -------
        results
            Of the same kind, with the same requests for degrees of freedom and covariance.

        Raises
        ------
        DataError
            When y has another length, labels that are not the rows', or missing values, or when the rows were let go.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> again = fit.refit(2 * fit.model.endog)
        >>> bool(abs(again.sigma - 2 * fit.sigma) < 1e-4)
        True
        """
        fit = refit(self.engine, response_for(self.engine, y), progress=progress)
        warn_unless_certified(fit, fit.optimum.converged, fit.optimum.message)
        return self._of(fit)

    def _of(self, fit: Fit) -> Self:
        """Results of another fit of the model."""
        return type(self)(fit, self._request)


def response_for(fit: Fit, y: Any) -> np.ndarray:
    """A response for the rows of a fit, (n,) float64."""
    rows = fit.observed_for("refit()")
    if isinstance(y, pd.Series) and not y.index.equals(rows.index):
        if not y.index.is_unique or not rows.index.is_unique or not rows.index.isin(y.index).all():
            raise DataError("refit: the index of y must have the labels of the rows that were fitted, each once")
        y = y.loc[rows.index]
    values = numbers(y, "y")
    if len(values) != rows.n:
        raise DataError(f"refit: y has {len(values)} entries, {rows.n} rows were fitted")
    check_finite(values, ["y"])
    return values
