"""How a `MixedLM` is fitted: which of the ways to an optimum a request needs, and the numbers at its end.

Without masks and penalties the engine does it (`fit.fit_design`). A mask that asks for independent random
effects and nothing else is another covariance structure: the engine's too. All else is `constrained`'s.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from henderson.compat.statsmodels.outcome import Outcome
from henderson.compat.statsmodels.params import MixedLMParams
from henderson.compat.statsmodels.setup import Setup
from henderson.engine.fit import fit_design
from henderson.engine.given import fit_at, fit_given
from henderson.engine.moments_at import refuse_lost
from henderson.errors import ConvergenceWarning, ValueWarning
from henderson.sources.columns import numbers

if TYPE_CHECKING:
    from henderson.compat.statsmodels.constrained import Maximum

FloatArray = np.ndarray

_OPTIONS = {"gtol", "maxiter", "eps", "maxcor", "ftol", "tol", "disp", "maxls"}


@dataclass(frozen=True)
class FitRequest:
    """The arguments of `MixedLM.fit`."""

    start_params: Any = None
    reml: bool = True
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


def fit_setup(setup: Setup, request: FitRequest) -> Outcome:
    """Fit as asked."""
    methods = request.methods
    for name, penalty in (("fe_pen", request.fe_pen), ("cov_pen", request.cov_pen)):
        if penalty is not None and not (hasattr(penalty, "func") and hasattr(penalty, "deriv")):
            raise ValueError(f"{name} is an object with func() and deriv(), not {penalty!r}")
    if request.free is not None:
        free = MixedLMParams.like(request.free)
        if free is None:
            raise ValueError(f"free is a MixedLMParams of zeros and ones, not {request.free!r}")
        request = replace(request, free=free)
    start = None if request.start_params is None else start_of(setup, request.start_params)
    penalised = request.fe_pen is not None or request.cov_pen is not None
    if not request.do_cg:
        outcome = at_start(setup, start or default_start(setup), request.reml)
    elif request.free is None and not penalised:
        outcome = plain(setup, start, request.reml)
    elif request.free is not None and not penalised and _independent(setup, request.free, start):
        outcome = independent(setup, start, request.reml)
    else:
        outcome = constrained(setup, start, request, methods, request.options or {})
    outcome = replace(outcome, freepat=request.free, cov_pen=request.cov_pen)
    return outcome if request.full_output else replace(outcome, hist=None)


def warn_of_unused(options: dict[str, Any], niter_sa: int) -> dict[str, Any]:
    """The options that an optimiser takes; the others are warned of."""
    if not isinstance(niter_sa, int):
        raise ValueError(f"niter_sa is a number of iterations, not {niter_sa!r}")
    if niter_sa > 0:
        warnings.warn("niter_sa is currently ignored", ValueWarning, stacklevel=3)
    unused = sorted(set(options) - _OPTIONS)
    if unused:
        ending = "s" if len(unused) > 1 else ""
        warnings.warn(
            f"Argument{ending} {', '.join(unused)} not used by MixedLM.fit. Future versions will raise "
            "on these arguments.",
            FutureWarning,
            stacklevel=3,
        )
    return {name: value for name, value in options.items() if name in _OPTIONS}


def start_of(setup: Setup, given: Any) -> MixedLMParams:
    """The start that was asked for."""
    if (same := MixedLMParams.like(given)) is not None:
        return same
    packed = numbers(_by_name(setup, given), "start_params")
    size = setup.k_re2 + setup.k_vc
    if len(packed) not in (size, size + setup.k_fe):
        raise ValueError(
            f"invalid start_params: {len(packed)} numbers; the model has {setup.k_fe} fixed effects and "
            f"{size} covariance parameters"
        )
    return setup.unpack(packed, has_fe=len(packed) == size + setup.k_fe)


def _by_name(setup: Setup, given: Any) -> Any:
    """A Series with the parameters' names in their order; anything else as it is."""
    names = setup.names.param_names
    if not isinstance(given, pd.Series) or isinstance(given.index, pd.RangeIndex):
        return given
    for own in (names, names[setup.k_fe :]):
        if list(given.index) == own:
            return given
        if given.index.is_unique and set(given.index) == set(own):
            return given[own]
    raise ValueError(f"invalid start_params: its index is {list(given.index)}, the parameters are {names}")


def default_start(setup: Setup) -> MixedLMParams:
    """Unit variances, relative to the residual's."""
    return MixedLMParams.from_components(np.zeros(setup.k_fe), cov_re=np.eye(setup.k_re), vcomp=np.ones(setup.k_vc))


def plain(setup: Setup, start: MixedLMParams | None, reml: bool) -> Outcome:
    """The engine's fit."""
    from henderson.engine.from_source import fit_sums

    theta = None if start is None else setup.theta(start)
    if setup.streamed is not None and setup.streamed.sums is not None:
        fit = fit_sums(setup.streamed.sums, setup.streamed, reml=reml, start=theta, rest=setup.rest)
    else:
        fit = fit_design(setup.design, setup.rows, reml=reml, start=theta, rest=setup.rest)
    return Outcome.of(fit, setup.params(fit.beta, setup.packing.g_of_theta(fit.theta)))


def at_start(setup: Setup, start: MixedLMParams, reml: bool) -> Outcome:
    """No optimisation: what the data say of β and σ² at the start's covariances."""
    refuse_lost(setup.criterion(reml), setup.packing.g(start.cov_re, start.vcomp))
    theta = setup.theta(start)
    fit = fit_at(setup.design, setup.rows, theta, reml=reml)
    outcome = Outcome.of(fit, setup.params(fit.beta, setup.packing.g_of_theta(theta)))
    return replace(outcome, converged=True, message="not optimised")


def _independent(setup: Setup, free: MixedLMParams, start: MixedLMParams | None) -> bool:
    """Whether a mask asks for nothing but zero covariances."""
    one_block = len(setup.packing.re_terms) == 1
    mask = np.asarray(free.cov_re, bool)
    everything = np.all(free.fe_params) and np.all(free.vcomp) and np.array_equal(mask, np.eye(len(mask)))
    begins_so = start is None or not np.any(np.asarray(start.cov_re) * ~mask)
    return bool(one_block and everything and begins_so)


def independent(setup: Setup, start: MixedLMParams | None, reml: bool) -> Outcome:
    """The engine's fit with a diagonal structure."""
    (k,) = setup.packing.re_terms
    terms = list(setup.design.terms)
    terms[k] = replace(terms[k], structure="diagonal")
    outcome = plain(setup.with_terms(tuple(terms)), start, reml)
    return replace(outcome, same_design=False)


def constrained(
    setup: Setup,
    start: MixedLMParams | None,
    request: FitRequest,
    methods: Sequence[str],
    options: dict[str, Any],
) -> Outcome:
    """A fit with masks or penalties."""
    if setup.rest == "iterative":
        raise ValueError(
            "rest='iterative' does not go with free=, fe_pen= or cov_pen=, which need the exact likelihood"
        )
    from henderson.compat.statsmodels.constrained import Problem, column_sizes, maximise

    problem = Problem(
        setup.criterion(request.reml),
        setup.packing,
        np.asarray(setup.criterion(request.reml).basis.kept, bool),
        request.reml,
        setup.use_sqrt,
        start or default_start(setup),
        request.free or setup.everything,
        *column_sizes(setup.rows, setup.packing),
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
    return outcome_at(setup, found, request.reml)


def outcome_at(setup: Setup, found: Maximum, reml: bool) -> Outcome:
    """Results at parameters that the engine did not choose."""
    g = setup.packing.g(found.cov_re, found.vcomp)
    theta = setup.packing.theta(g)
    fit = fit_given(setup.design, setup.rows, theta, found.fe_params, found.scale, reml=reml)
    return Outcome(
        fit=replace(fit, deviance=-2 * found.llf),
        params=setup.params(found.fe_params, g),
        converged=found.converged,
        message="" if found.converged else "no method converged",
        hist=found.history,
        optimal=False,
    )
