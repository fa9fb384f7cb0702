"""`Digest`: what is left of the rows says what the rows said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from henderson.contract.digest import Digest
from henderson.contract.rows import Rows
from henderson.errors import DataError
from henderson.inference.comparison.submodels import coefficients_in


def rows_of(X, y=None, **more):
    return Rows(np.arange(len(X), dtype=float) if y is None else y, np.asarray(X, float), (), **more)


def table(n=300):
    rng = np.random.default_rng(4)
    return np.column_stack([np.ones(n), rng.normal(size=n), 2020 + rng.uniform(size=n), rng.integers(0, 2, n)])


def test_triangle():
    X = table()
    digest = Digest(rows_of(X), tuple("abcd")).complete()
    np.testing.assert_allclose(digest.x_triangle.T @ digest.x_triangle, X.T @ X, rtol=1e-12)
    beta = np.array([1.0, 2.0, -3.0, 0.5])
    spread = digest.x_triangle[1:] @ beta
    assert spread @ spread / (len(X) - 1) == pytest.approx(np.var(X @ beta, ddof=1), rel=1e-10)
    assert digest.constant.tolist() == [True, False, False, False]
    with pytest.raises(DataError):
        Digest(None, ()).triangle  # noqa: B018 - a property that raises


def test_sketches_tell_spans_apart():
    X = table()
    turn = np.random.default_rng(1).normal(size=(4, 4))
    other = np.column_stack([X[:, :3], np.random.default_rng(2).normal(size=len(X))])
    whole, turned, outside = (Digest(rows_of(one), tuple("abcd")).sketch for one in (X, X @ turn, other))
    np.testing.assert_allclose(coefficients_in(turned, whole), turn, atol=1e-8)
    np.testing.assert_allclose(coefficients_in(turned[:, :2], whole), turn[:, :2], atol=1e-8)
    assert coefficients_in(outside, whole) is None


def test_sketches_tell_single_rows_apart():
    """Two indicators of one row each, of 2,000: in one block of buckets many pairs would fall together."""
    n = 2000
    each = Digest(rows_of(np.eye(n)), tuple(map(str, range(n)))).sketch
    assert len(np.unique(each, axis=1).T) == n


def test_fingerprints():
    X = table()
    one = Digest(rows_of(X), ()).fingerprints
    assert one == Digest(rows_of(X[:, :2], weights=np.ones(len(X)), offset=np.zeros(len(X))), ()).fingerprints
    y = np.arange(len(X), dtype=float)
    y[7] = np.nextafter(y[7], 8.0)
    assert one["response"] != Digest(rows_of(X, y), ()).fingerprints["response"]
    labels = pd.RangeIndex(1, len(X) + 1)
    assert one["labels"] != Digest(rows_of(X, index=labels), ()).fingerprints["labels"]
    assert one["weights"] != Digest(rows_of(X, weights=np.full(len(X), 2.0)), ()).fingerprints["weights"]
