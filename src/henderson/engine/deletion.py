"""The fit of a design without some of its rows: S − S_part, no row of the rest is read again.

Cross-products in one basis subtract as they add. Where leaving out the rows makes columns of X redundant, or takes
from a term all it had, the rest is summed in a basis of its own. Rows whose residuals correlate are fitted again, from
the optimum of all.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from henderson.engine.criterion import Criterion
from henderson.engine.factor.iterative.choice import system_of
from henderson.engine.fit import Fit, fit_design, in_user_units, tolerance_near
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.fitting import fit_structured
from henderson.engine.search.by_probes import descend_again
from henderson.engine.search.search import search
from henderson.engine.search.start import working_theta
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.errors import DataError
from henderson.numerics.threads import blas_threads

#: least eigenvalue of X̃'X̃ over that of all rows, columns brought to one size, below which columns are redundant
INDEPENDENT = 1e-9


def criterion_without(fit: Fit, gone: np.ndarray) -> Criterion:
    """The criterion of a fit's rows without those at `gone`, in the same basis.

    Parameters
    ----------
    fit : Fit
    gone : int array
        Places among the rows of the fit.
    """
    whole = fit.criterion
    part = CrossProducts.of(fit.design, [fit.rows[gone]], whole.blocks, whole.basis)
    system = system_of(whole.system.cross - part, whole.blocks, fit.rest).like(whole.system)
    return Criterion(system, whole.basis, fit.reml)


def fit_without(fit: Fit, gone: np.ndarray) -> Fit:
    """Fit a model again without some rows.

    Parameters
    ----------
    fit : Fit
        With its rows.
    gone : int array
        Places of the rows that are left out, one or more.

    Returns
    -------
    Fit
        Of the same design, its levels being the same: those without rows have modes of zero. It has no rows.

    Raises
    ------
    DataError
        When what is left does not determine the model.

    Examples
    --------
    >>> from henderson import datasets
    >>> from henderson.design.from_formula import design_from_formula
    >>> from henderson.engine.fit import fit_design
    >>> fit = fit_design(*design_from_formula("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff")))
    >>> without = fit_without(fit, np.arange(5))
    >>> without.n, round(float(without.beta[0]), 1)
    (25, 1532.0)
    """
    began = time.perf_counter()
    if fit.n - len(gone) <= int(fit.kept.sum()):
        raise DataError(f"{fit.n - len(gone)} rows are left for {int(fit.kept.sum())} fixed effects")
    design = replace(fit.design, n=fit.n - len(gone))
    kept = np.ones(fit.n, bool)
    kept[gone] = False
    if isinstance(fit, StructuredFit):
        return fit_structured(
            design, fit.observed[np.flatnonzero(kept)], reml=fit.reml, near=fit.phi_of, trusted=True, progress=False
        )
    with blas_threads(fit.criterion.order):
        criterion = criterion_without(fit, gone)
        if _is_independent(criterion, fit.criterion):
            if criterion.system.rest == "iterative":
                ended = descend_again(criterion, working_theta(criterion, fit.theta))
            else:
                ended = search(criterion, fit.theta, tolerance=tolerance_near(criterion))
            return in_user_units(design, None, criterion, ended, began)
    return fit_design(design, fit.rows[np.flatnonzero(kept)], reml=fit.reml, start=fit.theta, progress=False)


def _is_independent(criterion: Criterion, whole: Criterion) -> bool:
    """Whether the fixed columns are still independent."""
    p = criterion.system.cross.p
    gram, before = criterion.system.cross.xy[:p, :p], whole.system.cross.xy[:p, :p]
    if not p:
        return True
    root = np.linalg.inv(np.linalg.cholesky(before))
    return bool(np.linalg.eigvalsh(root @ gram @ root.T)[0] > INDEPENDENT)
