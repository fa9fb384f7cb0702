"""Likelihood profile of one variance: the best likelihood with that variance held at each of some values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from henderson.compat.statsmodels.params import MixedLMParams

if TYPE_CHECKING:
    from henderson.compat.statsmodels.results import MixedLMResults

FloatArray = np.ndarray


def profile_re(
    results: MixedLMResults,
    re_ix: Any,
    vtype: str,
    num_low: int = 5,
    dist_low: float = 1.0,
    num_high: int = 5,
    dist_high: float = 1.0,
    **fit_kwargs: Any,
) -> FloatArray:
    """Profile a variance parameter.

    Parameters
    ----------
    results : MixedLMResults
    re_ix : int or str
        Which random effect, or the name of the variance component.
    vtype : {"re", "vc"}
    num_low, num_high : int
        Points below and above the estimate.
    dist_low, dist_high : float
        How far below and above, on the scale of `cov_re`.
    **fit_kwargs
        For `MixedLM.fit`.

    Returns
    -------
    (num_low + num_high + 1, 2) array
        The variance, and the log-likelihood. (Held is the ratio to the residual variance; shown is that ratio
        times each fit's residual variance.)
    """
    if vtype not in ("re", "vc"):
        raise ValueError(f"vtype must be one of ('re', 'vc'), not {vtype!r}")
    model, params = results.model, results.params_object.copy()
    free = results.freepat.copy() if results.freepat is not None else model.setup.everything
    if vtype == "re":
        order = np.arange(model.k_re)
        order[[0, re_ix]] = order[[re_ix, 0]]
        model, params, free = _permuted(model, order), _reordered(params, order), _reordered(free, order)
        estimate = params.cov_re[0, 0]
        free.cov_re[0, 0] = 0
    else:
        at = model.data.vcomp_names.index(re_ix)
        estimate = params.vcomp[at]
        free.vcomp[at] = 0
    low, high = estimate - dist_low / results.scale, estimate + dist_high / results.scale
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
        fit = model.fit(start_params=start, free=free, reml=results.reml, cov_pen=results.cov_pen, **fit_kwargs)
        out.append((value * fit.scale, fit.llf))
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


def _permuted(model: Any, order: FloatArray) -> Any:
    """A fresh model with its random-effects columns in another order."""
    if len(model._packing.re_terms) != 1:
        raise ValueError("profile_re(vtype='re') needs one random-effects term")
    (k,) = model._packing.re_terms
    terms = list(model.design.terms)
    names = tuple(terms[k].names[i] for i in order)
    terms[k] = replace(terms[k], names=names)
    loads = list(model.setup.rows.terms)
    loads[k] = replace(loads[k], columns=loads[k].columns[:, order])
    design, rows = replace(model.design, terms=tuple(terms)), replace(model.setup.rows, terms=tuple(loads))
    return type(model).from_design(design, rows, model.k_vc)
