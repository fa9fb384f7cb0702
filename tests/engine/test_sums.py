"""Sums over rows: the same in whatever parts and order the rows come, and what 10⁷ rows showed to be slow."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from designs import design
from henderson.engine.sums import by_level, crossproducts
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.by_level import LevelSums, rows_at_once
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.engine.sums.front_sums import FrontSums

#: sums of a few hundred products of unit size, in another order
RTOL, ATOL = 1e-12, 1e-11


def by_hand(codes, loadings, columns, n_levels):
    out = np.zeros((len(loadings), len(columns), n_levels))
    for i, j in enumerate(codes):
        out[:, :, j] += np.outer(loadings[:, i], columns[:, i])
    return out


@pytest.mark.parametrize(("at_once", "wide", "line"), [(0, 41, 8), (by_level.AT_ONCE, 41, 8), (0, 40, 8), (0, 40, 4)])
@pytest.mark.parametrize("order", ["sorted", "shuffled", "backwards"])
def test_parts_add_up_in_place(order, at_once, wide, line, monkeypatch):
    monkeypatch.setattr(by_level, "AT_ONCE", at_once)
    monkeypatch.setattr(by_level, "WIDE", wide)
    monkeypatch.setattr(by_level, "LINE", line)
    monkeypatch.setattr(by_level, "FILLED", 0.5)
    monkeypatch.setattr(by_level, "PAIRS", 6)
    rng = np.random.default_rng(1)
    codes = rng.integers(40, size=300)
    codes = {"sorted": np.sort(codes), "shuffled": codes, "backwards": np.sort(codes)[::-1]}[order]
    loadings, columns = rng.standard_normal((2, 300)), rng.standard_normal((3, 300))
    sums = LevelSums(2, 3, 40)
    where = sums.sums
    for start in range(0, 300, 17):
        part = slice(start, start + 17)
        sums.add(codes[part], loadings[:, part], columns[:, part])
    assert sums.sums is where
    assert (None if sums.side_by_side is None else sums.side_by_side.shape[2]) == (
        None if wide == 41 else 4 if line == 4 else 3
    )
    whole = by_hand(codes, loadings, columns, 40)
    np.testing.assert_allclose(sums.sums, whole, rtol=RTOL, atol=ATOL)
    more = pickle.loads(pickle.dumps(sums)) + sums
    more.add(codes, loadings, columns)
    np.testing.assert_allclose(more.sums, 3 * whole, rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize(("at_once", "wide"), [(0, 6), (200, 6), (0, 5)])
@pytest.mark.parametrize("first", ["another column's", "that until the last rows", "its own"])
def test_what_is_summed_already_is_not_summed_again(first, at_once, wide, monkeypatch):
    """Parts of 17 rows, and a last one of 11 that `at_once` may add whole."""
    monkeypatch.setattr(by_level, "AT_ONCE", at_once)
    monkeypatch.setattr(by_level, "WIDE", wide)
    monkeypatch.setattr(by_level, "PAIRS", 6)
    rng = np.random.default_rng(2)
    codes, Z, columns = rng.integers(5, size=300), rng.standard_normal((3, 300)), rng.standard_normal((4, 300))
    columns[1] = 1.0
    if first != "its own":
        Z[1] = 0.3 * columns[1]
    if first == "that until the last rows":
        Z[1, 290:] = rng.standard_normal(10)
    sums = FrontSums(3, 4, 5)
    for start in range(0, 300, 17):
        part = slice(start, start + 17)
        sums.add(codes[part], Z[:, part], columns[:, part])
    zz, zx = sums.total()
    assert (sums.multiples == {1: (1, 0.3)}) == (first == "another column's")
    np.testing.assert_allclose(zz, by_hand(codes, Z, Z, 5), rtol=RTOL, atol=ATOL)
    np.testing.assert_allclose(zx, by_hand(codes, Z, columns, 5), rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("last", ["the same", "one's own", "the other's own"])
def test_a_product_of_two_multiples_is_summed_once(last, monkeypatch):
    """x₁ in Z times x₀, and x₀ in Z times x₁; until the last part, or to the end; parts that are added know it too."""
    monkeypatch.setattr(by_level, "AT_ONCE", 0)
    rng = np.random.default_rng(3)
    codes, columns = rng.integers(5, size=60), rng.standard_normal((3, 60))
    Z = np.array([2.0 * columns[1], 0.5 * columns[0]])
    if last != "the same":
        Z[int(last == "one's own"), 40:] = 1.7
    sums = [FrontSums(2, 3, 5) for _ in range(2)]
    for k, one in enumerate(sums):
        for start in (20 * k, 20 * k + 10, 40 + 10 * k):
            part = slice(start, start + 10)
            one.add(codes[part], Z[:, part], columns[:, part])
    assert (len(sums[0]._twice) == 1) == (last == "the same")
    zz, zx = (sums[0] + sums[1]).total()
    np.testing.assert_allclose(zz, by_hand(codes, Z, Z, 5), rtol=RTOL, atol=ATOL)
    np.testing.assert_allclose(zx, by_hand(codes, Z, columns, 5), rtol=RTOL, atol=ATOL)


def test_no_rows_add_nothing():
    sums = LevelSums(1, 1, 3)
    sums.add(np.zeros(0, np.intp), np.zeros((1, 0)), np.zeros((1, 0)))
    assert not sums.sums.any()


def test_a_part_is_as_long_as_there_are_levels_only_where_its_rows_are_spread_over_them(monkeypatch):
    """Arrays of zeros over all levels for each short part made 10⁷ rows cost 18 times what 10⁶ do."""
    monkeypatch.setattr(by_level, "BATCH", 10)
    monkeypatch.setattr(by_level, "EACH", 1)
    in_order, spread = np.arange(1000), np.random.default_rng(0).permutation(1000)
    assert rows_at_once(in_order, 1000) == 10
    assert rows_at_once(spread, 1000) == 1000
    assert rows_at_once(spread % 10, 10) == 10
    monkeypatch.setattr(by_level, "EACH", 4)
    assert rows_at_once(spread, 1000) == 4000
    monkeypatch.setattr(by_level, "LONG", 2000)
    assert rows_at_once(spread, 1000) == 2000


@pytest.mark.parametrize("kind", ["slopes", "crossed slopes", "nested", "three crossed", "loadings", "only loadings"])
@pytest.mark.parametrize("size", [7, 64])
def test_short_parts_give_the_sums_of_one(kind, size, monkeypatch):
    made, rows = design(kind)
    blocks = Blocks.of(made.terms, [rows])
    basis = Basis.of(made, [rows], blocks)
    whole = CrossProducts.of(made, [rows], blocks, basis)
    monkeypatch.setattr(crossproducts, "_rows_at_once", lambda rows, blocks: size)
    parts = CrossProducts.of(made, [rows], blocks, basis)
    added = CrossProducts.of(made, [rows[:50]], blocks, basis) + CrossProducts.of(made, [rows[50:]], blocks, basis)
    for other in (parts, added):
        assert other.n == whole.n
        for name in ("log_weights", "xy", "zz", "zx", "rx"):
            np.testing.assert_allclose(getattr(other, name), getattr(whole, name), rtol=RTOL, atol=ATOL)
        np.testing.assert_allclose(other.rr.toarray(), whole.rr.toarray(), rtol=RTOL, atol=ATOL)
        for one, two in zip(other.zr, whole.zr):
            np.testing.assert_allclose(one.toarray(), two.toarray(), rtol=RTOL, atol=ATOL)
