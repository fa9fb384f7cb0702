"""The bootstrap: many fits together are the single fits, draws are the model's, a seed gives the same numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from henderson import datasets
from henderson.contract.design import RandomTerm
from henderson.contract.rows import TermRows
from henderson.design.from_formula import design_from_formula
from henderson.engine.fit import fit_design
from henderson.engine.many import coordinates, draws
from henderson.engine.many.components import components, n_components
from henderson.engine.many.fits import fit_batch, profiled
from henderson.engine.many.pieces import Responses, pieces
from henderson.engine.many.refits import Refitter, refit, start_of
from henderson.errors import DataError
from henderson.intervals.bootstrap import cases
from henderson.intervals.bootstrap.bootstrap import bootstrap_fit
from henderson.intervals.bootstrap.limits import LIMITS, acceleration_of

#: deviances of a fit among many and of the same fit alone
DEVIANCE = 1e-6

MODELS = {
    "slopes": ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
    "independent slopes": ("sleepstudy", "Reaction ~ Days + (Days || Subject)"),
    "three effects": ("Machines", "score ~ Machine + (Machine | Worker)"),
    "singular": ("Dyestuff2", "Yield ~ 1 + (1 | Batch)"),
    "nested": ("Pastes", "strength ~ 1 + (1 | batch/cask)"),
    "crossed": ("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
    "interaction": ("cake", "angle ~ recipe * temp + (1 | recipe:replicate)"),
}


def fitted(name: str, **options):
    data, formula = MODELS[name]
    return fit_design(*design_from_formula(formula, datasets.load(data)), **options)


def unbalanced(seed: int = 0, structure: str = "unstructured", crossed: bool = False, loadings: bool = False):
    """Slopes, weights, an offset, groups of many sizes."""
    rng = np.random.default_rng(seed)
    n = 140
    table = pd.DataFrame({"g": rng.integers(0, 12, n), "h": rng.integers(0, 6, n), "x": rng.normal(size=n)})
    b = rng.normal(size=(12, 2)) * [1.5, 0.7]
    table["y"] = 3 + table.x + b[table.g, 0] + b[table.g, 1] * table.x + rng.normal(size=n)
    table["w"], table["o"] = rng.uniform(0.5, 2, n), rng.normal(size=n)
    formula = "y ~ x + (x | g)" + (" + (1 | h)" if crossed else "")
    design, rows = design_from_formula(formula, table, weights=table["w"], offset=table["o"])
    terms = [replace(t, structure=structure) if t.n_columns > 1 else t for t in design.terms]
    loads = [*rows.terms]
    if loadings:
        z = sparse.csr_array(rng.normal(size=(n, 5)) * (rng.random((n, 5)) < 0.4))
        terms.append(RandomTerm("m", pd.RangeIndex(5), ("m",), "identity", "m", loaded=True))
        loads.append(TermRows(None, np.zeros((n, 0)), z))
    return replace(design, terms=tuple(terms)), replace(rows, terms=tuple(loads))


DESIGNS = {
    "unstructured": unbalanced(),
    "diagonal": unbalanced(1, "diagonal"),
    "identity": unbalanced(2, "identity"),
    "crossed": unbalanced(3, crossed=True),
    "loadings": unbalanced(4, loadings=True),
}


def dense(rows, cov, layout, reml):
    """The deviance by n × n matrices."""
    n = rows.n
    v = np.diag(1 / rows.weights)
    for term, place in zip(rows.terms, layout.terms):
        g = cov[place, place]
        if term.codes is None:
            v = v + g[0, 0] * (term.loadings @ term.loadings.T).toarray()
        else:
            v = v + (term.columns @ g @ term.columns.T) * (term.codes[:, None] == term.codes)
    y, x = rows.response, rows.X
    inverse = np.linalg.inv(v)
    s = x.T @ inverse @ x
    e = y - x @ np.linalg.solve(s, x.T @ inverse @ y)
    nu = n - reml * x.shape[1]
    d = np.linalg.slogdet(v)[1] + nu * (1 + np.log(2 * np.pi * (e @ inverse @ e) / nu))
    return d + reml * np.linalg.slogdet(s)[1]


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("whiten", [True, False])
def test_deviance_and_derivatives(name, reml, whiten):
    design, rows = DESIGNS[name]
    parts = components(design, rows, np.ones(2, bool), whiten=whiten)
    layout = parts.layout
    directions = layout.root_directions(np.zeros(layout.n_theta))[..., None]
    responses = Responses.of(parts, rows.y[:, None])
    x = np.random.default_rng(5).uniform(0.2, 1, (layout.n_theta, 3))
    nu = parts.n - reml * parts.p

    def at(x):
        root = layout.lam(x)
        value, d_g, dd_g = profiled(pieces(parts, responses, root, reml=reml), nu)
        gradient, hessian, _ = coordinates.chain(layout, root, directions, d_g, dd_g)
        return value, gradient, hessian, np.einsum("rs,sub->rub", parts.basis, root)

    value, gradient, hessian, root = at(x)
    constant = -parts.log_weights + 2 * reml * np.log(np.abs(np.diag(parts.x_basis))).sum()
    for b in range(3):
        assert value[b] + constant == pytest.approx(dense(rows, root[..., b] @ root[..., b].T, layout, reml), abs=1e-9)
    for i, e in enumerate(np.eye(len(x)) * 1e-5):
        up, down = at(x + e[:, None]), at(x - e[:, None])
        np.testing.assert_allclose(gradient[i], (up[0] - down[0]) / 2e-5, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(hessian[i], (up[1] - down[1]) / 2e-5, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("reml", [True, False])
def test_each_replicate_is_its_own_fit(name, reml):
    fit = fitted(name, reml=reml)
    y = draws.simulate(fit, 25, seed=11)
    together = Refitter.of(fit)(y)
    assert together.converged.all()
    for b in range(y.shape[1]):
        alone = refit(fit, y[:, b])
        assert together.deviance[b] == pytest.approx(alone.deviance, abs=DEVIANCE)
        np.testing.assert_allclose(together.beta[b], alone.beta, rtol=1e-4, atol=1e-4 * alone.sigma)
        assert together.sigma[b] == pytest.approx(alone.sigma, rel=1e-4)


@pytest.mark.parametrize("name", DESIGNS)
def test_unbalanced_weighted_designs_too(name):
    fit = fit_design(*DESIGNS[name])
    y = draws.simulate(fit, 15, seed=2)
    together = Refitter.of(fit)(y)
    alone = [refit(fit, y[:, b]).deviance for b in range(15)]
    np.testing.assert_allclose(together.deviance, alone, atol=DEVIANCE)


@pytest.mark.parametrize("name", ["slopes", "crossed", "singular"])
def test_same_seed_same_numbers_whatever_the_batch(name):
    fit = fitted(name)
    one, other = (bootstrap_fit(fit, 230, seed=7, batch=batch).frame for batch in (None, 37))
    pd.testing.assert_frame_equal(one, other, rtol=1e-6, atol=1e-8)
    assert not np.allclose(one, bootstrap_fit(fit, 230, seed=8).frame, equal_nan=True)
    few = bootstrap_fit(fit, 40, seed=7).frame
    pd.testing.assert_frame_equal(one.iloc[:40], few, rtol=1e-6, atol=1e-8)


def test_one_by_one_is_the_same(monkeypatch):
    fit = fitted("slopes")
    fast = bootstrap_fit(fit, 20, seed=3)
    monkeypatch.setattr("henderson.engine.many.refits.LARGEST", 0)
    slow = bootstrap_fit(fit, 20, seed=3)
    pd.testing.assert_frame_equal(fast.frame, slow.frame, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(fast.deviance, slow.deviance, atol=DEVIANCE)


def test_parametric_draws_have_the_models_moments():
    fit = fitted("slopes")
    y = draws.simulate(fit, 20_000, seed=1)
    x = fit.rows.X[:10]
    assert np.abs(y.mean(1) - fit.rows.X @ fit.beta).max() < 1.5
    expected = fit.sigma**2 * (x @ fit.lam[0] @ fit.lam[0].T @ x.T + np.eye(10))
    np.testing.assert_allclose(np.cov(y[:10]), expected, rtol=0.06)


def test_residual_draws_are_reflated():
    """Carpenter, Goldstein and Rasbash: modes and residuals shrink, their resamples must not."""
    fit = fitted("slopes")
    cov = fit.sigma**2 * fit.lam[0] @ fit.lam[0].T
    u = draws.reflated(fit.b[0], cov)
    np.testing.assert_allclose(u.T @ u / len(u), cov, rtol=1e-8)
    np.testing.assert_allclose(u.mean(0), 0, atol=1e-10)
    boot = bootstrap_fit(fit, 400, kind="residual", seed=1)
    assert abs(boot.bias["sigma"]) < 0.3
    assert boot.estimate["sigma"] == pytest.approx(fit.sigma)


@pytest.mark.parametrize("name", ["slopes", "nested", "interaction"])
def test_counting_groups_is_fitting_their_copies(name):
    fit = fitted(name)
    fitter = cases.GroupFitter(fit)
    counts = cases.draw_counts(n_components(fit.design, fit.rows))(np.random.default_rng(4), 6)
    together = fitter(counts)
    for b in range(6):
        alone = fit_design(*cases.repeated(fit, fitter.owner, counts[:, b]), reml=fit.reml)
        assert together.deviance[b] == pytest.approx(alone.deviance, abs=DEVIANCE)
        np.testing.assert_allclose(together.beta[b], alone.beta, rtol=1e-4, atol=1e-3 * alone.sigma)


def test_counting_groups_with_weights_and_offset():
    fit = fit_design(*DESIGNS["unstructured"])
    fitter = cases.GroupFitter(fit)
    counts = cases.draw_counts(n_components(fit.design, fit.rows))(np.random.default_rng(4), 4)
    together = fitter(counts)
    alone = [fit_design(*cases.repeated(fit, fitter.owner, c)).deviance for c in counts.T]
    np.testing.assert_allclose(together.deviance, alone, atol=DEVIANCE)


def test_cases_within_groups():
    boot = bootstrap_fit(fitted("slopes"), 8, kind="cases", within=True, seed=1)
    assert boot.frame.shape == (8, 6)
    assert boot.converged.all()


def test_crossed_factors_have_no_cases():
    with pytest.raises(DataError, match="plate, sample connect all rows"):
        bootstrap_fit(fitted("crossed"), 10, kind="cases")


def test_unknown_names_list_those_there_are():
    fit = fitted("slopes")
    with pytest.raises(ValueError, match="there are: parametric, residual, cases"):
        bootstrap_fit(fit, 10, kind="wild")
    with pytest.raises(ValueError, match="batch must be a whole number from 1 on, not -1"):
        bootstrap_fit(fit, 10, batch=-1)
    with pytest.raises(ValueError, match="statistic is a function of a fit, not 3"):
        bootstrap_fit(fit, 10, statistic=3)
    boot = bootstrap_fit(fit, 10, seed=1)
    with pytest.raises(ValueError, match="there are: percentile, basic, bca"):
        boot.interval("normal")
    with pytest.raises(ValueError, match="no parameter is called 'Day'"):
        boot.interval(parameters="Day")
    assert list(boot.interval(parameters=[".sig03", "Days"]).index) == ["sd_Days|Subject", "Days"]


def test_a_statistic_sees_each_replicate():
    fit = fitted("slopes")
    plain = bootstrap_fit(fit, 30, seed=5)
    ratio = bootstrap_fit(fit, 30, seed=5, statistic=lambda r: r.fe_params["Days"] / r.sigma)
    np.testing.assert_allclose(ratio.frame.iloc[:, 0], plain.frame["Days"] / plain.frame["sigma"])
    assert ratio.estimate.iloc[0] == pytest.approx(fit.beta[1] / fit.sigma)
    several = bootstrap_fit(fit, 5, seed=5, statistic=lambda r: {"var": r.cov_re["Subject"].iloc[1, 1], "s2": r.scale})
    np.testing.assert_allclose(several.frame["var"], plain.frame["sd_Days|Subject"][:5] ** 2)
    modes = bootstrap_fit(fit, 3, seed=5, statistic=lambda r: r.fit.b[0][0])
    assert modes.frame.shape == (3, 2)


def test_intervals_of_a_known_sample():
    replicates = np.arange(1, 1001) / 1000
    assert LIMITS["percentile"](replicates, 0.5, 0.9, 0.0) == pytest.approx((0.051, 0.95), abs=1e-3)
    assert LIMITS["basic"](replicates, 0.5, 0.9, 0.0) == pytest.approx((0.05, 0.949), abs=1e-3)
    # no bias, no acceleration: BCa is percentile
    assert LIMITS["bca"](replicates, 0.5005, 0.9, 0.0) == pytest.approx((0.051, 0.95), abs=1e-3)
    low, high = LIMITS["bca"](replicates, 0.5005, 0.9, 0.1)
    assert low > 0.051
    assert high > 0.95
    # Efron's formula, by hand
    assert acceleration_of(np.array([[1.0], [2.0], [6.0]]))[0] == pytest.approx((8 + 1 - 27) / (6 * 14**1.5))


def test_bca_of_parameters():
    boot = bootstrap_fit(fitted("slopes"), 400, seed=1)
    table = boot.interval("bca")
    assert (table["lower"] < boot.estimate).all()
    assert (table["upper"] > boot.estimate).all()
    crossed = bootstrap_fit(fitted("crossed"), 50, seed=1).interval("bca")
    assert "fewer than three independent groups" in crossed.attrs["notes"][0]


def test_redundant_columns_stay_out():
    table = datasets.load("sleepstudy").assign(twice=lambda d: 2 * d.Days)
    fit = fit_design(*design_from_formula("Reaction ~ Days + twice + (1 | Subject)", table))
    boot = bootstrap_fit(fit, 20, seed=1)
    assert boot.frame["twice"].isna().all() or boot.frame["Days"].isna().all()
    assert boot.converged.all()


def test_failures_are_said():
    """With two levels seen in one group only, some resamples lack a column."""
    table = datasets.load("sleepstudy")
    table["first"] = (table["Subject"].astype(str) == "308").astype(float)
    fit = fit_design(*design_from_formula("Reaction ~ Days + first + (1 | Subject)", table))
    boot = bootstrap_fit(fit, 60, kind="cases", seed=1)
    assert 0 < len(boot.failures) < 60
    assert boot.frame.iloc[boot.failures].isna().all(axis=None)
    assert boot.notes[0].startswith(f"{len(boot.failures)} of 60 fits failed and are left out (of rows without a level")


@pytest.mark.parametrize("within", [False, True])
def test_resamples_that_lose_a_level_are_left_out(within):
    """The first level, to which the others are compared, is in one group: without it the coefficients mean other things
    (they came out all the same, or an error of scipy's did)."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(8), 6)
    first = np.where(g == 0, "first", np.resize(["p", "q"], 48))
    table = pd.DataFrame(
        {"y": rng.normal(size=48) + rng.normal(size=8)[g], "g": g, "f": first, "x": rng.normal(size=48)}
    )
    fit = fit_design(*design_from_formula("y ~ f + x + (1 | g)", table))
    n = 40 if within else 400
    boot = bootstrap_fit(fit, n, kind="cases", seed=1, within=within)
    assert len(boot.failures) / n == pytest.approx((7 / 8) ** 8, abs=0.2 if within else 0.08)
    assert boot.frame.iloc[boot.failures].isna().all(axis=None)
    rest = boot.frame.drop(index=boot.failures)
    assert rest.notna().all(axis=None)
    assert np.abs(rest["f[T.p]"] - fit.beta[1]).max() < 6


def test_progress_is_told():
    told = []
    bootstrap_fit(fitted("slopes"), 250, seed=1, batch=100, progress=lambda done, total: told.append((done, total)))
    assert told == [(100, 250), (200, 250), (250, 250)]


def test_two_minima():
    """REML may have two minima; each replicate must find the lower one from a start that serves all."""
    fit = fitted("slopes")
    y = draws.simulate(fit, 300, seed=19)
    parts = components(fit.design, fit.rows, fit.kept)
    responses = Responses.of(parts, y)
    near = fit_batch(parts, responses, start_of(fit, parts), reml=True).deviance
    far = fit_batch(parts, responses, np.linalg.solve(parts.basis, np.diag([3.0, 0.1])), reml=True).deviance
    np.testing.assert_allclose(near, far, atol=1e-6)
