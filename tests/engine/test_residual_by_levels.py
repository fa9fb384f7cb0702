"""Residuals that correlate with hardly two gaps alike: rows weighed at each point, and moments by neighbours, against
blocks and n × n algebra."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.engine.test_residual_blocks import TRIAL, WEIGHTS, X, model_of, somewhere
from tests.structured import Data, repeated, residual_covariance

import henderson
from henderson.engine.moments import KnownCurved
from henderson.engine.residual import neighbours
from henderson.engine.residual.by_levels import ByLevels, moments_by_levels
from henderson.engine.residual.cliques import Precision
from henderson.engine.residual.crossed import CrossedModel, moments_of_crossed
from henderson.engine.residual.moments import moments_of_blocks
from henderson.engine.residual.point import block_at
from henderson.engine.residual.recursion import Recursion
from henderson.engine.residual.summed import SummedModel, SummedPoint

#: of a deviance of some hundred, and relative to the largest entry of derivatives and moments
DEVIANCE, EXACT = 1e-9, 1e-9

PATIENTS, SLOPES = ("patient", ("(Intercept)",)), ("patient", ("(Intercept)", "x"))
SITES, ITEMS = ("site", ("(Intercept)", "x")), ("item", ("(Intercept)",))
WITHIN: dict[str, dict] = {
    "car1": {"terms": (PATIENTS,)},
    "slopes, weights": {"terms": (SLOPES,), "weights": WEIGHTS},
    "two terms of one factor": {"terms": (PATIENTS, ("patient", ("x",)))},
    "several series in a level": {"terms": (SITES,)},
    "no effects": {"terms": (), "variance": (("power", "time"),)},
    "variance functions": {"terms": (PATIENTS,), "variance": (("ident", "arm"), ("power", "time"))},
    "by arm": {"terms": (PATIENTS,), "stratum": "arm"},
    "ar1h": {"structure": "ar1h", "visit": "visit", "terms": (SLOPES,)},
    "sp_exp": {"structure": "sp_exp", "terms": (PATIENTS,)},
    "independent": {"structure": "diag", "visit": "visit", "terms": (SITES,)},
}
CASES = WITHIN | {"crossed": {"terms": (PATIENTS, ITEMS)}, "nothing holds the series": {"terms": (ITEMS,)}}


def made(name: str) -> Data:
    case = {"structure": "car1", "visit": ("time",), **CASES[name]}
    return repeated(TRIAL, y="y", subject="patient", X=X, **case)


def apart(model, data: Data) -> SummedModel:
    """Every row and pair a class."""
    summed = SummedModel(model, data.rows)
    summed.precision.part(data.rows.n)
    summed.at_each = True
    return summed


def near(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one, other, rtol=0, atol=EXACT * max(np.abs(other).max(initial=0.0), 1e-300))


@pytest.mark.parametrize("name", CASES)
def test_rows_are_weighed_at_each_point(name):
    data = made(name)
    model = model_of(data, True)
    phi = somewhere(model)
    one, two, classes = apart(model, data).at(phi), block_at(model, phi), SummedModel(model, data.rows).at(phi)
    assert one.deviance == pytest.approx(two.deviance, abs=DEVIANCE)
    near(one.gradient, two.gradient)
    near(one.hessian_model, classes.hessian_model)


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize("name", WITHIN)
def test_moments_and_exact_derivatives(name, reml):
    data = made(name)
    model = model_of(data, reml)
    phi = somewhere(model)
    two, point = block_at(model, phi), apart(model, data).at(phi).exact
    assert isinstance(point, ByLevels)
    assert point.deviance == pytest.approx(two.deviance, abs=DEVIANCE)
    near(point.gradient, two.gradient)
    near(point.hessian_model, two.hessian_model)
    own, other = moments_by_levels(point), moments_of_blocks(two)
    assert own.log_det == pytest.approx(other.log_det, abs=DEVIANCE)
    assert own.r2 == pytest.approx(other.r2, rel=EXACT)
    for moment in ("f0", "f1", "t1", "t2"):
        near(getattr(own, moment), getattr(other, moment))
    near(own.f2 + own.f2.swapaxes(0, 1), other.f2 + other.f2.swapaxes(0, 1))
    of_blocks = other.complete().second
    near(own.second.bent, of_blocks.bent if isinstance(of_blocks, KnownCurved) else np.zeros_like(own.second.bent))
    near(own.second.curved_traces(), np.broadcast_to(of_blocks.curved_traces(), own.t2.shape))


@pytest.mark.parametrize("name", ["slopes, weights", "variance functions", "ar1h", "independent"])
def test_a_covariance_by_recursion(name):
    """L⁻¹W⁻¹L⁻ᵀ is R."""
    data = made(name)
    model, n = model_of(data, True), data.rows.n
    psi = model.natural(somewhere(model))[model.n_g :]
    precision = Precision(model.residual, replace(data.rows, terms=()))
    recursion = Recursion.of(precision, psi, data.rows)
    back = recursion.back(np.eye(n))
    root = np.sqrt(data.rows.unit_weights)
    near(back.T / recursion.weight @ back, residual_covariance(data, psi) * (root[:, None] * root))


@pytest.mark.parametrize("bars", ["(1 | g)", "(x | g)", "(1 | g) + (1 | i)"])
def test_long_series_whose_gaps_all_differ(bars, monkeypatch):
    """By blocks 500 series of 100 took 35 s, and 50 s more for degrees of freedom."""
    rng = np.random.default_rng(4)
    G, T = 30, 30
    t = (rng.exponential(size=(G, T)) + 0.05).cumsum(axis=1)
    data = pd.DataFrame({"g": np.repeat(np.arange(G), T), "t": t.ravel(), "i": rng.integers(8, size=G * T)})
    data["x"] = rng.normal(size=G * T)
    e = [np.linalg.cholesky(np.exp(-np.abs(np.subtract.outer(own, own)) / 2)) @ rng.normal(size=T) for own in t]
    effects = rng.normal(size=(2, G))[:, data["g"]]
    data["y"] = effects[0] + data["x"] * (1 + effects[1]) + np.concatenate(e) + rng.normal(size=8)[data["i"]]
    data = data.sample(frac=1, random_state=1)
    options = {"residual": "car1(t | g)", "ddf": "kenward-roger"}
    fit = henderson.lmer("y ~ x + " + bars, data, **options)
    assert isinstance(fit.engine._block_point, SummedPoint)
    assert fit.engine._block_point.summed.at_each
    with monkeypatch.context() as patch:
        patch.setattr(SummedModel, "where_it_suits", lambda *_: None)
        slow = henderson.lmer("y ~ x + " + bars, data, **options)
        tables = [
            one.with_inference(ddf=ddf).coef_table for ddf in ("satterthwaite", "kenward-roger") for one in (fit, slow)
        ]
    assert not isinstance(slow.engine._block_point, SummedPoint)
    assert fit.deviance == pytest.approx(slow.deviance, abs=1e-8)
    for own, other in (tables[:2], tables[2:]):
        np.testing.assert_allclose(own[["se", "df"]], other[["se", "df"]], rtol=1e-6)
    np.testing.assert_allclose(fit.varcorr["sdcor"], slow.varcorr["sdcor"], rtol=1e-4)
    new = data.head(5).assign(t=data["t"].head(5) + 0.01)
    options = {"conditional": True, "interval": "prediction"}
    np.testing.assert_allclose(fit.predict(new, **options), slow.predict(new, **options), rtol=1e-5)


@pytest.mark.parametrize("name", ["crossed", "nothing holds the series", "slopes, weights", "ar1h"])
def test_moments_of_crossed_effects_by_neighbours(name, monkeypatch):
    """A few series at a time, of different lengths: as by the matrices of the series."""
    monkeypatch.setattr(neighbours, "AT_ONCE", 12)
    data = made(name)
    model = model_of(data, True)
    crossed, phi = CrossedModel(model, data.rows), somewhere(model)
    assert crossed.neighbours is not None
    assert len(crossed.neighbours.groups) > 3
    one = crossed.at(phi)
    crossed.neighbours = None
    two = crossed.at(phi)
    assert one.deviance == pytest.approx(two.deviance, abs=DEVIANCE)
    near(one.hessian_model, two.hessian_model)
    own, other = moments_of_crossed(one), moments_of_crossed(two)
    for moment in ("f0", "f1", "t1", "t2", "f2"):
        near(getattr(own, moment), getattr(other, moment))
    near(own.second.bent, other.second.bent)
    near(own.second.curved_traces(), other.second.curved_traces())
