"""Errors of predictions against n × n algebra: the weights of the data, written out and differentiated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from designs import KINDS, design
from henderson.contract.rows import TermRows
from henderson.design.replay import NewTerm
from henderson.engine.fit import fit_design
from henderson.prediction.errors import JointErrors
from henderson.prediction.loads import loads_of
from henderson.prediction.row_errors import ErrorKernels
from reference import Data, blocks, layouts, marginal

# the engine's equations and dense ones are conditioned alike; differences of the dense ones lose half the digits
RTOL, STEP = 1e-7, 1e-5


def weights(data: Data, g: np.ndarray, x: np.ndarray, z: list[np.ndarray]) -> np.ndarray:
    """m with x'β̂ + z'b̂ = m'y, (rows, n): z'GZ'P + xΦX'V⁻¹."""
    inverse = np.linalg.inv(marginal(data, g))
    X = data.rows.X
    phi = np.linalg.inv(X.T @ inverse @ X)
    covariance = shared(data, g, z)
    return covariance @ inverse + (x - covariance @ inverse @ X) @ phi @ X.T @ inverse


def shared(data: Data, g: np.ndarray, z: list[np.ndarray]) -> np.ndarray:
    """Covariance of z'b with y, over σ², (rows, n)."""
    out, first = 0.0, 0
    for term, own, layout, at in zip(data.design.terms, data.rows.terms, layouts(data), z):
        G = layout.covariance(g[first : first + layout.n_g])
        first += layout.n_g
        out = out + np.einsum("rmj,rs,snj->mn", at, G, blocks(term, own))
    return out


def prior(data: Data, g: np.ndarray, z: list[np.ndarray]) -> np.ndarray:
    """Variance of z'b, (rows,)."""
    out, first = 0.0, 0
    for layout, at in zip(layouts(data), z):
        G = layout.covariance(g[first : first + layout.n_g])
        first += layout.n_g
        out = out + np.einsum("rmj,rs,smj->m", at, G, at)
    return out


def dense(data: Data, g: np.ndarray, x: np.ndarray, z: list[np.ndarray]) -> np.ndarray:
    """Variance of m'y − x'β − z'b over σ², (rows,)."""
    m = weights(data, g, x, z)
    V = marginal(data, g)
    return (m @ V * m).sum(1) - 2 * (m * shared(data, g, z)).sum(1) + prior(data, g, z)


def new_rows(data: Data, seed: int = 0) -> tuple[np.ndarray, list[NewTerm], list[np.ndarray]]:
    """Ten rows: levels are shuffled between terms, so that combinations are new; the last rows lack some."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(10, data.rows.X.shape[1]))
    terms, z = [], []
    shuffled = {}
    for term, own in zip(data.design.terms, data.rows.terms):
        if own.codes is None:
            Z = own.loadings[rng.integers(0, data.rows.n, 10)]
            wide = sparse.csr_array(sparse.hstack([Z, sparse.csr_array((10, 1))]))
            terms.append(NewTerm(None, np.empty((10, 0)), wide))
            z.append(Z.toarray()[None])
            continue
        if term.group not in shuffled:
            shuffled[term.group] = rng.integers(0, term.n_levels, 10)
        codes = shuffled[term.group]
        columns = rng.normal(size=(10, term.n_columns))
        terms.append(NewTerm(codes, columns))
        z.append(blocks(term, TermRows(codes, columns)))
    return x, terms, z


@pytest.fixture(params=[(kind, weighted) for kind in KINDS for weighted in (False, True)], scope="module", ids=str)
def fitted(request):
    kind, weighted = request.param
    data = design(kind, weighted=weighted)
    return data, fit_design(*data)


def test_the_variance_of_an_error(fitted):
    data, fit = fitted
    x, terms, z = new_rows(data)
    found = JointErrors(fit, None)(x, terms, np.zeros(10))
    np.testing.assert_allclose(found.variance / fit.sigma**2, dense(data, fit.g, x, z), rtol=RTOL)


def test_its_derivatives_and_what_estimated_variances_add(fitted):
    data, fit = fitted
    x, terms, z = new_rows(data)
    k = len(fit.g)
    spread = np.random.default_rng(1).normal(size=(k, k))
    omega = spread @ spread.T
    to_user = fit.criterion.to_user_g
    working = np.linalg.solve(to_user, np.linalg.solve(to_user, omega).T)
    point = fit.at_optimum()
    loads, _ = loads_of(fit.criterion, point.lam, x, terms)
    found = ErrorKernels(point.factor, point.phi, working, point.ze)(loads)
    v, moved = [], []
    for i in range(k):
        at = [fit.g + sign * STEP * np.eye(k)[i] for sign in (1, -1)]
        v.append(np.subtract(*(dense(data, g, x, z) for g in at)) / (2 * STEP))
        moved.append(np.subtract(*(weights(data, g, x, z) for g in at)) / (2 * STEP))
    np.testing.assert_allclose(np.linalg.solve(to_user.T, found.gradient.T), v, rtol=1e-5, atol=1e-7)
    V = marginal(data, fit.g)
    added = np.einsum("ik,imn,nq,kmq->m", omega, moved, V, moved, optimize=True)
    np.testing.assert_allclose(found.added, added, rtol=1e-5, atol=1e-9)
