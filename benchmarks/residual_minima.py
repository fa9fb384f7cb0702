"""How often a fit with a residual structure stops above another maximum of its likelihood: random designs against many
random starts of the same descent.

    python -m benchmarks.residual_minima [--designs 60] [--starts 16] [--kinds ident power …] [--seed 0] [--output name]

Every design of a kind is drawn from its number, so a miss can be looked at again: `--kinds ident --first 17
--designs 1`. A miss is a deviance more than 1e-4 above the lowest end of the random starts that is certified with the
structure inside its range. A fit that says that the likelihood has no maximum, or that it is not certified, is counted
apart, and not searched again.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from henderson.contract.rows import Rows
from henderson.design.from_formula import design_from_formula
from henderson.engine.residual.bounded import Boundedness
from henderson.engine.residual.fit import StructuredFit
from henderson.engine.residual.fitting import fit_structured
from henderson.engine.residual.model import BlockModel
from henderson.engine.residual.search import Patience, is_certified, way
from henderson.engine.residual.starts import starts_of
from henderson.engine.search.optimize import minimize
from henderson.errors import DataError

from .__main__ import RESULTS
from .machine import describe
from .minima import MISS
from .peers import presence

#: spreads of random starts about the first one, in φ: variances and correlations in logarithms
SPREADS = (0.7, 1.5, 3.0)

Data = dict[str, np.ndarray]
Drawn = tuple[str, str, Data]
Draw = Callable[[np.random.Generator], Drawn]


# ---- rows and their fixed effects


def _noise(rng: np.random.Generator, codes: np.ndarray) -> np.ndarray:
    """Noise whose standard deviation differs by code."""
    return np.asarray(rng.normal(size=len(codes)) * np.exp(rng.normal(0, rng.uniform(0, 1.2), codes.max() + 1))[codes])


def _fixed(rng: np.random.Generator, data: Data) -> str:
    data["x"] = rng.normal(size=len(data["y"]))
    data["y"] = data["y"] + rng.choice([0.0, 1.0]) * data["x"]
    return str(rng.choice(["1", "x"]))


def _bars(rng: np.random.Generator, data: Data, *, slopes: bool = True) -> str:
    """Random effects of g, perhaps with slopes, perhaps crossed with those of h."""
    n = len(data["y"])
    if "x" not in data:
        data["x"] = rng.normal(size=n)
    if "g" not in data:
        data["g"] = rng.integers(0, rng.integers(3, 9), size=n)
    data["h"] = rng.integers(0, rng.integers(3, 7), size=n)
    for name in ("g", "h"):
        b = rng.choice([0.0, 0.5, 2.0]) * rng.normal(size=data[name].max() + 1)
        data["y"] = data["y"] + b[data[name]]
    data["y"] = data["y"] + rng.choice([0.0, 1.0]) * rng.normal(size=data["g"].max() + 1)[data["g"]] * data["x"]
    return str(rng.choice([" + (1 | g)", " + (1 | g) + (1 | h)", " + (x | g)" if slopes else " + (1 | h)"]))


def _series(rng: np.random.Generator, visits: int, least: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Series and visit of rows of a trial in which visits are missed and series end."""
    N = rng.integers(least, most)
    s, t = np.repeat(np.arange(N), visits), np.tile(np.arange(visits), N)
    kept = (rng.random(len(s)) > rng.choice([0.0, 0.1, 0.3])) & (t < rng.integers(2, visits + 2, N)[s])
    kept |= (s == 0) | (t == 0)
    return s[kept], t[kept]


def _correlated(rng: np.random.Generator, s: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Noise that correlates within series, by lag or by a shared part, of either sign."""
    apart = np.abs(np.subtract.outer(t, t))
    rho = rng.uniform(-0.8, 0.97)
    C = np.sign(rho) ** np.round(apart) * np.abs(rho) ** apart + rng.choice([0.0, 0.5, 2.0])
    C = np.where(np.equal.outer(s, s), C, 0.0) + rng.choice([0.01, 1.0]) * np.eye(len(s))
    values, vectors = np.linalg.eigh(C)
    e = (vectors * np.sqrt(np.maximum(values, 0))) @ rng.normal(size=len(s))
    return np.asarray(e * np.exp(rng.normal(0, rng.choice([0.0, 0.5]), int(t.max()) + 2))[np.round(t).astype(int)])


def _trial(rng: np.random.Generator, least: int = 8, most: int = 25) -> Data:
    s, t = _series(rng, int(rng.integers(3, 5)), least, most)
    return {"y": _correlated(rng, s, t), "s": s, "t": t, "visit": t}


def _of_visits(structure: str, least: int = 8, *, crossed: bool = False) -> Draw:
    def draw(rng: np.random.Generator) -> Drawn:
        data = _trial(rng, least)
        fixed = _fixed(rng, data) + str(rng.choice(["", " + t"]))
        bars = _bars(rng, data, slopes=False) if crossed else ""
        return f"y ~ {fixed}{bars}", f"{structure}(visit | s)", data

    draw.__doc__ = f"{structure}(visit | s)" + (" beside crossed effects" if crossed else "")
    return draw


# ---- kinds


def ident(rng: np.random.Generator) -> Drawn:
    """ident(f) of 2 to 5 strata"""
    f = np.repeat(np.arange(k := rng.integers(2, 6)), rng.integers(3, 12, size=k))
    data = {"y": _noise(rng, f), "f": f}
    return f"y ~ {_fixed(rng, data)}", "ident(f)", data


def ident_many(rng: np.random.Generator) -> Drawn:
    """ident(f) of 8 to 30 strata of two to four rows"""
    f = np.repeat(np.arange(k := rng.integers(8, 31)), rng.integers(2, 2 + rng.integers(1, 4), size=k))
    data = {"y": _noise(rng, f), "f": f}
    data["a"] = rng.integers(0, 4, size=k)[f]
    fixed = _fixed(rng, data) + str(rng.choice(["", " + C(a)"]))
    return f"y ~ {fixed}", "ident(f)", data


def ident_many_bars(rng: np.random.Generator) -> Drawn:
    """ident(f) of 8 to 30 strata of two to four rows, beside random effects"""
    _, _, data = ident_many(rng)
    data["g"] = np.arange(len(data["y"])) % 2 if rng.random() < 0.5 else rng.integers(0, 6, size=len(data["y"]))
    fixed = str(rng.choice(["1", "x", "x + C(a)"]))
    return f"y ~ {fixed}{_bars(rng, data)}", "ident(f)", data


def ident_bars(rng: np.random.Generator) -> Drawn:
    """ident(f) beside random effects"""
    _, _, data = ident(rng)
    return f"y ~ x{_bars(rng, data)}", "ident(f)", data


def _power_like(rng: np.random.Generator) -> Data:
    n = rng.integers(8, 40)
    data = {"v": np.exp(rng.normal(0, rng.uniform(0.3, 1.5), size=n))}
    data["y"] = rng.normal(size=n) * data["v"] ** rng.normal(0, 1) + rng.choice([0, 1]) * data["v"]
    return data


def power(rng: np.random.Generator) -> Drawn:
    """power(v) or exp(v)"""
    data = _power_like(rng)
    fixed = _fixed(rng, data) + str(rng.choice(["", " + v"]))
    return f"y ~ {fixed}", str(rng.choice(["power(v)", "exp(v)"])), data


def power_bars(rng: np.random.Generator) -> Drawn:
    """power(v) or exp(v) beside random effects"""
    data = _power_like(rng)
    fixed = _fixed(rng, data) + str(rng.choice(["", " + v"]))
    return f"y ~ {fixed}{_bars(rng, data)}", str(rng.choice(["power(v)", "exp(v)"])), data


def _long(rng: np.random.Generator) -> Data:
    """Few series of 5 to 15 rows."""
    N = rng.integers(2, 9)
    s = np.repeat(np.arange(N), rng.integers(5, 16, size=N))
    t = np.concatenate([np.arange(m) for m in np.bincount(s)])
    return {"y": _correlated(rng, s, t), "s": s, "t": t}


def ar1(rng: np.random.Generator) -> Drawn:
    """ar1(t | s) of few series, perhaps with gaps"""
    data = _long(rng)
    kept = rng.random(len(data["y"])) > rng.choice([0.0, 0.3])
    data = {name: own[kept] for name, own in data.items()}
    return f"y ~ {_fixed(rng, data)}", "ar1(t | s)", data


def ar1_bars(rng: np.random.Generator) -> Drawn:
    """ar1(t | s) or car1 beside effects of the series, and crossed ones"""
    data = _long(rng)
    data["i"] = rng.integers(0, rng.integers(3, 9), size=len(data["y"]))
    data["y"] = data["y"] + rng.choice([0.0, 1.0]) * rng.normal(size=9)[data["i"]]
    fixed = _fixed(rng, data)
    bars = rng.choice(["(1 | s)", "(1 | s) + (1 | i)", "(t | s)", "(1 | i)"])
    return f"y ~ {fixed} + {bars}", str(rng.choice(["ar1(t | s)", "car1(t | s)"])), data


def car1(rng: np.random.Generator) -> Drawn:
    """car1(t | s), all gaps distinct"""
    data = _long(rng)
    data["t"] = data["t"] + rng.uniform(0, 0.9, size=len(data["t"]))
    data["y"] = _correlated(rng, data["s"], data["t"] / rng.choice([0.3, 1, 3]))
    bars = rng.choice(["", " + (1 | s)"])
    return f"y ~ {_fixed(rng, data)}{bars}", "car1(t | s)", data


def sp_exp(rng: np.random.Generator) -> Drawn:
    """sp_exp(u, v | s), sp_gau"""
    N = rng.integers(1, 6)
    s = np.repeat(np.arange(N), rng.integers(6, 20, size=N))
    u, v = rng.uniform(0, 5, size=(2, len(s)))
    apart = np.hypot(np.subtract.outer(u, u), np.subtract.outer(v, v))
    C = np.where(np.equal.outer(s, s), np.exp(-apart / rng.uniform(0.1, 5)), 0) + rng.choice([0, 1]) * np.eye(len(s))
    data = {"y": np.linalg.cholesky(C + 1e-9 * np.eye(len(s))) @ rng.normal(size=len(s)), "s": s, "u": u, "v": v}
    return f"y ~ {_fixed(rng, data)}", f"{rng.choice(['sp_exp', 'sp_exp', 'sp_gau'])}(u, v | s)", data


def ident_ar1(rng: np.random.Generator) -> Drawn:
    """ident(f) * ar1(t | s), perhaps with intercepts of s"""
    data = _long(rng)
    data["f"] = rng.integers(0, rng.integers(2, 7), size=len(data["y"]))
    data["y"] = data["y"] * np.exp(rng.normal(0, 0.8, 7))[data["f"]]
    bars = rng.choice(["", " + (1 | s)"])
    return f"y ~ {_fixed(rng, data)}{bars}", "ar1(t | s) * ident(f)", data


def power_ar1(rng: np.random.Generator) -> Drawn:
    """power(v) * ar1(t | s), perhaps with intercepts of s"""
    data = _long(rng)
    data["v"] = np.exp(rng.normal(0, 0.7, size=len(data["y"])))
    data["y"] = data["y"] * data["v"] ** rng.normal(0, 1)
    bars = rng.choice(["", " + (1 | s)"])
    return f"y ~ {_fixed(rng, data)}{bars}", "ar1(t | s) * power(v)", data


def us_by_arm(rng: np.random.Generator) -> Drawn:
    """us(visit | arm / s)"""
    data = _trial(rng, 14, 30)
    data["arm"] = data["s"] % 2
    data["y"] = data["y"] * np.where(data["arm"], rng.uniform(0.3, 1), 1.0)
    return f"y ~ {_fixed(rng, data)} + arm", "us(visit | arm / s)", data


KINDS: dict[str, Draw] = {
    draw.__name__: draw
    for draw in (
        ident,
        ident_many,
        ident_bars,
        ident_many_bars,
        power,
        power_bars,
        ar1,
        ar1_bars,
        car1,
        sp_exp,
        ident_ar1,
        power_ar1,
        us_by_arm,
    )
} | {
    name: _of_visits(name) for name in ("cs", "csh", "ar1h", "toep", "toeph", "ad", "adh", "us")
} | {
    f"{name}_bars": _of_visits(name, 12, crossed=True) for name in ("csh", "ar1h", "toep", "ad", "us")
}  # fmt: skip


@dataclass
class Tally:
    """What one kind came to."""

    designs: int = 0
    misses: int = 0
    no_maximum: int = 0
    at_end: int = 0
    uncertain: int = 0
    refused: int = 0
    worst: float = 0.0
    descents: int = 0
    seconds: float = 0.0


def random_starts(model: BlockModel, rows: Rows, starts: int, rng: np.random.Generator) -> np.ndarray:
    """φ (starts, f): about the first start, θ anywhere."""
    first = next(starts_of(model, rows))
    out = first + rng.choice(SPREADS, size=(starts, 1)) * rng.normal(size=(starts, len(first)))
    q = model.n_theta
    theta = np.exp(rng.normal(-1.0, 1.7, size=(starts, q))) * rng.choice([1.0, -1.0, 0.05], size=(starts, q))
    out[:, :q] = theta
    return np.asarray(out)


def lowest(fit: StructuredFit, rows: Rows, starts: int, rng: np.random.Generator) -> float:
    """The lowest certified end, the structure inside its range, of random starts that go below the fit's."""
    model = BlockModel.of(fit.design, rows, reml=fit.reml)
    evaluate, least = way(model, rows), fit.deviance
    for phi in random_starts(model, rows, starts, rng):
        first = evaluate(phi)
        if np.isfinite(first.deviance):
            end = minimize(evaluate, first, beat=least, give_up=Patience(model, True))
            if end.point.deviance < least and is_certified(model, end):
                least = end.point.deviance
    return least


def run(kind: str, first: int, designs: int, starts: int, seed: int, verbose: bool) -> Tally:
    """Fit the designs of one kind."""
    tally = Tally()
    for number in range(first, first + designs):
        rng = np.random.default_rng([seed, number, *kind.encode()])
        formula, residual, data = KINDS[kind](rng)
        reml = bool(rng.random() < 0.5)
        try:
            design, rows = design_from_formula(formula, data, residual=residual)
            began = time.process_time()
            fit = fit_structured(design, rows, reml=reml, progress=False)
        except DataError:  # no maximum whatever the response, or not identified
            tally.refused += 1
            continue
        assert rows is not None
        tally.seconds += time.process_time() - began
        tally.designs += 1
        tally.descents += fit.optimum.starts
        what, gap = "", 0.0
        if Boundedness(fit.blocks, rows).reason(inside=fit.optimum.converged):
            tally.no_maximum += 1
            what = "no maximum"
        elif not fit.optimum.converged:
            tally.uncertain += 1
            what = "uncertain"
        else:
            tally.at_end += fit.at_end
            gap = fit.deviance - lowest(fit, rows, starts, rng)
            tally.misses += gap > MISS
            tally.worst = max(tally.worst, gap)
        if verbose and (gap > MISS or what == "uncertain"):
            print(
                f"  {kind} {number}: {formula} {residual} n {rows.n} k {fit.n_variances} reml {reml} gap {gap:.5f} "
                f"{what} {fit.optimum.message} starts {fit.optimum.starts}",
                flush=True,
            )
    return tally


def table(rows: list[tuple[str, Tally]], options: argparse.Namespace) -> str:
    """The results in Markdown."""
    lines = [
        describe([presence("henderson")], "1"),
        "",
        f"Seed {options.seed}, designs {options.first} to {options.first + options.designs - 1} of each kind, half by "
        f"REML, against {options.starts} random starts each. A miss: more than {MISS:g} above the lowest certified end "
        "inside the structure's range. Fits that say that there is no maximum, or that they are not certified, are "
        "counted apart and not searched again.",
        "",
        "| kind | model | fits | missed | worst | no maximum | at an end | not certified | refused | descents a fit "
        "| ms a fit |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for kind, t in rows:
        model, n = str(KINDS[kind].__doc__).replace("|", "\\|"), max(t.designs, 1)
        lines.append(
            f"| {kind} | `{model}` | {t.designs} | {t.misses} | {t.worst:.2g} | {t.no_maximum} | {t.at_end} "
            f"| {t.uncertain} | {t.refused} | {t.descents / n:.1f} | {1e3 * t.seconds / n:.1f} |"
        )
    lines += ["", f"{sum(t.misses for _, t in rows)} of {sum(t.designs for _, t in rows)} missed."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print misses by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=60)
    parser.add_argument("--starts", type=int, default=16)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--output", help="name of a file in benchmarks/results/ to write")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = []
    for kind in options.kinds:
        began = time.process_time()
        t = run(kind, options.first, options.designs, options.starts, options.seed, options.verbose)
        found.append((kind, t))
        print(
            f"{kind:16s} {t.misses} of {t.designs} missed, worst {t.worst:.2g}; no maximum {t.no_maximum}, at an end "
            f"{t.at_end}, not certified {t.uncertain}, refused {t.refused}; {t.descents / max(t.designs, 1):.1f} "
            f"descents and {1e3 * t.seconds / max(t.designs, 1):.1f} ms a fit, "
            f"{time.process_time() - began:.0f} s in all",
            flush=True,
        )
    if options.output:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{options.output}.md").write_text(table(found, options))


if __name__ == "__main__":
    main()
