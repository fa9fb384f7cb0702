"""Variances that may be negative by the engine's own equations: against blocks of rows, in models of more rows than
matrices of them could have, and where the front alone would leave no covariance of the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from henderson import lmer
from henderson.design.from_formula import design_from_formula
from henderson.engine.factor import connected, groups
from henderson.engine.factor.signed.factor import SignedFactor
from henderson.engine.factor.sparse import crossed
from henderson.engine.factor.sparse.pairs import SparsePairs
from henderson.engine.factor.sparse.system import SparseSystem
from henderson.engine.residual import plain as module
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.moments import moments_of_blocks
from henderson.engine.residual.plain import PlainModel, PlainPoint, moments_of_plain
from henderson.engine.residual.point import block_at
from henderson.engine.residual.rows import conditional_covariances, conditional_modes
from henderson.errors import DataError, NotAvailable

SAME = 1e-8  # two algorithms for one number
DIFFERENCES = 1e-4  # of second traces where equations are sparse


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    """One level of `a` has many rows: what it leaves of a negative variance, others have not."""
    rng = np.random.default_rng(2)
    n = 110
    table = pd.DataFrame({"a": rng.integers(24, size=n), "b": rng.integers(6, size=n), "x": rng.normal(size=n)})
    table["a"] = np.where(rng.random(n) < 0.2, 0, table["a"])
    table["c"], table["w"] = table["a"] % 9, rng.integers(1, 4, size=n).astype(float)
    return table.assign(y=3 + 0.5 * table["x"] + rng.normal(size=n))


def as_sparse(cross, blocks, rest):
    """The equations by a sparse factor, however large they are."""
    cross, blocks = crossed.without_front(cross, blocks)
    return SparseSystem(cross, blocks, SparsePairs(cross.rr, blocks))


class BySparse(PlainModel):
    """All effects are the rest's."""

    def __init__(self, model, rows):
        super().__init__(model, rows)
        self.blocks = self.criterion.system.blocks


CASES = {
    "one factor": ("y ~ x + (1 | a)", {}),
    "two effects": ("y ~ x + (x || a)", {}),
    "crossed": ("y ~ x + (1 | a) + (1 | b)", {}),
    "crossed, two effects": ("y ~ x + (1 | a) + (x || b)", {}),
    "front of two effects": ("y ~ x + (x || a) + (1 | b)", {}),
    "nested": ("y ~ x + (1 | c / a)", {}),
    "three": ("y ~ x + (1 | a) + (1 | b) + (1 | c)", {"same": [("a", "b")]}),
    "a matrix held": ("y ~ x + (x | b) + (1 | a)", {"fix": {"b": np.array([[0.5, 0.1], [0.1, 0.4]])}}),
}


@pytest.mark.parametrize("name", [*CASES, "nested, apart", "sparse"])
def test_it_is_the_likelihood_by_blocks(name, data, monkeypatch):
    formula, options = CASES.get(name, CASES["nested" if "nested" in name else "crossed, two effects"])
    if name == "nested, apart":  # the rest in pieces
        monkeypatch.setattr(connected, "SMALL", 3)
    if name == "sparse":
        monkeypatch.setattr(module, "system_of", as_sparse)
    design, rows = design_from_formula(formula, data, weights="w", bound=False, **options)
    model = BlockModel.of(design, rows)
    own = (BySparse if name == "sparse" else PlainModel)(model, rows)
    rng, seen = np.random.default_rng(1), []
    size = len(model.working(np.ones(model.k)))
    for _ in range(25):
        phi = rng.choice([0.01, 0.03, 0.1, 0.5]) * rng.normal(size=size)
        phi[-1] = model.working(np.full(model.k, 0.3 + rng.random()))[-1]
        block, point = block_at(model, phi), own.at(phi)
        assert np.isfinite(point.deviance) == np.isfinite(block.deviance)
        if not np.isfinite(block.deviance):
            continue
        if point.inner.signs is None or len(seen) == 2:
            continue
        front = getattr(point.inner.factor.front, "signs", np.zeros(0))
        seen.append(len(np.unique(front)))
        assert point.deviance == pytest.approx(block.deviance, abs=SAME)
        np.testing.assert_allclose(point.gradient, block.gradient, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(point.beta, block.beta, rtol=SAME)
        np.testing.assert_allclose(point.phi, block.phi, rtol=SAME)
        one, other = moments_of_plain(point), moments_of_blocks(block)
        for moment in ("g", "f0", "f1", "t1"):
            np.testing.assert_allclose(getattr(one, moment), getattr(other, moment), rtol=1e-7, atol=1e-8)
        rtol = DIFFERENCES if name == "sparse" else 1e-7
        np.testing.assert_allclose(one.t2, other.t2, rtol=rtol, atol=1e-8)
        f2, by_blocks = (each.f2 + each.f2.swapaxes(-1, -2) for each in (one, other))
        np.testing.assert_allclose(f2, by_blocks, rtol=1e-6, atol=1e-7)
        of_blocks = conditional_modes(model, block, rows), conditional_covariances(model, block, rows)
        for found, known in zip((point.modes(), point.conditional_covariances()), of_blocks):
            for one_term, wanted in zip(found, known):
                np.testing.assert_allclose(one_term, wanted, rtol=1e-7, atol=1e-9)
    assert len(seen) == 2


def test_others_may_make_up_for_the_front():
    """V is positive definite where the residual and the negative term alone are not: one group has most rows."""
    rng = np.random.default_rng(4)
    g = np.concatenate([np.zeros(40, int), np.repeat(np.arange(1, 30), 2)])
    i = np.arange(len(g)) % 5
    table = pd.DataFrame({"g": g, "i": i, "y": rng.normal(size=len(g))})
    design, rows = design_from_formula("y ~ 1 + (1 | g) + (1 | i)", table, bound=False)
    model = BlockModel.of(design, rows)
    psi = np.array([-0.03, 2.0, 1.0])
    Z = [np.equal.outer(own, own) for own in (g, i)]
    assert np.linalg.eigvalsh(np.eye(len(g)) - 0.03 * Z[0]).min() < 0
    V = np.eye(len(g)) - 0.03 * Z[0] + 2.0 * Z[1]
    assert np.linalg.eigvalsh(V).min() > 0
    phi = model.from_user(psi)
    point = PlainModel(model, rows).at(phi)
    X = np.ones((len(g), 1))
    inverse = np.linalg.inv(V)
    P = inverse - inverse @ X @ X.T @ inverse / inverse.sum()
    expected = np.linalg.slogdet(V)[1] + np.log(inverse.sum()) + table["y"] @ P @ table["y"]
    assert point.deviance == pytest.approx(expected + (len(g) - 1) * np.log(2 * np.pi), abs=SAME)
    assert point.deviance == pytest.approx(block_at(model, phi).deviance, abs=SAME)
    beyond = PlainModel(model, rows).at(model.from_user(np.array([-0.5, 2.0, 1.0])))
    assert np.isinf(beyond.deviance)


def test_of_balanced_data_it_is_the_analysis_of_variance():
    """A row of every group and item: REML's estimates without bound are those of the mean squares, of any sign."""
    rng = np.random.default_rng(1)
    J, I = 300, 20
    e = rng.normal(size=(J, I))
    e -= 0.4 * e.mean(axis=1, keepdims=True)
    y = 2 + e + 0.5 * rng.normal(size=I)
    table = pd.DataFrame({"y": y.ravel(), "g": np.repeat(np.arange(J), I), "i": np.tile(np.arange(I), J)})
    of_g, of_i, left = y.mean(axis=1), y.mean(axis=0), y - y.mean(axis=0) - y.mean(axis=1)[:, None] + y.mean()
    MSG, MSI = I * of_g.var(ddof=1), J * of_i.var(ddof=1)
    MSE = (left**2).sum() / ((J - 1) * (I - 1))
    fit = lmer("y ~ 1 + (1 | g) + (1 | i)", table, bound=False)
    assert isinstance(fit.engine._block_point, PlainPoint)
    assert not fit.engine.has_blocks
    assert fit.converged
    assert MSG < MSE
    np.testing.assert_allclose(fit.engine.variances, [(MSG - MSE) / I, (MSI - MSE) / J, MSE], rtol=1e-6)
    variance = (MSG + MSI - MSE) / (J * I)
    assert fit.bse.iloc[0] ** 2 == pytest.approx(variance, rel=1e-7)
    nu = np.array([J - 1, I - 1, (J - 1) * (I - 1)])
    share = np.array([MSG, MSI, -MSE]) / (J * I)  # Satterthwaite's own formula
    assert fit.df_inference[0] == pytest.approx(variance**2 / (share**2 / nu).sum(), rel=1e-5)
    assert fit.predict(table.head(2), interval="confidence").shape[0] == 2
    with pytest.raises(NotAvailable, match="negative"):
        _ = fit.ranef_sd
    with pytest.raises(DataError, match="this takes matrices of them, which have up to 4000 rows"):
        fit.influence()


def test_equal_covariances_in_columns_of_other_sizes():
    """What goes with one covariance has one basis, in a model of more rows than matrices of them could have, too."""
    rng = np.random.default_rng(5)
    n = 4400
    table = pd.DataFrame({"s": rng.integers(400, size=n), "d": rng.integers(20, size=n), "x": 30 * rng.normal(size=n)})
    table["z"] = table["x"] / 30
    effects = rng.normal(size=400)[table["s"]] + rng.normal(size=20)[table["d"]] * table["z"]
    table["y"] = effects + rng.normal(size=n)
    one = lmer("y ~ 1 + (1 | s) + (0 + z | d)", table, same=[("s", "d")])
    assert one.converged
    assert one.varcorr["vcov"].iloc[0] == pytest.approx(one.varcorr["vcov"].iloc[1])
    held = lmer("y ~ 1 + (1 | s) + (0 + z | d)", table, fix=dict.fromkeys("sd", one.varcorr["vcov"].iloc[0]))
    assert one.deviance == pytest.approx(held.deviance, abs=1e-6)
    for factor in (0.9, 1.1):
        fix = dict.fromkeys("sd", factor * one.varcorr["vcov"].iloc[0])
        assert lmer("y ~ 1 + (1 | s) + (0 + z | d)", table, fix=fix).deviance > one.deviance


def test_where_effects_meet_in_groups(monkeypatch):
    """There S is kept by its entries: with signs of ones the factor is the ordinary one."""
    monkeypatch.setattr(groups, "MANY", 100)
    monkeypatch.setattr(groups, "CALL", 0.0)
    rng = np.random.default_rng(0)
    s = np.repeat(np.arange(300), 4)
    item = (s % 10) * 12 + rng.integers(12, size=1200)
    item = np.where(rng.random(1200) < 0.1, 120 + rng.integers(10, size=1200), item)
    table = pd.DataFrame({"s": s, "i": item, "y": rng.normal(size=1200)})
    design, rows = design_from_formula("y ~ 1 + (1 | s) + (1 | i)", table, bound=False)
    system = PlainModel(BlockModel.of(design, rows), rows).criterion.system
    assert system.product.groups[0] is not None
    lam, ones = [np.array([[0.7]]), np.array([[0.5]])], [np.ones(1), np.ones(1)]
    own, signed = system.factor(lam), SignedFactor(system, lam, ones)
    assert signed.log_det == pytest.approx(own.log_det, abs=SAME)
    np.testing.assert_allclose(signed.inner, own.inner, rtol=SAME)
    for one, other in zip((*signed.zvc, *signed.traces[1]), (*own.zvc, *own.traces[1])):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=SAME)
