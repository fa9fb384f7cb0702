"""`StructuredMixedLM`: what `mixedlm` makes of models that statsmodels has not.

Residuals with a covariance, variances that are held, equal or not bounded, and bars with a structure such as
``ar1(0 + t | g)``. Its fit has the native results: statsmodels' packed parameters have no place for these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.inference.names import InferenceRequest

if TYPE_CHECKING:
    from henderson.results.fitted import MixedModelResults


@dataclass(frozen=True)
class StructuredMixedLM:
    """A linear mixed model with covariances that statsmodels does not pack.

    Attributes
    ----------
    design : Design
    rows : Rows

    Examples
    --------
    >>> import henderson
    >>> model = henderson.mixedlm(
    ...     "FEV1 ~ ARMCD", henderson.datasets.load("fev"), residual="ar1(AVISIT | USUBJID)", missing="drop"
    ... )
    >>> print(f"{model.fit().llf:.4f}")
    -1927.5622
    """

    design: Design
    rows: Rows

    @property
    def formula(self) -> str:
        """The formula of the mean and the random effects."""
        return self.design.formula

    @property
    def endog_names(self) -> str:
        """Name of the response."""
        return self.design.y_name

    @property
    def exog_names(self) -> list[str]:
        """Names of the columns of `exog`."""
        return list(self.design.x_names)

    @property
    def endog(self) -> np.ndarray:
        """Response, (n,)."""
        return self.rows.y

    @property
    def exog(self) -> np.ndarray:
        """Columns of the mean, (n, k_fe)."""
        return self.rows.X

    @property
    def nobs(self) -> int:
        """Rows used."""
        return self.design.n

    @property
    def _what(self) -> str:
        """What statsmodels has not."""
        if self.design.constraints is not None:
            return "constraints on its variances"
        if self.design.residual is not None:
            return f"the residual structure {self.design.residual.label}"
        return "structures of random effects" if not any(t.known for t in self.design.terms) else "known relationships"

    def fit(self, reml: bool = True, *, progress: bool | None = None, **kwargs: Any) -> MixedModelResults:
        """Fit by REML or maximum likelihood.

        Parameters
        ----------
        reml : bool
        progress : bool, optional
            Show the number of evaluations. None: on a terminal, when the fit takes longer than a second.
        **kwargs
            What `MixedLM.fit` takes besides (starts, masks, penalties, optimisers) is refused by name.

        Returns
        -------
        MixedModelResults
            With normal tests, as statsmodels has them; `with_inference(ddf="kenward-roger")` has others.
        """
        from henderson.engine.fit import fit_design
        from henderson.results.fit_warnings import (
            warn_if_at_end,
            warn_if_singular,
            warn_unless_certified,
            warn_unless_identified,
        )
        from henderson.results.fitted import MixedModelResults

        if kwargs:
            raise ValueError(f"fit({', '.join(kwargs)}): a model with {self._what} is fitted with reml= alone")
        fit = fit_design(self.design, self.rows, reml=reml, progress=progress)
        warn_unless_certified(fit, fit.optimum.converged, fit.optimum.message)
        warn_if_singular(fit)
        warn_if_at_end(fit)
        warn_unless_identified(fit)
        return MixedModelResults(fit, InferenceRequest.of("asymptotic"))
