"""`python -m benchmarks.inference`: tests and intervals, against R's and against the fit they start from.

    python -m benchmarks.inference [--works kr-exam,profile-sleepstudy] [--repeat 5] [--timeout 300]

One work is one call on one fitted model. Each side runs in a fresh process, fits first (timed apart), does
the work once on a small model so that everything is loaded, and gives back a check: a number to compare.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import machine
from .__main__ import RESULTS, names
from .peers import presence, quiet
from .problems import RECIPES, folder, load
from .runner import HERE, run_json
from .table import markdown, seconds
from .worker import peak_mb, time_repeatedly


@dataclass(frozen=True)
class Work:
    """One row of the table.

    Attributes
    ----------
    problem, kind : str
        What is fitted, and which function below is timed.
    check : str
        What the number is that both sides give back.
    tolerance : float
        Relative difference of the checks that is no news (Monte Carlo for the bootstrap).
    goal : str
        What henderson set out to reach, and the ratio to R that this was where the goal was set.
    skip_r : str
        Why R is not tried, if it is not.
    """

    problem: str
    kind: str
    check: str
    tolerance: float
    goal: str
    skip_r: str = ""


NOT_TRIED = "not tried: n × n matrices"

WORKS: dict[str, Work] = {
    "kr-exam": Work("Exam", "kenward-roger", "df of the slope", 1e-3, "0.05 s, 142 ×"),
    "kr-slopes-1e4": Work("slopes-1e4", "kenward-roger", "df of x1", 1e-3, "0.05 s, 112 ×"),
    "kr-slopes-1e6": Work("slopes-1e6", "kenward-roger", "df of x1", 1e-3, "5 × the fit", NOT_TRIED),
    "kr-InstEval": Work("InstEval", "kenward-roger", "df of service", 1e-3, "10 × the fit", NOT_TRIED),
    "satterthwaite-slopes-1e6": Work("slopes-1e6", "satterthwaite", "df of x1", 1e-3, "5 × the fit"),
    "satterthwaite-InstEval": Work("InstEval", "satterthwaite", "df of service", 1e-3, "10 × the fit"),
    "bootstrap-sleepstudy": Work("sleepstudy", "bootstrap", "SD of Days over 1,000", 0.1, "0.15 s, 119 ×"),
    "profile-sleepstudy": Work("sleepstudy", "profile", "lower limit of .sig01", 1e-3, "0.05 s, 56 ×"),
    "profile-Machines": Work("Machines", "profile", "lower limit of .sig01", 1e-3, "0.5 s"),
    "emmeans-factorial": Work("factorial", "emmeans", "Tukey p of the first pair", 1e-3, "0.05 s, 16 ×"),
}


def kenward_roger(result: Any) -> float:
    return float(result.with_inference(ddf="kenward-roger").coef_table["df"].iloc[1])


def satterthwaite(result: Any) -> float:
    return float(result.with_inference(ddf="satterthwaite").coef_table["df"].iloc[1])


def bootstrap(result: Any) -> float:
    return float(result.bootstrap(1000, kind="parametric", seed=1).se["Days"])


def profile(result: Any) -> float:
    return float(result.profile().interval()["lower"].iloc[0])


def emmeans(result: Any) -> float:
    pairs = result.with_inference(ddf="kenward-roger").emmeans("A * B * C").contrasts("pairwise", adjust="tukey")
    return float(pairs.frame["p"].iloc[0])


KINDS: dict[str, Callable[[Any], float]] = {
    "kenward-roger": kenward_roger,
    "satterthwaite": satterthwaite,
    "bootstrap": bootstrap,
    "profile": profile,
    "emmeans": emmeans,
}
"""Henderson's side; inference.R has the same names."""


def run(name: str, repeat: int, budget: float) -> dict[str, object]:
    """The child process of henderson's side. Each repetition has its own fit, which remembers nothing yet."""
    from henderson import lmer

    quiet()
    work = WORKS[name]
    problem, do = load(work.problem), KINDS[work.kind]
    warm = load("factorial" if work.kind == "emmeans" else "sleepstudy")
    do(lmer(warm.formula, warm.data))
    timed = time_repeatedly(do, repeat, budget, lambda: lmer(problem.formula, problem.data))
    times = {"wall": timed.wall, "cpu": timed.cpu, "fit_seconds": statistics.median(timed.before)}
    return {"status": "ok", **times, "check": timed.value, "peak_mb": peak_mb()}


def command(side: str, name: str, repeat: int, budget: float) -> list[str]:
    if side == "henderson":
        return [sys.executable, "-m", "benchmarks.inference", "--child", name, str(repeat), str(budget)]
    work = WORKS[name]
    recipe = RECIPES[work.problem]
    table = [str(folder(work.problem)), recipe.formula, ",".join(recipe.factors)]
    return ["Rscript", str(HERE / "inference.R"), str(HERE), *table, work.kind, str(repeat), str(budget)]


def measure(side: str, name: str, repeat: int, budget: float, limit: float) -> dict[str, Any]:
    folder(WORKS[name].problem)
    if side == "R" and WORKS[name].skip_r:
        return {"status": "skipped", "message": WORKS[name].skip_r}
    return run_json(command(side, name, repeat, budget), "1", limit)


def median(answer: dict[str, Any]) -> float:
    return statistics.median(answer["cpu"])


def cell(answer: dict[str, Any] | None) -> str:
    if answer is None:
        return ""
    if answer["status"] == "ok":
        return seconds(median(answer))
    if answer["status"] == "timeout":
        return f"> {answer['cpu'][0]:.0f}"
    return str(answer["message"]) if answer["status"] == "skipped" else "failed"


def ratio(ours: dict[str, Any] | None, theirs: dict[str, Any] | None) -> str:
    if not ours or not theirs or ours["status"] != "ok" or theirs["status"] not in ("ok", "timeout"):
        return ""
    return ("> " if theirs["status"] == "timeout" else "") + f"{median(theirs) / median(ours):.0f} ×"


def row(name: str, answers: dict[str, dict[str, Any]]) -> list[str]:
    ours, theirs = answers.get("henderson"), answers.get("R")
    fit = multiple = ""
    if ours and ours["status"] == "ok":
        fit, multiple = seconds(ours["fit_seconds"]), f"{median(ours) / ours['fit_seconds']:.1f} ×"
    checks = [f"{a['check']:.5g}" if a and a["status"] == "ok" else "" for a in (ours, theirs)]
    return [name, cell(ours), cell(theirs), ratio(ours, theirs), fit, multiple, WORKS[name].goal, *checks]


HEADER = [
    "work",
    "henderson, s",
    "R, s",
    "R / henderson",
    "fit, s",
    "work / fit",
    "goal",
    "check",
    "check (R)",
]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__.splitlines()[0])
    parser.add_argument("--works", default=",".join(WORKS), help="names joined by commas (default: all)")
    parser.add_argument("--sides", default="henderson,R", help="henderson, R, or both")
    parser.add_argument("--repeat", type=int, default=5, help="runs whose median is shown (5)")
    parser.add_argument("--budget", type=float, default=20, help="seconds after which no run begins (20)")
    parser.add_argument("--timeout", type=float, default=300, help="seconds a process may take (300)")
    parser.add_argument("--update", action="store_true", help="keep what the files hold of other work")
    parser.add_argument("--output", default="inference", help="name of the files in benchmarks/results/")
    parser.add_argument("--child", nargs=3, metavar=("WORK", "REPEAT", "BUDGET"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        print(json.dumps(run(chosen.child[0], int(chosen.child[1]), float(chosen.child[2]))))
        return
    path = RESULTS / f"{chosen.output}.json"
    found: dict[str, dict[str, dict[str, Any]]] = {}
    if chosen.update and path.exists():
        found = json.loads(path.read_text())
    for name in names(chosen.works, WORKS, "work"):
        found.setdefault(name, {})
        for side in names(chosen.sides, ("henderson", "R"), "side"):
            found[name][side] = measure(side, name, chosen.repeat, chosen.budget, chosen.timeout)
            print(
                f"{name:26s} {side:10s} {cell(found[name][side]):>10s}",
                found[name][side].get("message", ""),
                flush=True,
            )
    write({name: found[name] for name in WORKS if name in found}, chosen.output)


def write(found: dict[str, dict[str, dict[str, Any]]], output: str) -> None:
    about = machine.describe([p for p in (presence("henderson"), presence("lme4")) if p.version], "1")
    table = markdown([row(name, answers) for name, answers in found.items()], HEADER)
    checks = "\n".join(f"- {name}: {WORKS[name].check}" for name in found)
    text = f"{about}\n\n{table}\n\nThe checks:\n\n{checks}\n"
    (RESULTS / f"{output}.md").write_text(text)
    (RESULTS / f"{output}.json").write_text(json.dumps(found, indent=1) + "\n")
    print("\n" + text)


if __name__ == "__main__":
    main()
