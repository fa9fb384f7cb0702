"""Lines of the levels are predictions without and with the random effects of the level."""

import numpy as np
import pandas as pd
import pytest

import drawn
from henderson import DataError, MixedLM, datasets, lmer, mixedlm


@pytest.fixture(scope="module")
def sleep():
    return datasets.load("sleepstudy")


def lines_of(ax):
    """(population, own) of each pair of lines, (k, 2) each."""
    shown = [drawn.line(one) for one in ax.lines if len(one.get_xdata())]
    return list(zip(shown[::2], shown[1::2]))


@pytest.mark.parametrize("door", ["lmer", "mixedlm"])
def test_data_and_lines_of_each_subject(sleep, door):
    if door == "lmer":
        fit = lmer("Reaction ~ Days + (Days | Subject)", sleep)
    else:
        fit = mixedlm("Reaction ~ Days", sleep, groups="Subject", re_formula="~Days").fit()
    axes = fit.plot.fits(by="Subject")
    subjects = list(dict.fromkeys(sleep["Subject"]))
    assert [ax.get_title() for ax in axes] == [str(subject) for subject in subjects]
    for ax, subject in zip(axes, subjects):
        rows = sleep[sleep["Subject"] == subject]
        np.testing.assert_array_equal(drawn.points(ax.collections[0]), rows[["Days", "Reaction"]])
        ((population, own),) = lines_of(ax)
        new = pd.DataFrame({"Days": own[:, 0], "Subject": subject})
        np.testing.assert_allclose(population[:, 1], fit.predict(new))
        np.testing.assert_allclose(own[:, 1], fit.predict(new, random=True))
        assert (own[0, 0], own[-1, 0]) == (0, 9)


def crossed():
    rng = np.random.default_rng(5)
    data = pd.DataFrame([(s, i, c) for s in range(6) for i in range(8) for c in "uv"], columns=["subj", "item", "cond"])
    data["x"] = rng.normal(size=len(data))
    data["z"] = np.arange(len(data)) % 5
    slope, level = 2 * rng.normal(size=(2, 6))
    data["y"] = (
        data["x"] * (0.5 + slope[data["subj"]]) + level[data["subj"]] + rng.normal(size=8)[data["item"]]
        + data["z"] * (slope + level)[::-1][data["subj"]]
        + 0.7 * (data["cond"] == "v") + rng.normal(size=len(data)) * 0.5
    )  # fmt: skip
    return data


def test_crossed_effects_are_at_zero_and_factors_within_levels_have_lines():
    data = crossed()
    fit = lmer("y ~ x * cond + (x | subj) + (1 | item)", data)
    axes = fit.plot.fits("subj", "x")
    for subject, ax in enumerate(axes):
        for cond, (population, own) in zip("uv", lines_of(ax), strict=True):
            new = pd.DataFrame({"x": own[:, 0], "cond": cond})
            mean, b = fit.predict(new), fit.ranef["subj"].loc[subject]
            np.testing.assert_allclose(population[:, 1], mean)
            np.testing.assert_allclose(own[:, 1], mean + b["(Intercept)"] + b["x"] * own[:, 0])


def test_without_lines_of_their_own_factors_are_averaged():
    data = crossed()
    fit = lmer("y ~ x * cond + (x | subj) + (1 | item)", data)
    ax = fit.plot.fits("subj", "x", lines=[])[0]
    ((population, _),) = lines_of(ax)
    both = [fit.predict(pd.DataFrame({"x": population[:, 0], "cond": cond})) for cond in "uv"]
    np.testing.assert_allclose(population[:, 1], np.mean(both, axis=0))


def test_factors_around_a_nested_one_count():
    pastes = datasets.load("Pastes")
    fit = lmer("strength ~ 1 + (1 | batch/cask)", pastes)
    levels = list(fit.ranef["cask:batch"].index[:3])
    axes = fit.plot.fits("cask:batch", levels=levels)
    for ax, level in zip(axes, levels, strict=True):
        batch = level.split(":")[1]
        ((population, own),) = lines_of(ax)
        b = fit.ranef["cask:batch"].loc[level].iloc[0] + fit.ranef["batch"].loc[batch].iloc[0]
        np.testing.assert_allclose(own[:, 1], fit.fixef.iloc[0] + b)
        np.testing.assert_allclose(population[:, 1], fit.fixef.iloc[0])


def test_a_spline_and_a_factor_along_x(sleep):
    data = sleep.assign(late=np.where(sleep["Days"] > 4, "late", "early"))
    curve = lmer("Reaction ~ ns(Days, 3) + (1 | Subject)", data)
    ((_, own),) = lines_of(curve.plot.fits("Subject")[0])
    np.testing.assert_allclose(own[:, 1], curve.predict(pd.DataFrame({"Days": own[:, 0], "Subject": 308}), random=True))
    steps = lmer("Reaction ~ late + (1 | Subject)", data)
    ax = steps.plot.fits("Subject")[0]
    ((population, _),) = lines_of(ax)
    np.testing.assert_allclose(population[:, 1], steps.predict(pd.DataFrame({"late": ["early", "late"]})))
    assert drawn.ticks(steps.plot.fits("Subject")[-1].xaxis) == ["early", "late"]


def test_models_of_arrays_have_lines_through_their_rows(sleep):
    X = np.column_stack([np.ones(180), sleep["Days"]])
    fit = MixedLM(sleep["Reaction"].to_numpy(), X, sleep["Subject"].to_numpy(), exog_re=X).fit()
    axes = fit.plot.fits(next(iter(fit.ngrps)))
    fitted = np.asarray(fit.fittedvalues)
    for k, ax in enumerate(axes):
        ((_, own),) = lines_of(ax)
        np.testing.assert_allclose(own[:, 1], fitted[10 * k : 10 * k + 10])


def test_groups_of_components_are_a_factor(sleep):
    fit = mixedlm("Reaction ~ Days", sleep, groups="Subject", vc_formula={"slope": "0 + Days"}).fit()
    axes = fit.plot.fits("Subject")
    fitted = np.asarray(fit.fittedvalues)
    for k, ax in enumerate(axes):
        ((_, own),) = lines_of(ax)
        np.testing.assert_allclose(np.interp(np.arange(10), *own.T), fitted[10 * k : 10 * k + 10])


def test_effects_of_columns_that_the_fixed_part_lacks_are_drawn_at_the_rows():
    data = crossed()
    fit = lmer("y ~ x + (z | subj)", data)
    ax = fit.plot.fits("subj", "x")[0]
    ((_, own),) = lines_of(ax)
    rows = (data["subj"] == 0).to_numpy()
    order = np.argsort(data["x"][rows])
    np.testing.assert_allclose(own[:, 1], np.asarray(fit.fittedvalues)[rows][order])


def test_what_is_not_estimable_is_not_drawn():
    data = crossed()
    data = data[~((data["cond"] == "v") & (data["subj"] % 2 == 0))].assign(even=lambda d: (d["subj"] % 2).astype(str))
    with pytest.warns(UserWarning, match="dropped"):
        fit = lmer("y ~ x + even * cond + (1 | subj)", data)
    axes = fit.plot.fits("subj", "cond", lines=[])
    assert len(lines_of(axes[0])[0][0]) == 1  # even subjects have one condition


def test_many_levels_are_spread_over_the_ranks():
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(100), 3)
    data = pd.DataFrame({"g": g, "x": np.tile([0.0, 1.0, 2.0], 100)})
    data["y"] = data["x"] + rng.normal(size=100)[g] + 0.1 * rng.normal(size=300)
    fit = lmer("y ~ x + (1 | g)", data)
    axes = fit.plot.fits("g", most=5)
    ranks = fit.ranef["g"]["(Intercept)"].rank().astype(int)
    assert sorted(ranks[int(ax.get_title())] for ax in axes) == [1, 26, 51, 75, 100]


def test_bad_arguments_are_named(sleep):
    fit = lmer("Reaction ~ Days + (Days | Subject)", sleep)
    with pytest.raises(ValueError, match="by: 'Days' is not a grouping factor; there are Subject"):
        fit.plot.fits("Days")
    with pytest.raises(ValueError, match="x: the fixed part has no variable 'age'; it has Days"):
        fit.plot.fits("Subject", "age")
    with pytest.raises(ValueError, match="levels: 'Subject' has no level 1"):
        fit.plot.fits("Subject", levels=[308, 1])
    with pytest.raises(ValueError, match="lines: 'sex' is not another factor of the fixed part; there are none"):
        fit.plot.fits("Subject", lines="sex")
    with pytest.raises(ValueError, match="most must be"):
        fit.plot.fits("Subject", most=0)
    with pytest.raises(ValueError, match="axes= must hold 18 Axes for this picture, not 1"):
        fit.plot.fits("Subject", axes=fit.plot.effects("Days"))
    fit.remove_data()
    with pytest.raises(DataError, match=r"plot.fits\(\).*removed by remove_data"):
        fit.plot.fits("Subject")


def test_panels_are_by_the_first_factor_where_none_is_named():
    fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    assert [ax.get_title() for ax in fit.plot.fits()] == list("ABCDEF")
