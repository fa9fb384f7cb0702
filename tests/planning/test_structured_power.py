"""Power where residuals have a covariance: against exact power, and the studies that are extended."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, nct
from scipy.stats import t as student

import henderson
from henderson.design.from_formula import design_from_formula
from henderson.errors import DataError, NotAvailable
from henderson.planning.extend import Study, extended

#: two-sided probability of a count this far from its mean
CHANCE = 1e-4


def trial(patients: int = 3, visits: int = 4) -> pd.DataFrame:
    """A design: patients of two arms, all visits."""
    rows = [(a, f"{a}{i}", v) for a in "AB" for i in range(patients) for v in range(1, visits + 1)]
    return pd.DataFrame(rows, columns=["arm", "id", "visit"])


def study(residual: str = "ar1(visit | id)", **columns: np.ndarray) -> Study:
    data = trial().assign(y=np.arange(24.0), **columns)
    design, rows = design_from_formula("y ~ arm", data, residual=residual)
    return Study(design, rows)


def test_power_is_the_exact_one_of_compound_symmetry():
    """Balanced arms, cs: the test of the arms is a t test of the patients' means."""
    n, m, visits, variance, covariance, delta = 200, 24, 4, 4.0, 1.6, 1.1
    found = henderson.power(
        "y ~ arm + visit", "arm[T.B]", data=trial().assign(visit=lambda d: d["visit"].astype(str)),
        residual="cs(visit | id)", psi={"Var": variance, "Cov": covariance}, sizes={"id": m},
        beta=[0, delta, 0, 0, 0], ddf="kenward-roger", n=n, seed=1,
    )  # fmt: skip
    of_mean = covariance + (variance - covariance) / visits
    df, shift = m - 2, delta / np.sqrt(of_mean * 4 / m)
    limit = student.ppf(0.975, df)
    exact = float(nct.sf(limit, df, shift) + nct.cdf(-limit, df, shift))
    count = round(float(found.frame["power"].iloc[0]) * n)
    assert found.frame["rows"].iloc[0] == m * visits
    assert found.frame["failed"].iloc[0] == 0
    assert binom.ppf(CHANCE / 2, n, exact) <= count <= binom.ppf(1 - CHANCE / 2, n, exact)


def test_a_fits_own_parameters_and_more_patients():
    fev = henderson.datasets.load("fev")
    fit = henderson.lmer("FEV1 ~ ARMCD * AVISIT", fev, residual="us(AVISIT | USUBJID)")
    found = fit.power("ARMCD[T.TRT]", sizes={"USUBJID": [40, 130]}, n=15, seed=1)
    again = fit.power("ARMCD[T.TRT]", sizes={"USUBJID": 130}, n=15, seed=1)
    assert found.frame["power"].iloc[1] == again.frame["power"].iloc[0]
    assert found.frame["power"].iloc[0] < found.frame["power"].iloc[1]
    assert found.frame["rows"].iloc[1] > 3 * found.frame["rows"].iloc[0]
    last = "ARMCD[T.TRT]:AVISIT[T.VIS4]"
    options = {"beta": {last: 6.0}, "sizes": {"USUBJID": 60}, "n": 15, "seed": 1}
    quiet = fit.power(last, psi={"Var(VIS4)": 30.0}, **options)
    assert quiet.frame["power"].iloc[0] > fit.power(last, **options).frame["power"].iloc[0]


def test_series_are_copied_with_their_visits():
    more = extended(study(), {"id": 10})
    own = more.rows.residual
    assert more.design.residual.n_series == 10
    assert more.design.residual.levels[:7].tolist() == ["A0", "B0", "A1", "B1", "A2", "B2", "A0 (2)"]
    assert np.bincount(own.codes).tolist() == [4] * 10
    assert own.where.reshape(10, 4).tolist() == [[0, 1, 2, 3]] * 10
    fewer = extended(study(), {"id": 2})
    assert fewer.design.residual.levels.tolist() == ["A0", "B0"]
    assert fewer.rows.X[:, 1].tolist() == [0.0] * 4 + [1.0] * 4


def test_series_follow_the_factor_that_they_are_nested_in():
    """Twice the sites: their patients are other patients, though they have the numbers of the first."""
    data = trial().assign(y=np.arange(24.0), site=lambda d: d["id"].str[1])
    design, rows = design_from_formula("y ~ arm + (1 | site)", data, residual="ar1(visit | id)")
    more = extended(Study(design, rows), {"site": 6})
    assert more.design.residual.n_series == 12
    assert more.design.terms[0].n_levels == 6
    assert np.bincount(more.rows.residual.codes).tolist() == [4] * 12
    assert "A0 (2)" in more.design.residual.levels


def test_series_that_cross_a_factor_would_have_two_rows_of_a_visit():
    data = trial().assign(y=np.arange(24.0), rater=lambda d: d["visit"] % 2)
    design, rows = design_from_formula("y ~ arm + (1 | rater)", data, residual="ar1(visit | id)")
    with pytest.raises(DataError, match="two rows at visit"):
        extended(Study(design, rows), {"rater": 4})


def test_rows_that_are_their_own_series():
    """Variance functions alone: rows multiply with what they are of."""
    data = trial().assign(y=np.arange(24.0))
    design, rows = design_from_formula("y ~ arm + (1 | id)", data, residual="exp(visit)")
    more = extended(Study(design, rows), {"id": 9})
    assert more.rows.residual.codes.tolist() == list(range(36))
    assert more.rows.residual.covariates[0].reshape(9, 4).tolist() == [[1.0, 2.0, 3.0, 4.0]] * 9


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"psi": {"Var": 4}}, "psi lacks Corr"),
        ({}, "psi= is missing: a number for each of Var, Corr"),
        ({"psi": {"Var": 4, "Corr": 2}}, "Corr = 2 is not between -1 and 1"),
        ({"psi": {"rho": 1}}, "psi names 'rho'; the residuals' parameters are Var, Corr"),
        ({"psi": [1, 2, 3]}, "2 parameters: Var, Corr"),
        ({"sigma": 2.0}, "sigma= is of independent residuals"),
        ({"psi": [4, 0.5], "sizes": {"visit": 9}}, "sizes names 'visit'"),
    ],
)
def test_what_is_wrong_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        henderson.power("y ~ arm", "arm[T.B]", data=trial(), residual="ar1(visit | id)", beta=[0, 1], n=9, **given)


def test_psi_is_of_a_structure():
    with pytest.raises(ValueError, match="psi= goes with a residual structure"):
        henderson.power("y ~ arm + (1 | id)", "arm[T.B]", data=trial(), beta=[0, 1], psi=[1.0], varcorr=1.0, sigma=1.0)
    fit = henderson.lmer("FEV1 ~ ARMCD", henderson.datasets.load("fev"), residual="power(fitted)")
    with pytest.raises(NotAvailable, match="follow the fitted values"):
        fit.power("ARMCD[T.TRT]", n=3)


def test_responses_are_drawn_at_given_parameters():
    """simulate of a formula, and of a fit at other parameters: their covariance is the structure's."""
    drawn = henderson.simulate(
        "~ arm", trial(), residual="ar1(visit | id)", psi={"Var": 4.0, "Corr": 0.6}, beta=[1, 2], n=8000, seed=1
    ).to_numpy()
    apart = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    np.testing.assert_allclose(np.cov(drawn[:4]), 4 * 0.6**apart, atol=0.15)
    assert np.abs(np.cov(drawn[[0, 4]])[0, 1]) < 0.15
    np.testing.assert_allclose(drawn.mean(axis=1)[[0, 20]], [1, 3], atol=0.1)
    data = trial(20).assign(y=np.random.default_rng(1).normal(size=160))
    fit = henderson.lmer("y ~ arm", data, residual="ar1(visit | id)")
    drawn = fit.simulate(8000, params={"psi": {"Corr": 0.9, "Var": 1.0}}, seed=2).to_numpy()
    np.testing.assert_allclose(np.cov(drawn[:4]), 0.9**apart, atol=0.05)
    assert fit.engine.psi[1] < 0.5
