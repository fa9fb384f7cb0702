"""`Rows` and `TermRows`: one home for Z, Zb, Z'v, y − offset; pickles that hold nothing twice."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import reference
from designs import KINDS, N, design
from henderson.contract.rows import Rows, TermRows, present
from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.fit import fit_design
from henderson.errors import DataError

EXACT = 1e-12  # relative; the same sums in another order


@pytest.mark.parametrize("kind", KINDS)
def test_effects_of_a_term(kind):
    data = design(kind)
    rng = np.random.default_rng(2)
    for term, rows in zip(data.design.terms, data.rows.terms):
        z = np.concatenate(list(np.moveaxis(reference.blocks(term, rows), 0, -1).transpose(1, 2, 0)), 0).T
        np.testing.assert_allclose(rows.matrix(term.n_levels).toarray(), z, atol=EXACT)
        b, v = rng.normal(size=(term.n_levels, term.n_columns)), rng.normal(size=N)
        np.testing.assert_allclose(rows.times(b), z @ b.ravel(), atol=1e-11)
        np.testing.assert_allclose(rows.gather(v, term.n_levels).ravel(), z.T @ v, atol=1e-11)
        indicator = TermRows(rows.codes, np.ones((N, 1)), rows.loadings).matrix(term.n_levels).toarray()
        np.testing.assert_array_equal(rows.incidence(term.n_levels).toarray(), indicator != 0)
    both = data.rows.random_part(tuple(np.ones((t.n_levels, t.n_columns)) for t in data.design.terms))
    assert both == pytest.approx(
        sum(np.sum(r.matrix(t.n_levels), axis=1) for t, r in zip(data.design.terms, data.rows.terms))
    )


def test_owners():
    inner = TermRows(np.array([0, 0, 1, 2, 2]), np.ones((5, 1)))
    outer = np.array([1, 1, 1, 0, 0])
    assert inner.owners(outer, 3).tolist() == [1, 1, 0]
    assert TermRows(outer, np.ones((5, 1))).owners(inner.codes, 2) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [True, False])
def test_a_design_is_summed_from_any_chunks(kind, weighted):
    """Basis, order of levels and sums are those of the whole, though each chunk has arrays of its own."""
    data = design(kind, weighted=weighted)
    whole = Criterion.of(*data)
    parts = [pickle.loads(pickle.dumps(data.rows[slice(a, b)])) for a, b in ((0, 31), (31, 90), (90, N))]
    chunked = Criterion.of(data.design, parts)
    theta = 0.5 + np.random.default_rng(1).uniform(size=whole.blocks.n_theta)
    assert chunked.deviance(theta) == pytest.approx(whole.deviance(theta), rel=1e-11)
    np.testing.assert_array_equal(chunked.basis.kept, whole.basis.kept)
    for one, other in zip(chunked.basis.roots, whole.basis.roots):
        np.testing.assert_allclose(one, other, atol=1e-10)


def test_terms_share_a_factor_by_its_name():
    """Once two bars on one factor were one block only while they shared an array."""
    data = pd.DataFrame(
        {"y": np.random.default_rng(1).normal(size=60), "x": np.arange(60.0) % 7, "g": np.arange(60) % 6}
    )
    one, rows = design_from_formula("y ~ x + (x || g)", data)
    copied = Rows(rows.y, rows.X, tuple(TermRows(t.codes.copy(), t.columns.copy()) for t in rows.terms))
    assert len(Criterion.of(one, copied).blocks.blocks) == 1
    assert fit_design(one, copied).deviance == pytest.approx(fit_design(one, rows).deviance, rel=1e-12)


def test_two_factors_of_one_name_are_an_error():
    data = pd.DataFrame(
        {"y": np.random.default_rng(1).normal(size=60), "a": np.arange(60) % 4, "b": np.arange(60) // 15}
    )
    data["a:b"] = np.arange(60) % 7
    with pytest.raises(DataError, match="two different grouping factors are called 'a:b'"):
        design_from_formula("y ~ 1 + (1 | a:b) + (1 | `a:b`)", data)


def test_a_pickle_holds_views_once():
    n = 5000
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.normal(size=(n, 3)), columns=["y", "x", "z"]).assign(
        g=np.arange(n) % 50, h=np.arange(n) % 9
    )
    _, rows = design_from_formula("y ~ x + z + (x + z || g) + (1 + z | h)", data)
    content = pickle.dumps(rows)
    assert len(content) < n * (4 * 8 + 2) + 5000
    again = pickle.loads(content)
    for one, other in zip(again.terms, rows.terms):
        np.testing.assert_array_equal(one.codes, other.codes)
        np.testing.assert_array_equal(one.columns, other.columns)
        assert one.codes.dtype == np.intp
        assert np.shares_memory(one.columns, again.X)
    assert again.terms[0].codes is again.terms[1].codes
    np.testing.assert_array_equal(again.columns["x"], data["x"])


def test_rows_that_are_gone():
    with pytest.raises(DataError, match=r"profile\(\): this needs the rows of the data, which were removed"):
        present(None, "profile()")
