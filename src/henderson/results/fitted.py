"""`MixedModelResults`: what a user holds after `lmer`; made of a `Fit` and a request, and of nothing else.

    params, bse, tvalues, pvalues, conf_int(), cov_params()   the fixed effects
    varcorr, sigma, theta, ranef, variance_errors()           the covariance of the random effects

The methods come from files by topic; the numbers from the rooms below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from henderson.arguments import plain_options
from henderson.inference.fit_moments import fit_of
from henderson.inference.names import InferenceRequest
from henderson.results.constraint_tests import ConstraintTests
from henderson.results.diagnostic_methods import DiagnosticMethods
from henderson.results.effects_methods import EffectsMethods
from henderson.results.inference_methods import InferenceMethods
from henderson.results.interval_methods import IntervalMethods
from henderson.results.keeping import Keeping
from henderson.results.means_methods import MeansMethods
from henderson.results.measures_methods import MeasuresMethods
from henderson.results.model_facts import ModelFacts
from henderson.results.planning_methods import PlanningMethods
from henderson.results.plot_methods import PlotMethods
from henderson.results.prediction_methods import PredictionMethods
from henderson.results.refitting import Refitting
from henderson.results.report_methods import ReportMethods
from henderson.results.residual_methods import ResidualMethods
from henderson.results.tidy_methods import TidyMethods
from henderson.typing import Ddf

if TYPE_CHECKING:
    from henderson.inference.comparison.step import Steps
    from henderson.report.summary import Lme4Summary


@plain_options
class MixedModelResults(
    ConstraintTests,
    IntervalMethods,
    InferenceMethods,
    MeansMethods,
    EffectsMethods,
    PredictionMethods,
    PlanningMethods,
    MeasuresMethods,
    DiagnosticMethods,
    PlotMethods,
    ReportMethods,
    ResidualMethods,
    Refitting,
    TidyMethods,
    Keeping,
):
    """Results of a linear mixed model.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> fit.params.round(3).to_dict(), round(fit.sigma, 3), fit.nobs
    ({'(Intercept)': 251.405, 'Days': 10.467}, 25.592, 180)
    """

    @cached_property
    def model(self) -> ModelFacts:
        """What was fitted, by statsmodels' names: formula, endog_names, exog_names.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.model.formula, fit.model.endog_names, fit.model.exog_names
        ('Reaction ~ Days + (Days | Subject)', 'Reaction', ['(Intercept)', 'Days'])
        """
        return ModelFacts(self.engine)

    @property
    def reml(self) -> bool:
        """Whether the restricted likelihood was maximised.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.reml
        True
        """
        return self.engine.reml

    @property
    def method(self) -> str:
        """``"REML"`` or ``"ML"``.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.method
        'REML'
        """
        return "REML" if self.engine.reml else "ML"

    @property
    def scale(self) -> float:
        """Residual variance.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> round(fit.scale, 2)
        654.94
        """
        return float(self.engine.sigma**2)

    @property
    def converged(self) -> bool:
        """Whether the optimum is certified.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.converged
        True
        """
        return self.engine.optimum.converged

    @property
    def message(self) -> str:
        """What there is to say of the optimum, and of what the data do not identify.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
        >>> fit.message
        'converged'
        """
        from henderson.inference.identified import not_identified

        found = self.engine.optimum.message
        unidentified = not_identified(self.engine)
        return found if unidentified is None else f"{found}; {unidentified.flat.note}"

    def summary(self, correlation: bool | None = None) -> Lme4Summary:
        """The results as lme4 prints them, with lmerTest's degrees of freedom.

        Parameters
        ----------
        correlation : bool, optional
            Whether to show the correlations of the fixed effects; by default when there are 2 to 12.

        Returns
        -------
        Lme4Summary
            With `tables`, `as_text`, `as_html` and `as_latex`.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
        >>> print(fit.summary())
        Linear mixed model fit by REML. t-tests use Satterthwaite's method
        Formula: Yield ~ 1 + (1 | Batch)
        <BLANKLINE>
        REML criterion at convergence: 319.7
        <BLANKLINE>
        Scaled residuals:
            Min      1Q Median     3Q    Max
        -1.4117 -0.7634 0.1418 0.7792 1.8296
        <BLANKLINE>
        Random effects:
         Groups   Name        Variance Std.Dev.
         Batch    (Intercept) 1764     42.00
         Residual             2451     49.51
        Number of obs: 30, groups:  Batch, 6
        <BLANKLINE>
        Fixed effects:
                    Estimate Std. Error   df t value Pr(>|t|)
        (Intercept)  1527.50      19.38 5.00    78.8 6.23e-09
        """
        from henderson.report.summary import Lme4Summary

        return Lme4Summary.of(self.engine, self.inference, correlation)

    def step(
        self,
        *,
        ddf: Ddf | None = None,
        alpha_random: float = 0.1,
        alpha_fixed: float = 0.05,
        reduce_random: bool = True,
        reduce_fixed: bool = True,
        keep: str | Sequence[str] = (),
    ) -> Steps:
        """Backward elimination as lmerTest's `step`: random effects by likelihood ratios, then fixed ones by F tests.

        Parameters
        ----------
        ddf : str, optional
            Degrees of freedom, as in `anova`; by default the results' own.
        alpha_random, alpha_fixed : float
            What has a higher p-value is eliminated, the highest first.
        reduce_random, reduce_fixed : bool
            Which of both to do.
        keep : str or sequence of str
            Terms that stay in any case.

        Returns
        -------
        Steps
            Prints both tables and the model found; `random`, `fixed`, `formula`, and `model`, the results of it.

        Examples
        --------
        >>> import henderson
        >>> fit = henderson.lmer("angle ~ recipe * temp + (1 | recipe:replicate)", henderson.datasets.load("cake"))
        >>> fit.step().fixed["eliminated"].to_dict()
        {'recipe:temp': 1, 'recipe': 2, 'temp': 0}
        """
        from henderson.inference.comparison.step import step

        own = self._request if ddf is None else InferenceRequest.of(ddf, None)
        found = step(
            self.engine,
            own,
            alpha_random=alpha_random,
            alpha_fixed=alpha_fixed,
            reduce_random=reduce_random,
            reduce_fixed=reduce_fixed,
            keep=keep,
        )
        return replace(found, model=MixedModelResults(fit_of(found.model), own))

    def __str__(self) -> str:
        return str(self.summary())

    def __repr__(self) -> str:
        from henderson.report.short import Short

        return Short(self.engine).text()

    def _repr_html_(self) -> str:
        from henderson.report.short import Short

        return Short(self.engine).html()
