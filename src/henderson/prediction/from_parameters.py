"""Responses drawn at given parameters, of a formula without a fit, or of a fit whose parameters are replaced.

y = Xβ + offset + Σ_k Z_k b_k + ε,  b_k ~ N(0, σ²λλ') a level,  Var ε_i = σ²/w_i, or W^{-1/2}R(ψ)W^{-1/2} by series
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from henderson.contract.design import Design
from henderson.design.given import Given, given_parameters
from henderson.design.without_response import design_without_response
from henderson.engine.fit import Fit
from henderson.engine.many.draws import of_parameters, together
from henderson.engine.residual.fit import StructuredFit
from henderson.errors import NotAvailable
from henderson.formula.environment import Env, capture
from henderson.sources.frames import like, read_table
from henderson.typing import AnyFrame, ByName, ColumnLike, Seed, TableLike, Variances

#: what parameters are given by
PARAMETERS = ("beta", "theta", "varcorr", "sigma", "psi")


def simulate(
    formula: str,
    data: TableLike,
    *,
    beta: ByName,
    theta: ArrayLike | None = None,
    varcorr: Variances | None = None,
    sigma: float | None = None,
    residual: str | None = None,
    psi: ByName | None = None,
    n: int = 1,
    seed: Seed | None = None,
    weights: ColumnLike | None = None,
    offset: ColumnLike | None = None,
    contrasts: Mapping[str, Any] | None = None,
    env: Env = 0,
) -> AnyFrame:
    """Draw responses of a model whose parameters are given, without a fit.

    Parameters
    ----------
    formula : str
        ``"y ~ x + (x | g)"``, as for `lmer`; the response need not be there, ``"~ x + (x | g)"`` will do.
    data : table
        Covariates and grouping factors.
    beta : mapping of str to float, or (p,) array_like
        Fixed effects by the names of their columns, or in their order.
    theta : (k,) array_like, optional
        Covariances of the random effects relative to σ, as lme4's ``theta``.
    varcorr : float, mapping or table, optional
        Instead: variances in units of the response. One number, or grouping factor → variance, variances of the
        effects, or their covariance matrix; a table as `results.varcorr` is.
    sigma : float
        Residual standard deviation; a table of variances has it.
    residual : str, optional
        A covariance structure of the residuals, as for `lmer`: ``"ar1(visit | patient)"``.
    psi : mapping of str to float, or (r,) array_like
        With `residual`, instead of `sigma`: its parameters by name (``{"Var": 4.0, "Corr": 0.6}``), or in their order.
    n : int
        How many draws.
    seed : int, SeedSequence or Generator, optional
        The same seed gives the same draws.
    weights, offset, contrasts, env
        As for `lmer`; residual variances are sigma² / weights.

    Returns
    -------
    table of the make of `data`
        A row for each row, with its label, and a column for each draw, ``sim_1``, ``sim_2``, …, on the scale of the
        formula's response; NaN in rows where a variable is missing.

    Raises
    ------
    ValueError
        A parameter that is missing, unknown, or of another shape; the message names it.

    Examples
    --------
    >>> import henderson
    >>> data = {"x": [0, 1, 0, 1], "g": list("aabb")}
    >>> found = henderson.simulate("y ~ x + (1 | g)", data, beta=[10, 2], varcorr={"g": 4.0}, sigma=0.5, n=2, seed=1)
    >>> found.shape, found.columns.tolist()
    ((4, 2), ['sim_1', 'sim_2'])
    """
    n = number_of_draws(n)
    design, rows = design_without_response(
        formula, data, weights=weights, offset=offset, contrasts=contrasts, residual=residual, env=capture(env)
    )
    at = given_parameters(design, beta=beta, theta=theta, varcorr=varcorr, sigma=sigma, psi=psi)
    refuse_of_fitted(design, "simulate()")
    drawn = together(of_parameters(design, rows, at), rows.n, n, seed)
    if rows.positions is not None:
        whole = np.full((read_table(data).n, n), np.nan)
        whole[rows.positions] = drawn
        drawn = whole
    return like(data, drawn, [f"sim_{k + 1}" for k in range(n)])


def number_of_draws(n: Any) -> int:
    """n, when it is a number of draws."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise ValueError(f"n must be a number of draws, not {n!r}")
    return int(n)


def at_parameters(fit: Fit, params: Mapping[str, Any] | None) -> Fit:
    """A fit with other parameters in place of its estimates; what is not given stays.

    Parameters
    ----------
    fit : Fit
    params : mapping, or None
        Of ``"beta"``, ``"theta"`` or ``"varcorr"``, and ``"sigma"`` or ``"psi"``, as for `simulate`.

    Raises
    ------
    ValueError
        For another name, or what is no parameter; the message names it.
    """
    if params is None:
        return fit
    if not isinstance(params, Mapping) or not set(params) <= set(PARAMETERS):
        wrong = params if not isinstance(params, Mapping) else next(name for name in params if name not in PARAMETERS)
        raise ValueError(f"params is a dict of {', '.join(PARAMETERS)}; {wrong!r} is none of them")
    own = Given(fit.beta, fit.lam, fit.sigma, fit.psi if isinstance(fit, StructuredFit) else None)
    at = given_parameters(fit.design, **params, otherwise=own)
    beta = np.where(fit.kept, at.beta, np.nan)
    if isinstance(fit, StructuredFit) and at.psi is not None:
        return replace(fit, beta=beta, lam=at.lam, sigma=at.sigma, psi=at.psi, _block_point=None)
    return replace(fit, beta=beta, lam=at.lam, sigma=at.sigma)


def refuse_of_fitted(design: Design, what: str) -> None:
    """Raise where residual variances follow the fitted values: there are none before there is a fit."""
    if design.residual is not None and any(own.of_fitted for own in design.residual.variance):
        raise NotAvailable(
            f"{what}: the variances follow the fitted values, of which there are none without a fit; "
            "power(x) and exp(x) of a covariate can be drawn"
        )
