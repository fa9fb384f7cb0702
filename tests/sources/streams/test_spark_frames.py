"""Partitions summed by Spark's executors give the fit of the table in memory. Needs Java, 17 or later."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest

from henderson import DataError, lmer
from henderson.sources.streams.spark_frames import is_spark

pytestmark = pytest.mark.filterwarnings("ignore")

#: sums in another order differ by rounding
CLOSE = 1e-10
FORMULA = "y ~ x + a + (x | g) + (1 | h)"
#: no network, nothing on the terminal, and plans run as they are: of small tables Spark takes longer to compile a plan
#: than to run it
SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
}


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """Spark in this process, with two executors' threads; a task may fail twice."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.fail("Spark needs Java 17: apt-get install openjdk-17-jre-headless")
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2,3]").config("spark.ui.enabled", "false")
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


def table(n: int = 2000, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, h = np.sort(rng.integers(0, 40, n)), rng.integers(0, 9, n)
    x = rng.normal(3, 1, n)
    y = x + rng.normal(size=40)[g] + rng.normal(size=40)[g] * x + rng.normal(size=9)[h] + rng.normal(size=n)
    data = pd.DataFrame({"y": y, "x": x, "a": rng.choice(list("uvw"), n), "g": g, "h": h})
    data.loc[rng.choice(n, 30, replace=False), "a"] = None
    return data


def frame(spark: Any, data: pd.DataFrame, n_partitions: int = 4) -> Any:
    made = spark.createDataFrame(pyarrow.Table.from_pandas(data, preserve_index=False))
    return made.repartitionByRange(n_partitions, "g").cache()  # the passes of a fit read it where it is


def assert_same(memory: Any, other: Any) -> None:
    assert (other.nobs, other.design.n_missing) == (memory.nobs, memory.design.n_missing)
    assert other.deviance == pytest.approx(memory.deviance, rel=CLOSE)
    for name in ("params", "bse"):
        one, more = getattr(memory, name), getattr(other, name)
        assert list(one.index) == list(more.index)
        np.testing.assert_allclose(more, one, rtol=CLOSE, atol=CLOSE * np.abs(one).max())


def test_executors(spark: Any) -> None:
    """And an empty partition, and levels of one partition only, since the rows are in order of their groups."""
    data = table()
    rows = frame(spark, data, 5)
    assert is_spark(rows)
    assert_same(lmer(FORMULA, data), lmer(FORMULA, rows))
    with_empty = frame(spark, data, 3).union(frame(spark, data, 2).where("g < 0"))
    fit = lmer("y ~ scale(x) + (1 | g)", with_empty)
    assert_same(lmer("y ~ scale(x) + (1 | g)", data), fit)
    np.testing.assert_allclose(
        np.sort(np.asarray(fit.resid)), np.sort(lmer("y ~ scale(x) + (1 | g)", data).resid), atol=1e-8
    )


def test_faults(spark: Any) -> None:
    rows = frame(spark, table())
    with pytest.raises(ValueError, match="'z'"):
        lmer("y ~ z + (1 | g)", rows)
    with pytest.raises(DataError, match="no rows"):
        lmer("y ~ x + (1 | g)", rows.where("g < 0"))
    broken = rows.selectExpr("y", "g", "h", "a", "if(g > 20, raise_error('a bad row'), x) AS x")
    with pytest.raises(DataError, match=r"cannot be computed.*a bad row"):
        lmer("y ~ x + (1 | g)", broken)


def test_an_executor_is_killed(spark: Any, tmp_path: Any) -> None:
    """Spark starts the partition again."""
    mark = str(tmp_path / "mark")

    def dies(batches: Any) -> Any:
        for batch in batches:
            if batch.num_rows and batch.column("g")[0].as_py() > 20 and not os.path.exists(mark):
                with open(mark, "w"):
                    os.kill(os.getpid(), 9)
            yield batch

    data = table()
    rows = frame(spark, data)
    assert_same(lmer(FORMULA, data), lmer(FORMULA, rows.mapInArrow(dies, rows.schema)))
    assert os.path.exists(mark)
