"""Columns that are too large or too small to be squared: refused by name, without a warning, through every door."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from henderson import lmer, mixedlm
from henderson.errors import DataError

#: digits that a change of unit by a power of ten may cost
DIGITS = 1e-10


def table(**factors):
    rng = np.random.default_rng(1)
    g = rng.integers(0, 12, 120)
    data = {"x": rng.normal(size=120), "z": rng.normal(size=120), "g": g}
    data["y"] = data["x"] + rng.normal(size=12)[g] + rng.normal(size=120)
    return pd.DataFrame({name: values * factors.get(name, 1) for name, values in data.items()})


@pytest.mark.parametrize("unit", [1e-140, 1e140])
def test_what_can_be_squared_is_fitted(unit):
    plain, large = lmer("y ~ x + (x || g)", table()), lmer("y ~ x + (x || g)", table(y=unit, x=unit))
    np.testing.assert_allclose(large.params / [unit, 1.0], plain.params, rtol=DIGITS)
    np.testing.assert_allclose(large.bse / [unit, 1.0], plain.bse, rtol=DIGITS)
    np.testing.assert_allclose(large.sigma / unit, plain.sigma, rtol=DIGITS)


@pytest.mark.parametrize(("unit", "way"), [(1e200, "large"), (1e-200, "small")])
@pytest.mark.parametrize(
    ("column", "fit"),
    [
        ("y", lambda data: lmer("y ~ x + (1 | g)", data)),
        ("x", lambda data: lmer("y ~ x + (1 | g)", data)),
        ("x:z", lambda data: lmer("y ~ x:z + (1 | g)", data)),
        ("z", lambda data: lmer("y ~ x + (0 + z | g)", data)),
        ("z", lambda data: lmer("y ~ x + (z | g)", data)),
        ("y", lambda data: mixedlm("y ~ x", data, groups="g").fit()),
        ("y", lambda data: lmer("y ~ x + (1 | g)", iter([data.head(40), data]))),
        ("x", lambda data: lmer("y ~ x + (1 | g)", iter([data.head(40), data]))),
        ("z", lambda data: lmer("y ~ x + (z | g)", iter([data.head(40), data]))),
    ],
)
def test_what_cannot_is_refused_by_name(column, fit, unit, way):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=f"'{column}' are too {way} to be squared"):
            fit(table(**{column[-1]: unit}))


@pytest.mark.parametrize("unit", [1e140, 1e-140])
def test_units_that_are_too_far_apart_for_the_square_of_a_coefficient(unit):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"the coefficient of 'x' .* too far apart"):
            lmer("y ~ x + (1 | g)", table(y=unit, x=1 / unit))


@pytest.mark.parametrize("unit", [1e200, 1e-200])
def test_another_response_too(unit):
    fit = lmer("y ~ x + (1 | g)", table())
    with pytest.raises(DataError, match="the response"):
        fit.refit(unit * table()["y"].to_numpy())


def test_a_response_of_nothing_but_the_offset():
    data = table()
    fit = lmer("y ~ 0 + offset(x) + (1 | g)", data)
    with pytest.raises(DataError, match="explain the response exactly"):
        fit.refit(data["x"].to_numpy())
