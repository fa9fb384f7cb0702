"""Clusters of rows, and each cluster's V_i, X_i and e_i in as few dimensions as they need.

Within a cluster of equal weights w, V_i = I/w + Z_iGZ_i' is I/w outside the span of [Z_i X_i], and so is everything
that a cluster-robust covariance asks of it. With U an orthonormal basis of that span (from the cross-products C = [Z
X]'[Z X] = EΛE' of the cluster: U = [Z X] EΛ^(−1/2)), V_i, X_i and e_i are replaced by U'V_iU, U'X_i and U'e_i, (q_i +
p) numbers a side whatever the number of rows. Directions that C lacks become columns of zeros in U: V is the identity
there and X and e are zero. Clusters with unequal weights keep their rows. X and Z are those of the working basis: of a
covariate far from zero the cross-products would say little but its mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from henderson.contract.rows import Rows
from henderson.engine.fit import Fit
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.units import blocks_of
from henderson.errors import DataError, NotAvailable
from henderson.formula.tokens import bare
from henderson.inference.fit_moments import FitMoments

FloatArray = np.ndarray

#: doubles that one batch of clusters may take in one of its arrays
BATCH = 1 << 21

#: rows (or effects) of one cluster, above which its dense matrices are refused
LARGEST = 6000


@dataclass(frozen=True)
class ClusterBlock:
    """B clusters of one size r.

    Attributes
    ----------
    V : (B, r, r) array
    X : (B, r, p) array
        Columns of the working basis.
    e : (B, r) array
    """

    V: FloatArray
    X: FloatArray
    e: FloatArray


def cluster_codes(fit: Fit, labels: Any = None) -> FloatArray:
    """Cluster of each row, (n,) int: from labels, or the top grouping factor.

    Raises
    ------
    DataError
        When there is no factor that nests the others, or a level occurs in two clusters.
    """
    codes = _top(fit) if labels is None else _given(fit, labels)
    rows_of = fit.observed
    if rows_of.residual is not None and _splits(rows_of.residual.codes, codes):
        raise DataError(
            f"rows of one {fit.design.residual.group!r} are spread over several clusters, so clusters are not "  # type: ignore[union-attr]
            "independent; give cluster= a column that nests the series of residuals"
        )
    for term, rows in zip(fit.design.terms, rows_of.terms):
        if rows.owners(codes, term.n_levels) is None:
            raise DataError(
                f"the levels of {term.group!r} are spread over several clusters, so clusters are not independent; "
                "give cluster= a column that nests every grouping factor"
            )
    return codes


def _given(fit: Fit, labels: Any) -> FloatArray:
    """Codes of labels: a grouping factor's or a column's name, or one label a row of the design or of the data."""
    design, rows = fit.design, fit.observed
    if isinstance(labels, str):
        labels = labels if labels in rows.columns or labels in rows.factors else bare(labels)
        for term, own in zip(design.terms, rows.terms):
            if labels in (term.group, term.label) and own.codes is not None:
                return own.codes
        if design.residual is not None and labels == design.residual.group and rows.residual is not None:
            return rows.residual.codes
        columns = {**rows.columns, **rows.factors}
        if labels not in columns:
            known = ", ".join(dict.fromkeys([*(term.group for term in design.terms), *columns]))
            raise DataError(f"cluster {labels!r} is not in the model, which has {known}; give the column's values")
        labels = columns[labels]
    n, values = fit.n, pd.Series(labels)
    if isinstance(labels, pd.Series) and labels.index.is_unique and rows.index.isin(labels.index).all():
        values = labels.loc[rows.index]
    elif len(values) == n + design.n_missing and rows.positions is not None:
        values = values.iloc[rows.positions]
    if len(values) != n:
        raise DataError(f"cluster has {len(values)} labels for {n} rows")
    codes = pd.factorize(values)[0]
    if (codes < 0).any():
        raise DataError("cluster has missing labels")
    return np.asarray(codes)


def _splits(codes: FloatArray, clusters: FloatArray) -> bool:
    """Whether rows with one code are of several clusters."""
    of_code = np.zeros(int(codes.max()) + 1, np.intp)
    of_code[codes] = clusters
    return bool((of_code[codes] != clusters).any())


def _top(fit: Fit) -> FloatArray:
    if fit.design.residual is not None:
        blocks = np.unique(blocks_of(fit.design, fit.observed), return_inverse=True)[1].ravel()
        if blocks.max() > 0 or not fit.design.terms:
            return blocks
    terms = list(zip(fit.design.terms, fit.observed.terms))
    for _, rows in sorted(terms, key=lambda one: one[0].n_levels):
        codes = rows.codes
        if codes is not None and all(other.owners(codes, term.n_levels) is not None for term, other in terms):
            return codes
    factors = ", ".join(groups := dict.fromkeys(term.group for term in fit.design.terms))
    if len(groups) > 1:
        why = f"no grouping factor nests the others ({factors} are crossed)"
    else:
        why = f"rows share levels of {factors} so that all depend on each other"
    raise DataError(f"{why}, so there are no independent clusters; give cluster= a column that nests them all")


def cluster_blocks(fitted: FitMoments, labels: Any = None) -> Iterator[ClusterBlock]:
    """The clusters, in batches of one size."""
    fit, rows = fitted.fit, fitted.fit.observed_for("a cluster-robust covariance")
    if fit.design.is_related:
        raise NotAvailable(
            "a cluster-robust covariance needs clusters that are independent, and the known relationships of "
            f"{fit.design.related_groups} make all rows depend on each other; ddf= has what goes with such a model"
        )
    codes = cluster_codes(fit, labels)
    count = int(codes.max()) + 1
    if count < 2:
        raise DataError("a cluster-robust covariance needs at least two clusters")
    if isinstance(fit, StructuredFit):
        yield from _structured(fit, rows, codes)
        return
    weights = rows.unit_weights
    low = np.full(count, np.inf)
    np.minimum.at(low, codes, weights)
    high = np.zeros(count)
    np.maximum.at(high, codes, weights)
    equal = high - low <= 1e-12 * high
    x, e = _working(fit, rows)
    terms = fit.design.terms
    turned = (
        own.matrix(term.n_levels) @ sparse.kron(sparse.eye_array(term.n_levels), root)
        for own, term, root in zip(rows.terms, terms, fit.roots)
    )
    z = sparse.csr_array(sparse.hstack(list(turned)))
    g = sparse.csr_array(
        sparse.block_diag(
            [sparse.kron(sparse.eye_array(term.n_levels), lam @ lam.T) for term, lam in zip(terms, fit.working_terms)]
        )
    )
    owner = _owners(z, codes)
    yield from _reduced(z, g, x, e, codes, owner, low, np.flatnonzero(equal))
    for cluster in np.flatnonzero(~equal):
        yield _whole(z, g, x, e, weights, np.flatnonzero(codes == cluster))


def _working(fit: Fit | StructuredFit, rows: Rows) -> tuple[FloatArray, FloatArray]:
    """X̃ (n, p) and y − Xβ̂ (n,)."""
    x = np.empty((rows.n, fit.basis.p))
    fit.basis.fixed(rows, x)
    return x, rows.response - rows.X[:, fit.kept] @ fit.beta[fit.kept]


def _structured(fit: StructuredFit, rows: Rows, codes: FloatArray) -> Iterator[ClusterBlock]:
    """Clusters of a model whose residuals have a structure, relative to the fit's scale; those of one size together."""
    model, point = fit.blocks, fit.block_point
    (x, e), root = _working(fit, rows), np.sqrt(rows.unit_weights)
    sizes = np.bincount(codes)
    if int(sizes.max()) > LARGEST:
        raise DataError(f"a cluster of {sizes.max()} rows; cluster-robust covariances take up to {LARGEST}")
    order = np.argsort(codes, kind="stable")
    place, starts = np.empty(fit.n, np.intp), np.concatenate([[0], np.cumsum(sizes)])
    place[order] = np.arange(fit.n) - np.repeat(starts[:-1], sizes)  # of each row within its cluster
    for size in np.unique(sizes):
        of_size = np.flatnonzero(sizes == size)
        rank = np.full(len(sizes), -1)
        rank[of_size] = np.arange(len(of_size))
        V = np.zeros((len(of_size), size, size))
        for part in model.parts:
            at = part.batch.rows
            mine = rank[codes[at[:, 0]]]
            chosen = mine >= 0
            own, unit = at[chosen], part.batch.unit_of[chosen]
            inside = place[own]
            weighted = model.cov(point.psi, part.batch)[unit] / (root[own][:, :, None] * root[own][:, None, :])
            V[mine[chosen][:, None, None], inside[:, :, None], inside[:, None, :]] = weighted
        of_rows = order[starts[of_size][:, None] + np.arange(size)]
        yield ClusterBlock(V, x[of_rows], e[of_rows])


def _owners(z: sparse.csr_array, codes: FloatArray) -> FloatArray:
    """Cluster of each effect, (Q,); −1 for an effect on which no row loads."""
    entries = z.tocoo()
    owner = np.full(z.shape[1], -1)
    owner[entries.coords[1]] = codes[entries.coords[0]]
    return owner


def _reduced(
    z: sparse.csr_array,
    g: sparse.csr_array,
    x: FloatArray,
    e: FloatArray,
    codes: FloatArray,
    owner: FloatArray,
    weight: FloatArray,
    chosen: FloatArray,
) -> Iterator[ClusterBlock]:
    """Clusters of equal weights, in the basis of their [Z X]."""
    count, p = len(weight), x.shape[1]
    indicator = sparse.csr_array((np.ones(len(codes)), codes, np.arange(len(codes) + 1)), shape=(len(codes), count)).T
    ordered = np.argsort(owner, kind="stable")
    ordered = ordered[owner[ordered] >= 0]
    size = np.bincount(owner[ordered], minlength=count)
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    zz, zx, ze = (z.T @ z).tocsr(), z.T @ x, z.T @ e
    xx = np.reshape([indicator @ (x * column[:, None]) for column in x.T], (p, count, p)).transpose(1, 0, 2)
    xe = indicator @ (x * e[:, None])
    for q in np.unique(size[chosen]):
        of_size = chosen[size[chosen] == q]
        r = int(q) + p
        if r > LARGEST:
            raise DataError(f"a cluster has {q} random effects; cluster-robust covariances take up to {LARGEST - p}")
        step = max(1, BATCH // r**2)
        for at in range(0, len(of_size), step):
            part = of_size[at : at + step]
            effects = ordered[start[part, None] + np.arange(q)]
            rows, columns = np.broadcast_arrays(effects[:, :, None], effects[:, None, :])
            gram = np.empty((len(part), r, r))
            gram[:, :q, :q] = _take(zz, rows, columns)
            gram[:, :q, q:] = zx[effects]
            gram[:, q:, :q] = gram[:, :q, q:].transpose(0, 2, 1)
            gram[:, q:, q:] = xx[part]
            basis = _orthonormal(gram)
            turned = basis.transpose(0, 2, 1)
            both = turned @ gram
            zu, xu = both[:, :, :q], both[:, :, q:]
            v = zu @ _take(g, rows, columns) @ zu.transpose(0, 2, 1) + np.eye(r) / weight[part, None, None]
            eu = (turned @ np.concatenate([ze[effects], xe[part]], axis=1)[:, :, None])[:, :, 0]
            yield ClusterBlock(v, xu, eu)


def _take(matrix: sparse.csr_array, rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Entries of a sparse matrix at dense places."""
    if not rows.size:
        return np.zeros(rows.shape)
    return np.asarray(matrix[rows.ravel(), columns.ravel()]).reshape(rows.shape)


def _orthonormal(gram: FloatArray) -> FloatArray:
    """EΛ^(−1/2), (B, r, r), with columns of zeros where Λ vanishes; columns brought to one size first."""
    size = np.sqrt(np.einsum("iaa->ia", gram))
    size = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(gram / size[:, :, None] / size[:, None, :])
    good = values > 1e-11 * values[:, -1:]
    root = np.where(good, 1 / np.sqrt(np.where(good, values, 1.0)), 0.0)
    return vectors * root[:, None, :] / size[:, :, None]


def _whole(
    z: sparse.csr_array, g: sparse.csr_array, x: FloatArray, e: FloatArray, weights: FloatArray, rows: FloatArray
) -> ClusterBlock:
    """One cluster of unequal weights, row by row."""
    if len(rows) > LARGEST:
        raise DataError(
            f"a cluster of {len(rows)} rows with unequal weights; cluster-robust covariances take up to {LARGEST}"
        )
    zi = z[rows]
    used = np.unique(zi.indices)
    zi = zi[:, used]
    v = (zi @ g[used][:, used] @ zi.T).toarray()
    v[np.arange(len(rows)), np.arange(len(rows))] += 1 / weights[rows]
    return ClusterBlock(v[None], x[rows][None], e[rows][None])
