"""`python -m benchmarks.power`: a thousand data sets drawn, fitted and tested, beside a loop over lmerTest.

Henderson's seconds are of CPU, on one thread, for all data sets of a size. R's are those of a few data sets of the same
design, refitted and tested by lmerTest one after another (what simr does), times their number. Writes results/power.md.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import henderson

from . import machine
from .__main__ import RESULTS
from .peers import presence, quiet
from .table import markdown, seconds

#: data sets that R fits
FEW = 10

R_LOOP = """
suppressPackageStartupMessages(library(lmerTest))
d <- read.csv("{table}"); for (g in {factors}) d[[g]] <- factor(d[[g]])
fit <- suppressMessages(lmer({formula}, d))
begin <- proc.time()[["user.self"]]
for (k in 1:{n}) {{
  d$y <- simulate(fit)[[1]]
  one <- suppressMessages(lmer({formula}, d))
  p <- summary(one)$coefficients["{effect}", "Pr(>|t|)"]
}}
cat(proc.time()[["user.self"]] - begin)
"""


@dataclass(frozen=True)
class Study:
    """A design and what it is asked."""

    title: str
    formula: str
    effect: str
    data: dict[str, Any]
    sizes: dict[str, int]
    beta: list[float]
    varcorr: dict[str, Any]
    goal: str = ""
    ddf: str = "satterthwaite"
    in_r: bool = True


TWO = {"c": [-0.5, 0.5]}
FOUR = {"a": [-0.5, -0.5, 0.5, 0.5], "b": [-0.5, 0.5, -0.5, 0.5]}
DAYS = {"Days": list(range(10))}
SLEEP = {"Subject": [[612.1, 9.6], [9.6, 35.1]]}
STUDIES = (
    Study("20 subjects, slopes", "y ~ Days + (Days | Subject)", "Days", DAYS, {"Subject": 20}, [251, 5], SLEEP, "1 s"),
    Study("the same, Kenward–Roger", "y ~ Days + (Days | Subject)", "Days", DAYS, {"Subject": 20}, [251, 5], SLEEP,
          ddf="kenward-roger", in_r=False),
    Study("40 × 24 crossed, maximal, a condition", "y ~ c + (c | Subject) + (c | Item)", "c", TWO,
          {"Subject": 40, "Item": 24}, [0, 0.3], {"Subject": [1.0, 0.25], "Item": [0.7, 0.1]}, "60 s"),
    Study("40 × 24 crossed, maximal, 2 × 2", "y ~ a * b + (a * b | Subject) + (a * b | Item)", "a:b", FOUR,
          {"Subject": 40, "Item": 24}, [0, 0.3, 0.1, 0.2], {"Subject": [1, 0.25, 0.2, 0.2],
          "Item": [0.7, 0.1, 0.2, 0.1]}, "60 s", in_r=False),
)  # fmt: skip


def measure(study: Study, n: int) -> tuple[float, pd.Series]:
    """Seconds of CPU for n data sets, and the row of the table."""
    begin = time.process_time()
    found = henderson.power(
        study.formula, study.effect, data=study.data, sizes=study.sizes, beta=study.beta, varcorr=study.varcorr,
        sigma=25.6 if "Days" in study.data else 1.0, n=n, ddf=study.ddf, seed=1,
    )  # fmt: skip
    return time.process_time() - begin, found.frame.iloc[0]


def lmertest(study: Study, n: int) -> float | None:
    """Seconds of the same in R, from FEW data sets; None where there is no R, or it would take hours."""
    if shutil.which("Rscript") is None or not study.in_r:
        return None
    keys = [range(many) for many in study.sizes.values()]
    cells = pd.MultiIndex.from_product(keys, names=list(study.sizes)).to_frame(index=False)
    table = cells.merge(pd.DataFrame(study.data), how="cross")
    table["y"] = henderson.datasets.load("InstEval")["y"].to_numpy(float)[: len(table)]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "table.csv"
        table.to_csv(path, index=False)
        names = ", ".join(f'"{name}"' for name in study.sizes)
        script = R_LOOP.format(
            table=path, factors=f"c({names})", formula=study.formula, n=FEW, effect=study.effect.replace(" ", "")
        )
        out = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=True).stdout
    return float(out) * n / FEW


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.power", description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1000, help="data sets of each study (1000)")
    chosen = parser.parse_args(arguments)
    quiet()
    measure(STUDIES[0], 10)  # what is imported on first use is there
    rows = []
    for study in STUDIES:
        own, found = measure(study, chosen.n)
        its = lmertest(study, chosen.n)
        rows.append([
            study.title, seconds(own), study.goal, "" if its is None else seconds(its),
            "" if its is None else f"{its / own:.0f} ×", f"{found['power']:.3f}", f"{found['singular']:.3f}",
        ])  # fmt: skip
        print(rows[-1], flush=True)
    header = ["study", "henderson, s", "goal", "lmerTest in a loop, s", "ratio", "power", "singular"]
    text = (
        f"{machine.describe([presence('henderson'), presence('lme4')], '1')}\n\n"
        f"{chosen.n} data sets of each study, seconds of CPU; R's from {FEW} data sets.\n\n{markdown(rows, header)}\n"
    )
    (RESULTS / "power.md").write_text(text)
    print("\n" + text)


if __name__ == "__main__":
    main()
