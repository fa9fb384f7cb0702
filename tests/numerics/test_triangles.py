"""Symmetric matrices by their lower triangles."""

from __future__ import annotations

import numpy as np
import pytest

from henderson.numerics import triangles

CLOSE = 1e-13  # relative: sums of up to twenty products


@pytest.mark.parametrize("n", [1, 2, 20])
def test_as_the_matrix_itself(n):
    rng = np.random.default_rng(n)
    A, B = (own + own.T for own in rng.standard_normal((2, n, n)))
    i, j = np.divmod(np.arange(n * n), n)
    triangle = np.full(triangles.size(n), np.nan)
    triangle[triangles.places(n, i, j)] = A[i, j]  # either order of row and column is the same place
    np.testing.assert_array_equal(np.tril(triangles.unpacked(triangle, n)), np.tril(A))
    np.testing.assert_array_equal(triangle[triangles.diagonal(n)], np.diag(A))
    for k in (1, triangles.FEW + 1):
        columns = rng.standard_normal((n, k))
        np.testing.assert_allclose(triangles.times(triangle, columns), A @ columns, atol=CLOSE * n * 10)
    lower = np.asfortranarray(np.tril(B) + np.triu(np.full((n, n), np.nan), 1))
    assert triangle @ triangles.doubled(lower) == pytest.approx(np.trace(A @ B), abs=CLOSE * n * n * 10)
