"""The start solves the moment equations."""

from __future__ import annotations

import numpy as np
import pytest

import reference
from designs import KINDS, N, design
from henderson.engine.search.moment_estimate import moment_covariances
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


def test_moment_estimate_solves_the_moment_equations(kind):
    """Its equations, written with V_i = ∂V/∂G_i over the rows: e'V_ie = σ²(tr V_i + Σ_l G_l tr V_iV_l)."""
    data = design(kind, weighted=False)
    rows = data.rows
    blocks = Blocks.of(data.design.terms, [rows])
    basis = Basis.of(data.design, [rows], blocks)
    cross = CrossProducts.of(data.design, [rows], blocks, basis)
    found = moment_covariances(blocks, cross)
    V = reference.derivatives(data)
    y = rows.response
    e = y - rows.X @ np.linalg.lstsq(rows.X, y, rcond=None)[0]
    k = len(V)
    left = np.ones((k + 1, k + 1)) * N
    left[:k, :k] = np.einsum("iab,jba->ij", V, V)
    left[k, :k] = left[:k, k] = np.einsum("iaa->i", V)
    solution = np.linalg.lstsq(left, np.append(np.einsum("a,iab,b->i", e, V, e), e @ e), rcond=None)[0]
    expected = solution[:k] / max(solution[k], 1e-2 * (e @ e) / N)
    user = [T @ G @ T.T for T, G in zip(basis.roots, found)]
    np.testing.assert_allclose(blocks.theta(user), expected, atol=1e-7 * np.abs(expected).max())
