"""Measures of a fit: R², intraclass correlations, AICc, effective degrees of freedom, the dimensions of
random effects.

Nakagawa's R² with Johnson's extension to slopes, over the rows of the data:

    R²_marginal = σ²_f / (σ²_f + σ²_r + σ²),   R²_conditional = (σ²_f + σ²_r) / (σ²_f + σ²_r + σ²),
    σ²_f = var(Xβ̂),   σ²_r = Σ_terms mean_i z_i' G z_i σ²  (z_i the row's covariates; for a random intercept
    its variance)

With prior weights σ² is the variance of an observation of weight one; of residuals with a structure it is their mean
variance over the rows. (Nakagawa and Schielzeth 2013; Johnson
2014; Nakagawa, Johnson and Schielzeth 2017.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from henderson.design.intercept import intercept_at
from henderson.design.variance_parameters import lme4_order
from henderson.engine.residual.fit import StructuredFit
from henderson.inference.fit_moments import FitMoments
from henderson.tables.exports import TableExports
from henderson.tables.result_frame import ResultFrame
from henderson.tables.table import Table

if TYPE_CHECKING:
    from henderson.contract.design import Design
    from henderson.engine.fit import Fit


class _R2(NamedTuple):
    marginal: float
    conditional: float


class R2(TableExports, _R2):
    """Shares of variance that the fixed effects explain, and the fixed and random effects together.

    Attributes
    ----------
    marginal, conditional : float

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> marginal, conditional = fit.r2()
    >>> round(marginal, 3), round(conditional, 3)
    (0.279, 0.799)
    """

    __slots__ = ()

    def as_table(self) -> Table:
        """One row for each."""
        frame = pd.DataFrame({"r2": list(self)}, index=pd.Index(["marginal", "conditional"], name="kind"))
        return Table(frame, "R² (Nakagawa, Johnson)")


@dataclass(frozen=True)
class VarianceShares:
    """Variance of the response by source, on average over the rows of the data.

    Attributes
    ----------
    fixed : float
        Variance of Xβ̂ over the rows (divisor n − 1).
    random : (m,) array
        Mean variance that each random term gives a row.
    intercept : (m,) array
        Variance of each term's intercept (of its single column where it has no intercept).
    residual : float
    """

    fixed: float
    random: np.ndarray
    intercept: np.ndarray
    residual: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.fixed + float(self.random.sum()) + self.residual


def variance_shares(fit: Fit) -> VarianceShares:
    """Where the variance of the response comes from."""
    digest, scale = fit.digest, fit.sigma**2
    linear = digest.x_triangle[1:, fit.kept] @ fit.beta[fit.kept]  # less its mean, which is in the first row
    at = [intercept_at(term.names) or 0 for term in fit.design.terms]
    intercept = scale * np.array([own[i, i] for own, i in zip(fit.covariances, at)])
    fixed = float(linear @ linear) / (fit.n - 1)
    return VarianceShares(fixed, scale * fit.mean_variances(), intercept, fit.residual_variance)


def total_sd(fit: Fit, without: Sequence[Sequence[bool]] = ()) -> float:
    """Standard deviation of a response about the fixed part, on average over the rows of the data.

    Parameters
    ----------
    fit : Fit
    without : sequence of sequences of bool
        Columns of each random term that do not count, since they are known; by default none.
    """
    shares = fit.mean_variances([~np.array(own, bool) for own in without])
    return float(np.sqrt(fit.residual_variance + fit.sigma**2 * shares.sum()))


def r2(fit: Fit) -> R2:
    """Marginal and conditional R².

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    R2
        `marginal`, `conditional`.
    """
    shares = variance_shares(fit)
    return R2(shares.fixed / shares.total, (shares.fixed + float(shares.random.sum())) / shares.total)


def icc(fit: Fit) -> pd.DataFrame:
    """Intraclass correlations: of every random term, adjusted, and unadjusted.

    Returns
    -------
    DataFrame
        One row for each random term, then ``adjusted`` (all terms together) and ``unadjusted`` (relative to a
        total that includes the fixed effects). Columns: ``variance``, the mean variance that the term gives a
        row (Johnson's for slopes); ``icc``, its share of the random and residual variance; ``icc_intercept``,
        the share of the intercept alone (the same for random intercepts).
    """
    shares = variance_shares(fit)
    random = float(shares.random.sum())
    within = random + shares.residual
    order = lme4_order(fit.design.terms)
    labels = [fit.design.terms[k].label or fit.design.terms[k].group for k in order]
    frame = pd.DataFrame(
        {
            "variance": [*shares.random[order], random, random],
            "icc": [*(shares.random[order] / within), random / within, random / shares.total],
            "icc_intercept": [*(shares.intercept[order] / within), np.nan, np.nan],
        },
        index=pd.Index([*labels, "adjusted", "unadjusted"], name="term"),
    )
    return ResultFrame.of(frame, "Intraclass correlations")


def aic(fit: Fit) -> float:
    """d + 2k, d the deviance as fitted (under REML the REML criterion) and k `Fit.n_parameters`; where residuals have a
    structure k is SAS's and mmrm's, under REML the variance parameters alone (`Fit.penalty`)."""
    return fit.deviance + 2 * fit.penalty.parameters


def bic(fit: Fit) -> float:
    """d + k log n, as `aic`; where residuals have a structure n counts independent series."""
    return fit.deviance + float(np.log(fit.penalty.n_bic)) * fit.penalty.parameters


def aicc(fit: Fit) -> float:
    """AIC + 2k(k + 1) / (n − k − 1), AIC from the deviance as fitted; NaN where n ≤ k + 1."""
    k, _, n = fit.penalty
    if n <= k + 1:
        return np.nan
    return aic(fit) + 2 * k * (k + 1) / (n - k - 1)


def effective_df(fit: Fit) -> float:
    """Trace of the hat matrix ∂ŷ/∂y at fixed θ: p for no random effects, up to all of p plus their number.

    ŷ = y − V₀Py, so tr H = n − tr PV₀ = n − t1_0 + tr Φ X'V⁻¹V₀V⁻¹X, with V₀ = W⁻¹ the residual's.
    """
    fitted = FitMoments.of(fit).working
    moments = fitted.moments
    p = moments.p
    if isinstance(fit, StructuredFit):  # R = Σ ψ_aV_a over its variances and covariances, in which it is homogeneous
        n_g, degree = fit.blocks.n_g, fit.structure.degree
        of_phi = np.sum(fitted.phi * moments.f1[n_g:, :p, :p], axis=(1, 2))
        return float(moments.n - (degree * fit.psi_working[n_g:]) @ (moments.t1[n_g:] - of_phi))
    return float(moments.n - moments.t1[-1] + np.sum(fitted.phi * moments.f1[-1, :p, :p]))


def random_effects_pca(design: Design, lam: tuple[np.ndarray, ...], sigma: float) -> pd.DataFrame:
    """Principal components of the random effects of each grouping factor.

    Singular values of λ: how many dimensions the effects of a factor really have.

    Parameters
    ----------
    design : Design
    lam : tuple of (q, q) arrays
        Relative covariance factors, one a term.
    sigma : float

    Returns
    -------
    DataFrame
        Columns group, component, sd (relative to σ, as lme4 has it), sd_scaled (times σ), proportion,
        cumulative (of variance).
    """
    by_group: dict[str, list[np.ndarray]] = {}
    for k in lme4_order(design.terms):
        term, one = design.terms[k], lam[k]
        by_group.setdefault(term.group, []).append(one)
    frames = []
    for group, parts in by_group.items():
        sd = np.sort(np.concatenate([np.linalg.svd(part, compute_uv=False) for part in parts]))[::-1]
        total = float((sd**2).sum())
        share = sd**2 / total if total else np.full(len(sd), np.nan)
        frames.append(
            pd.DataFrame(
                {
                    "group": group,
                    "component": np.arange(1, len(sd) + 1),
                    "sd": sd,
                    "sd_scaled": sigma * sd,
                    "proportion": share,
                    "cumulative": np.cumsum(share),
                }
            )
        )
    columns = ["group", "component", "sd", "sd_scaled", "proportion", "cumulative"]
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=pd.Index(columns))
    return ResultFrame.of(table, "Principal components of the random effects")
