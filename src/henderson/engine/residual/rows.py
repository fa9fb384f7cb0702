"""What depends on single rows: conditional modes of random effects and of residuals, scaled residuals, blocks' V.

With e = y − Xβ̂ and V = Var(y) of a block, in the working basis (rows times √w, y in units of s):

    b̂_j = GZ_j'V⁻¹e      Var(b_j | y) = G − GZ_j'V⁻¹Z_jG      ε̂ = RV⁻¹e      L⁻¹e, V = LL' (scaled residuals)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from henderson.contract.design import RandomTerm
from henderson.contract.residual import ResidualRows
from henderson.contract.rows import Rows, TermRows
from henderson.covariance.residual.residual import Residual
from henderson.engine.residual.ends import RowPoint
from henderson.engine.residual.model import BlockModel, Part
from henderson.engine.residual.point import BlockPoint, Factored
from henderson.engine.residual.related import RelatedPoint
from henderson.engine.residual.related_rows import variances_left
from henderson.engine.residual.units import LARGEST, Batch, batches_of, chunks
from henderson.errors import DataError

FloatArray = np.ndarray


def working_residuals(model: BlockModel, point: RowPoint, rows: Rows) -> FloatArray:
    """√w (y − Xβ̂)/s of every row, (n,)."""
    c = np.empty((rows.n, model.p + 1))
    model.basis.rows(rows, c)
    return c @ point.v


def _weighted(point: BlockPoint, e: FloatArray) -> Iterator[tuple[Part, Factored, np.ndarray, FloatArray]]:
    """Of every part: itself, its factors, the unit of each block (B,), and V⁻¹e of each block (B, n)."""
    for part, at in zip(point.model.parts, point.factored):
        unit = part.batch.unit_of
        yield part, at, unit, np.einsum("bnm,bm->bn", at.S[unit], e[part.batch.rows], optimize=True)


def conditional_modes(model: BlockModel, point: BlockPoint, rows: Rows) -> tuple[FloatArray, ...]:
    """b̂ of each term in the user's units, (J, q)."""
    if not model.layouts:
        return ()
    e, solved = working_residuals(model, point, rows), np.empty(rows.n)
    for part, _, _, own in _weighted(point, e):
        solved[part.batch.rows] = own
    if rows.weights is not None:
        solved = solved * np.sqrt(rows.weights)
    out = []
    for term, of, layout, to, T in zip(model.design.terms, rows.terms, model.layouts, model.g_of, model.roots):
        own = of.turned(T).gather(solved, term.n_levels)  # of a slope far from zero, not even G T' keeps its digits
        out.append(model.basis.y_scale * own @ layout.covariance(point.psi[to]) @ T.T)
    return tuple(out)


def conditional_covariances(model: BlockModel, point: BlockPoint, rows: Rows) -> tuple[FloatArray, ...]:
    """Var(b_j | y), given β and the variances, in the user's units, (J, q, q) a term."""
    out = []
    for k, (term, own, layout, to, T) in enumerate(
        zip(model.design.terms, rows.terms, model.layouts, model.g_of, model.roots)
    ):
        G = layout.covariance(point.psi[to])
        inner = np.zeros((term.n_levels, layout.q, layout.q))
        for part, at in zip(model.parts, point.factored):
            for block, unit in zip(part.batch.rows, part.batch.unit_of):
                _add_inner(inner, own, part.batch, k, block, int(unit), at.S[unit], T, rows)
        found = G - G @ inner @ G
        out.append(model.basis.y_scale**2 * (T @ found @ T.T))
    return tuple(out)


def _add_inner(
    inner: FloatArray,
    own: TermRows,
    batch: Batch,
    k: int,
    block: np.ndarray,
    unit: int,
    S: FloatArray,
    T: FloatArray,
    rows: Rows,
) -> None:
    """Add Z_j'SZ_j of one block to those of the levels that it has."""
    codes = own.codes
    if codes is None:
        loads = own.given_loadings[block].toarray() * T[0, 0]
        loads = loads if rows.weights is None else loads * np.sqrt(rows.weights[block])[:, None]
        inner[:, 0, 0] += np.einsum("ij,ik,kj->j", loads, S, loads, optimize=True)
        return
    z, levels = batch.terms[k].columns[unit], codes[block]
    for level in np.unique(levels):
        here = levels == level
        inner[level] += z[here].T @ S[np.ix_(here, here)] @ z[here]


def scaled_residuals(model: BlockModel, point: BlockPoint, rows: Rows) -> FloatArray:
    """L⁻¹e of each block, rows in the order of series and place: independent with variance one, (n,)."""
    e, out = working_residuals(model, point, rows), np.empty(rows.n)
    for part, at in zip(point.model.parts, point.factored):
        unit = part.batch.unit_of
        out[part.batch.rows] = np.einsum("bnm,bm->bn", at.inverse_low[unit], e[part.batch.rows], optimize=True)
    return out


def scaled_given_effects(model: BlockModel, psi: FloatArray, rows: Rows, e: FloatArray) -> FloatArray:
    """L⁻¹e of each series, R = LL', rows in the order of place, (n,); e (n,) is y − Xβ̂ − Zb̂ and ψ that of the working
    basis. NaN where R is singular."""
    own, out = rows.unit_weights**0.5 * e / model.basis.y_scale, np.full(rows.n, np.nan)
    for batch in batches_of(replace(model.design, terms=()), replace(rows, terms=())):
        try:
            low = np.linalg.cholesky(model.residual_cov(psi, batch))[batch.unit_of]
        except np.linalg.LinAlgError:
            continue
        out[batch.rows] = np.linalg.solve(low, own[batch.rows][:, :, None])[:, :, 0]
    return out


def own_variances(residual: Residual, psi: FloatArray, places: ResidualRows) -> FloatArray:
    """Variance of each row's residual for weight one, in the unit of ψ, (n,)."""
    alone = places.where[:, None], None if places.strata is None else places.strata[:, None]
    return residual.cov(psi, *alone, tuple(v[:, None] for v in places.covariates))[:, 0, 0]


def total_variances(
    residual: Residual,
    psi: FloatArray,
    covariances: Sequence[FloatArray],
    terms: Sequence[RandomTerm],
    rows: Rows,
) -> FloatArray:
    """Var(y) of each row, (n,), at natural parameters and covariances G (q, q) of the terms, in their unit."""
    assert rows.residual is not None
    out = own_variances(residual, psi, rows.residual) / rows.unit_weights
    for own, G, term in zip(rows.terms, covariances, terms):
        if own.codes is None:
            out = out + G[0, 0] * np.asarray(own.given_loadings.power(2).sum(axis=1)).ravel()
        else:
            size = 1.0 if term.related is None else term.related.diagonal[own.codes]
            out = out + size * np.einsum("ia,ab,ib->i", own.columns, G, own.columns, optimize=True)
    return out


def fixed_variances(model: BlockModel, point: RowPoint, rows: Rows) -> FloatArray:
    """Var(x'β̂) of each row, (n,)."""
    c = np.empty((rows.n, model.p))
    model.basis.fixed(rows, c)
    return model.basis.y_scale**2 * np.einsum("ia,ab,ib->i", c, point.phi, c, optimize=True)


def left_variances(model: BlockModel, point: RowPoint, rows: Rows) -> FloatArray:
    """Variance of the residuals y − Xβ̂ − Zb̂, diag RPR with P = V⁻¹ − V⁻¹XΦX'V⁻¹, (n,)."""
    if isinstance(point, RelatedPoint):
        return variances_left(point, rows)
    c, out = np.empty((rows.n, model.p + 1)), np.empty(rows.n)
    model.basis.rows(rows, c)
    low = np.linalg.cholesky(point.phi) if model.p else np.zeros((0, 0))
    for part, at in zip(model.parts, point.factored):
        unit = part.batch.unit_of
        RS = model.residual_cov(point.psi, part.batch) @ at.S
        whole = np.einsum("unm,unm->un", RS, model.residual_cov(point.psi, part.batch))
        along = RS[unit] @ c[part.batch.rows][:, :, : model.p] @ low
        out[part.batch.rows] = whole[unit] - (along**2).sum(axis=2)
    out *= model.basis.y_scale**2
    return out if rows.weights is None else out / rows.weights


def series_roots(
    residual: Residual, psi: FloatArray, places: ResidualRows, weights: FloatArray | None
) -> list[tuple[np.ndarray, FloatArray]]:
    """Rows of series (B, n) and L with LL' = Var(ε) of each, (B, n, n), at natural parameters ψ in the unit of y.

    Series of one size are together.

    Raises
    ------
    DataError
        When a series has more rows than dense matrices take.
    """
    _, sizes = np.unique(places.codes, return_counts=True)
    if sizes.max(initial=0) > LARGEST:
        raise DataError(f"a series has {sizes.max():,} rows; residuals of up to {LARGEST} rows a series can be drawn")
    order, starts, found = np.argsort(places.codes, kind="stable"), np.cumsum([0, *sizes]), []
    for n in np.unique(sizes):
        every = order[starts[:-1][sizes == n][:, None] + np.arange(n)]
        for some in chunks(len(every), n * n):
            at = every[some]
            strata = None if places.strata is None else places.strata[at]
            cov = residual.cov(psi, places.where[at], strata, tuple(own[at] for own in places.covariates))
            low = np.linalg.cholesky(cov)
            found.append((at, low if weights is None else low / np.sqrt(weights)[at][:, :, None]))
    return found


def total_roots(model: BlockModel, point: BlockPoint, rows: Rows) -> list[tuple[np.ndarray, FloatArray]]:
    """Of each part the rows of its blocks (B, n) and L with LL' = Var(y) of each, (B, n, n), in the unit of y.

    Its inverse makes `scaled_residuals`.
    """
    found = []
    for part, at in zip(model.parts, point.factored):
        low = model.basis.y_scale * np.linalg.inv(at.inverse_low)[part.batch.unit_of]
        found.append((part.batch.rows, _unweighted(low, part.batch.rows, rows)))
    return found


def _unweighted(low: FloatArray, at: np.ndarray, rows: Rows) -> FloatArray:
    """Roots (B, n, n) of blocks' rows `at`, by 1/√w."""
    return low if rows.weights is None else low / np.sqrt(rows.weights)[at][:, :, None]


def solved_residuals(model: BlockModel, point: BlockPoint, rows: Rows) -> FloatArray:
    """V⁻¹(y − Xβ̂) in the unit of 1/y, (n,)."""
    e, out = working_residuals(model, point, rows), np.empty(rows.n)
    for part, _, _, own in _weighted(point, e):
        out[part.batch.rows] = own
    out /= model.basis.y_scale
    return out if rows.weights is None else out * np.sqrt(rows.weights)


def solved_given_effects(residual: Residual, psi: FloatArray, rows: Rows, e: FloatArray) -> FloatArray:
    """R⁻¹e in the unit of 1/y, (n,), e = y − Xβ̂ − Zb̂: V⁻¹(y − Xβ̂), series by series, however many rows effects tie."""
    assert rows.residual is not None
    out = np.empty(rows.n)
    for at, low in series_roots(residual, psi, rows.residual, rows.weights):
        half = np.linalg.solve(low, e[at][:, :, None])
        out[at] = np.linalg.solve(low.transpose(0, 2, 1), half)[:, :, 0]
    return out
