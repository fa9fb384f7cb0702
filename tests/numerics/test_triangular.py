"""Inverses from a Cholesky factor."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import lapack

from henderson.numerics.triangular import PIECE, inverse_of_factored, lower_inverse

CLOSE = 1e-12  # relative: orders of a few hundred, condition numbers of about ten


@pytest.mark.parametrize("n", [0, 1, 7, PIECE, PIECE + 1, 301])
def test_inverses_by_halves(n):
    rng = np.random.default_rng(n)
    root = rng.standard_normal((n, n)) / max(n, 1) ** 0.5
    matrix = root @ root.T + np.eye(n)
    low = np.asfortranarray(np.linalg.cholesky(matrix)) if n else np.zeros((0, 0), order="F")
    low += np.triu(rng.standard_normal((n, n)), 1)  # what LAPACK leaves above the triangle
    before = low.copy()
    inverse = np.linalg.inv(matrix)
    np.testing.assert_allclose(np.tril(inverse_of_factored(low)), np.tril(inverse), rtol=0, atol=CLOSE)
    K = lower_inverse(low) if n else low
    np.testing.assert_allclose(K.T @ K, inverse, rtol=0, atol=CLOSE)
    assert not np.triu(K, 1).any()
    assert (low == before).all()
    if n:
        np.testing.assert_allclose(K, np.tril(lapack.dtrtri(np.tril(low), lower=1)[0]), rtol=0, atol=CLOSE)
