"""The methods on results for likelihood, information criteria and fit measures: thin, the work is in `diagnostics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from henderson.results.base import FittedModel

if TYPE_CHECKING:
    from henderson.diagnostics.conditional_aic import ConditionalAIC
    from henderson.diagnostics.measures import R2


class MeasuresMethods(FittedModel):
    """llf, deviance, aic, bic, r2, icc, …"""

    @property
    def deviance(self) -> float:
        """−2 log-likelihood; under REML the REML criterion."""
        return float(self.engine.deviance)

    @property
    def llf(self) -> float:
        """Log-likelihood (restricted under REML)."""
        return -0.5 * float(self.engine.deviance)

    @property
    def df_modelwc(self) -> int:
        """Number of parameters estimated, the residual variance left out."""
        return int(self.engine.n_parameters) - 1

    @property
    def aic(self) -> float:
        """Akaike's criterion; under REML of the REML criterion, as in lme4."""
        from henderson.diagnostics.measures import aic

        return aic(self.engine)

    @property
    def bic(self) -> float:
        """Schwarz' criterion; under REML of the REML criterion, as in lme4."""
        from henderson.diagnostics.measures import bic

        return bic(self.engine)

    @property
    def aicc(self) -> float:
        """AIC corrected for small samples."""
        from henderson.diagnostics.measures import aicc

        return aicc(self.engine)

    @property
    def effective_df(self) -> float:
        """Trace of the hat matrix: what the fixed and the shrunken random effects use up."""
        from henderson.diagnostics.measures import effective_df

        return effective_df(self.engine)

    def r2(self) -> R2:
        """Nakagawa's marginal and conditional R², with Johnson's extension to slopes."""
        from henderson.diagnostics.measures import r2

        return r2(self.engine)

    def icc(self) -> pd.DataFrame:
        """Intraclass correlations: of every random term, adjusted, unadjusted; see `measures.icc`."""
        from henderson.diagnostics.measures import icc

        return icc(self.engine)

    def caic(self) -> ConditionalAIC:
        """Conditional AIC (Greven and Kneib), with its log-likelihood and degrees of freedom."""
        from henderson.diagnostics.conditional_aic import conditional_aic

        return conditional_aic(self.engine)

    def rePCA(self) -> pd.DataFrame:
        """Principal components of the random effects of each grouping factor."""
        from henderson.diagnostics.measures import random_effects_pca

        return random_effects_pca(self.engine.design, self.engine.lam, self.engine.sigma)
