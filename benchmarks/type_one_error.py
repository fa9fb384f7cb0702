"""`python -m benchmarks.type_one_error`: how often tests of a true null reject at 5 %, on small designs.

Responses are drawn under the null from each design's own model; each is fitted by REML and the null tested
by z, Satterthwaite and Kenward–Roger. A test that holds its level rejects in 5 % of the replicates, give or
take the Monte Carlo error √(0.05 · 0.95 / n). Writes results/type_one_error.md and its figure in docs/.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import machine
from .__main__ import RESULTS
from .peers import presence, quiet
from .problems import effects
from .table import markdown

FIGURE = Path(__file__).parent.parent / "docs" / "figures" / "type_one_error.png"

METHODS = {"asymptotic": "z", "satterthwaite": "Satterthwaite", "kenward-roger": "Kenward–Roger"}

Simulate = Callable[[np.random.Generator, pd.DataFrame], np.ndarray]


@dataclass(frozen=True)
class Study:
    """A design, its null model and the coefficient that is truly zero.

    Attributes
    ----------
    title, formula, coefficient : str
    table : pandas.DataFrame
        Everything but the response `y`.
    simulate : function
        Random generator and table → response under the null, (n,).
    """

    title: str
    formula: str
    coefficient: str
    table: pd.DataFrame
    simulate: Simulate


def grid(**levels: int) -> pd.DataFrame:
    """All combinations of integer codes, the last factor running fastest."""
    index = np.indices(tuple(levels.values())).reshape(len(levels), -1)
    return pd.DataFrame(dict(zip(levels, index)))


def split_plot() -> Study:
    """Two treatments of three whole plots each, four subplots in a plot; the treatment does nothing."""
    table = grid(plot=6, b=4)
    table["a"] = np.where(table["plot"] < 3, -0.5, 0.5)

    def simulate(rng: np.random.Generator, table: pd.DataFrame) -> np.ndarray:
        return rng.standard_normal(6)[table["plot"]] + rng.standard_normal(len(table))

    return Study("split plot, 3 + 3 whole plots", "y ~ a + C(b) + (1 | plot)", "a", table, simulate)


def random_slope() -> Study:
    """Six groups of ten rows whose slopes vary about zero."""
    table = grid(g=6, k=10)
    table["x"] = (table["k"] - 4.5) / 3

    def simulate(rng: np.random.Generator, table: pd.DataFrame) -> np.ndarray:
        b = effects(rng, 6, np.array([[1.0, 0.0], [0.2, 0.6]]))[table["g"]]
        return b[:, 0] + b[:, 1] * table["x"].to_numpy() + rng.standard_normal(len(table))

    return Study("slope over 6 groups", "y ~ x + (x | g)", "x", table, simulate)


def crossed() -> Study:
    """Eight subjects see six items, three of each kind; the kind does nothing."""
    table = grid(subject=8, item=6)
    table["kind"] = np.where(table["item"] < 3, -0.5, 0.5)

    def simulate(rng: np.random.Generator, table: pd.DataFrame) -> np.ndarray:
        subject, item = rng.standard_normal(8), 0.8 * rng.standard_normal(6)
        return subject[table["subject"]] + item[table["item"]] + rng.standard_normal(len(table))

    formula = "y ~ kind + (1 | subject) + (1 | item)"
    return Study("8 subjects × 6 items, 3 + 3 items", formula, "kind", table, simulate)


def unbalanced() -> Study:
    """Seven groups of 2 to 12 rows, a covariate that varies mostly between them and does nothing."""
    sizes = np.array([2, 3, 4, 6, 8, 10, 12])
    group = np.repeat(np.arange(7), sizes)
    within = np.random.default_rng(20_240_109).standard_normal(sizes.sum())
    x = np.array([-1.2, 0.4, 1.1, -0.3, 0.9, -0.7, 0.2])[group] + 0.3 * within
    table = pd.DataFrame({"g": group, "x": x})

    def simulate(rng: np.random.Generator, table: pd.DataFrame) -> np.ndarray:
        return rng.standard_normal(7)[table["g"]] + rng.standard_normal(len(table))

    return Study("7 unequal groups, covariate between", "y ~ x + (1 | g)", "x", table, simulate)


STUDIES = (split_plot, random_slope, crossed, unbalanced)


def p_values(study: Study, replicates: int, seed: int) -> pd.DataFrame:
    """Each method's p-value in each replicate, (replicates, 3)."""
    from henderson import lmer

    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(replicates):
        data = study.table.assign(y=study.simulate(rng, study.table))
        result = lmer(study.formula, data)
        rows.append([p_value(result, method, study.coefficient) for method in METHODS])
    return pd.DataFrame(rows, columns=list(METHODS))


def p_value(result: Any, method: str, coefficient: str) -> float:
    return float(result.with_inference(ddf=method).coef_table.loc[coefficient, "p"])


def summarise(study: Study, p: pd.DataFrame) -> dict[str, Any]:
    """Share of replicates that reject, where the p-value exists, and how many have none."""
    rate = {method: float((p[method] < 0.05).sum() / p[method].notna().sum()) for method in METHODS}
    without = {method: int(p[method].isna().sum()) for method in METHODS}
    return {"design": study.title, "formula": study.formula, "n": len(p), "rate": rate, "without": without}


def draw(found: Sequence[dict[str, Any]]) -> None:
    """Rejection rates with their Monte Carlo 95 % intervals, the nominal level a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 0.9 + 0.75 * len(found)), layout="constrained")
    colours = {"asymptotic": "#c44e52", "satterthwaite": "#4c72b0", "kenward-roger": "#2a7f3f"}
    for shift, (method, label) in zip((0.2, 0.0, -0.2), METHODS.items()):
        rate = np.array([study["rate"][method] for study in found])
        error = 1.96 * np.sqrt(rate * (1 - rate) / np.array([study["n"] for study in found]))
        place = np.arange(len(found))[::-1] + shift
        axes.errorbar(100 * rate, place, xerr=100 * error, fmt="o", color=colours[method], label=label, capsize=3)
    axes.axvline(5, color="0.4", linewidth=1, linestyle="--")
    axes.set_yticks(np.arange(len(found))[::-1], [study["design"] for study in found])
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.set_xlim(left=0)
    axes.set_xlabel("rejections of a true null hypothesis at 5 %, in %")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, dpi=150)


def page(found: Sequence[dict[str, Any]]) -> str:
    n = min(study["n"] for study in found)
    error = 100 * np.sqrt(0.05 * 0.95 / n)
    rows = [
        [s["design"], f"`{s['formula']}`".replace("|", "\\|"), *(f"{100 * s['rate'][m]:.1f}" for m in METHODS)]
        for s in found
    ]
    without = [f"{s['design']}, {METHODS[m]}: {k}" for s in found for m, k in s["without"].items() if k]
    notes = "\n\nReplicates without a p-value: " + "; ".join(without) + "." if without else ""
    return (
        f"{machine.describe([presence('henderson')], '1')}\n\n"
        f"Rejections in % of {n} replicates under the null; nominal 5, Monte Carlo error {error:.2f}.\n\n"
        + markdown(rows, ["design", "model", *METHODS.values()]) + notes + "\n"
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.type_one_error", description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=4000, help="of each design (4000)")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    quiet()
    found = []
    for number, make in enumerate(STUDIES):
        study = make()
        found.append(summarise(study, p_values(study, chosen.replicates, chosen.seed + number)))
        print(found[-1], flush=True)
    draw(found)
    text = page(found)
    (RESULTS / "type_one_error.md").write_text(text)
    (RESULTS / "type_one_error.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print("\n" + text)


if __name__ == "__main__":
    main()
