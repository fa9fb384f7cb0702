"""`python -m benchmarks.breakdown`: where henderson's time goes, room by room, and its evaluations.

    python -m benchmarks.breakdown [--problems sleepstudy,InstEval] [--repeat 5]

Every function of henderson is wrapped in a stopwatch that charges time to the room of the innermost function
running (NumPy's and SciPy's work is charged to the room that called them). A wrapper acts only where the room
changes, so that it costs little; the total is that of an unwrapped fit, the shares are the wrapped one's. The column
"survey" is not a share: it says how much longer a fit takes because it looks for other minima (`survey_cost`).
"""

from __future__ import annotations

import argparse
import functools
import inspect
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import FunctionType, ModuleType
from typing import Any

from . import machine
from .__main__ import RESULTS, names
from .peers import presence, quiet
from .problems import FITS, load
from .runner import run_json
from .survey_cost import added
from .table import markdown, seconds

ROOMS: dict[str, tuple[str, ...]] = {
    "formula": ("door", "formula", "design", "sources", "contract"),
    "cross-products": ("engine.sums",),
    "factor": ("engine.factor", "numerics"),
    "criterion": ("engine.criterion", "engine.moments", "covariance"),
    "optimizer": ("engine.search",),
}
"""Modules of each column, by how their names begin; every other module of henderson is "rest"."""


def room_of(module: str) -> str:
    """The column to which a module's time belongs."""
    name = module.removeprefix("henderson.") + "."
    for room, stems in ROOMS.items():
        if any(name.startswith(f"{stem}.") for stem in stems):
            return room
    return "rest"


class Stopwatch:
    """Seconds of each room, each moment charged to the innermost room."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.rooms = ["rest"]
        self.since = time.process_time()

    def switch(self) -> None:
        now = time.process_time()
        self.seconds[self.rooms[-1]] += now - self.since
        self.since = now

    def wrap(self, function: FunctionType, room: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self.rooms[-1] == room:
                return function(*args, **kwargs)
            self.switch()
            self.rooms.append(room)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch()
                self.rooms.pop()

        return timed


def install(watch: Stopwatch) -> None:
    """Wrap every function of every loaded module of henderson, under each name that it goes by."""
    modules = [m for name, m in sorted(sys.modules.items()) if name == "henderson" or name.startswith("henderson.")]
    wrapped: dict[FunctionType, Callable[..., Any]] = {}
    for module in modules:
        for function in functions_of(module):
            wrapped[function] = watch.wrap(function, room_of(module.__name__))
    for module in modules:
        for name, value in list(vars(module).items()):
            if isinstance(value, FunctionType) and value in wrapped:
                setattr(module, name, wrapped[value])
        for owner in classes_of(module):
            for name, value in list(vars(owner).items()):
                if isinstance(value, FunctionType) and not name.startswith("__"):
                    type.__setattr__(owner, name, watch.wrap(value, room_of(module.__name__)))


def functions_of(module: ModuleType) -> list[FunctionType]:
    found = [v for v in vars(module).values() if isinstance(v, FunctionType) and v.__module__ == module.__name__]
    return [f for f in found if not inspect.isgeneratorfunction(f)]


def classes_of(module: ModuleType) -> list[type]:
    return [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]


def run(name: str, repeat: int) -> dict[str, object]:
    """The child process: unwrapped fits for the total, then wrapped ones for the shares."""
    from henderson import lmer

    quiet()
    problem, warm = load(name), load("sleepstudy")
    lmer(warm.formula, warm.data)
    totals: list[float] = []
    while not totals or (len(totals) < repeat and sum(totals) < 20):
        begin = time.process_time()
        result = lmer(problem.formula, problem.data)
        totals.append(time.process_time() - begin)
    survey = added(lambda: lmer(problem.formula, problem.data), 2.0)
    watch = Stopwatch()
    install(watch)
    from henderson import lmer as wrapped

    shares = []
    for _ in totals:
        watch.seconds.clear()
        watch.since = time.process_time()
        wrapped(problem.formula, problem.data)
        watch.switch()
        whole = sum(watch.seconds.values())
        shares.append({room: watch.seconds[room] / whole for room in (*ROOMS, "rest")})
    share = {room: statistics.median(s[room] for s in shares) for room in (*ROOMS, "rest")}
    return {
        "status": "ok",
        "seconds": statistics.median(totals),
        "share": share,
        "survey": survey,
        "evaluations": evaluations(result),
    }


def evaluations(result: Any) -> int:
    """Of the criterion with its gradient, as the result itself counts them."""
    return int(result.optinfo["evaluations"])


def row(name: str, answer: dict[str, Any]) -> list[str]:
    if answer["status"] != "ok":
        return [name, answer["status"], *[""] * (len(ROOMS) + 4)]
    share = answer["share"]
    in_evaluations = share["factor"] + share["criterion"]
    per_evaluation = answer["seconds"] * in_evaluations / answer["evaluations"]
    percents = [f"{100 * share[room]:.0f} %" for room in (*ROOMS, "rest")]
    return [
        name,
        seconds(answer["seconds"]),
        *percents,
        f"{100 * answer['survey']:+.0f} %" if "survey" in answer else "",
        str(answer["evaluations"]),
        f"{1e3 * per_evaluation:.3g}",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.breakdown", description=__doc__.splitlines()[0])
    parser.add_argument("--problems", default=",".join(FITS), help="names joined by commas (default: all)")
    parser.add_argument("--repeat", type=int, default=5, help="fits whose median is shown (5)")
    parser.add_argument("--timeout", type=float, default=200, help="seconds a process may take (200)")
    parser.add_argument("--update", action="store_true", help="keep what the files hold of other problems")
    parser.add_argument("--output", default="breakdown", help="name of the files in benchmarks/results/")
    parser.add_argument("--child", nargs=2, metavar=("PROBLEM", "REPEAT"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        print(json.dumps(run(chosen.child[0], int(chosen.child[1]))))
        return
    before = RESULTS / f"{chosen.output}.json"
    found = json.loads(before.read_text()) if chosen.update and before.exists() else {}
    for name in names(chosen.problems, FITS, "problem"):
        command = [sys.executable, "-m", "benchmarks.breakdown", "--child", name, str(chosen.repeat)]
        found[name] = run_json(command, "1", chosen.timeout)
        print(" ".join(row(name, found[name])), found[name].get("message", ""), flush=True)
    header = ["problem", "seconds", *ROOMS, "rest", "survey", "evaluations", "ms each"]
    about = machine.describe([presence("henderson")], "1")
    text = f"{about}\n\n{markdown([row(name, answer) for name, answer in found.items()], header)}\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{chosen.output}.md").write_text(text)
    (RESULTS / f"{chosen.output}.json").write_text(json.dumps(found, indent=1) + "\n")
    print("\n" + text)


if __name__ == "__main__":
    main()
