"""Series whose likelihood has several maxima: the highest is found, as nlme finds it from a start near to it."""

from __future__ import annotations

import warnings

import pytest

import henderson
from oracle_data import cases, frame

CASES = cases("several_minima")
#: nlme stops where the deviance moves by 1e-9 or so of itself
DEVIANCE = 2e-6


@pytest.mark.filterwarnings("ignore:the residual covariance is at the end of its range")
@pytest.mark.parametrize("name", CASES)
def test_no_maximum_is_higher(name):
    """Each but orange_exp ended at a lower one, whose variances suit neighbours all but equal, or hardly alike."""
    case = CASES[name]
    fit = henderson.lmer(
        case["formula"], frame("several_minima", case["data"]), residual=case["residual"], REML=case["reml"]
    )
    assert fit.converged
    assert fit.deviance == pytest.approx(case["deviance"], abs=DEVIANCE)


def test_exponents_are_told_apart_in_any_unit():
    """exp(age), age up to 1582 days, was refused: derivatives were taken where exp(δ age) had left the numbers."""
    data = frame("several_minima", "orange")
    data["years"] = data["age"] / 365.25
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        in_days = henderson.lmer("circumference ~ age", data, residual="exp(age)")
        in_years = henderson.lmer("circumference ~ age", data, residual="exp(years)")
    assert in_days.deviance == pytest.approx(in_years.deviance, abs=1e-8)
    assert in_days.engine.psi[1] * 365.25 == pytest.approx(in_years.engine.psi[1], rel=1e-5)
