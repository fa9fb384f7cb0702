"""Pedigrees: A and its inverse against the tabular method and Mrode's examples, and what is no pedigree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.covariance.pedigree import Pedigree
from henderson.errors import DataError

PRINTED = 5.1e-4  # three digits, in the book


def tabular(sire, dam):
    """A by the tabular method; parents come first."""
    A = np.zeros((len(sire), len(sire)))
    for i, (s, d) in enumerate(zip(sire, dam)):
        for j in range(i):
            A[i, j] = A[j, i] = 0.5 * ((A[j, s] if s >= 0 else 0) + (A[j, d] if d >= 0 else 0))
        A[i, i] = 1 + (0.5 * A[s, d] if s >= 0 and d >= 0 else 0)
    return A


def test_mrodes_six_animals():
    """Mrode, Linear Models for the Prediction of Animal Breeding Values, examples 2.1 and 2.2."""
    found = henderson.pedigree([3, 4, 5, 6], [1, 1, 4, 5], [2, 0, 3, 2], unknown=[0])
    A = found.relationship().loc[range(1, 7), range(1, 7)].to_numpy()
    wanted = [
        [1, 0, 0.5, 0.5, 0.5, 0.25],
        [0, 1, 0.5, 0, 0.25, 0.625],
        [0.5, 0.5, 1, 0.25, 0.625, 0.563],
        [0.5, 0, 0.25, 1, 0.625, 0.313],
        [0.5, 0.25, 0.625, 0.625, 1.125, 0.688],
        [0.25, 0.625, 0.563, 0.313, 0.688, 1.125],
    ]
    np.testing.assert_allclose(A, wanted, atol=PRINTED)
    inverse = pd.DataFrame(found.inverse.toarray(), found.ids, found.ids).loc[range(1, 7), range(1, 7)].to_numpy()
    wanted = [
        [1.833, 0.5, -1, -0.667, 0, 0],
        [0.5, 2.033, -1, 0, 0.533, -1.067],
        [-1, -1, 2.5, 0.5, -1, 0],
        [-0.667, 0, 0.5, 1.833, -1, 0],
        [0, 0.533, -1, -1, 2.533, -1.067],
        [0, -1.067, 0, 0, -1.067, 2.133],
    ]
    np.testing.assert_allclose(inverse, wanted, atol=PRINTED)
    assert found.inbreeding[5] == found.inbreeding[6] == 0.125


@pytest.mark.parametrize("seed", range(4))
def test_random_pedigrees(seed):
    """Inbred, selfed and half known, in random order."""
    rng = np.random.default_rng(seed)
    n = 120
    sire, dam = (np.array([-1] * 6 + [rng.integers(-1, i) for i in range(6, n)]) for _ in range(2))
    A = tabular(sire, dam)
    order = rng.permutation(n)
    labels = np.array([f"animal {k}" for k in range(n)], dtype=object)
    parents = [np.where(own < 0, None, labels[own]) for own in (sire, dam)]
    found = henderson.pedigree(labels[order], parents[0][order], parents[1][order])
    assert isinstance(found, Pedigree)
    assert len(found) == n
    ours = found.relationship().loc[labels, labels].to_numpy()
    np.testing.assert_allclose(ours, A, atol=1e-12)
    np.testing.assert_allclose(found.inbreeding[labels], np.diag(A) - 1, atol=1e-12)
    np.testing.assert_allclose(found.inverse @ (found.root() @ found.root().T), np.eye(n), atol=1e-9)


def test_deep_pedigrees_are_traced():
    """Every animal is of its two predecessors: after many generations nothing is left to be sampled."""
    found = henderson.pedigree(range(60), [None, *range(59)], [None, None, *range(58)])
    assert 0.999 < found.inbreeding.iloc[-1] < 1
    assert found.inverse.nnz < 6 * 60
    with pytest.raises(DataError, match=r"A has no inverse: the parents of .* are inbred"):
        _ = henderson.pedigree(range(900), [None, *range(899)], [None, None, *range(898)]).inverse


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ((["a", "a"], [None, None], [None, None]), "'a' occurs twice"),
        ((["a", None], [None, None], [None, None]), "row 1 of the pedigree has no id"),
        ((["a", "b"], ["b", "a"], [None, None]), "is an ancestor of itself"),
        ((["a"], ["a"], [None]), "'a' is an ancestor of itself"),
        ((["a", "b", "c"], [None, "c", None], [None, None, "b"]), "'[bc]' is an ancestor of itself"),
        ((["a"], [None, None], [None]), "one length, not 1, 2, 1"),
    ],
)
def test_what_is_no_pedigree(columns, said):
    with pytest.raises(DataError, match=said):
        henderson.pedigree(*columns)
