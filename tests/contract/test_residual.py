"""`ResidualRows`: slices, chunks, pickles."""

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
@pytest.mark.parametrize("size", [1, 7, 25, 60, 1000])
def test_chunks_are_rows_in_order(codes, size):
    """What is written chunk after chunk belongs to the rows as they stand: chunks of whole series were in another order
    where series are scattered."""
    rows, start = some_rows(codes), 0
    for part in rows.chunks(size):
        here = slice(start, start + part.n)
        assert np.shares_memory(part.y, rows.y)
        np.testing.assert_array_equal(part.y, rows.y[here])
        np.testing.assert_array_equal(part.weights, rows.weights[here])
        for name in ("codes", "where", "strata"):
            np.testing.assert_array_equal(getattr(part.residual, name), getattr(rows.residual, name)[here])
        np.testing.assert_array_equal(part.residual.covariates[1], rows.residual.covariates[1][here])
        start += part.n
    assert start == N


def test_chunks_are_of_equal_size():
    assert [part.n for part in some_rows(SCATTERED).chunks(25)] == [25, 25, 10]
    assert all(part.residual is None for part in replace(some_rows(SCATTERED), residual=None).chunks(25))


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
