"""The methods on results for marginal means: thin, the work is in the modules named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from henderson.results.base import FittedModel
from henderson.typing import Adjust, Ddf, Side, Values, Weights

if TYPE_CHECKING:
    import pandas as pd

    from henderson.means.emmeans import EMMeans
    from henderson.means.response import WayBack


class MeansMethods(FittedModel):
    """emmeans, emtrends, joint_tests."""

    def emmeans(
        self,
        specs: str | Iterable[str],
        *,
        by: str | Iterable[str] | None = None,
        at: Values | None = None,
        weights: Weights = "equal",
        ddf: Ddf | None = None,
        level: float = 0.95,
        adjust: Adjust = "none",
        side: Side = "two-sided",
        delta: float = 0.0,
        null: float = 0.0,
        type: Literal["link", "response"] = "link",
        bias_adjust: bool = False,
        sigma: float | None = None,
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
        ddf : {"satterthwaite", "kenward-roger", "kenward-roger-2009", "kenward-roger-observed", "containment", \
"between-within", "residual", "asymptotic"}, optional
            Degrees of freedom for this table, in any case ("KR" is understood); by default the results' own.
        level, adjust, side, delta, null
            Confidence level, multiplicity adjustment, alternative, margin of equivalence, value tested.
        type : {"link", "response"}
            With a response that was transformed in the formula (log, log10, log2, log1p, sqrt, logit): means on that
            scale, or back on that of the response; their contrasts are ratios then, where these have a meaning.
        bias_adjust : bool
            With ``type="response"``: means of the response and not medians, to second order.
        sigma : float, optional
            Standard deviation for that; by default of all that varies in the model, random effects and residual.

        Returns
        -------
        EMMeans
            With `.frame`, `.contrasts(...)`, `.summary(...)`, `.joint()`, and exports.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", henderson.datasets.load("cake"))
        >>> fit.emmeans("recipe")
        recipe  estimate    se    df  lower  upper  statistic        p
        A          33.12  1.74  42.0  29.62  36.63     19.070  <0.0001
        B          31.64  1.74  42.0  28.14  35.15     18.220  <0.0001
        C          31.60  1.74  42.0  28.09  35.11     18.194  <0.0001
        <BLANKLINE>
        NOTE: Results may be misleading due to involvement in interactions
        Covariates: temp = 200
        Degrees of freedom: satterthwaite
        Confidence level: 0.95
        """
        from henderson.means.emmeans import emmeans
        from henderson.means.options import TestOptions

        return emmeans(
            self.engine.design,
            self._inference_with(ddf),
            specs,
            by=by,
            at=at,
            weights=weights,
            test=TestOptions(adjust, level, side, delta, null, type, bias_adjust, sigma),
            way=self._way_back,
        )

    @cached_property
    def _way_back(self) -> WayBack | None:
        """To the response before it was transformed."""
        from henderson.diagnostics.measures import total_sd
        from henderson.means.response import way_back

        found = way_back(self.design)
        return None if found is None else replace(found, sd=total_sd(self.engine))

    def emtrends(
        self,
        specs: str | Iterable[str],
        var: str,
        *,
        by: str | Iterable[str] | None = None,
        at: Values | None = None,
        weights: Weights = "equal",
        ddf: Ddf | None = None,
        level: float = 0.95,
        adjust: Adjust = "none",
        side: Side = "two-sided",
        delta: float = 0.0,
        null: float = 0.0,
        type: Literal["link", "response"] = "link",
        bias_adjust: bool = False,
        sigma: float | None = None,
    ) -> EMMeans:
        """Slopes of a covariate at the levels of factors.

        Parameters
        ----------
        specs : str or iterable of str
            Factors at whose levels to give the slope.
        var : str
            The covariate.
        by, at, weights, ddf, level, adjust, side, delta, null, type, bias_adjust, sigma
            As for `emmeans`; with ``type="response"`` slopes of the response itself.

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
        from henderson.means.options import TestOptions
        from henderson.means.trends import emtrends

        return emtrends(
            self.engine.design,
            self._inference_with(ddf),
            specs,
            var,
            by=by,
            at=at,
            weights=weights,
            test=TestOptions(adjust, level, side, delta, null, type, bias_adjust, sigma),
            way=self._way_back,
        )

    def joint_tests(
        self,
        *,
        by: str | Iterable[str] | None = None,
        at: Values | None = None,
        ddf: Ddf | None = None,
        den_df: str = "smallest",
    ) -> pd.DataFrame:
        """A joint test of every term of the fixed part from marginal means.

        Parameters
        ----------
        by : str or iterable of str, optional
            Factors within whose levels to test.
        at : mapping, optional
            Values of covariates, or levels of factors, as for `emmeans`.
        ddf : {"satterthwaite", "kenward-roger", "kenward-roger-2009", "kenward-roger-observed", "containment", \
"between-within", "residual", "asymptotic"}, optional
            Degrees of freedom for this table, in any case ("KR" is understood); by default the results' own.
        den_df : str
            See `henderson.means.term_tests.joint_tests`.

        Returns
        -------
        DataFrame
            One row a term, and a level of `by`.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", henderson.datasets.load("cake"))
        >>> fit.joint_tests()
        Joint tests
        <BLANKLINE>
        term         num_df  den_df       F        p
        recipe            2    42.0   0.249   0.7809
        temp              1   222.0  94.163  <0.0001
        recipe:temp       2   222.0   0.042   0.9592
        <BLANKLINE>
        Degrees of freedom: satterthwaite
        """
        from henderson.means.term_tests import joint_tests

        return joint_tests(self.engine.design, self._inference_with(ddf), by=by, at=at, den_df=den_df)
