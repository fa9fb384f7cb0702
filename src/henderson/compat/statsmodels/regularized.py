"""Fixed effects with a penalty, covariances held at their unpenalised estimates.

Lasso: minimise (y − Xβ)'V⁻¹(y − Xβ)/σ² + Σ α_j |β_j| by cyclic coordinate descent on the Gram matrix of [X y]
in V⁻¹ (Friedman, Hastie and Tibshirani 2010); a coordinate's minimum is a soft threshold of its partial residual.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from henderson.compat.statsmodels.outcome import Outcome
from henderson.engine import likelihood
from henderson.engine.given import fit_given
from henderson.engine.moments import Moments

FloatArray = np.ndarray


def lasso(
    gram: FloatArray, alpha: FloatArray, start: FloatArray, *, tolerance: float, max_sweeps: int
) -> tuple[FloatArray, bool]:
    """Minimise β'Aβ − 2 b'β + Σ α_j |β_j|.

    Parameters
    ----------
    gram : (p + 1, p + 1) array
        [[A, b], [b', ·]].
    alpha : (p,) array
    start : (p,) array
    tolerance : float
        Largest change of a coefficient, relative to the largest coefficient or one, at the end.
    max_sweeps : int

    Returns
    -------
    beta : (p,) array
    converged : bool

    Examples
    --------
    >>> gram = np.array([[2.0, 0.0, 2.0], [0.0, 2.0, 0.2], [2.0, 0.2, 9.0]])
    >>> lasso(gram, np.array([1.0, 1.0]), np.zeros(2), tolerance=1e-10, max_sweeps=100)
    (array([0.75, 0.  ]), True)
    """
    p = len(alpha)
    A, b, beta = gram[:p, :p], gram[:p, p], start.copy()
    for _ in range(max_sweeps):
        before = beta.copy()
        for j in range(p):
            partial = b[j] - A[j] @ beta + A[j, j] * beta[j]
            excess = max(abs(partial) - alpha[j] / 2, 0.0)
            beta[j] = np.copysign(excess / A[j, j], partial) if excess else 0.0
        if np.abs(beta - before).max(initial=0.0) < tolerance:
            return beta, True
    return beta, False


def penalised_fixed_effects(
    plain: Outcome, moments: Moments, start_params: Any, alpha: Any, *, ceps: float, ptol: float, maxit: int
) -> Outcome:
    """The lasso's fixed effects at the covariances of a plain fit.

    Parameters
    ----------
    plain : Outcome
    moments : Moments
        At its estimates.
    start_params : (k_fe,) array_like, optional
    alpha : float or (k_fe,) array_like
        Weight of the penalty.
    ceps : float
        Coefficients smaller than this count as zero.
    ptol : float
        Largest change of a coefficient at convergence.
    maxit : int
    """
    fit = plain.fit
    kept, scale = fit.kept, fit.sigma**2
    weights = np.broadcast_to(np.asarray(alpha, float), (len(kept),))[kept]
    given = plain.params.fe_params if start_params is None else np.asarray(start_params, float)[: len(kept)]
    beta, converged = lasso(moments.f0 / scale, weights, given[kept], tolerance=ptol, max_sweeps=maxit)
    point = likelihood.Point(moments, fit.reml)
    fe_params = np.full(len(kept), np.nan)
    fe_params[kept] = beta
    there = fit_given(fit.design, fit.rows, fit.theta, fe_params, likelihood.scale(point, beta), reml=fit.reml)
    params = plain.params.copy()
    params.fe_params = fe_params
    return replace(
        plain,
        fit=replace(there, deviance=-2 * likelihood.loglike(point, beta)),
        params=params,
        converged=converged and plain.converged,
        message=plain.message if converged else f"no convergence of coordinate descent in {maxit} sweeps",
        optimal=False,
        cov_re=scale * plain.params.cov_re if plain.cov_re is None else plain.cov_re,
        vcomp=scale * plain.params.vcomp if plain.vcomp is None else plain.vcomp,
        zero=np.abs(np.nan_to_num(fe_params)) <= ceps,
    )
