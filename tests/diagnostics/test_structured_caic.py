"""The conditional AIC where residuals correlate: ρ by differences of refits, the likelihood by n × n algebra."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from tests.reference import Data
from tests.structured import residual_covariance

import henderson
from henderson.engine.fit import refit
from henderson.errors import NotAvailable

#: differences of refits whose deviance is good to 1e-10
RHO = 2e-4


def study(spread: float = 1.5) -> pd.DataFrame:
    rng = np.random.default_rng(12)
    data = pd.DataFrame({"id": np.repeat(np.arange(6), 4), "t": np.tile(np.arange(4), 6)})
    data["site"], data["x"] = data["id"] % 3, rng.normal(size=24)
    data["w"] = rng.uniform(0.5, 2.0, 24)
    own = spread * rng.normal(size=6)[data["id"]] + rng.normal(size=3)[data["site"]]
    data["y"] = 3 + 0.4 * data["x"] + own + rng.normal(size=24)
    return data.sample(frac=1, random_state=2)


MODELS = {
    "a variance held": lambda: henderson.lmer("y ~ x + (1 | id)", study(), residual="ar1(t | id)", fix={"id": 2.0}),
    "ar1 and patients": lambda: henderson.lmer("y ~ x + (1 | id)", study(), residual="ar1(t | id)"),
    "ar1h in sites, ML": lambda: henderson.lmer("y ~ x + (1 | site)", study(), residual="ar1h(t | id)", REML=False),
    "crossed, weights": lambda: henderson.lmer(
        "y ~ x + (1 | site) + (1 | id)", study(), residual="car1(t | id)", weights="w"
    ),
    "variance function": lambda: henderson.lmer("y ~ x + (1 | id)", study(), residual="exp(t)"),
    "no variance of sites": lambda: henderson.lmer(
        "y ~ x + (1 | site)", study().assign(site=np.arange(24) % 7), residual="cs(t | id)"
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_rho_is_the_trace_of_the_derivative_of_the_fitted_values(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = MODELS[name]()
    fit, rows = found.engine, found.engine.observed

    def fitted(y: np.ndarray) -> np.ndarray:
        again = refit(fit, y)
        return rows.mean(again.beta, again.kept) + rows.random_part(again.b)

    h = 0.01
    trace = sum((fitted(rows.y + h * e)[i] - fitted(rows.y - h * e)[i]) / (2 * h) for i, e in enumerate(np.eye(rows.n)))
    got = found.caic()
    assert got.rho == pytest.approx(trace, abs=RHO)
    left = rows.y - rows.mean(fit.beta, fit.kept) - rows.random_part(fit.b)
    R = residual_covariance(Data(fit.design, rows), fit.psi)
    assert got.loglik == pytest.approx(multivariate_normal(cov=R).logpdf(left), abs=1e-8)
    assert got.df == got.rho + len(fit.psi)
    assert got.caic == pytest.approx(-2 * got.loglik + 2 * got.df)


def test_without_random_effects_it_is_the_ml_fits_own_aic():
    found = henderson.lmer("y ~ x", study(), residual="ar1(t | id)", REML=False)
    got = found.caic()
    assert got.rho == pytest.approx(2.0)
    assert got.caic == pytest.approx(found.aic)


def test_variances_of_fitted_values_are_refused():
    found = henderson.lmer("y ~ x + (1 | id)", study(), residual="power(fitted)")
    with pytest.raises(NotAvailable, match="follow the fitted values"):
        found.caic()
