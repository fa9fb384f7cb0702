"""Standard deviations, correlations and profiles: the numbers of the results, in their units."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import drawn
from henderson import datasets, lmer, mixedlm


@pytest.fixture(scope="module")
def fit():
    return lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))


@pytest.mark.parametrize("method", ["wald", "profile"])
def test_estimates_with_their_intervals_by_unit(fit, method):
    axes = fit.plot.varcorr(method=method, level=0.9)
    titles = [ax.get_xlabel() for ax in axes]
    assert titles == ["standard deviation, Reaction", "standard deviation, Reaction per unit of Days", "correlation"]
    limits = fit.conf_int(method=method, level=0.9)
    names = [["sd_(Intercept)|Subject", "sigma"], ["sd_Days|Subject"], ["cor_Days.(Intercept)|Subject"]]
    values = fit.varcorr["sdcor"].to_numpy()
    for ax, rows, expected in zip(axes, names, (values[[0, 3]], values[[1]], values[[2]]), strict=True):
        np.testing.assert_allclose(drawn.segments(ax.collections[0])[:, :, 0], limits.loc[rows])
        np.testing.assert_allclose(drawn.line(ax.lines[0])[:, 0], expected)
    assert drawn.ticks(axes[0].yaxis) == ["(Intercept) by Subject", "residual"]


def test_levels_of_factors_are_in_the_unit_of_the_response():
    machines = datasets.load("Machines")
    fit = lmer("score ~ Machine + (0 + Machine | Worker)", machines)
    axes = fit.plot.varcorr()
    assert [ax.get_xlabel() for ax in axes] == ["standard deviation, score", "correlation"]
    assert len(drawn.ticks(axes[0].yaxis)) == 4
    assert len(drawn.ticks(axes[1].yaxis)) == 3


def test_the_other_door_and_its_components():
    sleep = datasets.load("sleepstudy")
    fit = mixedlm("Reaction ~ Days", sleep, groups="Subject", vc_formula={"slope": "0 + Days"}).fit()
    axes = fit.plot.varcorr()
    assert [ax.get_xlabel() for ax in axes][1] == "standard deviation, Reaction"
    np.testing.assert_allclose(drawn.line(axes[0].lines[0])[:, 0], np.sqrt(fit.vcomp))


def test_a_variance_of_zero_has_no_wald_interval():
    with pytest.warns(UserWarning, match="singular"):
        fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff2"))
    (ax,) = fit.plot.varcorr()
    assert len(drawn.segments(ax.collections[0])) == 1
    hollow = next(one for one in ax.lines if one.get_markerfacecolor() == "white")
    np.testing.assert_allclose(drawn.line(hollow)[:, 0], 0, atol=1e-8)


def test_profiles_are_the_curves(fit):
    axes = fit.plot.profile("theta_", level=0.95)
    found = fit.profile("theta_", level=0.95)
    assert [ax.get_title() for ax in axes] == [target.name for target in found.targets]
    for ax, curve in zip(axes, found.curves, strict=True):
        value, zeta = drawn.line(ax.lines[0]).T
        np.testing.assert_allclose(zeta, curve(value), atol=1e-6)
    z = stats.norm.ppf(0.975)
    ends = [line for line in map(drawn.line, axes[-1].lines) if len(line) == 2 and abs(abs(line[1, 1]) - z) < 1e-9]
    np.testing.assert_allclose(np.sort([line[0, 0] for line in ends]), found.interval(0.95).loc["sigma"], rtol=1e-3)


def test_bad_arguments_are_named(fit):
    with pytest.raises(ValueError, match="unknown method 'exact'"):
        fit.plot.varcorr(method="exact")
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        fit.plot.varcorr(level=95)
    with pytest.raises(ValueError, match="no parameter is called 'age'"):
        fit.plot.profile("age")


def test_nothing_here_needs_the_rows(fit):
    light = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    light.remove_data()
    for name in ("varcorr", "ranef", "profile"):
        before, after = getattr(fit.plot, name)(), getattr(light.plot, name)()
        for one, other in zip(before, after, strict=True):
            np.testing.assert_allclose(drawn.line(one.lines[0]), drawn.line(other.lines[0]), rtol=1e-6)
    assert isinstance(light.emmeans("1").plot().get_xlabel(), str)
    assert pd.notna(light.emmeans("1").frame["estimate"]).all()
