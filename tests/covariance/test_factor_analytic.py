"""Few common factors behind many effects: derivatives, several minima, Heywood cases, what is shown."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson import lmer
from henderson.covariance.minres import own_variances
from henderson.covariance.structures import structure_called
from henderson.diagnostics.conditional_aic import conditional_aic
from henderson.errors import FormulaError

DERIVATIVES = 1e-7  # central differences with step 1e-5
ROUNDING = 1e-12
SAME = 1e-6  # of deviances that two searches end at
LOADING = np.array([[0.9, 0.0], [0.8, 0.3], [0.7, -0.4], [0.2, 0.8], [0.5, 0.5], [0.4, -0.6]])


def drawn(seed: int, own: np.ndarray, loading: np.ndarray = LOADING, n: int = 900, J: int = 50) -> pd.DataFrame:
    """Rows of J levels; a level's effects on the traits are ΛΛ' + Ψ."""
    rng = np.random.default_rng(seed)
    q, k = loading.shape
    b = rng.normal(size=(J, k)) @ loading.T + rng.normal(size=(J, q)) * np.sqrt(own)
    table = pd.DataFrame({"g": rng.integers(J, size=n), "t": np.append(np.arange(q), rng.integers(q, size=n - q))})
    table["y"] = b[table["g"], table["t"]] + 0.6 * rng.normal(size=n)
    return table.assign(trait=[f"t{k}" for k in table["t"]])


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return drawn(7, np.full(6, 0.3))


def fitted(formula, table, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lmer(formula, table, **options)


@pytest.mark.parametrize("heywood", [False, True], ids=["inside", "Heywood"])
@pytest.mark.parametrize(("name", "q"), [("rr(1)", 4), ("rr(2)", 5), ("rr(9)", 3), ("fa(1)", 4), ("fa(2)", 6)])
def test_derivatives_and_its_own_theta(name, q, heywood):
    structure = structure_called(name)
    theta = np.random.default_rng(3).normal(size=structure.n_theta(q))
    if heywood:
        theta[-1] = 0.0
    h = 1e-5 * np.eye(len(theta))

    def cov(at):
        lam = structure.lam(at, q)
        return lam @ lam.T

    slopes = np.stack([(cov(theta + one) - cov(theta - one)) / 2e-5 for one in h])
    np.testing.assert_allclose(structure.directions(theta, q), slopes, atol=DERIVATIVES)
    half = structure.jacobian(theta, q) @ structure.lam(theta, q).T
    np.testing.assert_allclose(half + half.transpose(0, 2, 1), slopes, atol=DERIVATIVES)
    bends = np.stack([(structure.directions(theta + s, q) - structure.directions(theta - s, q)) / 2e-5 for s in h])
    np.testing.assert_allclose(structure.second_covariance(theta, q), bends, atol=DERIVATIVES)
    N = np.cov(np.random.default_rng(4).normal(size=(q, 2 * q)))
    np.testing.assert_allclose(structure.bend(theta, N), np.tensordot(bends, N, 2), atol=DERIVATIVES)
    np.testing.assert_allclose(cov(structure.theta_of_cov(cov(theta))), cov(theta), atol=ROUNDING)
    np.testing.assert_allclose(cov(structure.theta(structure.lam(theta, q))), cov(theta), atol=ROUNDING)


@pytest.mark.parametrize("seed", range(20))
def test_own_variances_of_a_factor_model_are_found_to_rounding(seed):
    rng = np.random.default_rng(seed)
    q, k = rng.integers(5, 12), rng.integers(1, 3)
    loading, psi = rng.normal(size=(q, k)), rng.uniform(0.05, 1.0, q)
    psi[: rng.integers(0, 2)] = 0.0
    cov = loading @ loading.T + np.diag(psi)
    np.testing.assert_allclose(own_variances(cov, k), psi, atol=1e-9)


def test_larger_models_are_lower_and_the_largest_are_unstructured(data):
    free = lmer("y ~ trait + us(0 + trait | g)", data)
    for word in ("rr", "fa"):
        deviance = [fitted(f"y ~ trait + {word}(0 + trait | g, {k})", data).deviance for k in (1, 2, 3, 6)]
        assert all(one >= other - SAME for one, other in pairwise(deviance))
        assert deviance[-1] == pytest.approx(free.deviance, abs=SAME)
    most = fitted("y ~ trait + fa(0 + trait | g, 6)", data)
    assert most.engine.n_variances == free.engine.n_variances  # not the 27 of θ
    np.testing.assert_allclose(most.df_inference, free.df_inference, rtol=1e-4)
    kr = [lmer(f"y ~ trait + {bar}", data, ddf="KR") for bar in ("us(0 + trait | g)", "fa(0 + trait | g, 6)")]
    np.testing.assert_allclose(kr[0].df_inference, kr[1].df_inference, rtol=1e-4)
    np.testing.assert_allclose(kr[0].bse, kr[1].bse, rtol=1e-5)


def test_a_factor_for_three_effects_is_unstructured():
    """Six numbers for six, where no effect is explained to the end."""
    table = drawn(1, np.full(3, 0.4), np.array([[0.9], [0.8], [0.7]]), 1500, 150)
    one, free = fitted("y ~ 1 + fa(0 + trait | g, 1)", table), fitted("y ~ 1 + us(0 + trait | g)", table)
    assert one.deviance == pytest.approx(free.deviance, abs=SAME)


@pytest.mark.parametrize("bar", ["rr(0 + trait | g, 3)", "fa(0 + trait | g, 1)", "fa(0 + trait | g, 2)"])
def test_other_starts_end_no_lower(bar, data):
    fit, rng = fitted(f"y ~ trait + {bar}", data), np.random.default_rng(1)
    for _ in range(6):
        start = rng.choice([0.3, 1.0, 3.0]) * rng.normal(size=len(fit.theta))
        other = fitted(f"y ~ trait + {bar}", data, start=start)
        assert other.deviance > fit.deviance - SAME


def test_neither_units_nor_the_order_of_effects_matter(data):
    for bar in ("rr(0 + trait | g, 2)", "fa(0 + trait | g, 2)"):
        fit = fitted(f"y ~ trait + {bar}", data)
        turned = data.assign(trait=data["trait"].map({f"t{k}": f"s{5 - k}" for k in range(6)}))
        assert fitted(f"y ~ trait + {bar}", turned).deviance == pytest.approx(fit.deviance, abs=SAME)
        larger = fitted(f"y ~ trait + {bar}", data.assign(y=1000 * data["y"]))
        np.testing.assert_allclose(larger.varcorr["vcov"], 1e6 * fit.varcorr["vcov"], rtol=1e-5)


def test_loadings_make_the_covariance(data):
    fit = lmer("y ~ trait + fa(0 + trait | g, 2)", data)
    table = fit.loadings
    loading = table[["factor1", "factor2"]].to_numpy(float)
    cov = fit.engine.sigma**2 * fit.engine.lam[0] @ fit.engine.lam[0].T
    np.testing.assert_allclose(loading @ loading.T + np.diag(table["specific"]), cov, atol=1e-10)
    np.testing.assert_allclose(table["communality"], 1 - table["specific"] / np.diag(cov), rtol=1e-10)
    scaled = loading / np.sqrt(np.diag(cov))[:, None]
    one, other = scaled.T @ scaled
    assert one[0] > other[1]
    assert abs(one[1]) < 1e-10
    assert (loading.sum(axis=0) > 0).all()
    assert list(table["effect"]) == list(fit.design.terms[0].names)
    text = fit.summary().as_text()
    assert "Factor loadings:" in text
    assert "communality" in text
    assert "Factor loadings" in fit.summary().as_html()
    assert lmer("y ~ trait + us(0 + trait | g)", data).loadings.empty


def test_a_heywood_case_is_certified_and_said():
    """One effect has no variance of its own: what the variance at zero would gain is asked of N, since the gradient in
    its root vanishes there."""
    own = np.array([0.0, 0.5, 0.5, 0.4])
    loading = np.array([[1.0], [0.3], [0.3], [0.2]])
    seen = 0
    for seed in range(6):
        table = drawn(seed, own, loading, 500)
        fit = fitted("y ~ 1 + fa(0 + trait | g, 1)", table)
        assert fit.optinfo["converged"]
        if not fit.is_singular:
            continue
        seen += 1
        specific = fit.loadings["specific"]
        assert (specific == 0).any()
        assert "Heywood" in "".join(fit.summary().notes)
        assert fit.variance_errors()["se"].isna().any()
        assert np.isfinite(fit.df_inference).all()
        psi = np.where(specific == 0, 0.01, specific)  # a little of it is no better
        common = fit.loadings[["factor1"]].to_numpy(float)
        theta = structure_called("fa(1)").theta_of_cov((common @ common.T + np.diag(psi)) / fit.sigma**2)
        assert fit.engine.criterion.deviance(theta) > fit.deviance
    assert seen >= 2


def test_the_rest_follows(data, tmp_path):
    fit = lmer("y ~ trait + rr(0 + trait | g, 2)", data)
    assert not fit.is_singular
    fit.save(tmp_path / "fit.henderson")
    again = henderson.load(tmp_path / "fit.henderson")
    pd.testing.assert_frame_equal(again.loadings, fit.loadings)
    assert conditional_aic(fit.engine).rho > 0
    boot = fit.bootstrap(6, seed=1)
    assert np.isfinite(boot.se.to_numpy(float)).all()
    with pytest.raises(ValueError, match=r"no profiles with rr\(2\)"):
        fit.profile()
    one = lmer("y ~ trait + rr(0 + trait | g, 1)", data)
    table = henderson.compare(one, fit, lmer("y ~ trait + us(0 + trait | g)", data))
    assert list(table["df"].iloc[1:]) == [5.0, 10.0]
    assert table["statistic"].iloc[1:].notna().all()


@pytest.mark.parametrize(
    ("bar", "said"),
    [
        ("rr(0 + trait | g)", "number of factors beside the bar"),
        ("rr(0 + trait | g, 0)", "a whole number from 1"),
        ("fa(0 + trait | g, 1.5)", "a whole number from 1"),
        ("fa(0 + trait | g, n=2)", "a whole number from 1"),
        ("fa(0 + trait | g, 2, hom=True)", "number of factors beside the bar"),
        ("rr(0 + trait || g, 2)", r"\|\| takes no structure"),
    ],
)
def test_what_is_said_of_a_wrong_number(bar, said, data):
    with pytest.raises(FormulaError, match=said):
        lmer(f"y ~ trait + {bar}", data)
