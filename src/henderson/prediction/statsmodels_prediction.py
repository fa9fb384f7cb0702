"""statsmodels' object for predictions: the mean and a new observation side by side, limits at any level."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from henderson.arguments import probability
from henderson.numerics.distributions import t_pvalue
from henderson.prediction.given import Given
from henderson.prediction.predict import Predictions, Predictor
from henderson.prediction.request import PredictionRequest
from henderson.tables.exports import TableExports
from henderson.tables.table import Table

FloatArray = np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class PredictionResults(TableExports):
    """Predictions of rows, by statsmodels' names.

    Attributes
    ----------
    predictor : Predictor
    given : Given
    request : PredictionRequest
    row_labels : pandas.Index of length m, or None

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> fit.get_prediction({"Days": [10]}).predicted_mean.round(2)
    array([356.08])
    """

    predictor: Predictor
    given: Given
    request: PredictionRequest
    row_labels: pd.Index | None = None

    def _found(self, interval: str, alpha: float = 0.05) -> Predictions:
        alpha = probability(alpha, "alpha")
        return self.predictor(self.given, replace(self.request, interval=interval, level=1 - alpha))

    @cached_property
    def _mean(self) -> Predictions:
        return self._found("confidence")

    @property
    def predicted_mean(self) -> FloatArray:
        """Predictions, (m,)."""
        return self._mean.estimate

    @property
    def se_mean(self) -> FloatArray:
        """Their standard errors, (m,)."""
        return self._mean.se

    @property
    def var_pred_mean(self) -> FloatArray:
        """Their variances, (m,)."""
        return self._mean.se**2

    @cached_property
    def se_obs(self) -> FloatArray:
        """Standard errors of new observations, (m,)."""
        return self._found("prediction").se

    @property
    def df(self) -> FloatArray:
        """Degrees of freedom of the predictions, (m,)."""
        return self._mean.df

    @property
    def tvalues(self) -> FloatArray:
        """Predictions over standard errors, (m,)."""
        return self.predicted_mean / self.se_mean

    @property
    def pvalues(self) -> FloatArray:
        """Two-sided p of that, (m,)."""
        return t_pvalue(self.tvalues, self.df)

    def conf_int(self, obs: bool = False, alpha: float = 0.05) -> FloatArray:
        """Limits of the predictions, or of new observations, (m, 2).

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.get_prediction({"Days": [10]}).conf_int().round(2)
        array([[322.29, 389.87]])
        """
        found = self._found("prediction" if obs else "confidence", alpha)
        return np.column_stack([found.lower, found.upper])

    def summary_frame(self, alpha: float = 0.05) -> pd.DataFrame:
        """Predictions with limits for them and for new observations.

        Parameters
        ----------
        alpha : float
            One less the level of the limits.

        Returns
        -------
        DataFrame
            Columns mean, mean_se, mean_ci_lower, mean_ci_upper, obs_ci_lower, obs_ci_upper.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.get_prediction({"Days": [10]}).summary_frame()[["mean", "mean_se", "mean_ci_lower"]].round(2)
             mean  mean_se  mean_ci_lower
        0  356.08    16.02         322.29
        """
        mean, observed = self._found("confidence", alpha), self._found("prediction", alpha)
        columns = {
            "mean": mean.estimate,
            "mean_se": mean.se,
            "mean_ci_lower": mean.lower,
            "mean_ci_upper": mean.upper,
            "obs_ci_lower": observed.lower,
            "obs_ci_upper": observed.upper,
        }
        return pd.DataFrame(columns, index=self.row_labels)

    def as_table(self) -> Table:
        """The table of `summary_frame`, with the names that all tables have."""
        frame = self.summary_frame().rename(
            columns={"mean": "estimate", "mean_se": "se", "mean_ci_lower": "lower", "mean_ci_upper": "upper"}
        )
        return Table(frame, "Predictions")

    def __repr__(self) -> str:
        n = len(self.predicted_mean if self.row_labels is None else self.row_labels)
        return f"<predictions of {n} rows: summary_frame() shows them>"
