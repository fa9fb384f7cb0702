"""A structure is one class and a line in the registry: two throw-away ones are fitted against n × n algebra.

Compound symmetry has λ linear in θ, AR(1) has not, and its G are no linear space either (the bands of a Toeplitz matrix
hold them): between them they ask everything that a structure can be asked.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import henderson
from henderson.covariance.layout import Layout
from henderson.covariance.structure import Structure
from henderson.covariance.structures import STRUCTURES, structure_called
from henderson.design.from_formula import design_from_formula
from henderson.engine.fit import Fit, fit_design
from henderson.engine.many.draws import simulate
from henderson.engine.many.refits import Refitter, batched_components
from henderson.inference import infer
from henderson.inference.comparison.chibar import mixture
from henderson.intervals.variance_errors import standard_errors, variance_covariance
from reference import Data

LEVELS = 4  # effects per level
DEVIANCE = 1e-7  # absolute; the dense optimum is found by differences
ESTIMATES = 2e-4  # relative, for the same reason
DERIVATIVES = 1e-6  # central differences with step 1e-5


class CompoundSymmetry(Structure):
    """One variance and one covariance: λ = α P + β (I − P), P the mean over the effects."""

    name = "compound symmetry"

    def _projections(self, q: int) -> np.ndarray:
        mean = np.full((q, q), 1 / q)
        return np.stack([mean, np.eye(q) - mean])

    def n_theta(self, q: int) -> int:
        return 2

    def lam(self, theta: np.ndarray, q: int) -> np.ndarray:
        return np.tensordot(theta, self._projections(q), 1)

    def jacobian(self, theta: np.ndarray, q: int) -> np.ndarray:
        return self._projections(q)

    def basis(self, q: int) -> np.ndarray:
        return np.stack([np.eye(q), np.ones((q, q)) - np.eye(q)])

    def theta_of_cov(self, cov: np.ndarray) -> np.ndarray:
        P, Q = self._projections(len(cov))
        return np.sqrt(np.maximum([np.sum(P * cov), np.sum(Q * cov) / (len(cov) - 1)], 0.0))

    def rays(self, q: int) -> np.ndarray:
        return self._projections(q)


class Autoregressive(Structure):
    """AR(1): G = α² ρ^|r−s|, ρ = tanh ζ."""

    name = "autoregressive"
    linear = False

    def n_theta(self, q: int) -> int:
        return 2

    def lam(self, theta: np.ndarray, q: int) -> np.ndarray:
        gap = np.subtract.outer(np.arange(q), np.arange(q))
        rho = np.tanh(theta[1])
        root = np.where(gap >= 0, rho ** np.maximum(gap, 0), 0.0)
        root[:, 1:] *= 1 / np.cosh(theta[1])
        return theta[0] * root

    def jacobian(self, theta: np.ndarray, q: int) -> np.ndarray:
        return np.stack([self._differenced(theta, q, step) for step in np.eye(2)])

    def _differenced(self, theta: np.ndarray, q: int, step: np.ndarray, h: float = 1e-30) -> np.ndarray:
        return np.asarray(self.lam(theta + 1j * h * step, q).imag / h)  # a complex step is exact

    def second(self, theta: np.ndarray, q: int) -> np.ndarray:
        h = 1e-5
        up, down = (np.stack([self.jacobian(theta + s * h * step, q) for step in np.eye(2)]) for s in (1, -1))
        both = (up - down) / (2 * h)
        return (both + both.transpose(1, 0, 2, 3)) / 2

    def basis(self, q: int) -> np.ndarray:
        gap = np.abs(np.subtract.outer(np.arange(q), np.arange(q)))
        return np.stack([(gap == d).astype(float) for d in range(q)])

    def theta_of_cov(self, cov: np.ndarray) -> np.ndarray:
        variance = max(float(np.mean(np.diag(cov))), 1e-12)
        rho = float(np.mean(np.diag(cov, 1))) / variance
        return np.array([np.sqrt(variance), np.arctanh(np.clip(rho, -0.99, 0.99))])

    def display(self, names):
        return super().display(names)[:2]


@pytest.fixture(params=[CompoundSymmetry(), Autoregressive()], ids=lambda one: one.name)
def structure(request, monkeypatch) -> Structure:
    """A structure, known for the length of a test."""
    monkeypatch.setitem(STRUCTURES, request.param.name, request.param)
    return request.param


@pytest.fixture
def data(structure) -> Data:
    """Forty subjects on four occasions and a crossed item; the subjects' effects by occasion have the structure."""
    rng = np.random.default_rng(11)
    n, J = 480, 40
    table = pd.DataFrame({
        "subject": rng.integers(J, size=n),
        "item": rng.integers(9, size=n),
        "visit": rng.integers(LEVELS, size=n).astype(str),
        "x": rng.normal(size=n),
    })  # fmt: skip
    true = 0.8**2 * 0.6 ** np.abs(np.subtract.outer(np.arange(LEVELS), np.arange(LEVELS)))
    b = rng.multivariate_normal(np.zeros(LEVELS), true, size=J)
    y = 1 + 0.5 * table["x"] + b[table["subject"], table["visit"].astype(int)] + 0.4 * rng.normal(size=9)[table["item"]]
    table["y"] = y + 0.7 * rng.normal(size=n)
    plain, rows = design_from_formula("y ~ x + (0 + visit | subject) + (1 | item)", table)
    terms = tuple(replace(t, structure=structure.name) if t.n_columns > 1 else t for t in plain.terms)
    return Data(replace(plain, terms=terms), rows)


def dense(data: Data, structure: Structure, theta: np.ndarray) -> tuple[float, np.ndarray, float]:
    """The REML deviance, β̂ and σ at (θ, the item's standard deviation), from V itself."""
    subject, item = data.rows.terms
    n_subjects = data.design.terms[0].n_levels
    lam = structure.lam(theta[:2], LEVELS)
    z = np.zeros((data.rows.n, n_subjects * LEVELS))
    for a in range(LEVELS):
        z[np.arange(len(z)), subject.codes * LEVELS + a] = subject.columns[:, a]
    V = np.eye(len(z)) + z @ np.kron(np.eye(n_subjects), lam @ lam.T) @ z.T
    V += theta[2] ** 2 * np.equal.outer(item.codes, item.codes)
    X, y = data.rows.X, data.rows.y
    vx = np.linalg.solve(V, X)
    beta = np.linalg.solve(X.T @ vx, vx.T @ y)
    e, nu = y - X @ beta, len(y) - X.shape[1]
    r2 = float(e @ np.linalg.solve(V, e))
    logs = np.linalg.slogdet(V)[1] + np.linalg.slogdet(X.T @ vx)[1]
    return float(logs + nu * (1 + np.log(2 * np.pi * r2 / nu))), beta, float(np.sqrt(r2 / nu))


@pytest.fixture
def fitted(data) -> Fit:
    return fit_design(*data)


def test_derivatives(structure):
    layout = Layout.of([LEVELS, 2], [structure.name, "unstructured"])
    theta = np.random.default_rng(1).uniform(0.3, 1.2, layout.n_theta)
    N = np.random.default_rng(2).normal(size=(layout.q, layout.q))
    N = N + N.T

    def cov(theta):
        return layout.lam(theta) @ layout.lam(theta).T

    def differences(of):
        h = 1e-5
        return np.stack([(of(theta + h * s) - of(theta - h * s)) / (2 * h) for s in np.eye(len(theta))])

    np.testing.assert_allclose(layout.directions(theta), differences(cov), atol=DERIVATIVES)
    np.testing.assert_allclose(
        layout.pull_back(theta, 2 * N @ layout.lam(theta)), differences(lambda t: np.sum(N * cov(t))), atol=DERIVATIVES
    )
    np.testing.assert_allclose(layout.second_directions(theta), differences(layout.directions), atol=DERIVATIVES)
    np.testing.assert_allclose(
        layout.bend(theta, N), np.tensordot(layout.second_directions(theta), N, 2), atol=DERIVATIVES
    )
    np.testing.assert_allclose(layout.covariance(layout.g(cov(theta))), cov(theta), atol=1e-12)


def test_the_fit_is_the_dense_optimum(data, structure, fitted):
    assert fitted.optimum.converged
    found = optimize.minimize(
        lambda t: dense(data, structure, t)[0], fitted.theta * 1.05, method="BFGS", options={"gtol": 1e-6}
    )
    assert fitted.deviance == pytest.approx(found.fun, abs=DEVIANCE)
    deviance, beta, sigma = dense(data, structure, fitted.theta)
    assert deviance == pytest.approx(fitted.deviance, abs=1e-8)
    np.testing.assert_allclose(fitted.theta, found.x, rtol=ESTIMATES, atol=ESTIMATES)
    np.testing.assert_allclose(fitted.beta, beta, rtol=1e-9)
    assert fitted.sigma == pytest.approx(sigma, rel=1e-9)


def test_inference_follows(data, structure, fitted):
    """Variances' covariance and Satterthwaite's df from the Hessian of the dense deviance in (θ, σ)."""
    theta, sigma, nu = fitted.theta, fitted.sigma, data.rows.n - 2

    def deviance(phi):  # −2ℓ in (θ, log σ²), from the profiled one
        d, _, profiled = dense(data, structure, phi[:3])
        r2 = nu * profiled**2
        return d - nu * (1 + np.log(r2 / nu)) + nu * phi[3] + r2 / np.exp(phi[3])

    at, h = np.append(theta, 2 * np.log(sigma)), 1e-3
    H, steps = np.zeros((4, 4)), h * np.eye(4)
    for i in range(4):
        for j in range(4):
            signs = [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]
            H[i, j] = sum(w * deviance(at + a * steps[i] + b * steps[j]) for a, b, w in signs) / (4 * h * h)
    cov_phi = 2 * np.linalg.inv(H)

    def variance(phi):
        lam = structure.lam(phi[:2], LEVELS)
        return np.exp(phi[3]) * (lam @ lam.T)[0, 0]

    slope = np.array([(variance(at + s) - variance(at - s)) / (2 * h) for s in steps])
    cov = variance_covariance(fitted)
    assert cov[0, 0] == pytest.approx(slope @ cov_phi @ slope, rel=1e-4)
    assert standard_errors(fitted)["se"].notna().all()

    X = data.rows.X

    def v_of_beta(phi):  # Var(β̂_x) at the parameters
        lam = structure.lam(phi[:2], LEVELS)
        subject, item = data.rows.terms
        z = np.einsum(
            "ia,ja,ij->ij", subject.columns @ (lam @ lam.T), subject.columns, np.equal.outer(*[subject.codes] * 2)
        )
        V = np.eye(len(z)) + z + phi[2] ** 2 * np.equal.outer(item.codes, item.codes)
        return np.exp(phi[3]) * np.linalg.inv(X.T @ np.linalg.solve(V, X))[1, 1]

    slope = np.array([(v_of_beta(at + s) - v_of_beta(at - s)) / (2 * h) for s in steps])
    df = 2 * v_of_beta(at) ** 2 / (slope @ cov_phi @ slope)
    assert infer(fitted).df([[0.0, 1.0]])[0] == pytest.approx(df, rel=1e-3)
    assert infer(fitted, ddf="kenward-roger").df([[0.0, 1.0]])[0] == pytest.approx(df, rel=0.05)


def test_where_no_variance_is_there(structure):
    """The class' boundary: independent rows, so every variance is zero or nearly so, and the fit is certified."""
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"g": np.repeat(np.arange(30), 8), "f": np.tile(list("abcd"), 60), "y": rng.normal(size=240)})
    plain, rows = design_from_formula("y ~ 1 + (0 + f | g)", table)
    (term,) = plain.terms
    fit = fit_design(replace(plain, terms=(replace(term, structure=structure.name),)), rows)
    nothing = fit_design(replace(plain, terms=(replace(term, structure="identity"),)), rows)
    assert fit.deviance <= nothing.deviance + 1e-6
    assert fit.optimum.boundary_gain <= 1e-7


def test_tables_ask_the_class(data, structure, fitted):
    names = [parameter for parameter in standard_errors(fitted).index if parameter.endswith("subject")]
    joined = ".".join(data.design.terms[0].names)
    assert names[:2] == [f"sd_{joined}|subject", f"cor_{joined}|subject"]
    lam = fitted.lam[0]
    cov = fitted.sigma**2 * lam @ lam.T
    shown = standard_errors(fitted)["estimate"]
    assert shown[names[0]] == pytest.approx(np.sqrt(cov[0, 0]))
    assert shown[names[1]] == pytest.approx(cov[1, 0] / cov[0, 0])


def test_refits_are_the_fits_of_their_responses(data, structure):
    # independent subjects: the array engine where λ is linear
    fit = fit_design(replace(data.design, terms=data.design.terms[:1]), replace(data.rows, terms=data.rows.terms[:1]))
    assert (batched_components(fit) is not None) == structure.linear
    y = simulate(fit, 3, seed=1)
    refits = Refitter.of(fit)(y)
    for k in range(3):
        alone = fit_design(fit.design, fit.rows.with_response(y[:, k]))
        assert refits.deviance[k] == pytest.approx(alone.deviance, abs=1e-6)
        np.testing.assert_allclose(refits.beta[k], alone.beta, rtol=1e-4, atol=1e-5)


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


def test_which_structures_hold_which(structure):
    for name, within in {
        "unstructured": {"unstructured", "diagonal", "identity", structure.name},
        "diagonal": {"diagonal", "identity"},
        "identity": {"identity"},
        structure.name: {structure.name, "identity"},
    }.items():
        one = structure_called(name)
        asked = {"unstructured", "diagonal", "identity", structure.name}
        assert {each for each in asked if one.holds(structure_called(each), 3)} == within
        assert all(one.holds(structure_called(each), 1) for each in ("unstructured", "diagonal", "identity"))
    free = [name for name in STRUCTURES if structure_called(name).independent(3)]
    assert free == ["diagonal", "identity"]
    assert structure_called("unstructured").independent(1)
