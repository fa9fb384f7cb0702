"""The dense reference agrees with itself: its moments give the derivatives of its deviance."""

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, optimize, sparse

import reference
from henderson.design import Design, RandomTerm


@pytest.fixture
def design():
    rng = np.random.default_rng(1)
    n = 24
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    g, h = np.arange(n) % 6, np.arange(n) // 6
    loadings = sparse.csr_array(rng.normal(size=(n, 3)))
    terms = (
        RandomTerm("g", g, pd.Index(range(6)), x, ("(Intercept)", "x")),
        RandomTerm("h", h, pd.Index(range(4)), x, ("(Intercept)", "x"), "diagonal"),
        RandomTerm("m", None, pd.Index(range(3)), np.zeros((n, 0)), ("m",), "diagonal", loadings),
    )
    return Design(rng.normal(size=n), x, terms, "y", ("Intercept", "x"), weights=rng.uniform(1, 2, n))


THETA = np.array([0.8, 0.3, 0.5, 0.6, 0.4, 0.7])


def test_moments_are_the_gradient_of_the_deviance(design):
    g = reference.g_of(design, THETA)
    m = reference.moments(design, g)
    p = m.p
    beta = np.linalg.solve(m.f0[:p, :p], m.f0[:p, p])
    r = np.append(-beta, 1.0)
    phi = np.linalg.inv(m.f0[:p, :p])
    exact = m.t1 - np.einsum("ab,iba->i", phi, m.f1[:, :p, :p]) - (m.n - p) * (m.f1 @ r @ r) / (r @ m.f0 @ r)

    def of_g(g):
        layouts = reference.layouts(design)
        parts = [layout.lam(part) for layout, part in zip(layouts, reference.split(design, g))]
        full = [part + np.tril(part, -1).T for part in parts]
        theta = [layout.theta(np.linalg.cholesky(part)) for layout, part in zip(layouts, full)]
        return reference.deviance(design, np.concatenate(theta))

    assert np.allclose(exact, optimize.approx_fprime(g, of_g, 1e-6), atol=1e-3)


def test_modes_solve_the_mixed_model_equations(design):
    beta, _, _, _ = reference.solve(design, THETA)
    modes = reference.modes(design, THETA)
    z = np.hstack([np.hstack(list(reference.blocks(t))) for t in design.terms])
    factors = reference.relative_factors(design, THETA)
    prior = [np.kron(lam @ lam.T, np.eye(term.n_levels)) for lam, term in zip(factors, design.terms)]
    inverse = np.linalg.inv(linalg.block_diag(*prior))
    w = design.weights
    b = np.linalg.solve(z.T @ (w[:, None] * z) + inverse, z.T @ (w * (design.y - design.X @ beta)))
    assert np.allclose(b, np.concatenate([mode.T.ravel() for mode, _ in modes]))
