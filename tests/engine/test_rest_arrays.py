"""What the rest hands out as new arrays is new: who changes it changes nothing that is kept."""

import numpy as np
import pandas as pd
import pytest

from henderson import lmer
from henderson.engine.factor import rest_dense

# Henderson's equations solved at once
DENSE = 1e-9


def nested(inner, columns):
    """60 groups with 4 subgroups of `inner` rows: the rest falls apart in 60 components of as many effects."""
    rng = np.random.default_rng(1)
    g, h = np.repeat(np.arange(60), 4 * inner), np.repeat(np.arange(240), inner)
    x = rng.normal(size=len(g))
    y = 1 + 0.5 * x + rng.normal(size=60)[g] + 0.7 * rng.normal(size=240)[h] + rng.normal(size=len(g))
    return lmer(f"y ~ x + ({columns} | g) + (1 | h)", pd.DataFrame({"g": g, "h": h, "x": x, "y": y}))


@pytest.mark.parametrize("columns", ["1", "x"])
def test_a_table_changes_no_weights(columns):
    """W of components of one effect was handed out itself, and a table of Satterthwaite's df worked in it: standard
    errors of predictions were 7 % too small afterwards."""
    fit = nested(3, columns)
    assert np.isfinite(fit.coef_table["df"]).all()
    rest = fit.engine.at_optimum().factor.rest
    kept = [stack.copy() for stack in rest.weight_stacks()]
    for stack in rest.weight_stacks():
        stack[...] = np.nan
    for stack, own in zip(rest.weight_stacks(), kept):
        np.testing.assert_array_equal(stack, own)
    # Henderson's equations, whole
    engine = fit.engine
    Z = [rows.matrix(term.n_levels).toarray() for rows, term in zip(engine.rows.terms, engine.design.terms)]
    G = [np.kron(np.eye(term.n_levels), lam @ lam.T) for lam, term in zip(engine.lam, engine.design.terms)]
    T = np.column_stack([engine.rows.X, *Z])
    C = T.T @ T
    start = 2
    for own in G:
        C[start : start + len(own), start : start + len(own)] += np.linalg.inv(own)
        start += len(own)
    asked = np.linalg.solve(C, T.T)  # of the rows themselves
    se = engine.sigma * np.sqrt(np.einsum("ia,ai->i", T, asked))
    found = fit.predict(re="all", se=True, variance_uncertainty=False)["se"]
    np.testing.assert_allclose(found, se, rtol=DENSE)
    np.testing.assert_allclose(fit.influence()["leverage"], np.einsum("ia,ai->i", T, asked), rtol=DENSE)


@pytest.mark.parametrize("size", [5, rest_dense.LARGE])
@pytest.mark.parametrize("columns", [0, 1, rest_dense.FEW, rest_dense.FEW + 1])
def test_of_a_symmetric_matrix_the_lower_triangle_is_read(size, columns):
    """Column by column, and at once; what is multiplied stays."""
    rng = np.random.default_rng(2)
    half = rng.normal(size=(size, size))
    whole, B = half + half.T, rng.normal(size=(size, columns))
    lower = np.asfortranarray(np.where(np.tri(size, dtype=bool), whole, np.nan))
    kept = B.copy()
    np.testing.assert_allclose(rest_dense.symmetric_times(lower, B), whole @ B, atol=1e-11)
    np.testing.assert_array_equal(B, kept)
