"""Extents: those of NumPy, each array gone through once, and what is not finite is seen."""

from __future__ import annotations

import numpy as np
import pytest

from henderson.numerics.extents import ColumnExtents, Extents


def test_an_array_is_gone_through_once():
    x, extents = np.array([2.0, -1.0, 5.0]), Extents()
    first = extents.of(x)
    assert first == (6.0, -1.0, 5.0)
    assert extents.of(x) is first
    assert extents.of(x.copy()) is not first


@pytest.mark.parametrize(("bad", "is_finite"), [(0.0, True), (np.nan, False), (np.inf, False), (-np.inf, False)])
def test_what_is_not_finite_is_seen(bad, is_finite):
    X = np.ones((6, 2))
    X[3, 1] = bad
    assert Extents().of(X[:, 1]).is_finite == is_finite
    assert ColumnExtents.of(X, [None, None], Extents()).is_finite == is_finite


def test_columns_that_are_copies_are_not_gone_through_again():
    x, extents = np.arange(4.0), Extents()
    extents.of(x)
    X = np.column_stack([np.ones(4), x])
    found = ColumnExtents.of(X, [None, x], extents)
    np.testing.assert_array_equal(found, [[4.0, 6.0], [1.0, 0.0], [1.0, 3.0]])


def test_no_columns():
    assert ColumnExtents.of(np.zeros((3, 0)), [], Extents()).is_finite
