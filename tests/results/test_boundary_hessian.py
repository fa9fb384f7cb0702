"""Standard errors from a Hessian that is not negative definite: none where a "variance" is negative, and a note."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from henderson import lmer, mixedlm


@pytest.fixture(scope="module")
def data():
    rng, n = np.random.default_rng(3), 240
    table = pd.DataFrame(
        {
            "s": np.repeat([f"s{i:02d}" for i in range(24)], 10),
            "it": np.tile([f"i{i}" for i in range(10)], 24),
            "k": rng.choice(list("abc"), n),
            "x": rng.normal(2, 1, n),
        }
    )
    by_subject = rng.normal(size=24)[table.s.str[1:].astype(int)] * (1 + 0.3 * table.x)
    by_item = rng.normal(size=10)[table.it.str[1:].astype(int)]
    return table.assign(y=3 + 0.5 * table.x + (table.k == "a") * 5 + by_subject + by_item + rng.normal(size=n))


@pytest.fixture(scope="module")
def fit(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mixedlm("y ~ k * x", data, groups="s", re_formula="~x").fit()


def test_there_is_no_standard_error_of_zero(fit):
    variances = np.diag(fit.cov_params())[:6]
    assert (variances < 0).any()
    for se in (fit.coef_table.se, fit.inference.se(np.eye(6)), fit.t_test(np.eye(6)).sd):
        np.testing.assert_array_equal(np.isnan(np.ravel(se)), variances < 0)
    table = fit.coef_table[variances < 0]
    assert table[["statistic", "p", "lower", "upper"]].isna().all(axis=None)
    assert (fit.emmeans("k").contrasts("pairwise").frame.se > 0).sum() == 2


def test_it_is_said_and_the_model_s_covariance_is_lmer_s(fit, data):
    assert "not to be trusted" in str(fit.coef_table)
    assert "not to be trusted" in str(fit.summary()).replace("\n", " ")
    other = fit.with_inference(cov="model").coef_table
    assert "not to be trusted" not in str(other)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(other.se, lmer("y ~ k * x + (x | s)", data).coef_table.se, rtol=1e-6)


@pytest.mark.parametrize(("of_y", "of_x"), [(1e-8, 1.0), (1.0, 1e8)])
def test_small_units_show_their_digits(data, of_y, of_x):
    small = data.assign(y=data.y * of_y, x=data.x * of_x)
    fit = mixedlm("y ~ x", small, groups="s").fit()
    rows = [line for line in str(fit.summary()).splitlines() if line.startswith(("x ", "s Var"))]
    tests = [line for line in str(fit.t_test("x = 0")).splitlines() if line.startswith("c0")]
    for line in rows + tests:
        numbers = [float(word) for word in line.split()[-6:] if word[-1].isdigit()]
        assert numbers[0] != 0, line
        assert not line.startswith("x ") or abs(numbers[0] / fit.params["x"] - 1) < 1e-2
    if of_y < 1:
        assert f"{fit.scale:.2e}" in str(fit.summary())
