"""Score and Hessian are the derivatives of the log-likelihood, and that is the multivariate normal's."""

import numpy as np
import pytest
from scipy import optimize, stats

import henderson
import reference
from henderson.engine import likelihood
from henderson.engine.moments_at import working_moments

THETA = reference.EXAMPLE_THETA


@pytest.fixture
def design():
    return reference.example()


def point_at(design, g, reml):
    return likelihood.Point(reference.moments(design, g), reml)


@pytest.mark.parametrize("reml", [True, False])
def test_derivatives(design, reml):
    g = reference.g_of(design, THETA)
    beta = np.array([0.3, -0.2])

    def of(x):
        return likelihood.loglike(point_at(design, x[2:], reml), x[:2])

    def gradient(x):
        return np.concatenate(likelihood.score(point_at(design, x[2:], reml), x[:2]))

    x = np.concatenate([beta, g])
    assert np.allclose(gradient(x), optimize.approx_fprime(x, of, 1e-6), rtol=1e-3, atol=1e-4)
    numeric = optimize.approx_fprime(x, gradient, 1e-6)
    assert np.allclose(likelihood.hessian(point_at(design, g, reml), beta), numeric, rtol=1e-3, atol=1e-3)


def test_value(design):
    g = reference.g_of(design, THETA)
    beta = np.array([0.3, -0.2])
    point = point_at(design, g, False)
    cov = likelihood.scale(point, beta) * reference.marginal(design, g)
    normal = stats.multivariate_normal(design.rows.X @ beta, cov)
    assert np.isclose(likelihood.loglike(point, beta), normal.logpdf(design.rows.y))
    for reml in (True, False):
        point = point_at(design, g, reml)
        value = likelihood.loglike(point, likelihood.profile_beta(point.moments))
        assert np.isclose(-2 * value, reference.deviance(design, THETA, reml))


@pytest.mark.parametrize("formula", ["Reaction ~ Days + (Days | Subject)", "Reaction ~ 1 + (1 | Subject)"])
def test_traces_of_one_factor_are_those_of_the_forms(formula):
    fit = henderson.lmer(formula, henderson.datasets.load("sleepstudy")).engine
    second = working_moments(fit.criterion, fit.theta).second
    B = np.random.default_rng(1).normal(size=(len(fit.beta) + 1, 2))
    of_forms = np.einsum("ijss->ij", second.forms(B))
    np.testing.assert_allclose(second.trace_forms(B), of_forms, rtol=1e-12, atol=1e-12 * np.abs(of_forms).max())
