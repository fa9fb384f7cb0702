"""The start solves the moment equations."""

from __future__ import annotations

import numpy as np
import pytest

import reference
from designs import KINDS, N, design
from henderson import lmer
from henderson.datasets import load
from henderson.engine.search.moment_estimate import MomentEquations
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.mark.parametrize("reml", [True, False])
def test_moment_estimate_solves_the_moment_equations(kind, reml):
    """Its equations, with V_i = ∂V/∂G_i over the rows and M = I − X(X'X)⁻¹X' (of ML I): e'V_ie = σ²(tr MV_i + Σ_l G_l
    tr V_iMV_lM)."""
    data = design(kind, weighted=False)
    rows = data.rows
    blocks = Blocks.of(data.design.terms, [rows])
    basis = Basis.of(data.design, [rows], blocks)
    cross = CrossProducts.of(data.design, [rows], blocks, basis)
    found = MomentEquations.of(blocks, cross, reml=reml).covariances(cross)
    V = reference.derivatives(data)
    y = rows.response
    M = np.eye(N) - rows.X @ np.linalg.pinv(rows.X)
    e = M @ y
    several_and_crossed = blocks.rest and any(block.q > 1 for block in blocks.blocks)
    inside = M if reml and not several_and_crossed else np.eye(N)
    VM = V @ inside
    k = len(V)
    left = np.ones((k + 1, k + 1)) * np.trace(inside)
    left[:k, :k] = np.einsum("iab,jba->ij", VM, VM)
    left[k, :k] = left[:k, k] = np.einsum("iaa->i", VM)
    solution = np.linalg.lstsq(left, np.append(np.einsum("a,iab,b->i", e, V, e), e @ e), rcond=None)[0]
    expected = solution[:k] / max(solution[k], 1e-2 * (e @ e) / N)
    user = [T @ G @ T.T for T, G in zip(basis.roots, found)]
    np.testing.assert_allclose(blocks.theta(user), expected, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
        ("sleepstudy", "Reaction ~ Days + (1 | Subject)"),
        ("Dyestuff", "Yield ~ 1 + (1 | Batch)"),
        ("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
        ("Pastes", "strength ~ 1 + (1 | batch / cask)"),
        ("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)"),
    ],
)
def test_in_balanced_data_it_is_the_optimum(name, formula):
    for reml in (True, False):
        fit = lmer(formula, load(name), REML=reml)
        assert fit.converged
        if reml or "plate" not in formula:  # ML of crossed factors has no closed form
            assert fit.optinfo["evaluations"] <= 2  # the second one deviance alone
