"""The child process: fits one problem with one peer, and prints one line of JSON.

    python -m benchmarks.worker PEER PROBLEM REPEAT BUDGET

1. Load the package and the table.
2. Fit sleepstudy, so that modules imported on first use are there.
3. Fit the problem, formula and all, REPEAT times or until BUDGET seconds are spent, and at least once.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .machine import memory
from .peers import PEERS, Unsupported, quiet
from .problems import load


def peak_mb() -> float:
    """Largest resident memory of this process so far, data and interpreter included, in MB (10⁶ bytes)."""
    return memory() / 1e6


@dataclass
class Timed:
    """Each call's seconds, on the wall and of this process's CPU, and what the last call returned.

    `before` holds the CPU seconds of what was done before each call, which the call's own do not include.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    before: list[float] = field(default_factory=list)
    value: float = float("nan")


def nothing() -> None:
    """What most work needs beforehand."""


def time_repeatedly(
    work: Callable[[Any], float], repeat: int, budget: float, before: Callable[[], Any] = nothing
) -> Timed:
    """Call `work` on what `before` makes, `repeat` times or until `budget` seconds are spent, and at least once."""
    timed = Timed()
    while not timed.wall or (len(timed.wall) < repeat and sum(timed.wall) < budget):
        begin = time.process_time()
        prepared = before()
        timed.before.append(time.process_time() - begin)
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        timed.value = work(prepared)
        timed.cpu.append(time.process_time() - cpu)
        timed.wall.append(time.perf_counter() - wall)
    return timed


def run(peer: str, name: str, repeat: int, budget: float) -> dict[str, object]:
    quiet()
    prepare = PEERS[peer]
    problem = load(name)
    try:
        fit = prepare(problem)
    except Unsupported as reason:
        return {"status": "unsupported", "message": str(reason)}
    prepare(load("sleepstudy"))()
    before = peak_mb()
    timed = time_repeatedly(lambda _: fit(), repeat, budget)
    peak = {"peak_mb": peak_mb(), "before_mb": before}
    return {"status": "ok", "wall": timed.wall, "cpu": timed.cpu, "criterion": timed.value, **peak}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
