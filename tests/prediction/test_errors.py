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
from henderson.prediction.rules import RULES
from reference import Data, blocks, g_of, layouts, marginal

# the engine's equations and dense ones are conditioned alike; differences of the dense ones lose half the digits
RTOL, STEP = 1e-7, 2e-5


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


def slope(function, g, i):
    """∂/∂g_i by differences of the fourth order."""
    up, down, twice_up, twice_down = (function(g + step * STEP * np.eye(len(g))[i]) for step in (1, -1, 2, -2))
    return (8 * (up - down) - (twice_up - twice_down)) / (12 * STEP)


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
        v.append(slope(lambda g: dense(data, g, x, z), fit.g, i))
        moved.append(slope(lambda g: weights(data, g, x, z), fit.g, i))
    np.testing.assert_allclose(np.linalg.solve(to_user.T, found.gradient.T), v, rtol=1e-5, atol=1e-7)
    V = marginal(data, fit.g)
    added = np.einsum("ik,imn,nq,kmq->m", omega, moved, V, moved, optimize=True)
    np.testing.assert_allclose(found.added, added, rtol=1e-5, atol=1e-9)


def test_rows_come_in_pieces_without_a_seam(fitted, monkeypatch):
    data, fit = fitted
    x, terms, _ = new_rows(data)
    whole = JointErrors(fit, RULES["satterthwaite"])(x, terms, np.ones(10))
    monkeypatch.setattr("henderson.prediction.errors.CHUNK", 4)
    monkeypatch.setattr("henderson.prediction.row_errors.AT_ONCE", 1)
    pieces = JointErrors(fit, RULES["satterthwaite"])(x, terms, np.ones(10))
    for name in ("variance", "added", "df"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=1e-10)


def test_at_variances_of_zero(fitted):
    """Where λ = 0 formulas may not divide by it."""
    data, fit = fitted
    x, terms, z = new_rows(data)
    criterion, k = fit.criterion, len(fit.g)
    lam = [np.zeros_like(one) if i else one for i, one in enumerate(fit.at_optimum().lam)]
    point = criterion.at_lam(lam, fit.theta)
    g = criterion.to_user_g @ criterion.blocks.g([one @ one.T for one in lam])
    spread = np.random.default_rng(1).normal(size=(k, k))
    loads, _ = loads_of(criterion, lam, x, terms)
    found = ErrorKernels(point.factor, point.phi, spread @ spread.T, point.ze)(loads)
    np.testing.assert_allclose(found.variance, dense(data, g, x, z), rtol=RTOL)
    slopes = []
    for i in range(k):
        at = [g + sign * STEP * np.eye(k)[i] for sign in (1, -1)]
        slopes.append(np.subtract(*(dense(data, one, x, z) for one in at)) / (2 * STEP))
    found_user = np.linalg.solve(criterion.to_user_g.T, found.gradient.T)
    np.testing.assert_allclose(found_user, slopes, rtol=1e-4, atol=1e-5)


def test_degrees_of_freedom_by_differences():
    """2v²/(∇v'A∇v) with both derivatives, of v and of the deviance for A, taken by differences in (θ, log σ)."""
    data = design("crossed")
    fit = fit_design(*data)
    x, terms, z = new_rows(data)
    found = JointErrors(fit, RULES["satterthwaite"])(x, terms, np.ones(10))
    point = np.append(fit.theta, np.log(fit.sigma))
    X, y, n = data.rows.X, data.rows.response, data.rows.n

    def deviance(at: np.ndarray) -> float:
        V = np.exp(2 * at[-1]) * marginal(data, g_of(data, at[:-1]))
        inverse = np.linalg.inv(V)
        information = X.T @ inverse @ X
        e = y - X @ np.linalg.solve(information, X.T @ inverse @ y)
        return float(np.linalg.slogdet(V)[1] + np.linalg.slogdet(information)[1] + e @ inverse @ e)

    def variance(at: np.ndarray) -> np.ndarray:
        return np.exp(2 * at[-1]) * (dense(data, g_of(data, at[:-1]), x, z) + 1.0)

    step, k = 1e-3, len(point)
    eye = step * np.eye(k)
    slope = np.array([variance(point + one) - variance(point - one) for one in eye]) / (2 * step)
    hessian = np.array([
        [
            sum(a * b * deviance(point + a * one + b * other) for a in (1, -1) for b in (1, -1)) / (4 * step**2)
            for other in eye
        ]
        for one in eye
    ])  # fmt: skip
    spread = np.einsum("im,ij,jm->m", slope, 2 * np.linalg.inv(hessian), slope)
    assert n == 120
    np.testing.assert_allclose(found.variance, variance(point), rtol=1e-6)
    np.testing.assert_allclose(found.df, 2 * variance(point) ** 2 / spread, rtol=1e-3)
