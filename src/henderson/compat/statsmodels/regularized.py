"""Fixed effects with a penalty, covariances held at their unpenalised estimates.

Lasso: minimise (y − Xβ)'V⁻¹(y − Xβ)/σ² + Σ α_j |β_j| by cyclic coordinate descent on the Gram matrix of [X y]
in V⁻¹ (Friedman, Hastie and Tibshirani 2010); a coordinate's minimum is a soft threshold of its partial residual.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from henderson.engine import likelihood
from henderson.engine.given import fit_given

if TYPE_CHECKING:
    from henderson.compat.statsmodels.model import MixedLM
    from henderson.compat.statsmodels.results import MixedLMResults

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


def fit_regularized(
    model: MixedLM,
    start_params: Any,
    method: Any,
    alpha: Any,
    ceps: float,
    ptol: float,
    maxit: int,
    fit_kwargs: dict[str, Any],
) -> MixedLMResults:
    """See `MixedLM.fit_regularized`."""
    if isinstance(method, str) and method.lower() != "l1":
        raise ValueError(f"Invalid regularization method {method!r}; there are 'l1' and penalty objects")
    if not isinstance(method, str):
        method.alpha = alpha
        return model.fit(**(fit_kwargs | {"fe_pen": method}))
    plain = model.fit(**fit_kwargs)
    kept = plain.engine.kept
    weights = np.broadcast_to(np.asarray(alpha, float), (model.k_fe,))[kept]
    start = (
        plain.params_object.fe_params[kept]
        if start_params is None
        else np.asarray(start_params, float)[: model.k_fe][kept]
    )
    beta, converged = lasso(plain.moments.f0 / plain.scale, weights, start, tolerance=ptol, max_sweeps=maxit)
    point = likelihood.Point(plain.moments, plain.reml)
    fe_params = np.full(model.k_fe, np.nan)
    fe_params[kept] = beta
    scale = likelihood.scale(point, beta)
    engine = fit_given(model.design, plain.engine.theta, fe_params, scale, reml=plain.reml)
    params = plain.params_object.copy()
    params.fe_params = fe_params
    outcome = replace(
        plain._outcome,
        fit=replace(engine, deviance=-2 * likelihood.loglike(point, beta)),
        params=params,
        converged=converged and plain.converged,
        message=plain.message if converged else f"no convergence of coordinate descent in {maxit} sweeps",
        optimal=False,
        cov_re=np.asarray(plain.cov_re),
        vcomp=np.asarray(plain.vcomp),
        zero=np.abs(np.nan_to_num(fe_params)) <= ceps,
    )
    return type(plain)(model, outcome, plain.door)
