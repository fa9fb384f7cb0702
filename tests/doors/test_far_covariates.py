"""`mixedlm` beside covariates far from zero: numbers of the covariate less its mean, or an error that says what to do.

Standard errors of predictions came from the observed information in the user's units, 13 % off at 10⁸ of a covariate's
spreads and half at 10¹⁰; penalised fits of slopes were 1.6 % off at 10⁴ and noise beyond; the likelihood at given
parameters was that of other ones, or a singular matrix.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from henderson import DataError, MixedLMParams, lmer, mixedlm

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

#: digits that X carries, moved so far for a spread of one
RTOL = {2.0**13: 1e-8, 2.0**27: 1e-6, 2.0**33: 1e-4}


def table(move):
    rng = np.random.default_rng(1)
    g, x = np.repeat(np.arange(10), 7), np.round(rng.normal(size=70) * 1024) / 1024
    y = 3 + 0.5 * x + rng.normal(size=10)[g] + 0.7 * rng.normal(size=10)[g] * x + rng.normal(size=70)
    return pd.DataFrame({"y": y, "x": x + move, "g": g, "t": np.tile(np.arange(7), 10)})


@cache
def model(move):
    return mixedlm("y ~ x", table(move), groups="g", re_formula="~x")


@cache
def fitted(move):
    return model(move).fit()


@pytest.mark.parametrize("move", RTOL)
def test_predictions(move):
    near, far = (fitted(at).get_prediction(table(at)[:5]) for at in (0.0, move))
    np.testing.assert_allclose(far.se_mean, near.se_mean, rtol=RTOL[move])
    np.testing.assert_allclose(far.conf_int(), near.conf_int(), rtol=RTOL[move], atol=RTOL[move])


@pytest.mark.parametrize("move", RTOL)
@pytest.mark.parametrize("options", [{}, {"residual": "ar1(t | g)"}])
def test_the_covariance_from_the_hessian(move, options):
    """Behind the other door, and where residuals correlate."""
    rows = np.array([[1.0, -1.0], [1.0, 2.0]])
    tests = []
    for at in (0.0, move):
        fit = lmer("y ~ x + (x | g)", table(at), **options).with_inference(cov="hessian", ddf="asymptotic")
        tests.append(fit.inference.se(rows + np.outer([1, 1], [0, at])))
    np.testing.assert_allclose(tests[1], tests[0], rtol=10 * RTOL[move])


def test_the_likelihood_where_covariances_hold_it():
    near, far = (
        mixedlm("y ~ x", table(at), groups="g").loglike(mixedlm("y ~ x", table(0.0), groups="g").fit().params_object)
        for at in (0.0, 2.0**13)
    )
    assert far == pytest.approx(near, rel=1e-9)


ASKED = {
    "loglike": lambda far, fit: far.loglike(fit.params_object),
    "score": lambda far, fit: far.score(fit.params_object),
    "hessian": lambda far, fit: far.hessian(fit.params_object),
    "profile_re": lambda far, fit: fit.profile_re(1, vtype="re", num_low=1, dist_low=0.1, num_high=1, dist_high=0.1),
    "fe_pen": lambda far, fit: far.fit(fe_pen=Ridge()),
    "free": lambda far, fit: far.fit(free=MixedLMParams.from_components(np.array([1.0, 0.0]), np.ones((2, 2)))),
}


class Ridge:
    def func(self, beta):
        return float(beta[1] ** 2)

    def deriv(self, beta):
        return np.array([0.0, 2 * beta[1]])


@pytest.mark.parametrize("move", [2.0**15, 2.0**27, 2.0**33])
@pytest.mark.parametrize("asked", ASKED)
def test_what_is_asked_in_the_units_of_the_data_says_that_there_are_no_digits(asked, move):
    with pytest.raises(DataError, match="take its mean"):
        ASKED[asked](model(move), fitted(move))


def test_parameters_that_are_not_optimised():
    """Held at the estimates of another fit, or at what numbers hold at any distance."""
    fit = model(2.0**13).fit(do_cg=False, start_params=fitted(2.0**13).params_object)
    assert fit.llf == pytest.approx(fitted(0.0).llf, rel=1e-10)
    with pytest.raises(DataError, match="no digits at the parameters"):
        model(2.0**33).fit(do_cg=False)
    with pytest.raises(DataError, match="take its mean"):
        model(2.0**27).fit(do_cg=False, start_params=fitted(2.0**27).params_object)
