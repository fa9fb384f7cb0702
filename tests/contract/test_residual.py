"""`ResidualRows`: slices, chunks that cut no series apart, pickles."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from henderson.contract.residual import ResidualRows
from henderson.contract.rows import Rows

N = 60


def some_rows(codes: np.ndarray) -> Rows:
    n = len(codes)
    where = np.arange(n) % 4
    series = ResidualRows(codes, where, strata=codes % 2, covariates=(np.arange(n) % 3, np.linspace(0.0, 1.0, n)))
    return Rows(np.arange(float(n)), np.ones((n, 1)), (), np.linspace(1.0, 2.0, n), residual=series)


SORTED = np.repeat(np.arange(12), [1, 2, 3, 20, 4, 5, 5, 6, 4, 4, 3, 3])
SCATTERED = np.random.default_rng(3).permutation(SORTED)


@pytest.mark.parametrize("codes", [SORTED, SCATTERED], ids=["by series", "scattered"])
@pytest.mark.parametrize("size", [1, 4, 7, 25, 59, 60, 1000])
def test_chunks_hold_whole_series(codes, size):
    rows = some_rows(codes)
    seen = np.zeros(12, int)
    y = []
    for part in rows.chunks(size):
        series = part.residual
        assert len(part.y) == len(part.weights) == len(series.codes) == len(series.strata)
        own = part.y.astype(int)
        np.testing.assert_array_equal(series.codes, codes[own])  # each row's own place
        np.testing.assert_array_equal(series.where, own % 4)
        np.testing.assert_allclose(series.covariates[1], own / (N - 1))
        np.testing.assert_allclose(part.weights, 1 + own / (N - 1))
        seen[np.unique(series.codes)] += 1
        assert len(np.unique(series.codes)) == 1 or part.n <= size
        y.append(part.y)
    assert (seen == 1).all()
    np.testing.assert_array_equal(np.sort(np.concatenate(y)), rows.y)


def test_chunks_without_a_structure_are_views_of_equal_size():
    rows = replace(some_rows(SCATTERED), residual=None)
    parts = list(rows.chunks(25))
    assert [part.n for part in parts] == [25, 25, 10]
    assert all(np.shares_memory(part.y, rows.y) for part in parts)
    assert all(part.residual is None for part in parts)


def test_slices_and_pickles():
    rows = some_rows(SCATTERED)
    some = rows[np.array([5, 3, 40])]
    assert some.residual.codes.tolist() == SCATTERED[[5, 3, 40]].tolist()
    assert some.residual.covariates[0].tolist() == [2, 0, 1]
    again = pickle.loads(pickle.dumps(rows)).residual
    for name in ("codes", "where", "strata"):
        own, found = getattr(rows.residual, name), getattr(again, name)
        np.testing.assert_array_equal(found, own)
        assert found.dtype == np.intp
    assert again.covariates[0].dtype == np.intp
    assert again.covariates[1].dtype == float
    assert len(pickle.dumps(rows.residual)) < N * 8 + 1200  # one column of numbers, codes in a byte each
