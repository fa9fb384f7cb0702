"""Fits of related models: by the other criterion, without some effects, without any.

A model with no random effects left is linear: −2 log L = n log 2πs + rss/s − Σ log w, and REML's criterion adds
log|X'WX|.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from henderson.contract.design import Design, RandomTerm
from henderson.engine.fit import Fit, fit_design
from henderson.errors import DataError
from henderson.inference.fit_moments import FitMoments

FloatArray = np.ndarray


@dataclass(frozen=True)
class Likelihood:
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


def likelihood_of(fit: Fit) -> Likelihood:
    """Deviance and number of parameters of a fit."""
    return Likelihood(float(fit.deviance), int(fit.kept.sum()) + len(fit.theta) + 1)


def refit(fit: Fit, *, reml: bool) -> Fit:
    """The fit by REML or by ML; itself when it is that already."""
    return fit if fit.reml == reml else fit_design(fit.design, reml=reml, start=fit.theta)


def with_terms(fit: Fit, terms: Sequence[RandomTerm]) -> Likelihood:
    """The same model with other random terms, fitted by the same criterion."""
    if not terms:
        return linear(fit.design, fit.kept, reml=fit.reml)
    return likelihood_of(fit_design(replace(fit.design, terms=tuple(terms)), reml=fit.reml))


def linear(design: Design, kept: FloatArray, *, reml: bool) -> Likelihood:
    """The model without random effects."""
    weights = np.ones(len(design.y)) if design.weights is None else design.weights
    y = design.y if design.offset is None else design.y - design.offset
    root = np.sqrt(weights)
    q, r = np.linalg.qr(design.X[:, kept] * root[:, None])
    resid = y * root - q @ (q.T @ (y * root))
    p = int(kept.sum())
    n = len(y) - (p if reml else 0)
    deviance = n * (1 + np.log(2 * np.pi * (resid @ resid) / n)) - np.log(weights).sum()
    if reml:
        deviance += 2 * np.log(np.abs(np.diag(r))).sum()
    return Likelihood(float(deviance), p + 1)


def check_same_rows(designs: Sequence[Design]) -> None:
    """Raise unless all designs have the same response, on the same rows, with the same weights.

    Raises
    ------
    DataError
        Naming what differs.
    """
    first = designs[0]
    for other in designs[1:]:
        if len(other.y) != len(first.y):
            raise DataError(f"the models are fitted to different rows: {len(first.y)} and {len(other.y)}")
        if len(first.index) == len(other.index) and not first.index.equals(other.index):
            raise DataError("the models are fitted to different rows: their labels differ")
        if not np.array_equal(first.y, other.y):
            raise DataError(
                f"the models have different responses ({first.y_name} and {other.y_name}), or rows in another order"
            )
        one, two = (np.ones(len(first.y)) if d.weights is None else d.weights for d in (first, other))
        if not np.array_equal(one, two):
            raise DataError("the models have different weights")


def same_fixed_part(a: Fit, b: Fit) -> bool:
    """Whether two models' fixed columns span the same space, with the same offset."""
    x, z = a.design.X[:, a.kept], b.design.X[:, b.kept]
    one, two = (0.0 if f.design.offset is None else f.design.offset for f in (a, b))
    if x.shape[1] != z.shape[1] or not np.array_equal(np.broadcast_to(one, len(x)), np.broadcast_to(two, len(x))):
        return False
    return np.array_equal(x, z) or coefficients_in(x, z) is not None


def coefficients_in(small: FloatArray, large: FloatArray) -> FloatArray | None:
    """B with small = large B, (p_large, p_small); None when small is not in the span of large."""
    size = np.sqrt(np.einsum("ij,ij->j", large, large))
    b, *_ = np.linalg.lstsq(large / size, small, rcond=None)
    left = np.abs(small - (large / size) @ b).max(axis=0)
    if (left > 1e-7 * np.abs(small).max(axis=0)).any():
        return None
    return b / size[:, None]


def fit_from(model: object) -> Fit:
    """The `Fit` of a fit or of results."""
    return FitMoments.of(model).fit
