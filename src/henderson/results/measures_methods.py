"""The methods on results for likelihood, information criteria and fit measures: thin, the work is in `diagnostics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from henderson.errors import NotAvailable
from henderson.results.base import FittedModel

if TYPE_CHECKING:
    from henderson.diagnostics.conditional_aic import ConditionalAIC
    from henderson.diagnostics.measures import R2


class MeasuresMethods(FittedModel):
    """llf, deviance, aic, bic, r2, icc, …"""

    @property
    def deviance(self) -> float:
        """−2 log-likelihood; under REML the REML criterion.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> round(fit.deviance, 3)
        319.654
        """
        return float(self.engine.deviance)

    @property
    def llf(self) -> float:
        """Log-likelihood (restricted under REML).

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> round(fit.llf, 3), fit.llf == -fit.deviance / 2
        (-159.827, True)
        """
        return -0.5 * float(self.engine.deviance)

    @property
    def df_modelwc(self) -> int:
        """Number of parameters estimated, the residual variance left out.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> fit.df_modelwc  # the mean and the variance between batches
        2
        """
        return int(self.engine.n_parameters) - 1

    @property
    def aic(self) -> float:
        """Akaike's criterion; under REML of the REML criterion, as in lme4.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> round(fit.aic, 3)
        325.654
        """
        from henderson.diagnostics.measures import aic

        return aic(self.engine)

    @property
    def bic(self) -> float:
        """Schwarz' criterion; under REML of the REML criterion, as in lme4.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> round(fit.bic, 3)
        329.858
        """
        from henderson.diagnostics.measures import bic

        return bic(self.engine)

    @property
    def aicc(self) -> float:
        """AIC corrected for small samples.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> round(fit.aicc, 3)
        326.577
        """
        from henderson.diagnostics.measures import aicc

        return aicc(self.engine)

    @property
    def effective_df(self) -> float:
        """Trace of the hat matrix: what the fixed and the shrunken random effects use up.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> round(fit.effective_df, 2)  # between 1, the mean alone, and 6, a mean for each batch
        4.91
        """
        from henderson.diagnostics.measures import effective_df

        return effective_df(self.engine)

    def r2(self) -> R2:
        """Nakagawa's marginal and conditional R², with Johnson's extension to slopes.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> found = fit.r2()
        >>> round(found.marginal, 3), round(found.conditional, 3)
        (0.279, 0.799)
        """
        from henderson.diagnostics.measures import r2

        return r2(self.engine)

    def icc(self) -> pd.DataFrame:
        """Intraclass correlations: of every random term, adjusted, unadjusted; see `measures.icc`.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> fit.icc().round(3)
                    variance    icc  icc_intercept
        term
        Batch        1764.05  0.418          0.418
        adjusted     1764.05  0.418            NaN
        unadjusted   1764.05  0.418            NaN
        """
        from henderson.diagnostics.measures import icc

        return icc(self.engine)

    def caic(self) -> ConditionalAIC:
        """Conditional AIC (Greven and Kneib), with its log-likelihood and degrees of freedom.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> found = fit.caic()
        >>> round(found.caic, 2), round(found.df, 2)
        (1711.52, 31.25)
        """
        from henderson.diagnostics.conditional_aic import conditional_aic

        return conditional_aic(self.engine)

    def rePCA(self) -> pd.DataFrame:
        """Principal components of the random effects of each grouping factor.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.rePCA()[["component", "sd", "proportion"]].round(3)
           component     sd  proportion
        0          1  0.967       0.946
        1          2  0.231       0.054
        """
        from henderson.diagnostics.measures import random_effects_pca

        self.engine.refuse_negative("rePCA()")
        if not self.engine.design.terms:
            raise NotAvailable("rePCA(): the model has no random effects")
        return random_effects_pca(self.engine.design, self.engine.lam, self.engine.sigma)
