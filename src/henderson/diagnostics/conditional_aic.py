"""The conditional AIC of Greven and Kneib (2010): −2 log f(y | b̂, β̂, σ̂) + 2 (ρ + 1).

ρ = tr ∂ŷ/∂y counts how much ŷ = Xβ̂ + Zb̂ follows y, through β̂ and b̂ *and* through the estimated variances:

    ρ = tr H + (2/σ²) Σ_ab [B⁻¹]_ab (M_ab − q_a m_b / r²)

with a, b directions in the covariance parameters, V_a = ∂V/∂a, Py = V⁻¹(y − Xβ̂), w_a = V_aPy, and

    M_ab = w_a'PV₀Pw_b    m_b = y'PV₀Pw_b    q_a = y'PV_aPy    r² = y'Py
    B_ab = ∂²d/∂a∂b, the Hessian of the profiled deviance (ML or REML, as fitted)

1. ∂ŷ/∂b = V₀Pw_b, since ŷ = y − V₀Py.
2. ∂θ̂/∂y = −B⁻¹ ∂²d/∂θ∂y', and ∂²d/∂a∂y = −(2/σ²)(Pw_a − (q_a/r²) Py), by the implicit function theorem.
3. The products are moments of the model with the w_a as further columns of X: one more pass over the rows, no
n × n matrix.

All of it is computed in the working basis, where nothing is far from zero; ρ does not know the basis.
At the boundary only directions inside it count: a covariance of rank s moves as RR', R (q, s), and a variance
at zero stays there.

Where the residuals have a covariance R(ψ) of r parameters the same count is −2 log f(y | b̂, β̂, ψ̂) + 2 (ρ + r), f the
density of N(Xβ̂ + Zb̂, R): (y − ŷ)'R⁻¹ŷ has the expectation tr ∂ŷ/∂y, by Stein's lemma, whatever R is, and each of its
parameters counts as σ does (`engine.residual.follow`). Without random effects ρ is p.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from henderson.contract.design import RandomTerm
from henderson.covariance.layout import layouts_of
from henderson.covariance.structures import structure_called
from henderson.diagnostics.measures import effective_df
from henderson.engine.moments_at import in_user_columns, working_moments
from henderson.engine.residual import follow
from henderson.engine.residual.fit import StructuredFit
from henderson.errors import NotAvailable
from henderson.inference.fit_moments import FitMoments, fit_of
from henderson.inference.information import curvature
from henderson.numerics.linalg import pseudo_inverse
from henderson.numerics.threads import blas_threads
from henderson.tables.exports import TableExports
from henderson.tables.table import Table

if TYPE_CHECKING:
    from henderson.engine.fit import Fit

#: an eigenvalue of λλ' below this share of the largest over the model counts as zero
_ZERO = 1e-10


@dataclass(frozen=True)
class ConditionalAIC(TableExports):
    """Conditional AIC and its parts.

    Attributes
    ----------
    caic : float
        −2 `loglik` + 2 `df`.
    loglik : float
        log f(y | b̂, β̂, σ̂).
    df : float
        ρ + 1, the one for σ; with a residual covariance ρ + r, its parameters.
    rho : float
        tr ∂ŷ/∂y, with the variances estimated.
    effective_df : float
        tr ∂ŷ/∂y, the variances known: the trace of the hat matrix.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> found = fit.caic()
    >>> round(found.caic, 2), round(found.loglik, 2), round(found.df, 2)
    (1711.52, -824.51, 31.25)
    """

    caic: float
    loglik: float
    df: float
    rho: float
    effective_df: float

    def as_table(self) -> Table:
        """One row."""
        parts = pd.Series(vars(self)).rename({"df": "npar"})
        return Table(parts.to_frame().T, "Conditional AIC")


@dataclass(frozen=True)
class CovarianceDirection:
    """A direction in which one term's G = λλ' may move, in the basis of `fitted`.

    Attributes
    ----------
    term : int
    change : (q, q) array
        dG.
    root_change : (q, s) array, or None
        dR where G = RR' moves through its root; then G is curved along it.
    bent : (m, q, q) array, or None
        ∂²G along it and each of the term's directions, where `root_change` does not say it.
    """

    term: int
    change: np.ndarray
    root_change: np.ndarray | None = None
    bent: np.ndarray | None = None


@blas_threads()
def conditional_aic(fit: Fit) -> ConditionalAIC:
    """Conditional AIC of a fit.

    Parameters
    ----------
    fit : Fit
        Its design must hold the rows.

    Returns
    -------
    ConditionalAIC
    """
    fit = fit_of(fit)
    fit.refuse_negative("caic()")
    if fit.has_no_residual:
        raise NotAvailable("caic(): the residual variance is zero, so that y has no density given its effects")
    if isinstance(fit, StructuredFit):
        return _of_structured(fit)
    fit.rows_for("caic()")
    residual = conditional_residuals(fit)
    rows = fit.rows
    trace = effective_df(fit)
    rho = trace + estimation_df(fit, residual)
    n = len(residual)
    loglik = -0.5 * (n * np.log(2 * np.pi * fit.sigma**2) + (rows.unit_weights * residual) @ residual / fit.sigma**2)
    loglik += 0.5 * rows.log_weights
    return ConditionalAIC(-2 * float(loglik) + 2 * (rho + 1), float(loglik), rho + 1, rho, trace)


def _of_structured(fit: StructuredFit) -> ConditionalAIC:
    """Of residuals with a covariance structure."""
    rows, term = fit.observed_for("caic()"), fit.design.residual
    assert term is not None
    if any(own.of_fitted for own in term.variance):
        raise NotAvailable(
            "caic(): the variances follow the fitted values, which then follow y in one more way; fit power() or exp() "
            "of a covariate instead"
        )
    model, point = fit.blocks, fit.row_point
    trace = effective_df(fit)
    rho = trace + follow.estimation_df(model, point, rows, curvature(FitMoments.of(fit).working).observed)
    loglik, npar = follow.conditional_loglik(model, point, rows), rho + _n_residual(fit)
    return ConditionalAIC(-2 * loglik + 2 * npar, loglik, npar, rho, trace)


def _n_residual(fit: StructuredFit) -> int:
    """Parameters of the residuals that were estimated."""
    constraints = fit.design.constraints
    return 0 if constraints is not None and constraints.residual is not None else len(fit.psi)


def conditional_residuals(fit: Fit) -> np.ndarray:
    """y − Xβ̂ − Zb̂ − offset, (n,)."""
    rows = fit.rows
    return rows.y - rows.mean(fit.beta, fit.kept) - rows.random_part(fit.b)


def directions(fitted: FitMoments) -> list[CovarianceDirection]:
    """Directions in the covariance parameters that stay inside the boundary where the fit is on it."""
    largest = max((float(np.square(lam).sum()) for lam in fitted.lam), default=0.0)
    found = []
    for t, (term, lam) in enumerate(zip(fitted.design.terms, fitted.lam)):
        for one in structure_called(term.structure).inside(lam, _ZERO * largest):
            found.append(CovarianceDirection(t, one.change, one.root_change, one.bent))
    return found


def estimation_df(fit: Fit, residual: np.ndarray) -> float:
    """The second part of ρ: what estimating the variances adds."""
    fitted = FitMoments.of(fit).working
    along = directions(fitted)
    if not along:
        return 0.0
    rows, scale = fit.rows, fitted.scale
    py = rows.unit_weights * residual
    turned = [own.turned(T) for own, T in zip(rows.terms, fitted.roots)]
    score = [among_relatives(term, own.gather(py, term.n_levels)) for own, term in zip(turned, fit.design.terms)]
    w = np.stack([turned[d.term].times(score[d.term] @ d.change) for d in along], axis=1)
    M, m = _products(fit, w)
    B, q, r2 = _hessian(fitted, along)
    excess = M - np.outer(q, m) / r2
    return 2.0 / scale * float(np.sum(pseudo_inverse(B, 1e-9) * excess))


def among_relatives(term: RandomTerm, totals: np.ndarray) -> np.ndarray:
    """A times totals by level (J, q): ∂V/∂G = Z (∂G ⊗ A) Z' of levels with known relationships, A = I of others."""
    if term.related is None:
        return totals
    relation = term.related.relation
    return relation.to_levels(relation.to_independent(totals.T[None]))[0].T


def _hessian(fitted: FitMoments, along: list[CovarianceDirection]) -> tuple[np.ndarray, np.ndarray, float]:
    """B over the directions, (a, a); q, (a,); r²."""
    terms, scale, k = fitted.design.terms, fitted.scale, len(fitted.relative.g)
    layouts = layouts_of(terms)
    starts = np.cumsum([0, *(layout.n_g for layout in layouts)])
    D = np.zeros((len(along), k))
    for a, d in enumerate(along):
        D[a, starts[d.term] : starts[d.term + 1]] = layouts[d.term].g(d.change)
    at = curvature(fitted)
    v = fitted.residual_direction
    forms = np.einsum("a,iab,b->i", v, fitted.moments.f1[:k], v)
    r2 = float(v @ fitted.moments.f0 @ v)
    q = D @ forms
    B = D @ at.observed[:k, :k] @ D.T - np.outer(q, q) / (scale * r2)
    for a, d in enumerate(along):
        own = [b for b, e in enumerate(along) if e.term == d.term]
        place = slice(starts[d.term], starts[d.term + 1])
        for b, bend in zip(own, _bends(d, [along[b] for b in own])):
            if bend is not None:
                B[a, b] += at.gradient[place] @ layouts[d.term].g(bend)
    return B, q, r2


def _bends(one: CovarianceDirection, term: list[CovarianceDirection]) -> list[np.ndarray | None]:
    """∂²G along a direction and each of its term's; None where G is linear."""
    if one.bent is not None:
        return list(one.bent)
    halves = [
        None if one.root_change is None or other.root_change is None else one.root_change @ other.root_change.T
        for other in term
    ]
    return [None if half is None else half + half.T for half in halves]


def _products(fit: Fit, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """M = w'PV₀Pw (a, a) and m = y'PV₀Pw (a,), from the moments of a model with the w as further columns.

    P only knows the span of X and sees what X does not explain of the w, so orthonormal bases stand for both: no
    column is redundant, or far from zero.
    """
    from henderson.engine.criterion import Criterion

    root = np.sqrt(fit.rows.unit_weights)
    basis, _ = np.linalg.qr(root[:, None] * fit.rows.X[:, fit.kept])
    rest = root[:, None] * w
    for _ in range(2):
        rest = rest - basis @ (basis.T @ rest)
    u, s, vt = np.linalg.svd(rest, full_matrices=False)
    good = s > 1e-10 * max(float(s.max(initial=0.0)), 1e-10 * float(np.linalg.norm(root[:, None] * w)))
    if not good.any():
        return np.zeros((w.shape[1], w.shape[1])), np.zeros(w.shape[1])
    to_w = s[good, None] * vt[good]
    p, d = basis.shape[1], int(good.sum())
    X = np.asfortranarray(np.column_stack([basis, u[:, good]]) / root[:, None])
    wide = replace(fit.design, x_names=tuple(f"column {j}" for j in range(X.shape[1])))
    criterion = Criterion.of(wide, replace(fit.rows, X=X), reml=fit.reml)
    moments = in_user_columns(criterion, working_moments(criterion, fit.theta)).with_residual
    f0, f = moments.f0, moments.f1[-1]
    # P applied to a column c: c − X (X'V⁻¹X)⁻¹ X'V⁻¹c
    out = np.zeros((d + 1, p + d + 1))
    out[:, p:] = np.eye(d + 1)
    out[:, :p] = -np.linalg.solve(f0[:p, :p], f0[:p, p:]).T
    inner = out @ f @ out.T
    return to_w.T @ inner[:d, :d] @ to_w, inner[d, :d] @ to_w
