"""Do prediction intervals cover? Six designs, 5 to 50 groups, levels that were fitted and new ones.

For every design and number of groups, data sets are drawn and fitted, and in each the 95 % intervals of four targets
are asked: the mean of a fitted level, a new observation of it, the mean of a new level, a new observation of that.
The truth given the data is normal, with known mean and variance, so that each interval has a probability and no draw.
Three ways: Henderson's default (Satterthwaite), Kenward and Roger's, and with the variances taken as known (normal
quantiles), which is what a plug-in standard error gives. The mean over rows and data sets is the coverage; its
Monte-Carlo error comes from the data sets, which are independent, and not from the rows. Data sets are drawn until
that error is small for the first two ways.

    python -m benchmarks.prediction_coverage [--error 0.35] [--designs 'one-way;crossed'] [--groups 5,10]
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtr

import henderson

RESULTS = Path(__file__).parent / "results" / "prediction_coverage.md"
GROUPS = (5, 10, 20, 50)
#: rows of each data set at which predictions are asked
ASKED = 20
#: data sets between two looks at the Monte-Carlo error, which share their rows' design; the fewest, the most
BATCH, FEWEST, MOST = 50, 200, 5000
WAYS = {
    "default": ("satterthwaite", {}),
    "Kenward–Roger": ("kenward-roger", {}),
    "variances known": ("satterthwaite", {"variance_uncertainty": False}),
}
TARGETS = ("fitted level, mean", "fitted level, observation", "new level, mean", "new level, observation")


@dataclass(frozen=True)
class Design:
    """A design: its formula, rows for J groups, and the standard deviations (columns of one level's effects)."""

    formula: str
    rows: Callable[[int, np.random.Generator], pd.DataFrame]
    effects: dict[str, tuple[tuple[str, float], ...]]


def _one_way(J: int, rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame({"g": np.repeat(np.arange(J), 5), "x": rng.normal(size=5 * J)})


def _unbalanced(J: int, rng: np.random.Generator) -> pd.DataFrame:
    g = np.repeat(np.arange(J), rng.integers(1, 12, J))
    return pd.DataFrame({"g": g, "x": rng.normal(size=len(g))})


def _visits(J: int, rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame({"g": np.repeat(np.arange(J), 8), "x": np.tile(np.linspace(0, 1, 8), J)})


def _dropout(J: int, rng: np.random.Generator) -> pd.DataFrame:
    rows = _visits(J, rng)
    last = rng.integers(3, 9, J)
    return rows[np.tile(np.arange(8), J) < last[rows.g]].reset_index(drop=True)


def _crossed(J: int, rng: np.random.Generator) -> pd.DataFrame:
    rows = pd.DataFrame({"g": np.repeat(np.arange(J), 12), "h": np.tile(np.arange(12), J)})
    return rows.assign(x=rng.normal(size=len(rows)))


def _nested(J: int, rng: np.random.Generator) -> pd.DataFrame:
    rows = pd.DataFrame({"g": np.repeat(np.arange(J), 12), "h": np.repeat(np.arange(4 * J), 3)})
    return rows.assign(x=rng.normal(size=len(rows)))


DESIGNS = {
    "one-way": Design("y ~ x + (1 | g)", _one_way, {"g": (("one", 1.0),)}),
    "unbalanced": Design("y ~ x + (1 | g)", _unbalanced, {"g": (("one", 0.7),)}),
    "slopes": Design("y ~ x + (x | g)", _visits, {"g": (("one", 1.0), ("x", 2.0))}),
    "slopes, dropout": Design("y ~ x + (x | g)", _dropout, {"g": (("one", 1.0), ("x", 2.0))}),
    "crossed": Design("y ~ x + (1 | g) + (1 | h)", _crossed, {"g": (("one", 1.0),), "h": (("one", 0.7),)}),
    "nested": Design("y ~ x + (1 | g) + (1 | h)", _nested, {"g": (("one", 1.0),), "h": (("one", 0.7),)}),
}


def coverage(design: Design, J: int, error: float, seed: int) -> dict[tuple[str, str], np.ndarray]:
    """Probability of every interval to cover, given the data; means over the asked rows of every data set, (sets,)."""
    rng = np.random.default_rng([seed, J])
    found: dict[tuple[str, str], list[float]] = {(target, way): [] for target in TARGETS for way in WAYS}
    fit = None
    for s in range(MOST):
        if s % BATCH == 0:
            if s >= FEWEST and max(_error(found[target, way]) for target in TARGETS for way in list(WAYS)[:2]) <= error:
                break
            rows, fit = design.rows(J, rng).assign(one=1.0), None
            known = Known.of(design, rows)
        y = _fixed(rows) + known.Z @ rng.normal(size=known.Z.shape[1]) + rng.normal(size=len(rows))
        fit = henderson.lmer(design.formula, rows.assign(y=y)) if fit is None else fit.refit(y)
        which = rng.integers(0, len(rows), ASKED)
        asked = rows.iloc[which].reset_index(drop=True)
        new = asked.assign(**{g: rows[g].max() + 1 + np.arange(ASKED) for g in design.effects})
        at = pd.concat([asked, new], ignore_index=True)
        middle, variance = known.given(y - _fixed(rows), which)
        middle += _fixed(at)
        for way, (ddf, options) in WAYS.items():
            results = fit.with_inference(ddf=ddf)
            for interval, what in (("confidence", "mean"), ("prediction", "observation")):
                table = results.predict(at, re="all", interval=interval, new_levels="population", **options)
                sd = np.sqrt(variance + (interval == "prediction"))
                inside = ndtr((table["upper"] - middle) / sd) - ndtr((table["lower"] - middle) / sd)
                found[f"fitted level, {what}", way].append(inside[:ASKED].mean())
                found[f"new level, {what}", way].append(inside[ASKED:].mean())
    return {one: np.array(shares) for one, shares in found.items()}


def _error(shares: list[float] | np.ndarray) -> float:
    """Monte-Carlo error of their mean, per cent."""
    return float(100 * np.std(shares) / np.sqrt(len(shares)))


@dataclass(frozen=True)
class Known:
    """What is true of the effects given the data: b | y is normal.

    Attributes
    ----------
    Z : (n, Q) array
        Of effects with unit variance.
    gain : (Q, n) array
        Z'V⁻¹, V = ZZ' + I.
    left : (Q, Q) array
        Var(b | y).
    """

    Z: np.ndarray
    gain: np.ndarray
    left: np.ndarray

    @classmethod
    def of(cls, design: Design, rows: pd.DataFrame) -> Known:
        parts = [
            sd * rows[c].to_numpy()[:, None] * (rows[g].to_numpy()[:, None] == np.arange(rows[g].max() + 1))
            for g, columns in design.effects.items()
            for c, sd in columns
        ]
        Z = np.concatenate(parts, axis=1)
        gain = np.linalg.solve(Z @ Z.T + np.eye(len(Z)), Z).T
        return cls(Z, gain, np.eye(Z.shape[1]) - gain @ Z)

    def given(self, error: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the effects' part, of some rows and then of the same rows with new levels."""
        z = self.Z[which]
        own = np.einsum("ia,ab,ib->i", z, self.left, z)
        return np.append(z @ (self.gain @ error), np.zeros(len(z))), np.append(own, (z**2).sum(axis=1))


def _fixed(rows: pd.DataFrame) -> np.ndarray:
    return 1.0 + 0.5 * rows["x"].to_numpy()


def summary(shares_of: dict[tuple[str, str], list[float]]) -> str:
    """How many designs lie between 94 and 96 %, and the extremes."""
    head = f"| between 94 and 96 (lowest, highest) | {' | '.join(WAYS)} |\n|---|{'---|' * len(WAYS)}\n"
    lines = []
    for target in TARGETS:
        cells = [shares_of[target, way] for way in WAYS]
        texts = (f"{sum(94 <= c <= 96 for c in own)} of {len(own)} ({min(own)}, {max(own)})" for own in cells)
        lines.append(f"| {target} | {' | '.join(texts)} |\n")
    return head + "".join(lines)


def main() -> None:
    """Run the study and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--error", type=float, default=0.35, help="Monte-Carlo error to reach, per cent")
    parser.add_argument("--designs", default=";".join(DESIGNS))
    parser.add_argument("--groups", default=",".join(map(str, GROUPS)))
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    names = [name for name in DESIGNS if name in asked.designs.split(";")]
    lines, shares_of = [], {(target, way): [] for target in TARGETS for way in WAYS}
    for name in names:
        for J in map(int, asked.groups.split(",")):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # singular fits belong to the study
                found = coverage(DESIGNS[name], J, asked.error, list(DESIGNS).index(name))
            for target in TARGETS:
                cells = [found[target, way] for way in WAYS]
                shares = " | ".join(f"{100 * cell.mean():.1f}" for cell in cells)
                for way, cell in zip(WAYS, cells):
                    shares_of[target, way].append(round(100 * cell.mean(), 1))
                lines.append(
                    f"| {name} | {J} | {target} | {shares} | {max(map(_error, cells)):.1f} | {len(cells[0])} |"
                )
                print(lines[-1], flush=True)
    head = f"| design | groups | what | {' | '.join(WAYS)} | Monte-Carlo error | data sets |\n|---|--:|---|"
    head += "--:|" * (len(WAYS) + 2)
    asked.out.write_text(
        "# Coverage of 95 % intervals for predictions\n\n"
        "Data sets of each design until the Monte-Carlo error of what Henderson's ways cover is at most "
        f"{asked.error}, {ASKED} rows of each;\nnumbers are per cent. Written by "
        "`python -m benchmarks.prediction_coverage`, which says\n"
        "what is drawn and asked.\n\n" + summary(shares_of) + f"\n{head}\n" + "\n".join(lines) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
