"""The four panels: their points are the results' residuals, fitted values and standardised modes."""

import numpy as np
import pytest
from scipy import stats

import drawn
from henderson import datasets, lmer, mixedlm
from henderson.diagnostics.normal_quantiles import normal_quantiles
from henderson.diagnostics.standardised_modes import standardised_modes


@pytest.fixture(scope="module")
def fit():
    return lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))


def test_points_are_residuals_and_fitted_values(fit):
    axes = fit.plot()
    assert axes.shape == (2, 2)
    expected = np.column_stack([fit.fittedvalues, fit.resid])
    np.testing.assert_allclose(drawn.points(axes[0, 0].collections[0]), expected)
    spread = np.column_stack([fit.fittedvalues, np.sqrt(np.abs(fit.resid) / fit.sigma)])
    np.testing.assert_allclose(drawn.points(axes[0, 1].collections[0]), spread)
    assert axes[0, 0].get_xlabel() == "fitted Reaction"
    assert axes[0, 0].get_ylabel() == "residual of Reaction"


def test_quantiles_are_of_the_standardised_residuals(fit):
    shown = drawn.points(fit.plot()[1, 0].collections[1])
    np.testing.assert_allclose(shown[:, 1], np.sort(fit.resid / fit.sigma))
    place = np.arange(1, 181)
    np.testing.assert_allclose(shown[:, 0], stats.norm.ppf((place - 0.375) / 180.25))


def test_modes_are_standardised_by_their_own_variance(fit):
    # Var(b̂) = Var(b) − Var(b | y), whose terms the results show
    variance = np.diag(fit.varcorr.query("grp == 'Subject' and var2.isna()")["vcov"])
    conditional = fit.ranef_sd["Subject"].to_numpy() ** 2
    expected = fit.ranef["Subject"].to_numpy() / np.sqrt(np.diag(variance) - conditional)
    np.testing.assert_allclose(standardised_modes(fit.engine)[0], expected, rtol=1e-10)
    panel = fit.plot()[1, 1]
    assert drawn.legend_labels(panel) == ["(Intercept) by Subject", "Days by Subject"]
    shown = [drawn.points(one)[:, 1] for one in panel.collections if len(one.get_offsets()) == 18]
    np.testing.assert_allclose(shown, np.sort(expected, axis=0).T)


def test_the_band_is_of_order_statistics():
    found = normal_quantiles(np.zeros(20))
    for i in (1, 10, 20):
        beta = stats.beta(i, 21 - i)
        assert found.lower[i - 1] == pytest.approx(stats.norm.ppf(beta.ppf(0.025)))
        assert found.upper[i - 1] == pytest.approx(stats.norm.ppf(beta.ppf(0.975)))


def test_weights_are_in_the_residuals():
    data = datasets.load("sleepstudy").assign(w=np.arange(180) % 5 + 1.0)
    fit = lmer("Reaction ~ Days + (1 | Subject)", data, weights="w")
    panel = fit.plot()[0, 0]
    np.testing.assert_allclose(drawn.points(panel.collections[0])[:, 1], fit.resid * np.sqrt(data["w"]))
    assert panel.get_ylabel() == "√weight · residual of Reaction"


def test_a_fit_without_variance_says_so():
    with pytest.warns(UserWarning, match="singular"):
        fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff2"))
    panel = fit.plot()[1, 1]
    assert [text.get_text() for text in panel.texts] == ["no random effect has a variance"]


def test_the_other_door_draws_the_same():
    data = datasets.load("sleepstudy")
    fit = mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
    axes = fit.plot()
    np.testing.assert_allclose(drawn.points(axes[0, 0].collections[0]), np.column_stack([fit.fittedvalues, fit.resid]))
