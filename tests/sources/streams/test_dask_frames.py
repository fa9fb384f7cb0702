"""Partitions summed by Dask's workers give the fit of the table in memory; lost workers and bad partitions no other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import distributed
import numpy as np
import pandas as pd
import pytest

from henderson import DataError, lmer, mixedlm
from henderson.sources.streams.dask_frames import DaskFrame, is_dask

#: sums in another order differ by rounding
CLOSE = 1e-10


def table(n: int = 3000, seed: int = 5) -> pd.DataFrame:
    """Groups nested and crossed, one crossed factor of many levels, missing values; rows sorted by group."""
    rng = np.random.default_rng(seed)
    g, h, many = np.sort(rng.integers(0, 50, n)), rng.integers(0, 9, n), rng.integers(0, 1200, n)
    x = rng.normal(3, 1, n)
    y = x + rng.normal(size=50)[g] + rng.normal(size=50)[g] * x + rng.normal(size=9)[h] + rng.normal(size=n)
    data = pd.DataFrame({"y": y, "x": x, "a": rng.choice(list("uvw"), n), "g": g, "h": h, "many": many})
    data["name"] = [f"s{k}" for k in g]
    data.loc[rng.choice(n, 30, replace=False), "x"] = np.nan
    return data


def assert_same(memory: Any, other: Any) -> None:
    assert (other.nobs, other.design.n_missing) == (memory.nobs, memory.design.n_missing)
    assert other.deviance == pytest.approx(memory.deviance, rel=CLOSE)
    for name in ("params", "bse"):
        one, more = getattr(memory, name), getattr(other, name)
        assert list(one.index) == list(more.index)
        np.testing.assert_allclose(more, one, rtol=CLOSE, atol=CLOSE * np.abs(one).max())
    for one, more, term, same in zip(memory.engine.b, other.engine.b, memory.design.terms, other.design.terms):
        assert list(same.levels) == list(term.levels)
        np.testing.assert_allclose(more, one, atol=10 * CLOSE * np.abs(one).max())


FORMULAS = [
    "y ~ x + a + (x | g) + (1 | h)",
    "y ~ scale(x) * a + (1 | name)",
    "y ~ poly(x, 2) + (1 | g/h)",
    "y ~ x + (1 | many) + (x | g:h)",
    "y ~ 0 + a + (0 + x | g)",
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_workers(formula: str, client: distributed.Client) -> None:
    data = table()
    assert_same(lmer(formula, data), lmer(formula, dd.from_pandas(data, npartitions=11)))


def test_without_a_cluster() -> None:
    data = table()
    with dask.config.set(scheduler="threads"):
        assert_same(lmer(FORMULAS[0], data), lmer(FORMULAS[0], dd.from_pandas(data, npartitions=3)))


def test_the_statsmodels_door(client: distributed.Client) -> None:
    data = table()
    memory = mixedlm("y ~ x + a", data.dropna(), groups="g").fit()
    other = mixedlm("y ~ x + a", dd.from_pandas(data.dropna(), npartitions=4), groups="g").fit()
    np.testing.assert_allclose(other.params, memory.params, rtol=1e-9)


def test_only_sums_travel(client: distributed.Client) -> None:
    """What a partition sends is as large as its own groups, however many there are."""
    from henderson.engine.sums.by_level import LevelSums

    sums = LevelSums(1, 1, 100_000)
    sums.add(np.array([5, 6]), np.ones((1, 2)), np.ones((1, 2)))
    state = sums.__getstate__()
    assert state["sums"].shape == (1, 1, 2)
    again = LevelSums.__new__(LevelSums)
    again.__setstate__(state)
    np.testing.assert_array_equal(again.sums, sums.sums)


def made_of(parts: list[pd.DataFrame], meta: pd.DataFrame | None = None) -> dd.DataFrame:
    return dd.from_delayed(
        [dask.delayed(part) for part in parts], meta=parts[0] if meta is None else meta, verify_meta=False
    )


def test_an_empty_partition(client: distributed.Client) -> None:
    data = table()
    parts = [data.iloc[:0], data.iloc[:1000], data.iloc[:0], data.iloc[1000:]]
    assert_same(lmer(FORMULAS[0], data), lmer(FORMULAS[0], made_of(parts)))


def test_no_rows(client: distributed.Client) -> None:
    with pytest.raises(DataError, match="no rows"):
        lmer("y ~ x + (1 | g)", made_of([table().iloc[:0]] * 2))


def test_categories_and_groups_of_one_partition(client: distributed.Client) -> None:
    data = table()
    data.loc[data.index[-200:], "a"] = "z"
    data.loc[data.index[-100:], "g"] = 10_000
    data["a"] = data["a"].astype("category")
    parts = [part.assign(a=part["a"].cat.remove_unused_categories()) for part in (data.iloc[:2000], data.iloc[2000:])]
    assert_same(lmer(FORMULAS[0], data), lmer(FORMULAS[0], made_of(parts)))


def test_a_partition_of_another_schema(client: distributed.Client) -> None:
    data = table()
    text = data.iloc[2000:].assign(x=lambda one: one["x"].map("x{}".format))
    with pytest.raises(DataError, match=r"partition 1: 'x' holds text, not numbers"):
        lmer("y ~ x + (1 | g)", made_of([data.iloc[:2000], text]))
    with pytest.raises(DataError, match="'g'"):
        lmer("y ~ x + (1 | g)", made_of([data.iloc[:2000], data.iloc[2000:].drop(columns="g")]))


def test_a_truncated_file(client: distributed.Client, tmp_path: Path) -> None:
    frame = dd.from_pandas(table(), npartitions=3)
    frame.to_parquet(tmp_path / "rows")
    victim = sorted((tmp_path / "rows").glob("*.parquet"))[1]
    broken = dd.read_parquet(str(tmp_path / "rows"))
    victim.write_bytes(victim.read_bytes()[:-300])
    with pytest.raises(DataError, match="cannot be computed"):
        lmer("y ~ x + (1 | g)", broken)


def deadly(mark: str, often: bool) -> Any:
    """Kills the worker that computes a certain partition, the first time or always."""

    def dies(frame: pd.DataFrame) -> pd.DataFrame:
        if len(frame) and 20 < frame["g"].iloc[0] < 30 and (often or not os.path.exists(mark)):
            with open(mark, "w"):
                os.kill(os.getpid(), 9)
        return frame

    return dies


@pytest.mark.parametrize("often", [False, True])
def test_a_worker_is_killed(
    often: bool, client: distributed.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it held is computed anew; a partition that kills every worker is given up, by an error."""
    data = table()
    source = dd.from_pandas(data, npartitions=6)
    dying = source.map_partitions(deadly(str(tmp_path / "mark"), often), meta=source._meta)
    if not often:
        assert_same(lmer(FORMULAS[0], data), lmer(FORMULAS[0], dying))
        assert (tmp_path / "mark").exists()
        return
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 1)
    with pytest.raises(DataError, match="its workers ended"):
        lmer(FORMULAS[0], dying)


def test_a_column_that_is_not_there(client: distributed.Client) -> None:
    frame = dd.from_pandas(table(), npartitions=2)
    with pytest.raises((DataError, ValueError), match="'z'"):
        lmer("y ~ z + (1 | g)", frame)


def test_augment_reads_the_partitions(client: distributed.Client, tmp_path: Path) -> None:
    data = table()
    fit = lmer("y ~ x + (1 | g)", dd.from_pandas(data, npartitions=4))
    memory = lmer("y ~ x + (1 | g)", data)
    np.testing.assert_allclose(np.asarray(fit.resid), memory.resid, atol=1e-8)
    path = fit.augment(dd.from_pandas(data, npartitions=4), path=tmp_path / "rows.parquet")
    rows = pd.read_parquet(path).dropna(subset="x")
    np.testing.assert_allclose(rows[".fitted"], memory.fittedvalues, atol=1e-8)


def test_what_is_one() -> None:
    frame = dd.from_pandas(table(), npartitions=2)
    assert is_dask(frame)
    assert not is_dask(frame["x"])
    assert DaskFrame(frame).names == tuple(table().columns)
