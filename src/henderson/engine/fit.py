"""From a design to a fitted model as numbers: what the engine hands to results and inference.

The rows are summed (`Criterion.of`), the optimum is searched in the working basis (`search`), and its numbers are
turned back into the user's units here.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from henderson.contract.design import Design
from henderson.contract.plain_residual import without_plain_residual
from henderson.contract.rows import Rows
from henderson.covariance.roots import triangular
from henderson.engine.criterion import Criterion, Evaluation
from henderson.engine.factor.iterative.choice import check_rest, warn_if_sparse
from henderson.engine.fitted import Fit as Fit
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.fitting import fit_structured, fit_vanishing, refit_structured, relative_theta
from henderson.engine.residual.vanishing import UNKNOWN, may_vanish
from henderson.engine.saturated import check_bounded, check_residual
from henderson.engine.search.by_probes import search_by_probes
from henderson.engine.search.descent import WORTHWHILE, Certified, descend
from henderson.engine.search.search import search
from henderson.engine.searched import Search
from henderson.engine.sums.extremes import refuse_coefficients
from henderson.numerics.lapack import eigen
from henderson.numerics.matrices import block_diagonal
from henderson.numerics.threads import blas_threads
from henderson.progress import progress_bar

#: rows of the dense rest from which a search that begins near its end takes its last step at this predicted decrease:
#: what that step leaves, about 1e-4 of it, is below rounding of the deviance, and another iteration costs a quarter of
#: a refit (at a larger one, too, where the step before says as much, see `optimize.minimize`)
DEAR, SLIGHT = 500, 1e-6
#: of what a fit keeps, that which another response changes
OF_RESPONSE = ("residual_quantiles", "moments", "b_cov", "b_cov_error")


def fit_design(
    design: Design,
    rows: Rows,
    *,
    reml: bool = True,
    start: np.ndarray | None = None,
    progress: bool | None = None,
    rest: str = "auto",
) -> Fit:
    """Fit a design by REML or ML.

    Parameters
    ----------
    design : Design
    rows : Rows
    reml : bool
    start : (k,) array, optional
        A θ to begin from, in the user's units.
    progress : bool, optional
        Show the number of evaluations. None: on a terminal, when the fit takes longer than a second.
    rest : {"auto", "exact", "iterative"}
        How the equations of crossed effects are solved, see `system_of`.

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        When `reml` is neither: text such as "ML" would pass for True. When `rest` is none of those, or iterative for a
        model whose equations are not solved in this way.
    """
    if not isinstance(reml, bool | int | np.bool_):
        raise ValueError(f"REML must be True or False, not {reml!r}")
    check_rest(rest)
    if design.residual is not None:
        if rest == "iterative":
            raise ValueError(
                "rest='iterative' does not go with residual=, fix=, same= or bound=: these are solved by blocks"
            )
        return fit_structured(design, rows, reml=bool(reml), start=start, progress=progress)
    began = time.perf_counter()
    products = _products(design)
    with blas_threads(products=products):
        criterion = Criterion.of(design, rows, reml=bool(reml), rest=rest)
        if rest == "iterative":
            warn_if_sparse(criterion.system)
        return fit_criterion(design, rows, criterion, began, products, start=start, progress=progress)


def fit_criterion(
    design: Design,
    rows: Rows | None,
    criterion: Criterion,
    began: float,
    products: int | None = None,
    *,
    start: np.ndarray | None = None,
    progress: bool | None = None,
) -> Fit:
    """Fit a design whose rows are summed; `began` is when that was begun, `products` as `_products` has it."""
    with (
        blas_threads(criterion.order, products=products),
        progress_bar("Fitting, evaluations", None, progress) as tell,
    ):
        check_bounded(criterion, design.y_name)
        find = search_by_probes if criterion.system.rest == "iterative" else search
        return _ended(design, rows, find(criterion, start, tell), began)


def _ended(design: Design, rows: Rows | None, ended: Certified, began: float) -> Fit:
    """The end of a search as a `Fit`; where correlated effects have left next to nothing to the residual, by blocks."""
    point, criterion = ended.optimum.point, ended.optimum.point.criterion
    if may_vanish(point):
        found = None if rows is None else fit_vanishing(design, rows, ended, began)
        if isinstance(found, StructuredFit):
            return found
        if found is None:
            ended = replace(ended, optimum=replace(ended.optimum, converged=False, message=UNKNOWN))
        elif found.point.deviance < point.deviance - WORTHWHILE:
            first = criterion.at(relative_theta(criterion, found.point))
            again = descend(criterion, criterion.at, first) if np.isfinite(first.deviance) else ended
            ended = replace(again, starts=ended.starts, surveyed=ended.surveyed) if again.is_below(ended) else ended
    return in_user_units(design, rows, criterion, ended, began)


def refit(
    fit: Fit,
    y: np.ndarray | None = None,
    *,
    reml: bool | None = None,
    near: Evaluation | None = None,
    tolerance: float | None = None,
    progress: bool | None = None,
) -> Fit:
    """The same model fitted to another response, or by the other likelihood.

    Parameters
    ----------
    fit : Fit
    y : (n,) array, optional
        The response of the fit's rows. Default: the fit's own; then its sums serve as they are.
    reml : bool, optional
        Default: as the fit.
    near : Evaluation, optional
        A point of the fit's criterion to begin from, whose factor is used again where another is dear, or a tolerance
        is given. Default: the fit's optimum.
    tolerance : float, optional
        Predicted decrease of the deviance at which the search takes its last step, where less precision will do.
        Default: `SLIGHT` in models with a dense rest of `DEAR` rows or more, else as a fit.
    progress : bool, optional

    Returns
    -------
    Fit
    """
    if fit.has_no_residual and y is not None and tolerance is None:  # for another response it may be far from zero
        model = without_plain_residual(fit.design, fit.observed_for("refit").with_response(y))
        return fit_design(*model, reml=fit.reml if reml is None else reml, progress=progress)
    if isinstance(fit, StructuredFit):
        return refit_structured(fit, y, reml=reml, progress=progress)
    began, design, rows = time.perf_counter(), fit.design, fit._rows
    with blas_threads(fit.criterion.order, products=_products(design)):
        criterion = fit.criterion if reml is None else replace(fit.criterion, reml=reml)
        if y is not None:
            rows = fit.rows_for("refit").with_response(y)
            criterion = criterion.with_response(rows, fit.response_columns)
        criterion.evaluations = 0
        check_bounded(criterion, design.y_name)
        with progress_bar("Fitting, evaluations", None, progress) as tell:
            if criterion.system.rest == "iterative":
                ended = search_by_probes(criterion, tell=tell, near=near or fit.near())
            else:
                least = tolerance_near(fit.criterion) if tolerance is None else tolerance
                ended = search(criterion, tell=tell, near=near or fit.near(), tolerance=least)
        if tolerance is None:
            found = _ended(design, rows, ended, began)
        else:
            found = in_user_units(design, rows, ended.optimum.point.criterion, ended, began)
    still = {name: value for name, value in fit._kept.items() if name not in OF_RESPONSE}
    again = replace(found, _kept=still) if still else found
    if y is not None:
        again.__dict__["response_columns"] = fit.response_columns
    return again


def tolerance_near(criterion: Criterion) -> float:
    """Predicted decrease at which a search that begins near its end takes its last step; zero: as any other."""
    return SLIGHT if criterion.order >= DEAR else 0.0


def _products(design: Design) -> int | None:
    """Multiply-adds of the largest product where there is but the front; None where LAPACK works on a rest, too."""
    one_factor = all(not term.loaded and term.group == design.terms[0].group for term in design.terms)
    width = len(design.x_names) + 1 + sum(term.n_columns for term in design.terms)
    return design.n * width**2 if one_factor else None


def in_user_units(
    design: Design,
    rows: Rows | None,
    criterion: Criterion,
    ended: Certified,
    began: float,
) -> Fit:
    """The end of a search, in the working basis, as a `Fit` in the user's units: λ = Tλ̃, β = B⁻¹β̃ + β₀, b = Tb̃."""
    point, basis, blocks = ended.optimum.point, criterion.basis, criterion.blocks
    check_residual(criterion, point, design.y_name)
    lam: list[np.ndarray] = [np.zeros(0)] * len(design.terms)
    b: list[np.ndarray] = [np.zeros(0)] * len(design.terms)
    by_block = point.modes()
    point.lighten()
    for block, T, one, modes in zip(blocks.blocks, basis.roots, point.lam, by_block):
        root, effects = T @ one, block.unranked(basis.y_scale * (T @ modes).T)
        for i, part in zip(block.terms, block.layout.terms):
            lam[i], b[i] = triangular(root[part, part]), np.ascontiguousarray(effects[:, part])
    theta = blocks.theta([block_diagonal([lam[i] for i in block.terms]) for block in blocks.blocks])
    sigma = basis.y_scale * np.sqrt(point.r2 / criterion.nu)
    to_beta = basis.to_beta  # X = X̃B, so β = B⁻¹β̃ + β₀
    beta = np.full(len(basis.kept), np.nan)
    beta[basis.kept] = basis.beta0 + basis.y_scale * (to_beta @ point.beta)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by name
        cov_beta = sigma**2 * to_beta @ point.phi @ to_beta.T
    refuse_coefficients(design, basis.kept, cov_beta.diagonal())
    found = Search(
        criterion.evaluations,
        ended.optimum.gradient_norm / criterion.system.cross.n,
        ended.optimum.predicted_decrease,
        ended.gain,
        ended.smallest,
        ended.converged,
        time.perf_counter() - began,
        ended.message,
        ended.history,
        ended.starts,
        ended.surveyed,
        np.inf if (full := ended.optimum.full) is None else _flattest(full),
        ended.monte_carlo,
    )
    return Fit(
        design,
        criterion.reml,
        theta,
        tuple(lam),
        beta,
        basis.kept,
        float(sigma),
        cov_beta,
        tuple(b),
        point.deviance,
        found,
        rows,
        criterion,
        None if full is None or "factor" not in full.__dict__ else full,
        point,
        rest=criterion.system.rest,
    )


def _flattest(point: Evaluation) -> float:
    unit = np.maximum(np.abs(point.theta), 1.0)
    return float(eigen(point.hessian_model * (unit[:, None] * unit))[0].min(initial=np.inf))
