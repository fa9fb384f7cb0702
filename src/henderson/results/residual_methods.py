"""The methods on results for the covariance of the residuals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from henderson.engine.residual.fit import StructuredFit
from henderson.errors import DataError, NotAvailable
from henderson.results.base import FittedModel
from henderson.typing import Label

FloatArray = np.ndarray


class ResidualMethods(FittedModel):
    """residual_cov, autocorrelation."""

    def residual_cov(
        self, series: Label | None = None, *, stratum: Label | None = None, correlation: bool = False
    ) -> pd.DataFrame:
        """Covariance of the residuals: SAS's R matrix.

        Parameters
        ----------
        series : label, optional
            Of one series (a patient): its own rows, with their weights. By default all visits.
        stratum : label, optional
            Which stratum's, where each has its parameters; by default the first.
        correlation : bool
            Correlations in place of covariances.

        Returns
        -------
        DataFrame
            Visits × visits; for places that are numbers, the series' rows by their labels.

        Raises
        ------
        NotAvailable
            When the residuals are independent, or places are numbers and no series is named.
        DataError
            For a series or stratum that the fit does not have.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.mmrm("FEV1 ~ ARMCD + ar1(AVISIT | USUBJID)", henderson.datasets.load("fev"))
        >>> fit.residual_cov(correlation=True).round(3).iloc[0].tolist()
        [1.0, 0.39, 0.152, 0.059]
        >>> fit.residual_cov("PT1").round(2).index.tolist()
        ['VIS2', 'VIS4']
        """
        fit = self.engine
        if not isinstance(fit, StructuredFit) or fit.structure.term.is_plain:
            raise NotAvailable("residual_cov(): the residuals are independent, of variance sigma² / weights")
        term = fit.structure.term
        if not term.group and (series is not None or term.visits is None):
            raise NotAvailable(f"residual_cov(): residuals of {term.label} are independent, and have no series")
        found = _all_visits(fit, stratum) if series is None else _of_series(fit, series)
        sd = np.sqrt(np.diag(found.to_numpy()))
        return found.div(np.outer(sd, sd)) if correlation else found

    def autocorrelation(self) -> pd.DataFrame:
        """Correlations of the residuals of one series by how far apart its rows are, as seen and as the model has them.

        Returns
        -------
        DataFrame
            Index: visits apart, or the distance in time or space (in classes, where there are many); columns pairs,
            observed (of y − Xβ̂ over its standard deviation), expected (by the structure and the random effects),
            whitened (of what is uncorrelated if the structure is right), se (of a mean of so many products).

        Raises
        ------
        NotAvailable
            When the residuals are independent.

        See Also
        --------
        plot.autocorrelation : The same as a picture.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.mmrm("FEV1 ~ ARMCD * AVISIT + ar1h(AVISIT | USUBJID)", henderson.datasets.load("fev"))
        >>> fit.autocorrelation()[["pairs", "observed", "expected"]].round(2)
                      pairs  observed  expected
        visits apart
        1               275      0.33      0.35
        2               179      0.27      0.12
        3                89      0.22      0.04
        """
        from henderson.diagnostics.autocorrelation import autocorrelation

        fit = self.engine
        if not isinstance(fit, StructuredFit):
            raise NotAvailable("autocorrelation(): the model's residuals are independent, and have no series")
        return autocorrelation(fit)


def _all_visits(fit: StructuredFit, stratum: Any) -> pd.DataFrame:
    term = fit.structure.term
    if term.visits is None:
        raise NotAvailable(f"residual_cov(): {term.label} has no visits; name one of the series of {term.group!r}")
    where = np.arange(term.n_visits)
    strata = None
    if len(term.strata):
        strata = np.full(len(where), _place(term.strata, stratum, term.stratum) if stratum is not None else 0)
    elif stratum is not None:
        raise DataError(f"residual_cov(): {term.label} has no strata")
    if term.variance:
        raise NotAvailable(f"residual_cov(): variances change with {term.variance[0].label}; name one of the series")
    cov = fit.structure.cov(fit.psi, where, strata)
    return pd.DataFrame(cov, index=term.visits, columns=term.visits)


def _of_series(fit: StructuredFit, series: Any) -> pd.DataFrame:
    rows, term = fit.observed_for("residual_cov(series)"), fit.structure.term
    places = rows.residual
    assert places is not None
    own = np.flatnonzero(places.codes == _place(term.levels, series, term.group))
    part = places[own]
    own = own[np.argsort(part.where if part.where.ndim == 1 else part.where[:, 0], kind="stable")]
    part, root = places[own], np.sqrt(rows.unit_weights[own])
    cov = fit.structure.cov(fit.psi, part.where, part.strata, part.covariates) / np.outer(root, root)
    labels = rows.index[own] if term.visits is None else term.visits[part.where]
    return pd.DataFrame(cov, index=labels, columns=labels)


def _place(labels: pd.Index, label: Any, what: str) -> int:
    found = np.flatnonzero(labels == label)
    if not len(found):
        raise DataError(f"residual_cov(): {what!r} has no level {label!r}")
    return int(found[0])
