"""Short forms, against NumPy's general ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from henderson.numerics.matrices import block_diagonal, combination, inner_products, smallest_singular_value

#: a few operations on numbers of unit size
RTOL = 1e-13


@pytest.mark.parametrize("order", [1, 2, 3])
def test_smallest_singular_value(order):
    rng = np.random.default_rng(order)
    for scale in (1.0, 1e-8, 1e8):
        matrix = rng.normal(size=(order, order)) * scale
        assert smallest_singular_value(matrix) == pytest.approx(linalg.svdvals(matrix)[-1], rel=1e-10)
    assert smallest_singular_value(np.zeros((order, order))) == 0.0


def test_a_nearly_singular_matrix_keeps_its_digits():
    assert smallest_singular_value(np.array([[1.0, 0.0], [0.5, 1e-9]])) == pytest.approx(1e-9 / np.sqrt(1.25), rel=1e-9)


def test_products_and_sums_of_stacks():
    rng = np.random.default_rng(0)
    stack, matrix, weights = rng.normal(size=(4, 3, 2)), rng.normal(size=(3, 2)), rng.normal(size=4)
    np.testing.assert_allclose(inner_products(stack, matrix), [np.trace(one.T @ matrix) for one in stack], rtol=RTOL)
    np.testing.assert_allclose(combination(weights, stack), sum(w * one for w, one in zip(weights, stack)), rtol=RTOL)
    np.testing.assert_array_equal(block_diagonal([matrix, matrix]), linalg.block_diag(matrix, matrix))
