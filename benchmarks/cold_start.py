"""What a first fit costs a fresh process, against what importing pandas and formulaic costs.

Run with `python -m benchmarks.cold_start [repeats]`. The programs take turns, so that a busy machine is busy
for all; the ratio is taken between medians. `--modules` lists what the fit imports, dearest first.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
from time import perf_counter

FIT = (
    "import henderson; "
    "d = henderson.datasets.load('sleepstudy'); "
    "henderson.lmer('Reaction ~ Days + (Days | Subject)', d)"
)
PROGRAMS = {
    "import pandas": "import pandas",
    "import pandas, formulaic": "import pandas, formulaic",
    "import henderson": "import henderson",
    "import henderson, fit sleepstudy": FIT,
    "the same, and print its summary": FIT.replace("henderson.lmer", "r = henderson.lmer") + "; str(r.summary())",
}
REFERENCE = "import pandas, formulaic"
ONE_CORE = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def seconds(program: str) -> float:
    """Wall time of one fresh process, in seconds."""
    start = perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env=ONE_CORE)
    return perf_counter() - start


def measure(repeats: int) -> dict[str, list[float]]:
    """Seconds of every program, `repeats` times, after one untimed run that fills the disk cache."""
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for turn in range(repeats + 1):
        for name, program in PROGRAMS.items():
            taken = seconds(program)
            if turn:
                times[name].append(taken)
    return times


def dearest_modules(program: str, count: int = 25) -> list[tuple[float, str]]:
    """(own milliseconds, module) of the dearest imports of a program."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program],
        check=True,
        env=ONE_CORE,
        capture_output=True,
        text=True,
    )
    found = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", ran.stderr)
    return sorted(((int(own) / 1000, name) for own, name in found), reverse=True)[:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repeats", nargs="?", type=int, default=7)
    parser.add_argument("--modules", action="store_true", help="list what the fit imports instead")
    args = parser.parse_args()
    if args.modules:
        for own, name in dearest_modules(FIT):
            print(f"{own:8.1f} ms  {name}")
        return
    times = measure(args.repeats)
    reference = statistics.median(times[REFERENCE])
    print(f"{'program':<34}{'median s':>9}{'min s':>8}{'ratio':>7}")
    for name, taken in times.items():
        middle = statistics.median(taken)
        print(f"{name:<34}{middle:>9.3f}{min(taken):>8.3f}{middle / reference:>7.2f}")


if __name__ == "__main__":
    main()
