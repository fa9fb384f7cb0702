"""`python -m benchmarks.ratings`: two and more crossed factors of many levels, by iteration, by the factor, by gpboost.

Ratings are drawn by seed: users and items in proportion to rank to the powers −0.6 and −0.9, a covariate, effects of
users and items; the largest with ranks shifted so that popularity is as skewed as in MovieLens, and nobody rates twice.
Each job is a fresh process that makes its table, fits sleepstudy once, and then the model: CPU seconds
of formula and fit, and the most memory of the process less the most while the table was made. `--sizes` chooses
among them (2.5e7 takes minutes); `--hard` the hard cases; `--spread 20` small ones by 20 seeds of the probes, and what
the errors over the stated ones are (`ratings_spread`); `--parquet 1e7` rows that are written to Parquet and read from
there (`ratings_parquet`). Each writes its section of results/ratings.md and leaves the others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from . import machine
from .__main__ import RESULTS
from .peers import presence, quiet
from .table import markdown, seconds

FORMULA = "y ~ x + (1 | user) + (1 | item)"


class Ratings(NamedTuple):
    """How ratings are drawn.

    Attributes
    ----------
    n, users, items : int
    of_users, of_items : float
        Exponents of popularity.
    sd : tuple of float
        Standard deviations of users' and items' effects, where the residual's is 1.
    more : tuple of int
        Levels of further crossed factors, whose standard deviation is 0.3.
    each : int
        Ratings of every user; 0: as they are drawn.
    islands : int
        Groups of users and items between which hardly anybody rates; 1: all are one.
    shift : tuple of int
        Added to the ranks of users and items.
    distinct : bool
        Whether nobody rates an item twice.
    slopes : float
        Standard deviation of slopes of x by user and by item; 0: there are none.
    exact : bool
        Whether the factor is asked for, too.
    """

    n: int
    users: int
    items: int
    of_users: float = 0.6
    of_items: float = 0.9
    sd: tuple[float, float] = (0.5, 0.55)
    more: tuple[int, ...] = ()
    each: int = 0
    islands: int = 1
    shift: tuple[int, int] = (0, 0)
    distinct: bool = False
    slopes: float = 0.0
    exact: bool = False

    @property
    def formula(self) -> str:
        """The model."""
        formula = FORMULA.replace("(1", "(x") if self.slopes else FORMULA
        return formula + "".join(f" + (1 | f{k})" for k in range(len(self.more)))


SIZES = {
    "ratings-1e5": Ratings(100_000, 6_000, 3_000, exact=True),
    "ratings-1e6": Ratings(1_000_000, 6_000, 4_000, exact=True),
    "ratings-5e6": Ratings(5_000_000, 100_000, 40_000),
    "ratings-2.5e7": Ratings(25_000_000, 162_000, 59_000, 1.5, 2.0, shift=(400, 500), distinct=True),
}
HARD = {
    "heavy tails": Ratings(100_000, 8_000, 1_200, 1.1, 1.2, exact=True),
    "heavy tails, variances 16 and 25": Ratings(100_000, 8_000, 1_200, 1.2, 1.2, sd=(4, 5), exact=True),
    "two ratings a user": Ratings(24_000, 12_000, 1_200, each=2, exact=True),
    "two ratings a user, variances 16 and 25": Ratings(24_000, 12_000, 1_200, sd=(4, 5), each=2, exact=True),
    "one rating a user or so, variances 16 and 25": Ratings(16_000, 12_000, 1_200, 0, 0.6, sd=(4, 5), exact=True),
    "variances 16 and 25": Ratings(100_000, 8_000, 1_200, sd=(4, 5), exact=True),
    "variances 10,000": Ratings(100_000, 8_000, 1_200, sd=(100, 100), exact=True),
    "variances 0.0025 and 0": Ratings(100_000, 8_000, 1_200, sd=(0.05, 0), exact=True),
    "four islands, nearly apart": Ratings(80_000, 6_000, 1_200, islands=4, exact=True),
    "three factors": Ratings(100_000, 8_000, 1_200, more=(300,), exact=True),
    "four factors": Ratings(100_000, 8_000, 1_000, more=(300, 100), exact=True),
    "slopes": Ratings(100_000, 6_000, 700, slopes=0.3, exact=True),
}

JOB = """
import json, sys, time, warnings
import numpy as np
from benchmarks.machine import memory
from benchmarks.ratings import HARD, SIZES, make
warnings.simplefilter("ignore")
kind, name = sys.argv[1:]
how = (SIZES | HARD)[name]
data = make(how)
if kind == "gpboost":
    import gpboost
    groups = data[["user", "item", *(f"f{k}" for k in range(len(how.more)))]].to_numpy()
    X = np.column_stack([np.ones(how.n), data["x"]])
    y = data["y"].to_numpy()
else:
    import henderson
    henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
before = memory()
begin, wall = time.process_time(), time.perf_counter()
if kind == "gpboost":
    model = gpboost.GPModel(group_data=groups, likelihood="gaussian")
    model.fit(y=y, X=X)
    found = {"variances": np.asarray(model.get_cov_pars()).ravel().tolist()}
else:
    fit = henderson.lmer(how.formula, data, rest=kind, progress=False)
    found = {"deviance": fit.deviance, "theta": fit.theta.tolist(), "sigma": fit.sigma, "beta": fit.params.tolist()}
    found |= {"monte_carlo": fit.optinfo["monte_carlo"], "evaluations": fit.optinfo["evaluations"]}
    found["converged"] = bool(fit.converged)
found |= {"cpu": time.process_time() - begin, "wall": time.perf_counter() - wall, "before": before}
found["memory"] = memory()
print(json.dumps(found))
"""


def make(how: Ratings, seed: int = 20_250_101) -> pd.DataFrame:
    """The table of ratings."""
    rng = np.random.default_rng(seed)
    drawn = 3 * how.n if how.distinct else how.n
    item = _drawn(rng, how.items, how.of_items, how.shift[1], drawn)
    if how.each:
        user = np.repeat(np.arange(how.users, dtype=np.int32), how.each)
    else:
        user = _drawn(rng, how.users, how.of_users, how.shift[0], drawn)
    if how.distinct:
        pairs = np.unique(user.astype(np.int64) * how.items + item)
        pairs = rng.permutation(pairs)[: how.n]
        user, item = (part.astype(np.int32) for part in np.divmod(pairs, how.items))
        if len(pairs) < how.n:
            raise ValueError(f"only {len(pairs):,} distinct pairs of {how.n:,}: users and items are too popular")
    if how.islands > 1:  # the same island for both, but for one rating in two thousand
        stay = rng.random(how.n) > 5e-4
        user[stay] += (item[stay] - user[stay]) % how.islands
        user %= how.users
    columns: dict[str, np.ndarray] = {
        "user": user,
        "item": item,
        "x": rng.standard_normal(how.n),
    }
    y = rng.standard_normal(how.n) + 0.1 * columns["x"] + 3.5
    y += how.sd[0] * rng.standard_normal(how.users)[user]
    y += how.sd[1] * rng.standard_normal(how.items)[item]
    if how.slopes:
        for name, levels in (("user", how.users), ("item", how.items)):
            y += how.slopes * rng.standard_normal(levels)[columns[name]] * columns["x"]
    for k, levels in enumerate(how.more):
        columns[f"f{k}"] = rng.integers(levels, size=how.n, dtype=np.int32)
        y += 0.3 * rng.standard_normal(levels)[columns[f"f{k}"]]
    return pd.DataFrame({"y": y, **columns})


def _drawn(rng: np.random.Generator, levels: int, exponent: float, shift: int, n: int) -> np.ndarray:
    weight = np.cumsum((shift + np.arange(1.0, levels + 1)) ** -exponent)
    return np.minimum(np.searchsorted(weight, rng.random(n) * weight[-1]), levels - 1).astype(np.int32)


def run(kind: str, name: str) -> dict[str, Any] | None:
    """One job in a fresh process; None when it fails."""
    done = subprocess.run(
        [sys.executable, "-c", JOB, kind, name],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(name, kind, done.stderr.strip().splitlines()[-1:], flush=True)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def measured(name: str, how: Ratings, peer: bool) -> dict[str, str]:
    """A line of the table."""
    found = run("iterative", name)
    if found is None:
        raise SystemExit(f"{name} failed")
    said = found["monte_carlo"]
    line = {
        "": name,
        "ratings": f"{how.n:,}",
        "levels": " × ".join(f"{size:,}" for size in (how.users, how.items, *how.more)),
        "iterative": seconds(found["cpu"]),
        "memory": _memory(found["memory"] - found["before"]),
        "evaluations": str(found["evaluations"]),
        "probes": str(said["probes"]),
        "steps": str(said["steps"]),
        "± deviance": f"{said['deviance']:.1g}",
        "± variances / se": f"{said['share']:.1g}",
    }
    if how.exact:
        exact = run("exact", name)
        if exact is not None:
            line["exact"] = seconds(exact["cpu"])
            line["deviance off"] = f"{found['deviance'] - exact['deviance']:.1g}"
            gap = np.abs(np.array(found["theta"]) - exact["theta"]) / np.maximum(np.abs(exact["theta"]), 1e-3)
            line["θ off"] = f"{gap.max():.0e}"
    if peer:
        other = run("gpboost", name)
        if other is not None:
            line["gpboost"] = seconds(other["cpu"])
    return line


def _memory(grown: float) -> str:
    """What the fit took beyond the most that making the table had taken."""
    return f"{grown / 2**30:.2f} GiB" if grown > 0 else "less than its making"


def write(title: str, text: str) -> None:
    """Put a section in place of the one of its title, or after all others."""
    path = RESULTS / "ratings.md"
    head, *sections = path.read_text(encoding="utf-8").split("\n## ") if path.exists() else ["# Crossed effects\n"]
    made = f"{title}\n\n{text}\n"
    at = next((k for k, own in enumerate(sections) if own.splitlines()[0] == title), len(sections))
    sections[at : at + 1] = [made]
    path.write_text("\n## ".join([head, *sections]), encoding="utf-8")


def table(lines: Sequence[dict[str, str]], note: str) -> str:
    """Lines, what they are, and the machine."""
    columns = list(dict.fromkeys(key for line in lines for key in line))
    rows = [[line.get(key, "") for key in columns] for line in lines]
    return "\n\n".join([note, markdown(rows, columns), machine.describe([presence("henderson")], "1")])


def main(argv: Sequence[str] | None = None) -> None:
    """Run it."""
    quiet()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", default=None, choices=SIZES)
    parser.add_argument("--hard", action="store_true")
    parser.add_argument("--spread", type=int, default=0, help="seeds")
    parser.add_argument("--parquet", type=float, default=0, help="ratings")
    parser.add_argument("--no-peer", action="store_true", help="without gpboost")
    args = parser.parse_args(argv)
    others = args.hard or args.spread or args.parquet
    sizes = args.sizes if args.sizes is not None or others else ["ratings-1e5", "ratings-1e6", "ratings-5e6"]
    what = f"`{FORMULA}`, and further factors; REML (gpboost: ML, approximate). CPU seconds."
    for title, chosen in (
        ("Sizes", {name: SIZES[name] for name in sizes or ()}),
        ("Hard cases", HARD if args.hard else {}),
    ):
        lines = []
        for name, how in chosen.items():
            asked = name in ("ratings-1e5", "ratings-1e6") and not args.no_peer
            lines.append(measured(name, how, asked and presence("gpboost").version is not None))
            print(lines[-1], flush=True)
        if lines:
            write(title, table(lines, what))
    if args.spread:
        from .ratings_spread import NOTE, spread

        write("Stated errors against errors made", table(spread(args.spread), NOTE.format(args.spread)))
    if args.parquet:
        from .ratings_parquet import from_parquet

        write("From Parquet", from_parquet(int(args.parquet)))


if __name__ == "__main__":
    main()
