"""Likelihood profiles against lme4's listing, and against their definition."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from henderson import datasets
from henderson.contract.design import RandomTerm
from henderson.contract.rows import TermRows
from henderson.design.from_formula import design_from_formula
from henderson.design.variance_parameters import variance_parameters
from henderson.engine.fit import fit_design
from henderson.engine.many.components import components
from henderson.engine.many.pieces import Responses
from henderson.intervals.profile import profile_fit
from henderson.intervals.profile.source import Batched, ByEngine
from henderson.intervals.profile.surface import Target, coordinates, surface
from oracle_data import cases, frame, group

#: lme4 reads its limits off a spline through some thirty points; ours are roots. Relative to the width of the interval
LIMIT = 1e-3
#: ζ between the points is a cubic, here and there; relative to lme4, whose optimizer may stop short but not low
ZETA = 3e-3
OUTSIDE = "lme4 left the space of correlation matrices"
#: limits that lme4's spline misses (ours are checked against ζ itself), and why
MISSED = {
    ("oats-linear", "sd_(Intercept)|Block"): "ζ is level near 0, and lme4's inverse spline turns there",
    ("machines-slope", "cor_MachineC.(Intercept)|Worker"): OUTSIDE,
    ("crossed-slope", "cor_Aa2.(Intercept)|subj"): "the profile is level, since a standard deviation is zero there",
}

CASES = cases("intervals")
PROFILED = [name for name, case in CASES.items() if case.get("profile")]


def fitted(case: dict):
    table = frame("intervals", case["data"])
    weights = None if case["weights"] is None else table[case["weights"]]
    return fit_design(*design_from_formula(case["formula"], table, weights=weights), reml=case["reml"])


@cache
def profile_of(name: str):
    return profile_fit(fitted(CASES[name]))


def r_name(name: str) -> tuple[str, frozenset[str]]:
    what, _, factor = name.partition("|")
    return ("(Intercept)" if what == "Intercept" else re.sub(r"\[(?:T\.)?([^\]]*)\]", r"\1", what)), group(factor)


@pytest.mark.parametrize("name", PROFILED)
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_intervals_are_lme4s(name, level):
    profile = profile_of(name)
    table = profile.interval(level)
    theirs = CASES[name]["profile"]["levels"][str(level)]
    assert len(theirs["names"]) == len(table)
    for who, lower, upper, mine in zip(theirs["names"], theirs["lower"], theirs["upper"], table.itertuples()):
        assert r_name(mine.Index) == r_name(who)
        if lower is None or upper is None:
            continue
        if (name, who) in MISSED:
            z = NormalDist().inv_cdf((1 + level) / 2)
            zeta = profile.spline[mine.Index](np.array([mine.lower, mine.upper]))
            at_limit = np.abs(np.abs(zeta) - z) < 2e-3
            assert np.all(
                at_limit | (np.abs([mine.lower, mine.upper]) == 1) | (np.array([mine.lower, mine.upper]) == 0)
            )
            continue
        tol = LIMIT * (upper - lower)
        assert mine.lower == pytest.approx(lower, abs=tol), who
        assert mine.upper == pytest.approx(upper, abs=tol), who


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.get("fixed_limits")])
def test_limits_of_fixed_effects_are_roots(name):
    """lme4 refitted with one coefficient held: weights, which its profiles leave out for fixed effects, too."""
    case = CASES[name]
    table = profile_fit(fitted(case), "beta_").interval(0.95)
    theirs = case["fixed_limits"]
    width = np.array(theirs["upper"]) - np.array(theirs["lower"])
    off = np.abs(table.to_numpy() - np.column_stack([theirs["lower"], theirs["upper"]])) / width[:, None]
    assert off.max() < 1e-5


@pytest.mark.parametrize("name", PROFILED)
def test_zeta_never_above_lme4s(name):
    """ζ² is a minimum over the other parameters: theirs may be higher, by what their optimizer left."""
    case, profile = CASES[name], profile_of(name)
    for n, curve in zip(case["profile"]["levels"]["0.95"]["names"], profile.curves):
        if n not in case["profile"]["zeta"] or MISSED.get((name, n)) == OUTSIDE:
            continue
        theirs = case["profile"]["zeta"][n]
        value, zeta = np.array(theirs["value"], float), np.array(theirs["zeta"], float)
        ours = curve.zeta(value)
        inside = np.isfinite(ours) & np.isfinite(zeta) & (np.abs(zeta) < 3)
        assert np.all(np.abs(ours[inside]) <= np.abs(zeta[inside]) + ZETA)


def sleepstudy(formula="Reaction ~ Days + (Days | Subject)", **options):
    return fit_design(*design_from_formula(formula, datasets.load("sleepstudy")), **options)


def test_names_of_lme4_and_descriptive_ones():
    profile = profile_fit(sleepstudy(), [".sig01", "sigma", "Days"])
    assert [t.name for t in profile.targets] == ["sd_(Intercept)|Subject", "sigma", "Days"]
    assert profile.spline[".sig01"] is profile.spline["sd_(Intercept)|Subject"]
    assert list(profile.interval(0.9, ".sigma").index) == ["sigma"]
    with pytest.raises(ValueError, match=r"no parameter is called '.sig09'; there are: sd_\(Intercept\)\|Subject"):
        profile_fit(sleepstudy(), ".sig09")


def test_one_parameter_alone_is_the_same():
    both = profile_fit(sleepstudy()).interval(0.95)
    for name in both.index:
        alone = profile_fit(sleepstudy(), name).interval(0.95)
        np.testing.assert_allclose(alone.loc[name], both.loc[name], rtol=1e-6)


def test_frame_and_curves():
    profile = profile_fit(sleepstudy())
    table = profile.frame
    assert list(table.columns) == ["parameter", "value", "zeta"]
    for name, part in table.groupby("parameter"):
        curve = profile.spline[name]
        np.testing.assert_allclose(curve(part["value"]), part["zeta"], atol=1e-9)
        np.testing.assert_allclose(curve.value(part["zeta"].to_numpy()), part["value"], rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match="a higher level"):
        profile.interval(0.999999)


def test_zeta_is_its_definition():
    """Nelder and Mead over the others, on the engine's deviance plus the penalty for σ not at its optimum."""
    from scipy.optimize import minimize

    fit = sleepstudy(reml=False)
    profile = profile_fit(fit, "sd_Days|Subject")
    rows, n = fit.rows, fit.n
    value = 9.0

    def deviance(free):
        """ML at Ψ with sd of Days held: log|V| + n log 2πσ² + r²/σ²."""
        l11, l21, log_s = free
        sigma = np.exp(log_s)
        if abs(l21) > value:
            return 1e10
        psi = np.array([[l11, 0], [l21, np.sqrt(value**2 - l21**2)]])
        psi = psi @ psi.T
        total, x, y = 0.0, np.zeros((2, 2)), np.zeros(2)
        yy = 0.0
        for j in range(fit.design.terms[0].n_levels):
            own = rows.terms[0].codes == j
            X = rows.X[own]
            v = X @ psi @ X.T + sigma**2 * np.eye(own.sum())
            solved = np.linalg.solve(v, np.column_stack([X, rows.y[own]]))
            total += np.linalg.slogdet(v)[1]
            x += X.T @ solved[:, :2]
            y += X.T @ solved[:, 2]
            yy += rows.y[own] @ solved[:, 2]
        return total + n * np.log(2 * np.pi) + yy - y @ np.linalg.solve(x, y)

    found = minimize(
        deviance, [24.0, 1.0, 3.2], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9, "maxiter": 5000}
    )
    assert profile.spline["sd_Days|Subject"](value) == pytest.approx(np.sqrt(found.fun - fit.deviance), abs=2e-4)


def test_derivatives_of_the_surface():
    fit = sleepstudy()
    parts = components(fit.design, fit.rows, fit.kept, whiten=False)
    targets = [Target.of(p) for p in variance_parameters(fit.design)] + [Target("Days", "Days", "beta", row=1)]
    rows = np.zeros((len(targets), 2))
    rows[-1] = np.linalg.inv(parts.x_basis)[1]
    likelihood = Batched(parts, Responses.of(parts, fit.rows.y[:, None] / 25.0))
    s = surface(likelihood, targets, reml=False, beta_rows=rows)
    x = coordinates(s, np.array([[1.0, 0.3], [0.3, 0.8]]), 0.2, np.full(len(targets), 0.01))
    everyone = np.arange(len(targets))
    value, gradient, hessian = s.evaluate(x, everyone)
    assert np.ptp(value[:-1]) < 1e-9
    for i in range(len(x)):
        e = np.zeros((len(x), 1))
        e[i] = 1e-5
        up, down = s.evaluate(x + e, everyone), s.evaluate(x - e, everyone)
        np.testing.assert_allclose(gradient[i], (up[0] - down[0]) / 2e-5, rtol=1e-6, atol=1e-5)
        if i < len(x) - 1:
            np.testing.assert_allclose(hessian[i], (up[1] - down[1]) / 2e-5, rtol=1e-5, atol=1e-4)


def test_singular_fit_leaves_zero_where_it_pays():
    """The profile of the intercept starts where the variance is zero, and must not stay there."""
    fit = fit_design(*design_from_formula("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff2")))
    table = profile_fit(fit).interval(0.95)
    np.testing.assert_allclose(table.loc["(Intercept)"], [4.3127, 7.0185], atol=1e-3)
    assert table.loc["sd_(Intercept)|Batch", "lower"] == 0.0


def test_restricted_likelihood():
    fit = sleepstudy()
    profile = profile_fit(fit, reml=True)
    assert [t.kind for t in profile.targets] == ["sd", "cor", "sd", "sigma"]
    np.testing.assert_allclose(profile.estimate[[0, 2, 3]], [24.7407, 5.92213, 25.5918], rtol=1e-4)
    ml = profile_fit(fit).interval(0.95)
    assert (profile.interval(0.95)["upper"].iloc[:3] > ml["upper"].iloc[:3]).iloc[[0, 2]].all()


def test_units_do_not_matter():
    data = datasets.load("sleepstudy")
    plain = profile_fit(fit_design(*design_from_formula("Reaction ~ Days + (Days | Subject)", data))).interval(0.95)
    data = data.assign(Reaction=data.Reaction * 1e6, Days=data.Days * 1e-4)
    scaled = profile_fit(fit_design(*design_from_formula("Reaction ~ Days + (Days | Subject)", data))).interval(0.95)
    factors = np.array([1e6, 1, 1e10, 1e6, 1e6, 1e10])
    np.testing.assert_allclose(scaled.to_numpy() / factors[:, None], plain.to_numpy(), rtol=1e-5)


def test_plot_draws_every_parameter():
    pytest.importorskip("matplotlib")
    figure = profile_fit(sleepstudy()).plot()
    assert len(figure.axes) == 6


@pytest.mark.parametrize("name", ["sleepstudy", "crossed-slope", "weighted", "dyestuff2"])
def test_by_the_engine_is_the_same(name, monkeypatch):
    """Models too large for the array computation are profiled on the engine's moments."""
    fit = fitted(CASES[name])
    fast = profile_fit(fit).interval(0.95)
    monkeypatch.setattr("henderson.engine.many.refits.LARGEST", 0)
    slow = profile_fit(fit)
    assert isinstance(slow._likelihood.surface.likelihood, ByEngine)
    np.testing.assert_allclose(slow.interval(0.95), fast, rtol=1e-5, atol=1e-5)


def test_second_traces_of_a_large_model_are_those_of_the_optimum(monkeypatch):
    """Newton's method with T2 moved as t1 does finds the same points, in unbalanced crossed data."""
    data = datasets.load("Penicillin").iloc[:-37].drop(index=[3, 50, 51, 52])
    fit = fit_design(*design_from_formula("diameter ~ 1 + (1 | plate) + (1 | sample)", data))
    monkeypatch.setattr("henderson.engine.many.refits.LARGEST", 0)
    exact = profile_fit(fit)
    monkeypatch.setattr("henderson.intervals.profile.source.DEAR", 0)
    found = profile_fit(fit)
    assert found._likelihood.surface.likelihood.optimum is not None
    for level in (0.5, 0.95, 0.99):
        np.testing.assert_allclose(found.interval(level), exact.interval(level), rtol=1e-7)
    for one, curve in zip(found.curves, exact.curves):
        np.testing.assert_allclose(one.trace.zeta[1:-1], curve.zeta(one.values[1:-1]), atol=1e-4)


def test_no_fixed_effects():
    profile = profile_fit(sleepstudy("Reaction ~ 0 + (Days | Subject)"))
    assert [t.kind for t in profile.targets] == ["sd", "cor", "sd", "sigma"]
    assert profile.interval().notna().all(axis=None)


def test_what_the_data_do_not_tell_apart_has_no_limit_and_says_so():
    """An effect for every row: its variance and the residual's have only a sum."""
    data = datasets.load("sleepstudy")
    design, rows = design_from_formula("Reaction ~ Days + (1 | Subject)", data)
    each = RandomTerm("row", pd.RangeIndex(180), ("(Intercept)",), label="row")
    loads = (*rows.terms, TermRows(np.arange(180), np.ones((180, 1))))
    fit = fit_design(replace(design, terms=(*design.terms, each)), replace(rows, terms=loads))
    table = profile_fit(fit).interval()
    assert table.loc["sd_(Intercept)|row", "lower"] == 0.0
    assert np.isnan(table.loc["sigma", "lower"])
    assert any(note.startswith("sigma: no lower limit") for note in table.attrs["notes"])
    alone = profile_fit(fit_design(design, rows)).interval()
    np.testing.assert_allclose(table.loc[["(Intercept)", "Days"]], alone.loc[["(Intercept)", "Days"]], rtol=1e-4)
