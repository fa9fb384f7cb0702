"""Starts one worker, waits for it no longer than a limit, and says what became of it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .problems import RECIPES, folder

HERE = Path(__file__).parent
THREAD_VARIABLES = tuple(
    f"{pool}_THREADS" for pool in ("OPENBLAS_NUM", "OMP_NUM", "MKL_NUM", "RAYON_NUM", "POLARS_MAX")
)
KERNEL_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Where these force an older kernel on OpenBLAS they slow everybody: the workers choose their own."""


@dataclass(frozen=True)
class Measured:
    """What one peer did on one problem.

    Attributes
    ----------
    status : str
        "ok", "timeout", "unsupported" or "failed".
    wall, cpu : tuple of float
        Each run's seconds; after a timeout the limit, once.
    threads : str
    criterion : float or None
        −2 log restricted likelihood reached.
    peak_mb : float or None
        Largest resident memory of the process, in 10⁶ bytes.
    message : str
        Why there is no time.
    """

    peer: str
    problem: str
    status: str
    threads: str
    wall: tuple[float, ...] = ()
    cpu: tuple[float, ...] = ()
    criterion: float | None = None
    peak_mb: float | None = None
    before_mb: float | None = None
    message: str = ""

    @property
    def median(self) -> float:
        """Of one thread its CPU seconds, which other programs disturb little; else of the wall."""
        return statistics.median(self.cpu if self.threads == "1" else self.wall)

    def pooled(self, other: Measured) -> Measured:
        """With the runs of another process; the criterion and the memory are the first's."""
        return replace(self, wall=self.wall + other.wall, cpu=self.cpu + other.cpu)


def environment(threads: str) -> dict[str, str]:
    """The worker's environment: one thread for every pool, or each pool's own choice."""
    variables = {k: v for k, v in os.environ.items() if k not in (*THREAD_VARIABLES, *KERNEL_VARIABLES)}
    if threads != "all":
        variables |= dict.fromkeys(THREAD_VARIABLES, threads)
    return variables


def command(peer: str, problem: str, repeat: int, budget: float) -> list[str]:
    if peer != "lme4":
        return [sys.executable, "-m", "benchmarks.worker", peer, problem, str(repeat), str(budget)]
    recipe = RECIPES[problem]
    data, warm, factors = str(folder(problem)), str(folder("sleepstudy")), ",".join(recipe.factors)
    table = [str(HERE), data, recipe.formula, factors]
    return ["Rscript", str(HERE / "lme4.R"), *table, str(repeat), str(budget), warm]


def run_json(arguments: Sequence[str], threads: str, limit: float) -> dict[str, Any]:
    """Run a program whose last line of output is JSON; a dictionary with a "status" whatever happens."""
    try:
        done = subprocess.run(
            list(arguments), env=environment(threads), cwd=HERE.parent, timeout=limit,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"status": "timeout", "wall": [limit], "cpu": [limit], "message": f"stopped after {limit:g} s"}
    if done.returncode != 0:
        lines = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()
        return {"status": "failed", "message": lines[-1][:300]}
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def measure(peer: str, problem: str, *, repeat: int, budget: float, limit: float, threads: str) -> Measured:
    """Fit one problem with one peer in a fresh process."""
    answer = run_json(command(peer, problem, repeat, budget), threads, limit)
    return Measured(
        peer, problem, answer["status"], threads,
        tuple(answer.get("wall", ())), tuple(answer.get("cpu", ())), answer.get("criterion"),
        answer.get("peak_mb"), answer.get("before_mb"), answer.get("message", ""),
    )  # fmt: skip
