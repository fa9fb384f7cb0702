"""Structures of the residuals: covariances against their formulas, derivatives against differences, the two maps."""

from __future__ import annotations

import mpmath
import numpy as np
import pandas as pd
import pytest

from henderson.contract.residual import ResidualRows, ResidualTerm, VarianceTerm
from henderson.covariance.residual.distance import ContinuousTime
from henderson.covariance.residual.matern import log_bessel
from henderson.covariance.residual.residual import Residual
from henderson.covariance.residual.structures import RESIDUAL_STRUCTURES
from henderson.covariance.residual.toeplitz import autocorrelations, partial_autocorrelations

EXACT = 1e-12
#: central differences with a step of 1e-5: their truncation is 1e-10, rounding 1e-11 of values of ten
DIFFERENCE = 2e-7
T = 5
VISITS = pd.Index([f"VIS{k}" for k in range(1, T + 1)])
ARMS = pd.Index(["PBO", "TRT"])
RHO, V = 0.6, 4.0
VARIANCES = np.array([4.0, 2.0, 9.0, 1.0, 5.0])
LAGS = np.abs(np.subtract.outer(np.arange(T), np.arange(T)))
BY_LAG = np.array([0.7, 0.4, 0.3, 0.1])
NEIGHBOURS = np.array([0.8, 0.5, -0.3, 0.6])
SD = np.outer(np.sqrt(VARIANCES), np.sqrt(VARIANCES))
TIMES = np.array([0.0, 0.4, 1.5, 1.7, 4.0])
PLANE = np.array([[0.0, 0.0], [1.0, 0.5], [0.2, 2.0], [3.0, 1.0], [1.5, 1.5]])
APART = np.linalg.norm(PLANE[:, None] - PLANE, axis=-1)


def ante(r: np.ndarray) -> np.ndarray:
    return np.array([[np.prod(r[min(s, t) : max(s, t)]) for t in range(T)] for s in range(T)])


def some_covariance() -> np.ndarray:
    root = np.tril(np.random.default_rng(4).normal(size=(T, T))) + 2 * np.eye(T)
    return root @ root.T


#: structure -> ψ, where, and the covariance that its formula says
CASES = {
    "us": (some_covariance()[np.tril_indices(T)], np.arange(T), some_covariance()),
    "cs": (np.array([V, 1.5]), np.arange(T), np.where(LAGS == 0, V, 1.5)),
    "csh": (np.append(VARIANCES, -0.1), np.arange(T), SD * np.where(LAGS == 0, 1, -0.1)),
    "toep": (np.append(V, V * BY_LAG), np.arange(T), V * np.append(1, BY_LAG)[LAGS]),
    "toeph": (np.append(VARIANCES, BY_LAG), np.arange(T), SD * np.append(1, BY_LAG)[LAGS]),
    "ar1": (np.array([V, -RHO]), np.arange(T), V * (-RHO) ** LAGS),
    "ar1h": (np.append(VARIANCES, RHO), np.arange(T), SD * RHO**LAGS),
    "ad": (np.append(V, NEIGHBOURS), np.arange(T), V * ante(NEIGHBOURS)),
    "adh": (np.append(VARIANCES, NEIGHBOURS), np.arange(T), SD * ante(NEIGHBOURS)),
    "diag": (VARIANCES, np.arange(T), np.diag(VARIANCES)),
    "iid": (np.array([V]), np.zeros((T, 0)), V * np.eye(T)),
    "car1": (np.array([V, RHO]), TIMES[:, None], V * RHO ** np.abs(np.subtract.outer(TIMES, TIMES))),
    "sp_exp": (np.array([V, 1.7]), PLANE, V * np.exp(-APART / 1.7)),
    "sp_gau": (np.array([V, 1.7]), PLANE, V * np.exp(-((APART / 1.7) ** 2))),
    # smoothness 3/2 has a closed form
    "sp_mat": (np.array([V, 0.9, 1.5]), PLANE, V * (1 + APART / 0.9) * np.exp(-APART / 0.9)),
}


def residual_of(name: str, strata: bool = False, variance: tuple[VarianceTerm, ...] = ()) -> Residual:
    by_visit = RESIDUAL_STRUCTURES[name].places == "visits"
    visits = VISITS if by_visit else None
    places = ("visit",) if by_visit else ("x", "y")
    arms = {"stratum": "arm", "strata": ARMS} if strata else {}
    term = ResidualTerm(name, "patient", pd.RangeIndex(9), places, visits, variance=variance, **arms)
    return Residual.of(term, largest=T)


def differences(f, at: np.ndarray, step: float = 1e-5) -> np.ndarray:
    sizes = step * np.maximum(np.abs(at), 1.0)
    return np.array([(f(at + h) - f(at - h)) / (2 * h[k]) for k, h in enumerate(np.diag(sizes))])


def test_every_structure_has_a_case():
    assert CASES.keys() == RESIDUAL_STRUCTURES.keys()


@pytest.mark.parametrize("name", CASES)
def test_covariance_is_its_formula(name):
    psi, where, expected = CASES[name]
    residual = residual_of(name)
    np.testing.assert_allclose(residual.cov(psi, where), expected, rtol=EXACT, atol=EXACT)
    # visits missing and in another order, many series at once
    some = np.array([[3, 0, 4], [1, 4, 2]])
    found = residual.cov(psi, where[some])
    for own, rows in zip(found, some):
        np.testing.assert_allclose(own, expected[np.ix_(rows, rows)], rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("name", CASES)
def test_names_and_kinds(name):
    psi, _, _ = CASES[name]
    residual = residual_of(name)
    assert residual.n_parameters == len(psi) == len(residual.names) == len(set(residual.names))
    assert residual.kinds[0] == "variance"
    _, where, _ = CASES[name]
    scaled = np.where(residual.degree == 1, 3.0 * psi, psi)
    np.testing.assert_allclose(residual.cov(scaled, where), 3 * residual.cov(psi, where), rtol=EXACT)


FUNCTIONS = (VarianceTerm("ident", "sex", pd.Index(["f", "m", "x"])), VarianceTerm("power", "age"))
COVARIATES = (np.array([[0, 1, 1, 2, 2], [1, 0, 0, 2, 1]]), np.array([[1.0, 2, 3, 0.5, 2], [3.0, 1, 1, 4, 2]]))
DELTA = np.array([1.3, 0.8, 0.45])


def wholes():
    for name, (psi, where, _) in CASES.items():
        two = np.stack([where, where[::-1]])
        yield name, residual_of(name), psi, (two,)
        strata = np.array([[1] * T, [0] * T])
        other = residual_of(name).natural(residual_of(name).working(psi) * 0.9 + 0.05)
        yield f"{name} by arm", residual_of(name, True), np.concatenate([psi, other]), (two, strata)
        whole = residual_of(name, True, FUNCTIONS)
        yield f"{name} by arm × ident × power", whole, np.concatenate([psi, other, DELTA]), (two, strata, COVARIATES)


WHOLES = {label: rest for label, *rest in wholes()}


@pytest.mark.parametrize("label", WHOLES)
def test_derivatives(label):
    residual, psi, args = WHOLES[label]
    first, second = residual.first(psi, *args), residual.second(psi, *args)
    assert first.shape == (len(psi), 2, T, T)
    by_difference = differences(lambda at: residual.cov(at, *args), psi)
    np.testing.assert_allclose(first, by_difference, atol=DIFFERENCE * np.abs(first).max())
    by_difference = differences(lambda at: residual.first(at, *args), psi)
    np.testing.assert_allclose(second, by_difference, atol=DIFFERENCE * max(np.abs(second).max(), 1.0))
    assert not (residual.linear and second.any())


@pytest.mark.parametrize("label", WHOLES)
def test_working_coordinates(label):
    residual, psi, _ = WHOLES[label]
    phi = residual.working(psi)
    np.testing.assert_allclose(residual.natural(phi), psi, rtol=1e-11)
    jacobian = residual.jacobian(phi)
    np.testing.assert_allclose(jacobian, differences(residual.natural, phi).T, atol=DIFFERENCE * np.abs(jacobian).max())
    slope = np.cos(np.arange(len(psi)))
    bend = differences(lambda at: slope @ residual.jacobian(at), phi)
    found = residual.curvature(phi, slope)
    np.testing.assert_allclose(found, bend, atol=DIFFERENCE * max(np.abs(bend).max(), 1.0))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_any_working_coordinates_are_positive_definite(name, spread):
    _, where, _ = CASES[name]
    residual = residual_of(name)
    rng = np.random.default_rng(7)
    for _ in range(50):
        cov = residual.cov(residual.natural(spread * rng.normal(size=residual.n_parameters)), where)
        sd = np.sqrt(np.diag(cov))
        assert np.linalg.eigvalsh(cov / np.outer(sd, sd))[0] > -1e-13


@pytest.mark.parametrize("name", CASES)
def test_a_start_is_inside_and_near(name):
    """Of residuals drawn from the structure, some visits missing: within four standard errors' reach of the truth."""
    _, where, cov = CASES[name]
    rng = np.random.default_rng(3)
    n = 4000
    e = rng.multivariate_normal(np.zeros(T), cov, size=n).ravel()
    codes, places = np.repeat(np.arange(n), T), np.concatenate([where] * n)
    there = rng.random(n * T) < 0.8
    residual = residual_of(name)
    starts = residual.starts(e[there], ResidualRows(codes[there], places[there]))
    for start in starts:
        assert np.isfinite(residual.working(start)).all()
        assert not residual.at_boundary(start).any()
        assert np.linalg.eigvalsh(residual.cov(start, where))[0] > 0
    size = np.abs(cov).max()
    # grids of ranges and an exponential in place of Matérn's smoothness are coarser
    np.testing.assert_allclose(residual.cov(starts[0], where), cov, atol=(0.4 if name == "sp_mat" else 0.15) * size)


def test_a_start_of_variance_functions():
    rng = np.random.default_rng(5)
    n = 20_000
    sex, age = rng.integers(0, 3, n), rng.uniform(0.5, 4, n)
    e = rng.normal(size=n) * 2 * np.array([1.0, 1.3, 0.6])[sex]
    rows = ResidualRows(np.arange(n), np.zeros((n, 0)), covariates=(sex,))
    (variance, one, other), plain = residual_of("iid", variance=FUNCTIONS[:1]).starts(e, rows)
    np.testing.assert_allclose([variance, one, other], [4, 1.3, 0.6], rtol=0.05)
    np.testing.assert_allclose(plain[1:], 1)
    e = rng.normal(size=n) * 2 * age**0.8
    rows = ResidualRows(np.arange(n), np.zeros((n, 0)), covariates=(age,))
    (variance, power), _ = residual_of("iid", variance=FUNCTIONS[1:]).starts(e, rows)
    np.testing.assert_allclose([variance, power], [4, 0.8], rtol=0.1)


@pytest.mark.parametrize(
    ("name", "psi"),
    [
        ("us", np.array([1.0, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1])),
        ("cs", np.array([2.0, -0.5])),
        ("csh", np.array([1.0, 1, 1, 1, 1, 1 - 1e-9])),
        ("toep", np.array([1.0, 1, 1, 1, 1])),
        ("ar1", np.array([1.0, -1 + 1e-8])),
        ("ar1h", np.array([1.0, 1, 1e-15, 1, 1, 0.5])),
        ("adh", np.array([1.0, 1, 1, 1, 1, 0.5, 1, 0.5, 0.5])),
        ("diag", np.array([1.0, 1, 1e-14, 1, 1])),
    ],
)
def test_the_boundary_is_seen(name, psi):
    residual, inside = residual_of(name), CASES[name][0]
    assert residual.at_boundary(psi).any()
    assert not residual.at_boundary(inside).any()
    assert not residual.is_beyond(inside)


@pytest.mark.parametrize("name", ["ar1", "ar1h", "ad", "adh", "cs", "csh", "toep", "toeph", "us"])
def test_nothing_is_computed_where_all_digits_are_lost(name):
    """From a definite covariance to one of rank one: it counts as an end before it is beyond, and is beyond before
    less than seven digits of the smallest eigenvalue are known."""
    residual = residual_of(name)

    def near(left: float) -> np.ndarray:
        rho = 1 - left
        by_name = {"us": np.full(T * (T + 1) // 2, rho), "toep": np.full(T, rho), "cs": np.array([1.0, rho])}
        psi = by_name.get(name, np.append(np.ones(len(CASES[name][0])), rho)[1:])
        if name in ("toeph", "ad", "adh"):
            psi[-(T - 1) :] = rho
        psi[[kind == "variance" for kind in residual.kinds]] = 1.0
        return psi

    assert not residual.at_boundary(near(1e-3)).any()
    assert residual.at_boundary(near(1e-7)).any()
    assert not residual.is_beyond(near(1e-7))
    assert residual.is_beyond(near(1e-9))


@pytest.mark.parametrize("nu", [0.05, 0.5, 4.2, 37.5])
def test_bessel_functions(nu):
    """Of the second kind, with their derivatives in argument and order, against forty digits."""
    z = np.array([1e-6, 0.4, 3.7, 600.0])
    found = log_bessel(nu, z)
    with mpmath.workdps(40):
        for k, own in enumerate(z):
            orders = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
            for (of_z, of_nu), value in zip(orders, found):

                def log_k(x, order):
                    return mpmath.log(mpmath.besselk(order, x))

                at = (mpmath.mpf(own), mpmath.mpf(nu))
                expected = (
                    log_k(*at)
                    if not of_z + of_nu
                    else mpmath.diff(log_k, at, (of_z, of_nu), h=mpmath.mpf(10) ** -12 * own)
                )
                scale = max(abs(float(expected)), 1.0 if not of_z else (nu + own) / own**of_z)
                assert value[k] == pytest.approx(float(expected), abs=1e-11 * scale)


def test_partial_autocorrelations():
    """Durbin and Levinson's recursion is the regression on what lies between."""
    r = np.array([0.7, 0.4, 0.3, 0.1])
    whole = np.append(1, r)[LAGS]
    direct = [np.linalg.solve(whole[:lag, :lag], r[:lag])[-1] for lag in range(1, T)]
    np.testing.assert_allclose(partial_autocorrelations(r), direct, rtol=EXACT)
    np.testing.assert_allclose(autocorrelations(np.array(direct)), r, rtol=EXACT)


@pytest.mark.parametrize(
    ("name", "none", "between", "all_alike"), [("car1", 1e-200, 1e-6, 1 - 1e-8), ("sp_exp", 1e-3, 1.0, 1e9)]
)
def test_a_range_ends_where_distances_say(name, none, between, all_alike):
    """A correlation of 1e-6 a year is one of a half between visits two weeks apart, and no end."""
    times = np.tile([0.0, 0.05, 0.1], 4)[:, None]
    rows = ResidualRows(np.repeat(np.arange(4), 3), times)
    term = ResidualTerm(name, "patient", pd.RangeIndex(4), ("t",))
    residual = Residual.of(term, largest=3)
    ends = [residual.are_degenerate(np.array([1.0, s]), rows).tolist() for s in (none, between, all_alike)]
    assert ends == [[False, True], [False, False], [False, True]]


def test_a_correlation_that_has_underflowed_has_derivatives():
    """ρ = 0 but for what a number can hold: 0/0 and NaN went into the search, which died of them."""
    times = np.array([[0.0], [0.4], [1.4], [3.4]])
    structure, psi, apart = ContinuousTime(0, 4), np.array([2.0, 0.0]), np.abs(times - times.T)
    first, second = structure.first(psi, times)[1], structure.second(psi, times)[1, 1]
    assert np.isfinite(first).all()
    assert np.isfinite(second).all()
    np.testing.assert_allclose(first[apart == 1], 2.0)  # v d ρ^(d − 1)
    np.testing.assert_allclose(second[apart == 2], 4.0)  # v d (d − 1) ρ^(d − 2)
    np.testing.assert_allclose(first[apart > 1], 0.0, atol=1e-99)
