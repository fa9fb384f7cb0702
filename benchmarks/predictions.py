"""What a million predictions with prediction intervals cost, two crossed factors.

    python -m benchmarks.predictions

Each model is fitted once; then a million new rows, whose pairs of levels are drawn at random, are predicted with all
random effects and 95 % prediction intervals: with the parameters' uncertainty and Satterthwaite's degrees of freedom,
and with the variances taken as known; then as rows of subjects that the fit does not have, new observations and means.
CPU seconds of the median of three runs, on one thread; the first run makes what all rows share, the later ones use it.
A table is written to results/predictions.md.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import henderson

RESULTS = Path(__file__).parent / "results" / "predictions.md"
ROWS = 1_000_000
#: a subject that no fit has
NEW = 999_999


def crossed(slopes: bool) -> tuple[str, pd.DataFrame]:
    """200 subjects by 50 items."""
    rng = np.random.default_rng(0)
    s, i = np.repeat(np.arange(200), 50), np.tile(np.arange(50), 200)
    x = rng.normal(size=len(s))
    y = x + rng.normal(size=200)[s] + 0.5 * rng.normal(size=50)[i] + rng.normal(size=len(s))
    formula = "y ~ x + (1 | s) + (1 | i)"
    if slopes:
        y, formula = y + x * (0.5 * rng.normal(size=200)[s] + 0.4 * rng.normal(size=50)[i]), "y ~ x + (x | s) + (x | i)"
    return formula, pd.DataFrame({"y": y, "x": x, "s": s, "i": i})


def evaluations() -> tuple[str, pd.DataFrame]:
    """InstEval: 2,972 students, 1,128 instructors, 73,421 rows."""
    return "y ~ service + (1 | s) + (1 | d)", henderson.datasets.load("InstEval")


PROBLEMS = {
    "200 × 50, intercepts": lambda: crossed(False),
    "200 × 50, slopes on both": lambda: crossed(True),
    "InstEval": evaluations,
}


WAYS: dict[str, dict[str, object]] = {
    "estimated": {},
    "taken as known": {"variance_uncertainty": False},
    "estimated, all subjects new": {"new_levels": "population"},
    "estimated, all subjects new, means": {"new_levels": "population", "interval": "confidence"},
}


def new_rows(formula: str, data: pd.DataFrame) -> pd.DataFrame:
    """Rows whose columns are drawn independently from those of the data."""
    rng = np.random.default_rng(1)
    names = [
        name for name in data.columns if name in formula.replace("(", " ").replace(")", " ").split() and name != "y"
    ]
    return pd.DataFrame({name: data[name].to_numpy()[rng.integers(0, len(data), ROWS)] for name in names})


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def main() -> None:
    """Run and write the page."""
    lines = []
    for name, make in PROBLEMS.items():
        formula, data = make()
        rows = new_rows(formula, data)
        for what, options in WAYS.items():
            fit = henderson.lmer(formula, data)
            given = rows.assign(s=NEW) if "new_levels" in options else rows
            call = partial(fit.predict, given, **{"re": "all", "interval": "prediction", **options})
            first = seconds(call)
            again = statistics.median(seconds(call) for _ in range(3))
            lines.append(f"| {name} | {what} | {first:.1f} | {again:.1f} |")
            print(lines[-1], flush=True)
    RESULTS.write_text(
        "# A million predictions with prediction intervals\n\n"
        "CPU seconds, one thread: `python -m benchmarks.predictions`, which says what is run.\n\n"
        "| model | variances | first time | again |\n|---|---|--:|--:|\n" + "\n".join(lines) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
