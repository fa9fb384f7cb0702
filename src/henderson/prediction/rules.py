"""What a method of degrees of freedom says of predictions: the covariance Ω of the variance parameters that it goes by.

With v the variance of a prediction's error, and ∇v its derivatives along the parameters of the working basis,

    df = 2v² / (∇v'Ω∇v)

At a singular fit the Hessian in θ says of a variance of zero that it cannot move, since ∂G/∂θ = 0 there. What is added
for the estimated parameters goes by the expected information along G itself then: a variance that was estimated as zero
need not be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from henderson.engine.boundary import is_singular
from henderson.engine.fit import Fit
from henderson.inference.ddf.kenward_roger import parameter_covariance, refuse_ml
from henderson.inference.ddf.satterthwaite import satterthwaite
from henderson.inference.fit_moments import FitMoments
from henderson.inference.identified import Flat, not_identified
from henderson.inference.information import coordinates, coordinates_of, curvature
from henderson.numerics.linalg import positive_inverse

FloatArray = np.ndarray


def _by_hessian(fitted: FitMoments) -> FloatArray:
    """Covariance of the parameters from the Hessian of the deviance in (θ, ρ), as Satterthwaite's method has it."""
    jacobian = coordinates_of(fitted).jacobian
    return np.asarray(jacobian @ satterthwaite(fitted).covariance @ jacobian.T)


def _by_information(kind: str, fitted: FitMoments) -> FloatArray:
    """Covariance of the parameters from their expected or observed information I, J(J'IJ)⁻J' with J = ∂g/∂(θ, ρ): I⁻¹,
    but for variances of zero, which cannot move to first order. Where residuals have a structure it is that of Kenward
    and Roger's tables."""
    refuse_ml(fitted.fit.reml)
    if fitted.design.residual is not None:
        return parameter_covariance(fitted)[0]
    jacobian = coordinates(fitted.design, fitted.lam).jacobian
    inside = jacobian.T @ (getattr(curvature(fitted), kind) / 2) @ jacobian
    return np.asarray(jacobian @ positive_inverse(inside).matrix @ jacobian.T)


def _along_g(fitted: FitMoments) -> FloatArray:
    """I⁻¹ of the parameters' expected information, whether or not they can move at the estimates."""
    return positive_inverse(curvature(fitted).expected / 2).matrix


@dataclass(frozen=True)
class Rule:
    """What a method of degrees of freedom says of predictions.

    Attributes
    ----------
    covariance : callable
        FitMoments of the working basis to Ω, (k + 1, k + 1).
    singular : callable, or None
        To the Ω that is added by at a singular fit; None: the same.
    times : float
        How often tr(Aω) is added: once it is the error of the estimates (Kackar and Harville 1984), twice the downward
        bias of v at them, too (Prasad and Rao 1990; Kenward and Roger for fixed effects).
    df : callable, or None
        Fit to the degrees of freedom of every row; None: 2v² / (∇v'Ω∇v).
    """

    covariance: Callable[[FitMoments], FloatArray]
    singular: Callable[[FitMoments], FloatArray] | None = None
    times: float = 1.0
    df: Callable[[Fit], float] | None = None


#: method of degrees of freedom → what it says of predictions with random effects
RULES: dict[str, Rule] = {
    "satterthwaite": Rule(_by_hessian, _along_g),
    "kenward-roger": Rule(partial(_by_information, "expected"), times=2.0),
    "kenward-roger-2009": Rule(partial(_by_information, "expected"), times=2.0),
    "kenward-roger-linear": Rule(partial(_by_information, "expected"), times=2.0),
    "kenward-roger-observed": Rule(partial(_by_information, "observed"), times=2.0),
    "residual": Rule(_by_hessian, _along_g, df=lambda fit: float(fit.n - fit.kept.sum())),
    "asymptotic": Rule(_by_hessian, _along_g, df=lambda fit: np.inf),
}


@dataclass(frozen=True)
class RuleAtFit:
    """A rule at one fit.

    Attributes
    ----------
    fit : Fit
    rule : Rule, or None
        None: the variance parameters are taken as known.
    """

    fit: Fit
    rule: Rule | None

    @cached_property
    def fitted(self) -> FitMoments:
        """The fit in the working basis."""
        return FitMoments.of(self.fit).working

    @cached_property
    def covariance(self) -> FloatArray | None:
        """Ω by which degrees of freedom go."""
        return None if self.rule is None else self.rule.covariance(self.fitted)

    @cached_property
    def added_by(self) -> FloatArray | None:
        """Ω by which is added what the estimation of the parameters adds."""
        if self.rule is not None and self.rule.singular is not None and is_singular(self.fit):
            return self.rule.singular(self.fitted)
        return self.covariance

    @cached_property
    def _flat(self) -> Flat | None:
        found = None if self.rule is None else not_identified(self.fit)
        return None if found is None else found.flat

    def df(self, variance: FloatArray, slope: FloatArray) -> FloatArray:
        """Degrees of freedom of variances (m,) with their derivatives (m, parameters of Ω); NaN of what the data do not
        identify."""
        if self.rule is None or self.covariance is None:
            return np.full(len(variance), np.inf)
        unknown = np.zeros(len(variance), bool) if self._flat is None else self._flat.touches(slope)
        if self.rule.df is not None:
            df = np.full(len(variance), self.rule.df(self.fit))
        else:
            spread = np.einsum("mi,mi->m", slope @ self.covariance, slope)
            with np.errstate(divide="ignore", invalid="ignore"):
                df = 2 * variance**2 / spread
        return np.where(unknown, np.nan, df)
