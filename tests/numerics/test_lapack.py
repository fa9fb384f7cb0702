"""LAPACK called directly gives what `numpy.linalg` gives, and says where there is nothing to give."""

from __future__ import annotations

import numpy as np
import pytest

from henderson.numerics import lapack

#: the same routines on well-conditioned matrices
RTOL = 1e-12


def positive(k, seed=0):
    root = np.random.default_rng(seed).normal(size=(k, k + 2))
    return root @ root.T


@pytest.mark.parametrize("k", [0, 1, 2, 3, 7, 40])
@pytest.mark.parametrize("order", ["C", "F"])
def test_factors_and_inverses(k, order):
    matrix = np.array(positive(k), order=order)
    before, right = matrix.copy(), np.arange(1.0, k + 1)
    low = lapack.cholesky(matrix)
    np.testing.assert_allclose(low, np.linalg.cholesky(matrix), rtol=RTOL, atol=RTOL)
    np.testing.assert_allclose(lapack.inverse_lower(low), np.linalg.inv(low), rtol=1e-8, atol=RTOL)
    np.testing.assert_allclose(lapack.solve(matrix, right), np.linalg.solve(matrix, right), rtol=RTOL)
    np.testing.assert_allclose(lapack.inverse(matrix), np.linalg.inv(matrix), rtol=1e-9)
    np.testing.assert_array_equal(matrix, before)


@pytest.mark.parametrize("k", [0, 1, 2, 5, 40])
def test_eigenvalues(k):
    matrix = positive(k) - 3 * np.eye(k)
    values, vectors = lapack.eigen(matrix)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix), rtol=RTOL, atol=1e-12)
    np.testing.assert_allclose(vectors * values @ vectors.T, matrix, atol=1e-12 * (1 + np.abs(matrix).max(initial=0)))


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (5, 2), (2, 5), (0, 2), (2, 0)])
def test_triangle_has_the_inner_products(shape):
    matrix = np.random.default_rng(1).normal(size=shape)
    found = lapack.triangle(matrix)
    assert found.shape == (min(shape), shape[1])
    np.testing.assert_array_equal(found, np.triu(found))
    np.testing.assert_allclose(found.T @ found, matrix.T @ matrix if shape[0] else np.zeros((2, 2)), atol=1e-13)


def test_a_singular_system_has_its_shortest_solution():
    half = np.random.default_rng(2).normal(size=(5, 3))
    matrix, right = half @ half.T, np.arange(5.0)
    expected = np.linalg.lstsq(matrix, right, rcond=1e-10)[0]
    np.testing.assert_allclose(lapack.symmetric_solve(matrix, right), expected, rtol=1e-9)
    assert lapack.symmetric_solve(np.zeros((2, 2)), np.ones(2)).tolist() == [0.0, 0.0]


def test_what_does_not_exist_is_an_error():
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        lapack.cholesky(np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        lapack.solve(np.ones((2, 2)), np.ones(2))
