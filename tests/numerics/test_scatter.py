"""Sums in place: those of the dense product, and nothing outside of the array."""

from __future__ import annotations

import numpy as np
import pytest

from henderson.numerics.scatter import Places, add_product

RNG = np.random.default_rng(0)
WHERE, Z, C = RNG.integers(4, size=(50, 2)), RNG.standard_normal((50, 2)), RNG.standard_normal((50, 3))


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_it_is_the_product_added(kind):
    out = np.ones((4, 3))
    add_product(out, WHERE.astype(kind), np.asfortranarray(Z), C)
    expected = np.ones((4, 3))
    np.add.at(expected, WHERE, Z[:, :, None] * C[:, None])
    np.testing.assert_allclose(out, expected, rtol=1e-13)


def test_no_rows_add_nothing():
    out = np.ones((4, 3))
    add_product(out, WHERE[:0], Z[:0], C[:0])
    assert (out == 1.0).all()


@pytest.mark.parametrize("bad", [-1, 4])
def test_places_outside_are_refused(bad):
    where = WHERE.copy()
    where[7, 1] = bad
    with pytest.raises(IndexError, match="0 to 3"):
        add_product(np.zeros((4, 3)), where, Z, C)


def test_other_shapes_are_refused():
    for out, columns in ((np.zeros((3, 4)).T, C), (np.zeros((4, 3)), C[:20]), (np.zeros((4, 3)), C[:, :2])):
        with pytest.raises(ValueError, match="contiguous"):
            add_product(out, WHERE, Z, columns)


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_one_column_is_added_times_its_loadings(kind):
    out = np.ones(4)
    Places.of(WHERE[:, 1].astype(kind), 4).add(out, np.asfortranarray(Z)[:, 0], C[:, 2])
    expected = np.ones(4)
    np.add.at(expected, WHERE[:, 1], Z[:, 0] * C[:, 2])
    np.testing.assert_allclose(out, expected, rtol=1e-13)


@pytest.mark.parametrize("lengths", [[20, 30], [9, 9, 1, 31], [10] * 4 + [1] * 10])
def test_rows_of_one_place_that_follow_each_other(lengths):
    """Whether they are summed first or, where few are together, not."""
    where = np.repeat(np.arange(len(lengths)) % 4, lengths)
    out, expected = np.ones((2, 4))
    Places.of(where, 4).add(out, Z[:, 0], C[:, 2])
    np.add.at(expected, where, Z[:, 0] * C[:, 2])
    np.testing.assert_allclose(out, expected, rtol=1e-13)


def test_a_column_is_added_within_its_array_only():
    places = Places.of(WHERE[:, 1], 4)
    for size in (3, -1):
        with pytest.raises(IndexError, match="places"):
            Places.of(WHERE[:, 1], size)
    for out, column in ((np.zeros(3), C[:, 0]), (np.zeros(8)[::2], C[:, 0]), (np.zeros(4), C[:20, 0])):
        with pytest.raises(ValueError, match="contiguous"):
            places.add(out, Z[:, 0], column)
