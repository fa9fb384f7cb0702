"""Means and bands are emmeans'; the points behind them are the rows of the data."""

import numpy as np
import pandas as pd
import pytest

import drawn
from henderson import DataError, datasets, lmer


@pytest.fixture(scope="module")
def cake():
    return datasets.load("cake")


@pytest.fixture(scope="module")
def factors(cake):
    return lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", cake)


@pytest.fixture(scope="module")
def covariate(cake):
    return lmer("angle ~ recipe * temp + (1 | recipe:replicate)", cake)


def means_of(ax):
    """(estimate, lower, upper) of each series of error bars."""
    out = []
    for bars in ax.containers:
        marks, _, (limits,) = bars.lines
        ends = drawn.segments(limits)[:, :, 1]
        out.append(np.column_stack([drawn.line(marks)[:, 1], ends]))
    return out


def test_a_factor_by_another(factors, cake):
    ax = factors.plot.effects("temperature", by="recipe", data=True, level=0.9)
    expected = factors.emmeans(["temperature", "recipe"], level=0.9).frame
    for shown, (recipe, rows) in zip(means_of(ax), expected.groupby("recipe", sort=False), strict=True):
        np.testing.assert_allclose(shown, rows[["estimate", "lower", "upper"]], err_msg=recipe)
    assert drawn.legend_labels(ax) == ["A", "B", "C"]
    assert drawn.ticks(ax.xaxis) == ["175", "185", "195", "205", "215", "225"]
    clouds = [drawn.points(one) for one in ax.collections if len(one.get_offsets()) == 90]
    for shown, (recipe, rows) in zip(clouds, cake.groupby("recipe", observed=True), strict=True):
        np.testing.assert_array_equal(np.sort(shown[:, 1]), np.sort(rows["angle"]), err_msg=recipe)


def test_a_point_stands_over_its_level(factors, cake):
    ax = factors.plot.effects("temperature", data=True)
    (shown,) = [drawn.points(one) for one in ax.collections if len(one.get_offsets()) == 270]
    codes = cake["temperature"].cat.codes
    assert np.abs(shown[:, 0] - codes).max() < 0.5
    np.testing.assert_array_equal(shown[:, 1], cake["angle"])


def test_a_line_with_its_band(covariate, cake):
    ax = covariate.plot.effects("temp", by="recipe", data=True)
    places = drawn.line(ax.lines[0])[:, 0]
    assert (places[0], places[-1]) == (175, 225)
    expected = covariate.emmeans(["temp", "recipe"], at={"temp": places}).frame
    for shown, band, (_, rows) in zip(ax.lines, ax.collections[-3:], expected.groupby("recipe", sort=False)):
        np.testing.assert_allclose(drawn.line(shown)[:, 1], rows["estimate"])
        ends = band.get_paths()[0].vertices
        np.testing.assert_allclose(ends[:, 1].min(), rows["lower"].min())
        np.testing.assert_allclose(ends[:, 1].max(), rows["upper"].max())
    assert sum(len(one.get_offsets()) for one in ax.collections[:3]) == len(cake)


def test_by_a_covariate_is_at_its_mean_and_a_standard_deviation_to_either_side(covariate, cake):
    ax = covariate.plot.effects("recipe", by="temp")
    spread = cake["temp"].std()
    at = cake["temp"].mean() + spread * np.array([-1, 0, 1])
    expected = covariate.emmeans(["recipe", "temp"], at={"temp": at}).frame
    for shown, (_, rows) in zip(means_of(ax), expected.groupby("temp", sort=False), strict=True):
        np.testing.assert_allclose(shown[:, 0], rows["estimate"])


def test_a_spline_is_a_curve():
    fit = lmer("Reaction ~ bs(Days, 4) + (1 | Subject)", datasets.load("sleepstudy"))
    ax = fit.plot.effects("Days")
    shown = drawn.line(ax.lines[0])
    np.testing.assert_allclose(shown[:, 1], fit.predict(pd.DataFrame({"Days": shown[:, 0]})))


def test_large_data_are_hexagons_and_histograms():
    rng = np.random.default_rng(1)
    n = 12_000
    data = pd.DataFrame({"x": rng.normal(size=n), "a": rng.choice(["u", "v"], n), "g": rng.integers(0, 30, n)})
    data["y"] = data["x"] + rng.normal(size=n)
    fit = lmer("y ~ x + a + (1 | g)", data)
    along = fit.plot.effects("x", data=True)
    assert along.collections[0].get_array().sum() == pytest.approx(n)  # counts of the hexagons
    over = fit.plot.effects("a", data=True)
    assert len(over.patches) == 80
    assert not [one for one in over.collections if len(one.get_offsets()) == n]


def test_without_rows_values_must_be_given(covariate):
    light = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", datasets.load("cake"))
    light.remove_data()
    with pytest.raises(DataError, match=r"plot.effects\(data=True\).*removed by remove_data"):
        light.plot.effects("recipe", data=True)
    with pytest.raises(DataError, match=r"range of 'temp' is not known.*at=\{'temp'"):
        light.plot.effects("temp")
    at = {"temp": [180.0, 200.0]}
    np.testing.assert_allclose(
        drawn.line(light.plot.effects("temp", at=at).lines[0])[:, 1],
        covariate.emmeans("temp", at=at).frame["estimate"],
    )
    np.testing.assert_allclose(means_of(light.plot.effects("recipe"))[0], means_of(covariate.plot.effects("recipe"))[0])


def test_bad_arguments_are_named(covariate):
    with pytest.raises(ValueError, match="no variable 'flour' to take means at; it has recipe, temp"):
        covariate.plot.effects("flour")
    with pytest.raises(ValueError, match="no variable 'flour'"):
        covariate.plot.effects("recipe", by="flour")
    with pytest.raises(ValueError, match="by: 'temp' is what the means are along"):
        covariate.plot.effects("temp", by="temp")
    with pytest.raises(ValueError, match="ax must be matplotlib Axes, not str"):
        covariate.plot.effects("temp", ax="left")


def test_on_the_scale_of_the_response(cake):
    fit = lmer("log(angle) ~ recipe * temp + (1 | recipe:replicate)", cake)
    ax = fit.plot.effects("recipe", data=True, type="response", bias_adjust=True)
    expected = fit.emmeans("recipe", type="response", bias_adjust=True).frame
    np.testing.assert_allclose(means_of(ax)[0], expected[["estimate", "lower", "upper"]])
    (shown,) = [drawn.points(one) for one in ax.collections if len(one.get_offsets()) == 270]
    np.testing.assert_allclose(shown[:, 1], cake["angle"])
    assert ax.get_ylabel() == "angle"
    assert fit.plot.effects("recipe").get_ylabel() == "log(angle)"


def test_values_of_a_covariate_that_look_alike_have_series_of_their_own(covariate):
    ax = covariate.plot.effects("recipe", by="temp", at={"temp": [200.001, 200.002]})
    assert drawn.legend_labels(ax) == ["200.001", "200.002"]
    assert len(means_of(ax)) == 2
    rounded = covariate.plot.effects("recipe", by="temp")
    assert drawn.legend_labels(rounded) == ["182.9", "200", "217.1"]


def test_panels_for_a_third_factor():
    rng = np.random.default_rng(4)
    table = pd.DataFrame({name: rng.choice(levels, 240) for name, levels in (("a", list("pqr")), ("b", ["u", "v"]))})
    table = table.assign(c=rng.choice(["one", "two"], 240), x=rng.normal(size=240), g=rng.integers(0, 12, 240))
    table["y"] = rng.normal(size=240) + rng.normal(size=12)[table.g] + table.x * (table.c == "two")
    fit = lmer("y ~ a * b * c + x * c + (1 | g)", table)
    axes = fit.plot.effects("a", by="b", panels="c", data=True)
    assert [ax.get_title() for ax in axes] == ["c = one", "c = two"]
    frame = fit.emmeans(["a", "b", "c"]).frame
    for ax, level in zip(axes, ("one", "two")):
        shown = means_of(ax)
        for k, b in enumerate(("u", "v")):
            want = frame[(frame["c"] == level) & (frame["b"] == b)]["estimate"]
            np.testing.assert_allclose(shown[k][:, 0], want)
        points = np.concatenate([drawn.points(one) for one in ax.collections if len(drawn.points(one)) > 6])
        np.testing.assert_allclose(np.sort(points[:, 1]), np.sort(table.loc[table["c"] == level, "y"]))
    assert len(fit.plot.effects("x", panels=["b", "c"])) == 4
    with pytest.raises(ValueError, match="panels: 'b' is in by, too"):
        fit.plot.effects("a", by="b", panels="b")
    with pytest.raises(ValueError, match="panels: 'a' is what the means are along"):
        fit.plot.effects("a", panels="a")
    with pytest.raises(ValueError, match="axes= and fig= go with panels="):
        fit.plot.effects("a", fig=axes[0].figure)
