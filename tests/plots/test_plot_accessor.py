"""Where pictures are drawn, and what is said when they cannot be."""

import sys

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from scipy.special import ndtr

import drawn
from henderson import DataError, datasets, lmer


@pytest.fixture(scope="module")
def fit():
    return lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))


def test_axes_of_the_user_are_drawn_on_and_returned(fit):
    _, axes = pyplot.subplots(2, 2)
    assert fit.plot.effects("Days", ax=axes[0, 0]) is axes[0, 0]
    assert fit.plot.residuals(ax=axes[0, 1]) is axes[0, 1]
    assert fit.plot.ranef(effects="Days", ax=axes[1, 0]) is axes[1, 0]
    assert fit.emmeans("1").plot(ax=axes[1, 1]) is axes[1, 1]
    assert all(ax.has_data() for ax in axes.ravel())
    assert len(pyplot.get_fignums()) == 1


def test_panels_in_a_figure_that_pyplot_does_not_know(fit):
    figure = Figure()
    axes = fit.plot(fig=figure)
    assert list(axes.ravel()) == figure.axes
    parts = Figure().subfigures(1, 2)
    assert fit.plot.ranef(fig=parts[1])[0].figure is parts[1]
    assert not pyplot.get_fignums()


def test_axes_must_be_as_many_as_panels(fit):
    _, axes = pyplot.subplots(2, 2)
    assert (fit.plot(ax=axes) == axes).all()
    with pytest.raises(ValueError, match="axes= must hold 2 Axes for this picture, not 1"):
        fit.plot.ranef(ax=axes[0, 0])
    with pytest.raises(ValueError, match="give ax= or axes=, not both"):
        fit.plot.ranef(ax=axes[0], axes=axes[0])
    with pytest.raises(ValueError, match="give axes= or fig=, not both"):
        fit.plot.ranef(ax=axes[0], fig=Figure())


def test_residuals_against_a_variable_and_a_factor(fit):
    sleep = datasets.load("sleepstudy")
    along = fit.plot.residuals("Days")
    np.testing.assert_allclose(drawn.points(along.collections[0]), np.column_stack([sleep["Days"], fit.resid]))
    boxes = fit.plot.residuals("Subject")
    medians = fit.resid.groupby(sleep["Subject"]).median()
    shown = [drawn.line(one) for one in boxes.lines]
    flat = [one[0, 1] for one in shown if len(one) == 2 and one[0, 1] == one[1, 1]]
    assert np.isin(medians.round(9), np.round(flat, 9)).all()
    with pytest.raises(ValueError, match="no variable or grouping factor 'age'; it has Days, Subject"):
        fit.plot.residuals("age")


@pytest.mark.parametrize("kind", ["pearson", "studentized", "scaled", "quantile"])
def test_residuals_of_every_kind(fit, kind):
    options = {"seed": 1} if kind == "quantile" else {}
    ax = fit.plot.residuals(kind=kind, level="marginal", **options)
    expected = fit.residuals(kind, "marginal", **options)
    np.testing.assert_array_equal(drawn.points(ax.collections[0]), np.column_stack([fit.predict(), expected]))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("fitted Reaction, without random effects", f"{kind} residual")
    with pytest.raises(ValueError, match="kind"):
        fit.plot.residuals(kind="odd")


def test_without_rows_what_needs_them_says_so():
    fit = lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    fit.remove_data()
    with pytest.raises(DataError, match=r"^plot\(\): this needs the rows of the data, which were removed"):
        fit.plot()
    with pytest.raises(DataError, match=r"^plot.residuals\(\): this needs the rows"):
        fit.plot.residuals()


def test_without_matplotlib_it_says_what_to_install(fit, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    means = fit.emmeans("1")
    for draw in (fit.plot, fit.plot.ranef, fit.plot.residuals, fit.plot.varcorr, means.plot, fit.profile("sigma").plot):
        with pytest.raises(ImportError, match=r"pip install henderson\[plot\]"):
            draw()


def test_the_accessor_lists_its_pictures(fit):
    text = repr(fit.plot)
    assert text.startswith("Pictures: plot(), plot.effects(), plot.ranef()")


def test_large_data_are_hexagons():
    rng = np.random.default_rng(0)
    n = 20_000
    g = rng.integers(0, 50, n)
    fit = lmer("y ~ x + (1 | g)", {"y": rng.normal(size=50)[g] + rng.normal(size=n), "x": rng.normal(size=n), "g": g})
    axes = fit.plot()
    for ax in axes[0]:
        assert ax.collections[0].get_array().sum() == n
    shown = drawn.points(axes[1, 0].collections[1])
    assert 1000 < len(shown) < 2000
    place = np.rint(ndtr(shown[:, 0]) * (n + 0.25) - 0.625).astype(int)
    np.testing.assert_array_equal(shown[:, 1], np.sort(fit.residuals("pearson"))[place])
    assert (place[[0, 1, -1]] == [0, 1, n - 1]).all()
    trend = drawn.line(axes[0, 0].lines[0])
    order = np.argsort(fit.fittedvalues, kind="stable")
    bin_of = np.arange(n) * 30 // n
    np.testing.assert_allclose(trend[:, 1], fit.resid.iloc[order].groupby(bin_of).mean(), atol=1e-12)
