"""The dense reference agrees with itself: its moments give the derivatives of its deviance."""

import numpy as np
import pytest
from scipy import linalg, optimize

import reference

THETA = reference.EXAMPLE_THETA


@pytest.fixture
def design():
    return reference.example()


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
        full = [layout.covariance(part) for layout, part in zip(layouts, reference.split(design, g))]
        theta = [layout.theta(np.linalg.cholesky(part)) for layout, part in zip(layouts, full)]
        return reference.deviance(design, np.concatenate(theta))

    assert np.allclose(exact, optimize.approx_fprime(g, of_g, 1e-6), atol=1e-3)


def test_modes_solve_the_mixed_model_equations(design):
    beta, _, _, _ = reference.solve(design, THETA)
    modes = reference.modes(design, THETA)
    z = np.hstack([np.hstack(list(reference.blocks(*one))) for one in zip(design.design.terms, design.rows.terms)])
    factors = reference.relative_factors(design, THETA)
    prior = [np.kron(lam @ lam.T, np.eye(term.n_levels)) for lam, term in zip(factors, design.design.terms)]
    inverse = np.linalg.inv(linalg.block_diag(*prior))
    w = design.rows.weights
    b = np.linalg.solve(z.T @ (w[:, None] * z) + inverse, z.T @ (w * (design.rows.y - design.rows.X @ beta)))
    assert np.allclose(b, np.concatenate([mode.T.ravel() for mode, _ in modes]))
