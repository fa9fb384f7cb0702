"""`Fit`s at parameters that were given, not found: what the data say of the rest there."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.engine.criterion import Criterion
from henderson.engine.fit import Fit, in_user_units
from henderson.engine.search.descent import Certified
from henderson.engine.search.optimize import Optimum
from henderson.errors import DataError, NotAvailable
from henderson.numerics.threads import blas_threads

FloatArray = np.ndarray

#: the message of a fit at given parameters
GIVEN = "not optimised"


@blas_threads()
def fit_at(design: Design, rows: Rows, theta: FloatArray, *, reml: bool = True) -> Fit:
    """β̂, σ² and conditional modes at a given θ.

    Raises
    ------
    DataError
        Where effects are so large that the likelihood has no digits.
    """
    began = time.perf_counter()
    criterion = Criterion.of(design, rows, reml=reml)
    theta = np.asarray(theta, float)
    point = criterion.at_lam(criterion.lam_of(theta), theta)
    if not np.isfinite(point.deviance):
        raise DataError(
            f"the likelihood of {design.y_name} has no digits at the parameters that were given: beside the residuals, "
            "the random effects are too large"
        )
    optimum = Optimum(
        point=point,
        evaluations=1,
        predicted_decrease=0.0,
        gradient_norm=0.0,
        converged=True,
        message=GIVEN,
    )
    here = Certified(optimum=optimum, gain=0.0, smallest=0.0, off=theta, history=())
    return in_user_units(design, rows, criterion, here, began)


def fit_given(design: Design, rows: Rows, theta: FloatArray, beta: FloatArray, scale: float, *, reml: bool) -> Fit:
    """Conditional modes at given θ, β and σ².

    What is known of the mean moves to the offset, which leaves only b to predict.
    """
    fit = fit_at(design, rows, theta, reml=reml)
    rest = replace(rows, X=np.empty((rows.n, 0)), offset=rows.mean(beta, fit.kept))
    b = fit_at(replace(design, x_names=()), rest, theta, reml=False).b
    return replace(fit, beta=beta, sigma=np.sqrt(scale), vcov=fit.vcov * scale / fit.sigma**2, b=b)


def check_estimated(fit: Fit, what: str) -> None:
    """Raise for a fit whose parameters were given, held or penalised: `what` would estimate them freely."""
    if fit.optimum.message == GIVEN:
        raise NotAvailable(
            f"{what}: the parameters of this fit were given, held or penalised, and it would estimate them freely; "
            "fit the model without that"
        )
