"""Rows that a user chooses."""

import numpy as np
import pytest

from formula_cases import table
from henderson.design.from_formula import design_from_formula


@pytest.mark.parametrize(
    "subset",
    [
        lambda data: data["x"] > 1.5,
        lambda data: (data["x"] > 1.5).to_numpy(),
        lambda data: (data["x"] > 1.5).tolist(),
        lambda data: "x > 1.5",
        lambda data: data.index[data["x"] > 1.5],
        lambda data: (data["x"] > 1.5).sample(frac=1, random_state=1),
    ],
)
def test_subset(subset):
    data = table().set_axis([f"r{i}" for i in range(48)], axis=0)
    design, rows = design_from_formula("y ~ x + (1 | g)", data, subset=subset(data))
    kept = data[data["x"] > 1.5]
    assert rows.index.tolist() == kept.index.tolist()
    np.testing.assert_array_equal(rows.y, kept["y"])
    assert design.n_missing == 0


def test_subset_of_a_dict_by_position():
    data = {name: column.to_numpy() for name, column in table().items()}
    _, rows = design_from_formula("y ~ x + (1 | g)", data, subset=np.arange(0, 48, 2))
    np.testing.assert_array_equal(rows.y, data["y"][::2])
