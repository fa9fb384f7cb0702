"""NIST's one-way data AtmWtAg, seven digits that are constant before those that vary, against the certified table."""

from __future__ import annotations

import numpy as np
import pytest

from henderson import lmer
from henderson.errors import DataError

#: the certified values have 15 digits, and the data carry 9 of them behind those that are constant
REL = 1e-9

INSTRUMENTS = (
    "107.8681568 107.8681465 107.8681572 107.8681785 107.8681446 107.8681903 107.8681526 107.8681494 "
    "107.8681616 107.8681587 107.8681519 107.8681486 107.8681419 107.8681569 107.8681508 107.8681672 "
    "107.8681385 107.8681518 107.8681662 107.8681424 107.8681360 107.8681333 107.8681610 107.8681477",
    "107.8681079 107.8681344 107.8681513 107.8681197 107.8681604 107.8681385 107.8681642 107.8681365 "
    "107.8681151 107.8681082 107.8681517 107.8681448 107.8681198 107.8681482 107.8681334 107.8681609 "
    "107.8681101 107.8681512 107.8681469 107.8681360 107.8681254 107.8681261 107.8681450 107.8681368",
)
BETWEEN, WITHIN = 3.63834187500000e-09, 1.04951729166667e-08 / 46  # certified mean squares


def components(y: np.ndarray, g: np.ndarray) -> tuple[float, float]:
    """REML's variance between and within."""
    fit = lmer("y ~ 1 + (1 | g)", {"y": y, "g": g})
    return float(fit.theta[0]) ** 2 * fit.scale, fit.scale


def test_variances_of_balanced_data_are_those_of_the_analysis_of_variance():
    weights = np.array(" ".join(INSTRUMENTS).split(), float)
    exact = np.round((weights - 107.868) * 1e7)  # the digits that vary, as whole numbers
    between, within = components(exact, np.repeat([0, 1], 24))
    assert within == pytest.approx(WITHIN * 1e14, rel=REL)
    assert between == pytest.approx((BETWEEN - WITHIN) * 1e14 / 24, rel=REL)


def test_digits_that_are_constant_cost_none():
    weights = np.array(" ".join(INSTRUMENTS).split(), float)
    between, within = components(weights, np.repeat([0, 1], 24))
    # 107.8681568 has no exact binary form: half a unit in its last place is 7e-15, of a spread of 2e-5
    assert within == pytest.approx(WITHIN, rel=2e-8)
    assert between == pytest.approx((BETWEEN - WITHIN) / 24, rel=2e-8)


@pytest.mark.parametrize("noise", [0.0, 1e-12, 1e-9, 1e-8, 1e-7])
def test_a_residual_that_is_lost_in_rounding_is_refused(noise):
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(8), 6)
    y = rng.normal(size=8)[g] + noise * rng.normal(size=48)
    with pytest.raises(DataError, match="explain y all but exactly"):
        components(y, g)


@pytest.mark.parametrize(("noise", "rel"), [(1e-3, 1e-9), (1e-4, 1e-7), (1e-5, 1e-5)])
def test_a_small_residual_is_right_to_the_digits_that_are_left(noise, rel):
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(8), 6)
    y = rng.normal(size=8)[g] + noise * rng.normal(size=48)
    _, within = components(y, g)
    assert within == pytest.approx(y.reshape(8, 6).var(axis=1, ddof=1).mean(), rel=rel)
