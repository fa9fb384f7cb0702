"""Many small matrices at once."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from henderson.numerics import small


def test_a_matrix_that_is_not_positive_definite_is_an_error_and_no_warning():
    stack = np.stack([np.eye(2), [[1.0, 2.0], [2.0, 1.0]], np.zeros((2, 2))], axis=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low = small.cholesky(stack.copy())
        with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
            small.log_det(low)
    assert small.log_det(low[:, :, :1]) == 0.0
    assert np.isnan(low[1, 1, 1])


def test_log_determinants_add_up():
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((5, 3, 3))
    stack = roots @ roots.transpose(0, 2, 1) + np.eye(3)
    total = small.log_det(small.cholesky(np.ascontiguousarray(stack.transpose(1, 2, 0))))
    np.testing.assert_allclose(total, np.linalg.slogdet(stack)[1].sum(), rtol=1e-13)
