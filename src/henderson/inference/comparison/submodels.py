"""Fits of related models: by the other criterion, without some effects, without any.

A model with no random effects left is linear: −2 log L = n log 2πs + rss/s − Σ log w, and REML's criterion adds
log|X'WX|.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.engine.fit import Fit, fit_design, refit
from henderson.errors import DataError, NotAvailable
from henderson.inference.fit_moments import FitMoments

FloatArray = np.ndarray

#: of a column's size, what may be its rounding; the same of a constant in the span of columns
ROUNDING, CONSTANT = 8 * float(np.finfo(float).eps), 1e-12


@dataclass(frozen=True)
class FittedLikelihood:
    """What a comparison needs of a model.

    Attributes
    ----------
    deviance : float
        −2 log L, or the REML criterion.
    n_parameters : int
        Fixed effects, variance parameters and σ.
    """

    deviance: float
    n_parameters: int


def likelihood_of(fit: Any) -> FittedLikelihood:
    """Deviance and number of parameters of a fit."""
    return FittedLikelihood(float(fit.deviance), fit.n_parameters)


def by(fit: Fit, *, reml: bool) -> Fit:
    """The fit by REML or by ML, from the same sums; itself when it is that already."""
    return fit if fit.reml == reml else refit(fit, reml=reml)


def likelihood_without(fit: Fit, design: Design, rows: Rows) -> FittedLikelihood:
    """The same model with fewer random effects, fitted by the same criterion; linear where none is left and residuals
    are independent."""
    if not design.terms and design.residual is None:
        return linear(rows, fit.kept, reml=fit.reml)
    return likelihood_of(fit_design(design, rows, reml=fit.reml))


def linear(rows: Rows, kept: FloatArray, *, reml: bool) -> FittedLikelihood:
    """The model without random effects."""
    y, root = rows.response, np.sqrt(rows.unit_weights)
    q, r = np.linalg.qr(rows.X[:, kept] * root[:, None])
    resid = y * root - q @ (q.T @ (y * root))
    p = int(kept.sum())
    n = len(y) - (p if reml else 0)
    deviance = n * (1 + np.log(2 * np.pi * (resid @ resid) / n)) - rows.log_weights
    if reml:
        deviance += 2 * np.log(np.abs(np.diag(r))).sum()
    return FittedLikelihood(float(deviance), p + 1)


def check_same_rows(fits: Sequence[Any]) -> None:
    """Raise unless all fits have the same response, on the same rows, with the same weights.

    Raises
    ------
    DataError
        Naming what differs.
    """
    first = fits[0]
    for other in fits[1:]:
        if other.n != first.n:
            raise DataError(f"the models are fitted to different rows: {first.n} and {other.n}")
        one, two = first.digest.fingerprints, other.digest.fingerprints
        if one["labels"] != two["labels"] and one["labels"] and two["labels"]:
            raise DataError("the models are fitted to different rows: their labels differ")
        if one["response"] != two["response"]:
            raise DataError(
                f"the models have different responses ({first.design.y_name} and {other.design.y_name}), "
                "or rows in another order"
            )
        if one["weights"] != two["weights"]:
            raise DataError("the models have different weights")


def span_of(a: Any, b: Any) -> tuple[FloatArray, FloatArray]:
    """Columns kept of two fits to the same rows, or, where rows are gone, of their sketches: the same B relate them."""
    if a.has_rows and b.has_rows:
        return a.observed.X[:, a.kept], b.observed.X[:, b.kept]
    return a.digest.sketch[:, a.kept], b.digest.sketch[:, b.kept]


def same_offset(a: Any, b: Any) -> bool:
    """Whether two fits have the same known part of the mean."""
    return a.digest.fingerprints["offset"] == b.digest.fingerprints["offset"]


def shift_of(small: Any, large: Any) -> FloatArray | None:
    """What the known part of the small model's mean is of the large one's, as coefficients c (p_large,): X c is the
    difference of their offsets, zero where they have the same; None when it is not in the span of X.

    Raises
    ------
    NotAvailable
        When the offsets differ and the rows are gone.
    """
    if same_offset(small, large):
        return np.zeros(int(large.kept.sum()))
    if not (small.has_rows and large.has_rows):
        raise NotAvailable("the models have different offsets, and to compare them needs the rows of the data")
    difference = small.rows.known - large.rows.known
    found = coefficients_in(difference[:, None], large.rows.X[:, large.kept])
    return None if found is None else found[:, 0]


def same_fixed_part(a: Any, b: Any) -> bool:
    """Whether two models' fixed columns span the same space, with the same offset."""
    x, z = span_of(a, b)
    if x.shape[1] != z.shape[1] or not same_offset(a, b):
        return False
    return np.array_equal(x, z) or coefficients_in(x, z) is not None


def coefficients_in(small: FloatArray, large: FloatArray) -> FloatArray | None:
    """B with small = large B, (p_large, p_small); None when small is not in the span of large.

    Where a constant is in the span of large, columns are compared about their means: time stamps, far from zero, are
    all but a constant, and are none.
    """
    size = np.sqrt(np.einsum("ij,ij->j", large, large))
    scaled = large / size
    one, *_ = np.linalg.lstsq(scaled, np.ones(len(large)), rcond=None)
    if np.abs(scaled @ one - 1.0).max(initial=0.0) > CONSTANT:
        b, *_ = np.linalg.lstsq(scaled, small, rcond=None)
        b, left, whole = b / size[:, None], small - scaled @ b, np.abs(small).max(axis=0)
    else:
        about, own = large - large.mean(axis=0), small - small.mean(axis=0)
        spread = np.sqrt(np.einsum("ij,ij->j", about, about))
        spread = np.where(spread > ROUNDING * size, spread, np.inf)
        b, *_ = np.linalg.lstsq(about / spread, own, rcond=None)
        left, whole = own - (about / spread) @ b, np.abs(own).max(axis=0)
        b = b / spread[:, None]
        b += (one / size)[:, None] * (small.mean(axis=0) - large.mean(axis=0) @ b)
    if (np.abs(left).max(axis=0) > np.maximum(1e-7 * whole, ROUNDING * np.abs(small).max(axis=0))).any():
        return None
    return b


def fit_from(model: object) -> Fit:
    """The `Fit` of a fit or of results.

    Raises
    ------
    TypeError
        For anything else, saying what comparisons take.
    """
    try:
        return FitMoments.of(model).fit
    except AttributeError:
        kind = type(model).__name__
        raise TypeError(f"comparisons take fitted models, such as lmer(...) returns, not a {kind}") from None


def likelihood_ratio(small: FittedLikelihood, large: FittedLikelihood) -> float:
    """The difference of the deviances; zero where it is only rounding."""
    ratio = small.deviance - large.deviance
    return ratio if ratio > 1e-7 + 1e-10 * abs(large.deviance) else 0.0
