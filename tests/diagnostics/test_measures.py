"""Fit measures against performance, lme4 and definitions; the conditional AIC against differences."""

from __future__ import annotations

import numpy as np
import pytest

from henderson import lmer
from henderson.design.from_formula import design_from_formula
from henderson.diagnostics.conditional_aic import conditional_aic, conditional_residuals
from henderson.diagnostics.measures import aicc, effective_df, icc, r2, random_effects_pca
from henderson.engine.fit import fit_design
from oracle_data import cases, frame, load_oracle

SHARE = 1e-6
# cAIC4 halves one term of ∂²d/∂θ∂y, so its ρ is a little too large; ours is the trace of differences (below)
RHO_OF_CAIC4 = 0.12

CASES = cases("measures")


@pytest.fixture(scope="module", params=CASES)
def fitted(request):
    case = CASES[request.param]
    model = design_from_formula(case["formula"], frame("measures", case["data"]), weights=case["weights"])
    return case, fit_design(*model, reml=case["reml"])


def test_r2_and_icc(fitted):
    case, fit = fitted
    want = case["definition"]
    assert r2(fit).marginal == pytest.approx(want["marginal"], abs=SHARE)
    assert r2(fit).conditional == pytest.approx(want["conditional"], abs=SHARE)
    shares = icc(fit)
    assert shares["icc"]["adjusted"] == pytest.approx(want["icc_adjusted"], abs=SHARE)
    assert shares["icc"].iloc[:-2].sum() == pytest.approx(want["icc_adjusted"], abs=SHARE)
    by_group = case["icc"].get("by_group")
    # performance takes the intercept's variance for a term with slopes; it loses terms on one factor
    if by_group and len(by_group["group"]) == len(shares) - 2 and case["id"] != "sleepstudy-uncorrelated":
        rank = {name.split(":")[0]: value for name, value in zip(by_group["group"], by_group["icc"])}
        assert sorted(shares["icc_intercept"].iloc[:-2]) == pytest.approx(sorted(rank.values()), abs=1e-5)


def test_degrees_of_freedom_and_aicc(fitted):
    case, fit = fitted
    assert effective_df(fit) == pytest.approx(case["trace_hat"], abs=1e-4)
    assert aicc(fit) == pytest.approx(case["aicc"], abs=1e-6)


def test_conditional_aic(fitted):
    case, fit = fitted
    got, want = conditional_aic(fit), case["caic"]
    assert got.effective_df == pytest.approx(case["trace_hat"], abs=1e-4)
    if case["id"] == "dyestuff2":  # cAIC4 refits without the factor and forgets σ
        assert got.df == pytest.approx(2)
        return
    assert got.loglik == pytest.approx(want["loglik"], abs=1e-4)
    if case["id"] != "flat":  # singular: cAIC4 differentiates across the boundary
        assert want["df"] - RHO_OF_CAIC4 < got.df < want["df"]
        assert got.caic == pytest.approx(want["caic"], rel=5e-4)


@pytest.mark.parametrize("name", ["dyestuff", "pastes", "flat", "sleepstudy-ml"])
def test_rho_is_the_trace_of_the_derivative_of_the_fitted_values(name):
    case = CASES[name]
    design, rows = design_from_formula(case["formula"], frame("measures", case["data"]))
    fit = fit_design(design, rows, reml=case["reml"])
    step = 1e-2 * fit.sigma

    def fitted_value(i, change):
        y = rows.y.copy()
        y[i] += change
        again = fit_design(design, rows.with_response(y), reml=case["reml"], start=fit.theta)
        return y[i] - conditional_residuals(again)[i]

    trace = sum((fitted_value(i, step) - fitted_value(i, -step)) / (2 * step) for i in range(len(rows.y)))
    assert conditional_aic(fit).rho == pytest.approx(trace, abs=2e-4)


def test_hat_matrix_with_weights_is_the_dense_one():
    data = frame("inference", "weighted")
    design, rows = design_from_formula("y ~ f * x + (x | g)", data, weights="w")
    fit = fit_design(design, rows)
    term, lam = design.terms[0], fit.lam[0]
    n = len(rows.y)
    Z = np.zeros((n, term.n_levels, 2))
    Z[np.arange(n), rows.terms[0].codes] = rows.terms[0].columns
    G = np.einsum("ijq,qr,kjr->ik", Z, lam @ lam.T, Z, optimize=True)
    V = np.diag(1 / rows.weights) + G
    W = np.linalg.inv(V)
    X = rows.X
    P = W - W @ X @ np.linalg.solve(X.T @ W @ X, X.T @ W)
    H = np.eye(n) - P / rows.weights[:, None]
    assert effective_df(fit) == pytest.approx(np.trace(H), rel=1e-8)
    got = conditional_aic(fit)
    residual = rows.y - H @ rows.y
    loglik = -0.5 * np.sum(np.log(2 * np.pi * fit.sigma**2 / rows.weights) + rows.weights * residual**2 / fit.sigma**2)
    assert got.loglik == pytest.approx(loglik, rel=1e-8)
    assert got.rho > got.effective_df


def test_conditional_aic_does_not_depend_on_units():
    data = frame("measures", "sleepstudy").copy()
    fit = fit_design(*design_from_formula("Reaction ~ Days + (Days | Subject)", data))
    data["Reaction"] = data["Reaction"] * 1e6
    data["Days"] = data["Days"] * 1e-4
    again = fit_design(*design_from_formula("Reaction ~ Days + (Days | Subject)", data))
    assert conditional_aic(again).rho == pytest.approx(conditional_aic(fit).rho, rel=1e-6)


def test_principal_components_as_lme4():
    listing = load_oracle("intervals")
    for case in listing["cases"]:
        if "repca" not in case or case["repca"] is None:
            continue
        data = frame("intervals", case["data"])
        fit = fit_design(
            *design_from_formula(case["formula"], data, weights=case["weights"], strict=False), reml=case["reml"]
        )
        got = random_effects_pca(fit.design, fit.lam, fit.sigma)
        largest = max(max(want["sdev"]) for want in case["repca"].values())
        for want in case["repca"].values():
            found = [
                rows["sd"].to_numpy()
                for _, rows in got.groupby("group")
                if len(rows) == len(want["sdev"])
                and np.allclose(rows["sd"], want["sdev"], rtol=1e-4, atol=1e-4 * largest)
            ]
            assert found, case["id"]


def test_shares_of_a_slope_far_from_zero():
    """R² and the intraclass correlation are the same wherever a covariate has its zero: G and Z'Z lose their digits."""
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(15), 8), rng.integers(-64, 64, 120) / 32.0
    y = x + rng.normal(size=15)[g] + 0.4 * rng.normal(size=15)[g] * x + rng.normal(size=120)
    near, far = (lmer("y ~ x + (x | g)", {"y": y, "x": x + move, "g": g}) for move in (0.0, 2.0**27))
    np.testing.assert_allclose(far.r2(), near.r2(), rtol=1e-5)
    np.testing.assert_allclose(far.icc()["variance"], near.icc()["variance"], rtol=1e-5)
