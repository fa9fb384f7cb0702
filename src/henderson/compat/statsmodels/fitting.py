"""How a `MixedLM` is fitted: which of the ways to an optimum a request needs, and the results at its end.

Without masks and penalties the engine does it (`fit.fit_design`). A mask that asks for independent random
effects and nothing else is another covariance structure: the engine's too. All else is `constrained`'s.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from henderson.compat.statsmodels.doors import STATSMODELS
from henderson.compat.statsmodels.model import MixedLM
from henderson.compat.statsmodels.outcome import Outcome
from henderson.compat.statsmodels.params import MixedLMParams
from henderson.compat.statsmodels.results import MixedLMResults
from henderson.engine.fit import fit_design
from henderson.engine.given import fit_at, fit_given
from henderson.errors import ConvergenceWarning, ValueWarning
from henderson.results.fit_warnings import warn_at_boundary, warn_unless_certified

if TYPE_CHECKING:
    from henderson.compat.statsmodels.constrained import Maximum

FloatArray = np.ndarray

_OPTIONS = {"gtol", "maxiter", "eps", "maxcor", "ftol", "tol", "disp", "maxls"}


@dataclass(frozen=True)
class FitRequest:
    """The arguments of `MixedLM.fit`."""

    start_params: Any = None
    reml: bool = True
    niter_sa: int = 0
    do_cg: bool = True
    fe_pen: Any = None
    cov_pen: Any = None
    free: MixedLMParams | None = None
    full_output: bool = False
    method: Any = None
    options: dict[str, Any] | None = None

    @property
    def methods(self) -> Sequence[str]:
        """Optimisers to try in turn.

        Raises
        ------
        ValueError
            For one that there is not, or that needs second derivatives.
        """
        if self.method is None:
            return ["bfgs", "lbfgs"]
        from henderson.compat.statsmodels.constrained import METHODS

        names = [self.method] if isinstance(self.method, str) else list(self.method)
        for name in names:
            if name.lower() in ("newton", "ncg"):
                raise ValueError(f"method {name} not available for MixedLM")
            if name.lower() not in METHODS:
                raise ValueError(f"unknown method {name!r}; there are {', '.join(METHODS)}")
        return names


def fit_model(model: MixedLM, request: FitRequest) -> MixedLMResults:
    """Fit as asked. Remembers in the model whether its likelihood is restricted and penalised."""
    methods, options = request.methods, _checked(request.options or {})
    if request.niter_sa > 0:
        warnings.warn("niter_sa is currently ignored", ValueWarning, stacklevel=3)
    model.reml, model.fe_pen, model.cov_pen = request.reml, request.fe_pen, request.cov_pen
    start = None if request.start_params is None else start_of(model, request.start_params)
    penalised = request.fe_pen is not None or request.cov_pen is not None
    if not request.do_cg:
        outcome = at_start(model, start or default_start(model), request.reml)
    elif request.free is None and not penalised:
        outcome = plain(model, start, request.reml)
    elif request.free is not None and not penalised and _independent(model, request.free, start):
        outcome = independent(model, start, request.reml)
    else:
        outcome = constrained(model, start, request, methods, options)
    outcome = replace(outcome, freepat=request.free, cov_pen=request.cov_pen)
    if not request.full_output:
        outcome = replace(outcome, hist=None)
    results = MixedLMResults(model, outcome, STATSMODELS)
    warn_unless_certified(results, stacklevel=4)
    warn_at_boundary(results)
    return results


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    unused = sorted(set(options) - _OPTIONS)
    if unused:
        ending = "s" if len(unused) > 1 else ""
        warnings.warn(
            f"Argument{ending} {', '.join(unused)} not used by MixedLM.fit. Future versions will raise "
            "on these arguments.",
            FutureWarning,
            stacklevel=4,
        )
    return {name: value for name, value in options.items() if name in _OPTIONS}


def start_of(model: MixedLM, given: Any) -> MixedLMParams:
    """The start that was asked for."""
    if isinstance(given, MixedLMParams):
        return given.copy()
    packed = np.asarray(given, float)
    size = model.k_re2 + model.k_vc
    if len(packed) not in (size, size + model.k_fe):
        raise ValueError(
            f"invalid start_params: {len(packed)} numbers; the model has {model.k_fe} fixed effects and "
            f"{size} covariance parameters"
        )
    return model._unpack(packed, has_fe=len(packed) == size + model.k_fe)


def default_start(model: MixedLM) -> MixedLMParams:
    """Unit variances, relative to the residual's."""
    return MixedLMParams.from_components(np.zeros(model.k_fe), cov_re=np.eye(model.k_re), vcomp=np.ones(model.k_vc))


def plain(model: MixedLM, start: MixedLMParams | None, reml: bool) -> Outcome:
    """The engine's fit."""
    theta = None if start is None else model._packing.theta(model._packing.g(start.cov_re, start.vcomp))
    fit = fit_design(model.design, reml=reml, start=theta)
    return Outcome.of(fit, _params(model, fit.beta, model._packing.g_of_theta(fit.theta)))


def _params(model: MixedLM, beta: FloatArray, g: FloatArray) -> MixedLMParams:
    return MixedLMParams.from_components(np.array(beta), cov_re=model._packing.cov_re(g), vcomp=model._packing.vcomp(g))


def at_start(model: MixedLM, start: MixedLMParams, reml: bool) -> Outcome:
    """No optimisation: what the data say of β and σ² at the start's covariances."""
    theta = model._packing.theta(model._packing.g(start.cov_re, start.vcomp))
    fit = fit_at(model.design, theta, reml=reml)
    outcome = Outcome.of(fit, _params(model, fit.beta, model._packing.g_of_theta(theta)))
    return replace(outcome, converged=True, message="not optimised")


def _independent(model: MixedLM, free: MixedLMParams, start: MixedLMParams | None) -> bool:
    """Whether a mask asks for nothing but zero covariances."""
    one_block = len(model._packing.re_terms) == 1
    mask = np.asarray(free.cov_re, bool)
    everything = np.all(free.fe_params) and np.all(free.vcomp) and np.array_equal(mask, np.eye(len(mask)))
    begins_so = start is None or not np.any(np.asarray(start.cov_re) * ~mask)
    return bool(one_block and everything and begins_so)


def independent(model: MixedLM, start: MixedLMParams | None, reml: bool) -> Outcome:
    """The engine's fit with a diagonal structure."""
    (k,) = model._packing.re_terms
    terms = list(model.design.terms)
    terms[k] = replace(terms[k], structure="diagonal")
    other = MixedLM.from_design(replace(model.design, terms=tuple(terms)), model.k_vc)
    outcome = plain(other, start, reml)
    return replace(outcome, same_design=False)


def constrained(
    model: MixedLM,
    start: MixedLMParams | None,
    request: FitRequest,
    methods: Sequence[str],
    options: dict[str, Any],
) -> Outcome:
    """A fit with masks or penalties."""
    from henderson.compat.statsmodels.constrained import Problem, column_sizes, maximise

    everything = MixedLMParams.from_components(
        np.ones(model.k_fe), cov_re=np.ones((model.k_re, model.k_re)), vcomp=np.ones(model.k_vc)
    )
    problem = Problem(
        model._criterion(request.reml),
        model._packing,
        model._kept,
        request.reml,
        model.use_sqrt,
        start or default_start(model),
        request.free or everything,
        *column_sizes(model.design, model._packing),
        fe_pen=request.fe_pen,
        cov_pen=request.cov_pen,
    )
    found = maximise(problem, methods, options)
    for tried, follows in zip(found.history, found.history[1:]):
        warnings.warn(
            f"Retrying MixedLM optimization with {follows['method']} after {tried['method']}",
            ConvergenceWarning,
            stacklevel=4,
        )
    return outcome_at(model, found, request.reml)


def outcome_at(model: MixedLM, found: Maximum, reml: bool) -> Outcome:
    """Results at parameters that the engine did not choose."""
    g = model._packing.g(found.cov_re, found.vcomp)
    theta = model._packing.theta(g)
    fit = fit_given(model.design, theta, found.fe_params, found.scale, reml=reml)
    return Outcome(
        fit=replace(fit, deviance=-2 * found.llf),
        params=_params(model, found.fe_params, g),
        converged=found.converged,
        message="" if found.converged else "no method converged",
        hist=found.history,
        optimal=False,
    )
