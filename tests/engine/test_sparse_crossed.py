"""Crossed effects whose equations stay sparse: the same numbers as by dense matrices, and chosen where they serve."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import henderson
from henderson.design.from_formula import design_from_formula
from henderson.engine.criterion import Criterion
from henderson.engine.deletion import fit_without
from henderson.engine.factor.iterative import choice
from henderson.engine.factor.iterative.choice import warn_if_sparse
from henderson.engine.factor.sparse.crossed import crossed_system, without_front
from henderson.engine.factor.sparse.system import SparseSystem
from henderson.engine.factor.system import System
from henderson.engine.moments_at import moments_at
from henderson.engine.row_forms import row_forms
from henderson.errors import ApproximationWarning
from henderson.numerics.sparse.rounds import by_rounds
from henderson.numerics.sparse.tree import fronts_of, heights, minimum_degree

#: both are exact: sums in another order
SAME = 1e-9
#: second traces, and what degrees of freedom make of them, are differences of exact first traces
DIFFERENCES = 1e-6


def chain(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Level j of b is shared by levels j and j + 1 of a."""
    j = np.arange(n)
    return np.concatenate([j, j + 1]), np.concatenate([j, j])


def ring(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A chain whose ends meet."""
    a, b = chain(n)
    return a % n, b


def tree(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels of b meet one of a drawn at random, those of a one of b."""
    rng = np.random.default_rng(1)
    up = [int(rng.integers(k + 1)) for k in range(n - 1)]
    return np.concatenate([up, np.arange(n)]), np.concatenate([np.arange(n - 1), [0, *up]])


def pieces(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Twelve levels of each factor that meet at random, n // 12 times."""
    rng = np.random.default_rng(2)
    at = np.repeat(np.arange(n // 12), 40) * 12
    return at + rng.integers(0, 12, len(at)), at + rng.integers(0, 12, len(at))


def hub(n: int) -> tuple[np.ndarray, np.ndarray]:
    """One level of a meets all of b, the others one or two."""
    rng = np.random.default_rng(3)
    return np.concatenate([np.zeros(n, int), np.repeat(np.arange(1, 2 * n), 2)]), np.concatenate(
        [np.arange(n), rng.integers(0, n, 4 * n - 2)]
    )


def chains_at_a_core(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A core in which all meet, and chains of six that hang from it."""
    rng = np.random.default_rng(4)
    a, b = [rng.integers(0, 10, 150)], [rng.integers(0, 10, 150)]
    size = 10
    for _ in range(n // 6):
        own, first = size + np.arange(6), rng.integers(10)
        a += [own, np.concatenate([[first], own[:-1]])]
        b += [own, own]
        size += 6
    return np.concatenate(a), np.concatenate(b)


GRAPHS: dict[str, Callable[[int], tuple[np.ndarray, np.ndarray]]] = {
    "chain": chain,
    "ring": ring,
    "tree": tree,
    "pieces": pieces,
    "hub": hub,
    "chains at a core": chains_at_a_core,
}


def table(graph: str, n: int = 48) -> pd.DataFrame:
    """Three rows wherever two levels meet."""
    rng = np.random.default_rng(0)
    a, b = (np.repeat(one, 3) for one in GRAPHS[graph](n))
    data = pd.DataFrame({"a": a, "b": b, "x": rng.normal(size=len(a)), "w": rng.uniform(0.5, 2.0, len(a))})
    u, v, s = (rng.normal(size=(1 + max(a.max(), b.max()), 3)) * [2.0, 1.0, 0.7]).T
    return data.assign(y=1 + data["x"] * (1 + s[a]) + u[a] + v[b] + rng.normal(size=len(a)) / np.sqrt(data["w"]))


MODELS = [(graph, "y ~ x + (1 | a) + (1 | b)") for graph in GRAPHS] + [("tree", "y ~ x + (x | a) + (1 | b)")]


@pytest.mark.parametrize(("graph", "formula"), MODELS)
def test_the_criterion_is_that_of_dense_matrices(graph: str, formula: str) -> None:
    design, rows = design_from_formula(formula, table(graph), weights="w")
    dense = Criterion.of(design, rows, rest="exact")
    system = crossed_system(dense.system.cross, dense.blocks, np.inf)
    assert type(dense.system) is System
    assert isinstance(system, SparseSystem)
    found = Criterion(system, dense.basis, True)
    theta = np.linspace(0.4, 1.7, dense.blocks.n_theta)
    one, other = dense.at(theta), found.at(theta)
    assert other.deviance == pytest.approx(one.deviance, rel=SAME)
    np.testing.assert_allclose(other.gradient, one.gradient, rtol=SAME, atol=SAME)
    np.testing.assert_allclose(other.hessian_model, one.hessian_model, rtol=SAME, atol=SAME)
    for own, modes in zip(one.modes(), other.modes()):
        np.testing.assert_allclose(modes, own, rtol=SAME, atol=SAME)
    np.testing.assert_allclose(moments_at(other).t2, moments_at(one).t2, rtol=DIFFERENCES, atol=DIFFERENCES)


def test_everything_after_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inference, predictions with new levels, leverages, deletions, refits and files: as by dense matrices."""
    data = table("tree", 24)
    formula = "y ~ x + (1 | a) + (1 | b)"
    dense = henderson.lmer(formula, data, rest="exact")
    monkeypatch.setattr(choice, "LONG", 10)
    monkeypatch.setattr(choice, "MUCH", 1e-9)
    found = henderson.lmer(formula, data)
    assert isinstance(found.engine.criterion.system, SparseSystem)
    assert found.optinfo["rest"] == "exact"
    assert found.deviance == pytest.approx(dense.deviance, abs=1e-8)
    new = data.iloc[:6].assign(a=[0, 1, 2, 3, 4, 10**6])
    for ask in (
        lambda fit: fit.coef_table,
        lambda fit: fit.anova(),
        lambda fit: fit.varcorr,
        lambda fit: fit.ranef_sd["a"],
        lambda fit: fit.get_prediction(new).summary_frame(),
        lambda fit: pickle.loads(pickle.dumps(fit)).anova(),
        lambda fit: fit.influence("b"),
        lambda fit: fit.quantile_residuals(n=50, seed=1).residuals,
    ):
        pd.testing.assert_frame_equal(
            pd.DataFrame(ask(found)), pd.DataFrame(ask(dense)), rtol=DIFFERENCES, atol=DIFFERENCES
        )
    leverages = (row_forms(fit.engine).leverage for fit in (found, dense))
    np.testing.assert_allclose(next(leverages), next(leverages), atol=SAME)
    gone = np.arange(5)
    without = (fit_without(fit.engine, gone).deviance for fit in (found, dense))
    assert next(without) == pytest.approx(next(without), abs=1e-6)
    y = data["y"].to_numpy() + np.sin(np.arange(len(data)))
    refits = [fit.refit(y) for fit in (found, dense)]
    assert refits[0].deviance == pytest.approx(refits[1].deviance, abs=1e-7)


@pytest.mark.parametrize("rest", ["auto", "exact"])
def test_where_it_is_chosen(rest: str) -> None:
    """Of a line of 1,500 levels; not of pieces, which dense batches serve, nor where most levels meet many."""
    rng = np.random.default_rng(5)
    for graph, n in (("chain", 1_500), ("pieces", 1_200), ("full", 1_100)):
        a, b = (rng.integers(0, n, (2, 20 * n))) if graph == "full" else GRAPHS[graph](n)
        data = pd.DataFrame({"a": a, "b": b, "y": rng.normal(size=len(a))})
        criterion = Criterion.of(*design_from_formula("y ~ 1 + (1 | a) + (1 | b)", data), rest=rest)
        assert isinstance(criterion.system, SparseSystem) == (graph == "chain")
        if graph == "full":
            assert crossed_system(criterion.system.cross, criterion.blocks, np.inf) is None


def test_iteration_that_was_asked_for_is_told_of_the_factor() -> None:
    """Before the search: on a line of levels it may take long."""
    a, b = chain(1_100)
    data = pd.DataFrame({"a": a, "b": b, "y": np.random.default_rng(6).normal(size=len(a))})
    with pytest.warns(ApproximationWarning, match="these levels hardly meet"):
        warn_if_sparse(Criterion.of(*design_from_formula("y ~ 1 + (1 | a) + (1 | b)", data), rest="iterative").system)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_sparse(Criterion.of(*design_from_formula("y ~ 1 + (1 | a) + (1 | b)", data)).system)


def test_all_effects_in_the_rest() -> None:
    """The products, moved, are those of the same columns."""
    design, rows = design_from_formula("y ~ x + (x | a) + (1 | b)", table("ring", 12))
    criterion = Criterion.of(design, rows)
    cross, blocks = without_front(criterion.system.cross, criterion.blocks)
    assert blocks.front is None
    assert blocks.n_rest == sum(block.size for block in blocks.blocks)
    assert without_front(cross, blocks) == (cross, blocks)
    first, second = (blocks.offsets[k] for k in (0, 1))
    at = rows.terms[0].codes[0], rows.terms[1].codes[0]
    old = criterion.system.cross.zr[0][at[0], at[1]]
    assert old != 0
    assert cross.rr[first + 2 * at[0], second + at[1]] == old == cross.rr[second + at[1], first + 2 * at[0]]
    np.testing.assert_array_equal(
        cross.rr[first : first + 2, first : first + 2].toarray(), criterion.system.cross.zz[:, :, 0]
    )


def graph_of(graph: str, n: int) -> sparse.csc_array:
    """Levels and whom they meet."""
    a, b = GRAPHS[graph](n)
    size = int(a.max()) + 1
    edges = sparse.coo_array((np.ones(len(a)), (a, size + b)), shape=(size + int(b.max()) + 1,) * 2)
    return sparse.csc_array(edges + edges.T)


@pytest.mark.parametrize("graph", GRAPHS)
def test_rounds_fill_little_and_are_few(graph: str) -> None:
    """About what minimum degree stores (a chain costs an entry a level more), and no long way to the top."""
    pattern = graph_of(graph, 300)
    order = by_rounds(pattern)
    assert order is not None
    assert np.array_equal(np.sort(order), np.arange(pattern.shape[0]))
    fronts = fronts_of(pattern, order)
    assert fronts.entries < 1.8 * fronts_of(pattern, minimum_degree(pattern)).entries
    assert heights(fronts.parent).max() < 30
