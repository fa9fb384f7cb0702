"""Whether the Monte-Carlo errors that a fit by iteration states are those that it makes, by seeds of its probes.

Small cases of `ratings`, each fitted by the factor once and by iteration with every seed. An error over what was stated
of it has a root mean square of one if the statement is honest.
"""

from __future__ import annotations

import numpy as np

from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.factor.iterative.rest import Probes
from henderson.engine.factor.iterative.system import FIRST, IterativeSystem
from henderson.engine.search.by_probes import search_by_probes
from henderson.engine.search.monte_carlo import Spread
from henderson.engine.search.search import search

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
NOTE = (
    "{} seeds; error: distance from the factor's deviance, and from its θ. made/stated: root mean square of error over "
    "stated error (θ: all parameters together). ± θ / se: stated error over standard error, largest parameter."
)
#: between the seeds of two fits
STEP = 17


def spread(seeds: int) -> list[dict[str, str]]:
    """A line for each case."""
    lines = []
    for name, how in CASES.items():
        lines.append({"": name, **_line(how, seeds)})
        print(lines[-1], flush=True)
    return lines


def _line(how: Ratings, seeds: int) -> dict[str, str]:
    exact = Criterion.of(*design_from_formula(how.formula, make(how)), rest="exact")
    best = search(exact).optimum.point
    se = np.sqrt(np.linalg.inv(best.hessian_model).diagonal() * 2)
    deviance, theta, stated, probes, steps = [], [], [], [], []
    for seed in range(seeds):
        system = IterativeSystem(exact.system.cross, exact.blocks, Probes(FIRST, 1 + STEP * seed))
        found = search_by_probes(Criterion(system, exact.basis, exact.reml))
        said, point = found.monte_carlo, found.optimum.point
        assert said is not None
        error = np.sqrt(Spread.of(point, point.hessian_model).theta.diagonal())
        deviance.append((point.deviance - best.deviance) / said.deviance)
        theta.append((point.theta - best.theta) / error)
        stated.append((said.deviance, (error / se).max()))
        probes.append(said.probes)
        steps.append(said.steps)
    return {
        "ratings": f"{how.n:,}",
        "probes": f"{min(probes)}" if min(probes) == max(probes) else f"{min(probes)}–{max(probes)}",
        "steps": str(max(steps)),
        "± deviance, median": f"{np.median([one for one, _ in stated]):.2g}",
        "deviance made/stated": f"{np.sqrt(np.mean(np.square(deviance))):.2f}",
        "mean of error/stated": f"{np.mean(deviance):.2f}",
        "θ made/stated": f"{np.sqrt(np.mean(np.square(theta))):.2f}",
        "± θ / se": f"{max(one for _, one in stated):.1g}",
    }
