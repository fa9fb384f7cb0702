"""Residuals of a model whose residuals have a covariance structure; see `residuals` for the kinds.

    marginal     r = y − Xβ̂          Var(y) = V              Var r = V − XΦX'
    conditional  r = y − Xβ̂ − Zb̂     Var(y | b) = R          Var r = RPR
    scaled       L⁻¹r, V = LL' by blocks, or R = LL' by series, rows in the order of series and place

    external     studentized, with the scale of all variances from the other rows, their ratios held:
                 t_i² = (Py)_i² / P_ii,   y'Py = ν,   the scale without the row over that of all (ν − t_i²)/(ν − 1)

As SAS has them (PROC MIXED, RESIDUAL and VCIRY).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from henderson.engine.residual.fit import StructuredFit, by_relatives
from henderson.engine.residual.related_rows import whitened
from henderson.engine.residual.row_forms import structured_forms
from henderson.engine.residual.rows import (
    fixed_variances,
    left_variances,
    scaled_given_effects,
    scaled_residuals,
    total_variances,
)

FloatArray = np.ndarray


@dataclass(frozen=True)
class StructuredParts:
    """What residuals of a fit are made of.

    Attributes
    ----------
    fit : StructuredFit
    conditional : bool
    """

    fit: StructuredFit
    conditional: bool

    @cached_property
    def raw(self) -> FloatArray:
        """Response less mean, (n,)."""
        rows = self.fit.observed_for("residuals()")
        marginal = rows.y - rows.mean(self.fit.beta, self.fit.kept)
        return marginal - rows.random_part(self.fit.b) if self.conditional else marginal

    @cached_property
    def variance(self) -> FloatArray:
        """Var(y), or Var(y | b), of each row, (n,)."""
        fit, rows = self.fit, self.fit.observed
        if self.conditional:
            return fit.own_variances / rows.unit_weights
        psi, model = fit.scale * fit.psi_working, fit.blocks
        covariances = [layout.covariance(psi[to]) for layout, to in zip(model.layouts, model.g_of)]
        rows = replace(rows, terms=tuple(own.turned(T) for own, T in zip(rows.terms, fit.roots)))
        return total_variances(fit.structure, fit.psi, covariances, fit.design.terms, rows)

    @cached_property
    def scale_ratio(self) -> FloatArray:
        """Scale of the variances without each row, over that of all rows, (n,); NaN where a row is fitted exactly."""
        fit = self.fit
        forms = structured_forms(fit.blocks, fit.row_point, fit.observed)
        left = (forms.nu - forms.e**2 / (fit.scale * forms.p_diagonal)) / (forms.nu - 1)
        return np.where(left > 0, left, np.nan)

    @cached_property
    def own_variance(self) -> FloatArray:
        """Variance of the residual itself, (n,); NaN where a row is fitted exactly."""
        fit, rows = self.fit, self.fit.observed
        if self.conditional:
            found = left_variances(fit.blocks, fit.row_point, rows)
        else:
            found = self.variance - fixed_variances(fit.blocks, fit.row_point, rows)
        return np.where(found > 1e-12 * self.variance, found, np.nan)


def _raw(parts: StructuredParts) -> FloatArray:
    return parts.raw


def _pearson(parts: StructuredParts) -> FloatArray:
    return parts.raw / np.sqrt(parts.variance)


def _studentized(parts: StructuredParts) -> FloatArray:
    return parts.raw / np.sqrt(parts.own_variance)


def _external(parts: StructuredParts) -> FloatArray:
    return _studentized(parts) / np.sqrt(parts.scale_ratio)


def _scaled(parts: StructuredParts) -> FloatArray:
    fit = parts.fit
    if parts.conditional:
        return scaled_given_effects(fit.blocks, fit.psi_working, fit.observed, parts.raw)
    if fit.design.is_related and not fit.has_blocks:
        return whitened(by_relatives(fit))
    return scaled_residuals(fit.blocks, fit.block_point, fit.observed)


#: kind of residual → how it is made of the parts
KINDS: dict[str, Callable[[StructuredParts], FloatArray]] = {
    "raw": _raw,
    "pearson": _pearson,
    "studentized": _studentized,
    "external": _external,
    "scaled": _scaled,
}


def structured_residuals(fit: StructuredFit, kind: str, level: str) -> FloatArray:
    """Residuals of the rows of a fit, (n,); see `residuals`.

    Raises
    ------
    ValueError
        For a kind that there is not; the message lists those there are.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join([*KINDS, 'quantile'])}, not {kind!r}")
    return KINDS[kind](StructuredParts(fit, level == "conditional"))
