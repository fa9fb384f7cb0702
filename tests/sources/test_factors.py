"""Levels of factors and of their crossings, in order."""

import numpy as np
import pandas as pd
import pytest

from henderson.sources.factors import cross, encode


def test_interaction_levels_are_in_lme4s_order():
    codes, crossing = cross([encode(np.array(list("bbaa"))), encode(np.array([2, 1, 2, 2]))])
    assert crossing.labels.tolist() == ["a:2", "b:1", "b:2"]
    assert codes.tolist() == [2, 1, 0, 0]


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.array([3, -1, 3]), [-1, 3]),
        (np.array([10**12, 5, 5]), [5, 10**12]),
        (np.array([255, 0, 255], np.uint8), [0, 255]),
        (np.array([-128, 127, 0], np.int8), [-128, 0, 127]),
        (np.array(["b", "a", "b"]), ["a", "b"]),
        (np.array(["b", 2, "a", 1], object), [1, 2, "a", "b"]),
        (np.array([True, False]), [False, True]),
        (np.array([True, True]), [True]),
        (np.array([0.5, 0.25]), [0.25, 0.5]),
        (pd.Categorical(["b", "a"], ["c", "b", "a"]), ["b", "a"]),
        (pd.array([2, 1, 2], dtype="Int64"), [1, 2]),
        (pd.array(["x", "w"], dtype="string"), ["w", "x"]),
        (
            np.array(["2021-02-01", "2020-01-01"], "M8[ns]"),
            list(pd.to_datetime(["2020-01-01", "2021-02-01"])),
        ),
        (
            pd.array(pd.to_datetime(["2021-02-01", "2020-01-01"]).tz_localize("UTC")),
            list(pd.to_datetime(["2020-01-01", "2021-02-01"]).tz_localize("UTC")),
        ),
    ],
)
def test_levels_are_sorted(values, levels):
    codes, found = encode(values)
    assert found.tolist() == levels
    assert codes.dtype == np.intp
    assert [levels[code] for code in codes] == list(pd.Index(values))
