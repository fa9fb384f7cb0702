"""Variances that are held beside independent residuals, by the engine's own equations: against blocks of rows, and in
models of more rows and effects than matrices of either could have."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson import lmer
from henderson.design.from_formula import design_from_formula
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.moments import moments_of_blocks
from henderson.engine.residual.plain import PlainModel, moments_of_plain
from henderson.engine.residual.point import block_at

ROUNDING = 1e-9
DIFFERENCES = 1e-6  # central ones with step 1e-5
FORMULA = "y ~ x + (x | a) + (1 | b)"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"a": rng.integers(12, size=150), "b": rng.integers(7, size=150), "x": rng.normal(size=150)})
    table["w"] = rng.integers(1, 4, size=150).astype(float)
    effect = rng.normal(size=(12, 2)) * [1.0, 0.5]
    table["y"] = 3 + effect[table["a"], 0] + effect[table["a"], 1] * table["x"] + rng.normal(size=150)
    return table


@pytest.fixture(params=[{"bound": True, "fix": {"b": 0.4}}, {"fix": {"Residual": 1.3}}, {"fix": {"a": np.eye(2)}}])
def points(request, data):
    """One φ, by blocks and by the engine's equations."""
    design, rows = design_from_formula(FORMULA, data, weights="w", **request.param)
    model = BlockModel.of(design, rows)
    plain = PlainModel.where_it_suits(model, rows)
    rng = np.random.default_rng(1)
    phi = 0.4 + 0.3 * rng.random(model.coordinates.selection.shape[1])
    return plain, block_at(model, phi), plain.at(phi)


def test_it_is_the_likelihood_by_blocks(points):
    plain, block, own = points
    assert own.deviance == pytest.approx(block.deviance, abs=1e-8)
    np.testing.assert_allclose(own.gradient, block.gradient, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(own.beta, block.beta, rtol=ROUNDING)
    np.testing.assert_allclose(own.phi, block.phi, rtol=ROUNDING)
    one, other = moments_of_plain(own), moments_of_blocks(block)
    for name in ("g", "f0", "f1", "t1", "t2"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-7, atol=1e-9, err_msg=name)
    f2, by_blocks = (each.f2 + each.f2.swapaxes(-1, -2) for each in (one, other))  # all that is asked of it
    np.testing.assert_allclose(f2, by_blocks, rtol=1e-7, atol=1e-8)
    assert one.log_det == pytest.approx(other.log_det)
    assert one.r2 == pytest.approx(other.r2)
    h = 1e-5 * np.eye(len(own.theta))
    slopes = [(plain.at(own.theta + s).deviance - plain.at(own.theta - s).deviance) / 2e-5 for s in h]
    np.testing.assert_allclose(own.gradient, slopes, rtol=DIFFERENCES, atol=1e-5)


def test_the_model_of_the_hessian_is_right_on_average(data):
    """Of responses drawn at the parameters the average information is the Hessian's mean."""
    design, rows = design_from_formula("y ~ x + (1 | a)", data, fix={"Residual": 1.0})
    model = BlockModel.of(design, rows)
    rng = np.random.default_rng(3)
    total = np.zeros((2, 1))
    for _ in range(60):
        b = 0.8 * rng.normal(size=12)
        y = 2 + b[data["a"]] + rng.normal(size=150)
        drawn = BlockModel.of(design, rows.with_response(y))
        phi = drawn.working(np.array([0.64, 1.0]) / drawn.basis.y_scale**2)
        unit = 1 / phi[0] ** 2  # of the relative variance, whatever the unit of y
        own = PlainModel.where_it_suits(drawn, rows.with_response(y)).at(phi)
        total[:, 0] += own.hessian_model[0, 0] / unit, block_at(drawn, phi).hessian_model[0, 0] / unit
    assert total[0, 0] == pytest.approx(total[1, 0], rel=0.15)
    assert model.k == 2


def test_many_crossed_effects(tmp_path):
    """More rows than depend on each other in blocks (4,000) and more effects than are dense (3,000)."""
    rng = np.random.default_rng(1)
    s, d = rng.integers(1900, size=7000), rng.integers(1200, size=7000)
    y = 3 + 0.5 * rng.normal(size=1900)[s] + 0.6 * rng.normal(size=1200)[d] + rng.normal(size=7000)
    table = pd.DataFrame({"y": y, "s": s, "d": d, "x": rng.normal(size=7000)})
    free = lmer("y ~ x + (1 | s) + (1 | d)", table)
    held = lmer("y ~ x + (1 | s) + (1 | d)", table, fix={"s": float(free.varcorr["vcov"].iloc[0])})
    assert held.converged
    assert held.deviance == pytest.approx(free.deviance, abs=1e-6)
    np.testing.assert_allclose(held.varcorr["vcov"], free.varcorr["vcov"], rtol=1e-4)
    np.testing.assert_allclose(held.bse, free.bse, rtol=1e-5)
    np.testing.assert_allclose(held.ranef["d"], free.ranef["d"], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(held.ranef_sd["d"], free.ranef_sd["d"], rtol=1e-4)
    again = pickle.loads(pickle.dumps(held))
    pd.testing.assert_frame_equal(again.coef_table, held.coef_table)
    none = lmer("y ~ x + (1 | s) + (1 | d)", table, fix={"s": 0})
    without = lmer("y ~ x + (1 | d)", table)
    assert none.deviance == pytest.approx(without.deviance, abs=1e-6)
    np.testing.assert_allclose(none.df_inference, without.df_inference, rtol=1e-3)
    equal = lmer("y ~ x + (1 | s) + (1 | d)", table, same=[("s", "d")])
    assert equal.deviance > free.deviance
    assert equal.varcorr["vcov"].iloc[0] == pytest.approx(equal.varcorr["vcov"].iloc[1])
    held.save(tmp_path / "held")
    pd.testing.assert_frame_equal(henderson.load(tmp_path / "held").coef_table, held.coef_table)
