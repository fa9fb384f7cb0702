"""`python -m benchmarks.growth`: what ten times the rows cost, groups in proportion, in order and shuffled.

`y ~ x + (x | g)` and `y ~ x + (1 | g)` with ten rows a group. Reading costs rows plus levels, and each evaluation
levels, so ten times the data should cost ten times the CPU; memory is the highest resident size above the table's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from . import machine
from .__main__ import RESULTS
from .peers import presence, quiet
from .runner import run_json
from .table import markdown, seconds

ROWS_PER_GROUP = 10
FORMULAS = ("y ~ x + (1 | g)", "y ~ x + (x | g)")
ORDERS = ("sorted", "shuffled")


def simulated(n: int, order: str) -> pd.DataFrame:
    """A table of n rows."""
    rng = np.random.default_rng(20_240_109)
    n_groups = n // ROWS_PER_GROUP
    g = rng.integers(n_groups, size=n)
    if order == "sorted":
        g.sort()
    x, b = rng.standard_normal(n), rng.standard_normal((2, n_groups)) * [[1.0], [0.5]]
    return pd.DataFrame({"y": 1 + x + b[0, g] + b[1, g] * x + rng.standard_normal(n), "x": x, "g": g})


def run(n: int, formula: str, order: str, repeat: int) -> dict[str, object]:
    """The child process."""
    from henderson import datasets, lmer

    quiet()
    lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    data = simulated(n, order)
    before, times = machine.memory("VmRSS"), []
    if (peak := Path("/proc/self/clear_refs")).exists():
        peak.write_text("5")  # the highest resident size begins anew
    for _ in range(repeat):
        begin = time.process_time()
        lmer(formula, data)
        times.append(time.process_time() - begin)
    return {"status": "ok", "cpu": sorted(times)[len(times) // 2], "above_mb": (machine.memory() - before) / 1e6}


def page(answers: dict[tuple[str, str, int], dict[str, object]]) -> str:
    """CPU seconds and memory by rows, and each against a tenth of its rows."""
    rows = []
    for (formula, order, n), answer in answers.items():
        if answer["status"] != "ok":
            rows.append([formula.replace("|", "\\|"), order, f"{n:,}", str(answer["status"]), "", ""])
            continue
        tenth = answers.get((formula, order, n // 10), {})
        ratio = f"{answer['cpu'] / tenth['cpu']:.1f}" if tenth.get("status") == "ok" else ""
        memory = f"{answer['above_mb']:.0f}"
        rows.append([formula.replace("|", "\\|"), order, f"{n:,}", seconds(answer["cpu"]), ratio, memory])
    return markdown(rows, ["formula", "rows are", "rows", "CPU, s", "÷ a tenth's", "MB above the table"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="100000,1000000,10000000", help="numbers joined by commas")
    parser.add_argument("--repeat", type=int, default=3, help="fits whose median is shown (3)")
    parser.add_argument("--timeout", type=float, default=300, help="seconds a process may take (300)")
    parser.add_argument("--note", default="", help="a sentence on how it was measured, for the page")
    parser.add_argument("--output", default="growth", help="name of the files in benchmarks/results/")
    parser.add_argument("--child", nargs=4, metavar=("ROWS", "FORMULA", "ORDER", "REPEAT"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        n, formula, order, repeat = chosen.child
        print(json.dumps(run(int(n), formula, order, int(repeat))))
        return
    answers = {}
    for formula in FORMULAS:
        for order in ORDERS:
            for n in map(int, chosen.rows.split(",")):
                command = [sys.executable, "-m", "benchmarks.growth", "--child", str(n), formula, order]
                answers[formula, order, n] = run_json([*command, str(chosen.repeat)], "1", chosen.timeout)
                print(formula, order, n, answers[formula, order, n], flush=True)
    about = f"{machine.describe([presence('henderson')], '1')} {chosen.note}".rstrip()
    text = f"{about}\n\n{page(answers)}\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{chosen.output}.md").write_text(text)
    named = [{"formula": f, "order": o, "rows": n, **answer} for (f, o, n), answer in answers.items()]
    (RESULTS / f"{chosen.output}.json").write_text(json.dumps(named, indent=1) + "\n")
    print("\n" + text)


if __name__ == "__main__":
    main()
