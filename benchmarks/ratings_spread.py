"""Whether the Monte-Carlo errors that a fit by iteration states are those that it makes, by seeds of its probes.

Small cases of `ratings` and graphs of `sparse_graphs`, each fitted by the factor once and by iteration with every seed.
If the statement is honest, 95 % of the errors are below twice what was stated of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.factor.iterative.rest import Probes
from henderson.engine.factor.iterative.system import FIRST, IterativeSystem
from henderson.engine.search.by_probes import search_by_probes
from henderson.engine.search.monte_carlo import Spread
from henderson.engine.search.search import search

from . import sparse_graphs
from .ratings import Ratings, make

CASES = {
    "plain": Ratings(20_000, 2_000, 600),
    "heavy tails": Ratings(20_000, 2_000, 600, 1.1, 1.2),
    "heavy tails, variances 16 and 25": Ratings(20_000, 2_000, 600, 1.2, 1.2, sd=(4, 5)),
    "two ratings a user": Ratings(4_000, 2_000, 600, each=2),
    "two ratings a user, variances 16 and 25": Ratings(4_000, 2_000, 600, sd=(4, 5), each=2),
    "four islands, nearly apart": Ratings(12_000, 1_200, 600, islands=4),
    "three factors": Ratings(20_000, 2_000, 600, more=(100,)),
    "four factors": Ratings(20_000, 2_000, 600, more=(100, 60)),
    "slopes": Ratings(20_000, 1_000, 400, slopes=0.3),
}
#: graphs, levels of a factor, and what their effects are multiplied by
GRAPHS = {
    "square grid": ("square grid", 1_250, 1.0),
    "square grid, variances 16": ("square grid", 1_250, 4.0),
    "one chain": ("one chain", 1_000, 1.0),
    "one chain, variances 16": ("one chain", 1_000, 4.0),
    "random tree": ("random tree", 1_000, 1.0),
    "chains of 45 at a core": ("chains of 45 at a core", 1_000, 1.0),
}
NOTE = (
    "{} seeds; error: distance from the factor's deviance, and from its θ. made/stated: root mean square of error over "
    "stated error (θ: all parameters together). within two: errors below twice what was stated, the deviance's and all "
    "parameters'. ± θ / se: stated error over standard error, largest parameter."
)
#: between the seeds of two fits
STEP = 17


def spread(seeds: int) -> list[dict[str, str]]:
    """A line for each case."""
    lines = []
    for name, (formula, data) in {**_ratings(), **_graphs()}.items():
        lines.append({"": name, **_line(formula, data, seeds)})
        print(lines[-1], flush=True)
    return lines


def _ratings() -> dict[str, tuple[str, pd.DataFrame]]:
    return {name: (how.formula, make(how)) for name, how in CASES.items()}


def _graphs() -> dict[str, tuple[str, pd.DataFrame]]:
    made = {name: sparse_graphs.make(graph, n, times) for name, (graph, n, times) in GRAPHS.items()}
    return {name: (sparse_graphs.FORMULA, data) for name, data in made.items()}


def _line(formula: str, data: pd.DataFrame, seeds: int) -> dict[str, str]:
    design = design_from_formula(formula, data)
    best = search(Criterion.of(*design, rest="exact")).optimum.point
    iterated = Criterion.of(*design, rest="iterative")
    system = iterated.system
    assert isinstance(system, IterativeSystem)
    se = np.sqrt(np.linalg.inv(best.hessian_model).diagonal() * 2)
    deviance, theta, stated, probes, steps = [], [], [], [], []
    for seed in range(seeds):
        found = search_by_probes(replace(iterated, system=system.with_probes(Probes(FIRST, 1 + STEP * seed))))
        said, point = found.monte_carlo, found.optimum.point
        assert said is not None
        error = np.sqrt(Spread.of(point, point.hessian_model).theta.diagonal())
        deviance.append((point.deviance - best.deviance) / said.deviance)
        theta.append((point.theta - best.theta) / error)
        stated.append((said.deviance, (error / se).max()))
        probes.append(said.probes)
        steps.append(said.steps)
    return {
        "rows": f"{len(data):,}",
        "probes": f"{min(probes)}" if min(probes) == max(probes) else f"{min(probes)}–{max(probes)}",
        "steps": str(max(steps)),
        "± deviance, median": f"{np.median([one for one, _ in stated]):.2g}",
        "deviance made/stated": f"{np.sqrt(np.mean(np.square(deviance))):.2f}",
        "within two": f"{np.mean(np.abs(deviance) < 2):.0%}",
        "mean of error/stated": f"{np.mean(deviance):.2f}",
        "θ made/stated": f"{np.sqrt(np.mean(np.square(theta))):.2f}",
        "θ within two": f"{np.mean(np.abs(theta) < 2):.0%}",
        "± θ / se": f"{max(one for _, one in stated):.1g}",
    }
