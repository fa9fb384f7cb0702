"""Rows in space: smooth residuals, all but determined by their neighbours, and likelihoods with several maxima."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import henderson
from henderson.engine.residual import crossed


def field(places: np.ndarray, noise: float, reach: float, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    n = len(places)
    C = gaussian(places, reach) + 1e-10 * np.eye(n)
    y = 2.0 * np.linalg.cholesky(C) @ generator.normal(size=n) + noise * generator.normal(size=n)
    return {"y": y, "u": places[:, 0], "v": places[:, 1], "all": np.zeros(n, int), "row": np.arange(n)}


def gaussian(places: np.ndarray, reach: float) -> np.ndarray:
    apart = places[:, None] - places
    return np.exp(-(apart**2).sum(axis=-1) / reach**2)


def dense(data: dict[str, np.ndarray], V: np.ndarray) -> float:
    """−2 log restricted likelihood of a mean and V."""
    X, y, n = np.ones((len(V), 1)), data["y"], len(V)
    S = np.linalg.inv(V)
    bread = X.T @ S @ X
    e = y - X @ np.linalg.solve(bread, X.T @ S @ y)
    return float(np.linalg.slogdet(V)[1] + np.linalg.slogdet(bread)[1] + e @ S @ e + (n - 1) * np.log(2 * np.pi))


def test_smooth_residuals_beside_noise_of_each_row(monkeypatch):
    """The covariance of the residuals alone is singular to rounding there: by effects, with its inverse, the deviance
    was 90 too low, and its descent ended anywhere."""
    monkeypatch.setattr(crossed, "TIED", 10)
    places = np.stack(np.meshgrid(np.arange(7.0), np.arange(7.0)), axis=-1).reshape(-1, 2)
    data = field(places, 0.5, 4.0, seed=2)
    fit = henderson.lmer("y ~ 1 + (1 | row)", data, residual="sp_gau(u, v | all)")
    assert fit.converged
    of_rows, variance, reach = fit.engine.variances

    def at(of_rows, variance, reach):
        return dense(data, of_rows * np.eye(len(places)) + variance * gaussian(places, reach))

    assert fit.deviance == pytest.approx(at(of_rows, variance, reach), abs=1e-7)
    for step in np.eye(3) * 0.02:
        for sign in (-1, 1):
            assert at(*np.exp(np.log([of_rows, variance, reach]) + sign * step)) > fit.deviance


def test_rough_rows_are_no_smooth_ones_of_a_longer_range():
    """Products of residuals said 4.6, where a smooth covariance is singular to rounding: it ended 1,200 above."""
    places = 1.2 * np.stack(np.meshgrid(np.arange(15.0), np.arange(5.0)), axis=-1).reshape(-1, 2)
    rough = np.exp(-np.linalg.norm(places[:, None] - places, axis=-1) / 8)
    y = np.linalg.cholesky(rough) @ np.random.default_rng(5).normal(size=len(places))
    data = {"y": y, "u": places[:, 0], "v": places[:, 1], "all": np.zeros(len(places), int)}
    fit = henderson.lmer("y ~ 1", data, residual="sp_gau(u, v | all)")
    assert fit.converged
    variance, reach = fit.engine.variances
    assert fit.deviance == pytest.approx(dense(data, variance * gaussian(places, reach)), abs=1e-7)
    assert fit.deviance == pytest.approx(111.0029, abs=1e-3)


def test_correlation_of_the_nearest_rows_is_found():
    """White noise has a maximum without correlation, and here a higher one where the nearest pairs correlate."""
    generator = np.random.default_rng(13)
    places = generator.uniform(0, 10, (generator.integers(20, 60), 2))
    data = {"y": generator.normal(size=len(places)), "u": places[:, 0], "v": places[:, 1]}
    data["all"] = np.zeros(len(places), int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = henderson.lmer("y ~ 1", data, residual="sp_gau(u, v | all)")
    assert fit.engine.variances[1] == pytest.approx(0.1030, abs=5e-3)
    assert fit.deviance < dense(data, np.var(data["y"], ddof=1) * np.eye(len(places))) - 0.1
