"""`python -m benchmarks.many_responses`: thousands of responses on one design, beside lme4's refit in a loop.

300 observations of 60 subjects, an intercept and a slope that vary; once with the same covariate for every subject
(one pattern of components), once with a covariate that differs in each row. Seconds of CPU, on one thread; R's from a
few responses. Writes results/many_responses.md.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import henderson

from . import machine
from .__main__ import RESULTS
from .peers import presence, quiet
from .table import markdown, seconds

SUBJECTS, EACH = 60, 5
#: responses that R fits
FEW = 20

R_LOOP = """
suppressPackageStartupMessages(library(lme4))
d <- read.csv("{table}"); d$g <- factor(d$g); Y <- as.matrix(read.csv("{responses}"))
begin <- proc.time()[["user.self"]]
for (k in 1:ncol(Y)) {{ d$y <- Y[, k]; one <- suppressMessages(lmer(y ~ x + (x | g), d)) }}
fresh <- proc.time()[["user.self"]] - begin
begin <- proc.time()[["user.self"]]
for (k in 1:ncol(Y)) again <- suppressMessages(refit(one, Y[, k]))
cat(fresh, proc.time()[["user.self"]] - begin)
"""


def problem(many: int, balanced: bool, seed: int = 3) -> tuple[pd.DataFrame, np.ndarray]:
    """A design and its responses."""
    rng = np.random.default_rng(seed)
    g, n = np.repeat(np.arange(SUBJECTS), EACH), SUBJECTS * EACH
    x = np.tile(np.arange(float(EACH)), SUBJECTS) if balanced else rng.normal(size=n)
    effects = rng.normal(size=(SUBJECTS, 2, many)) * np.array([1.0, 0.5])[None, :, None]
    Y = 1 + 0.3 * x[:, None] + effects[g, 0] + effects[g, 1] * x[:, None] + rng.normal(size=(n, many))
    return pd.DataFrame({"x": x, "g": g}), Y


def lme4(data: pd.DataFrame, Y: np.ndarray) -> tuple[float, float] | None:
    """Seconds of lmer and of refit, one response."""
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        table, responses = Path(folder) / "table.csv", Path(folder) / "responses.csv"
        data.to_csv(table, index=False)
        pd.DataFrame(Y[:, :FEW]).to_csv(responses, index=False)
        script = R_LOOP.format(table=table, responses=responses)
        done = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=True)
    fresh, again = (float(one) / FEW for one in done.stdout.split()[-2:])
    return fresh, again


def main(argv: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_responses", description=__doc__.splitlines()[0])
    parser.add_argument("--responses", type=int, default=20_000)
    chosen = parser.parse_args(argv)
    quiet()
    rows = []
    for title, balanced in (("the same for all subjects", True), ("another in each row", False)):
        data, Y = problem(chosen.responses, balanced)
        henderson.fit_many("~ x + (x | g)", data, Y[:, :10])
        begin = time.process_time()
        found = henderson.fit_many("~ x + (x | g)", data, Y)
        own = (time.process_time() - begin) / chosen.responses * 1e3
        fit = henderson.lmer("y ~ x + (x | g)", data.assign(y=Y[:, 7]))
        assert abs(found.deviance[7] - fit.deviance) < 1e-6 * abs(fit.deviance)
        its = lme4(data, Y)
        fresh, again = ("", "") if its is None else (seconds(1e3 * its[0]), seconds(1e3 * its[1]))
        begin = time.process_time()
        for b in range(FEW):
            fit.refit(Y[:, b])
        one = (time.process_time() - begin) / FEW * 1e3
        pairs = [] if its is None else [(its[0], own), (its[1], own), (its[1], one)]
        ratios = [f"{1e3 * theirs / ours:.0f} ×" for theirs, ours in pairs] or ["", "", ""]
        rows.append([title, seconds(own), seconds(one), fresh, again, *ratios, f"{found.converged.mean():.4%}"])
        print(rows[-1], flush=True)
    header = [
        "covariate", "fit_many, ms each", "results.refit, ms each", "lme4's lmer, ms each", "its refit, ms each",
        "lmer / fit_many", "refit / fit_many", "refit / results.refit", "certified",
    ]  # fmt: skip
    text = (
        f"{machine.describe([presence('henderson'), presence('lme4')], '1')}\n\n{chosen.responses:,} responses of "
        f"{SUBJECTS * EACH} observations, {SUBJECTS} subjects, `~ x + (x | g)` by REML with Satterthwaite's df of both "
        f"coefficients; milliseconds of CPU.\n\n{markdown(rows, header)}\n"
    )
    (RESULTS / "many_responses.md").write_text(text, encoding="utf-8")
    print("\n" + text)


if __name__ == "__main__":
    main()
