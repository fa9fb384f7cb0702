"""Levels that stay with workers, in shards: the fit of the table in memory, and only sums travel."""

from __future__ import annotations

import pickle
from itertools import pairwise
from typing import Any

import dask
import dask.dataframe as dd
import distributed
import numpy as np
import pandas as pd
import pytest

from henderson import DataError, FormulaError, lmer
from henderson.engine.moments_at import moments_at
from henderson.engine.sharded.building import canonical, shard_of
from henderson.engine.sharded.levels import Levels
from henderson.engine.sharded.point import Here, ShardedCriterion

#: sums in another order differ by rounding
CLOSE = 1e-10
#: two descents end where the deviance is flat to rounding: fewer digits of λ, on which standard errors hang
CLOSE_SE = 1e-8
#: degrees of freedom are ratios of small differences
CLOSE_DF = 1e-6


def table(n: int = 3000, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, h, x = rng.integers(0, 80, n), rng.integers(0, 4, n), rng.normal(3, 1, n)
    y = x + rng.normal(size=80)[g] + 0.4 * rng.normal(size=80)[g] * x + rng.normal(size=n)
    data = pd.DataFrame({"y": y, "x": x, "a": rng.choice(list("uvw"), n), "g": g, "h": h, "w": rng.uniform(0.5, 2, n)})
    data["name"] = pd.Series([f"s{k}" for k in g])
    data.loc[rng.choice(n, 30, replace=False), "x"] = np.nan
    return data


def assert_same(memory: Any, other: Any) -> None:
    assert (other.nobs, other.design.n_missing) == (memory.nobs, memory.design.n_missing)
    assert other.ngrps == memory.ngrps
    assert other.deviance == pytest.approx(memory.deviance, rel=CLOSE)
    for name, close in (("params", CLOSE), ("bse", CLOSE_SE)):
        one, more = getattr(memory, name), getattr(other, name)
        assert list(one.index) == list(more.index)
        np.testing.assert_allclose(more, one, rtol=close, atol=close * np.abs(one).max())
    np.testing.assert_allclose(other.theta, memory.theta, rtol=1e-6, atol=1e-8)
    rows = np.eye(len(memory.params))
    np.testing.assert_allclose(other.inference.t_test(rows)["df"], memory.inference.t_test(rows)["df"], rtol=CLOSE_DF)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("y ~ x + a + (x | g)", {}),
    ("y ~ x * a + (1 | name)", {"weights": "w"}),
    ("y ~ scale(x) + (1 | g:h)", {"REML": False}),
    ("y ~ x + (x || g)", {"ddf": "kenward-roger"}),
]


@pytest.mark.parametrize(("formula", "options"), CASES)
def test_shards(formula: str, options: dict[str, Any], client: distributed.Client) -> None:
    data = table()
    rows = dd.from_pandas(data, npartitions=6)
    assert_same(lmer(formula, data, **options), lmer(formula, rows, shards=3, **options))


def test_more_shards_than_levels_and_no_cluster() -> None:
    data = table()
    with dask.config.set(scheduler="threads"):
        fit = lmer("y ~ x + (1 | h)", dd.from_pandas(data, npartitions=2), shards=9)
    memory = lmer("y ~ x + (1 | h)", data)
    assert fit.deviance == pytest.approx(memory.deviance, rel=CLOSE)


def test_labels_of_other_types_are_one_level() -> None:
    """A partition where the labels are floats, or of a smaller type, or categories, has the same levels."""
    data = table()
    floats = data.iloc[:1000].assign(g=lambda one: one["g"].astype(float))
    small = data.iloc[1000:].assign(g=lambda one: one["g"].astype("int8"))
    rows = dd.from_delayed([dask.delayed(floats), dask.delayed(small)], meta=floats, verify_meta=False)
    with dask.config.set(scheduler="threads"):
        assert lmer("y ~ x + (1 | g)", rows, shards=2).ngrps == {"g": 80}
    for values in (np.array([3, -1], np.int8), np.array([3.0, -1.0]), pd.array([3, -1], dtype="Int16")):
        assert canonical(values).dtype == np.int64
        np.testing.assert_array_equal(shard_of({"g": canonical(values)}, 7), shard_of({"g": np.array([3, -1])}, 7))
    text = pd.Categorical(["b", "a"], categories=["a", "b"])
    np.testing.assert_array_equal(shard_of({"g": canonical(text)}, 7), shard_of({"g": np.array(["b", "a"], object)}, 7))
    with pytest.raises(DataError, match="whole numbers below"):
        canonical(np.array([2**63], np.uint64))


def test_a_point_is_the_point() -> None:
    """Deviance, gradient, model Hessian and moments from the sums of shards."""
    fit = lmer("y ~ x + a + (x | g)", table())
    criterion = fit.engine.criterion
    cross = criterion.system.cross
    ends = [0, 30, 31, 31, 80]
    shards = [Levels(cross.zz[:, :, a:b].copy(), cross.zx[:, :, a:b].copy()) for a, b in pairwise(ends)]
    sharded = ShardedCriterion(cross, criterion.blocks, criterion.basis, Here(shards), criterion.reml)
    theta = np.array([0.7, -0.2, 0.4])
    here, there = criterion.at(theta), sharded.at(theta)
    assert there.deviance == pytest.approx(here.deviance, abs=1e-9)
    np.testing.assert_allclose(there.gradient, here.gradient, rtol=1e-9)
    np.testing.assert_allclose(there.hessian_model, here.hessian_model, rtol=1e-9)
    one, other = moments_at(here), there.moments()  # type: ignore[attr-defined]  # of a sharded point
    for name in ("f0", "f1", "t1", "f2", "t2", "log_det", "r2"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-8, atol=1e-9)


def test_what_a_fit_without_levels_says() -> None:
    with dask.config.set(scheduler="threads"):
        fit = lmer("y ~ x + a + (x | g)", dd.from_pandas(table(), npartitions=3), shards=2)
    memory = lmer("y ~ x + a + (x | g)", table())
    np.testing.assert_allclose(fit.anova().to_numpy(float), memory.anova().to_numpy(float), rtol=1e-6)
    np.testing.assert_allclose(fit.emmeans("a").frame["estimate"], memory.emmeans("a").frame["estimate"], rtol=1e-9)
    new = pd.DataFrame({"x": [1.0], "a": ["v"], "g": [3]})
    np.testing.assert_allclose(fit.predict(new, re="none"), memory.predict(new, re="none"))
    for ask in (
        lambda: fit.ranef,
        lambda: fit.predict(new, re="all"),
        lambda: fit.predict(new, re="all", new_levels="population"),
    ):
        with pytest.raises(DataError, match="without shards="):
            ask()
    with pytest.raises(DataError, match="without shards="):
        fit.conf_int(method="profile")
    assert pickle.loads(pickle.dumps(fit)).deviance == fit.deviance


def test_what_is_refused() -> None:
    data = table()
    rows = dd.from_pandas(data, npartitions=2)
    with pytest.raises(FormulaError, match="one grouping factor, not of g and h"):
        lmer("y ~ x + (1 | g) + (1 | h)", rows, shards=2)
    with pytest.raises(FormulaError, match="an intercept"):
        lmer("y ~ 0 + x + (1 | g)", rows, shards=2)
    with pytest.raises(ValueError, match="1 or more"):
        lmer("y ~ x + (1 | g)", rows, shards=0)
    with pytest.raises(DataError, match="Dask DataFrame"):
        lmer("y ~ x + (1 | g)", data, shards=2)
