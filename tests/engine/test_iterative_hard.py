"""The rest by iteration where it is hard: few ratings a user, large variances, heavy tails, islands, many factors."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.factor.iterative.rest import Probes
from henderson.engine.factor.iterative.system import IterativeSystem
from henderson.engine.search.monte_carlo import Spread
from henderson.errors import SingularMatrixWarning

#: Monte-Carlo standard errors within which an estimate is to be: seeds are fixed, so this does not fail by chance
SIGMAS = 5.0
#: root mean square of errors over stated ones, and their mean, that 16 seeds allow
HONEST, UNBIASED = (0.6, 1.5), 0.7


class Case(NamedTuple):
    """Rows of crossed factors, and standard deviations of the effects where the residual's is 1."""

    n: int
    levels: tuple[int, ...]
    sd: tuple[float, ...]
    powers: tuple[float, float] = (0.0, 0.0)
    each: int = 0
    islands: int = 1

    def table(self) -> pd.DataFrame:
        """Drawn."""
        rng = np.random.default_rng(4)
        powers = (*self.powers, *([0.0] * (len(self.levels) - 2)))
        codes = []
        for size, power in zip(self.levels, powers):
            weight = np.arange(1.0, size + 1) ** -power
            codes.append(rng.choice(size, self.n, p=weight / weight.sum()))
        if self.each:
            codes[0] = np.arange(self.n) // self.each
        if self.islands > 1:
            stay = rng.random(self.n) > 5e-3
            codes[0][stay] += (codes[1][stay] - codes[0][stay]) % self.islands
            codes[0] %= self.levels[0]
        data = pd.DataFrame({f"f{k}": own for k, own in enumerate(codes)}).assign(x=rng.normal(size=self.n))
        effects = [sd * rng.normal(size=size)[own] for sd, size, own in zip(self.sd, self.levels, codes)]
        return data.assign(y=1 + 0.3 * data["x"] + sum(effects) + rng.normal(size=self.n))


CASES = {
    "heavy tails": Case(2_000, (300, 100), (0.5, 0.5), (1.1, 1.2)),
    "heavy tails, large variances": Case(2_000, (300, 100), (4, 5), (1.2, 1.2)),
    "two ratings a user": Case(600, (300, 100), (0.5, 0.5), each=2),
    "two ratings a user, large variances": Case(600, (300, 100), (4, 5), (0, 0.6), each=2),
    "one rating a user or so": Case(400, (300, 90), (4, 5), (0, 0.6)),
    "islands": Case(1_200, (160, 80), (0.5, 0.5), islands=4),
    "variances near zero and huge": Case(1_500, (200, 80), (0.05, 100)),
    "four factors": Case(1_500, (200, 80, 30, 12), (0.5, 0.4, 0.3, 0.3)),
}


@pytest.mark.parametrize("name", CASES)
def test_it_agrees_with_the_factor_within_its_stated_error(name: str) -> None:
    data = CASES[name].table()
    formula = "y ~ x + " + " + ".join(f"(1 | f{k})" for k in range(len(CASES[name].levels)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularMatrixWarning)
        exact, found = (henderson.lmer(formula, data, rest=rest) for rest in ("exact", "iterative"))
    assert found.converged
    said = found.optinfo["monte_carlo"]
    assert said["share"] < 0.1
    assert abs(found.deviance - exact.deviance) < SIGMAS * said["deviance"] + 1e-6
    for one, other, error in zip(found.engine.lam, exact.engine.lam, found.engine.optimum.monte_carlo.covariances):
        gap = found.sigma**2 * one @ one.T - exact.sigma**2 * other @ other.T
        assert (np.abs(gap) < SIGMAS * error + 1e-5 * (exact.sigma**2 + np.abs(gap + other @ other.T))).all()


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours on a square grid of which every other node is a level of either factor."""
    node = np.arange(size * size).reshape(size, size)
    one = np.concatenate([node[:, :-1].ravel(), node[:-1].ravel()])
    other = np.concatenate([node[:, 1:].ravel(), node[1:].ravel()])
    odd = (one // size + one) % 2 == 1
    return np.where(odd, other, one), np.where(odd, one, other)


GRAPHS = {
    "grid": _grid(16),
    "chain": (np.concatenate([np.arange(120), np.arange(1, 121)]), np.tile(np.arange(120), 2)),
    "two each": (np.repeat(np.arange(150), 2), np.random.default_rng(1).integers(0, 90, 300)),
    "random": tuple(np.random.default_rng(2).integers(0, 60, (2, 600))),
    "nearly apart": tuple(
        np.random.default_rng(3).integers(0, 30, (2, 400)) + 30 * np.repeat([[0, 1]], 200, 1) * [[1], [1]]
    ),
}


@pytest.mark.parametrize(("theta", "tolerance", "seeds"), [(1.0, 1e-6, 8), (3.0, 1e-6, 4), (1.0, 0.1, 4)])
def test_twice_the_stated_error_holds_95_percent(theta: float, tolerance: float, seeds: int) -> None:
    """Graphs times seeds of few probes, as rounds of a search have them; recurrences that end early say what it left.

    `benchmarks.ratings --spread 100` has larger graphs and whole searches."""
    inside = []
    for a, b in GRAPHS.values():
        data = pd.DataFrame({"y": np.random.default_rng(7).normal(size=len(a)), "a": a, "b": b})
        design = design_from_formula("y ~ 1 + (1 | a) + (1 | b)", data)
        exact = Criterion.of(*design, rest="exact").at(np.full(2, theta)).deviance
        iterated = Criterion.of(*design, rest="iterative")
        system = iterated.system
        assert isinstance(system, IterativeSystem)
        for seed in range(seeds):
            first = system.with_probes(Probes(4, 10_000 * seed + 10)).factor([np.full((1, 1), theta)] * 2).rest
            probes = replace(first.refreshed(), count=8, tolerance=tolerance)
            point = replace(iterated, system=system.with_probes(probes)).at(np.full(2, theta))
            error = Spread.of(point, np.eye(2) * 1e6).deviance
            inside.append(abs(point.deviance - exact) < 2 * error)
    assert np.mean(inside) >= 0.95


def test_slow_directions_are_not_those_of_the_same_signs() -> None:
    """Searches by 20 seeds (`benchmarks.ratings --spread`, the hardest case) were off by 0.85 stated errors on average
    where the signs that had shown the directions went on; by 0.2 with others."""
    case = CASES["two ratings a user, large variances"]
    engine = henderson.lmer("y ~ x + (1 | f0) + (1 | f1)", case.table(), rest="exact").engine
    exact, lam = engine.at_optimum().factor.log_det, engine.at_optimum().lam
    system = IterativeSystem(engine.criterion.system.cross, engine.criterion.blocks)
    errors = []
    for seed in range(16):
        first = Probes(16, 40 * seed)
        probes = system.with_probes(first).factor(lam).rest.refreshed()
        assert probes.slow is not None
        assert probes.slow.shape[1] > 1
        assert probes.seed != first.seed
        factor = system.with_probes(probes).factor(lam)
        own = factor.rest.probed.log_det
        errors.append((factor.log_det - exact) / (own.std(ddof=1) * np.sqrt(15 / 13 / 16)))
    assert HONEST[0] < np.sqrt(np.mean(np.square(errors))) < HONEST[1]
    assert abs(np.mean(errors)) < UNBIASED
    few = system.with_probes(Probes(8)).factor([0.1 * one for one in lam]).rest
    assert few.refreshed().seed == few.probes.seed  # nothing was found: the signs go on
