"""How often a fit stops above another minimum: random designs against many random starts of the same descent.

    python -m benchmarks.minima [--designs 300] [--starts 24] [--kinds one crossed …] [--seed 0] [--output minima]

Every design of a kind is drawn from its number, so a miss can be looked at again: `--kinds one --first 17 --designs 1`.
A miss is a deviance more than 1e-4 above the lowest end of the random starts. Where the effects can explain every row,
the likelihood may have no residual variance at its best (σ → 0, θ → ∞): an end there is counted apart.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.fit import fit_design
from henderson.engine.search.optimize import minimize
from henderson.engine.search.survey import Survey
from henderson.errors import DataError

from .__main__ import RESULTS
from .machine import describe
from .peers import presence

#: deviance above the lowest known end that counts as a miss
MISS = 1e-4
#: residual standard deviation, relative to that of y, at which nothing is left to the residual
NOTHING = 1e-3
#: random θ whose deviances are looked at for the lowest of them
POOL = 1000

Data = dict[str, np.ndarray]
Draw = Callable[[np.random.Generator], tuple[str, Data]]


def _sizes(rng: np.random.Generator) -> np.ndarray:
    """Group sizes: one large group and small ones, or a mixture of all sizes."""
    if rng.random() < 0.6:
        return np.r_[rng.integers(8, 60), rng.integers(1, 4, size=rng.integers(2, 15))]
    return rng.geometric(1 / rng.uniform(1.5, 8), size=rng.integers(3, 20))


def _response(rng: np.random.Generator, *codes: np.ndarray) -> np.ndarray:
    y = rng.normal(size=len(codes[0])) * (1 if rng.random() < 0.7 else rng.uniform(0.2, 1))
    for one in codes:
        sd = rng.choice([0.0, 0.3, 1.0, 3.0])
        y = y + sd * rng.normal(size=one.max() + 1)[one]
    if rng.random() < 0.7:  # the large group and the small ones disagree about the variance
        y = y * np.where(codes[0] == 0, rng.uniform(0.1, 1), 1.0)
    return np.asarray(y)


def _fixed(rng: np.random.Generator, data: Data) -> str:
    data["x"] = rng.normal(size=len(data["y"]))
    return str(rng.choice(["1", "x"]))


def one(rng: np.random.Generator) -> tuple[str, Data]:
    """(1 | g)"""
    g = np.repeat(np.arange(len(sizes := _sizes(rng))), sizes)
    data = {"y": _response(rng, g), "g": g}
    return f"y ~ {_fixed(rng, data)} + (1 | g)", data


def nested(rng: np.random.Generator) -> tuple[str, Data]:
    """(1 | a/b)"""
    a = np.repeat(np.arange(len(sizes := _sizes(rng))), sizes)
    b = rng.integers(0, rng.integers(2, 6), size=len(a))
    data = {"y": _response(rng, a, a * 10 + b), "a": a, "b": b}
    return f"y ~ {_fixed(rng, data)} + (1 | a/b)", data


def crossed(rng: np.random.Generator) -> tuple[str, Data]:
    """(1 | a) + (1 | b)"""
    a = np.repeat(np.arange(len(sizes := _sizes(rng))), sizes)
    b = rng.permutation(np.resize(np.repeat(np.arange(30), rng.integers(1, 8, size=30)), len(a)))
    data = {"y": _response(rng, a, b), "a": a, "b": b}
    return f"y ~ {_fixed(rng, data)} + (1 | a) + (1 | b)", data


def three(rng: np.random.Generator) -> tuple[str, Data]:
    """(1 | a) + (1 | b) + (1 | c)"""
    a = np.repeat(np.arange(len(sizes := _sizes(rng))), sizes)
    b, c = rng.integers(0, rng.integers(2, 9), size=(1, len(a)))[0], rng.integers(0, rng.integers(2, 9), size=len(a))
    data = {"y": _response(rng, a, b, c), "a": a, "b": b, "c": c}
    return f"y ~ {_fixed(rng, data)} + (1 | a) + (1 | b) + (1 | c)", data


def independent(rng: np.random.Generator) -> tuple[str, Data]:
    """(x || g)"""
    g = np.repeat(np.arange(len(sizes := _sizes(rng))), sizes)
    data = {"y": _response(rng, g), "g": g}
    _fixed(rng, data)
    data["y"] = data["y"] + rng.choice([0.0, 0.5, 2.0]) * rng.normal(size=len(sizes))[g] * data["x"]
    return f"y ~ {rng.choice(['1', 'x'])} + (x || g)", data


def slope(rng: np.random.Generator) -> tuple[str, Data]:
    """(x | g)"""
    _, data = independent(rng)
    return f"y ~ {rng.choice(['1', 'x'])} + (x | g)", data


def slope_and_crossed(rng: np.random.Generator) -> tuple[str, Data]:
    """(x | g) + (1 | b)"""
    _, data = independent(rng)
    data["b"] = rng.integers(0, rng.integers(2, 9), size=len(data["y"]))
    data["y"] = data["y"] + rng.choice([0.0, 1.0]) * rng.normal(size=10)[data["b"]]
    return f"y ~ {rng.choice(['1', 'x'])} + (x | g) + (1 | b)", data


def three_effects(rng: np.random.Generator) -> tuple[str, Data]:
    """(x + z | g)"""
    _, data = independent(rng)
    data["z"] = rng.normal(size=len(data["y"]))
    return f"y ~ {rng.choice(['1', 'x'])} + (x + z | g)", data


def two_slopes(rng: np.random.Generator) -> tuple[str, Data]:
    """(x | g) + (x | h)"""
    _, data = independent(rng)
    data["h"] = rng.integers(0, rng.integers(3, 9), size=len(data["y"]))
    data["y"] = data["y"] + rng.choice([0.0, 1.0]) * rng.normal(size=10)[data["h"]] * (1 + data["x"])
    return f"y ~ {rng.choice(['1', 'x'])} + (x | g) + (x | h)", data


def tiny(rng: np.random.Generator) -> tuple[str, Data]:
    """(x | g) of 8 to 16 rows"""
    g = rng.permutation(np.resize(np.arange(rng.integers(2, 6)), rng.integers(8, 17)))
    data = {"y": _response(rng, g), "g": g}
    _fixed(rng, data)
    return f"y ~ {rng.choice(['1', 'x'])} + (x | g)", data


def pairs(rng: np.random.Generator) -> tuple[str, Data]:
    """(x | g) of levels with two rows, some with three"""
    sizes = rng.choice([2, 2, 2, 3], size=rng.integers(5, 25))
    g = np.repeat(np.arange(len(sizes)), sizes)
    data = {"y": _response(rng, g), "g": g}
    _fixed(rng, data)
    return f"y ~ {rng.choice(['1', 'x'])} + (x | g)", data


def at_odds(rng: np.random.Generator) -> tuple[str, Data]:
    """(x | g) of one large group with little noise, and small ones with much"""
    sizes = np.r_[rng.integers(20, 60), rng.integers(1, 4, size=rng.integers(6, 12))]
    g = np.repeat(np.arange(len(sizes)), sizes)
    data = {"x": rng.normal(size=len(g)), "g": g}
    data["y"] = (rng.normal(size=len(g)) + 2 * rng.normal(size=len(sizes))[g]) * np.where(g == 0, 0.2, 1.0)
    return f"y ~ {rng.choice(['1', 'x'])} + (x | g)", data


def many_levels(rng: np.random.Generator) -> tuple[str, Data]:
    """(x | g) of 50 to 90 levels"""
    sizes = rng.geometric(1 / rng.uniform(2, 6), size=rng.integers(50, 90))
    g = np.repeat(np.arange(len(sizes)), sizes)
    data = {"y": _response(rng, g), "g": g}
    _fixed(rng, data)
    data["y"] = data["y"] + rng.choice([0.0, 0.5]) * rng.normal(size=len(sizes))[g] * data["x"]
    return f"y ~ {rng.choice(['1', 'x'])} + (x | g)", data


def from_zero(rng: np.random.Generator) -> tuple[str, Data]:
    """0 + x + (x | g), y far from zero"""
    g = rng.choice(rng.integers(3, 9), size=rng.integers(14, 41))
    data = {"y": 100 + _response(rng, np.unique(g, return_inverse=True)[1]), "g": g}
    _fixed(rng, data)
    return f"y ~ 0 + x + ({rng.choice(['x', '0 + x'])} | g)", data


def _alike(rng: np.random.Generator) -> tuple[np.ndarray, Data]:
    """Levels of 2 to 9 rows, the largest at most four times the smallest."""
    least = rng.integers(2, 5)
    g = np.repeat(np.arange(J := rng.integers(4, 40)), rng.integers(least, 2 * least + 2, size=J))
    data = {"y": _response(rng, g) * np.where(g < J * rng.uniform(0, 0.5), rng.uniform(0.2, 1), 1.0), "g": g}
    return g, data


def alike(rng: np.random.Generator) -> tuple[str, Data]:
    """(x | g) of levels much alike"""
    g, data = _alike(rng)
    _fixed(rng, data)
    data["y"] = data["y"] + rng.choice([0.0, 0.5, 2.0]) * rng.normal(size=g[-1] + 1)[g] * data["x"]
    return f"y ~ {rng.choice(['1', 'x'])} + (x | g)", data


def alike_scalars(rng: np.random.Generator) -> tuple[str, Data]:
    """(1 | g), (1 | g) + (1 | b) or (1 | g / b), levels much alike"""
    g, data = _alike(rng)
    data["b"] = np.arange(len(g)) % rng.integers(2, 6)
    data["y"] = data["y"] + rng.choice([0.0, 1.0]) * rng.normal(size=6)[data["b"]]
    return f"y ~ {_fixed(rng, data)} + {rng.choice(['(1 | g)', '(1 | g) + (1 | b)', '(1 | g/b)'])}", data


SCALAR: dict[str, Draw] = {draw.__name__: draw for draw in (one, nested, crossed, three, alike_scalars)}
KINDS: dict[str, Draw] = SCALAR | {
    draw.__name__: draw
    for draw in (
        independent,
        slope,
        slope_and_crossed,
        two_slopes,
        three_effects,
        tiny,
        pairs,
        at_odds,
        many_levels,
        from_zero,
        alike,
    )
}


@dataclass
class Tally:
    """What one kind came to."""

    designs: int = 0
    misses: int = 0
    refused: int = 0
    nothing_left: int = 0
    worst: float = 0.0
    seconds: float = 0.0


def random_starts(criterion: Criterion, starts: int, rng: np.random.Generator) -> np.ndarray:
    """θ (starts, k): half drawn at random, half the lowest of a thousand that were."""
    size = (POOL, criterion.blocks.n_theta)
    theta = np.exp(rng.normal(0.0, 1.7, size=size)) * rng.choice([1.0, -1.0, 0.05], size=size)
    survey = Survey.of(criterion)
    if survey is None:
        return theta[:starts]
    lowest = starts // 2 + np.argsort(survey.deviances(theta[starts // 2 :]), kind="stable")[: starts - starts // 2]
    return np.concatenate([theta[: starts // 2], theta[lowest]])


def lowest(criterion: Criterion, found: float, starts: int, rng: np.random.Generator) -> tuple[float, bool]:
    """The lowest of a deviance that was found and the ends of random starts that go below it with a residual variance
    left; and whether one goes below it without."""
    least, without = found, False
    for theta in random_starts(criterion, starts, rng):
        first = criterion.at(theta)
        if np.isfinite(first.deviance):
            end = minimize(criterion.at, first, beat=least)
            if end.point.deviance < least:
                if end.point.r2 / criterion.nu < NOTHING**2:  # y has unit variance here
                    without = without or end.point.deviance < found - MISS
                else:
                    least = end.point.deviance
    return least, without


def run(kind: str, first: int, designs: int, starts: int, seed: int, verbose: bool) -> Tally:
    """Fit the designs of one kind."""
    tally = Tally()
    for number in range(first, first + designs):
        rng = np.random.default_rng([seed, number, len(kind)])
        formula, data = KINDS[kind](rng)
        reml = bool(rng.random() < 0.5)
        try:
            design, rows = design_from_formula(formula, data)
            began = time.process_time()
            fit = fit_design(design, rows, reml=reml)
        except DataError:  # as many effects as rows, or y explained exactly
            tally.refused += 1
            continue
        tally.seconds += time.process_time() - began
        if fit.sigma < NOTHING * np.std(rows.y):
            tally.nothing_left += 1
            continue
        best, without = lowest(fit.criterion, fit.deviance, starts, rng)
        gap = fit.deviance - best
        tally.designs += 1
        tally.nothing_left += without
        if verbose and (gap > MISS or without):
            print(
                f"  {kind} {number}: {formula} n {rows.n} reml {reml} gap {gap:.5f} no residual {without}", flush=True
            )
        tally.misses += gap > MISS
        tally.worst = max(tally.worst, gap)
    return tally


def table(rows: list[tuple[str, Tally]], options: argparse.Namespace) -> str:
    """The results in Markdown."""
    lines = [
        describe([presence("henderson")], "1"),
        "",
        f"Seed {options.seed}, designs {options.first} to {options.first + options.designs - 1} of each kind, half by "
        f"REML, against {options.starts} random starts each. A miss: more than {MISS:g} above the lowest end.",
        "",
        "| kind | model | designs | missed | worst | no residual variance at the best | refused | ms a fit |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for kind, t in rows:
        model = str(KINDS[kind].__doc__).replace("|", "\\|")
        lines.append(
            f"| {kind} | `{model}` | {t.designs} | {t.misses} | {t.worst:.2g} | {t.nothing_left} | {t.refused} "
            f"| {1e3 * t.seconds / max(t.designs, 1):.1f} |"
        )
    for name, kinds in (("scalar terms", set(SCALAR)), ("the others", set(KINDS) - set(SCALAR))):
        of = [t for kind, t in rows if kind in kinds]
        if of:
            lines += ["", f"Of {name}: {sum(t.misses for t in of)} of {sum(t.designs for t in of)} missed."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print misses by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=300)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--output", help="name of a file in benchmarks/results/ to write")
    parser.add_argument("--append", action="store_true", help="to what is in that file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = []
    for kind in options.kinds:
        began = time.process_time()
        t = run(kind, options.first, options.designs, options.starts, options.seed, options.verbose)
        found.append((kind, t))
        print(
            f"{kind:18s} {t.misses} of {t.designs} missed, worst {t.worst:.2g}; no residual variance at the best in "
            f"{t.nothing_left}, refused {t.refused}; {1e3 * t.seconds / max(t.designs, 1):.2f} ms a fit, "
            f"{time.process_time() - began:.0f} s in all",
            flush=True,
        )
    if options.output:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{options.output}.md"
        earlier = path.read_text() + "\n" if options.append and path.exists() else ""
        path.write_text(earlier + table(found, options))


if __name__ == "__main__":
    main()
