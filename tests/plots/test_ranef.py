"""Caterpillars and pairs: modes and conditional standard deviations of the results."""

import numpy as np
import pytest
from scipy import stats

import drawn
from henderson import datasets, lmer, mixedlm


@pytest.fixture(scope="module")
def fit():
    return lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))


def test_modes_with_their_intervals_in_order(fit):
    axes = fit.plot.ranef(level=0.9)
    assert [ax.get_title() for ax in axes] == ["(Intercept) by Subject", "Days by Subject"]
    z = stats.norm.ppf(0.95)
    for ax, name in zip(axes, ("(Intercept)", "Days")):
        mode, sd = fit.ranef["Subject"][name].sort_values(), fit.ranef_sd["Subject"][name]
        np.testing.assert_array_equal(drawn.line(ax.lines[0])[:, 0], mode)
        ends = drawn.segments(ax.collections[0])[:, :, 0]
        np.testing.assert_allclose(ends, np.column_stack([mode - z * sd[mode.index], mode + z * sd[mode.index]]))
        assert drawn.ticks(ax.yaxis) == [str(level) for level in mode.index]
        assert "90 %" in ax.get_xlabel()


def test_levels_in_their_own_order_from_the_top(fit):
    (ax,) = fit.plot.ranef(effects="Days", sort=False)
    assert drawn.ticks(ax.yaxis)[::-1] == [str(level) for level in fit.ranef["Subject"].index]


def test_pairs(fit):
    (ax,) = fit.plot.ranef(kind="pairs")
    np.testing.assert_array_equal(drawn.line(ax.lines[-3]), fit.ranef["Subject"].to_numpy())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("(Intercept)", "Days")


def test_labels_of_pairs_do_not_cover_each_other():
    """All of them were written, so that those of the levels in the middle could not be read."""
    fit = lmer("Reaction ~ Days + (Days + I(Days**2) | Subject)", datasets.load("sleepstudy"))
    axes = fit.plot.ranef(kind="pairs")
    axes[0].figure.canvas.draw()
    for ax in axes:
        boxes = [text.get_window_extent() for text in ax.texts]
        assert 10 <= len(boxes) <= 18
        assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
        outermost = str(fit.ranef["Subject"][ax.get_ylabel()].abs().idxmax())
        assert outermost in [text.get_text() for text in ax.texts]


def test_crossed_factors_have_a_panel_each():
    fit = lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", datasets.load("Penicillin"))
    axes = fit.plot.ranef()
    assert [ax.get_title() for ax in axes] == ["(Intercept) by plate", "(Intercept) by sample"]
    (one,) = fit.plot.ranef("sample")
    np.testing.assert_array_equal(np.sort(fit.ranef["sample"]["(Intercept)"]), drawn.line(one.lines[0])[:, 0])


def test_components_of_the_other_door_have_names():
    data = datasets.load("sleepstudy")
    fit = mixedlm("Reaction ~ Days", data, groups="Subject", vc_formula={"slope": "0 + Days"}).fit()
    (ax,) = fit.plot.ranef()
    assert "308:Days" in drawn.ticks(ax.yaxis)


def test_very_many_levels_are_a_band():
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(12_000), 2)
    data = {"g": g, "y": rng.normal(size=12_000)[g] + rng.normal(size=len(g))}
    fit = lmer("y ~ 1 + (1 | g)", data)
    (ax,) = fit.plot.ranef()
    assert len(drawn.line(ax.lines[0])) <= 2000
    assert "12,000 levels" in ax.get_ylabel()
    mode = np.sort(fit.ranef["g"]["(Intercept)"])
    shown = drawn.line(ax.lines[0])
    np.testing.assert_array_equal(shown[:, 0], mode[shown[:, 1].astype(int)])


def test_bad_arguments_are_named(fit):
    with pytest.raises(ValueError, match="no random effects vary by 'Item'; there are Subject"):
        fit.plot.ranef("Item")
    with pytest.raises(ValueError, match=r"no random effect 'x'; there are \(Intercept\), Days"):
        fit.plot.ranef(effects="x")
    with pytest.raises(ValueError, match="kind must be"):
        fit.plot.ranef(kind="dots")
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        fit.plot.ranef(level=95)
    one = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    with pytest.raises(ValueError, match="two effects or more"):
        one.plot.ranef(kind="pairs")
