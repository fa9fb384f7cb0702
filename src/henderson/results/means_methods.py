"""The methods on results for marginal means and fit measures: thin, the work is in the modules named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from henderson.diagnostics.conditional_aic import ConditionalAIC
    from henderson.diagnostics.measures import R2
    from henderson.engine.fit import Fit
    from henderson.inference.inference import Inference
    from henderson.means.emmeans import EMMeans


class MarginalMeansMixin:
    """Marginal means for a class that has `engine` (a Fit) and `inference`."""

    if TYPE_CHECKING:
        engine: Fit

        @property
        def inference(self) -> Inference: ...

        def with_inference(self, *, ddf: str | None = None) -> Any: ...

    def _inference_with(self, ddf: str | None) -> Inference:
        """The results' own inference, or another for one table."""
        if ddf is None or ddf == self.inference.ddf:
            return self.inference
        return self.with_inference(ddf=ddf).inference

    def emmeans(
        self,
        specs: str | Iterable[str],
        *,
        by: str | Iterable[str] | None = None,
        at: Mapping[str, Any] | None = None,
        weights: str = "equal",
        ddf: str | None = None,
        level: float = 0.95,
        adjust: str = "none",
        side: Any = 0,
        delta: float = 0.0,
        null: float = 0.0,
    ) -> EMMeans:
        """Estimated marginal means.

        Parameters
        ----------
        specs : str or sequence of str
            Variables at whose values to take means: ``"A"``, ``"A * B"``, ``"A | B"``, ``["A", "B"]``.
        by : str or sequence of str, optional
            Variables whose levels are families.
        at : mapping of str to values, optional
            Values of some variables; other covariates are at their means (those with two values: averaged
            over both).
        weights : {"equal", "proportional", "cells", "outer", "flat"}
            How to average over the other factors.
        ddf : str, optional
            Degrees of freedom, for this table only.
        level, adjust, side, delta, null
            Confidence level, multiplicity adjustment, alternative, margin of equivalence, value tested.

        Returns
        -------
        EMMeans
            With `.frame`, `.contrasts(...)`, `.summary(...)`, `.joint()`, and exports.
        """
        from henderson.means.emmeans import emmeans

        return emmeans(
            self.engine.design,
            self._inference_with(ddf),
            specs,
            by=by,
            at=at,
            weights=weights,
            level=level,
            adjust=adjust,
            side=side,
            delta=delta,
            null=null,
        )

    def emtrends(
        self,
        specs: str | Iterable[str],
        var: str,
        *,
        by: str | Iterable[str] | None = None,
        at: Mapping[str, Any] | None = None,
        weights: str = "equal",
        ddf: str | None = None,
        level: float = 0.95,
        adjust: str = "none",
        side: Any = 0,
        delta: float = 0.0,
        null: float = 0.0,
    ) -> EMMeans:
        """Slopes of a covariate at the levels of factors.

        Parameters
        ----------
        specs : str or iterable of str
            Factors at whose levels to give the slope.
        var : str
            The covariate.
        by, at, weights, ddf, level, adjust, side, delta, null
            As for `emmeans`.

        Returns
        -------
        EMMeans
            With `contrasts`, to compare slopes.

        Examples
        --------
        >>> import henderson
        >>> cake = henderson.datasets.load("cake")
        >>> fit = henderson.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", cake)
        >>> fit.emtrends("recipe", "temp").frame[["recipe", "estimate", "se", "df"]].round(3)
          recipe  estimate     se     df
        0      A     0.154  0.028  222.0
        1      B     0.165  0.028  222.0
        2      C     0.156  0.028  222.0
        """
        from henderson.means.trends import emtrends

        return emtrends(
            self.engine.design,
            self._inference_with(ddf),
            specs,
            var,
            by=by,
            at=at,
            weights=weights,
            level=level,
            adjust=adjust,
            side=side,
            delta=delta,
            null=null,
        )

    def joint_tests(
        self,
        *,
        by: str | Iterable[str] | None = None,
        at: Mapping[str, Any] | None = None,
        ddf: str | None = None,
        den_df: str = "smallest",
    ) -> pd.DataFrame:
        """A joint test of every term of the fixed part from marginal means.

        Parameters
        ----------
        by : str or iterable of str, optional
            Factors within whose levels to test.
        at : mapping, optional
            Values of covariates, or levels of factors, as for `emmeans`.
        ddf : str, optional
            Degrees of freedom, a name in `henderson.inference.ddf.DDF`.
        den_df : str
            See `henderson.means.term_tests.joint_tests`.

        Returns
        -------
        DataFrame
            One row a term, and a level of `by`.
        """
        from henderson.means.term_tests import joint_tests

        return joint_tests(self.engine.design, self._inference_with(ddf), by=by, at=at, den_df=den_df)

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
