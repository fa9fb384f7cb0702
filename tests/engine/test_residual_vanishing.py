"""Independent residuals beside correlated effects, one to a row, whose variance is zero: the optimum is the limit.

Searches in equations relative to that variance ended on the way, 1e-5 to 6e-4 above it, and said that they converged.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from henderson import fit_many, lmer
from henderson.errors import ConvergenceWarning, NotAvailable, SingularMatrixWarning
from oracle_data import frame, load_oracle

#: deviance, and estimates and standard errors relative to themselves
DEVIANCE, ESTIMATE = 1e-6, 1e-5
CASES = load_oracle("vanishing")["cases"]
#: of numbers whose residual variance is zero with and without crossed effects
SEED = 8
ZERO = "the residual variance, which is zero"


def zero(formula, data, **options):
    """A fit that says that its residual variance is zero."""
    with pytest.warns(SingularMatrixWarning, match=ZERO):
        fit = lmer(formula, data, check_identified="ignore", **options)
    assert fit.converged
    assert ZERO in fit.message
    return fit


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['formula']} {'REML' if case['reml'] else 'ML'}")
def test_the_limit_is_the_model_without_residuals(case):
    data = frame("vanishing", case["data"])
    data["visit"] = pd.Categorical(data["visit"], ordered=True)
    fit = zero(case["formula"], data, REML=case["reml"])
    assert fit.deviance == pytest.approx(case["deviance"], abs=DEVIANCE)
    np.testing.assert_allclose(fit.params, case["estimate"], rtol=ESTIMATE)
    n, p = len(data), len(fit.params)
    theirs = np.array(case["se"]) * (1.0 if case["reml"] else np.sqrt((n - p) / n))  # gls has n − p under ML, too
    np.testing.assert_allclose(fit.bse, theirs, rtol=ESTIMATE)
    shown = fit.varcorr
    np.testing.assert_allclose([shown["sdcor"].iloc[0], shown["sdcor"][shown["var2"].notna()].iloc[0]],
                               [case["sd"], case["correlation"]], rtol=ESTIMATE)  # fmt: skip
    assert fit.sigma < 1e-5 * case["sd"]


def series(seed: int, noise: float = 0.0, subjects: int = 12, rho: float = 0.8, crossed: float = 0.0) -> pd.DataFrame:
    """AR(1) series of 5 visits, some missing, beside crossed effects, with weights."""
    rng = np.random.default_rng(seed)
    g, v = np.repeat(np.arange(subjects), 5), np.tile(np.arange(5), subjects)
    root = np.linalg.cholesky(rho ** np.abs(np.subtract.outer(range(5), range(5))))
    data = pd.DataFrame({"g": g, "v": v, "x": rng.normal(size=len(g)), "h": rng.integers(0, 5, size=len(g))})
    data["y"] = data["x"] + (rng.normal(size=(subjects, 5)) @ root.T).ravel() + noise * rng.normal(size=len(g))
    data["y"] += crossed * rng.normal(size=5)[data["h"]]
    data["w"] = rng.uniform(0.5, 2, size=len(g))
    return data[rng.random(len(g)) > 0.1].sample(frac=1, random_state=1)


def dense(data: pd.DataFrame, variance: float, rho: float, crossed: float, residual: float) -> float:
    """The REML deviance by n × n algebra."""
    g, v, h = (data[name].to_numpy() for name in "gvh")
    lag = np.abs(np.subtract.outer(v, v))
    V = variance * np.equal.outer(g, g) * rho**lag + crossed * np.equal.outer(h, h)
    V = V + residual * np.diag(1 / data["w"].to_numpy())
    X, y = np.column_stack([np.ones(len(g)), data["x"]]), data["y"].to_numpy()
    A = X.T @ np.linalg.solve(V, X)
    e = y - X @ np.linalg.solve(A, X.T @ np.linalg.solve(V, y))
    log = np.linalg.slogdet(V)[1] + np.linalg.slogdet(A)[1]
    return float(log + e @ np.linalg.solve(V, e) + (len(y) - 2) * np.log(2 * np.pi))


@pytest.mark.parametrize("unit", [1e-3, 1e4])
def test_beside_crossed_effects_in_any_unit(unit):
    data = series(SEED, crossed=1.0)
    data["y"] *= unit
    fit = zero("y ~ x + (1 | h) + ar1(0 + v | g)", data, weights="w")
    table = fit.varcorr
    crossed = float(table["vcov"][table["grp"] == "h"].iloc[0])
    variance = float(table["vcov"][(table["grp"] == "g") & table["var2"].isna()].iloc[0])
    rho = float(table["sdcor"][table["var2"].notna()].iloc[0])
    least = dense(data, variance, rho, crossed, 0.0)
    assert fit.deviance == pytest.approx(least, abs=DEVIANCE)
    for k in range(3):  # an optimum: nothing near is lower, and more residual is worse
        for step in (0.999, 1.001):
            at = np.array([variance, rho, crossed])
            at[k] *= step
            assert dense(data, *at, 0.0) > least - 1e-9
    assert dense(data, variance, rho, crossed, 1e-4 * variance) > least


def test_a_small_residual_variance_is_one():
    """Steps between visits tell noise of 1/300 of a series' standard deviation."""
    data = series(SEED, noise=0.003, subjects=30, rho=0.99999)
    fit = lmer("y ~ x + ar1(0 + v | g)", data, check_identified="ignore")
    assert fit.converged
    assert 1e4 < fit.varcorr["vcov"].iloc[0] / fit.sigma**2 < 1e7
    assert not fit.engine.has_no_residual


def test_what_follows_such_a_fit():
    """Tests, errors, influence as of the same series with correlated residuals and no others."""
    data = series(SEED)
    fit, other = zero("y ~ x + ar1(0 + v | g)", data), lmer("y ~ x", data, residual="ar1(v | g)")
    np.testing.assert_allclose(fit.coef_table["df"], other.coef_table["df"], rtol=1e-6)
    errors = fit.variance_errors()
    assert errors["se"].isna().tolist() == [False, False, True]
    assert "without a standard error: sigma" in errors.attrs["notes"][0]
    np.testing.assert_allclose(errors["se"].iloc[1], other.variance_errors()["se"].iloc[1], rtol=ESTIMATE)
    for level, ratio in fit.influence("g")["covratio"].iloc[[0, 5]].items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SingularMatrixWarning)
            left = lmer("y ~ x + ar1(0 + v | g)", data[data["g"] != level], check_identified="ignore")
        assert left.engine.has_no_residual == (level == 0)
        assert ratio == pytest.approx(np.linalg.det(left.cov_params()) / np.linalg.det(fit.cov_params()), rel=ESTIMATE)
    for refused in (fit.caic, fit.rlrt):
        with pytest.raises(NotAvailable, match="residual"):
            refused()


def test_refits_to_other_responses():
    data = series(SEED)
    fit = zero("y ~ x + ar1(0 + v | g)", data)
    assert fit.refit(2 * data["y"]).deviance == pytest.approx(
        fit.deviance + 2 * (len(data) - 2) * np.log(2), abs=DEVIANCE
    )
    noisy = data["y"] + 0.5 * np.random.default_rng(0).normal(size=len(data))
    alone = lmer("z ~ x + ar1(0 + v | g)", data.assign(z=noisy), check_identified="ignore")
    again = fit.refit(noisy)
    assert not again.engine.has_no_residual
    assert again.sigma == pytest.approx(alone.sigma, rel=1e-6)
    assert again.refit(data["y"]).deviance == pytest.approx(fit.deviance, abs=DEVIANCE)


def test_the_limit_of_its_profile_is_where_the_likelihood_says():
    data = series(SEED)
    formula = "y ~ x + ar1(0 + v | g)"
    fit = zero(formula, data, REML=False)
    lower, upper = fit.conf_int(parameters="sigma", method="profile").iloc[0][["lower", "upper"]]
    held = lmer(formula, data, REML=False, fix={"Residual": upper**2})
    assert lower == 0
    assert held.deviance - fit.deviance == pytest.approx(3.8415, abs=1e-3)


def test_many_responses_of_which_one_leaves_nothing():
    data = series(SEED)
    responses = pd.DataFrame({"noisy": data["y"] + np.random.default_rng(1).normal(size=len(data)), "y": data["y"]})
    fit = zero("y ~ x + ar1(0 + v | g)", data)
    for order in (["noisy", "y"], ["y", "noisy"]):
        found = fit_many("~ x + ar1(0 + v | g)", data, responses[order], check_identified="ignore")
        assert found.deviance[order.index("y")] == pytest.approx(fit.deviance, abs=DEVIANCE)


def test_rows_in_parts_are_not_certified():
    data = series(SEED).assign(v=lambda table: "v" + table["v"].astype(str))
    with pytest.warns(ConvergenceWarning, match="the residual variance goes to zero, and the limit is not reached"):
        lmer("y ~ x + cs(0 + v | g)", lambda: iter([data[:50], data[50:]]), check_identified="ignore")
