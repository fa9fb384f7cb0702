"""Fits of `MixedLM` in either parametrisation, and with parameters held."""

from __future__ import annotations

import numpy as np
import pytest

from comparing import close
from henderson import MixedLMParams, mixedlm
from statsmodels_models import school


@pytest.mark.parametrize("start", [None, [0.5, 0.1, 0.8, 0.3]])
def test_do_cg_false_is_the_start(start):
    data = school()
    model = mixedlm("y ~ x", data, groups="g", re_formula="~x", vc_formula={"z": "0 + z"}, use_sqrt=False)
    result = model.fit(do_cg=False, start_params=start)
    expected = [1.0, 0.0, 1.0, 1.0] if start is None else start
    close(np.asarray(result.params)[2:], expected, 1e-9)
    close(result.fe_params, model.get_fe_params(result.params_object.cov_re, result.params_object.vcomp)[0], 1e-9)
    close(result.llf, model.loglike(result.params_object), 1e-10)
    assert np.isfinite(result.bse_fe).all()


@pytest.mark.parametrize("use_sqrt", [True, False])
def test_both_parametrisations_reach_the_optimum(use_sqrt):
    data = school()
    free = MixedLMParams.from_components(np.ones(2), cov_re=np.ones((2, 2)))
    model = mixedlm("y ~ x", data, groups="g", re_formula="~x", use_sqrt=use_sqrt)
    close(model.fit(free=free).params, model.fit().params, 1e-4)


def test_mask_of_fixed_effects_holds_them():
    data = school()
    model = mixedlm("y ~ x", data, groups="g")
    free = MixedLMParams.from_components(np.array([1.0, 0.0]), cov_re=np.ones((1, 1)))
    start = MixedLMParams.from_components(np.array([0.0, 0.25]), cov_re=np.ones((1, 1)))
    result = model.fit(free=free, start_params=start)
    assert result.fe_params["x"] == 0.25
    moved = data.assign(y=data["y"] - 0.25 * data["x"])
    other = mixedlm("y ~ 1", moved, groups="g").fit()
    close([result.fe_params["Intercept"], result.scale, result.llf], [*other.fe_params, other.scale, other.llf], 1e-6)


def test_held_covariance():
    data = school()
    model = mixedlm("y ~ x", data, groups="g", re_formula="~x")
    free = MixedLMParams.from_components(np.ones(2), cov_re=np.array([[0, 1], [1, 1]]))
    start = MixedLMParams.from_components(np.ones(2), cov_re=np.array([[0.7, 0.0], [0.0, 1.0]]))
    result = model.fit(free=free, start_params=start)
    assert result.cov_re_unscaled.iloc[0, 0] == pytest.approx(0.7)
    assert result.llf < model.fit().llf
    assert result.bse.iloc[2] == 0


def test_parameters_may_be_statsmodels_own():
    class Theirs:  # what statsmodels' MixedLMParams has
        def __init__(self, fe_params, cov_re):
            self.fe_params, self.cov_re, self.vcomp = np.asarray(fe_params), np.asarray(cov_re), np.zeros(0)

        def get_packed(self, use_sqrt, has_fe=False): ...

    model = mixedlm("y ~ x", school(), groups="g", re_formula="~x")
    free, start = ([1.0, 1.0], np.eye(2)), ([0.5, 1.0], [[0.7, 0.0], [0.0, 1.0]])
    ours = [MixedLMParams.from_components(np.array(fe), cov_re=np.array(cov)) for fe, cov in (free, start)]
    want = model.fit(free=ours[0], start_params=ours[1])
    got = model.fit(free=Theirs(*free), start_params=Theirs(*start))
    close(got.params, want.params, 1e-12)
    assert got.cov_re.iloc[0, 1] == 0
    with pytest.raises(ValueError, match="free is a MixedLMParams"):
        model.fit(free=np.ones(5))
