"""Predictions with their uncertainty: estimates, standard errors, degrees of freedom and limits of rows.

With random terms in, the error's variance is that of x'β̂ + z'b̂ − x'β − z'b (`errors`), which knows how sure the fit
is of each level; what the estimated variance parameters add is in, and degrees of freedom are Satterthwaite's (or
another method's) for that variance. Without random terms it is the mean's, x'β̂, as coefficients and marginal means
have it. For a new observation the variance of its own error is added, σ²/w, and that of all effects that are not
predicted: those of terms that are not in, and of levels that the fit does not have.

    estimate ± t_{df} √(variance)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from henderson.design.term_text import written
from henderson.diagnostics.measures import total_sd
from henderson.engine.fit import Fit
from henderson.engine.residual.fit import StructuredFit
from henderson.formula.response import ResponseScale, response_scale
from henderson.inference.inference import Inference
from henderson.numerics.distributions import t_quantile
from henderson.prediction.bootstrap import pivots
from henderson.prediction.errors import JointErrors
from henderson.prediction.given import Given
from henderson.prediction.new_rows import Targets
from henderson.prediction.related_errors import errors_of
from henderson.prediction.request import PredictionRequest
from henderson.prediction.rules import RULES
from henderson.prediction.structured import structured_predictions
from henderson.prediction.structured_errors import StructuredErrors

FloatArray = np.ndarray

#: covariances of β̂ that have a joint covariance with the effects: the model's
OF_THE_MODEL = ("model", "hessian", "kenward-roger", "kenward-roger-linear", "kenward-roger-observed")


#: columns of a table of predictions
COLUMNS = ("estimate", "se", "df", "lower", "upper")


@dataclass(frozen=True)
class Predictions:
    """Predictions of m rows, (m,) each.

    Attributes
    ----------
    estimate, se, df, lower, upper : (m,) arrays
        NaN where there is none.
    """

    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    lower: FloatArray
    upper: FloatArray

    def columns(self) -> FloatArray:
        """(m, 5) in the order of `COLUMNS`."""
        return np.column_stack([self.estimate, self.se, self.df, self.lower, self.upper])


def on_the_response(found: Predictions, scale: ResponseScale | None, request: PredictionRequest) -> Predictions:
    """Predictions back on the scale of the response; the limits of a new observation are quantiles, without bias."""
    if request.type == "link" or scale is None:
        return found
    at = replace(scale, sd=0.0) if request.interval == "prediction" else scale
    se = found.se * np.abs(scale.slope(found.estimate))
    return Predictions(scale.back(found.estimate), se, found.df, at.back(found.lower), at.back(found.upper))


class Predictor:
    """Predictions of a fit; what all rows share is computed once.

    Parameters
    ----------
    fit : Fit
    inference : callable
        Name of a method of degrees of freedom, or None for the results' own, to the `Inference` that means go by.
    """

    def __init__(self, fit: Fit, inference: Callable[[str | None], Inference]) -> None:
        self.fit, self._inference = fit, inference
        self._joint: dict[str | None, JointErrors] = {}
        self._of_structure: dict[str | None, StructuredErrors] = {}

    def joint(self, name: str | None) -> JointErrors:
        """Errors by a method in `RULES`; None: variance parameters taken as known."""
        if name not in self._joint:
            self._joint[name] = JointErrors(self.fit, None if name is None else RULES[name])
        return self._joint[name]

    def _structured(self, fit: StructuredFit, name: str | None) -> StructuredErrors:
        """The same where residuals have a structure."""
        if name not in self._of_structure:
            self._of_structure[name] = errors_of(fit, None if name is None else RULES[name])
        return self._of_structure[name]

    def __call__(self, given: Given, request: PredictionRequest) -> Predictions:
        """Predictions of rows."""
        scale = self._scale(request)
        return on_the_response(self._on_the_model(given, request), scale, request)

    def _scale(self, request: PredictionRequest) -> ResponseScale | None:
        """The way back to the response that is asked for, if any."""
        specs = self.fit.design.specs
        if request.type == "link" or specs is None:
            return None
        found = response_scale(specs.response, specs.environment)
        if found is None or not request.bias_adjust:
            return found
        return replace(found, sd=total_sd(self.fit, request.columns))

    def notes(self, request: PredictionRequest) -> tuple[str, ...]:
        """What a table of predictions says of itself: effects, limits, method, scale."""
        design, scale = self.fit.design, self._scale(request)
        own = [written(design, k, chosen) for k, chosen in enumerate(request.columns) if any(chosen)]
        what = "new observations" if request.interval == "prediction" else "predictions"
        how = "the parametric bootstrap" if request.method == "bootstrap" else self._method(request)
        return (
            f"Random effects: {', '.join(own) or 'none'}",
            *(("Residuals: what the series' own rows say of them",) if request.own else ()),
            f"Limits of {what} at level {request.level:g}, by {how}",
            *(() if scale is None else scale.notes),
        )

    def _method(self, request: PredictionRequest) -> str:
        """How degrees of freedom are counted."""
        if not request.variance_uncertainty and request.ddf is None:
            return "the normal distribution, the variances taken as known"
        return f"degrees of freedom: {self._inference(request.ddf).ddf}"

    def _on_the_model(self, given: Given, request: PredictionRequest) -> Predictions:
        """Predictions on the scale of the model."""
        fit, inference = self.fit, None
        if request.se:
            inference = self._inference(request.ddf)
            refuse_method(inference, request)
        targets = given.targets(fit, request.wanted).of_columns(request.columns)
        if isinstance(fit, StructuredFit) and (request.own or request.se):
            own = given.own_variances(fit, len(targets.mean))
            found = structured_predictions(fit, inference, targets, given, own, request, partial(self._structured, fit))
            return Predictions(*found)
        targets.refuse_unknown(request.new_levels)
        estimate = targets.estimates(fit.b) if request.conditional else targets.mean
        if inference is None:
            none = np.full(len(estimate), np.nan)
            return Predictions(estimate, none, none, none, none)
        is_new = request.interval == "prediction"
        own = given.own_variances(fit, len(estimate)) if is_new else np.zeros(len(estimate))
        if request.method == "bootstrap":
            return self._by_bootstrap(targets, estimate, request, own)
        variance, df = self._variance(inference, targets, request, own)
        missing = np.isnan(estimate) | np.isnan(df)
        se, df = np.where(missing, np.nan, np.sqrt(np.maximum(variance, 0.0))), np.where(missing, np.nan, df)
        half = t_quantile((1 + request.level) / 2, df) * se
        return Predictions(estimate, se, df, estimate - half, estimate + half)

    def _by_bootstrap(
        self, targets: Targets, estimate: FloatArray, request: PredictionRequest, own: FloatArray
    ) -> Predictions:
        """Limits by quantiles of pivots; standard errors by their mean square."""
        plain = np.sqrt(self.joint(None)(targets.X, targets.terms, own).variance)
        drawn = pivots(self.fit, targets, own, request.n_boot, request.seed)
        tail = (1 - request.level) / 2
        lower, upper = np.quantile(drawn, [tail, 1 - tail], axis=1)
        se, none = plain * np.sqrt((drawn**2).mean(axis=1)), np.full(len(plain), np.nan)
        lost = np.where(np.isnan(estimate), np.nan, 0.0)
        return Predictions(estimate, se + lost, none, estimate + lower * plain, estimate + upper * plain)

    def _variance(
        self, inference: Inference, targets: Targets, request: PredictionRequest, own: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Variance and degrees of freedom of each row, (m,)."""
        is_known = not request.variance_uncertainty and request.ddf is None
        name = None if is_known else inference.ddf
        of_model = is_known and inference.cov_type in OF_THE_MODEL
        X = np.nan_to_num(targets.X)
        if not (request.conditional or request.interval == "prediction" or of_model):
            return inference.se(X) ** 2, np.full(len(X), np.inf) if is_known else inference.df(X)
        errors = self.joint(name)
        observed = request.variance_uncertainty == "observed"
        found = errors(targets.X, targets.terms, own, observed=observed)
        variance = found.variance + (found.added if request.variance_uncertainty else 0.0)
        if not (request.conditional or of_model):  # the mean's own variance is that of other tables
            of_mean = errors(targets.X, (None,) * len(targets.terms), np.zeros(len(own)))
            variance = found.variance - of_mean.variance + inference.se(X) ** 2
        return variance, found.limits_df(variance, request.level)


def refuse_method(inference: Inference, request: PredictionRequest) -> None:
    """Raise a `ValueError` for a method that says nothing of what is asked for."""
    if not (request.conditional or request.own) and request.interval != "prediction":
        return
    if inference.ddf not in RULES:
        raise ValueError(
            f"ddf={inference.ddf!r} counts degrees of freedom of fixed effects only; predictions with random effects, "
            f"and of new observations, have {', '.join(RULES)}"
        )
    if (request.conditional or request.own) and inference.cov_type not in OF_THE_MODEL:
        raise ValueError(
            f"cov={inference.cov_type!r} is a covariance of the fixed effects alone; predictions with random effects "
            "need the model's: with_inference(cov='model')"
        )
