"""How residuals of one series go together, by the distance of their rows: as seen, and as the structure expects.

For pairs of rows i, j of one series, at a distance d (visits apart, or time or coordinates apart),

    observed   mean of z_iz_j,  z = (y − Xβ̂) / √V_ii         expected   mean of V_ij / √(V_iiV_jj)
    whitened   mean of w_iw_j,  w = L⁻¹(y − Xβ̂), V = LL':    zero, whatever the structure, if it is right

V is all of Var(y), the random effects' part included. One less `observed` is a semivariogram of z (nlme's `Variogram`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from henderson.contract.rows import Rows
from henderson.diagnostics.structured_residuals import structured_residuals
from henderson.engine.residual.fit import StructuredFit, by_relatives
from henderson.engine.residual.related_rows import SeriesCovariance
from henderson.engine.residual.units import Batch
from henderson.errors import NotAvailable
from henderson.tables.result_frame import ResultFrame

FloatArray = np.ndarray

#: rows of a series after a row that it is paired with, at most
MOST_AFTER = 60
#: distances that are told apart; where there are more, classes with as many pairs each
MOST_DISTANCES, CLASSES = 20, 12


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows of one series each.

    Attributes
    ----------
    distance, count, expected, observed, whitened : (m,) arrays
        Distance; pairs that have it in one unit; the sums of the model's correlations, of z_iz_j and of w_iw_j.
    """

    distance: FloatArray
    count: FloatArray
    expected: FloatArray
    observed: FloatArray
    whitened: FloatArray


def autocorrelation(fit: StructuredFit) -> pd.DataFrame:
    """Correlations of a fit's residuals by distance.

    Parameters
    ----------
    fit : StructuredFit
        With its rows.

    Returns
    -------
    DataFrame
        Index: distance; columns pairs, observed, expected, whitened, and se, that of a mean of so many products of
        unrelated residuals, 1/√pairs.

    Raises
    ------
    NotAvailable
        When no series has two rows.
    """
    if fit.structure.term.is_plain or not fit.structure.term.group:
        raise NotAvailable("autocorrelation(): no series has two rows")
    found = _pairs(fit)
    if not len(found.distance):
        raise NotAvailable("autocorrelation(): no series has two rows")
    centre, group = _classes(found.distance, found.count)
    n = np.bincount(group, found.count)
    sums = {name: np.bincount(group, getattr(found, name)) / n for name in ("observed", "expected", "whitened")}
    name = "visits apart" if fit.structure.term.visits is not None else "distance"
    if name == "visits apart" and (centre == np.round(centre)).all():
        centre = centre.astype(int)
    frame = pd.DataFrame({"pairs": n.astype(int), **sums, "se": 1 / np.sqrt(n)}, index=pd.Index(centre, name=name))
    term = fit.structure.term
    notes = (f"expected: by {term.label}" + (" and the random effects" if fit.design.terms else ""),)
    return ResultFrame.of(frame, f"Correlation of residuals within {term.group}", notes)


def _pairs(fit: StructuredFit) -> Pairs:
    rows = fit.observed_for("autocorrelation()")
    assert rows.residual is not None
    z, w = (structured_residuals(fit, kind, "marginal") for kind in ("pearson", "scaled"))
    if fit.design.is_related and not fit.has_blocks:
        return _pairs_of_series(fit, rows, z, w)
    parts = []
    for part in fit.blocks.parts:
        batch, n = part.batch, part.batch.n
        first, second = np.triu_indices(n, 1)
        near = second - first <= MOST_AFTER
        first, second = first[near], second[near]
        if not len(first):
            continue
        V = fit.blocks.cov(fit.psi_working, batch)
        size = np.sqrt(np.einsum("unn->un", V))
        correlation = V[:, first, second] / (size[:, first] * size[:, second])
        of_unit = np.concatenate([[0], np.cumsum(batch.counts)[:-1]])
        products = [np.add.reduceat(v[batch.rows][:, first] * v[batch.rows][:, second], of_unit) for v in (z, w)]
        same = np.ones(correlation.shape, bool) if batch.same is None else batch.same[:, first, second]
        counts = np.broadcast_to(batch.counts[:, None], same.shape)
        each = (_distances(batch, first, second), counts, counts * correlation, *products)
        parts.append([v[same] for v in each])
    if not parts:
        return Pairs(*np.zeros((5, 0)))
    return Pairs(*(np.concatenate(one).astype(float) for one in zip(*parts)))


def _pairs_of_series(fit: StructuredFit, rows: Rows, z: FloatArray, w: FloatArray) -> Pairs:
    """The same where relatives tie more rows together than dense matrices take: pair by pair, series by series."""
    series = SeriesCovariance.of(by_relatives(fit), rows)
    parts = []
    for batch in series.batches:
        first, second = np.triu_indices(batch.n, 1)
        near = second - first <= MOST_AFTER
        first, second = first[near], second[near]
        if not len(first):
            continue
        size = np.sqrt(series.among(batch, np.arange(batch.n), np.arange(batch.n)))
        correlation = series.among(batch, first, second) / (size[:, first] * size[:, second])
        products = [v[batch.rows][:, first] * v[batch.rows][:, second] for v in (z, w)]
        distance = _distances(batch, first, second)[batch.unit_of]
        parts.append([v.ravel() for v in (distance, np.ones(correlation.shape), correlation, *products)])
    return Pairs(*(np.concatenate(one) for one in zip(*parts))) if parts else Pairs(*np.zeros((5, 0)))


def _distances(batch: Batch, first: np.ndarray, second: np.ndarray) -> FloatArray:
    """Of pairs of a unit's rows, (U, pairs)."""
    if batch.where.ndim == 2:
        return np.abs(batch.where[:, second] - batch.where[:, first])
    return np.sqrt(np.square(batch.where[:, second] - batch.where[:, first]).sum(axis=2))


def _classes(distance: FloatArray, count: FloatArray) -> tuple[FloatArray, np.ndarray]:
    """Distances, or means of classes of them, and the class of each pair."""
    rounded = np.round(distance, 9)
    values, group = np.unique(rounded, return_inverse=True)
    if len(values) <= MOST_DISTANCES:
        return values, group.ravel()
    order = np.argsort(rounded, kind="stable")
    share = np.empty(len(order))
    share[order] = (np.cumsum(count[order]) - count[order] / 2) / count.sum()
    whole = np.bincount(group.ravel(), share * count) / np.bincount(group.ravel(), count)  # ties stay together
    group = np.unique(np.floor(whole * CLASSES)[group.ravel()], return_inverse=True)[1].ravel()
    return np.bincount(group, distance * count) / np.bincount(group, count), group
