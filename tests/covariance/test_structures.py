"""What is asked of every structure: fits against n × n algebra, inference, refits, its boundary.

Compound symmetry with one variance has λ linear in θ; the others have not, and their G are no linear space either (of
AR(1) the bands of a Toeplitz matrix hold them).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import solve_triangular

import henderson
from henderson.covariance.structure import Structure
from henderson.covariance.structures import STRUCTURES, structure_called
from henderson.design.from_formula import design_from_formula
from henderson.design.variance_parameters import variance_parameters
from henderson.diagnostics.conditional_aic import conditional_aic
from henderson.engine.boundary import is_singular
from henderson.engine.fit import Fit, fit_design
from henderson.engine.many.draws import simulate
from henderson.engine.many.refits import Refitter, batched_components
from henderson.inference import infer
from henderson.inference.comparison.chibar import mixture
from henderson.intervals.profile import profile_fit
from henderson.intervals.variance_errors import standard_errors, variance_covariance
from reference import Data

LEVELS = 4  # effects per level
ROUNDING = 1e-8
REFIT = 2e-3  # replicates stop where a step promises little
SLOPE = 2e-3  # of the deviance by θ, from differences with step 1e-4


@pytest.fixture(
    scope="module",
    params=["homcs", "cs", "ar1", "hetar1", "homtoep", "toep", "ou(0,1,2.5,3)", "rr(2)", "fa(1)"],
)
def structure(request) -> Structure:
    """One of each kind."""
    return structure_called(request.param)


@pytest.fixture(scope="module")
def data(structure) -> Data:
    """Forty subjects on four occasions and a crossed item; the subjects' effects by occasion have the structure."""
    rng = np.random.default_rng(11)
    n, J = 360, 40
    table = pd.DataFrame({
        "subject": rng.integers(J, size=n),
        "item": rng.integers(9, size=n),
        "visit": rng.integers(LEVELS, size=n).astype(str),
        "x": rng.normal(size=n),
    })  # fmt: skip
    true = 0.8**2 * 0.6 ** np.abs(np.subtract.outer(np.arange(LEVELS), np.arange(LEVELS)))
    if structure.name == "fa(1)":  # of which AR(1) is no member, and leads to a Heywood case
        true = np.outer(loading := np.array([0.9, 0.7, 0.6, 0.8]), loading) + np.diag([0.3, 0.4, 0.3, 0.4])
    b = rng.multivariate_normal(np.zeros(LEVELS), true, size=J)
    y = 1 + 0.5 * table["x"] + b[table["subject"], table["visit"].astype(int)] + 0.4 * rng.normal(size=9)[table["item"]]
    table["y"] = y + 0.7 * rng.normal(size=n)
    plain, rows = design_from_formula("y ~ x + (0 + visit | subject) + (1 | item)", table)
    terms = tuple(replace(t, structure=structure.name) if t.n_columns > 1 else t for t in plain.terms)
    return Data(replace(plain, terms=terms), rows)


def dense_v(data: Data, structure: Structure, theta: np.ndarray) -> np.ndarray:
    """V at (θ, the item's standard deviation), (n, n)."""
    subject, item = data.rows.terms
    lam = structure.lam(theta[:-1], LEVELS)
    within = np.equal.outer(subject.codes, subject.codes)
    V = np.where(within, subject.columns @ (lam @ lam.T) @ subject.columns.T, 0.0) + np.eye(data.rows.n)
    return V + theta[-1] ** 2 * np.equal.outer(item.codes, item.codes)


def dense(data: Data, structure: Structure, theta: np.ndarray) -> tuple[float, np.ndarray, float]:
    """The REML deviance, β̂ and σ at (θ, the item's standard deviation), from V itself."""
    root = np.linalg.cholesky(dense_v(data, structure, theta))
    white = solve_triangular(root, np.column_stack([data.rows.X, data.rows.y]), lower=True)
    X, y = white[:, :-1], white[:, -1]
    beta = np.linalg.solve(X.T @ X, X.T @ y)
    e, nu = y - X @ beta, len(y) - X.shape[1]
    r2 = float(e @ e)
    logs = 2 * np.log(np.diag(root)).sum() + np.linalg.slogdet(X.T @ X)[1]
    return float(logs + nu * (1 + np.log(2 * np.pi * r2 / nu))), beta, float(np.sqrt(r2 / nu))


@pytest.fixture(scope="module")
def fitted(data) -> Fit:
    return fit_design(*data)


def test_the_fit_is_the_dense_optimum(data, structure, fitted):
    assert fitted.optimum.converged
    deviance, beta, sigma = dense(data, structure, fitted.theta)
    assert deviance == pytest.approx(fitted.deviance, abs=1e-8)
    np.testing.assert_allclose(fitted.beta, beta, rtol=1e-9)
    assert fitted.sigma == pytest.approx(sigma, rel=1e-9)
    steps = 1e-4 * np.eye(len(fitted.theta))
    around = np.array([[dense(data, structure, fitted.theta + s * one)[0] for one in steps] for s in (1, -1)])
    assert (around >= deviance - ROUNDING).all()
    np.testing.assert_allclose((around[0] - around[1]) / 2e-4, 0, atol=SLOPE)


def test_inference_follows(data, structure, fitted):
    """Variances' covariance and Satterthwaite's df from the Hessian of the dense deviance in (θ, σ), and Kenward and
    Roger's from the expected information."""
    if fitted.optimum.boundary_gain or is_singular(fitted):
        pytest.fail("the data were to have an optimum inside")
    theta, sigma, nu = fitted.theta, fitted.sigma, data.rows.n - 2
    m = len(theta) + 1

    def deviance(phi):  # −2ℓ in (θ, log σ²), from the profiled one
        d, _, profiled = dense(data, structure, phi[:-1])
        r2 = nu * profiled**2
        return d - nu * (1 + np.log(r2 / nu)) + nu * phi[-1] + r2 / np.exp(phi[-1])

    at, h = np.append(theta, 2 * np.log(sigma)), 1e-3
    H, steps = np.zeros((m, m)), h * np.eye(m)
    for i in range(m):
        for j in range(i + 1):
            signs = [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]
            H[i, j] = H[j, i] = sum(w * deviance(at + a * steps[i] + b * steps[j]) for a, b, w in signs) / (4 * h * h)
    cov_phi = 2 * np.linalg.inv(H)

    def variance(phi):
        lam = structure.lam(phi[:-2], LEVELS)
        return np.exp(phi[-1]) * (lam @ lam.T)[0, 0]

    slope = np.array([(variance(at + s) - variance(at - s)) / (2 * h) for s in steps])
    cov = variance_covariance(fitted)
    assert cov[0, 0] == pytest.approx(slope @ cov_phi @ slope, rel=1e-4)
    assert standard_errors(fitted)["se"].notna().all()

    X = data.rows.X

    def v_of_beta(phi):  # Var(β̂_x) at the parameters
        V = dense_v(data, structure, phi[:-1])
        return np.exp(phi[-1]) * np.linalg.inv(X.T @ np.linalg.solve(V, X))[1, 1]

    slope = np.array([(v_of_beta(at + s) - v_of_beta(at - s)) / (2 * h) for s in steps])
    df = 2 * v_of_beta(at) ** 2 / (slope @ cov_phi @ slope)
    assert infer(fitted).df([[0.0, 1.0]])[0] == pytest.approx(df, rel=1e-3)

    inverse = np.linalg.inv(dense_v(data, structure, theta))
    P = inverse - inverse @ X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse)
    change = [
        (dense_v(data, structure, theta + s[:-1]) - dense_v(data, structure, theta - s[:-1])) / (2 * h)
        for s in steps[:-1]
    ]
    products = [P @ one for one in [*change, np.linalg.inv(inverse)]]  # of Σ/σ², the last by log σ²
    expected = np.array([[np.sum(a * b.T) / 2 for b in products] for a in products])
    df = 2 * v_of_beta(at) ** 2 / (slope @ np.linalg.solve(expected, slope))
    assert infer(fitted, ddf="kenward-roger").df([[0.0, 1.0]])[0] == pytest.approx(df, rel=1e-4)


def test_where_no_variance_is_there(structure):
    """The class' boundary: independent rows, so every variance is zero or nearly so, and the fit is certified."""
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"g": np.repeat(np.arange(30), 8), "f": np.tile(list("abcd"), 60), "y": rng.normal(size=240)})
    plain, rows = design_from_formula("y ~ 1 + (0 + f | g)", table)
    (term,) = plain.terms
    fit = fit_design(replace(plain, terms=(replace(term, structure=structure.name),)), rows)
    nothing = fit_design(replace(plain, terms=(replace(term, structure="identity"),)), rows)
    assert fit.deviance <= nothing.deviance + 1e-6
    assert fit.optimum.converged


@pytest.mark.parametrize("bar", ["cs", "hetar1", "toep"])
@pytest.mark.parametrize("seed", [3, 6, 8])
def test_exactly_zero_is_an_end(bar, seed):
    """Once NumPy's "more dimensions than allowed": of one block the first way off zero had the shape of many."""
    rows = np.arange(72)
    table = {"y": np.random.default_rng(seed).normal(size=72), "h": rows % 9, "f": rows // 9 % 2}
    fit = henderson.lmer(f"y ~ 1 + {bar}(0 + factor(f) | h)", table)
    assert fit.converged
    assert fit.deviance <= henderson.lmer("y ~ 1 + (1 | h)", table, fix={"h": 0}).deviance + 1e-6


@pytest.mark.filterwarnings("ignore")
def test_zero_is_no_rounding_error():
    """Once θ = 2e-17 with limits from 0 to 0.5: the step to zero was left out where the variance was below 1e-30."""
    g, x = np.repeat(np.arange(12), 6), np.random.default_rng(1).normal(size=72)
    for seed in (3, 4, 9, 12):
        table = {"y": np.random.default_rng(seed).normal(size=72), "x": x, "g": g}
        fit = henderson.lmer("y ~ x + (1 | g)", table)
        assert fit.theta.tolist() == [0.0] or not fit.is_singular
        assert fit.conf_int(method="wald").iloc[0].isna().all() == fit.is_singular


def test_correlations_that_are_one_by_structure_have_no_limits():
    """Once limits of rounding errors, or none, by the order of the rows; with transform= a division by zero."""
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"h": np.repeat(np.arange(12), 6), "f": np.tile(list("abc"), 24), "y": rng.normal(size=72)})
    table["y"] += (rng.normal(size=12)[table["h"]] * table["f"].map({"a": 1.0, "b": 1.5, "c": 2.0})).to_numpy()
    fit = henderson.lmer("y ~ f + rr(0 + f | h, 1)", table)
    for options in ({}, {"transform": True}):
        limits = fit.conf_int(method="wald", **options)
        is_correlation = limits.index.str.startswith("cor_")
        assert limits[is_correlation].isna().all(axis=None)
        assert limits[~is_correlation].notna().all(axis=None)


def test_other_starts_end_in_the_same_place(data, structure, fitted):
    rng = np.random.default_rng(2)
    for _ in range(4):
        start = rng.uniform(0.1, 1.5, len(fitted.theta))
        assert fit_design(*data, start=start).deviance == pytest.approx(fitted.deviance, abs=1e-7)


def test_tables_ask_the_class(data, structure, fitted):
    names = [parameter for parameter in standard_errors(fitted).index if parameter.endswith("subject")]
    shown = structure.display(data.design.terms[0].names)
    assert names == [f"{one.kind}_{one.label}|subject" for one in shown]
    lam = fitted.lam[0]
    cov = fitted.sigma**2 * lam @ lam.T
    size = np.sqrt(np.diag(cov))
    estimate = standard_errors(fitted)["estimate"]
    for name, one in zip(names, shown):
        r, s = one.row, one.column
        wanted = size[r] if one.kind == "sd" else cov[r, s] / (size[r] * size[s])
        assert estimate[name] == pytest.approx(wanted)


def test_the_rest_follows(data, structure, fitted):
    """Conditional AIC with the curvature of G; profiles, but of common factors."""
    found = conditional_aic(fitted)
    assert found.effective_df < found.rho < found.effective_df + len(fitted.theta) + 1
    if structure.redundant:
        with pytest.raises(ValueError, match="there are no profiles with"):
            profile_fit(fitted)
        return
    first = variance_parameters(fitted.design)[0].name
    profile = profile_fit(fitted, first, level=0.5, alone=True)
    (lower, upper), estimate = profile.interval(0.5).iloc[0], profile.estimate[0]
    assert lower < estimate < upper


def test_refits_are_the_fits_of_their_responses(data, structure):
    # independent subjects: the array engine where λ is linear
    fit = fit_design(replace(data.design, terms=data.design.terms[:1]), replace(data.rows, terms=data.rows.terms[:1]))
    assert (batched_components(fit) is not None) == structure.linear
    y = simulate(fit, 3, seed=1)
    refits = Refitter.of(fit)(y)
    for k in range(3):
        alone = fit_design(fit.design, fit.rows.with_response(y[:, k]))
        assert refits.deviance[k] == pytest.approx(alone.deviance, abs=REFIT)
        np.testing.assert_allclose(refits.beta[k], alone.beta, rtol=1e-2, atol=1e-3)


def test_unknown_structures_are_named():
    with pytest.raises(ValueError, match="supported: unstructured, diagonal, identity"):
        structure_called("toeplitz")


def test_mixtures_by_structure(data):
    subject, item = data.design.terms
    wide, narrow = replace(item, names=("a", "b"), structure="unstructured"), replace(item, names=("a",))
    assert str(mixture([narrow], [wide])) == "0.5 χ²(1) + 0.5 χ²(2)"
    one, two = replace(narrow, structure="diagonal"), replace(wide, structure="diagonal")
    assert str(mixture([one], [two])) == "0.5 χ²(0) + 0.5 χ²(1)"
    assert mixture([], [two]) is None
    assert mixture([], [subject]) is None


def test_rows_of_lme4(monkeypatch):
    fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    shown = structure_called("unstructured").display(fit.engine.design.terms[0].names)
    assert [(one.kind, one.label) for one in shown] == [
        ("sd", "(Intercept)"),
        ("cor", "Days.(Intercept)"),
        ("sd", "Days"),
    ]
    assert [one.label for one in structure_called("identity").display(["a", "b"])] == ["a.b"]


def test_which_are_independent():
    free = [name for name in STRUCTURES if structure_called(name).independent(3)]
    assert free == ["diagonal", "identity"]
    assert structure_called("unstructured").independent(1)


def test_more_distances_than_a_fit_can_take():
    """96 times that are all unlike have 4,560: a fit had a matrix of each, and all their pairs, and did not end."""
    times = np.cumsum(np.random.default_rng(1).uniform(1, 2, 96))
    table = {"y": np.arange(96.0) % 7, "t": times, "g": np.arange(96) // 8}
    with pytest.raises(henderson.DataError, match=r"96 times has 4,560 distances"):
        henderson.lmer("y ~ 1 + ou(0 + t | g)", table)
    assert len(structure_called("ou(" + ",".join(map(str, range(96))) + ")").basis(96)) == 96
