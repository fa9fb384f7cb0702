"""Residuals that correlate by distance: the fit's range has the least deviance of all, by n × n algebra.

White noise at places of a line, some of them very near to each other: a few products of residuals decide of each range,
and the deviance has several minima in it. Searches ended at one of them that was not the least, or at no correlation.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import linalg
from scipy.optimize import minimize_scalar

import henderson
from henderson.contract.residual import ResidualRows
from henderson.covariance.residual.distance import ContinuousTime
from henderson.engine.residual.ranges import lows, ranges_of

#: of deviances
DEVIANCE = 1e-6
#: of a model with random intercepts, where the search stopped
LOCAL = 58.862818


def noise(seed: int, n: int) -> pd.DataFrame:
    """White noise at n places of two series."""
    rng = np.random.default_rng(seed)
    data = {"y": rng.normal(size=n), "s": np.repeat([0, 1], n // 2), "u": rng.uniform(0, 5, size=n)}
    return pd.DataFrame({**data, "g": np.arange(n) % 6})


def least(data: pd.DataFrame, power: int) -> float:
    """The least restricted deviance of f(d) = exp(−(d/r)^power) about a mean, over r, the variance at its best."""
    y, n = data["y"].to_numpy(), len(data)
    apart = np.abs(np.subtract.outer(*[data["u"].to_numpy()] * 2))
    same = np.equal.outer(*[data["s"].to_numpy()] * 2)

    def d(log_r: float) -> float:
        f = np.where(same, np.exp(-((apart / np.exp(log_r)) ** power)), 0.0)
        try:
            low = np.linalg.cholesky(f)
        except np.linalg.LinAlgError:
            return 1e10
        x, e = linalg.solve_triangular(low, np.column_stack([np.ones(n), y]), lower=True).T
        e = e - x * (x @ e) / (x @ x)
        return float(
            2 * np.log(np.diag(low)).sum() + np.log(x @ x) + (n - 1) * (1 + np.log(2 * np.pi * (e @ e) / (n - 1)))
        )

    near = apart[same & (apart > 0)]
    grid = np.linspace(np.log(near.min() / 9), np.log(near.max() * 50), 150)
    values = np.array([d(x) for x in grid])
    ends = [
        minimize_scalar(d, bounds=(grid[max(i - 1, 0)], grid[min(i + 1, 149)]), method="bounded").fun
        for i in lows(values)
    ]
    return min(*ends, values.min())


@pytest.mark.parametrize(
    ("structure", "power", "seed", "n"),
    [("car1", 1, 3, 24), ("car1", 1, 9, 24), ("sp_exp", 1, 3, 24), ("sp_gau", 2, 3, 50), ("sp_gau", 2, 4, 50)],
)
def test_the_range_is_the_one_with_the_least_deviance(structure, power, seed, n):
    data = noise(seed, n)
    fit = henderson.lmer("y ~ 1", data, residual=f"{structure}(u | s)")
    assert abs(fit.deviance - least(data, power)) < DEVIANCE


@pytest.mark.filterwarnings("ignore::henderson.errors.SingularMatrixWarning")
def test_beside_random_effects():
    fit = henderson.lmer("y ~ 1 + (1 | g)", noise(7, 24), residual="car1(u | s)")
    assert fit.converged
    assert fit.deviance < LOCAL - 0.1


def test_ranges_are_near_to_distances():
    """Two series of two, a thousandth and a thousand apart: no range is far from both."""
    where = np.array([[0.0], [1e-3], [0.0], [1e3]])
    ranges = ranges_of(ResidualRows(np.array([0, 0, 1, 1]), where, None, ()), np.array([1e3]))
    assert 0.1 < ranges[0] / 1e-3 < 0.2
    assert 15 < ranges[-1] / 1e3 < 25
    assert not ((ranges > 0.1) & (ranges < 50)).any()


def test_a_correlation_that_underflows_has_coordinates():
    structure = ContinuousTime(0, 2)
    phi = structure.working(np.array([1.0, 0.0]))
    assert np.isfinite(phi).all()
    assert structure.natural(phi)[1] < 1e-300


def test_low_places():
    assert lows(np.array([2.0, 1.0, 1.0, 3.0, 2.0])).tolist() == [1, 4]
