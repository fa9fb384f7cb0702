"""Kenward and Roger's F where analysis of variance gives it exactly; structures in bars as their twins have it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import root

import henderson
from henderson.covariance.structures import structure_called
from henderson.inference.ddf.kenward_roger import adjusted_covariance, scale_and_df
from henderson.inference.fit_moments import FitMoments

EXACT = 1e-6  # relative; the optimum's last digits


@pytest.mark.parametrize("levels", [2, 3, 4])
@pytest.mark.parametrize("den_df", [1, 2, 3, 4])
def test_few_denominator_degrees_of_freedom(levels, den_df):
    """Two are the corner: the approximating F has no mean there, and rounding once made F = 0 of 2.58."""
    plots = levels + den_df  # whole plots, unevenly on the levels: still one stratum, so F is exact
    plot = np.repeat(np.arange(plots), 6)
    treated = np.arange(plots) % levels
    rng = np.random.default_rng(levels)
    y = 3 * rng.normal(size=plots)[plot] + rng.normal(size=plot.size)
    data = pd.DataFrame({"y": y, "a": treated[plot].astype(str), "plot": plot})
    means = data.groupby("plot").y.mean().to_numpy()
    within = [means[treated == level] for level in range(levels)]
    between = sum(len(one) * (one.mean() - means.mean()) ** 2 for one in within) / (levels - 1)
    error = sum(((one - one.mean()) ** 2).sum() for one in within) / den_df
    row = henderson.lmer("y ~ a + (1 | plot)", data).anova(ddf="kenward-roger").loc["a"]
    np.testing.assert_allclose([row.F, row.den_df], [between / error, den_df], rtol=EXACT)


@pytest.mark.parametrize("asked", [{"ddf": "KR"}, {"ddf": "kenward-roger-observed"}, {"cov": "kenward-roger"}])
def test_a_fit_by_ml_is_refused_before_it_is_made(asked, monkeypatch):
    monkeypatch.setattr("henderson.engine.fit.fit_design", None)
    with pytest.raises(ValueError, match=r"REML=True, or use ddf='satterthwaite'"):
        henderson.lmer("y ~ 1 + (1 | g)", {"y": [1.0, 2, 3, 5], "g": list("aabb")}, REML=False, **asked)


def test_close_to_two_denominator_degrees_of_freedom():
    """pbkrtest 0.5.2's aux and ddf: auto.noise (emmeans) without six rows, size * type + side + (1 | side:size)."""
    scaling, den_df = scale_and_df(2, 4.01317061739474, 2.00662322627802)
    assert scaling == 1.0
    np.testing.assert_allclose(den_df, 1.991963179, rtol=1e-8)


def kenward_roger_of_ar1(X, v, r, series, visits):
    """Standard errors (first derivatives of V alone) and df of one coefficient each: V = v r^|s - t|, n × n."""
    gap = np.abs(np.subtract.outer(np.arange(visits), np.arange(visits)))
    along = [r**gap, v * gap * r ** np.maximum(gap - 1, 0)]
    inverse = np.linalg.inv(np.kron(np.eye(series), v * r**gap))
    D = [np.kron(np.eye(series), own) for own in along]
    phi = np.linalg.inv(X.T @ inverse @ X)
    P = inverse - inverse @ X @ phi @ X.T @ inverse
    W = np.linalg.inv([[np.trace(P @ a @ P @ b) / 2 for b in D] for a in D])
    first = [X.T @ inverse @ a @ inverse @ X for a in D]
    middle = sum(
        W[i, j] * (X.T @ inverse @ D[i] @ inverse @ D[j] @ inverse @ X - first[i] @ phi @ first[j])
        for i in range(2) for j in range(2)
    )  # fmt: skip
    bends = np.array([(phi @ own @ phi).diagonal() for own in first])
    df = 2 * phi.diagonal() ** 2 / np.einsum("ik,ij,jk->k", bends, W, bends)
    return np.sqrt((phi + 2 * phi @ middle @ phi).diagonal()), df


@pytest.mark.parametrize("seed", [1, 3])
@pytest.mark.filterwarnings("ignore:the residual covariance is at the end")
def test_an_effect_for_each_row_without_residual(seed):
    """A pure AR(1) in bars: where the residual variance ends at zero, V⁻¹ by its effects is all cancellation, and the
    method once gave 0.9 of a standard error. By blocks it is that of n × n algebra; Satterthwaite's table is that of
    the same process among the residuals, and that cancellation is not taken for variances that are not identified."""
    rng = np.random.default_rng(seed)
    series = rng.normal(size=(20, 8)) * np.where(np.arange(8) > 0, 0.8, 1.0)
    for visit in range(1, 8):
        series[:, visit] += 0.6 * series[:, visit - 1]
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 8), "t": np.tile(np.arange(8), 20), "x": rng.normal(size=160)})
    data["y"] = 1 + 0.5 * data["x"] + series.ravel()
    fit = henderson.lmer("y ~ x + t + ar1(0 + t | g)", data)
    assert fit.sigma < 1e-2
    same = henderson.lmer("y ~ x + t", data, residual="ar1(t | g)")
    np.testing.assert_allclose(fit.bse, same.bse, rtol=1e-4)
    np.testing.assert_allclose(fit.tidy()["df"][:3], same.tidy()["df"][:3], rtol=1e-4)
    R = np.asarray(same.residual_cov(0))
    X = np.column_stack([np.ones(160), data["x"], data["t"]])
    se, df = kenward_roger_of_ar1(X, R[0, 0], R[0, 1] / R[0, 0], 20, 8)
    rows = fit.with_inference(ddf="kenward-roger-linear").tidy()[:3]
    np.testing.assert_allclose(rows["std.error"], se, rtol=1e-5)
    np.testing.assert_allclose(rows["df"], df, rtol=1e-5)


def visits(n: int, sd: list[float], noise: float, seed: int) -> pd.DataFrame:
    """Patients whose visits correlate, measured with error; some visits missing."""
    rng, T = np.random.default_rng(seed), len(sd)
    data = pd.DataFrame({"id": np.repeat(np.arange(n), T), "t": np.tile(np.arange(T), n)})
    data["x"] = data["id"] % 2
    C = 0.7 ** np.abs(np.subtract.outer(np.arange(T), np.arange(T))) * np.outer(sd, sd)
    data["y"] = rng.multivariate_normal(np.zeros(T), C, n).ravel() + noise * rng.normal(size=n * T)
    data["y"] += 0.3 * data["x"] * data["t"]
    data = data[rng.uniform(size=len(data)) > 0.1].reset_index(drop=True)
    return data.assign(row=np.arange(len(data)), v="v" + data["t"].astype(str), t2=2.0 * data["t"])


@pytest.mark.parametrize(
    ("bar", "residual"),
    [
        ("ar1(0 + v | id)", "ar1(v | id)"),
        ("ar1(0 + v | id, hom=False)", "ar1h(v | id)"),
        ("toep(0 + v | id)", "toeph(v | id)"),
        ("ou(0 + t2 | id)", "car1(t2 | id)"),
    ],
)
def test_structures_in_bars_have_the_second_derivatives_of_their_twins(bar, residual):
    """ar1(0 + v | id) beside independent residuals is, row by row, residuals ar1(v | id) beside (1 | row)."""
    unequal = residual.startswith(("ar1h", "toeph"))
    data = visits(60, [2.0, 1.5, 2.5, 3.0], 0.9, 6) if unequal else visits(24, [3.0**0.5] * 6, 1.6, 5)
    options = {"check_identified": "ignore"}  # one row an effect
    bars = henderson.lmer(f"y ~ x * t + {bar}", data, ddf="kenward-roger-observed", **options)
    twin = henderson.lmer("y ~ x * t + (1 | row)", data, residual=residual, ddf="kenward-roger", **options)
    assert bars.deviance == pytest.approx(twin.deviance, abs=1e-7)
    assert bars.bse.to_numpy() == pytest.approx(twin.bse.to_numpy(), rel=1e-5)
    assert np.asarray(bars.df_inference) == pytest.approx(np.asarray(twin.df_inference), rel=1e-4)
    joint = [each.with_inference(ddf="asymptotic", cov="hessian").bse.to_numpy() for each in (bars, twin)]
    assert joint[0] == pytest.approx(joint[1], rel=1e-5)
    without = []
    for fitted in (FitMoments.of(bars.engine), FitMoments.of(twin.engine)):
        cov, to_beta = adjusted_covariance(fitted, "observed", curved=False), fitted.working.to_beta
        without.append(np.sqrt(np.diag(to_beta @ cov @ to_beta.T)))
    assert without[0] == pytest.approx(without[1], rel=1e-5)
    assert np.abs(without[0] / bars.bse - 1).max() > 1e-4


@pytest.mark.parametrize("name", ["ar1", "hetar1", "cs", "toep", "ou(0,1,2.5,3)", "hetou(0,0.5,1,3)"])
def test_derivatives_in_variances_and_correlations(name):
    """∂G/∂ψ and ∂²G/∂ψ∂ψ of G = D R D written in ψ, by differences."""
    structure, q = structure_called(name), 4
    sds = [1.2] if structure.homogeneous else [1.2, 0.9, 1.1, 1.4]
    theta = np.append(sds, [0.5, 0.2, 0.1][: structure.correlation.n(q)])
    first, second = structure.natural(theta, q)
    k = len(theta) - structure.correlation.n(q)

    def to_psi(theta: np.ndarray) -> np.ndarray:
        G = structure.lam(theta, q) @ structure.lam(theta, q).T
        R = G / np.sqrt(np.outer(np.diag(G), np.diag(G)))
        return np.append(np.diag(G)[:k], [R[place] for place in structure.correlation.places(q)])

    psi = to_psi(theta)

    def G_at(target: np.ndarray) -> np.ndarray:
        found = root(lambda one: to_psi(one) - target, theta, tol=1e-13).x
        return structure.lam(found, q) @ structure.lam(found, q).T

    h = 1e-4
    step = h * np.eye(len(psi))
    for i, a in enumerate(step):
        assert first[i] == pytest.approx((G_at(psi + a) - G_at(psi - a)) / (2 * h), abs=1e-6)
        for j, b in enumerate(step[: i + 1]):
            corners = G_at(psi + a + b) - G_at(psi + a - b) - G_at(psi - a + b) + G_at(psi - a - b)
            assert second[i, j] == pytest.approx(corners / (4 * h * h), abs=2e-5)


def test_at_the_end_of_their_range_they_are_left_out():
    structure = structure_called("ar1")
    assert structure.natural(np.array([1.0, np.pi / 2]), 4) is None
    assert structure.natural(np.array([0.0, 0.3]), 4) is None
