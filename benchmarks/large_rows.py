"""`python -m benchmarks.large_rows`: rows in Parquet files that are read in parts, beside a plain OLS over the files.

Five covariates and a hundred rows a group, made by seed, five million rows a file; ``(1 + x1 | g)`` by REML.
Each job is a fresh process: CPU seconds of all its threads after its imports, and the most memory that it had at once.
The tenth of the rows is also fitted in memory, and must be the same fit. Writes results/large_rows.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import machine
from .__main__ import RESULTS
from .peers import presence, quiet
from .table import markdown, seconds

FORMULA = "y ~ x1 + x2 + x3 + x4 + x5 + (1 + x1 | g)"
#: rows of a file
FILE = 5_000_000
#: rows of a group
EACH = 100

JOB = """
import glob, json, sys, time
import numpy as np, pyarrow.parquet as parquet, pandas
import henderson, henderson.engine.from_source, pyarrow.dataset
from benchmarks.machine import memory
kind, formula, files = sys.argv[1:]
warm = pandas.DataFrame({"y": np.sin(np.arange(60.0)), "x": np.cos(np.arange(60.0) ** 2), "g": np.arange(60) % 6})
henderson.lmer("y ~ x + (1 | g)", iter([warm]))
begin, wall = time.process_time(), time.perf_counter()
if kind == "ols":
    names, total = ["x1", "x2", "x3", "x4", "x5", "y"], 0.0
    for path in sorted(glob.glob(files)):
        for batch in parquet.ParquetFile(path).iter_batches(1 << 20, columns=names):
            X = np.empty((batch.num_rows, 7), order="F")
            X[:, 0] = 1.0
            for k, name in enumerate(names):
                X[:, k + 1] = batch.column(name)
            total = total + X.T @ X
    found = {"beta": np.linalg.solve(total[:6, :6], total[:6, 6]).tolist()}
else:
    data = files if kind == "parts" else pandas.read_parquet(sorted(glob.glob(files)))
    fit = henderson.lmer(formula, data)
    found = {"beta": fit.params.tolist(), "se": fit.bse.tolist(), "deviance": fit.deviance}
found |= {"cpu": time.process_time() - begin, "wall": time.perf_counter() - wall}
found["memory"] = memory()
print(json.dumps(found))
"""


def make(n: int, folder: Path, seed: int = 7) -> str:
    """Files of n rows, and the glob that matches them."""
    import pyarrow
    from pyarrow import parquet

    rng = np.random.default_rng(seed)
    n_groups = n // EACH
    effects = rng.multivariate_normal([0, 0], [[1, 0.3], [0.3, 0.25]], size=n_groups)
    for start in range(0, n, FILE):
        many = min(FILE, n - start)
        g, X = rng.integers(0, n_groups, many), rng.normal(size=(many, 5))
        y = 1 + X @ [0.5, 0.4, 0.3, 0.2, 0.1] + effects[g, 0] + effects[g, 1] * X[:, 0] + rng.normal(size=many)
        columns = {"y": y, **{f"x{k + 1}": X[:, k] for k in range(5)}, "g": g}
        parquet.write_table(pyarrow.table(columns), folder / f"{start // FILE:04d}.parquet", row_group_size=1 << 20)
    return str(folder / "*.parquet")


def run(kind: str, files: str) -> dict:
    """One job in a fresh process."""
    done = subprocess.run([sys.executable, "-c", JOB, kind, FORMULA, files], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(argv: Sequence[str] | None = None) -> None:
    """Run it."""
    quiet()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, nargs="+", default=[1e6, 1e7])
    parser.add_argument("--in-memory", type=float, default=1e7, help="rows up to which the fit is made in memory too")
    parser.add_argument("--folder", type=Path, help="where the files go, and stay (default: a temporary folder)")
    parser.add_argument("--note", default="", help="a sentence on how it was measured, for the page")
    args = parser.parse_args(argv)
    lines = []
    for n in map(int, args.rows):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) if args.folder is None else args.folder / str(n)
            folder.mkdir(parents=True, exist_ok=True)
            files = str(folder / "*.parquet") if any(folder.iterdir()) else make(n, folder)
            fit, ols = run("parts", files), run("ols", files)
            line = {
                "rows": f"{n:,}",
                "groups": f"{n // EACH:,}",
                "fit": seconds(fit["cpu"]),
                "wall": seconds(fit["wall"]),
                "memory": f"{fit['memory'] / 2**30:.2f} GiB",
                "OLS": seconds(ols["cpu"]),
                "rows/s beside OLS": f"{ols['cpu'] / fit['cpu']:.2f}",
                "by wall": f"{ols['wall'] / fit['wall']:.2f}",
            }
            if n <= args.in_memory:
                whole = run("memory", files)
                line["in memory"] = seconds(whole["cpu"])
                line["memory there"] = f"{whole['memory'] / 2**30:.2f} GiB"
                apart = max(
                    np.max(np.abs(np.array(fit[name]) / np.array(whole[name]) - 1))
                    for name in ("beta", "se", "deviance")
                )
                line["differs by"] = f"{apart:.0e}"
            lines.append(line)
            print(line, flush=True)
    columns = list(dict.fromkeys(key for line in lines for key in line))
    text = "\n\n".join([
        "# Rows in parts",
        f"`{FORMULA}`, REML, from Parquet files of {FILE:,} rows; CPU seconds of all threads, and wall.",
        markdown([[line.get(key, "") for key in columns] for line in lines], columns),
        f"{machine.describe([presence('henderson')], '1')} {args.note}".rstrip(),
    ])  # fmt: skip
    (RESULTS / "large_rows.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
