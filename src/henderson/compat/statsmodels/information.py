"""The joint covariance of statsmodels' parameters at its results: masks, l1 penalties and other designs included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from henderson.engine import likelihood
from henderson.inference.covariances.joint import Joint, joint_of, joint_of_fit

if TYPE_CHECKING:
    from henderson.compat.statsmodels.results import MixedLMResults

FloatArray = np.ndarray


def joint_covariance(results: MixedLMResults) -> Joint:
    """The joint covariance at results, ML or REML; what was held fixed has none."""
    beta, free = results.params_object.fe_params[results.engine.kept], _free(results)
    if results._outcome.same_design and free.all():
        return joint_of_fit(results.engine, beta)
    return joint_of(likelihood.Point(results.moments, results.reml), beta, free=free)


def _free(results: MixedLMResults) -> FloatArray:
    """Which of (β, G) were estimated, (p + k,) bool."""
    packing, kept = results.model._packing, results.engine.kept
    beta, g = np.ones(len(kept), bool), np.ones(len(packing.index), bool)
    if results.freepat is not None:
        entries = np.asarray(results.freepat.cov_re)[tuple(packing.entries.T)]
        beta = np.asarray(results.freepat.fe_params, bool)
        g[packing.index] = np.concatenate([entries, results.freepat.vcomp]).astype(bool)
    if results._outcome.zero is not None:
        beta = beta & ~results._outcome.zero
    return np.concatenate([beta[kept], g])
