"""`python -m benchmarks.threads`: what a user who sets no thread variable pays, beside one thread.

Fresh processes of both kinds take turns. A library that leaves BLAS its threads shows CPU times of several times those
of one thread, and on a busy machine longer walls too.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict

from . import machine
from .__main__ import RESULTS, names
from .peers import NAMES, presence
from .problems import FITS, folder
from .runner import Measured, measure
from .table import markdown, seconds

PROBLEMS = "sleepstudy,slopes-1e4,nested,InstEval,maximal,maximal-72,crossed-slopes"


def row(one: Measured, default: Measured) -> list[str]:
    """Medians of CPU and wall, one thread and the default, and their ratios."""
    if "ok" not in (one.status, default.status) or not (one.cpu and default.cpu):
        return [one.problem, one.peer, one.status, default.status, "", "", "", ""]
    cells = []
    for first, second in ((one.cpu, default.cpu), (one.wall, default.wall)):
        a, b = statistics.median(first), statistics.median(second)
        cells += [seconds(a), seconds(b), f"{b / a:.2f}"]
    return [one.problem, one.peer, *cells]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=__doc__.splitlines()[0])
    parser.add_argument("--problems", default=PROBLEMS, help=f"names joined by commas ({PROBLEMS})")
    parser.add_argument("--peers", default="henderson", help="names joined by commas (henderson)")
    parser.add_argument("--repeat", type=int, default=5, help="fits of each process (5)")
    parser.add_argument("--turns", type=int, default=3, help="fresh processes of each kind (3)")
    parser.add_argument("--budget", type=float, default=10, help="seconds after which no fit begins (10)")
    parser.add_argument("--timeout", type=float, default=200, help="seconds a process may take (200)")
    parser.add_argument("--note", default="", help="a sentence on how it was measured, for the page")
    parser.add_argument("--output", default="threads", help="name of the files in benchmarks/results/")
    chosen = parser.parse_args(arguments)
    found: dict[tuple[str, str, str], Measured] = {}
    for problem in names(chosen.problems, FITS, "problem"):
        folder(problem)
        for _ in range(chosen.turns):
            for peer in names(chosen.peers, NAMES, "peer"):
                for threads in ("1", "all"):
                    limits = {"repeat": chosen.repeat, "budget": chosen.budget, "limit": chosen.timeout}
                    new = measure(peer, problem, threads=threads, **limits)
                    key = (problem, peer, threads)
                    found[key] = found[key].pooled(new) if key in found else new
    rows = [row(found[problem, peer, "1"], found[problem, peer, "all"]) for problem, peer, t in found if t == "1"]
    header = ["problem", "peer", "CPU, one", "CPU, default", "ratio", "wall, one", "wall, default", "ratio"]
    about = machine.describe([presence(name) for name in chosen.peers.split(",")], "1 and the default")
    text = f"{about} {chosen.note}".rstrip() + f"\n\n{markdown(rows, header)}\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{chosen.output}.md").write_text(text)
    (RESULTS / f"{chosen.output}.json").write_text(json.dumps([asdict(one) for one in found.values()], indent=1) + "\n")
    print("\n" + text)


if __name__ == "__main__":
    main()
