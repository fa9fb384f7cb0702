"""The level of log|C| from better probes: its pieces against dense algebra, its error, and what it leaves as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import linalg

import henderson
from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.factor.iterative.level import level_at, square_left
from henderson.engine.factor.iterative.probed import orthonormal
from henderson.engine.factor.iterative.rest import Probes
from henderson.engine.factor.iterative.scaled import Projected
from henderson.engine.factor.iterative.sparse_inverse import ByInverse
from henderson.engine.factor.iterative.system import IterativeSystem
from henderson.engine.search.monte_carlo import BELOW, Spread

#: of dense algebra with matrices of condition 1e3
EXACT = 1e-10
#: of central differences with steps of 1e-4
DIFFERENCES = 1e-6
#: rows of the graphs
N = 400


def _graph(kind: str) -> pd.DataFrame:
    rng, j = np.random.default_rng(5), np.arange(N // 2)
    a, b = {
        "two ratings a user": (np.repeat(j, 2), rng.integers(0, 70, N)),
        "chain": (np.concatenate([j, j + 1]), np.concatenate([j, j])),
    }[kind]
    return pd.DataFrame({"a": a, "b": b, "x": rng.normal(size=N), "y": rng.normal(size=N)})


#: model, table, and the effects' standard deviations over the residual's
CASES = {
    "two ratings a user": ("y ~ x + (1 | a) + (1 | b)", "two ratings a user", [4.0, 5.0]),
    "chain": ("y ~ x + (1 | a) + (1 | b)", "chain", [2.0, 2.0]),
    "slopes": ("y ~ x + (1 | a) + (x | b)", "two ratings a user", [4.0, 3.0, 0.5, 2.0]),
    "a variance of zero": ("y ~ x + (1 | a) + (x || b)", "two ratings a user", [4.0, 3.0, 0.0]),
}


class Levelled:
    """A criterion by probes at one θ, without a level and with one."""

    def __init__(self, name: str) -> None:
        formula, graph, theta = CASES[name]
        design = design_from_formula(formula, _graph(graph))
        self.exact = Criterion.of(*design, rest="exact")
        iterated = Criterion.of(*design, rest="iterative")
        self.theta, system = np.array(theta), iterated.system
        assert isinstance(system, IterativeSystem)
        self.iterated, self.system = iterated, system
        self.raw = self._with(replace(iterated.at(self.theta).factor.rest.refreshed(), count=8))
        self.before = self.raw.at(self.theta)

    def _with(self, probes: Probes) -> Criterion:
        return replace(self.iterated, system=self.system.with_probes(probes))

    def levelled(self, enough: float = 0.1) -> Criterion:
        """The same probes, with a level."""
        return self._with(self.before.factor.rest.levelled(enough, BELOW))


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest) -> Levelled:
    return Levelled(request.param)


def test_the_sparse_inverse(case: Levelled) -> None:
    scaled = case.before.factor.rest.scaled
    C = scaled.matrix()
    y = np.random.default_rng(1).normal(size=(len(C.toarray()), 3))
    np.testing.assert_allclose(C @ y, _times_C(scaled, y), rtol=0, atol=EXACT * np.abs(C.toarray()).max())
    by, G = ByInverse(C), ByInverse(C).G.toarray()
    whole = G @ C @ G.T
    np.testing.assert_allclose(whole.diagonal(), 1.0, atol=EXACT)
    assert by.log_det + np.linalg.slogdet(whole)[1] == pytest.approx(np.linalg.slogdet(C.toarray())[1], rel=EXACT)
    np.testing.assert_allclose(by.product(by.images(y)), whole @ y, atol=EXACT)
    np.testing.assert_allclose(G.T @ by.lead_to(y), y, atol=EXACT)
    assert by.square() == pytest.approx(np.square(whole).sum(), rel=EXACT)


def _times_C(scaled, y: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]  # by products alone
    lam = linalg.block_diag(*(own for block in scaled.lam for own in block.transpose(2, 0, 1)))
    return lam.T @ scaled.schur_times(lam @ y)[0] + y


def test_the_square_of_what_is_left(case: Levelled) -> None:
    by = ByInverse(case.before.factor.rest.scaled.matrix())
    slow = orthonormal(np.random.default_rng(2).normal(size=(len(by.root), 4)))
    left = Projected(by, slow)
    whole = by.G.toarray() @ by.C.toarray() @ by.G.toarray().T
    away = np.eye(len(whole)) - slow @ slow.T
    E = whole - left.AU @ left.M_inverse @ left.AU.T - away
    assert square_left(left, by.square()) == pytest.approx(np.trace(E @ E), rel=1e-9)
    assert left.trace == pytest.approx(np.trace(E), rel=1e-9)


def test_it_is_known_better_and_its_error_is_stated(case: Levelled) -> None:
    exact, point = case.exact.at(case.theta).deviance, case.levelled().at(case.theta)
    error, before = (Spread.of(one, 1e6 * np.eye(len(case.theta))).deviance for one in (point, case.before))
    assert abs(point.deviance - exact) < 2.5 * error
    assert error < min(0.25 * before, 0.1 + 1e-9)


def test_it_moves_no_gradient(case: Levelled) -> None:
    criterion = case.levelled()
    np.testing.assert_array_equal(criterion.at(case.theta).gradient, case.before.gradient)
    if (case.theta == 0).any():
        return
    theta = case.theta * 1.1
    steps = 1e-4 * np.eye(len(theta))
    slope = [(criterion.at(theta + h).deviance - criterion.at(theta - h).deviance) / 2e-4 for h in steps]
    np.testing.assert_allclose(criterion.at(theta).gradient, slope, rtol=DIFFERENCES, atol=1e-5)


def test_errors_by_many_seeds() -> None:
    """Twice what is stated holds 95 %, where what is left for probes is largest."""
    rest = Levelled("chain").before.factor.rest
    exact = np.linalg.slogdet(rest.scaled.matrix().toarray())[1]
    levels = [level_at(rest.operator, rest.probed.log_det, seed, 1e-6, 1.0, BELOW) for seed in range(40)]
    assert np.mean([abs(level.value - exact) < 2 * level.error for level in levels]) >= 0.95


def test_a_fit_has_it_where_few_probes_leave_much(tmp_path: Path) -> None:
    """Two ratings a user and large variances: 64 probes left ±0.2, 8 and a level leave a tenth."""
    data, rng = _graph("two ratings a user"), np.random.default_rng(3)
    data["y"] += 4 * rng.normal(size=N)[data["a"]] + 5 * rng.normal(size=N)[data["b"]]
    fits = {rest: henderson.lmer(CASES["chain"][0], data, rest=rest) for rest in ("exact", "iterative")}
    found, said = fits["iterative"], fits["iterative"].optinfo["monte_carlo"]
    assert found.converged
    assert said["probes"] == 8
    assert said["level_probes"] >= 32
    assert said["deviance"] < 0.05
    assert abs(found.deviance - fits["exact"].deviance) < 2 * said["deviance"]
    assert f"(and {said['level_probes']} more at the optimum)" in str(found.summary())
    found.save(tmp_path / "fit.henderson")
    again = henderson.load(tmp_path / "fit.henderson")
    assert again.engine.at_optimum().deviance == pytest.approx(found.deviance, rel=1e-12)
