"""Roots of indefinite matrices against eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest

from henderson.numerics.signed import signed_root

ROUNDING = 1e-9
RNG = np.random.default_rng(0)
N = 40
GRAM = (A := RNG.normal(size=(N + 3, N))).T @ A
SIGNS = np.where(RNG.random(N) < 0.5, -1.0, 1.0)

MATRICES = {
    "positive": (GRAM, None),
    "negative": (-GRAM, None),
    "as expected": (0.01 * GRAM + np.diag(4 * SIGNS), SIGNS),
    "other than expected": (GRAM - np.diag(np.full(N, 30.0)), SIGNS),
    "not expected": (GRAM - np.diag(np.full(N, 30.0)), None),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("many", [False, True])
def test_it_is_a_root(name, many):
    C, expected = MATRICES[name]
    stack = np.stack([C, C[::-1, ::-1]]) if many else C[None]
    root = signed_root(np.tril(stack), expected)  # the lower triangle is all that is read
    D = root.K @ stack @ root.K.transpose(0, 2, 1)
    np.testing.assert_allclose(D, root.signs[:, :, None] * np.eye(N), atol=ROUNDING)
    assert root.negative == (np.linalg.eigvalsh(stack) < 0).sum()
    assert root.log_det == pytest.approx(np.linalg.slogdet(stack)[1].sum())
    np.testing.assert_allclose(root.inverse, np.linalg.inv(stack), atol=ROUNDING)


def test_a_sign_that_is_rounding_is_none():
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        signed_root(np.diag([1.0, -1.0, 1e-12])[None])
