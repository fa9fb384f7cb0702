"""How often a fit stops above another minimum: random designs against many random starts of the same descent.

    python -m benchmarks.minima [--designs 300] [--starts 24] [--kinds one crossed …] [--seed 0]

Every design of a kind is drawn from its number, so a miss can be looked at again: `--kinds one --first 17 --designs 1`.
A miss is a deviance more than 1e-4 above the lowest end of the random starts.
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
from henderson.errors import DataError

#: deviance above the lowest known end that counts as a miss
MISS = 1e-4

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


KINDS: dict[str, Draw] = {
    draw.__name__: draw for draw in (one, nested, crossed, three, independent, slope, slope_and_crossed, three_effects)
}


@dataclass
class Tally:
    """What one kind came to."""

    designs: int = 0
    misses: int = 0
    several: int = 0
    worst: float = 0.0
    seconds: float = 0.0


def lowest(criterion: Criterion, starts: int, rng: np.random.Generator) -> tuple[float, bool]:
    """Lowest end of descents from random starts, and whether they end at several deviances."""
    ends = []
    for _ in range(starts):
        theta = np.exp(rng.normal(0.0, 1.7, size=criterion.blocks.n_theta)) * rng.choice(
            [1.0, -1.0, 0.05], size=criterion.blocks.n_theta
        )
        for block in criterion.blocks.blocks:
            theta[block.parameters] = block.layout.theta(np.tril(block.layout.lam(theta[block.parameters])))
        first = criterion.at(theta)
        if np.isfinite(first.deviance):
            end = minimize(criterion.at, first)
            if end.converged:
                ends.append(end.point.deviance)
    return min(ends, default=np.inf), bool(ends) and max(ends) - min(ends) > MISS


def run(kind: str, first: int, designs: int, starts: int, seed: int, verbose: bool) -> Tally:
    """Fit the designs of one kind."""
    tally = Tally()
    for number in range(first, first + designs):
        rng = np.random.default_rng([seed, number, len(kind)])
        formula, data = KINDS[kind](rng)
        try:
            design, rows = design_from_formula(formula, data)
        except DataError:  # as many effects as rows: refused
            continue
        reml = bool(rng.random() < 0.5)
        began = time.process_time()
        fit = fit_design(design, rows, reml=reml)
        tally.seconds += time.process_time() - began
        if fit.sigma < 1e-3 * np.std(rows.y):  # nearly saturated: the deviance falls without end
            continue
        best, several = lowest(fit.criterion, starts, rng)
        gap = fit.deviance - best
        tally.designs += 1
        tally.several += several
        if gap > MISS:
            tally.misses += 1
            if verbose:
                print(f"  {kind} {number}: {formula} n {rows.n} reml {reml} gap {gap:.5f} theta {fit.theta}")
        tally.worst = max(tally.worst, gap)
    return tally


def main() -> None:
    """Print misses by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=300)
    parser.add_argument("--starts", type=int, default=24)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for kind in options.kinds:
        t = run(kind, options.first, options.designs, options.starts, options.seed, options.verbose)
        print(
            f"{kind:18s} {t.misses} of {t.designs} missed, worst {t.worst:.2g}; several minima in {t.several}; "
            f"{1e3 * t.seconds / max(t.designs, 1):.2f} ms a fit",
            flush=True,
        )


if __name__ == "__main__":
    main()
