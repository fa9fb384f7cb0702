"""`python -m benchmarks`: every peer on every problem, one fresh process each, and the tables in results/.

python -m benchmarks --problems sleepstudy,maximal --peers henderson,lme4 --repeat 5 --threads 1
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from . import machine, table
from .peers import NAMES, presence
from .problems import FITS, folder
from .runner import Measured, measure

QUICK = 3.0
"""Seconds: peers faster than this on a problem are measured in several turns."""

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> None:
    chosen = options().parse_args(arguments)
    problems, peers = names(chosen.problems, FITS, "problem"), names(chosen.peers, NAMES, "peer")
    present = [p for p in map(presence, peers) if p.version]
    for missing in sorted(set(peers) - {p.name for p in present}):
        print(f"{missing} is not installed here: left out")
    measured: list[Measured] = []
    for problem in problems:
        folder(problem)
        measured += side_by_side(problem, [peer.name for peer in present], chosen)
    if chosen.update:
        measured = updated(earlier(chosen.output), measured)
    shown = [presence(name) for name in NAMES if any(m.peer == name for m in measured)]
    write(measured, machine.describe(shown, chosen.threads), chosen.output)


def side_by_side(problem: str, peers: Sequence[str], chosen: argparse.Namespace) -> list[Measured]:
    """Each peer on one problem; the quick ones take turns again, so that a busy machine is busy for all."""
    limits = {name: getattr(chosen, name) for name in ("repeat", "budget", "threads")}
    found: dict[str, Measured] = {}
    for turn in range(chosen.turns):
        for peer in peers:
            if turn == 0:
                found[peer] = measure(peer, problem, limit=chosen.timeout, **limits)
            elif found[peer].status == "ok" and found[peer].median < QUICK:
                found[peer] = found[peer].pooled(measure(peer, problem, limit=chosen.timeout, **limits))
            else:
                continue
            last = found[peer]
            print(f"{problem:16s} {peer:12s} {table.time_cell(last):>10s} {last.message}", flush=True)
    return list(found.values())


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--problems", default=",".join(FITS), help="names joined by commas (default: all)")
    parser.add_argument("--peers", default=",".join(NAMES), help="names joined by commas (default: all)")
    parser.add_argument("--repeat", type=int, default=5, help="runs whose median is shown (default 5)")
    parser.add_argument("--turns", type=int, default=3, help="fresh processes of each quick peer (default 3)")
    parser.add_argument("--budget", type=float, default=20, help="seconds after which no run begins (20)")
    parser.add_argument("--timeout", type=float, default=200, help="seconds a process may take (200)")
    parser.add_argument("--threads", default="1", help="threads of every pool: 1, another number, or all")
    parser.add_argument("--update", action="store_true", help="keep what the files hold of other fits")
    parser.add_argument("--output", default="fits", help="name of the files in benchmarks/results/")
    return parser


def names(text: str, known: Collection[str], kind: str) -> list[str]:
    asked = text.split(",")
    for name in asked:
        if name not in known:
            raise SystemExit(f"no {kind} {name!r}; there are {', '.join(known)}")
    return asked


def earlier(output: str) -> list[Measured]:
    """What an earlier run of the same output measured."""
    path = RESULTS / f"{output}.json"
    return [Measured(**fields) for fields in json.loads(path.read_text())] if path.exists() else []


def updated(old: Sequence[Measured], new: Sequence[Measured]) -> list[Measured]:
    """New measurements in place of old ones of the same peer and problem, in the order of the tables."""
    latest = {(m.problem, m.peer): m for m in (*old, *new)}
    return [latest[key] for key in itertools.product(FITS, NAMES) if key in latest]


def write(measured: Sequence[Measured], about: str, output: str) -> None:
    """The page for people, and the numbers behind it."""
    RESULTS.mkdir(exist_ok=True)
    text = f"{about}\n\n{table.page(measured)}\n"
    (RESULTS / f"{output}.md").write_text(text)
    (RESULTS / f"{output}.json").write_text(json.dumps([asdict(m) for m in measured], indent=1) + "\n")
    print("\n" + text)


if __name__ == "__main__":
    main()
