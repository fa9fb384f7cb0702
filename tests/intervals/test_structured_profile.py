"""Profiles of models with a residual covariance: their limits against n × n algebra minimised by scipy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from tests.structured import Data, deviance, variance_of

import henderson
from engine.test_residual_blocks import TRIAL, made
from henderson.engine.fit import fit_design, refit
from henderson.engine.residual.crossed import CrossedPoint
from henderson.engine.residual.fitting import structured_at
from henderson.engine.residual.held import HeldPoint
from henderson.engine.residual.markov import MarkovPoint
from henderson.engine.residual.search import way
from henderson.errors import NotAvailable
from henderson.inference.choose import infer
from henderson.intervals.profile import profile_fit
from henderson.intervals.profile.of_fit import as_structured
from henderson.intervals.table import interval_table
from inference.test_kenward_roger import visits

#: ζ² of a limit, which scipy's minimum has to that
ZETA = 2e-5
#: central differences, relative to the largest entry
DIFFERENCE = 2e-5


def natural(name: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """G parameters and ψ of free coordinates: sds, log variance, and what ranges a correlation."""
    n_sd = {"ar1": 0, "car1": 0, "ar1 in sites": 1, "ar1 crossed": 2, "csh": 0}[name]
    g = x[:n_sd] ** 2
    if name == "csh":
        return g, np.append(np.exp(x[:5]), (1.25 / (1 + np.exp(-x[5]))) - 0.25)
    return g, np.array([np.exp(x[n_sd]), np.tanh(x[n_sd + 1])])


def coordinates(name: str, fit) -> np.ndarray:
    sds = [fit.sigma * lam[0, 0] for lam in fit.lam]
    if name == "csh":
        return np.append(np.log(fit.psi[:5]), np.log((fit.psi[5] + 0.25) / (1 - fit.psi[5])))
    return np.array([*sds, np.log(fit.psi[0]), np.arctanh(fit.psi[1])])


def least(name: str, data: Data, start: np.ndarray, held: int | None, reml: bool) -> float:
    """The deviance minimised over all coordinates but one, by n × n algebra."""
    free, variance = [i for i in range(len(start)) if i != held], variance_of(data)

    def at(part: np.ndarray) -> float:
        x = start.copy()
        x[free] = part
        return deviance(data, variance(*natural(name, x)), reml)

    return float(minimize(at, start[free], method="BFGS", options={"gtol": 1e-4}).fun)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", ["ar1", "ar1 in sites", "ar1 crossed", "car1", "csh"])
def test_limits_of_variance_parameters(name, reml):
    data = made(name, 24)  # of 40 patients: scipy's minimum goes over n × n matrices a hundred times
    fit = fit_design(data.design, data.rows, reml=reml)
    profile = profile_fit(fit, "theta_", reml=reml)
    table, best = profile.interval(0.9), coordinates(name, fit)
    z2 = 1.6448536269514722**2
    for i in range(len(best)):
        if name == "csh" and i not in (1, 5):
            continue
        for value in table.iloc[i]:
            if np.isnan(value) or value == 0.0:
                continue
            x = best.copy()
            kind = table.index[i].split()[-1]
            x[i] = {"Corr": np.arctanh}.get(kind, np.log)(value) if "residual" in table.index[i] else value
            if name == "csh" and i == 5:
                x[i] = np.log((value + 0.25) / (1 - value))
            assert least(name, data, x, i, reml) - fit.deviance == pytest.approx(z2, abs=ZETA)


@pytest.mark.parametrize("name", ["ar1", "ar1 crossed", "car1"])
def test_limits_of_fixed_effects(name):
    """β held at a limit: its column is in the offset."""
    data = made(name)
    fit = fit_design(data.design, data.rows, reml=False)
    table, best = profile_fit(fit, "x").interval(0.95), coordinates(name, fit)
    for value in table.loc["x"]:
        X_less = np.delete(data.rows.X, 1, axis=1)
        held = Data(data.design, replace(data.rows, X=X_less, offset=value * data.rows.X[:, 1]))
        assert least(name, held, best, None, False) - fit.deviance == pytest.approx(1.959963984540054**2, abs=ZETA)


@pytest.mark.parametrize(("name", "kind"), [("us", object), ("ar1 crossed", CrossedPoint), ("car1", MarkovPoint)])
def test_derivatives_with_an_effect_held(name, kind):
    data = made(name)
    fit = fit_design(data.design, data.rows, reml=False)
    at, phi = way(fit.blocks, data.rows), fit.blocks.working(fit.psi_working)
    assert isinstance(at(phi), kind)
    h = np.random.default_rng(1).normal(size=fit.blocks.p)
    x = np.append(phi + 0.05, h @ at(phi).beta + 0.3)

    def point(x: np.ndarray) -> HeldPoint:
        return HeldPoint(at(x[:-1]), h, x[-1])

    step = 1e-5 * np.eye(len(x))
    differences = [(point(x + one).deviance - point(x - one).deviance) / 2e-5 for one in step]
    gradient = point(x).gradient
    assert gradient == pytest.approx(differences, abs=DIFFERENCE * np.abs(gradient).max())
    second = np.array([(point(x + one).gradient - point(x - one).gradient) / 2e-5 for one in step])
    hessian = point(x).hessian_model
    assert hessian == pytest.approx(second, abs=DIFFERENCE * np.abs(hessian).max())


def test_every_row_of_the_table_has_limits_about_its_estimate():
    """us of five visits: fifteen parameters, covariances without a range among them; all by the ML fit."""
    data = made("us")
    fit = fit_design(data.design, data.rows)
    profile = profile_fit(fit, level=0.5)
    ml = refit(fit, reml=False)
    assert profile.estimate == pytest.approx(np.append(ml.psi, ml.beta), rel=1e-5)
    table = profile.interval(0.95)
    assert (table["lower"] < profile.estimate).all()
    assert (table["upper"] > profile.estimate).all()
    assert "the fit is by REML" in table.attrs["notes"][0]
    frame = profile.frame
    assert set(frame.columns) == {"parameter", "value", "zeta"}
    for _, own in frame.groupby("parameter"):
        assert own["value"].is_monotonic_increasing
        assert own["zeta"].is_monotonic_increasing


def test_curves_between_their_points_are_the_profile():
    data = made("ar1")
    fit = fit_design(data.design, data.rows, reml=False)
    profile = profile_fit(fit)
    spline = profile.spline["residual Corr"]
    assert spline is profile.spline[".res02"]
    for level in (0.3, 0.8, 0.97):
        lower, upper = profile.interval(level, ["residual Corr"]).iloc[0]
        z = (spline(lower), spline(upper))
        assert -z[0] == pytest.approx(z[1], abs=2e-3)


def test_a_standard_deviation_of_zero_is_the_lower_limit():
    """Sites that do not differ: the profile of their standard deviation begins at zero, at ζ = 0."""
    table = TRIAL.assign(flat=np.arange(len(TRIAL)) % 7)
    fit = henderson.lmer("y ~ x + (1 | flat)", table, residual="ar1(visit | patient)", REML=False)
    if fit.engine.theta[0] > 1e-3:
        pytest.fail("the example is meant to be singular")
    profile = fit.profile("sd_(Intercept)|flat")
    lower, upper = profile.interval().iloc[0]
    assert lower == 0.0
    assert 0 < upper < 10
    assert profile.estimate[0] == pytest.approx(0.0, abs=1e-3)


def test_conf_int_profiles_only_as_far_as_it_needs():
    data = made("ar1 in sites")
    fit = fit_design(data.design, data.rows)
    inference = infer(fit)
    found = interval_table(fit, inference, "profile", 0.95)
    whole = profile_fit(fit).interval(0.95)
    assert found.to_numpy() == pytest.approx(whole.loc[found.index].to_numpy(), rel=1e-5, nan_ok=True)
    assert list(found.index) == list(whole.index)


def test_slopes_and_intercepts_beside_a_residual_structure():
    """A correlation of random effects, between −1 and 1, and no higher than where a standard deviation is zero."""
    rng = np.random.default_rng(3)
    subjects, times = 30, 6
    t = np.tile(np.arange(times), subjects)
    who = np.repeat(np.arange(subjects), times)
    b = rng.multivariate_normal([0, 0], [[2.0, 0.5], [0.5, 0.6]], subjects)
    y = 5 + b[who, 0] + (1 + b[who, 1]) * t + rng.normal(size=len(t))
    data = pd.DataFrame({"y": y, "t": t, "who": who})
    fit = henderson.lmer("y ~ t + (t | who)", data, residual="ar1(t | who)", REML=False)
    plain = henderson.lmer("y ~ t + (t | who)", data, REML=False)
    table = fit.conf_int(method="profile")
    cor = table.loc["cor_t.(Intercept)|who"]
    assert -1 <= cor["lower"] < cor["upper"] <= 1
    held = plain.conf_int(method="profile")  # the model with ρ = 0, which is close
    assert cor["upper"] == pytest.approx(held.loc["cor_t.(Intercept)|who", "upper"], abs=0.3)
    assert table.loc["sd_t|who"].to_numpy() == pytest.approx(held.loc["sd_t|who"].to_numpy(), rel=0.1)


def test_variances_of_fitted_values_have_no_profile():
    fit = henderson.lmer("y ~ x", TRIAL, residual="power(fitted)")
    with pytest.raises(NotAvailable, match="follow the fitted values"):
        fit.profile()


def test_units_do_not_matter():
    fit = henderson.lmer("y ~ x", TRIAL, residual="ar1(visit | patient)", REML=False)
    scaled = henderson.lmer("y ~ x", TRIAL.assign(y=1e4 * TRIAL["y"]), residual="ar1(visit | patient)", REML=False)
    one, two = (each.conf_int(method="profile").to_numpy() for each in (fit, scaled))
    assert two[1] == pytest.approx(one[1], rel=1e-5)  # the correlation
    assert two[2:] == pytest.approx(1e4 * one[2:], rel=1e-5)
    assert two[0] == pytest.approx(1e8 * one[0], rel=1e-5)


def test_a_saddle_at_a_singular_fit_is_left():
    """Slopes that hardly vary, their correlation −1 at the optimum: with more of a slope's variance the correlation is
    inside, which a path that begins at −1 does not see in the gradient."""
    rng = np.random.default_rng(3)
    t, who = np.tile(np.arange(6.0), 30), np.repeat(np.arange(30), 6)
    y = 5 + rng.normal(size=30)[who] * 1.5 + t + rng.normal(size=len(t))
    data = pd.DataFrame({"y": y, "t": t, "who": who})
    fit = henderson.lmer("y ~ t + (t | who)", data, residual="ar1(t | who)", REML=False)
    upper = fit.conf_int(method="profile", parameters=["sd_t|who"]).iloc[0]["upper"]
    same, apart = who[:, None] == who, np.abs(np.subtract.outer(t, t))
    X = np.column_stack([np.ones(len(t)), t])

    def at(x: np.ndarray) -> float:
        cov = x[0] * upper * np.sin(x[1])
        V = x[0] ** 2 + cov * np.add.outer(t, t) + upper**2 * np.outer(t, t) + np.exp(x[2]) * np.tanh(x[3]) ** apart
        V = np.where(same, V, 0.0)
        solved = np.linalg.solve(V, np.column_stack([X, y]))
        e = y - X @ np.linalg.solve(X.T @ solved[:, :2], X.T @ solved[:, 2])
        return float(np.linalg.slogdet(V)[1] + e @ np.linalg.solve(V, e) + len(y) * np.log(2 * np.pi))

    least = minimize(at, [1.8, 0.0, 0.0, -0.05], method="BFGS", options={"gtol": 1e-4}).fun
    assert least - fit.engine.deviance == pytest.approx(1.959963984540054**2, abs=ZETA)


def test_structures_in_bars_have_the_profiles_of_their_twins():
    """ar1(0 + v | id) beside independent residuals is, row by row, residuals ar1(v | id) beside (1 | row)."""
    data = visits(24, [3.0**0.5] * 6, 1.6, 5)
    options = {"check_identified": "ignore", "REML": False}  # one row an effect
    bars = henderson.lmer("y ~ t + ar1(0 + v | id)", data, **options).conf_int(method="profile")
    twin = henderson.lmer("y ~ t + (1 | row)", data, residual="ar1(v | id)", **options).conf_int(method="profile")
    sd, cor, sigma = bars.to_numpy()[:3]
    row, variance, residual_cor = twin.to_numpy()[:3]
    assert sd**2 == pytest.approx(variance, rel=1e-4)
    assert cor[0] == pytest.approx(residual_cor[0], abs=1e-4)
    assert cor[1] == 1.0  # the other's ρ has no end in its coordinates, and its profile no limit there
    assert sigma == pytest.approx(row, rel=1e-4, abs=1e-4)
    assert bars.loc["t"].to_numpy() == pytest.approx(twin.loc["t"].to_numpy(), abs=1e-5)


def test_a_profile_that_finds_a_lower_deviance_says_so():
    """A fit held at another minimum: its ρ is far from where the likelihood is highest."""
    data = made("ar1 in sites")
    fit = fit_design(data.design, data.rows, reml=False)
    away = np.concatenate([[2.5**2], [fit.psi[0], -0.2]])
    found = structured_at(data.design, data.rows, away, "given", reml=False)
    notes = profile_fit(found, "residual Corr").notes
    assert "lower elsewhere than at the fit" in notes[-1]
    assert not any("lower elsewhere" in note for note in profile_fit(fit, "residual Corr").notes)


def test_a_negative_variance_has_a_profile():
    """bound=False, V = σ²I + v 11' by patient: the limits against n × n algebra."""
    rng = np.random.default_rng(2)
    who = np.repeat(np.arange(20), 4)
    y = rng.normal(size=80)
    y -= 0.8 * np.bincount(who, y)[who] / 4  # patients' means differ less than their rows say
    data = pd.DataFrame({"y": y, "who": who})
    fit = henderson.lmer("y ~ 1 + (1 | who)", data, bound=False, REML=False)
    same = who[:, None] == who

    def at(v: float, s2: float) -> float:
        V = s2 * np.eye(80) + v * same
        ones = np.linalg.solve(V, np.ones(80))
        e = y - (ones @ y) / ones.sum()
        return float(np.linalg.slogdet(V)[1] + e @ np.linalg.solve(V, e) + 80 * np.log(2 * np.pi))

    (name,) = (one for one in fit.variance_errors().index if one.startswith("var_"))
    lower, upper = fit.conf_int(method="profile", parameters=[name]).iloc[0]
    assert lower < fit.variance_errors().loc[name, "estimate"] < min(upper, 0.0)
    for limit in (lower, upper):
        floor = max(-4 * limit, 0.0)
        least = minimize(lambda x, v=limit, a=floor: at(v, a + np.exp(x[0])), [0.0], method="BFGS").fun
        assert least - fit.engine.deviance == pytest.approx(1.959963984540054**2, abs=ZETA)


def test_one_correlation_of_several_effects():
    """homcs: its λ is linear in θ, but a standard deviation is two of them."""
    data = TRIAL.assign(u=TRIAL["x"] - 0.3 * TRIAL["other"])
    fit = henderson.lmer("y ~ x + cs(0 + x + u | patient, hom=True)", data, REML=False)
    profile = fit.profile("theta_")
    table = profile.interval(0.9)
    assert (table["lower"] <= profile.estimate + 1e-9).all()
    assert (table["upper"] >= profile.estimate - 1e-9).all()
    plain = henderson.lmer("y ~ x + (1 | patient)", TRIAL, REML=False)
    by_surface = plain.profile("theta_").interval(0.9)
    own = as_structured(plain.engine)
    by_courses = profile_fit(own, "theta_").interval(0.9)
    assert by_courses.to_numpy() == pytest.approx(by_surface.to_numpy(), rel=1e-5, abs=1e-6)
