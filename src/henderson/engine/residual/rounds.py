"""Variance functions of the fitted values: fits whose covariate v is what the one before fitted, until it stays.

Each round holds v, so that its likelihood is one of known variance functions, and ends at F(v) = Xβ̂ + Zb̂; what is
looked for is v = F(v), nlme's definition of the estimate. It is not the maximum of a likelihood, and v need not be the
only one: rounds begin with least squares, as nlme's do. Where they come nearer slowly, or swing from side to side
further and further, the last few are extrapolated (Anderson 1965, J. ACM 12, 547-560),

    v₊ = F(v) − Σ_i γ_i ΔF_i        γ minimising ‖F(v) − v − Σ_i γ_i Δ(F − v)_i‖
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.model import Near
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks

FloatArray = np.ndarray

#: rounds, and the change of fitted values, relative to the largest, that ends them
ROUNDS, SETTLED = 100, 1e-9
#: rounds before any is extrapolated, and of how many before it each then is
PLAIN, MEMORY = 6, 4


def by_rounds(
    fitted: Callable[[Rows, Near | None], StructuredFit], design: Design, rows: Rows, near: Near | None
) -> StructuredFit:
    """The fit at v = F(v).

    Parameters
    ----------
    fitted : callable
        The fit of rows whose covariates are given, from variance parameters near its own or from None.
    design : Design
    rows : Rows
    near : callable or None
        Makes φ of a model: variance parameters for the first round.
    """
    plain = Basis.of(design, [rows], Blocks.of(design.terms, [rows]))
    beta = np.zeros(len(plain.kept))
    beta[plain.kept] = plain.beta0
    values, fit = rows.mean(beta, plain.kept), None
    tried: list[tuple[FloatArray, FloatArray]] = []
    for turn in range(ROUNDS):
        fit = fitted(with_fitted(design, rows, values), near)
        near, found = fit.phi_of, rows.mean(fit.beta, fit.kept) + rows.random_part(fit.b)
        if np.abs(found - values).max() <= SETTLED * np.abs(found).max():
            return fit
        tried = [*tried[-MEMORY:], (values, found)]
        values = found if turn < PLAIN else extrapolated(tried)
    assert fit is not None
    unsettled = f"the variances of the fitted values did not settle in {ROUNDS} rounds"
    if _is_power(design) and any(one.min() < 0 < one.max() for one, _ in tried):
        unsettled += ": some are about zero, where a power of them has no variance"
    return replace(fit, optimum=replace(fit.optimum, converged=False, message=unsettled))


def _is_power(design: Design) -> bool:
    """Whether a variance is a power of the fitted values."""
    assert design.residual is not None
    return any(own.of_fitted and own.kind == "power" for own in design.residual.variance)


def extrapolated(tried: list[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """v₊ of pairs (v, F(v)), the last ones last, (n,)."""
    off = np.diff([found - values for values, found in tried], axis=0)
    moved = np.diff([found for _, found in tried], axis=0)
    values, found = tried[-1]
    gamma = np.linalg.lstsq(off.T, found - values, rcond=1e-10)[0]
    return found - gamma @ moved


def with_fitted(design: Design, rows: Rows, values: FloatArray) -> Rows:
    """Rows whose covariates of fitted values are these, (n,)."""
    residual, term = rows.residual, design.residual
    assert residual is not None
    assert term is not None
    covariates = (values if own.of_fitted else v for own, v in zip(term.variance, residual.covariates))
    return replace(rows, residual=replace(residual, covariates=tuple(covariates)))
