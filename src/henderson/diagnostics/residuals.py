"""Residuals of every kind, of the mean alone (marginal) or with the conditional modes (conditional).

    marginal  r = y − Xβ̂           Var r̂ = σ²(V − XΦX')            Var(y) = σ²V,   V = W⁻¹ + ZGZ',  Φ = (X'V⁻¹X)⁻¹
    conditional  r = y − Xβ̂ − Zb̂   Var r̂ = σ²W⁻¹PW⁻¹             Var(y | b) = σ²W⁻¹

    pearson      r / √Var(y), r / √Var(y | b)
    studentized  r / √Var r̂ (internal)
    external     the same with σ̂ from the other rows, the ratio of the variances held:
                 σ̂²(i) = σ̂² (ν − t_i²)/(ν − 1),  t_i the conditional studentized residual,  ν = n − p (REML) or n
    scaled       L⁻¹r, Var(y) = LL' (Cholesky, in the order of the rows): uncorrelated, variance one
    quantile     see `quantile_residuals`

These are SAS' definitions (PROC MIXED, RESIDUAL and VCIRY).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from henderson.arguments import shown
from henderson.diagnostics.scaled_residuals import scaled
from henderson.diagnostics.structured_residuals import structured_residuals
from henderson.engine.fit import Fit
from henderson.engine.given import check_estimated
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.row_forms import RowForms, forms_of_rows

FloatArray = np.ndarray

LEVELS = ("marginal", "conditional")
#: variance of a residual, relative to the row's, below which the row is fitted exactly
EXACT = 1e-12


@dataclass(frozen=True)
class ResidualParts:
    """What residuals of a fit are made of; rows weighted, forms when they are asked for.

    Attributes
    ----------
    fit : Fit
    conditional : bool
    """

    fit: Fit
    conditional: bool

    @cached_property
    def forms(self) -> RowForms:
        """Forms of V⁻¹ by row."""
        return forms_of_rows(self.fit)

    @cached_property
    def root_weights(self) -> FloatArray:
        """√w, (n,)."""
        return np.sqrt(self.fit.rows.unit_weights)

    @cached_property
    def raw(self) -> FloatArray:
        """Response less mean, (n,), in the unit of the response."""
        fit, rows = self.fit, self.fit.rows
        marginal = rows.y - rows.mean(fit.beta, fit.kept)
        return marginal - rows.random_part(fit.b) if self.conditional else marginal

    @cached_property
    def internal(self) -> FloatArray:
        """Internally studentized, (n,); NaN where a row is fitted exactly."""
        check_estimated(self.fit, "studentized residuals")
        forms = self.forms
        if self.conditional:
            variance = forms.p_diagonal
        else:
            fixed = np.einsum("ia,ia->i", forms.x @ forms.phi, forms.x)
            variance = 1.0 + forms.random - fixed
        variance = np.where(variance > EXACT * (1.0 + forms.random), variance, np.nan)
        return self.root_weights * self.raw / (self.fit.sigma * np.sqrt(variance))

    @cached_property
    def sigma_ratio(self) -> FloatArray:
        """σ̂(i)/σ̂, (n,)."""
        t = self.internal if self.conditional else ResidualParts(self.fit, True).internal
        left = (self.forms.nu - t**2) / (self.forms.nu - 1)
        return np.sqrt(np.where(left > 0, left, np.nan))


def _raw(parts: ResidualParts) -> FloatArray:
    return parts.raw


def _pearson(parts: ResidualParts) -> FloatArray:
    spread = 1.0 if parts.conditional else np.sqrt(1.0 + parts.forms.random)
    return parts.root_weights * parts.raw / (parts.fit.sigma * spread)


def _studentized(parts: ResidualParts) -> FloatArray:
    return parts.internal


def _external(parts: ResidualParts) -> FloatArray:
    return parts.internal / parts.sigma_ratio


def _scaled(parts: ResidualParts) -> FloatArray:
    return _pearson(parts) if parts.conditional else scaled(parts.fit, parts.raw)


#: kind of residual → how it is made of the parts
KINDS: dict[str, Callable[[ResidualParts], FloatArray]] = {
    "raw": _raw,
    "pearson": _pearson,
    "studentized": _studentized,
    "external": _external,
    "scaled": _scaled,
}


#: other words for them: R's, British spelling, statsmodels', nlme's
SPELLINGS = {"response": "raw", "studentised": "studentized", "internal": "studentized", "normalized": "scaled"}


def residuals(fit: Fit, kind: str = "raw", level: str = "conditional") -> FloatArray:
    """Residuals of the rows of a fit.

    Parameters
    ----------
    fit : Fit
    kind : {"raw", "pearson", "studentized", "external", "scaled"}
    level : {"marginal", "conditional"}

    Returns
    -------
    (n,) array
        NaN where the model fits a row exactly and the kind divides by what is left.

    Raises
    ------
    ValueError
        For another kind or level, with those that there are.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
    >>> residuals(fit.engine, "studentized")[:3].round(3)
    array([ 0.775, -1.544, -1.544])
    """
    check_level(level)
    kind = SPELLINGS.get(kind, kind) if isinstance(kind, str) else shown(kind)
    if isinstance(fit, StructuredFit):
        return structured_residuals(fit, kind, level)
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join([*KINDS, 'quantile'])}, not {kind!r}")
    fit.rows_for("residuals()")
    return KINDS[kind](ResidualParts(fit, level == "conditional"))


def check_level(level: str) -> None:
    """Raise unless it is marginal or conditional."""
    if level not in LEVELS:
        raise ValueError(f"level must be 'marginal' or 'conditional', not {level!r}")
