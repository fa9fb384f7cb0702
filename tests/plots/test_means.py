"""Pictures of marginal means: limits, arrows, lines and p-values are those of their tables."""

import numpy as np
import pytest

import drawn
from henderson import datasets, lmer


@pytest.fixture(scope="module")
def machines():
    return lmer("score ~ Machine + (1 | Worker)", datasets.load("Machines"))


@pytest.fixture(scope="module")
def cake():
    return lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", datasets.load("cake"))


def arrows_of(ax):
    """From where each arrow goes, and to where."""
    return [(note.xyann[0], note.xy[0], note.xy[1]) for note in ax.texts]


def test_means_with_limits_and_arrows(machines):
    means = machines.emmeans("Machine", level=0.9)
    ax = means.plot()
    frame = means.frame
    np.testing.assert_allclose(drawn.segments(ax.collections[0])[:, :, 0], frame[["lower", "upper"]])
    np.testing.assert_allclose(drawn.line(ax.lines[0]), np.column_stack([frame["estimate"], range(3)]))
    assert drawn.ticks(ax.yaxis) == ["A", "B", "C"]
    assert ax.get_xlabel() == "score"
    assert ax.get_title(loc="left") == "arrows overlap where p ≥ 0.1 (tukey)"
    reach = {(row, np.sign(end - start)): end for start, end, row in arrows_of(ax)}
    significant = dict(zip([(0, 1), (0, 2), (1, 2)], means.pairs(level=0.9).frame["p"] < 0.1))
    for (i, j), differs in significant.items():
        assert (reach[i, 1] > reach[j, -1]) is not differs
    assert {row for start, end, row in arrows_of(ax)} == {0, 1, 2}
    assert not arrows_of(means.plot(comparisons=False))


def test_families_have_headings(cake):
    ax = cake.emmeans("recipe", by="temperature").plot()
    labels = drawn.ticks(ax.yaxis)
    assert drawn.ticks(cake.emmeans(["temperature", "recipe"]).plot().yaxis)[0] == "temperature 175, A"
    assert labels[:4] == ["temperature = 175", "A", "B", "C"]
    assert len(labels) == 24
    frame = cake.emmeans("recipe", by="temperature").frame
    shown = np.concatenate([drawn.line(one) for one in ax.lines])
    np.testing.assert_allclose(np.sort(shown[:, 0]), np.sort(frame["estimate"]))


def test_a_mean_that_is_not_there_is_left_out():
    cake = datasets.load("cake")
    cake = cake[~((cake["recipe"] == "A") & (cake["temperature"] == 175))]
    with pytest.warns(UserWarning, match="dropped"):
        fit = lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", cake)
    ax = fit.emmeans("recipe", by="temperature").plot()
    assert drawn.ticks(ax.yaxis)[:4] == ["temperature = 175", "B", "C", "temperature = 185"]
    panels = fit.emmeans("recipe", by="temperature").pwpp()
    assert len(drawn.ticks(panels[0].yaxis)) == 2


def test_contrasts_have_a_line_at_zero(machines):
    pairs = machines.emmeans("Machine").pairs()
    ax = pairs.plot()
    np.testing.assert_allclose(drawn.segments(ax.collections[0])[:, :, 0], pairs.frame[["lower", "upper"]])
    assert [0, 0] in [list(line.get_xdata()) for line in ax.lines]
    assert ax.get_xlabel() == "contrast of score"
    assert drawn.ticks(ax.yaxis) == ["A - B", "A - C", "B - C"]


def test_interaction(cake):
    means = cake.emmeans(["temperature", "recipe"])
    ax = means.interaction_plot()
    for bars, (recipe, rows) in zip(ax.containers, means.frame.groupby("recipe", sort=False), strict=True):
        marks, _, (limits,) = bars.lines
        np.testing.assert_allclose(drawn.line(marks)[:, 1], rows["estimate"], err_msg=recipe)
        np.testing.assert_allclose(drawn.segments(limits)[:, :, 1], rows[["lower", "upper"]])
        np.testing.assert_allclose(drawn.line(marks)[:, 0], np.arange(175, 226, 10), atol=0.5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("temperature", "angle")
    other = means.interaction_plot("recipe", intervals=False)
    assert drawn.legend_labels(other) == ["175", "185", "195", "205", "215", "225"]
    with pytest.raises(ValueError, match="x: the means are not of 'flour'; they are of temperature, recipe"):
        means.interaction_plot("flour")


def test_trends_are_along_numbers():
    sleep = datasets.load("sleepstudy")
    fit = lmer("Reaction ~ bs(Days, 4) + (1 | Subject)", sleep)
    slopes = fit.emtrends("1", "Days")
    assert slopes.plot().get_xlabel() == "slope of Days"
    means = fit.emmeans("Days", at={"Days": [0, 4, 9]})
    ax = means.interaction_plot()
    np.testing.assert_allclose(drawn.line(ax.lines[0]), np.column_stack([[0, 4, 9], means.frame["estimate"]]))


def test_p_values_join_their_means(machines):
    means = machines.emmeans("Machine")
    ax = means.pwpp(adjust="holm")
    order = means.frame["estimate"].argsort().to_numpy()
    place = np.argsort(order)
    expected = {
        tuple(sorted((int(place[i]), int(place[j])))): p
        for (i, j), p in zip([(0, 1), (0, 2), (1, 2)], means.pairs(adjust="holm").frame["p"])
    }
    bars = [drawn.line(one) for one in ax.lines[1:]]
    assert {tuple(sorted(bar[:, 1].astype(int))): bar[0, 0] for bar in bars} == pytest.approx(expected)
    assert [text.split()[0] for text in drawn.ticks(ax.yaxis)] == list(means.frame["Machine"].iloc[order])
    assert ax.get_xlabel() == "p (holm)"


def test_p_values_of_families_have_a_panel_each(cake):
    axes = cake.emmeans("recipe", by="temperature").pwpp()
    assert [ax.get_title() for ax in axes][:2] == ["temperature = 175", "temperature = 185"]
    p = cake.emmeans("recipe", by="temperature").pairs().frame["p"].to_numpy().reshape(6, 3)
    for ax, expected in zip(axes, p, strict=True):
        np.testing.assert_allclose(np.sort([drawn.line(one)[0, 0] for one in ax.lines[1:]]), np.sort(expected))


def test_one_mean_has_nothing_to_compare(machines):
    assert not arrows_of(machines.emmeans("1").plot())
    with pytest.raises(ValueError, match=r"pwpp\(\) compares means, and a family has but one"):
        machines.emmeans("1").pwpp()


def test_on_the_scale_of_the_response(cake):
    data = datasets.load("cake")
    fit = lmer("log(angle) ~ recipe + temperature + (1 | recipe:replicate)", data)
    means = fit.emmeans("temperature", type="response")
    ax = means.plot()
    frame = means.frame
    np.testing.assert_allclose(drawn.segments(ax.collections[0])[:, :, 0], frame[["lower", "upper"]])
    reach = {(row, np.sign(end - start)): end for start, end, row in arrows_of(ax)}
    first, second = np.triu_indices(6, 1)
    for i, j, p in zip(first, second, means.pairs().frame["p"]):
        low, high = (i, j) if frame["estimate"][i] < frame["estimate"][j] else (j, i)
        assert (reach[low, 1] > reach[high, -1]) == (p >= 0.05)
    assert ax.get_xlabel() == "angle"
    ratios = means.pairs().plot()
    assert drawn.ticks(ratios.yaxis)[0] == "temperature175 / temperature185"
    assert [1, 1] in [list(line.get_xdata()) for line in ratios.lines]
    assert means.interaction_plot().get_ylabel() == "angle"
    np.testing.assert_allclose(drawn.line(means.interaction_plot(intervals=False).lines[0])[:, 1], frame["estimate"])
