"""From a design whose residuals have a structure to a `StructuredFit`: one search, or rounds of them.

The variance parameters are searched for in the working basis (`search`), and its end is turned: β = B⁻¹β̃ + β₀,
G = s² T G̃ T', ψ times s² where it is a variance. Variances that depend on the fitted values are fitted in `rounds`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import numpy as np

from henderson.contract.design import Design
from henderson.contract.plain_residual import with_plain_residual
from henderson.contract.rows import Rows
from henderson.covariance.layout import consecutive, layouts_of
from henderson.covariance.residual.residual import Residual
from henderson.covariance.roots import semidefinite_root, triangular
from henderson.engine.criterion import Criterion, Evaluation
from henderson.engine.residual.bounded import Boundedness
from henderson.engine.residual.ends import End
from henderson.engine.residual.fit import StructuredFit, ends_of, singular_visits
from henderson.engine.residual.model import BlockModel, Near, to_user_units, working_variances
from henderson.engine.residual.peaks import at_limit
from henderson.engine.residual.point import BlockPoint, block_at
from henderson.engine.residual.rounds import by_rounds
from henderson.engine.residual.rows import conditional_modes
from henderson.engine.residual.search import FALLING, LEFT, NEGATIVE, Found, certificate, search_blocks, way
from henderson.engine.residual.vanishing import (
    ZERO,
    has_vanished,
    is_near_limit,
    is_small,
    search_near_limit,
)
from henderson.engine.search.descent import Certified
from henderson.engine.search.optimize import Optimum
from henderson.engine.searched import Search
from henderson.numerics.matrices import block_diagonal
from henderson.numerics.threads import blas_threads
from henderson.progress import progress_bar

FloatArray = np.ndarray


def fit_structured(
    design: Design,
    rows: Rows,
    *,
    reml: bool = True,
    start: FloatArray | None = None,
    progress: bool | None = None,
    near: Near | None = None,
    trusted: bool = False,
    check: bool = True,
) -> StructuredFit:
    """Fit a design whose residuals have a structure, by REML or ML.

    Parameters
    ----------
    design : Design
    rows : Rows
    reml : bool
    start : (n_theta + r,) array, optional
        To begin from: θ, relative to √ψ₀, and the structure's natural parameters ψ in the user's units. By default a
        search begins from the residuals.
    progress : bool, optional
    near : callable, optional
        Makes φ of a model: variance parameters close to the optimum (`StructuredFit.phi_of`).
    trusted : bool
        Whether a certified end near them is the optimum, at a boundary, too.
    check : bool
        Whether to ask if the likelihood has a maximum.

    Raises
    ------
    DataError
        When the likelihood has no maximum whatever the response is.
    ValueError
        When `start` has another length, or is not in the range of the parameters.
    """
    if start is not None:
        near = near_start(design, rows, start)
    assert design.residual is not None
    began = time.perf_counter()
    with blas_threads(1), progress_bar("Fitting, evaluations", None, progress) as tell:
        if any(own.of_fitted for own in design.residual.variance):
            fitted = partial(_once, design, reml=reml, tell=tell, began=began, trusted=trusted, check=check)
            return by_rounds(fitted, design, rows, near)
        return _once(design, rows, near, reml=reml, tell=tell, began=began, trusted=trusted, check=check)


def structured_at(
    design: Design, rows: Rows, variances: FloatArray | Near, message: str, *, reml: bool
) -> StructuredFit:
    """What the data say of β and b at given variance parameters: (G, ψ) as those of a fit, or what makes φ."""
    began = time.perf_counter()
    with blas_threads(1):
        model = BlockModel.of(design, rows, reml=reml)
        phi = variances(model) if callable(variances) else model.from_user(variances)
        point = way(model, rows)(phi)
        optimum: Optimum[End] = Optimum(point, 1, 0.0, 0.0, True, message)
        return _in_user_units(model, rows, Found(optimum, 1, np.inf), began)


def near_start(design: Design, rows: Rows, start: FloatArray) -> Near:
    """What makes φ of θ, relative to √ψ₀, and ψ one after the other, in the user's units.

    Raises
    ------
    ValueError
        When there are more or fewer, or one is out of its range.
    """
    assert design.residual is not None
    assert rows.residual is not None
    layouts = layouts_of(design.terms)
    residual = Residual.of_rows(design.residual, rows.residual)
    sizes, start = [one.n_theta for one in layouts], np.asarray(start, float)
    n = sum(sizes)
    if start.shape != (n + residual.n_parameters,):
        raise ValueError(
            f"start has {start.size} numbers; the model has {n} of theta and {residual.n_parameters} of the residuals: "
            f"{', '.join(residual.names)}"
        )
    psi = residual.given(start[n:])
    residual.check(psi, "start")
    return near_given([layout.lam(start[place]) for layout, place in zip(layouts, consecutive(sizes))], psi)


def near_given(lam: Sequence[FloatArray], psi: FloatArray) -> Near:
    """What makes φ of λ of each term, relative to √ψ₀, and ψ."""
    cov, sigma = [one @ one.T for one in lam], float(np.sqrt(psi[0]))
    return lambda model: model.working(working_variances(model, sigma, lam, cov, psi))


def _once(
    design: Design,
    rows: Rows,
    near: Near | None,
    *,
    reml: bool,
    tell: Callable[[int], object],
    began: float,
    trusted: bool,
    check: bool,
) -> StructuredFit:
    """One search."""
    model = BlockModel.of(design, rows, reml=reml)
    asked = Boundedness(model, rows)
    if check:
        asked.check()
    bounded = not (check and asked.known)
    start = None if near is None else near(model)
    if start is not None and is_near_limit(model, rows, start):
        return _at_limit(model, rows, *search_near_limit(model, start), began)
    found = search_blocks(model, rows, tell=tell, near=start, trusted=trusted, bounded=bounded)
    if check and (reason := asked.reason(inside=found.optimum.converged)):
        found = replace(found, optimum=replace(found.optimum, converged=False, message=reason))
    point = found.optimum.point
    vanished = asked.vanished(point.psi[model.n_g :]) if check else ""
    if isinstance(point, BlockPoint) and (vanished or at_limit(model, point).any()):
        point.by_rows(asked.c)
    return _in_user_units(model, rows, found, began, vanished)


def fit_vanishing(
    design: Design, rows: Rows, ended: Certified, began: float
) -> StructuredFit | Optimum[BlockPoint] | None:
    """A model of independent residuals, to which a search has left next to nothing, where their variance is zero.

    Parameters
    ----------
    design : Design
    rows : Rows
    ended : Certified
        The end of the search in equations relative to that variance.
    began : float

    Returns
    -------
    StructuredFit, or Optimum, or None
        The end by blocks where the residuals have a variance after all; None where blocks are too large, or the limit
        is not reached.
    """
    point = ended.optimum.point
    design, rows = with_plain_residual(design, rows)
    model = BlockModel.of(design, rows, reml=point.criterion.reml)
    phi = model.working(_variances_of(point, model))
    if not is_small(model, rows) or not np.isfinite(block_at(model, phi).deviance):
        return None
    optimum, starts = search_near_limit(model, phi)
    if not has_vanished(optimum):
        return optimum if _certified(optimum)[0] else None
    model.evaluations += point.criterion.evaluations
    return _at_limit(model, rows, optimum, ended.starts + starts, began)


def _at_limit(model: BlockModel, rows: Rows, optimum: Optimum[BlockPoint], starts: int, began: float) -> StructuredFit:
    """The end by blocks of a model of independent residuals, with its certificate."""
    certified, smallest = _certified(optimum)
    ended = replace(optimum, converged=certified, message=optimum.message if certified else FALLING)
    found = Found(cast("Optimum[End]", ended), starts, smallest)
    return _in_user_units(model, rows, found, began, ZERO if has_vanished(optimum) else "")


def _certified(end: Optimum[BlockPoint]) -> tuple[bool, float]:
    """Whether nothing is left to gain, and the smallest eigenvalue of the Hessian."""
    smallest, left = certificate(end.point)
    return end.converged and smallest >= -NEGATIVE and left <= LEFT, smallest


def _variances_of(point: Evaluation, model: BlockModel) -> FloatArray:
    """ψ = (G̃, σ²) of the working basis where equations relative to σ² stand, (k,)."""
    scale, out = point.r2 / point.criterion.nu, np.zeros(model.k)
    for block, lam in zip(point.criterion.blocks.blocks, point.lam):
        for i, place in zip(block.terms, block.layout.terms):
            out[model.g_of[i]] = scale * model.layouts[i].g(lam[place, place] @ lam[place, place].T)
    out[-1] = scale
    return out


def relative_theta(criterion: Criterion, point: BlockPoint) -> FloatArray:
    """θ of a model of independent residuals relative to their variance, the last of ψ, in the working basis."""
    lam = []
    for block in criterion.blocks.blocks:
        roots = [
            semidefinite_root(point.model.layouts[i].covariance(point.psi[point.model.g_of[i]]) / point.psi[-1])
            for i in block.terms
        ]
        lam.append(triangular(block_diagonal(roots)))
    return criterion.blocks.theta(lam)


def refit_structured(
    fit: StructuredFit, y: FloatArray | None = None, *, reml: bool | None = None, progress: bool | None = None
) -> StructuredFit:
    """The same model fitted to another response, or by the other likelihood, from the fit's own optimum."""
    rows = fit.observed_for("refit")
    rows = rows if y is None else rows.with_response(y)
    by = fit.reml if reml is None else reml
    check = by != fit.reml
    return fit_structured(fit.design, rows, reml=by, progress=progress, near=fit.phi_of, check=check)


def _in_user_units(model: BlockModel, rows: Rows, found: Found, began: float, vanished: str = "") -> StructuredFit:
    """The end of a search as a fit: β = B⁻¹β̃ + β₀, G = s² T G̃ T', ψ times s² where it is a variance."""
    optimum, basis = found.optimum, model.basis
    point = optimum.point
    user = to_user_units(model) @ point.psi
    psi = user[model.n_g :]
    sigma = float(np.sqrt(psi[0]))
    lam, signed = [], []
    for k, (layout, to) in enumerate(zip(model.layouts, model.g_of)):
        own = float(user[to][0]) / sigma**2 if model.coordinates.is_signed(k) else None
        signed.append(own)
        if own is not None and own < 0:
            lam.append(np.full((layout.q, layout.q), np.nan))
        else:  # of G̃: of a slope on a covariate far from zero, G in the user's units has lost its digits
            root = semidefinite_root(layout.covariance(point.psi[to]))
            lam.append(triangular(model.roots[k] @ root) * (basis.y_scale / sigma))
    theta = np.concatenate([np.zeros(0), *(layout.theta(one) for layout, one in zip(model.layouts, lam))])
    beta = np.full(len(basis.kept), np.nan)
    beta[basis.kept] = basis.beta0 + basis.y_scale * (basis.to_beta @ point.beta)
    assert rows.residual is not None
    ends = ends_of(model.residual, psi, rows.residual, at_limit(model, point) & (not vanished))
    edge = "; ".join(filter(None, (ends, vanished)))
    message = f"{optimum.message}; at the end of its range: {edge}" if edge else optimum.message
    if not optimum.converged and (visits := singular_visits(model.residual, psi)):
        message = f"{message}; residuals at {visits} determine each other"
    gradient = (optimum.full or point).gradient
    ended = Search(
        model.evaluations,
        float(np.abs(gradient).max(initial=0.0)) / model.n,
        optimum.predicted_decrease,
        0.0,
        min(found.smallest, 0.0),
        optimum.converged,
        time.perf_counter() - began,
        message,
        optimum.history,
        found.starts,
        0,
        found.smallest,
    )
    return StructuredFit(
        model.design,
        model.reml,
        theta,
        tuple(lam),
        beta,
        basis.kept,
        sigma,
        basis.y_scale**2 * basis.to_beta @ point.phi @ basis.to_beta.T,
        conditional_modes(model, point, rows) if isinstance(point, BlockPoint) else point.modes(),
        point.deviance,
        ended,
        rows,
        psi=psi,
        ends=edge,
        signed=tuple(signed),
        n_blocks=len(model.sizes_of_blocks(rows)),
        _blocks=model,
        _block_point=point,
    )
