"""Likelihood profile of one variance: the best likelihood with that variance held at each of some values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from henderson.compat.statsmodels.fitting import FitRequest, fit_setup
from henderson.compat.statsmodels.outcome import Outcome
from henderson.compat.statsmodels.params import MixedLMParams
from henderson.compat.statsmodels.setup import Setup

FloatArray = np.ndarray


def profile_re(
    setup: Setup,
    outcome: Outcome,
    re_ix: Any,
    vtype: Literal["re", "vc"],
    num_low: int = 5,
    dist_low: float = 1.0,
    num_high: int = 5,
    dist_high: float = 1.0,
    method: str | Sequence[str] | None = None,
    options: dict[str, Any] | None = None,
) -> FloatArray:
    """Profile a variance parameter.

    Parameters
    ----------
    setup : Setup
    outcome : Outcome
        Of the fit whose parameter is profiled.
    re_ix : int or str
        Which random effect, or the name of the variance component.
    vtype : {"re", "vc"}
    num_low, num_high : int
        Points below and above the estimate.
    dist_low, dist_high : float
        How far below and above, on the scale of `cov_re`.
    method, options
        Of the optimiser; see `MixedLM.fit`.

    Returns
    -------
    (num_low + num_high + 1, 2) array
        The variance, and the log-likelihood. (Held is the ratio to the residual variance; shown is that ratio
        times each fit's residual variance.)
    """
    if vtype not in ("re", "vc"):
        raise ValueError(f"vtype must be one of ('re', 'vc'), not {vtype!r}")
    params, scale = outcome.params.copy(), outcome.fit.sigma**2
    free = outcome.freepat.copy() if outcome.freepat is not None else setup.everything
    if vtype == "re":
        order = np.arange(setup.k_re)
        order[[0, re_ix]] = order[[re_ix, 0]]
        setup, params, free = _permuted(setup, order), _reordered(params, order), _reordered(free, order)
        estimate = params.cov_re[0, 0]
        free.cov_re[0, 0] = 0
    else:
        at = setup.names.vcomp_names.index(re_ix)
        estimate = params.vcomp[at]
        free.vcomp[at] = 0
    low, high = estimate - dist_low / scale, estimate + dist_high / scale
    if low <= 0:
        raise ValueError("dist_low is too large and would result in a negative variance. Try a smaller value.")
    values = np.concatenate([np.linspace(low, estimate, num_low + 1), np.linspace(estimate, high, num_high + 1)[1:]])
    out = []
    for value in values:
        start = params.copy()
        if vtype == "re":
            start.cov_re = _with_first_variance(params.cov_re, value)
        else:
            start.vcomp[at] = value
        request = FitRequest(
            start, outcome.fit.reml, free=free, cov_pen=outcome.cov_pen, method=method, options=options
        )
        fit = fit_setup(setup, request).fit
        out.append((value * fit.sigma**2, -fit.deviance / 2))
    return np.array(out)


def _reordered(params: MixedLMParams, order: FloatArray) -> MixedLMParams:
    out = params.copy()
    out.cov_re = np.asarray(params.cov_re)[np.ix_(order, order)]
    return out


def _with_first_variance(cov: FloatArray, value: float) -> FloatArray:
    """The same correlations with another first variance, so that the start is positive definite."""
    size = np.ones(len(cov))
    size[0] = np.sqrt(value / cov[0, 0]) if cov[0, 0] > 0 else 1.0
    out = cov * np.outer(size, size)
    out[0, 0] = value
    return out


def _permuted(setup: Setup, order: FloatArray) -> Setup:
    """The same with its random-effects columns in another order."""
    if len(setup.packing.re_terms) != 1:
        raise ValueError("profile_re(vtype='re') needs one random-effects term")
    (k,) = setup.packing.re_terms
    terms, loads = list(setup.design.terms), list(setup.rows.terms)
    terms[k] = replace(terms[k], names=tuple(terms[k].names[i] for i in order))
    loads[k] = replace(loads[k], columns=loads[k].columns[:, order])
    design, rows = replace(setup.design, terms=tuple(terms)), replace(setup.rows, terms=tuple(loads))
    return Setup.of(design, rows, setup.k_vc, use_sqrt=setup.use_sqrt)
