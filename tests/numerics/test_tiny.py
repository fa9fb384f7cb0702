"""Stacks of matrices of one and two rows, and of more."""

from __future__ import annotations

import numpy as np
import pytest

from henderson.numerics import tiny


@pytest.mark.parametrize("n", [3, 2 * tiny.FEW])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_products_and_inverses(k, n):
    rng = np.random.default_rng(k)
    a, b = rng.normal(size=(2, 1, n, k, k)), rng.normal(size=(3, n, k, k))
    np.testing.assert_allclose(tiny.products(a, b), np.einsum("...ij,...jk->...ik", a, b), atol=1e-13)
    C = b[0] @ b[0].transpose(0, 2, 1) + np.eye(k)
    inverse, log = tiny.inverses(C)
    np.testing.assert_allclose(inverse, np.linalg.inv(C), atol=1e-12)
    np.testing.assert_allclose(log, np.linalg.slogdet(C)[1], atol=1e-12)
