"""As many effects as rows: refused, or fitted when asked to be, with what the data do identify as it should be."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from henderson import lmer
from henderson.errors import DataError, ValueWarning

#: the valley of equal deviances is exact; what is left is where on it the search ended
REL = 1e-7


def one_row_a_visit(n: int = 30) -> tuple[pd.DataFrame, np.ndarray]:
    """Three visits of n patients, a row for each, and the same as an (n, 3) array."""
    cov = np.array([[4.0, 2.0, 1.0], [2.0, 5.0, 2.5], [1.0, 2.5, 6.0]])
    Y = np.random.default_rng(5).multivariate_normal([1.0, 2.0, 4.0], cov, n)
    treated = np.repeat(np.repeat([0, 1], n // 2), 3)
    patient, visit = np.repeat(np.arange(n), 3), np.tile(list("abc"), n)
    return pd.DataFrame({"y": Y.ravel(), "patient": patient, "visit": visit, "treated": treated}), Y


def test_an_unstructured_covariance_has_the_likelihood_of_a_multivariate_normal():
    data, Y = one_row_a_visit()
    with pytest.warns(ValueWarning, match="cannot be told apart") as caught:
        fit = lmer("y ~ 0 + visit + (0 + visit | patient)", data, REML=False, check_identified="warn")
    assert caught[0].filename == __file__
    cov = np.cov(Y.T, bias=True)
    closed = len(Y) * (np.linalg.slogdet(cov)[1] + 3 * (1 + np.log(2 * np.pi)))
    assert fit.deviance == pytest.approx(closed, rel=1e-12)
    lam = fit.engine.lam[0]
    np.testing.assert_allclose(fit.scale * (lam @ lam.T + np.eye(3)), cov, rtol=1e-4)
    np.testing.assert_allclose(fit.bse, np.sqrt(np.diag(cov) / len(Y)), rtol=1e-4)


@pytest.mark.filterwarnings("ignore:the term")
def test_its_fixed_effects_are_those_of_generalised_least_squares():
    data, _ = one_row_a_visit()
    fit = lmer("y ~ 0 + visit + treated + (0 + visit | patient)", data, check_identified="warn")
    # nlme: gls(y ~ 0 + visit + treated, corSymm(form = ~t | patient), varIdent(form = ~1 | visit), method = "REML")
    assert fit.deviance == pytest.approx(359.084028934, abs=2e-8)
    np.testing.assert_allclose(fit.bse, [0.384197876, 0.425377035, 0.486255424, 0.489755798], rtol=5e-6)
    # pbkrtest, of lme4 with check.nobs.vs.nRE = "ignore" (which stops 1.6e-7 above)
    table = fit.with_inference(ddf="kenward-roger").coef_table
    np.testing.assert_allclose(table.se, [0.3951924, 0.4353277, 0.4949947, 0.5235776], rtol=1e-4)
    np.testing.assert_allclose(table.df, [33.07957, 36.24169, 37.75220, 28.0], rtol=2e-4)


@pytest.mark.filterwarnings("ignore:the term")
def test_what_is_not_identified_is_named_and_has_no_standard_error():
    data, _ = one_row_a_visit()
    fit = lmer("y ~ 0 + visit + treated + (0 + visit | patient)", data, check_identified="warn")
    note = " ".join(fit.coef_table.attrs["notes"])
    assert "(0 + visit | patient) and the residual" in note
    errors = fit.variance_errors().se
    assert errors[["sigma", "sd_visit[a]|patient", "cor_visit[b].visit[a]|patient"]].isna().all()


def test_an_effect_for_each_row_adds_to_the_residual():
    y = np.random.default_rng(1).normal(size=20)
    data = {"y": y, "o": np.arange(20)}
    with pytest.raises(DataError, match=r"as many levels .20.*check_identified='warn'"):
        lmer("y ~ 1 + (1 | o)", data)
    with pytest.warns(ValueWarning, match="as many levels"):
        fit = lmer("y ~ 1 + (1 | o)", data, check_identified="warn")
    variance = fit.scale * (1 + float(fit.theta[0]) ** 2)
    assert variance == pytest.approx(y.var(ddof=1), rel=REL)
    assert fit.bse.iloc[0] == pytest.approx(y.std(ddof=1) / np.sqrt(20), rel=REL)
    assert fit.coef_table.df.iloc[0] == pytest.approx(19, rel=1e-6)


def test_weights_tell_an_effect_for_each_row_from_the_residual():
    """A meta-analysis with a factor for the sampling variances: maximised here on a grid by hand."""
    rng = np.random.default_rng(3)
    v = rng.uniform(0.2, 5.0, size=60)
    y = rng.normal(scale=np.sqrt(1 + v))
    data = {"y": y, "study": np.arange(60), "w": 1 / v}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = lmer("y ~ 1 + (1 | study)", data, weights="w", REML=False, check_identified="ignore")

    def deviance(tau: float, sigma: float) -> float:
        total = tau**2 + sigma**2 * v
        mean = (y / total).sum() / (1 / total).sum()
        return float((np.log(2 * np.pi * total) + (y - mean) ** 2 / total).sum())

    tau = fit.sigma * float(fit.theta[0])
    assert fit.deviance == pytest.approx(deviance(tau, fit.sigma), rel=1e-10)
    for a, b in [(1.01, 1.0), (0.99, 1.0), (1.0, 1.01), (1.0, 0.99), (1.01, 0.99), (0.99, 1.01)]:
        assert deviance(a * tau, b * fit.sigma) > fit.deviance
    assert not fit.coef_table.attrs.get("notes")


def test_several_effects_for_each_level_are_refused_by_default():
    data, _ = one_row_a_visit()
    with pytest.raises(DataError, match=r"90 random effects .*check_identified='warn'"):
        lmer("y ~ visit + (0 + visit | patient)", data)
    with pytest.raises(ValueError, match="check_identified must be 'raise', 'warn' or 'ignore', not 'no'"):
        lmer("y ~ visit + (1 | patient)", data, check_identified="no")
