"""Cross-validation: each fold predicted by the fit of the others, exactly, from subtracted cross-products.

A row i of a fold D has the prediction x_i'β̂(D) + z_i'b̂(D), everything estimated without D; its error has the variance

    σ̂²(D) (1/w_i + z_i'W(D)z_i + a_i'Φ(D)a_i),   a_i' = x_i' − z_i'G Z'V⁻¹X

with W the conditional covariance of the effects: G itself for levels without rows left. Where residuals correlate,
what is left of a row's series predicts it, too: with P at the variances without the fold, errors P_DD⁻¹(Py)_D, whose
covariance is P_DD⁻¹. Scores:

    rmse  √mean (y − ŷ)²       mae  mean |y − ŷ|
    log_score  mean log N(y; ŷ, its variance)       elpd  their sum
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.rows import Rows
from henderson.diagnostics.one_step import is_apart
from henderson.diagnostics.row_sets import row_sets
from henderson.engine.criterion import Evaluation
from henderson.engine.deletion import criterion_without
from henderson.engine.fit import Fit
from henderson.engine.many.deletions import Sets, fits_without
from henderson.engine.many.draws import entropy_of
from henderson.engine.many.refits import Refits
from henderson.engine.residual.fit import StructuredFit, row_points
from henderson.engine.residual.model import working_variances
from henderson.engine.residual.row_forms import structured_forms
from henderson.engine.residual.units import LARGEST
from henderson.engine.row_forms import forms_at
from henderson.errors import NotAvailable
from henderson.numerics.matrices import block_diagonal
from henderson.numerics.threads import blas_threads
from henderson.progress import progress_bar
from henderson.tables.exports import TableExports
from henderson.tables.result_frame import ResultFrame
from henderson.tables.table import Table

FloatArray = np.ndarray

LEAVE_ONE_OUT = "leave-one-out"
#: folds where nobody says how many, and there are so many sets of rows
FOLDS = 10


@dataclass(frozen=True)
class Score:
    """A score and its standard error over folds.

    Attributes
    ----------
    estimate, se : float
    """

    estimate: float
    se: float


def _mean(values: FloatArray, fold: np.ndarray) -> Score:
    """Mean over rows; its error from the folds' sums. NaN where no row could be predicted."""
    if not len(values):
        return Score(np.nan, np.nan)
    total = np.bincount(fold, values - values.mean())
    m = np.count_nonzero(np.bincount(fold))
    se = np.sqrt(np.square(total).sum() * m / max(m - 1, 1)) / len(values) if m > 1 else np.nan
    return Score(float(values.mean()), float(se))


def _rmse(error: FloatArray, log_density: FloatArray, fold: np.ndarray) -> Score:
    square = _mean(error**2, fold)
    root = np.sqrt(square.estimate)
    return Score(float(root), float(square.se / (2 * root)) if root > 0 else np.nan)


def _mae(error: FloatArray, log_density: FloatArray, fold: np.ndarray) -> Score:
    return _mean(np.abs(error), fold)


def _log_score(error: FloatArray, log_density: FloatArray, fold: np.ndarray) -> Score:
    return _mean(log_density, fold)


def _elpd(error: FloatArray, log_density: FloatArray, fold: np.ndarray) -> Score:
    mean = _mean(log_density, fold)
    return Score(mean.estimate * len(error), mean.se * len(error))


#: name → score of the errors and log densities of the rows, with their folds
METRICS: dict[str, Callable[[FloatArray, FloatArray, np.ndarray], Score]] = {
    "rmse": _rmse,
    "mae": _mae,
    "log_score": _log_score,
    "elpd": _elpd,
}


@dataclass(frozen=True, repr=False, eq=False)
class CrossValidation(TableExports):
    """Predictions of held-out rows, and their scores.

    Attributes
    ----------
    score : float
        By the metric that was asked for.
    scores : DataFrame
        Index: metric; columns estimate, se (over folds).
    predictions : DataFrame
        A row for each row, with its label: fold, observed, predicted, se (of the prediction's error), error.
    metric : str

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> fit.cross_validate("Subject", 3, seed=1)
    3-fold cross-validation (levels of Subject)
    <BLANKLINE>
    metric      estimate       se
    rmse         49.0405   4.5051
    mae          38.1547   2.9245
    log_score    -5.2989   0.0783
    elpd       -953.7933  14.1013
    <BLANKLINE>
    exact: everything was estimated again without each fold
    se: over folds
    """

    score: float
    scores: ResultFrame
    predictions: pd.DataFrame = field(compare=False)
    metric: str

    def __repr__(self) -> str:
        return repr(self.scores)

    def as_table(self) -> Table:
        """The table of `scores`."""
        return self.scores.as_table()


@blas_threads()
def cross_validate(
    fit: Fit,
    by: Any = None,
    k: int | str | None = None,
    metric: str = "rmse",
    *,
    seed: Any = None,
    progress: Any = None,
) -> CrossValidation:
    """Predict every row by a fit without its fold.

    Parameters
    ----------
    fit : Fit
    by : None, str, or (n,) array_like
        What a fold is made of: rows, or whole levels of a factor. See `row_sets`.
    k : int or "leave-one-out", optional
        Folds; by default ten, or one a level where there are fewer.
    metric : {"rmse", "mae", "log_score", "elpd"}
    seed : int, SeedSequence or Generator, optional
        Of the folds.
    progress : bool or callable, optional

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
    >>> found = cross_validate(fit.engine, "Batch", "leave-one-out")
    >>> round(found.score, 2)
    68.31
    """
    if not isinstance(metric, str) or metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, not {metric!r}")
    chosen = row_sets(fit, by, "cross_validate()")
    k = min(FOLDS, chosen.sets.m) if k is None else k
    folds = _folds(chosen.sets, k, chosen.name or "rows", seed)
    if isinstance(fit, StructuredFit) and fit.design.is_related and folds.sizes.max() > LARGEST:
        raise NotAvailable(
            f"cross_validate(): a fold of {folds.sizes.max():,} rows, whose errors are correlated by relatives; folds "
            f"of up to {LARGEST:,} rows are taken: ask for more folds (k=)"
        )
    is_tied = not isinstance(fit, StructuredFit) and not is_apart(fit, folds)
    known: dict[int, tuple[FloatArray, FloatArray]] = {}

    def predict(f: int, without: Fit) -> None:
        if not np.isnan(without.beta[fit.kept]).any():
            known[f] = _predicted(without.at_optimum(), fit.rows[folds[f]], without.sigma)

    with progress_bar("Cross-validation, fits", folds.m, progress) as tell:
        fits = fits_without(fit, folds, tell, predict if is_tied else None)
    if isinstance(fit, StructuredFit):
        error, variance = _correlated(fit, folds, fits)
    else:
        error, variance = _connected(fit, folds, fits, known) if is_tied else _apart(fit, folds, fits)
    fold = np.empty(fit.n, int)
    fold[folds.rows] = np.repeat(np.arange(folds.m), folds.sizes)
    good = np.isfinite(error)
    with np.errstate(divide="ignore", invalid="ignore"):
        density = -0.5 * (np.log(2 * np.pi * variance) + error**2 / variance)
    scores = {name: one(error[good], density[good], fold[good]) for name, one in METRICS.items()}
    table = pd.DataFrame({name: [s.estimate, s.se] for name, s in scores.items()}, index=["estimate", "se"]).T
    table.index.name = "metric"
    what = "rows" if chosen.name is None else f"levels of {chosen.name}"
    heading = (
        f"Leave-one-out cross-validation ({what})" if k == LEAVE_ONE_OUT else f"{k}-fold cross-validation ({what})"
    )
    notes = ["exact: everything was estimated again without each fold", "se: over folds"]
    if not good.all():
        notes.append(f"{int((~good).sum())} rows are left out: without their fold the model is not determined")
    rows = fit.observed
    predictions = pd.DataFrame(
        {"fold": fold, "observed": rows.y, "predicted": rows.y - error, "se": np.sqrt(variance), "error": error},
        index=rows.index,
    )
    return CrossValidation(
        scores[metric].estimate, ResultFrame.of(table, heading, tuple(notes)), predictions, metric
    )  # fmt: skip


def _folds(sets: Sets, k: int | str, what: str, seed: Any) -> Sets:
    """Sets put together to k folds of nearly equal numbers of them, at random."""
    if k == LEAVE_ONE_OUT or k == sets.m:
        return sets
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 2:
        raise ValueError(f"k must be a number of folds, 2 or more, or {LEAVE_ONE_OUT!r}, not {k!r}")
    if k > sets.m:
        raise ValueError(f"k is {k}, but there are {sets.m} {what} to put into folds; at most k={sets.m}")
    rng = np.random.Generator(np.random.PCG64(entropy_of(seed)))
    fold_of_set = rng.permutation(np.arange(sets.m) % k)
    codes = np.empty(len(sets.rows), int)
    codes[sets.rows] = np.repeat(fold_of_set, sets.sizes)
    return Sets.of_codes(codes, int(k))


def _apart(fit: Fit, folds: Sets, fits: Refits) -> tuple[FloatArray, FloatArray]:
    """Folds that share no random effect with the others: nothing is known of theirs. Errors and variances, (n,)."""
    rows, fold = fit.rows, np.empty(fit.n, int)
    fold[folds.rows] = np.repeat(np.arange(folds.m), folds.sizes)
    X = np.empty((fit.n, fit.basis.p))
    fit.basis.fixed(rows, X)
    error = rows.response - np.einsum("ia,ia->i", rows.X[:, fit.kept], fits.beta[fold][:, fit.kept])
    variance = 1 / rows.unit_weights
    for term, own, lam in zip(fit.design.terms, rows.terms, fits.lam):
        if own.codes is None:
            variance = variance + lam[fold, 0, 0] ** 2 * np.asarray(own.given_loadings.power(2).sum(axis=1)).ravel()
        else:
            size = 1.0 if term.related is None else term.related.diagonal[own.codes]
            variance = variance + size * np.square(np.einsum("ia,iab->ib", own.columns, lam[fold])).sum(axis=1)
    return error, fits.sigma[fold] ** 2 * variance + np.einsum("ia,iab,ib->i", X, fits.turned[fold], X)


def _correlated(fit: StructuredFit, folds: Sets, fits: Refits) -> tuple[FloatArray, FloatArray]:
    """Folds of rows whose residuals correlate: from all rows' P at the variances without each. Errors, variances."""
    error, variance, rows, model = np.full(fit.n, np.nan), np.full(fit.n, np.nan), fit.observed, fit.blocks
    assert fits.psi is not None
    at = row_points(model, rows)
    for f in range(folds.m):
        if np.isnan(fits.beta[f, fit.kept]).any():
            continue
        lam, cov = [one[f] for one in fits.lam], [one[f] for one in fits.cov]
        point = at(working_variances(model, fits.sigma[f], lam, cov, fits.psi[f]))
        forms, held = structured_forms(model, point, rows), folds[f]
        left = np.linalg.inv(forms.p_block(held))
        error[held] = left @ forms.e[held] / np.sqrt(rows.unit_weights[held])
        variance[held] = fit.scale * np.diag(left) / rows.unit_weights[held]
    return error, variance


def _connected(
    fit: Fit, folds: Sets, fits: Refits, known: dict[int, tuple[FloatArray, FloatArray]]
) -> tuple[FloatArray, FloatArray]:
    """Any folds: the equations are solved without each, at its own variances, but for those that are known. Errors and
    variances, (n,)."""
    error, variance = np.full(fit.n, np.nan), np.full(fit.n, np.nan)
    blocks, roots = fit.criterion.blocks.blocks, fit.criterion.basis.roots
    for f in range(folds.m):
        if np.isnan(fits.beta[f, fit.kept]).any():
            continue
        if f not in known:
            lam = []
            for block, T in zip(blocks, roots):
                lam.append(np.linalg.solve(T, block_diagonal([fits.lam[t][f] for t in block.terms])))
            point = criterion_without(fit, folds[f]).at_lam(lam, fit.theta)
            known[f] = _predicted(point, fit.rows[folds[f]], float(fits.sigma[f]))
        error[folds[f]], variance[folds[f]] = known[f]
    return error, variance


def _predicted(point: Evaluation, held: Rows, sigma: float) -> tuple[FloatArray, FloatArray]:
    """Errors of rows that a point's sums are without, and their variances, (m,)."""
    forms = forms_at(point, held)
    spread = 1.0 + forms.explained + np.einsum("ia,ia->i", forms.vx @ forms.phi, forms.vx)
    return forms.e / np.sqrt(held.unit_weights), sigma**2 * spread / held.unit_weights
