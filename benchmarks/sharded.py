"""Levels that stay on Dask's workers: seconds and bytes of an evaluation at more and more levels.

    python -m benchmarks.sharded                  10⁵ and 10⁶ levels
    python -m benchmarks.sharded --levels 1e7

Two worker processes; `(1 + x | g)`, rows of a level in two partitions. What an evaluation brings back does not grow
with the levels; its time grows in proportion to the levels of a worker.
"""

from __future__ import annotations

import argparse
import pickle
import time
from typing import Any

import numpy as np
import pandas as pd

import henderson
from henderson.engine.sharded.levels import Levels

#: rows of a level
ROWS = 6


def part(number: int, n_parts: int, n_levels: int) -> pd.DataFrame:
    """Some rows of a range of levels, and some of the next range's."""
    size = n_levels // n_parts
    rng = np.random.default_rng(number)
    here = [number, (number + 1) % n_parts]
    g = np.concatenate([np.repeat(np.arange(k * size, (k + 1) * size), ROWS // 2) for k in here])
    x = rng.normal(size=len(g))
    b = np.sin(np.multiply.outer([12.9898, 78.233], g + 1.0)) * 43758.5453 % 1 - 0.5
    y = 1 + 0.5 * x + 2 * b[0] + b[1] * x + rng.normal(size=len(g))
    return pd.DataFrame({"y": y, "x": x, "g": g})


def measure(n_levels: int, n_shards: int) -> dict[str, Any]:
    """Fit, and what it took."""
    import dask.dataframe as dd

    n_parts = max(8, n_levels // 50_000)
    rows = dd.from_map(part, range(n_parts), n_parts=n_parts, n_levels=n_levels, meta=part(0, 1, 1))
    began = time.perf_counter()
    fit = henderson.lmer("y ~ x + (x | g)", rows, shards=n_shards)
    whole = time.perf_counter() - began
    m, q = 3, 2
    levels = Levels(np.ones((q, q, 1)) + np.eye(q)[:, :, None], np.ones((q, m, 1)))
    lam = np.eye(q)
    sent = len(pickle.dumps(levels.first(lam))) + len(pickle.dumps(levels.second(lam, np.ones(m), np.eye(m))))
    return {
        "levels": n_levels,
        "rows": n_levels * ROWS,
        "all, s": round(whole, 1),
        "evaluations": fit.engine.optimum.evaluations,
        "an evaluation, s": round(searched(fit) / fit.engine.optimum.evaluations, 3),
        "bytes of an evaluation": n_shards * sent,
    }


def searched(fit: Any) -> float:
    """Seconds of the search alone."""
    return float(fit.engine.remembered("searched"))


def main() -> None:
    """Print a table."""
    from distributed import Client, LocalCluster

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--levels", type=float, nargs="*", default=[1e5, 1e6])
    options.add_argument("--shards", type=int, default=4)
    given = options.parse_args()
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, Client(cluster):
        print(pd.DataFrame([measure(int(n), given.shards) for n in given.levels]).to_string(index=False))


if __name__ == "__main__":
    main()
