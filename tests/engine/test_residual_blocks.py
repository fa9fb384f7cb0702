"""Models of correlated rows: likelihood, derivatives and moments against n × n algebra and differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.structured import Data, covariance, deviance, repeated, variance_of

from henderson.engine.fit import fit_design, refit
from henderson.engine.residual.crossed import CrossedModel, moments_of_crossed
from henderson.engine.residual.data import Stacked, Summed
from henderson.engine.residual.markov import MarkovModel, moments_of_markov
from henderson.engine.residual.model import BlockModel, to_user_units
from henderson.engine.residual.moments import moments_of_blocks
from henderson.engine.residual.point import block_at, block_at_psi
from henderson.engine.residual.rows import conditional_covariances, conditional_modes
from henderson.engine.residual.summed import SummedPoint
from henderson.engine.residual.units import batches_of, blocks_of

#: digits that remain of a deviance of some hundred
DEVIANCE = 1e-8
#: central differences of deviance and gradient, relative to the largest entry
DIFFERENCE = 2e-5
#: moments, relative to their largest entry
MOMENTS = 1e-9


def trial(seed: int = 5, n_subjects: int = 40) -> pd.DataFrame:
    """Patients in sites, up to five visits, some missing, in any order."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"p{i}", f"s{i % 4}", f"v{t}", "AB"[i % 2], t + rng.uniform(0, 0.4))
        for i in range(n_subjects)
        for t in range(5)
        if rng.uniform() < 0.8
    ]
    data = pd.DataFrame(rows, columns=["patient", "site", "visit", "arm", "time"])
    data["other"] = rng.normal(size=len(data))
    data["x"] = rng.normal(size=len(data))
    data["item"] = rng.choice(list("abcd"), len(data))
    site = dict(zip([f"s{k}" for k in range(4)], rng.normal(size=4)))
    patient = dict(zip(data["patient"].unique(), rng.normal(size=n_subjects)))
    data["y"] = (
        50
        + 3 * data["x"]
        + 4 * data["site"].map(site)
        + 3 * data["patient"].map(patient)
        + 2 * rng.normal(size=len(data))
    )
    return data.sample(frac=1, random_state=1).reset_index(drop=True)


TRIAL = trial()
X = {"(Intercept)": np.ones(len(TRIAL)), "x": TRIAL["x"].to_numpy(), "armB": (TRIAL["arm"] == "B").to_numpy() * 1.0}
WEIGHTS = np.random.default_rng(2).uniform(0.5, 2.0, len(TRIAL))
#: for algebra with a matrix for each pair of parameters
FEW = 16

CATEGORICAL = ["us", "cs", "csh", "toep", "toeph", "ar1", "ar1h", "ad", "adh", "diag"]
CASES: dict[str, dict] = {
    **{name: {"structure": name} for name in CATEGORICAL},
    "us by arm": {"structure": "us", "stratum": "arm"},
    "ar1 weighted": {"structure": "ar1", "weights": WEIGHTS},
    "car1": {"structure": "car1", "visit": ("time",)},
    "sp_exp": {"structure": "sp_exp", "visit": ("time", "other")},
    "sp_gau": {"structure": "sp_gau", "visit": ("time",)},
    "ar1 power": {"structure": "ar1", "variance": (("power", "time"),)},
    "ident beside crossed": {
        "structure": "diag",
        "terms": (("patient", ("(Intercept)", "x")), ("item", ("(Intercept)",))),
    },
    "ident exp beside crossed": {
        "structure": "diag",
        "variance": (("exp", "other"),),
        "terms": (("patient", ("(Intercept)",)), ("item", ("(Intercept)",))),
    },
    "cs ident exp": {"structure": "cs", "variance": (("ident", "arm"), ("exp", "other"))},
    "ar1 in sites": {"structure": "ar1", "terms": (("site", ("(Intercept)",)),)},
    "ar1 and patients": {"structure": "ar1", "terms": (("patient", ("(Intercept)",)),)},
    "us weighted in sites": {"structure": "us", "terms": (("site", ("(Intercept)", "x")),), "weights": WEIGHTS},
    "csh by arm in sites": {"structure": "csh", "stratum": "arm", "terms": (("site", ("(Intercept)",)),)},
    "ar1 crossed": {"structure": "ar1", "terms": (("item", ("(Intercept)",)), ("site", ("(Intercept)",)))},
    "car1 and slopes": {"structure": "car1", "visit": ("time",), "terms": (("patient", ("(Intercept)", "x")),)},
}  # fmt: skip


def made(name: str, n_subjects: int = 40) -> Data:
    data = TRIAL[TRIAL["patient"].isin([f"p{i}" for i in range(n_subjects)])]
    case = {"visit": "visit", **CASES[name]}
    if "weights" in case:
        case["weights"] = case["weights"][data.index]
    return repeated(data, y="y", subject="patient", X={name: x[data.index] for name, x in X.items()}, **case)


def somewhere(model: BlockModel, seed: int = 7) -> np.ndarray:
    """A point φ away from the optimum."""
    rng = np.random.default_rng(seed)
    theta = np.concatenate([np.zeros(0), *(layout.theta(0.7 * np.eye(layout.q)) for layout in model.layouts)])
    rows = made_rows[id(model)]
    e = (rows.response - rows.response.mean()) / model.basis.y_scale
    psi = model.residual.starts(e, rows.residual, rows.weights)[0]
    phi = np.concatenate([theta, model.residual.working(psi)])
    return phi + 0.1 * rng.normal(size=len(phi))


made_rows: dict = {}


def model_of(data: Data, reml: bool) -> BlockModel:
    model = BlockModel.of(data.design, data.rows, reml=reml)
    made_rows[id(model)] = data.rows
    return model


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize("name", CASES)
def test_likelihood_and_derivatives(name, reml):
    data = made(name)
    model = model_of(data, reml)
    phi = somewhere(model)
    point = block_at(model, phi)
    user = to_user_units(model) @ point.psi
    V = covariance(data, user[: model.n_g], user[model.n_g :])
    assert point.deviance == pytest.approx(deviance(data, V, reml), rel=1e-10, abs=DEVIANCE)
    step = 1e-5
    gradient = np.empty(len(phi))
    hessian = np.empty((len(phi), len(phi)))
    for a in range(len(phi)):
        up, down = (block_at(model, phi + sign * step * (np.arange(len(phi)) == a)) for sign in (1, -1))
        gradient[a] = (up.deviance - down.deviance) / (2 * step)
        hessian[a] = (up.gradient - down.gradient) / (2 * step)
    np.testing.assert_allclose(point.gradient, gradient, atol=DIFFERENCE * np.abs(gradient).max())
    np.testing.assert_allclose(point.hessian_model, hessian, atol=DIFFERENCE * np.abs(hessian).max())


@pytest.mark.parametrize("name", ["us by arm", "ar1 power", "us weighted in sites", "toeph", "ar1 crossed"])
def test_moments_are_those_of_dense_algebra(name):
    data = made(name, FEW)
    model = model_of(data, True)
    point = block_at(model, somewhere(model))
    found = moments_of_blocks(point)
    unit, variance = to_user_units(model), variance_of(data)
    scale = model.basis.y_scale**2

    def at(psi):
        user = unit @ psi
        return variance(user[: model.n_g], user[model.n_g :]) / scale

    k, n = model.k, data.rows.n
    V, first, second = at(point.psi), np.empty((k, n, n)), np.empty((k, k, n, n))
    h = 1e-4 * np.maximum(np.abs(point.psi), 0.1)
    for a in range(k):
        up, down = (at(point.psi + sign * h[a] * (np.arange(k) == a)) for sign in (1, -1))
        first[a], second[a, a] = (up - down) / (2 * h[a]), (up - 2 * V + down) / h[a] ** 2
        for b in range(a):
            corners = [
                (s * t, at(point.psi + s * h[a] * (np.arange(k) == a) + t * h[b] * (np.arange(k) == b)))
                for s in (1, -1)
                for t in (1, -1)
            ]
            second[a, b] = second[b, a] = sum(sign * one for sign, one in corners) / (4 * h[a] * h[b])
    basis = model.basis
    c = np.empty((n, model.p + 1))
    basis.fixed(data.rows, c[:, :-1])
    c[:, -1] = data.rows.response - basis.y_mean - c[:, :-1] @ basis.gamma
    S = np.linalg.inv(V)
    Sc, SV = S @ c, S @ first
    Q = np.random.default_rng(0).normal(size=(len(c.T), len(c.T)))
    Q, w = Q @ Q.T, np.random.default_rng(1).normal(size=(k, k))
    w = w + w.T
    f2 = np.einsum("nx,anm,ml,blk,ky->abxy", Sc, first, S, first, Sc, optimize=True)
    bent = np.einsum("nx,abnm,my->abxy", Sc, second, Sc, optimize=True)

    def close(one, other, tolerance):
        np.testing.assert_allclose(one, other, atol=tolerance * np.abs(other).max())

    close(found.f0, c.T @ Sc, MOMENTS)
    close(found.f1, np.einsum("nx,anm,my->axy", Sc, first, Sc, optimize=True), 1e-6)
    close(found.t1, np.einsum("ann->a", SV), 1e-6)
    close(found.t2, np.einsum("anm,bmn->ab", SV, SV, optimize=True), 1e-6)
    close(found.second.weighted(w, len(Q)), np.tensordot(w, f2 + f2.transpose(0, 1, 3, 2), 2) / 2, 1e-6)
    root = np.linalg.cholesky(Q)
    close(found.second.trace_forms(root), np.einsum("abxy,xy->ab", f2, Q), 1e-6)
    close(found.f2, (f2 + f2.transpose(0, 1, 3, 2)) / 2, 1e-6)
    if not model.residual.linear:
        close(found.second.curved_traces(), np.einsum("nm,abmn->ab", S, second, optimize=True), 1e-4)
        close(found.second.curved_forms(Q), np.einsum("abxy,xy->ab", bent, Q), 1e-4)
        close(found.second.curved_weighted(w), np.tensordot(w, bent, 2), 1e-4)
    assert found.log_det == pytest.approx(np.linalg.slogdet(V)[1], abs=1e-9)
    again = found.turned(np.eye(len(Q)) * 2.0, np.diag(np.arange(1.0, k + 1)))
    close(again.f2, 4 * found.f2 / np.outer(np.arange(1.0, k + 1), np.arange(1.0, k + 1))[:, :, None, None], 1e-9)
    close(again.second.weighted(w, len(Q)), np.tensordot(w, again.f2, 2), 1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_optimum_is_one_whatever_units_and_order(name):
    data = made(name)
    fit = fit_design(*data)
    assert fit.optimum.converged
    gradient = fit.block_point.gradient
    assert np.abs(gradient).max() < 1e-4
    order = np.random.default_rng(3).permutation(data.rows.n)
    large = data.rows.with_response(1e6 * data.rows.y)
    again = fit_design(data.design, large[order])
    np.testing.assert_allclose(again.beta, 1e6 * fit.beta, rtol=1e-5)
    nu = data.rows.n - data.rows.X.shape[1]
    assert again.deviance - 2 * nu * np.log(1e6) == pytest.approx(fit.deviance, abs=1e-6)


def test_units_are_patterns():
    batches = batches_of(*made("us"))
    patterns = {tuple(sorted(one)) for _, one in TRIAL.groupby("patient")["visit"]}
    assert sum(batch.n_units for batch in batches) == len(patterns)
    assert sum(int(batch.counts.sum()) for batch in batches) == TRIAL["patient"].nunique()
    blocks = np.concatenate([batch.rows.ravel() for batch in batches])
    np.testing.assert_array_equal(np.sort(blocks), np.arange(len(TRIAL)))


def test_summed_and_stacked_data_are_the_same():
    rng = np.random.default_rng(0)
    c, counts = rng.normal(size=(9, 4, 3)), np.array([2, 3, 4])
    A = rng.normal(size=(5, 3, 4, 4))
    A, Q = A + A.swapaxes(-1, -2), rng.normal(size=(3, 3))
    Q = Q + Q.T
    one, two = Stacked(c, counts), Summed.of(c, counts)
    np.testing.assert_allclose(one.weigh(A), two.weigh(A), atol=1e-12)
    np.testing.assert_allclose(one.cover(Q), two.cover(Q), atol=1e-12)
    np.testing.assert_allclose(one.some(slice(1, 3)).cover(Q), two.some(slice(1, 3)).cover(Q), atol=1e-12)


def test_refits_begin_at_the_optimum():
    data = made("ar1 in sites")
    fit = fit_design(*data)
    again = refit(fit, fit.observed.y)
    assert again.deviance == pytest.approx(fit.deviance, abs=1e-8)
    assert again.optimum.evaluations <= 3
    other = refit(fit, reml=False)
    assert other.deviance == pytest.approx(fit_design(*data, reml=False).deviance, abs=1e-7)


def test_a_likelihood_without_a_maximum_is_not_certified():
    """An unstructured matrix for each arm of nine patients: the deviance falls without end as it becomes singular."""
    few = trial(n_subjects=18)
    few_x = {"(Intercept)": np.ones(len(few)), "x": few["x"].to_numpy(), "armB": (few["arm"] == "B") * 1.0}
    found = fit_design(*repeated(few, "us", y="y", subject="patient", visit="visit", stratum="arm", X=few_x))
    assert not found.optimum.converged


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
def test_continuous_time_in_sums_over_neighbours(reml):
    """The Markov form against the blocks: likelihood, derivatives, all moments."""
    data = repeated(TRIAL, "car1", y="y", subject="patient", visit=("time",), X=X, weights=WEIGHTS)
    model = model_of(data, reml)
    markov, phi = MarkovModel(model, data.rows), somewhere(model)
    one, two = markov.at(phi), block_at(model, phi)
    assert one.deviance == pytest.approx(two.deviance, rel=1e-12)
    np.testing.assert_allclose(one.gradient, two.gradient, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(one.hessian_model, two.hessian_model, rtol=1e-8)
    np.testing.assert_allclose(one.beta, two.beta, rtol=1e-9)
    a, b = moments_of_markov(one), moments_of_blocks(two)
    for name in ("f0", "f1", "t1", "f2", "t2", "log_det", "r2"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-8, atol=1e-8)
    Q, w = np.outer(two.v, two.v), np.array([[1.0, 0.3], [0.3, 2.0]])
    for own, other in (
        (a.second.curved_traces(), b.second.curved_traces()),
        (a.second.curved_forms(Q), b.second.curved_forms(Q)),
        (a.second.curved_weighted(w), b.second.curved_weighted(w)),
        (a.second.weighted(w, 4), b.second.weighted(w, 4)),
    ):
        np.testing.assert_allclose(own, other, rtol=1e-8, atol=1e-7)


def test_long_series_cost_what_their_rows_cost():
    """A series of 20,000 rows, far beyond what a dense matrix takes."""
    rng = np.random.default_rng(0)
    time = np.sort(rng.uniform(0, 20_000, 20_000))
    e = np.zeros(len(time))
    for i, gap in enumerate(np.diff(time)):
        r = 0.7**gap
        e[i + 1] = r * e[i] + np.sqrt(1 - r**2) * rng.normal()
    long = pd.DataFrame({"y": 3 + e, "time": time, "patient": "one"})
    found = fit_design(
        *repeated(long, "car1", y="y", subject="patient", visit=("time",), X={"(Intercept)": np.ones(len(long))})
    )
    assert found.optimum.converged
    assert found.psi == pytest.approx([1.0, 0.7], rel=0.06)


BY_EFFECTS = ["ar1 crossed", "us weighted in sites", "csh by arm in sites", "car1 and slopes"]


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize("name", BY_EFFECTS)
def test_by_effects_is_as_by_blocks(name, reml):
    """The form for crossed factors against n × n blocks: likelihood, derivatives, all moments, modes."""
    data = made(name)
    model = model_of(data, reml)
    crossed, phi = CrossedModel(model, data.rows), somewhere(model)
    one, two = crossed.at(phi), block_at(model, phi)
    assert one.deviance == pytest.approx(two.deviance, rel=1e-12)
    np.testing.assert_allclose(one.gradient, two.gradient, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(one.hessian_model, two.hessian_model, rtol=1e-6, atol=1e-6)
    a, b = moments_of_crossed(one), moments_of_blocks(two)
    for own in ("f0", "f1", "t1", "t2", "log_det", "r2"):
        other = getattr(b, own)
        np.testing.assert_allclose(getattr(a, own), other, atol=1e-9 * np.abs(other).max())
    symmetric = (a.f2 + a.f2.transpose(0, 1, 3, 2)) / 2
    np.testing.assert_allclose(symmetric, b.f2, atol=1e-9 * np.abs(b.f2).max())
    w = np.random.default_rng(1).normal(size=(model.k, model.k))
    w, Q = w + w.T, np.outer(two.v, two.v)
    for found, other in (
        (a.second.curved_traces(), b.second.curved_traces()),
        (a.second.curved_forms(Q), b.second.curved_forms(Q)),
        (a.second.curved_weighted(w), b.second.curved_weighted(w)),
    ):
        np.testing.assert_allclose(found, other, atol=1e-8 * max(np.abs(other).max(), 1.0))
    for own, other in zip(one.modes(), conditional_modes(model, two, data.rows)):
        np.testing.assert_allclose(own, other, atol=1e-8)
    for own, other in zip(one.conditional_covariances(), conditional_covariances(model, two, data.rows)):
        np.testing.assert_allclose(own, other, atol=1e-9)


def test_crossed_factors_with_correlated_residuals():
    """Subjects × items, an AR(1) along each subject's trials: the same fit as by n × n blocks, and all that follows."""
    rng = np.random.default_rng(4)
    subjects, items, trials = 15, 12, 16
    data = pd.DataFrame(
        {"patient": np.repeat(np.arange(subjects), trials), "trial": np.tile(np.arange(trials), subjects)}
    )
    data["item"], data["x"] = rng.integers(items, size=len(data)), rng.normal(size=len(data))
    e = np.zeros((subjects, trials))
    for t in range(trials):
        e[:, t] = (0.5 * e[:, t - 1] if t else 0.0) + rng.normal(size=subjects)
    effects = rng.normal(size=subjects)[data["patient"]] + rng.normal(size=items)[data["item"]]
    data["y"] = data["x"] + effects + e.ravel()
    x = {"(Intercept)": np.ones(len(data)), "x": data["x"].to_numpy()}
    terms = (("patient", ("(Intercept)",)), ("item", ("(Intercept)",)))
    case = repeated(data, "ar1", y="y", subject="patient", visit="trial", X=x, terms=terms)
    found = fit_design(*case)
    assert isinstance(found._block_point, SummedPoint)
    point = block_at_psi(found.blocks, found.psi_working)
    assert found.deviance == pytest.approx(point.deviance, rel=1e-11)
    assert np.abs(point.gradient_psi).max() < 1e-3
    by_blocks = moments_of_blocks(point)
    np.testing.assert_allclose(found.moments.t2, by_blocks.t2, rtol=1e-7)
    np.testing.assert_allclose(found.b[1], conditional_modes(found.blocks, point, case.rows)[1], atol=1e-7)


def test_a_variance_of_zero_is_zero():
    """Sites without a variance of their own: the search ends there, certified, and says so."""
    data = TRIAL.assign(y=np.random.default_rng(11).normal(size=len(TRIAL)))
    for seed in range(20):  # the first response whose sites vary less than their patients would let them
        data["y"] = np.random.default_rng(seed).normal(size=len(TRIAL))
        case = repeated(data, "ar1", y="y", subject="patient", visit="visit", X=X, terms=(("site", ("(Intercept)",)),))
        found = fit_design(*case)
        if found.theta[0] < 1e-3:
            break
    assert found.theta[0] == 0.0
    assert found.optimum.converged
    without = fit_design(*repeated(data, "ar1", y="y", subject="patient", visit="visit", X=X))
    assert found.deviance == pytest.approx(without.deviance, abs=1e-6)


@pytest.mark.parametrize("n_items", [3, 12, 40, 200])
def test_blocks_are_what_series_and_levels_tie(n_items):
    """All in one piece at once, along a chain that is longer than a few rounds, or in many pieces."""
    rng = np.random.default_rng(n_items)
    chain = {"s": np.repeat(np.arange(20), 2), "item": (np.arange(40) + 1) // 2}
    table = pd.DataFrame(
        chain if n_items == 12 else {"s": rng.integers(20, size=60), "item": rng.integers(n_items, size=60)}
    )
    n = len(table)
    data = repeated(
        table.assign(y=0.0, v=np.arange(n)), "ar1", y="y", subject="s", visit="v",
        X={"(Intercept)": np.ones(n)}, terms=(("item", ("(Intercept)",)),),
    )  # fmt: skip
    block, expected = blocks_of(data.design, data.rows), np.arange(n)
    for _ in range(n):  # each row takes the least number of the rows that it is tied to
        for column in ("s", "item"):
            expected = pd.Series(expected).groupby(table[column].to_numpy()).transform("min").to_numpy()
    assert (
        len(pd.DataFrame({"a": block, "b": expected}).drop_duplicates())
        == len(np.unique(expected))
        == len(np.unique(block))
    )
