"""Variance parameters that the data do not identify, whatever the response.

The expected information of the G parameters (the residual's last) is E_ij = tr PV_iPV_j / 2. A direction n with En = 0
changes neither the restricted likelihood nor anything that the data could tell: random cells that equal fixed cells, a
group-level factor with a level for each group, two terms that are the same. Numbers that move along it are noise. Where
a structure holds G to a surface (AR(1) within the bands of a Toeplitz matrix), only directions along it count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from henderson.covariance.layout import consecutive, layouts_of
from henderson.design.term_text import written
from henderson.inference.fit_moments import FitMoments
from henderson.inference.information import Curvature, curvature, tangent

FloatArray = np.ndarray

#: eigenvalue of E, its diagonal relative to tr V⁻¹V_iV⁻¹V_i, below which a direction is flat
FLAT = 1e-9
#: below minus this it is no rounding of zero: with next to no residual variance V⁻¹ by its effects is all cancellation
CANCELLED = 1e-3
#: share of a gradient along a flat direction above which what it belongs to is not identified
ALONG = 1e-5
#: curvature of the deviance (`Search.flattest`) from which on nobody need look for flat directions
CURVED = 1e-2
#: least size of a parameter relative to the largest of its term
SMALL = 0.1


@dataclass(frozen=True)
class Flat:
    """The flat directions.

    Attributes
    ----------
    directions : (d, k + 1) array
        In the G parameters of the basis at hand.
    unit : (k + 1,) array
        Natural size of each parameter; the directions divided by it have length one.
    note : str
        What is not identified, in words; empty when everything is.
    """

    directions: FloatArray
    unit: FloatArray
    note: str

    def touches(self, gradients: FloatArray) -> FloatArray:
        """Which of r functions of g, given by their gradients (r, k + 1), move along a flat direction, (r,) bool."""
        moves = np.abs(gradients @ self.directions.T)
        size = np.linalg.norm(gradients * self.unit, axis=1)
        return np.asarray((moves > ALONG * size[:, None]).any(axis=1))


def natural_sizes(fitted: FitMoments) -> FloatArray:
    """√tr V⁻¹V_iV⁻¹V_i of each parameter, (k + 1,): by it the information is free of units.

    V_i = 0 where no level has both effects of a covariance, and the trace is rounding: a parameter is not smaller than
    SMALL of its neighbours.
    """
    size = np.sqrt(np.maximum(np.diag(fitted.moments.t2), 0.0))
    for place in consecutive([layout.n_g for layout in layouts_of(fitted.design.terms)]):
        size[place] = np.maximum(size[place], SMALL * size[place].max(initial=0.0))
    return np.maximum(size, 1e-150)


def _flat(values: FloatArray) -> FloatArray:
    return np.asarray((values < FLAT) & (values > -CANCELLED))


def flat_directions(fitted: FitMoments, at: Curvature) -> Flat:
    """The directions in which the expected information vanishes, and the terms that they change."""
    size, along = natural_sizes(fitted), tangent(fitted)
    if along is None:
        values, vectors = np.linalg.eigh(at.expected / np.outer(size, size))
        directions = (vectors[:, _flat(values)] / size[:, None]).T
    else:
        along = along[:, (length := np.linalg.norm(along * size[:, None], axis=0)) > 0] / length[length > 0]
        own = np.sqrt(np.maximum(np.diag(along.T @ fitted.moments.t2 @ along), SMALL**2))
        values, vectors = np.linalg.eigh(along.T @ at.expected @ along / np.outer(own, own))
        directions = (along @ (vectors[:, _flat(values)] / own[:, None])).T
    if not len(directions):
        return Flat(directions, 1 / size, "")
    terms = fitted.design.terms
    places = consecutive([layout.n_g for layout in layouts_of(terms)])
    share = np.abs(directions * size)
    named = [written(fitted.design, k) for k, place in enumerate(places) if (share[:, place] > ALONG).any()]
    if (share[:, sum(place.stop - place.start for place in places) :] > ALONG).any():
        named.append("the residual")
    note = f"the data do not identify all variances of {' and '.join(named)}; what depends on them is NaN"
    return Flat(directions, 1 / size, note)


@dataclass(frozen=True)
class Unidentified:
    """Which variances of contrasts move along the flat directions.

    Attributes
    ----------
    to_beta : (p, p) array
        From the working basis.
    by_g : (k + 1, p, p) array
        ∂Φ/∂g = −ΦP_iΦ in the working basis.
    flat : Flat
    """

    to_beta: FloatArray
    by_g: FloatArray
    flat: Flat

    @classmethod
    def of(cls, fitted: FitMoments, flat: Flat) -> Unidentified:
        """At a fit with its flat directions."""
        fitted = fitted.working
        return cls(fitted.to_beta, -(fitted.phi @ fitted.P @ fitted.phi), flat)

    def touches(self, rows: FloatArray) -> FloatArray:
        """Which rows of contrasts (r, p) have a variance that moves, (r,) bool."""
        if not len(self.flat.directions):
            return np.zeros(len(rows), bool)
        rows = rows @ self.to_beta
        return self.flat.touches(((rows @ self.by_g) * rows).sum(axis=2).T)

    def touches_any(self, rows: FloatArray) -> bool:
        """Whether some entry of the rows' covariance does."""
        pairs = [one + other for i, one in enumerate(rows) for other in rows[: i + 1]]
        return bool(self.touches(np.array(pairs)).any()) if pairs else False


def not_identified(fit: Any) -> Unidentified | None:
    """What the data do not identify at a fit; None where the deviance curves in every direction.

    Parameters
    ----------
    fit : Fit or MixedModelResults
    """
    fitted = FitMoments.of(fit)
    if fitted.fit.optimum.flattest > CURVED:
        return None
    flat = flat_directions(fitted.working, curvature(fitted.working))
    return Unidentified.of(fitted, flat) if flat.note else None
