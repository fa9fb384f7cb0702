"""Fits with masks and penalties: maximise ℓ(β, G) − penalties over the parameters that are free.

1. The free entries of (cov_re, vcomp), or of their roots, become variables in units of the columns' sizes.
2. β is profiled out (over its free columns) unless it is penalised; then it joins the variables, as steps
   from the GLS solution in units of its covariance.
3. A quasi-Newton method of scipy climbs; value and gradient come from `likelihood`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.compat.statsmodels.packing import Packing
from henderson.compat.statsmodels.params import MixedLMParams
from henderson.contract.rows import Rows
from henderson.covariance.roots import factor_of
from henderson.engine import likelihood
from henderson.engine.moments_at import moments_of, refuse_far
from henderson.numerics.linalg import scaled_inverse

FloatArray = np.ndarray

#: statsmodels' names of optimisers → scipy's
METHODS = {
    "bfgs": "BFGS",
    "lbfgs": "L-BFGS-B",
    "cg": "CG",
    "nm": "Nelder-Mead",
    "powell": "Powell",
    "minimize": "BFGS",
    "basinhopping": "BFGS",  # the likelihood has one basin for these starts: no hopping
}
#: largest gradient, in standardised variables, at which a search is over; per unit of log-likelihood
GRADIENT = 1e-6
#: condition of random slopes' columns, in their units, from which a search ends on the way
FAR = 3e3


@dataclass(frozen=True)
class Maximum:
    """Where a search ended.

    Attributes
    ----------
    fe_params : (k_fe,) array
    cov_re : (k_re, k_re) array
    vcomp : (k_vc,) array
    llf : float
        Log-likelihood there, without penalties.
    scale : float
    p : int
        Fixed effects that were free.
    converged : bool
    history : list of dict
        One a method tried.
    """

    fe_params: FloatArray
    cov_re: FloatArray
    vcomp: FloatArray
    llf: float
    scale: float
    p: int
    converged: bool
    history: list[dict[str, Any]]


@dataclass(frozen=True)
class Problem:
    """A criterion, a start, and what is free.

    Attributes
    ----------
    criterion : Criterion
        Gives ``deviance(theta)`` and ``moments(g)``.
    packing : Packing
    kept : (k_fe,) bool array
    reml : bool
    use_sqrt : bool
    start : MixedLMParams
    free : MixedLMParams
        Mask.
    sizes : (k_re,) array
        Root mean square of each random-effects column.
    vc_sizes : (k_vc,) array
    fe_pen, cov_pen : Any
    """

    criterion: Any
    packing: Packing
    kept: FloatArray
    reml: bool
    use_sqrt: bool
    start: MixedLMParams
    free: MixedLMParams
    sizes: FloatArray
    vc_sizes: FloatArray
    fe_pen: Any = None
    cov_pen: Any = None


def column_sizes(rows: Rows, packing: Packing) -> tuple[FloatArray, FloatArray]:
    """Root mean square of the columns of cov_re's terms, and of each component's."""
    sizes = [np.sqrt(np.diag(term.gram()) / rows.n) for term in rows.terms]
    re = [sizes[k] for k in packing.re_terms]
    vc = [np.sqrt((sizes[k] ** 2).mean()) for k in packing.vc_terms]
    return np.concatenate(re) if re else np.zeros(0), np.array(vc, float)


def maximise(problem: Problem, methods: Sequence[str], options: dict[str, Any]) -> Maximum:
    """Run the methods in turn until one converges.

    Raises
    ------
    DataError
        Where random slopes' covariates are so far from zero that no method finds the way in their units.
    """
    from scipy import optimize

    refuse_far(problem.criterion, FAR)
    variables = _Variables(problem)
    x, converged, history = variables.start, not len(variables.start), []
    for name in methods if len(x) else ():
        method = METHODS[name.lower()]
        found = optimize.minimize(
            variables.value_and_gradient if method not in ("Nelder-Mead", "Powell") else variables.value,
            x,
            jac=method not in ("Nelder-Mead", "Powell"),
            method=method,
            options=_options(method, options),
        )
        x = found.x
        steepest = float(np.abs(variables.value_and_gradient(x)[1]).max())
        converged = bool(found.success) or steepest < 1e-3
        history.append({"method": name, "fopt": float(found.fun), "converged": converged, "params": x})
        if converged:
            break
    return variables.maximum(x, converged, history)


def _options(method: str, given: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {"maxiter": given.get("maxiter", 1000)}
    if method in ("BFGS", "CG", "L-BFGS-B"):
        options["gtol"] = min(given.get("gtol", GRADIENT), GRADIENT)
    if method == "L-BFGS-B":
        options["ftol"] = 1e-14
    return options


class _Variables:
    """Steps 1 and 2: variables x ↔ parameters, and the function of x."""

    def __init__(self, problem: Problem):
        self.problem = problem
        packing, start, free = problem.packing, problem.start, problem.free
        r, s = packing.entries.T
        sizes = np.where(problem.sizes > 0, problem.sizes, 1.0)
        vc_sizes = np.where(problem.vc_sizes > 0, problem.vc_sizes, 1.0)
        if problem.use_sqrt:
            root = factor_of(np.asarray(start.cov_re, float)) if packing.k_re else np.zeros((0, 0))
            packed = np.concatenate([root[r, s], np.sqrt(np.asarray(start.vcomp, float))])
            units = np.concatenate([1 / sizes[r], 1 / vc_sizes])
        else:
            packed = np.concatenate([np.asarray(start.cov_re, float)[r, s], np.asarray(start.vcomp, float)])
            units = np.concatenate([1 / sizes[r] / sizes[s], 1 / vc_sizes**2])
        self.packed, self.units = packed, units
        self.mask = np.concatenate([np.asarray(free.cov_re)[r, s], np.asarray(free.vcomp)]).astype(bool)
        self._set_fixed_effects()
        x = (packed / units)[self.mask]
        self.start = np.concatenate([x, np.zeros(self.p)]) if problem.fe_pen is not None else x

    def _set_fixed_effects(self) -> None:
        """The mixing of [X y] that leaves the free columns, and y less the columns held fixed."""
        problem, kept = self.problem, self.problem.kept
        fixed = ~np.asarray(problem.free.fe_params, bool)[kept]
        held = np.asarray(problem.start.fe_params, float)[kept][fixed]
        p_kept, self.p = len(fixed), int((~fixed).sum())
        self.mixing = np.zeros((p_kept + 1, self.p + 1))
        self.mixing[np.flatnonzero(~fixed), np.arange(self.p)] = 1.0
        self.mixing[:p_kept, self.p][fixed] = -held
        self.mixing[p_kept, self.p] = 1.0
        self.fixed, self.held = fixed, held
        if problem.fe_pen is not None:
            g = problem.packing.g(*self.covariances(self.packed))
            point = self.point(g)
            self.center = likelihood.profile_beta(point.moments)
            information = -likelihood.hessian(point, self.center)[: self.p, : self.p]
            self.spread = np.linalg.cholesky(scaled_inverse(information))

    def covariances(self, packed: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(cov_re, vcomp) of packed parameters."""
        packing = self.problem.packing
        lower = np.zeros((packing.k_re, packing.k_re))
        lower[tuple(packing.entries.T)] = packed[: packing.k_re2]
        vcomp = packed[packing.k_re2 :]
        if self.problem.use_sqrt:
            return lower @ lower.T, vcomp**2
        return lower + np.tril(lower, -1).T, vcomp

    def point(self, g: FloatArray) -> likelihood.Point:
        """The likelihood over the free columns at G."""
        problem = self.problem
        return likelihood.Point(likelihood.combine(moments_of(problem.criterion, g), self.mixing), problem.reml)

    def _packed(self, x: FloatArray) -> FloatArray:
        packed = self.packed.copy()
        packed[self.mask] = x[: self.mask.sum()] * self.units[self.mask]
        return packed

    def _full_beta(self, beta: FloatArray) -> FloatArray:
        """β of all columns: the free, those held, NaN for the redundant."""
        inner = np.zeros(len(self.fixed))
        inner[~self.fixed], inner[self.fixed] = beta, self.held
        out = np.full(len(self.problem.kept), np.nan)
        out[self.problem.kept] = inner
        return out

    def _beta(self, x: FloatArray, point: likelihood.Point) -> FloatArray:
        if self.problem.fe_pen is None:
            return likelihood.profile_beta(point.moments)
        return self.center + self.spread @ x[self.mask.sum() :]

    def value(self, x: FloatArray) -> float:
        """−ℓ + penalties."""
        return self.value_and_gradient(x)[0]

    def value_and_gradient(self, x: FloatArray) -> tuple[float, FloatArray]:
        """−ℓ + penalties, and its gradient in x. Outside the parameter space: a high plateau."""
        problem, packing = self.problem, self.problem.packing
        packed = self._packed(x)
        cov_re, vcomp = self.covariances(packed)
        outside = min(_smallest(cov_re), vcomp.min(initial=0.0))
        if outside < 0:
            return 1e10 * (1 - outside), np.zeros_like(x)
        point = self.point(packing.g(cov_re, vcomp))
        beta = self._beta(x, point)
        value = -likelihood.loglike(point, beta)
        d_beta, d_g = likelihood.score(point, beta)
        gradient = -d_g[packing.index]
        if problem.cov_pen is not None and packing.k_re:
            inverse = np.linalg.pinv(cov_re)
            value += problem.cov_pen.func(cov_re, inverse)
            gradient[: packing.k_re2] += problem.cov_pen.deriv(cov_re, inverse)
        if problem.use_sqrt:
            lower = np.zeros_like(cov_re)
            lower[tuple(packing.entries.T)] = packed[: packing.k_re2]
            gradient = gradient @ packing.root_jacobian(lower, packed[packing.k_re2 :])
        gradient = (gradient * self.units)[self.mask]
        if problem.fe_pen is not None:
            whole = np.nan_to_num(self._full_beta(beta))
            value += problem.fe_pen.func(whole)
            slope = np.asarray(problem.fe_pen.deriv(whole))[problem.kept][~self.fixed]
            gradient = np.concatenate([gradient, self.spread.T @ (slope - d_beta)])
        return float(value), gradient

    def maximum(self, x: FloatArray, converged: bool, history: list[dict[str, Any]]) -> Maximum:
        """The parameters at x."""
        cov_re, vcomp = self.covariances(self._packed(x))
        point = self.point(self.problem.packing.g(cov_re, vcomp))
        beta = self._beta(x, point)
        return Maximum(
            self._full_beta(beta),
            cov_re,
            vcomp,
            likelihood.loglike(point, beta),
            likelihood.scale(point, beta),
            self.p,
            converged,
            history,
        )


def _smallest(cov: FloatArray) -> float:
    """Smallest eigenvalue, rounding errors left out."""
    if not len(cov):
        return 0.0
    values = np.linalg.eigvalsh(cov)
    return float(values[0]) if values[0] < -1e-12 * abs(values[-1]) else 0.0
