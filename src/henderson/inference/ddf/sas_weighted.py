"""Satterthwaite's df as SAS prints them for an unstructured covariance of the residuals with weights.

With REPEATED / TYPE=UN and a WEIGHT statement Var(y) = V, V_i = W_i^{-1/2} Σ W_i^{-1/2} of each subject. SAS's
asymptotic covariance A of the entries of Σ has these weights, and so have ours; in the derivative of Φ = (X'V⁻¹X)⁻¹ it
leaves them out, and no df exceeds n − rank X:

    df(l) = min(2 (l'Φl)² / (g'Ag), n − rank X)      g_a = l'Φ [Σ_i X_i'V_i⁻¹ E_a V_i⁻¹X_i] Φl

where ∂V_i/∂Σ_a is W_i^{-1/2} E_a W_i^{-1/2}: `satterthwaite` has that. With weights below one SAS's df are the larger,
of means of 197 patients up to 526; it prints them for TYPE=UN only (those of TYPE=ANTE(1) have the weights). Found from
a listing, all of whose df this reproduces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.row_forms import structured_forms
from henderson.inference.ddf.satterthwaite import Satterthwaite, satterthwaite
from henderson.inference.fit_moments import FitMoments

FloatArray = np.ndarray


@dataclass(frozen=True)
class SasSatterthwaite(Satterthwaite):
    """Satterthwaite's rule with another gradient, and a largest value.

    Attributes
    ----------
    most : float
        n − rank X.
    """

    most: float = np.inf

    def df(self, rows: FloatArray) -> FloatArray:
        """Of each row, (r,)."""
        return np.minimum(super().df(rows), self.most)


def satterthwaite_sas(fitted: FitMoments) -> SasSatterthwaite:
    """SAS's variant at a fit with weights, an unstructured covariance of the residuals and no random effects.

    Raises
    ------
    ValueError
        For any other model: there `satterthwaite` has SAS's df.
    """
    fit = fitted.fit
    term = fit.design.residual
    unstructured = term is not None and term.structure == "us" and not term.variance
    unstructured &= not fit.design.terms and fit.design.constraints is None
    if not unstructured or not isinstance(fit, StructuredFit) or not fit.design.weighted:
        raise ValueError(
            "ddf='satterthwaite-sas' is for weights with an unstructured covariance of the residuals (us) and no "
            "random effects, where SAS's df differ; elsewhere ddf='satterthwaite' has SAS's"
        )
    right = satterthwaite(fitted)
    gradient = right.phi @ without_weights(fit) @ right.phi
    own = {name: getattr(right, name) for name in right.__dataclass_fields__}
    return SasSatterthwaite(**{**own, "gradient": gradient}, most=float(fit.n - fit.kept.sum()))


def without_weights(fit: StructuredFit) -> FloatArray:
    """Σ_i X_i'V_i⁻¹ E_a V_i⁻¹X_i of each entry of Σ, in the working basis, (k, p, p)."""
    rows, model, point = fit.observed_for("ddf='satterthwaite-sas'"), fit.blocks, fit.block_point
    solved = structured_forms(model, point, rows).vx * np.sqrt(rows.unit_weights)[:, None]
    out = np.zeros((model.k, model.p, model.p))
    for part in model.parts:
        first = model.first(point.psi, part.batch)
        for unit in range(part.batch.n_units):
            own = solved[part.batch.rows[part.batch.unit_of == unit]]
            out += np.einsum("bna,knm,bmc->kac", own, first[:, unit], own, optimize=True)
    return out
