"""The sparse Cholesky factor against dense algebra, on patterns of all kinds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from henderson.numerics import memory
from henderson.numerics.sparse.cholesky import SparseCholesky
from henderson.numerics.sparse.plan import SIZES, Plan, rounded
from henderson.numerics.sparse.signed import SparseSigned
from henderson.numerics.sparse.tree import fronts_of, minimum_degree

ROUNDING = 1e-12
SIGNED = 1e-7  # pivots are of a front's own columns, and may be small


def random_pattern(n, density, seed=1):
    R = sparse.random_array((n, n), density=density, random_state=np.random.default_rng(seed))
    return sparse.csc_array(R @ R.T + sparse.eye_array(n))


def family(n=300, sires=12, seed=2):
    """Sires, each with one of many dams: many leaves of one shape, a dense end."""
    rng = np.random.default_rng(seed)
    C = sparse.lil_array((n, n))
    C.setdiag(4.0)
    for k in range(100, n):
        for other in (rng.integers(sires), rng.integers(sires, 100)):
            C[k, other] = C[other, k] = -0.5
    return sparse.csc_array(C + sparse.diags_array(np.where(np.arange(n) < 100, 60.0, 0.0)))


CASES = {
    "one": sparse.csc_array(np.array([[4.0]])),
    "diagonal": sparse.csc_array(np.diag(np.arange(1.0, 8.0))),
    "dense": sparse.csc_array(np.full((90, 90), 0.5) + 2 * np.eye(90)),
    "chain": sparse.csc_array(3 * np.eye(80) + np.eye(80, k=1) + np.eye(80, k=-1)),
    "two pieces": sparse.csc_array(sparse.block_diag([random_pattern(30, 0.1), random_pattern(20, 0.2)])),
    "sparse": random_pattern(300, 0.006),
    "full at its end": random_pattern(250, 0.02),
    "family": family(),
}


@pytest.mark.parametrize("C", CASES.values(), ids=CASES)
def test_is_the_dense_factors(C):
    n, lower = C.shape[0], sparse.coo_array(sparse.tril(C))
    row, column = lower.coords
    shuffled = np.random.default_rng(0).permutation(len(row))
    plan = Plan.of(column[shuffled], row[shuffled], n)  # in either triangle, in any order
    found = SparseCholesky(plan, lower.data[shuffled])
    whole = C.toarray()
    assert found.log_det == pytest.approx(np.linalg.slogdet(whole)[1], abs=ROUNDING * n)
    B = np.random.default_rng(1).normal(size=(n, 2))
    np.testing.assert_allclose(whole @ found.solve(B), B, atol=ROUNDING * n)
    np.testing.assert_allclose(found.half(B).T @ found.half(B), B.T @ np.linalg.solve(whole, B), atol=ROUNDING * n)
    inverse = np.linalg.inv(whole)
    np.testing.assert_allclose(found.inverse, inverse[row, column][shuffled], atol=ROUNDING * n)
    assert 8 * plan.entries <= plan.bytes


@pytest.mark.parametrize("share", [1.0, 0.4, 0.0])
@pytest.mark.parametrize("C", CASES.values(), ids=CASES)
def test_signed_factors_are_the_dense_ones(C, share):
    """Some, all or none of the diagonal minus what keeps it from being definite; expected signs, right or wrong."""
    n = C.shape[0]
    expected = np.where(np.random.default_rng(2).random(n) < share, -1.0, 1.0)
    signed = sparse.csc_array(C + sparse.diags_array(-1.7 * C.diagonal() * (expected < 0)))
    lower = sparse.coo_array(sparse.tril(signed))
    row, column = lower.coords
    plan = Plan.of(row, column, n)
    whole, B = signed.toarray(), np.random.default_rng(1).normal(size=(n, 2))
    for signs in (expected, -expected):
        found = SparseSigned(plan, lower.data, signs)
        assert np.count_nonzero(found.signs < 0) == np.count_nonzero(np.linalg.eigvalsh(whole) < 0)
        assert found.log_det == pytest.approx(np.linalg.slogdet(whole)[1], abs=SIGNED)
        np.testing.assert_allclose(whole @ found.solve(B), B, atol=SIGNED)
        np.testing.assert_allclose(found.inverse, np.linalg.inv(whole)[row, column], atol=SIGNED)


def test_other_values_of_one_pattern():
    C = CASES["sparse"]
    lower = sparse.coo_array(sparse.tril(C))
    plan = Plan.of(*lower.coords, C.shape[0])
    for scale in (1.0, 7.0):
        found = SparseCholesky(plan, scale * lower.data)
        assert found.log_det == pytest.approx(np.linalg.slogdet(scale * C.toarray())[1], abs=ROUNDING * 300)
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        SparseCholesky(plan, -lower.data)


def test_columns_stand_with_their_parents():
    """Each front's rows are among the columns and rows of its parent, and every column is in one front."""
    C = CASES["full at its end"]
    fronts = fronts_of(C, minimum_degree(C))
    np.testing.assert_array_equal(np.sort(np.concatenate(fronts.columns)), np.arange(C.shape[0]))
    for own, above in zip(fronts.rows, fronts.parent):
        assert (above < 0) == (len(own) == 0)
        if above >= 0:
            assert np.isin(own, np.concatenate([fronts.columns[above], fronts.rows[above]])).all()
    P = C.toarray()[np.ix_(fronts.order, fronts.order)]
    filled = np.linalg.cholesky(P) != 0
    assert filled.sum() <= fronts.entries


def test_sizes_are_rounded_up():
    sizes = np.arange(100)
    assert (rounded(sizes) >= sizes).all()
    np.testing.assert_array_equal(rounded(sizes)[65:], sizes[65:])
    assert set(rounded(sizes)[:65]) == set(SIZES)


def test_free_memory(tmp_path, monkeypatch):
    said, limit, used = (tmp_path / name for name in ("meminfo", "max", "current"))
    for name, path in (("SYSTEM", said), ("LIMIT", limit), ("USED", used)):
        monkeypatch.setattr(memory, name, path)
    assert memory.free_memory() is None
    said.write_text("MemTotal: 9 kB\nMemAvailable: 5 kB\n")
    assert memory.free_memory() == 5 * 1024
    limit.write_text("3000\n")
    used.write_text("1000\n")
    assert memory.free_memory() == 2000
    limit.write_text("max\n")
    assert memory.free_memory() == 5 * 1024
