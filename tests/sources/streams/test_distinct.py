"""Distinct rows of columns in parts are those of the columns in one piece."""

import numpy as np
import pandas as pd
import pytest

from henderson.errors import DataError
from henderson.sources.columns import to_array
from henderson.sources.factors import Lookup, match
from henderson.sources.streams.distinct import Distinct, Kinds, joined

COLUMNS = {
    "small integers": np.array([3, -2, 3, 7, 7, -2] * 50, np.int8),
    "integers far apart": np.array([2**61, -(2**61), 5] * 100),
    "unsigned": np.array([2**63, 1, 2**63 + 2] * 100, np.uint64),
    "floats": np.array([0.5, -0.0, 0.0, 2.0] * 75),
    "booleans": np.array([True, False, True] * 100),
    "text": np.array(["b", "a", "ä", "b"] * 75, object),
    "categories": pd.Categorical(["u", "w", "u"] * 100, categories=["w", "u", "x"]),
    "times": np.array(["2020-01-01", "2019-01-01", "2020-01-01"] * 100, "datetime64[ns]"),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("beside", [False, True])
def test_in_parts(name: str, beside: bool) -> None:
    values = to_array(COLUMNS[name], name)
    other = np.arange(len(values)) % 4
    columns = {"v": values, "o": other} if beside else {"v": values}
    found = Distinct(list(columns))
    for start in range(0, len(values), 7):
        found.add({key: column[start : start + 7] for key, column in columns.items()})
    own = pd.DataFrame(found.columns())
    wanted = pd.DataFrame(columns).drop_duplicates()
    assert len(own) == len(wanted)
    assert set(map(tuple, own.to_numpy(object))) == set(map(tuple, wanted.to_numpy(object)))


def test_integers_that_leave_the_table_of_bits() -> None:
    found = Distinct(["g"])
    for part in ([1, 2], [-500, 3], [2**40, 1], [10**6]):
        found.add({"g": np.array(part)})
    assert sorted(found.columns()["g"].tolist()) == [-500, 1, 2, 3, 10**6, 2**40]


def test_joined_types() -> None:
    assert joined([np.array([1, 2]), np.array([2.0, 3.0])], "x").tolist() == [1, 2, 2, 3]
    assert joined([np.array([1]), np.array([2.5])], "x").tolist() == [1.0, 2.5]
    ordered = [pd.Categorical(["a"], categories=order, ordered=True) for order in (["a", "b"], ["b", "a"])]
    with pytest.raises(DataError, match="ordered categories that differ"):
        joined(ordered, "x")


def test_kinds() -> None:
    kinds = Kinds()
    kinds.check("x", np.array([np.nan, np.nan]), "first")
    kinds.check("x", np.array([1.0]), "second")
    kinds.check("x", np.array([None, None], object), "third")
    with pytest.raises(DataError, match="fourth: the column 'x' holds text, in second it holds numbers"):
        kinds.check("x", np.array(["1"], object), "fourth")


@pytest.mark.parametrize(
    "levels", [pd.Index([3, 5, 9]), pd.Index([-4, -3, -2]), pd.Index([7, 2, 4]), pd.Index([1, 2**50]), pd.Index(["a"])]
)
def test_lookup(levels: pd.Index) -> None:
    for values in (
        np.array([3, 5, -3, 2**50, 10**6, 4]),
        np.array([3, 200], np.uint8),
        np.array([2**63 + 1, 5], np.uint64),
        np.array([3.0, 3.5]),
        np.array(["a", "3"], object),
    ):
        assert Lookup(levels)(values).tolist() == match(values, levels).tolist()
