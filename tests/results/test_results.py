"""What a user holds: one class behind both doors, that pickles, never changes, and follows its inference."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from henderson import ConvergenceWarning, MixedLMResults, MixedModelResults, datasets, lmer, mixedlm

SUMMARY = """\
Linear mixed model fit by REML. t-tests use Satterthwaite's method
Formula: Reaction ~ Days + (Days | Subject)

REML criterion at convergence: 1743.6

Scaled residuals: \n\
    Min      1Q Median     3Q    Max \n\
-3.9536 -0.4634 0.0231 0.4634 5.1793 \n\

Random effects:
 Groups   Name        Variance Std.Dev. Corr \n\
 Subject  (Intercept) 612.09   24.740        \n\
          Days         35.07    5.922    0.07
 Residual             654.94   25.592        \n\
Number of obs: 180, groups:  Subject, 18

Fixed effects:
            Estimate Std. Error    df t value Pr(>|t|)
(Intercept)  251.405      6.825 17.00  36.838   <2e-16
Days          10.467      1.546 17.00   6.771 3.26e-06

Correlation of Fixed Effects:
     (Intr)
Days -0.138"""


@pytest.fixture(scope="module")
def sleepstudy():
    return datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def fit(sleepstudy):
    return lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)


@pytest.fixture(scope="module")
def other_door(sleepstudy):
    return mixedlm("Reaction ~ Days", sleepstudy, groups="Subject", re_formula="~Days").fit()


def test_summary_reads_like_lme4(fit):
    assert str(fit.summary()) == SUMMARY
    assert "<table" in fit.summary()._repr_html_()


def test_maximum_likelihood_summary(sleepstudy):
    text = str(lmer("Reaction ~ Days + (Days || Subject)", sleepstudy, REML=False).summary())
    assert "maximum likelihood" in text
    assert "df.resid" in text
    assert "Subject.1" in text


def test_missing_rows_are_counted(sleepstudy):
    data = sleepstudy.copy()
    data.loc[[3, 5], "Reaction"] = np.nan
    assert "178 (2 rows with missing values left out)" in str(lmer("Reaction ~ Days + (1 | Subject)", data).summary())
    other = mixedlm("Reaction ~ Days", data, groups="Subject", missing="drop").fit()
    assert "missing values: 2" in str(other.summary())


def test_both_doors_same_numbers(fit, other_door):
    """The native results know nothing of packed parameters; statsmodels' are those and more."""
    assert type(fit) is MixedModelResults
    assert type(other_door) is MixedLMResults
    assert isinstance(other_door, MixedModelResults)
    assert not {"cov_re", "vcomp", "random_effects", "params_object", "profile_re"} & set(dir(fit))
    np.testing.assert_allclose(fit.params, other_door.fe_params, rtol=1e-8)
    np.testing.assert_allclose(fit.sigma**2 * fit.theta[0] ** 2, other_door.cov_re.iloc[0, 0], rtol=1e-8)
    np.testing.assert_allclose(fit.llf, other_door.llf, rtol=1e-12)
    np.testing.assert_allclose(fit.fittedvalues, other_door.fittedvalues, rtol=1e-8)
    np.testing.assert_allclose(fit.bse_fe, np.sqrt(np.diag(fit.engine.vcov)))
    assert fit.use_t
    assert not other_door.use_t
    assert fit.aic == pytest.approx(1755.628, abs=1e-3)
    assert fit.bic == pytest.approx(1774.786, abs=1e-3)
    assert np.isnan(other_door.aic)


def test_varcorr(fit):
    table = fit.varcorr
    assert list(table.columns) == ["grp", "var1", "var2", "vcov", "sdcor"]
    assert table.loc[2, ["grp", "var1", "var2"]].tolist() == ["Subject", "(Intercept)", "Days"]
    np.testing.assert_allclose(table["sdcor"], [24.74065799, 5.92213766, 0.06555124, 25.59179572], rtol=2e-5)


def test_terms_on_one_factor_share_a_table(sleepstudy):
    fit = lmer("Reaction ~ Days + (Days || Subject)", sleepstudy)
    assert list(fit.ranef) == ["Subject"]
    assert list(fit.ranef["Subject"].columns) == ["(Intercept)", "Days"]
    assert fit.ranef_sd["Subject"].shape == (18, 2)
    assert list(fit.varcorr["grp"]) == ["Subject", "Subject.1", "Residual"]
    np.testing.assert_allclose(fit.coef["Subject"]["Days"], fit.fixef["Days"] + fit.ranef["Subject"]["Days"])


def test_nested_factors_are_in_lme4s_order():
    fit = lmer("strength ~ 1 + (1 | batch/cask)", datasets.load("Pastes"))
    assert list(fit.ranef) == list(fit.ngrps) == ["cask:batch", "batch"]
    assert list(fit.varcorr["grp"]) == ["cask:batch", "batch", "Residual"]
    effects = mixedlm("strength ~ 1 + (1 | batch/cask)", datasets.load("Pastes")).fit().random_effects["A"]
    assert list(effects.index) == ["batch", "cask:batch[a:A]", "cask:batch[b:A]", "cask:batch[c:A]"]
    assert effects["batch"] == fit.ranef["batch"].loc["A", "(Intercept)"]


def test_singular_fit():
    fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff2"))
    assert fit.is_singular
    assert fit.theta.tolist() == [0.0]
    assert fit.converged
    assert "boundary (singular) fit" in str(fit.summary())
    with pytest.warns(ConvergenceWarning, match="boundary"):
        mixedlm("Yield ~ 1", datasets.load("Dyestuff2"), groups="Batch").fit()


@pytest.mark.parametrize("unit", [1e-5, 1.0, 1e5])
def test_singularity_does_not_depend_on_units(sleepstudy, unit):
    data = sleepstudy.assign(Days=sleepstudy["Days"] * unit)
    assert not lmer("Reaction ~ Days + (Days | Subject)", data).is_singular


def test_optinfo(fit):
    info = fit.optinfo
    assert info["converged"]
    assert info["evaluations"] < 30
    assert {"gradient_norm", "predicted_decrease", "boundary_gain", "seconds"} <= set(info)


def test_start_reaches_the_same_optimum(fit, sleepstudy):
    again = lmer("Reaction ~ Days + (Days | Subject)", sleepstudy, start=[2.0, -0.5, 1.0])
    assert again.deviance == pytest.approx(fit.deviance, abs=1e-7)


def test_weights_and_offset(sleepstudy):
    rng = np.random.default_rng(1)
    weights, offset = rng.uniform(0.5, 2, 180), rng.normal(size=180)
    fit = lmer("Reaction ~ Days + (1 | Subject)", sleepstudy, weights=weights, offset=offset)
    moved = sleepstudy.assign(Reaction=sleepstudy["Reaction"] - offset)
    other = lmer("Reaction ~ Days + (1 | Subject)", moved, weights=weights)
    np.testing.assert_allclose(fit.fixef, other.fixef, rtol=1e-8)
    np.testing.assert_allclose(fit.fittedvalues - offset, other.fittedvalues, rtol=1e-8)
    np.testing.assert_allclose(fit.resid, sleepstudy["Reaction"] - fit.fittedvalues)


def test_with_inference_is_another_result(other_door):
    t = other_door.with_inference(ddf="satterthwaite", cov="model")
    assert t is not other_door
    assert not other_door.use_t
    np.testing.assert_allclose(t.df_inference[:2], 17, rtol=1e-3)
    assert (t.pvalues[:2] > other_door.pvalues[:2]).any()
    assert "P>|t|" in str(t.summary())
    test = t.t_test("Days = 10")
    assert test.distribution == "t"
    joint = t.wald_test("Days = 0, Intercept = 250")
    assert joint.distribution == "F"
    assert np.isfinite(joint.df_denom)
    assert t.f_test("Days = 0").fvalue == pytest.approx(t.tvalues["Days"] ** 2)


def test_conf_int(fit, other_door):
    assert list(fit.conf_int().columns) == ["lower", "upper"]
    assert list(fit.conf_int().index) == list(fit.params.index)
    assert list(fit.conf_int(method="wald").index)[-2:] == ["(Intercept)", "Days"]
    np.testing.assert_allclose(fit.conf_int(method="wald").iloc[-2:], fit.conf_int(), rtol=1e-12)
    with pytest.raises(ValueError, match="n= is not an option of method='profile'"):
        fit.conf_int(method="profile", n=100)
    assert list(other_door.conf_int().columns) == [0, 1]
    narrow, wide = fit.conf_int(level=0.5), fit.conf_int(level=0.99)
    assert (wide["lower"] <= narrow["lower"]).all()
    with pytest.raises(ValueError, match="wald, profile, boot"):
        fit.conf_int(method="guess")


def test_standard_errors_of_variances_on_their_scale(other_door):
    """Against second differences of the log-likelihood in (cov_re, scale)."""
    from henderson.engine import likelihood

    model, k = other_door.model, 3
    beta = np.asarray(other_door.fe_params)

    def full(x):
        point = model._point(
            other_door.params_object.__class__.from_components(
                beta, cov_re=np.array([[x[0], x[1]], [x[1], x[2]]]) / x[3], vcomp=np.zeros(0)
            )
        )
        q = likelihood.quadratic(point.moments, beta)
        value = point.moments.log_det + np.linalg.slogdet(point.moments.f0[:2, :2])[1]
        return -0.5 * (value + point.n_eff * np.log(x[3]) + q / x[3])

    cov = np.asarray(other_door.cov_re)
    x0 = np.array([cov[0, 0], cov[1, 0], cov[1, 1], other_door.scale])
    steps, hessian = 1e-4 * np.abs(x0), np.empty((4, 4))
    for i in range(4):
        for j in range(4):
            corners = [
                full(x0 + a * steps * (np.arange(4) == i) + b * steps * (np.arange(4) == j))
                for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            hessian[i, j] = (corners[0] - corners[1] - corners[2] + corners[3]) / (4 * steps[i] * steps[j])
    expected = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    assert len(expected) == k + 1
    np.testing.assert_allclose(other_door.bse_cov_re, expected, rtol=2e-2)


def test_pickle_and_save(fit, other_door, tmp_path):
    for results in (fit, other_door):
        again = pickle.loads(pickle.dumps(results))
        np.testing.assert_allclose(again.params, results.params)
        np.testing.assert_allclose(again.bse, results.bse, rtol=1e-7)
        assert str(again.summary()) == str(results.summary())
    fit.save(tmp_path / "fit.pickle")
    assert MixedLMResults.load(tmp_path / "fit.pickle").llf == fit.llf
    fit.save(tmp_path / "small.pickle", remove_data=True)
    small = MixedLMResults.load(tmp_path / "small.pickle")
    assert "251.405" in str(small.summary())
    assert len(fit.model.endog) == 180


def test_summary_after_remove_data(sleepstudy):
    results = mixedlm("Reaction ~ Days", sleepstudy, groups="Subject").fit()
    before = str(results.summary())
    results.remove_data()
    assert str(results.summary()) == before


def test_predict(fit, other_door, sleepstudy):
    new = pd.DataFrame({"Days": [0.0, 3.0]}, index=["a", "b"])
    predicted = fit.predict(new)
    np.testing.assert_allclose(predicted, fit.fixef["(Intercept)"] + fit.fixef["Days"] * new["Days"])
    assert list(predicted.index) == ["a", "b"]
    np.testing.assert_allclose(other_door.predict(), other_door.model.predict(other_door.params))
    np.testing.assert_allclose(fit.predict(np.array([[1.0, 2.0]])), [fit.fixef.sum() + fit.fixef["Days"]])


def test_prediction_ignores_effects_of_arrays():
    from henderson import MixedLM

    rng = np.random.default_rng(1)
    X, g = np.column_stack([np.ones(40), rng.normal(size=40)]), np.repeat(np.arange(8), 5)
    result = MixedLM(X.sum(1) + rng.normal(size=8)[g] + rng.normal(size=40), X, g).fit()
    assert isinstance(result.params, np.ndarray)
    np.testing.assert_allclose(result.predict(X[:3]), X[:3] @ result.fe_params)


def test_history(sleepstudy):
    model = mixedlm("Reaction ~ Days", sleepstudy, groups="Subject")
    assert model.fit().hist is None
    assert model.fit(full_output=True).hist[0]["converged"]


def test_import_is_light():
    code = (
        "import sys, henderson; "
        "heavy = {'scipy.stats', 'scipy.optimize', 'formulaic', 'statsmodels', 'matplotlib'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_fitting_is_light():
    code = (
        "import sys, henderson; d = henderson.datasets.load('sleepstudy'); "
        "henderson.lmer('Reaction ~ Days + (Days | Subject)', d); "
        "henderson.mixedlm('Reaction ~ Days', d, groups='Subject').fit(); "
        "heavy = {'scipy.stats', 'scipy.optimize', 'statsmodels', 'matplotlib'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_summary_names_a_robust_covariance():
    result = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    assert "Standard errors: CR2" in str(result.with_inference(cov="CR2").summary())
    assert "Standard errors" not in str(result.with_inference(ddf="kenward-roger").summary())


def test_a_joint_test_names_what_was_dropped():
    data = datasets.load("sleepstudy").assign(copy=lambda table: 2 * table["Days"])
    result = mixedlm("Reaction ~ Days + copy", data, groups="Subject").fit()
    with pytest.raises(ValueError, match="since copy was dropped"):
        result.wald_test("Days = 0, copy = 0")
