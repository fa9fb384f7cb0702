"""Penalised fits are at the penalised optimum."""

from __future__ import annotations

import numpy as np

from henderson import mixedlm
from statsmodels_models import school


class Ridge:
    """A penalty like statsmodels'."""

    def __init__(self, weight):
        self.weight = weight

    def func(self, params):
        return self.weight * np.sum(params**2)

    def deriv(self, params):
        return 2 * self.weight * params


def test_penalised_fixed_effects_are_at_the_penalised_optimum():
    data = school()
    model = mixedlm("y ~ x + z", data, groups="g")
    result = model.fit(fe_pen=Ridge(5.0))
    gradient = model.score(result.params_object, profile_fe=False)
    np.testing.assert_allclose(gradient, 0, atol=2e-3)
    assert np.abs(result.fe_params).sum() < np.abs(model.fit().fe_params).sum()
    assert "x" in str(result.summary())


def test_lasso_is_the_optimum():
    data = school()
    model = mixedlm("y ~ x + z + a", data, groups="g")
    plain, result = model.fit(), model.fit_regularized(alpha=40.0)
    beta, A = np.asarray(result.fe_params), plain.moments.f0 / plain.scale
    slope = 2 * (A[:-1, -1] - A[:-1, :-1] @ beta)
    zero = beta == 0
    assert zero.any()
    np.testing.assert_allclose(slope[~zero], 40 * np.sign(beta[~zero]), rtol=1e-3)
    assert (np.abs(slope[zero]) <= 40).all()
    for name in ("llf", "aic", "bse", "bse_re", "fittedvalues", "random_effects", "cov_re", "hist", "freepat", "reml"):
        getattr(result, name)
    assert result.random_effects["s01"].shape == (1,)
    assert np.isnan(result.bse[result.fe_params.index[zero]]).all()
    assert "Group" in str(result.summary()) or "g Var" in str(result.summary())
