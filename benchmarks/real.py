"""`python -m benchmarks.real`: lme4 and henderson on a hundred small models of real data sets that come with R.

Most models of the world are of this size: a few hundred rows, one or two grouping factors, and one in four of them
singular. Both fit formula and table by REML in one process each, on one thread, in CPU seconds (the mean of as many
fits as a fifth of a second holds; lme4 without its final derivatives); the page shows lme4's time as a multiple of
henderson's, and who reached the lower criterion.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from . import machine
from .__main__ import RESULTS
from .peers import presence, quiet
from .runner import HERE, environment
from .survey_cost import added
from .table import markdown

MODELS = HERE / "real_models.csv"
LOWER = 1e-6
"""Difference of criteria that counts."""


@dataclass(frozen=True)
class Compared:
    """One model: seconds and criteria of both, and the share of its time that henderson's survey of one that is not
    singular adds (else None)."""

    data: str
    formula: str
    rows: int
    singular: bool
    lme4: float
    henderson: float
    above: float
    survey: float | None

    @property
    def ratio(self) -> float:
        """How many times longer lme4 takes."""
        return self.lme4 / self.henderson


def models() -> list[dict[str, str]]:
    """Data set, package and formula of every model."""
    with MODELS.open() as file:
        return list(csv.DictReader(file))


def table_of(folder: Path, k: int) -> pd.DataFrame:
    """The table that R wrote for a model, its factors with their levels."""
    levels = json.loads((folder / f"{k}.levels.json").read_text())
    data = pd.read_csv(folder / f"{k}.csv", dtype=dict.fromkeys(levels, str), keep_default_na=False)
    return data.assign(**{name: pd.Categorical(data[name], categories=own) for name, own in levels.items()})


def in_r(folder: Path, seconds: float, limit: float) -> dict[int, dict[str, object]]:
    """lme4's answers by model, and the tables in the folder."""
    command = ["Rscript", str(HERE / "real.R"), str(MODELS), str(folder), str(seconds)]
    done = subprocess.run(command, env=environment("1"), capture_output=True, text=True, timeout=limit, check=True)
    return {answer["k"]: answer for answer in map(json.loads, done.stdout.strip().splitlines())}


def fits(folder: Path, seconds: float) -> None:
    """The child process: henderson's answer for every table in the folder, a line each."""
    from henderson import lmer

    quiet()
    for k, model in enumerate(models(), 1):
        if not (folder / f"{k}.levels.json").exists():
            continue
        try:
            data = table_of(folder, k)
            result = lmer(model["formula"], data)
            times: list[float] = []
            while sum(times) < seconds or len(times) < 3:
                begin = time.process_time()
                lmer(model["formula"], data)
                times.append(time.process_time() - begin)
        except (ValueError, ArithmeticError) as problem:
            print(json.dumps({"k": k, "message": str(problem)[:200]}), flush=True)
            continue
        mean = sum(times) / len(times)
        answer = {"k": k, "seconds": mean, "criterion": float(result.deviance), "rows": len(data)}
        if not result.is_singular:
            answer["survey"] = added(lambda data=data, formula=model["formula"]: lmer(formula, data), seconds)
        print(json.dumps(answer), flush=True)


def compared(folder: Path, seconds: float, limit: float) -> tuple[list[Compared], list[str]]:
    """Both on every model, and what one of them could not do."""
    theirs = in_r(folder, seconds, limit)
    command = [sys.executable, "-m", "benchmarks.real", "--child", str(folder), "--seconds", str(seconds)]
    done = subprocess.run(
        command, env=environment("1"), cwd=HERE.parent, stdout=subprocess.PIPE, text=True, timeout=limit, check=True
    )
    ours = {answer["k"]: answer for answer in map(json.loads, done.stdout.strip().splitlines())}
    found, notes = [], []
    for k, model in enumerate(models(), 1):
        for name, answers in (("lme4", theirs), ("henderson", ours)):
            if "message" in (answer := answers.get(k, {"message": "no answer"})):
                notes.append(f"{name}, {model['data']}, {model['formula']}: {answer['message']}")
                break
        else:
            one, two = theirs[k], ours[k]
            found.append(Compared(
                model["data"], model["formula"], two["rows"], one["singular"], one["seconds"], two["seconds"],
                two["criterion"] - one["criterion"], two.get("survey"),
            ))  # fmt: skip
    return found, notes


def page(found: Sequence[Compared], notes: Sequence[str]) -> str:
    """A summary, and a row for each model, the slowest first."""
    ratios = [one.ratio for one in found]
    singular = [one.ratio for one in found if one.singular]
    lower, higher = (sum(sign * one.above > LOWER for one in found) for sign in (-1, 1))
    ordinary = [(one.henderson, one.survey) for one in found if one.survey is not None]
    adds = [survey for _, survey in ordinary]
    added_to_all = sum(time for time, _ in ordinary) / sum(time / (1 + survey) for time, survey in ordinary) - 1
    lines = [
        f"{len(found)} models, {len(singular)} of them singular. lme4 takes {statistics.median(ratios):.1f} × "
        f"henderson's time (median; of the singular ones {statistics.median(singular):.1f} ×); henderson is slower on "
        f"{sum(ratio < 1 for ratio in ratios)}. Its criterion is lower on {lower}, higher on {higher}. Looking for "
        f"other minima adds {100 * added_to_all:.0f} % to the time of the {len(adds)} that are not singular "
        f"(median {100 * statistics.median(adds):.0f} %).",
    ]
    rows = [
        [one.data, one.formula.replace("|", "\\|"), str(one.rows), "yes" if one.singular else "",
         f"{1e3 * one.lme4:.1f}", f"{1e3 * one.henderson:.1f}", f"{one.ratio:.1f}", f"{one.above:+.1e}"]
        for one in sorted(found, key=lambda one: one.ratio)
    ]  # fmt: skip
    header = ["data", "formula", "rows", "singular", "lme4, ms", "henderson, ms", "ratio", "criterion above lme4's"]
    lines += ["", markdown(rows, header)]
    return "\n".join([*lines, *(["", "Left out:", "", *(f"- {note}" for note in notes)] if notes else [])])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.2, help="that each model is fitted for (0.2)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds that one of the two may take (600)")
    parser.add_argument("--output", default="real", help="name of the files in benchmarks/results/")
    parser.add_argument("--child", metavar="FOLDER", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        fits(Path(chosen.child), chosen.seconds)
        return
    if shutil.which("Rscript") is None:
        raise SystemExit("this needs R with lme4 and nlme")
    with tempfile.TemporaryDirectory() as folder:
        found, notes = compared(Path(folder), chosen.seconds, chosen.timeout)
    about = machine.describe([presence("henderson"), presence("lme4")], "1")
    text = f"{about}\n\n{page(found, notes)}\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{chosen.output}.md").write_text(text)
    (RESULTS / f"{chosen.output}.json").write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    print("\n" + text)


if __name__ == "__main__":
    main()
