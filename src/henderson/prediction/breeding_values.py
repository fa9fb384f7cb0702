"""Effects of levels with known relationships, how sure they are, and the share of the variance that is theirs.

    â = Bŵ,   PEV_a = Var(a − â) = σ² e_a'B C⁻¹ B'e_a,   reliability = 1 − PEV_a / (σ_a² A_aa)

C⁻¹ is the block of the inverse of the mixed-model equations, fixed effects estimated. Of levels whose A⁻¹ is sparse
(`engine.factor.sparse`) its diagonal blocks are, with W = (Z'Z + A⁻¹ ⊗ G⁻¹)⁻¹ and Φ = (X'V⁻¹X)⁻¹,

    W_jj + (WZ'X)_j Φ (WZ'X)_j'

The heritability is σ_a² / (σ_a² + … + σ²), with its standard error by the delta method.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.contract.design import Design, KnownEffects, RandomTerm
from henderson.covariance.residual.residual import Residual
from henderson.design.replay import NewTerm
from henderson.design.variance_parameters import lme4_order
from henderson.engine.fit import Fit
from henderson.engine.residual.fit import StructuredFit, by_effects, by_relatives
from henderson.intervals.variance_errors import variance_covariance
from henderson.numerics.threads import blas_threads
from henderson.prediction.iterated_errors import IteratedErrors, error_kernels, warn_of_probes
from henderson.prediction.loads import loads_of
from henderson.tables.result_frame import ResultFrame

FloatArray = np.ndarray

#: under which name a fit without rows has the error variances of levels, β estimated and known, by term
KEPT = "level_errors"


@blas_threads()
def error_variances(fit: Fit, k: int, fixed: bool = True) -> FloatArray:
    """PEV of every level of a term with known relationships, (J, q); not `fixed`: as if β were known."""
    term, before = fit.design.terms[k], fit.remembered(KEPT)
    if before is not None:
        return before[k][0 if fixed else 1]
    if term.related is not None:
        return _sparse_variances(fit, k, fixed)
    assert isinstance(term.known, KnownEffects)
    root = term.known.root
    if isinstance(fit, StructuredFit):
        whole = by_effects(fit).error_covariance(k, fixed)
        return np.einsum("ja,ab,jb->j", root, whole, root, optimize=True)[:, None]
    point = fit.at_optimum()
    J = len(root)
    rows = sparse.csr_array(np.column_stack([root, np.zeros(J)]))
    terms: list[NewTerm | None] = [None] * len(fit.design.terms)
    terms[k] = NewTerm(None, np.empty((J, 0)), rows)
    X = np.zeros((J, len(fit.design.x_names)))
    loads, _ = loads_of(point.criterion, point.lam, X, terms)
    kernels = error_kernels(point.factor, point.phi if fixed else np.zeros_like(point.phi), None, point.ze)
    found = np.asarray(fit.sigma**2 * kernels(loads).variance)
    if isinstance(kernels, IteratedErrors):
        warn_of_probes(kernels)
    return found[:, None]


def worth_remembering(fit: Fit) -> dict[str, Any]:
    """The same of every such term, for a fit that is to lose its rows and with them what tells of them."""
    if not isinstance(fit, StructuredFit):
        return {}
    known = [k for k, term in enumerate(fit.design.terms) if term.known is not None]
    return {KEPT: {k: (error_variances(fit, k), error_variances(fit, k, False)) for k in known}} if known else {}


def _sparse_variances(fit: Fit, k: int, fixed: bool) -> FloatArray:
    """The same of levels whose A⁻¹ is sparse."""
    variances = np.einsum("jaa->ja", fit.b_cov()[k])
    if not fixed:
        return variances
    structured = isinstance(fit, StructuredFit)
    point = by_relatives(fit).inner if isinstance(fit, StructuredFit) else fit.at_optimum()
    scale = fit.scale if structured else fit.sigma**2
    blocks, p = point.criterion.blocks, point.criterion.system.cross.p
    moved = blocks.split(np.zeros((0, p, 0)), point.factor.rest.weigh(point.factor.S_c[:, :p]))
    number, block = next((i, one) for i, one in enumerate(blocks.blocks) if k in one.terms)
    own = np.einsum("ab,bmj->jam", point.criterion.basis.roots[number], moved[number], optimize=True)
    part = block.layout.terms[block.terms.index(k)]
    added = np.einsum("jam,mn,jan->ja", own, point.phi, own, optimize=True)
    return np.asarray(variances + scale * added[:, part])


def breeding_values(fit: Fit, group: str | None = None) -> pd.DataFrame:
    """Effects of the levels of a factor with known relationships.

    Parameters
    ----------
    fit : Fit
    group : str, optional
        The factor, or the label of a term; needed where several have known relationships.

    Returns
    -------
    DataFrame
        Index: all levels, those without rows included; of a term with several effects level and effect. Columns value,
        se (root of the prediction error variance), reliability, accuracy (its root), inbreeding (A_jj − 1), observed
        (whether the level has rows).
    """
    k = _related(fit.design, group)
    term = fit.design.terms[k]
    assert term.known is not None
    variance = fit.sigma**2 * np.diag(fit.lam[k] @ fit.lam[k].T)
    errors, diagonal = error_variances(fit, k), term.known.diagonal
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(variance > 0, errors / (variance * diagonal[:, None]), np.nan)
    reliability = np.clip(1 - share, 0.0, 1.0)
    observed = np.zeros(len(errors), bool)
    observed[term.known.observed] = True
    index, q = term.levels.rename(term.group), term.n_columns
    if q > 1:
        index = pd.MultiIndex.from_product([index, term.names], names=[term.group, "effect"])
    frame = pd.DataFrame(
        {
            "value": term.of_levels(fit.b[k]).ravel(),
            "se": np.sqrt(np.maximum(errors, 0.0)).ravel(),
            "reliability": reliability.ravel(),
            "accuracy": np.sqrt(reliability).ravel(),
            "inbreeding": np.repeat(np.where(np.abs(diagonal - 1) < 1e-12, 0.0, diagonal - 1), q),
            "observed": np.repeat(observed, q),
        },
        index=index,
    )
    return ResultFrame.of(frame, f"Effects of {term.label or term.group}", ())


def heritability(fit: Fit, group: str | None = None) -> pd.DataFrame:
    """The share of the variance of one row that is of a term with known relationships, its standard error, and others'.

    Parameters
    ----------
    fit : Fit
    group : str, optional
        As for `breeding_values`.

    Returns
    -------
    DataFrame
        One row a variance; columns variance, ratio (to the sum of all), se (of the ratio). The sum is that of the
        variances of intercepts and the residual's: the variance of a row of a level that is not inbred.
    """
    k = _related(fit.design, group)
    _refuse_wide(fit.design)
    tau = np.array([fit.sigma**2 * own[0, 0] for own in fit.covariances] + [fit.sigma**2])
    total = tau.sum()
    cov = variance_covariance(fit)[: len(tau), : len(tau)]  # what follows the residual's variance is no part of it
    gradient = np.eye(len(tau)) / total - tau[:, None] / total**2
    with np.errstate(invalid="ignore"):
        se = np.sqrt(np.einsum("ai,ij,aj->a", gradient, cov, gradient))
    order = [k, *(j for j in lme4_order(fit.design.terms) if j != k), len(tau) - 1]
    names = [*(term.label or term.group for term in fit.design.terms), "Residual"]
    frame = pd.DataFrame(
        {"variance": tau, "ratio": tau / total, "se": se}, index=pd.Index(names, name="component")
    ).iloc[order]
    on_zero = tau[order] == 0
    frame.loc[on_zero, "se"] = np.nan
    return ResultFrame.of(frame, f"Heritability: {names[k]}", ())


def _related(design: Design, group: str | None) -> int:
    """The term with known relationships that is meant."""
    there = [k for k, term in enumerate(design.terms) if term.known is not None]
    if not there:
        raise ValueError("no term has known relationships: fit with relmat={'animal': ...}")
    found = there if group is None else [k for k in there if group in (design.terms[k].label, design.terms[k].group)]
    exact = [k for k in found if design.terms[k].label == group]
    found = exact or found
    if len(found) != 1:
        shown = ", ".join(repr(design.terms[k].label) for k in there)
        raise ValueError(f"{'which term' if group is None else f'no one term is {group!r}'}? There are {shown}")
    return found[0]


def _refuse_wide(design: Design) -> None:
    wide: list[RandomTerm] = [term for term in design.terms if term.names not in (("(Intercept)",), ("Intercept",))]
    if wide:
        raise ValueError(
            f"with ({' + '.join(wide[0].names)} | {wide[0].group}) the variance of a row depends on its covariates: "
            "heritability() goes with intercepts"
        )
    if design.residual is not None and (
        design.residual.variance or Residual.of(design.residual, 1).kinds.count("variance") != 1
    ):
        raise ValueError(f"heritability() goes with one residual variance, which {design.residual.label} has not")
