"""`python -m benchmarks.influence`: estimates without each subject, exactly, beside lme4 in a loop.

A slope model, `y ~ x + (x | g)`, with subjects of 6 to 14 rows (no two alike) or of 10 rows at the same x. henderson
leaves every subject out (`results.influence("g")`); lme4 is refitted without some of them, and its time multiplied. CPU
seconds on one thread, the median of five runs; and how far the two are apart.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .__main__ import RESULTS
from .runner import HERE, environment
from .table import markdown

SUBJECTS = (100, 1000)
REFITS = 20
"""Subjects without which lme4 is fitted."""


def table(subjects: int, balanced: bool, seed: int = 1) -> pd.DataFrame:
    """Rows of a slope model."""
    rng = np.random.default_rng(seed)
    sizes = np.full(subjects, 10) if balanced else rng.integers(6, 15, subjects)
    g = np.repeat(np.arange(subjects), sizes)
    x = np.tile(np.arange(10.0), subjects) if balanced else rng.normal(size=len(g))
    b = rng.normal(size=(subjects, 2)) * [1.0, 0.5]
    return pd.DataFrame({"y": 1 + x + b[g, 0] + b[g, 1] * x + rng.normal(size=len(g)), "x": x, "g": g})


def ours(data: pd.DataFrame, repeat: int) -> tuple[float, pd.DataFrame]:
    """Seconds, and the table."""
    from henderson import lmer

    fit = lmer("y ~ x + (x | g)", data)
    times = []
    for _ in range(repeat):
        start = time.process_time()
        found = fit.influence("g", progress=False)
        times.append(time.process_time() - start)
    return statistics.median(times), found


def theirs(data: pd.DataFrame) -> tuple[float, pd.DataFrame] | None:
    """Seconds of lme4 for every subject, and DFBETAS without the first few; None without R."""
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        data.to_csv(path, index=False)
        command = ["Rscript", str(HERE / "influence.R"), str(path), str(REFITS)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment("1"))
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["seconds"] * data["g"].nunique(), pd.DataFrame(answer["dfbetas"], columns=["(Intercept)", "x"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write `results/influence.md`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, nargs="*", default=SUBJECTS)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args(arguments)
    rows = []
    for subjects in options.subjects:
        for balanced in (False, True):
            data = table(subjects, balanced)
            seconds, found = ours(data, options.repeat)
            row = [str(subjects), "10" if balanced else "6–14", f"{seconds:.2f}"]
            other = theirs(data)
            if other is not None:
                mine = found[["dfbetas[(Intercept)]", "dfbetas[x]"]].to_numpy()[:REFITS]
                apart = float(np.abs(mine - other[1].to_numpy()).max())
                row += [f"{other[0]:.0f}", f"{other[0] / seconds:.0f}", f"{apart:.0e}"]
            rows.append(row)
    header = ["subjects", "rows each", "henderson, s", "lme4 in a loop, s", "ratio", "DFBETAS apart"]
    width = max(map(len, rows))
    text = f"# Estimates without each subject\n\n{main_note()}\n\n{markdown(rows, header[:width])}\n"
    (RESULTS / "influence.md").write_text(text)
    print(text)


def main_note() -> str:
    """What the page says above its table."""
    return " ".join((__doc__ or "").split("\n\n", 1)[1].split())


if __name__ == "__main__":
    main()
