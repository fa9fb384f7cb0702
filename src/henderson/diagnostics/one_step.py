"""Rows left out while the variances stay as they were estimated: closed forms, for large data.

For a row i, with V⁻¹X, e = V⁻¹(y − Xβ̂) and P from `engine.row_forms` (weighted rows, Φ = (X'V⁻¹X)⁻¹),

    β̂ − β̂(i) = Φ (V⁻¹X)_i e_i / P_ii,   Φ(i) = Φ + Φ(V⁻¹X)_i(V⁻¹X)_i'Φ / P_ii

For a set D of rows that shares no random effect with the others, V⁻¹ falls apart, and

    S(D) = X'V⁻¹X − Σ_{i∈D} x_i(V⁻¹X)_i',   β̂(D) = S(D)⁻¹ (X'V⁻¹y − Σ_{i∈D} x_i(V⁻¹y)_i)

For any other set the first formula holds with matrices, P_DD for P_ii, where it has few rows; for one of many rows the
equations are solved once at the estimated variances, from subtracted cross-products or, of correlated residuals beside
related levels, from the other rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import lapack
from scipy.sparse.csgraph import connected_components

from henderson.contract.design import RandomTerm
from henderson.contract.rows import TermRows
from henderson.engine.criterion import Evaluation
from henderson.engine.deletion import INDEPENDENT, criterion_without
from henderson.engine.fit import Fit
from henderson.engine.many.deletions import Sets
from henderson.engine.residual.fit import StructuredFit, by_relatives
from henderson.engine.residual.related import RelatedPoint
from henderson.engine.residual.related_rows import point_without
from henderson.engine.row_forms import Forms

FloatArray = np.ndarray

#: rows of a set up to which its P_DD is formed
MOST_ROWS = 400
#: reciprocal condition of P_DD down to which its Cholesky factor is good enough
WELL_CONDITIONED = 1e-6


@dataclass(frozen=True)
class OneStep:
    """Fixed effects without each of m sets of rows, the variances being held.

    Attributes
    ----------
    beta : (m, p) array
        Over all columns; NaN for dropped ones, and where leaving the rows out makes columns redundant.
    vcov : (m, p, p) array
        Φ(D) in the units of the response.
    turned : (m, p_kept, p_kept) array
        The same between the coefficients of the working basis, where no digits are lost.
    """

    beta: FloatArray
    vcov: FloatArray
    turned: FloatArray


def one_step(fit: Fit, sets: Sets, forms: Forms) -> OneStep:
    """Leave out each set, at the variances of the fit.

    Parameters
    ----------
    fit : Fit
    sets : Sets
    forms : Forms
        Of the fit.
    """
    if (sets.sizes == 1).all():
        change, phi = _single_rows(forms, sets)
    elif is_apart(fit, sets):
        change, phi = _apart(forms, sets)
    else:
        change, phi = _any(fit, sets, forms)
    p, kept = len(fit.kept), fit.kept
    beta, vcov = np.full((sets.m, p), np.nan), np.full((sets.m, p, p), np.nan)
    beta[:, kept] = fit.beta[kept] - change @ forms.to_beta.T
    vcov[:, kept[:, None] & kept] = (fit.scale * forms.to_beta @ phi @ forms.to_beta.T).reshape(sets.m, -1)
    return OneStep(beta, vcov, fit.scale * phi)


def foremost(fit: Fit, sets: Sets, forms: Forms, most: int) -> np.ndarray:
    """The sets that are likely to move a fixed effect most, up to `most` of them.

    They are ranked as if they shared no random effect with others, which costs one pass over the rows; those for which
    that has no answer come first.
    """
    change, _ = _apart(forms, sets)
    moves = np.abs(change / np.sqrt(np.diag(forms.phi))).max(axis=1, initial=0.0)
    moves[np.isnan(change).any(axis=1)] = np.inf
    return np.sort(np.argsort(-moves, kind="stable")[:most])


def is_apart(fit: Fit, sets: Sets) -> bool:
    """Whether the sets share no random effect, no relatives and no series of residuals, with each other, nor with rows
    in none."""
    codes = np.full(fit.n, -1)
    codes[sets.rows] = np.repeat(np.arange(sets.m), sets.sizes)
    rows = fit.observed
    ties = [_families(own, term) for term, own in zip(fit.design.terms, rows.terms)]
    if rows.residual is not None and fit.design.residual is not None:
        ties.append((TermRows(rows.residual.codes, np.ones((fit.n, 0))), fit.design.residual.n_series))
    return all(own.owners(codes, n_levels) is not None for own, n_levels in ties)


def _families(own: TermRows, term: RandomTerm) -> tuple[TermRows, int]:
    """What a term's rows load on that is independent, levels or all that are related, and how many there are."""
    if term.related is None or own.codes is None:
        return own, term.n_levels
    n, family = connected_components(term.related.relation.root, directed=False)
    return replace(own, codes=family[own.codes].astype(np.intp)), int(n)


def _single_rows(forms: Forms, sets: Sets) -> tuple[FloatArray, FloatArray]:
    vx, e, p_ii = forms.vx[sets.rows], forms.e[sets.rows], forms.p_diagonal[sets.rows]
    p_ii = np.where(p_ii > INDEPENDENT, p_ii, np.nan)
    along = vx @ forms.phi
    phi = forms.phi + along[:, :, None] * along[:, None, :] / p_ii[:, None, None]
    return along * (e / p_ii)[:, None], phi


def _apart(forms: Forms, sets: Sets) -> tuple[FloatArray, FloatArray]:
    """β̂ − β̂(D) = S(D)⁻¹ Σ_D x_ie_i, since X'e = 0."""
    x, vx, e, p = forms.x[sets.rows], forms.vx[sets.rows], forms.e[sets.rows], forms.x.shape[1]
    if not p:
        return np.zeros((sets.m, 0)), np.zeros((sets.m, 0, 0))
    right = np.column_stack([vx, e])
    own = np.stack([np.add.reduceat(column[:, None] * right, sets.starts[:-1], axis=0) for column in x.T], axis=1)
    left = np.linalg.inv(forms.phi) - own[:, :, :p]
    good = np.linalg.eigvalsh(_relative(left, forms.phi))[:, 0] > INDEPENDENT
    phi = np.full_like(left, np.nan)
    phi[good] = np.linalg.inv((left[good] + left[good].transpose(0, 2, 1)) / 2)
    return np.einsum("mab,mb->ma", phi, own[:, :, p]), phi


def _any(fit: Fit, sets: Sets, forms: Forms) -> tuple[FloatArray, FloatArray]:
    """Sets of few rows by P_DD, of many by the equations of the others."""
    p = forms.x.shape[1]
    change, phi = np.full((sets.m, p), np.nan), np.full((sets.m, p, p), np.nan)
    in_blocks = isinstance(fit, StructuredFit) and not fit.design.is_related
    by_block = (sets.sizes <= MOST_ROWS) | in_blocks
    for d in range(sets.m):
        found = _by_block(sets[d], forms) if by_block[d] else _held_without(fit, sets[d])
        if found is not None:
            change[d], phi[d] = found
    return change, phi


def _by_block(rows: np.ndarray, forms: Forms) -> tuple[FloatArray, FloatArray] | None:
    block = forms.p_block(rows)
    low, fails = lapack.dpotrf(block, lower=1)
    if not fails and lapack.dpocon(low, np.abs(block).sum(axis=0).max(), uplo="L")[0] > WELL_CONDITIONED:
        solved = lapack.dpotrs(low, np.column_stack([forms.vx[rows], forms.e[rows]]), lower=1)[0]
        along = forms.vx[rows] @ forms.phi
        return along.T @ solved[:, -1], forms.phi + along.T @ solved[:, :-1] @ forms.phi
    values, vectors = np.linalg.eigh(block)
    if values[0] < INDEPENDENT:
        return None
    along = vectors.T @ forms.vx[rows] @ forms.phi
    change = along.T @ ((vectors.T @ forms.e[rows]) / values)
    return change, forms.phi + along.T @ (along / values[:, None])


def _held_without(fit: Fit, rows: np.ndarray) -> tuple[FloatArray, FloatArray] | None:
    """The equations of the other rows, at the variances of the fit."""
    whole: Evaluation | RelatedPoint
    point: Evaluation | RelatedPoint
    if isinstance(fit, StructuredFit):
        whole = by_relatives(fit)
        point = point_without(whole, fit.observed, rows)
    else:
        whole = fit.at_optimum()
        point = criterion_without(fit, rows).at_lam(whole.lam, fit.theta)
    if not np.isfinite(point.deviance):
        return None
    p, factor = len(whole.phi), (point.inner if isinstance(point, RelatedPoint) else point).factor
    if p and np.linalg.eigvalsh(_relative(factor.inner[:p, :p], whole.phi))[0] < INDEPENDENT:
        return None
    return fit.basis.y_scale * (whole.beta - point.beta), point.phi


def _relative(matrices: FloatArray, phi: FloatArray) -> FloatArray:
    """Matrices in the metric in which Φ⁻¹ is the identity."""
    low = np.linalg.cholesky(phi)
    return low.T @ matrices @ low
