"""The likelihood of correlated residuals from sums that are made once, against n × n algebra."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, signal
from tests.engine.test_residual_blocks import TRIAL, WEIGHTS, X, model_of, somewhere
from tests.structured import Data, covariance, repeated, residual_covariance

import henderson
from henderson.contract.residual import ResidualRows
from henderson.engine.residual import clique_sums
from henderson.engine.residual import crossed as by_effects
from henderson.engine.residual import summed as sums_of
from henderson.engine.residual.cliques import Precision
from henderson.engine.residual.crossed import CrossedModel
from henderson.engine.residual.point import BlockPoint, block_at
from henderson.engine.residual.rows import conditional_covariances, conditional_modes
from henderson.engine.residual.starts import by_moments
from henderson.engine.residual.summed import SummedModel, SummedPoint
from henderson.engine.sums import crossproducts

#: of a deviance of some hundred; of gradients, relative to their largest entry
DEVIANCE, GRADIENT = 1e-9, 1e-9
#: information matrices from two orders of sums
INFORMATION = 1e-8

#: 30 patients with six visits each
WHOLE = pd.DataFrame({"patient": np.repeat([f"p{i}" for i in range(30)], 6), "visit": np.tile(list("abcdef"), 30)})
WHOLE["site"], WHOLE["item"] = np.repeat(list("uvw"), 60), np.random.default_rng(3).choice(list("abcd"), 180)
WHOLE[["x", "y"]] = np.random.default_rng(4).normal(size=(180, 2))
WHOLE = WHOLE.sample(frac=1, random_state=2).reset_index(drop=True)

SITES, SLOPES, ITEMS = ("site", ("(Intercept)",)), ("site", ("(Intercept)", "x")), ("item", ("(Intercept)",))
CASES: dict[str, dict] = {
    "one factor and no rest": {"structure": "ar1", "terms": (SITES,)},
    "crossed": {"structure": "ar1", "terms": (ITEMS, SITES)},
    "slopes, two terms of one factor": {"structure": "ar1", "terms": (SLOPES, ITEMS, ("item", ("x",)))},
    "patients in sites": {"structure": "ar1h", "terms": (("patient", ("(Intercept)",)), SITES, ITEMS)},
    "nothing holds the series": {"structure": "ar1", "terms": (ITEMS, ("visit", ("x",)))},
    "no gaps": {"structure": "ar1", "terms": (SLOPES, ITEMS)},
    "gaps": {"structure": "car1", "visit": ("time",), "terms": (SITES, ITEMS)},
    "along a line": {"structure": "sp_exp", "visit": ("time",), "terms": (ITEMS,), "weights": WEIGHTS},
    "in the plane": {"structure": "sp_exp", "visit": ("time", "other"), "terms": (SITES, ITEMS)},
    "whole series": {"structure": "us", "terms": (SITES, ITEMS), "weights": WEIGHTS},
    "whole series by arm": {"structure": "csh", "stratum": "arm", "terms": (SITES, ITEMS)},
    "antedependence": {"structure": "adh", "terms": (SITES, ITEMS)},
    "by differences": {"structure": "toep", "terms": (SITES, ITEMS)},
    "exchangeable": {"structure": "cs", "terms": (ITEMS,)},
    "independent": {"structure": "diag", "terms": (SITES, ITEMS)},
    "variance functions": {
        "structure": "ar1",
        "variance": (("ident", "arm"), ("power", "time")),
        "terms": (SITES, ITEMS),
    },
}  # fmt: skip


def made(name: str) -> Data:
    case = {"visit": "visit", **CASES[name]}
    if name == "no gaps":
        own = {"(Intercept)": np.ones(len(WHOLE)), "x": WHOLE["x"].to_numpy()}
        return repeated(WHOLE, y="y", subject="patient", X=own, **case)
    return repeated(TRIAL, y="y", subject="patient", X=X, **case)


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize("name", CASES)
def test_likelihood_and_derivatives(name, reml):
    """Deviance and gradient, and what predictions need, as by blocks."""
    data = made(name)
    model = model_of(data, reml)
    summed, phi = SummedModel(model, data.rows), somewhere(model)
    one, two = summed.at(phi), block_at(model, phi)
    assert one.deviance == pytest.approx(two.deviance, abs=DEVIANCE)
    scale = np.abs(two.gradient).max()
    np.testing.assert_allclose(one.gradient, two.gradient, atol=GRADIENT * scale)
    np.testing.assert_allclose(one.gradient_psi, two.gradient_psi[model.n_g :], atol=1e-7 * scale)
    np.testing.assert_allclose(one.beta, two.beta, atol=1e-10)
    for own, other in zip(one.modes(), conditional_modes(model, two, data.rows)):
        np.testing.assert_allclose(own, other, atol=1e-8)
    for own, other in zip(one.conditional_covariances(), conditional_covariances(model, two, data.rows)):
        np.testing.assert_allclose(own, other, atol=1e-9)
    assert CrossedModel(model, data.rows).at(phi).deviance == pytest.approx(two.deviance, abs=DEVIANCE)
    assert one.exact.deviance == pytest.approx(two.deviance, abs=DEVIANCE)


ANY_ROWS = [
    "no gaps",
    "gaps",
    "whole series",
    "along a line",
    "patients in sites",
    "slopes, two terms of one factor",
    "nothing holds the series",
]


@pytest.mark.parametrize("name", ANY_ROWS)
def test_rows_of_scattered_series_in_any_chunks(name, monkeypatch):
    """Columns were written in the order of the series beside levels in the order of the rows, from 16,384 rows on."""
    data = made(name)
    model = model_of(data, True)
    phi = somewhere(model)
    monkeypatch.setattr(crossproducts, "CHUNK", 50)
    monkeypatch.setattr(clique_sums, "CHUNK", 50)
    monkeypatch.setattr(clique_sums, "PIECE", 7)
    assert SummedModel(model, data.rows).at(phi).deviance == pytest.approx(block_at(model, phi).deviance, abs=DEVIANCE)


@pytest.mark.parametrize("name", ["no gaps", "nothing holds the series"])
def test_what_a_light_point_says(name):
    """A point that has let go of its matrices makes them again, to the last digit."""
    data = made(name)
    model = model_of(data, True)
    summed, phi = SummedModel(model, data.rows), somewhere(model)
    full, light = summed.at(phi), summed.at(phi)
    hessian = full.hessian_model
    np.testing.assert_array_equal(light.gradient, full.gradient)
    light.lighten()
    assert not {"inner", "flat", "_inverse"} & set(vars(light))
    np.testing.assert_array_equal(light.hessian_model, hessian)
    np.testing.assert_array_equal(light.beta, full.beta)
    np.testing.assert_array_equal(light.phi, full.phi)
    for of in ("modes", "conditional_covariances"):
        for own, other in zip(getattr(light, of)(), getattr(full, of)()):
            np.testing.assert_array_equal(own, other)


def test_products_of_full_columns(monkeypatch):
    """T'AT by dense products, where T has few columns, is what sparse ones say: A is not symmetric."""
    data = made("slopes, two terms of one factor")
    model, rng = model_of(data, True), np.random.default_rng(1)
    full, sparse = CrossedModel(model, data.rows), CrossedModel(model, data.rows)
    assert full.dense is not None
    monkeypatch.setattr(by_effects, "NARROW", 0)
    assert sparse.dense is None
    parts = [rng.normal(size=(batch.n_units, batch.n, batch.n)) for batch in full.batches]
    np.testing.assert_allclose(full.weighed(parts), sparse.weighed(parts), atol=1e-10)


def nearly(model, at, within_levels, within, K, weighed):
    """tr K S_a K S_b from what it is within levels, and tr K S_d K S_b = −(tr X²/tr X) tr KS_b, X = GZ'V⁻¹Z (and an
    identity for X), where d is the scale."""
    G = [
        np.kron(np.eye(size // layout.q), layout.covariance(at.psi[to]))
        for size, layout, to in zip(at.crossed.sizes, model.layouts, model.g_of)
    ]
    X = within * (linalg.block_diag(*G) @ at.VT[: len(within), : len(within)])
    p = model.p if model.reml else 0
    share = (np.trace(X @ X) + p) / (np.trace(X) + p)
    d = model.residual.degree * at.psi[model.n_g :]
    along = share * np.array(
        [  # of minus S_a
            np.trace(K @ own) for own in weighed
        ]
    )
    scaled = within_levels * (along @ d) / (d @ within_levels @ d)
    lacking = np.outer(along - scaled @ d, d) / (d @ d)
    return scaled + lacking + lacking.T


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize(
    "name", ["crossed", "no gaps", "slopes, two terms of one factor", "whole series", "nothing holds the series"]
)
def test_information(name, reml):
    """Of the residuals' parameters the exact second derivatives but for tr K S_a K S_b, of which `nearly` is taken;
    beside θ, y'P ∂V P ∂V P y."""
    data = made(name)
    model = model_of(data, reml)
    summed, phi = SummedModel(model, data.rows), somewhere(model)
    point, exact, crossed = summed.at(phi), block_at(model, phi), CrossedModel(model, data.rows)
    n, m, p, q = model.n_theta, model.n_g, model.p, crossed.n_effects
    at = crossed.at(phi)
    S = [np.linalg.inv(model.residual_cov(at.psi, batch)) for batch in crossed.batches]
    first = [model.first(at.psi, batch) for batch in crossed.batches]
    weighed = [
        crossed.weighed([s @ own[a] @ s for s, own in zip(S, first)])[: q + p, : q + p] for a in range(model.k - m)
    ]
    K = np.zeros((q + p, q + p))
    K[:q, :q] = at.K
    if reml:
        B = at.B[: q + p, q : q + p]
        K += B @ at.phi @ B.T
    lost = np.array([[np.trace(K @ a @ K @ b) for b in weighed] for a in weighed])
    owner = np.full(q, -1)
    for term in () if summed.blocks.front is None else summed.blocks.blocks[summed.blocks.front].terms:
        owner[crossed.places[term]] = np.arange(crossed.sizes[term]) // model.layouts[term].q
    within = ((owner[:, None] == owner) & (owner >= 0)) | np.eye(q, dtype=bool)
    kept = [within * at.K @ (within * own[:q, :q]) for own in weighed]
    near = nearly(model, at, np.array([[np.trace(a @ b) for b in kept] for a in kept]), within, K, weighed)
    own = point._by_residual[1] - lost + near
    np.testing.assert_allclose(own, exact.hessian_psi[m:, m:], atol=INFORMATION * np.abs(own).max())
    # y'P ∂_gV P ∂_aV P y by rows, in the working basis: directions of θ through G
    s2 = model.basis.y_scale**2
    V = covariance(data, model.to_user_g @ at.psi[:m], at.psi[m:])
    x = data.rows.X
    P = np.linalg.inv(V)
    P -= P @ x @ np.linalg.solve(x.T @ P @ x, x.T @ P)
    e = P @ data.rows.y / np.sqrt(s2)
    step = 1e-6

    def turned(k: int) -> np.ndarray:
        up, down = at.psi.copy(), at.psi.copy()
        up[k], down[k] = up[k] + step, down[k] - step
        ends = [covariance(data, model.to_user_g @ psi[:m], psi[m:]) for psi in (up, down)]
        return (ends[0] - ends[1]) / (2 * step) @ e

    w = np.array([turned(k) for k in range(model.k)])
    information = w @ P @ w.T
    jacobian = model.jacobian(phi)
    expected = (jacobian.T @ information @ jacobian)[:n, n:]
    np.testing.assert_allclose(point.hessian_model[:n, n:], expected, atol=1e-6 * np.abs(expected).max())


def middling() -> pd.DataFrame:
    """30 series of 20 rows, on 20 items."""
    rng = np.random.default_rng(6)
    table = pd.DataFrame(
        {"s": np.repeat(np.arange(30), 20), "t": np.tile(np.arange(20), 30), "i": rng.integers(20, size=600)}
    )
    noise = signal.lfilter([1.0], [1.0, -0.5], rng.normal(size=(30, 20)), axis=1).ravel()
    return table.assign(y=noise + rng.normal(size=30)[table["s"]] + rng.normal(size=20)[table["i"]])


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
def test_the_information_is_nearly_the_exact_hessian(reml):
    """At the optimum of crossed factors of middling size within three parts in a hundred, whatever the direction."""
    fit = henderson.lmer("y ~ t + (1 | s) + (1 | i)", middling(), residual="ar1(t | s)", REML=reml)
    point = fit.engine._block_point
    ratios = np.linalg.eigvals(np.linalg.solve(point.exact.hessian_model, point.hessian_model))
    np.testing.assert_allclose(ratios, 1.0, atol=0.03)


def test_a_search_begins_close_by():
    """Where sums by level and products of what they leave say; four or five evaluations are enough from there."""
    fit = henderson.lmer("y ~ t + (1 | s) + (1 | i)", middling(), residual="ar1(t | s)")
    engine = fit.engine
    rows = engine.observed_for("a start")
    start = SummedModel(engine.blocks, rows).at(by_moments(engine.blocks, rows))
    assert 0 < start.deviance - fit.deviance < 0.2
    assert fit.optinfo["evaluations"] <= 5


@pytest.mark.parametrize("seed", [5, 17, 32])
def test_an_end_that_the_model_of_the_hessian_does_not_certify(seed):
    """Few rows to a series, and as many effects as tell: the model had negative curvature at the optimum, where the
    exact Hessian has none, and fits said that the deviance still falls."""
    rng = np.random.default_rng(seed)
    S, T, n_items = (int(rng.integers(*ends)) for ends in ((15, 60), (4, 12), (5, 25)))
    s, rho = np.repeat(np.arange(S), T), rng.choice([-0.4, 0.2, 0.6, 0.9])
    e = np.zeros((S, T))
    e[:, 0] = rng.normal(size=S)
    for j in range(1, T):
        e[:, j] = rho * e[:, j - 1] + np.sqrt(1 - rho**2) * rng.normal(size=S)
    i, x, sites = rng.integers(n_items, size=S * T), rng.normal(size=S * T), max(S // 6, 3)
    sd = rng.choice([0, 0.3, 1, 2], size=3)
    y = e.ravel() + x + sd[0] * rng.normal(size=S)[s] + sd[1] * rng.normal(size=n_items)[i]
    y += sd[2] * rng.normal(size=min(sites, S))[s % sites]
    table = pd.DataFrame({"y": y, "x": x, "s": s, "i": i, "t": np.tile(np.arange(T), S)})
    kept = rng.random(len(table)) < rng.choice([1.0, 0.85])
    fit = henderson.lmer("y ~ x + t + (1 | s) + (1 | i)", table[kept], residual="ar1(t | s)", REML=bool(seed % 2))
    assert fit.deviance == pytest.approx({5: 622.890002879, 17: 1562.159921084, 32: 727.241834310}[seed], abs=1e-7)
    assert fit.converged


@pytest.mark.parametrize("name", CASES)
def test_the_precision_is_its_cliques(name):
    """Σ s E C⁻¹ E' is the inverse of R, log|R| its determinant, and derivatives are theirs."""
    data = made(name)
    model = model_of(data, True)
    psi = model.natural(somewhere(model))[model.n_g :]
    precision = Precision(model.residual, replace(data.rows, terms=()))
    f = precision.coefficients(psi)
    inverse, at, at_rows = np.zeros((data.rows.n,) * 2), 0, precision.alike.rows
    every = np.arange(data.rows.n)
    for own in precision.alike.entries:
        rows, columns = (every if some is None else some for some in (at_rows[own.row], at_rows[own.column]))
        values = f.values[at : at + own.n_classes][0 if own.classes is None else own.classes]
        np.add.at(inverse, (rows, columns), values)
        if own.row != own.column:
            np.add.at(inverse, (columns, rows), values)
        at += own.n_classes
    root = np.sqrt(data.rows.unit_weights)
    R = residual_covariance(data, psi) * root[:, None] * root
    np.testing.assert_allclose(inverse @ R, np.eye(data.rows.n), atol=1e-9)
    assert f.log_det == pytest.approx(np.linalg.slogdet(R)[1], abs=1e-9)
    assert precision.values(psi)[1] == pytest.approx(f.log_det, abs=1e-9)
    step = 1e-5
    for a, unit in enumerate(np.eye(len(psi)) * step):
        up, down = precision.coefficients(psi + unit), precision.coefficients(psi - unit)
        for name_of, derivative in (("values", f.first[a]), ("first", f.second[a]), ("log_first", f.log_second[a])):
            found = (getattr(up, name_of) - getattr(down, name_of)) / (2 * step)
            np.testing.assert_allclose(derivative, found, atol=1e-5 * max(np.abs(found).max(), 1.0))


def test_rows_with_one_precision_are_summed_once():
    """AR(1) without gaps: rows at the ends of a series and inside, and pairs; with more gaps than can be told by row
    one entry of each clique."""
    data = {name: made(name) for name in ("no gaps", "gaps")}
    alike = {
        name: Precision(model_of(own, True).residual, replace(own.rows, terms=())).alike for name, own in data.items()
    }
    assert [own.n_classes for own in alike["no gaps"].entries] == [2, 1]
    assert np.bincount(alike["no gaps"].entries[0].classes).tolist() in ([60, 120], [120, 60])
    series = data["gaps"].rows.residual
    pairs = np.diff(series.codes[series.order]) == 0
    gaps = len(np.unique(np.diff(series.where[series.order, 0])[pairs]))
    assert [own.n_classes for own in alike["gaps"].entries] == [gaps, 1, gaps]


def test_what_is_eliminated_first_holds_the_series():
    """Items have more effects than sites, but series lie in sites: those are the front; without them nothing is."""
    for name, front in (("crossed", "site"), ("nothing holds the series", "")):
        data = made(name)
        blocks = SummedModel(model_of(data, True), data.rows).blocks
        chosen = "" if blocks.front is None else data.design.terms[blocks.blocks[blocks.front].terms[0]].group
        assert chosen == front


@pytest.mark.parametrize("width", [0, 1, 2])
def test_rows_in_order_are_left_as_they_are(width):
    """Series by series and by place: what `lexsort` says, also where nothing has to be sorted."""
    rng = np.random.default_rng(width)
    for shuffled in (False, True):
        codes = rng.integers(4, size=30)
        where = rng.integers(3, size=(30, width)).astype(float)
        expected = np.lexsort((*where.T[::-1], codes))
        if not shuffled:
            codes, where = codes[expected], where[expected]
            expected = np.arange(30)
        np.testing.assert_array_equal(ResidualRows(codes, where).order, expected)


@pytest.mark.parametrize(
    ("bars", "residual"),
    [
        ("", "ar1(t | g)"),
        ("+ (1 | g)", "ar1(t | g)"),
        ("+ (z | g)", "car1(t | g)"),
        ("+ (1 | g)", "ar1(t | g) * ident(a)"),
    ],
)
def test_long_series_with_rows_missing_are_summed(bars, residual, monkeypatch):
    """Every series has a matrix of its own: by blocks a fit of 1,000 series of 50 took 3.4 s, and 0.08 s by sums."""
    rng = np.random.default_rng(8)
    G, T = 40, 30
    data = pd.DataFrame({"g": np.repeat(np.arange(G), T), "t": np.tile(np.arange(T), G)})
    data[["x", "z"]], data["a"] = rng.normal(size=(G * T, 2)), np.where(data["g"] % 2, "u", "v")
    series = signal.lfilter([0.8], [1, -0.6], rng.normal(size=(G, T + 20)))[:, 20:]
    data["y"] = data["x"] + series.ravel() + 0.7 * rng.normal(size=G)[data["g"]] * (1 + data["z"])
    data = data[rng.random(G * T) < 0.85].sample(frac=1, random_state=1)
    fit = henderson.lmer("y ~ x" + bars, data, residual=residual, ddf="kenward-roger")
    assert isinstance(fit.engine._block_point, SummedPoint)
    monkeypatch.setattr(sums_of, "DEAR", np.inf)
    blocks = henderson.lmer("y ~ x" + bars, data, residual=residual, ddf="kenward-roger")
    assert isinstance(blocks.engine._block_point, BlockPoint)
    assert fit.deviance == pytest.approx(blocks.deviance, abs=DEVIANCE * 100)
    np.testing.assert_allclose(fit.coef_table.to_numpy(float), blocks.coef_table.to_numpy(float), rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(fit.engine.variances, blocks.engine.variances, rtol=1e-5)
