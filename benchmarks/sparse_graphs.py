"""`python -m benchmarks.sparse_graphs`: crossed levels that hardly meet, by the sparse factor and by iteration.

Levels are the nodes of a graph drawn by seed, rows its edges; effects and residuals have unit variances. CPU seconds of
formula and fit, and how far the deviance by iteration is from the factor's, beside what it states. `--levels` of each
factor; `--graphs` chooses among them; `--no-iteration`. Results: results/sparse_graphs.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

import henderson

from . import machine
from .__main__ import RESULTS
from .peers import presence, quiet
from .table import markdown, seconds

FORMULA = "y ~ x + (1 | a) + (1 | b)"
#: levels of both factors that meet
Edges = tuple[np.ndarray, np.ndarray]


def chain(n: int) -> Edges:
    """Level j of b is shared by levels j and j + 1 of a."""
    j = np.arange(n)
    return np.concatenate([j, j + 1]), np.concatenate([j, j])


def cycles(n: int) -> Edges:
    """Four chains whose ends meet."""
    length = n // 4
    j = np.arange(length)
    first = np.repeat(np.arange(4) * length, 2 * length)
    return first + np.tile(np.concatenate([j, (j + 1) % length]), 4), first + np.tile(np.concatenate([j, j]), 4)


def _bipartite(one: np.ndarray, other: np.ndarray, side: np.ndarray) -> Edges:
    """Edges between nodes of both sides, numbered within theirs."""
    number = np.empty(len(side), int)
    for s in (0, 1):
        number[side == s] = np.arange((side == s).sum())
    first = side[one] == 0
    return number[np.where(first, one, other)], number[np.where(first, other, one)]


def tree(n: int) -> Edges:
    """Each node hangs from one drawn from those before it."""
    rng = np.random.default_rng(1)
    above, depth = np.zeros(2 * n, int), np.zeros(2 * n, int)
    for k in range(1, 2 * n):
        above[k] = rng.integers(k)
        depth[k] = depth[above[k]] + 1
    return _bipartite(np.arange(1, 2 * n), above[1:], depth % 2)


def grid(n: int) -> Edges:
    """Neighbours on a square grid."""
    size = int(np.sqrt(2 * n))
    node = np.arange(size * size).reshape(size, size)
    one = np.concatenate([node[:, :-1].ravel(), node[:-1].ravel()])
    other = np.concatenate([node[:, 1:].ravel(), node[1:].ravel()])
    return _bipartite(one, other, np.add.outer(np.arange(size), np.arange(size)).ravel() % 2)


def two_ratings(n: int) -> Edges:
    """Each level of a meets two of b."""
    return np.repeat(np.arange(n), 2), np.random.default_rng(1).integers(0, n, 2 * n)


def chains_at_a_core(n: int) -> Edges:
    """A core of a tenth of the levels that meet twenty others each, and chains of 45 that hang from it."""
    rng, size = np.random.default_rng(4), n // 10
    a, b = [rng.integers(0, size, 20 * size)], [rng.integers(0, size, 20 * size)]
    for k in range(n // 50):
        own = size + 45 * k + np.arange(45)
        a += [own, np.concatenate([[rng.integers(size)], own[:-1]])]
        b += [own, own]
    return np.concatenate(a), np.concatenate(b)


GRAPHS: dict[str, Callable[[int], Edges]] = {
    "one chain": chain,
    "random tree": tree,
    "four cycles": cycles,
    "two ratings a user": two_ratings,
    "square grid": grid,
    "chains of 45 at a core": chains_at_a_core,
}


def make(graph: str, n: int, times: float = 1.0) -> pd.DataFrame:
    """A row for every edge; effects are multiplied by `times`."""
    (a, b), rng = GRAPHS[graph](n), np.random.default_rng(0)
    x, u, v = rng.normal(size=len(a)), rng.normal(size=a.max() + 1), rng.normal(size=b.max() + 1)
    return pd.DataFrame({"y": 1 + 0.5 * x + times * (u[a] + v[b]) + rng.normal(size=len(a)), "x": x, "a": a, "b": b})


def measured(graph: str, n: int, iterate: bool) -> dict[str, str]:
    """A line of the table."""
    data = make(graph, n)
    began = time.process_time()
    exact = henderson.lmer(FORMULA, data, rest="exact", progress=False)
    line = {"": graph, "rows": f"{len(data):,}", "factor": seconds(time.process_time() - began)}
    if iterate:
        began = time.process_time()
        fit = henderson.lmer(FORMULA, data, rest="iterative", progress=False)
        line["iteration"] = seconds(time.process_time() - began)
        line["deviance off"] = f"{fit.deviance - exact.deviance:.2g}"
        line["stated"] = f"{fit.optinfo['monte_carlo']['deviance']:.2g}"
    return line


def main(argv: Sequence[str] | None = None) -> None:
    """Run it."""
    quiet()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--levels", type=int, default=20_000)
    parser.add_argument("--graphs", nargs="*", default=list(GRAPHS), choices=GRAPHS)
    parser.add_argument("--no-iteration", action="store_true")
    args = parser.parse_args(argv)
    henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    lines = []
    for graph in args.graphs:
        lines.append(measured(graph, args.levels, not args.no_iteration))
        print(lines[-1], flush=True)
    columns = list(dict.fromkeys(key for line in lines for key in line))
    text = "\n\n".join(
        [
            "# Crossed levels that hardly meet",
            f"`python -m benchmarks.sparse_graphs`: `{FORMULA}`, {args.levels:,} levels a factor, REML; CPU seconds.",
            markdown([[line.get(key, "") for key in columns] for line in lines], columns),
            machine.describe([presence("henderson")], "1"),
        ]
    )
    (RESULTS / "sparse_graphs.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
