"""Ratings that are written to Parquet and fitted from there: time and memory of every piece.

A tenth as many items as users, a hundredth of the ratings as many users: 10⁸ ratings are of 10⁶ users and 10⁵ items;
users and items in proportion to rank to the powers −0.6 and −0.9, so that many pairs are met several times.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from . import machine
from .peers import presence
from .table import markdown

#: rows of a file
FILE = 5_000_000
SD = (0.5, 0.55)
JOB = """
import json, sys, time, warnings
from benchmarks.machine import memory
import henderson
from henderson.engine import from_source
from henderson.engine.criterion import Criterion
warnings.simplefilter("ignore")
henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
cpu, wall, pieces = time.process_time(), time.perf_counter(), []

def mark(name):
    pieces.append((name, time.process_time() - cpu, time.perf_counter() - wall, memory()))

def marked(owner, attribute, name):
    plain = getattr(owner, attribute)
    def told(*args, **options):
        out = plain(*args, **options)
        mark(name)
        return out
    setattr(owner, attribute, told)

marked(from_source, "witness", "levels learned")
marked(from_source, "_blocks", "levels counted")
marked(from_source, "reduced", "rows summed")
marked(from_source, "system_of", "pairs laid out both ways")
marked(Criterion, "at", "evaluation")
fit = henderson.lmer("y ~ x + (1 | user) + (1 | item)", sys.argv[1], rest="iterative", progress=False)
mark("fit, in all")
found = {"pieces": pieces, "theta": fit.theta.tolist(), "sigma": fit.sigma, "x": float(fit.params["x"]), "n": fit.nobs}
found |= {"said": fit.optinfo["monte_carlo"], "evaluations": fit.optinfo["evaluations"], "levels": fit.ngrps}
print(json.dumps(found))
"""


def make(folder: Path, n: int, seed: int = 20_250_101) -> None:
    """Write the files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, users = np.random.default_rng(seed), n // 100
    sizes = (users, users // 10)
    drawn = [np.cumsum(np.arange(1.0, size + 1) ** -power) for size, power in zip(sizes, (0.6, 0.9))]
    effects = [sd * rng.standard_normal(size) for sd, size in zip(SD, sizes)]
    for k, start in enumerate(range(0, n, FILE)):
        m = min(FILE, n - start)
        user, item = (
            np.minimum(np.searchsorted(weight, rng.random(m) * weight[-1]), len(weight) - 1).astype(np.int32)
            for weight in drawn
        )
        x = rng.standard_normal(m)
        y = 3.5 + 0.1 * x + effects[0][user] + effects[1][item] + rng.standard_normal(m)
        columns = {"user": user, "item": item, "x": x.astype(np.float32), "y": y.astype(np.float32)}
        pq.write_table(pa.table(columns), folder / f"part{k:03d}.parquet", row_group_size=1_000_000)


def from_parquet(n: int) -> str:
    """Write, fit, delete; the section."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), n)
        done = subprocess.run(
            [sys.executable, "-c", JOB, f"{folder}/*.parquet"], capture_output=True, text=True, check=True
        )
    return section(json.loads(done.stdout.splitlines()[-1]))


def section(found: dict) -> str:
    """The table of pieces, and what was found."""
    rows: list[list[str]] = []
    for name, cpu, wall, memory in found["pieces"]:
        if rows and (rows[-1][0] == name or (name == "levels counted" and rows[-1][0] == "rows summed")):
            rows.pop()  # the last of several; and counting levels is a sum of rows, too
        rows.append([name, f"{cpu:.0f}", f"{wall:.0f}", f"{memory / 2**30:.1f} GiB"])
    said, levels = found["said"], found["levels"]
    note = (
        f"{found['n']:,.0f} ratings of {levels['user']:,} users and {levels['item']:,} items, REML, "
        f"{found['evaluations']} evaluations, {said['probes']} probes. θ {found['theta'][0]:.5f}, "
        f"{found['theta'][1]:.5f} (drawn with {SD[0]}, {SD[1]}), σ {found['sigma']:.5f} (1), "
        f"slope {found['x']:.6f} (0.1); deviance to ± {said['deviance']:.1g}. Seconds since the beginning, and the "
        "most memory of the process until then."
    )
    columns = ["after", "CPU s", "wall s", "peak memory"]
    return "\n\n".join([note, markdown(rows, columns), machine.describe([presence("henderson")], "1")])
