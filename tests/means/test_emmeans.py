"""What marginal means are asked beyond emmeans' listing: grids, nesting, offsets, what cannot be estimated, exports."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson import datasets, lmer
from henderson.design.from_formula import design_from_formula
from henderson.engine.fit import fit_design
from henderson.errors import DataError
from henderson.inference import infer
from henderson.means.emmeans import emmeans
from henderson.means.options import TestOptions
from henderson.means.term_tests import joint_tests
from henderson.means.trends import emtrends


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(5)
    cake = datasets.load("cake")
    data = pd.DataFrame({name: np.asarray(cake[name]) for name in ("recipe", "replicate", "temperature", "angle")})
    data["temperature"] = data["temperature"].astype(str)
    data = data.drop(index=rng.choice(data.index, 40, replace=False)).reset_index(drop=True)
    data["x"], data["z"] = rng.normal(size=len(data)), np.exp(rng.normal(size=len(data)))
    data["two"] = rng.integers(0, 2, len(data)) * 3.0
    data["known"] = rng.normal(3, 1, len(data))
    data["half"] = np.where(data["temperature"] < "200", "low", "high")
    data["flag"] = rng.random(len(data)) < 0.5
    data["unit"] = data["recipe"].astype(str) + data["replicate"].astype(str)
    return data


def model(formula, data, **options):
    fit = fit_design(*design_from_formula(formula + " + (1 | unit)", data, **options))
    return fit, fit.design, infer(fit, ddf="satterthwaite")


def by_hand(fit, design, rows):
    """Predictions at rows of a table, averaged: the definition."""
    from henderson.design.replay import fixed_columns

    return float(np.mean(fixed_columns(design, rows) @ fit.beta))


def test_covariates_are_at_their_means_whatever_the_formula_does_with_them(table):
    fit, design, inference = model("angle ~ recipe * np.log(z) + I(x**2)", table)
    got = emmeans(design, inference, "recipe").frame
    at = pd.DataFrame({"recipe": ["B"], "z": [table["z"].mean()], "x": [table["x"].mean()]})
    assert got["estimate"][1] == pytest.approx(by_hand(fit, design, at), rel=1e-12)


def test_covariates_with_two_values_are_averaged_as_factors_are(table):
    fit, design, inference = model("angle ~ recipe * two", table)
    means = emmeans(design, inference, "recipe")
    at = pd.DataFrame({"recipe": ["A", "A"], "two": [0.0, 3.0]})
    assert means.frame["estimate"][0] == pytest.approx(by_hand(fit, design, at), rel=1e-12)
    assert "Results are averaged over the levels of: two" in means.notes
    assert emmeans(design, inference, "two").keys["two"].tolist() == [0.0, 3.0]
    weighted = emmeans(design, inference, "recipe", weights="proportional")
    share = table["two"].mean() / 3.0
    parts = [by_hand(fit, design, at.iloc[[i]]) for i in (0, 1)]
    assert weighted.frame["estimate"][0] == pytest.approx((1 - share) * parts[0] + share * parts[1], rel=1e-12)


def test_covariates_with_two_values_elsewhere_are_averaged_as_other_covariates_are(table):
    """With one of the values observed, each recipe once was nested in it: there were six means for three."""
    fit, design, inference = model("angle ~ recipe * two", table)
    means = emmeans(design, inference, "recipe", at={"two": [0.0, 2.0]}).frame
    at = pd.DataFrame({"recipe": ["A", "A"], "two": [0.0, 2.0]})
    assert len(means) == 3
    assert means["estimate"][0] == pytest.approx(by_hand(fit, design, at), rel=1e-12)


def test_weights_of_cells_are_frequencies_in_the_data(table):
    fit, design, inference = model("angle ~ recipe * temperature", table)
    got = emmeans(design, inference, "recipe", weights="cells").frame["estimate"]
    for level, estimate in zip("ABC", got):
        rows = table[table["recipe"] == level]
        assert estimate == pytest.approx(by_hand(fit, design, rows), rel=1e-12)


def test_boolean_and_numeric_factors(table):
    _, design, inference = model("angle ~ flag + C(two):x", table)
    means = emmeans(design, inference, "flag * C(two)", at={"x": 1.0})
    assert means.keys["flag"].tolist() == [False, True, False, True]
    assert means.contrasts("pairwise").keys["contrast"][0] == "False two0 - True two0"
    one = emmeans(design, inference, "two", at={"flag": True, "x": [2]})
    assert one.keys["two"].tolist() == [0.0, 3.0]


def test_specs_can_be_written_many_ways(table):
    _, design, inference = model("angle ~ recipe * temperature", table)
    first = emmeans(design, inference, ["recipe"], by="temperature").frame
    for specs in ("recipe | temperature", "~ recipe | temperature"):
        pd.testing.assert_frame_equal(emmeans(design, inference, specs).frame, first)
    together = [emmeans(design, inference, specs).frame for specs in ("recipe * temperature", "recipe:temperature")]
    pd.testing.assert_frame_equal(*together)
    overall = emmeans(design, inference, "1").frame
    assert overall["estimate"][0] == pytest.approx(together[0]["estimate"].mean())


def test_families_follow_by(table):
    _, design, inference = model("angle ~ recipe * temperature", table)
    within = emmeans(design, inference, "recipe", by="temperature").contrasts("pairwise", adjust="bonferroni")
    assert len(within) == 18
    assert np.allclose(within.frame["p"], np.minimum(3 * within.summary(adjust="none").frame["p"], 1))
    same = emmeans(design, inference, "recipe * temperature").contrasts("pairwise", by="temperature", adjust="none")
    np.testing.assert_allclose(same.frame["p"], within.summary(adjust="none").frame["p"])
    across = emmeans(design, inference, "recipe", by="temperature").contrasts("pairwise", by=None)
    assert len(across) == 18 * 17 / 2
    # over another family than that of the pairs, Tukey gives way
    assert any("changed to" in note for note in across.summary(by="contrast").notes) or across.by == ()


def test_nested_factors_bring_those_around_them(table):
    _, design, inference = model("angle ~ half / temperature", table)
    means = emmeans(design, inference, "temperature")
    assert means.keys.columns.tolist() == ["temperature", "half"]
    assert means.keys["half"].tolist() == ["high"] * 3 + ["low"] * 3
    assert not means.frame["estimate"].isna().any()
    assert "temperature is nested in half" in means.notes
    assert len(means.contrasts()) == 15
    within = emmeans(design, inference, "temperature", by="half").contrasts()
    assert within.by == ("half",)
    assert len(within) == 6
    halves = emmeans(design, inference, "half").frame["estimate"]
    np.testing.assert_allclose(halves, means.frame["estimate"].to_numpy().reshape(2, 3).mean(1), rtol=1e-10)
    tests = joint_tests(design, inference)
    assert tests["term"].tolist() == ["half", "half:temperature"]
    assert tests["num_df"].tolist() == [1, 4]


def test_offsets_are_at_their_mean_and_leave_differences_alone(table):
    for options, formula in (({}, "angle ~ recipe + offset(known)"), ({"offset": "known"}, "angle ~ recipe")):
        fit, design, inference = model(formula, table, **options)
        means = emmeans(design, inference, "recipe")
        assert means.frame["estimate"][0] == pytest.approx(fit.beta[0] + table["known"].mean())
        pairs = means.contrasts("trt.vs.ctrl").frame
        np.testing.assert_allclose(pairs["estimate"], fit.beta[1:])
        sums = means.contrasts({"sum": [1, 1, 0], "difference": [1, -1, 0]}).frame["estimate"]
        assert sums[0] == pytest.approx(means.frame["estimate"][:2].sum())


def test_warns_of_interactions_as_emmeans_does(table):
    note = "NOTE: Results may be misleading due to involvement in interactions"
    _, design, inference = model("angle ~ recipe * x + temperature", table)
    assert note in emmeans(design, inference, "recipe").notes
    assert note not in emmeans(design, inference, "temperature").notes
    assert note not in emmeans(design, inference, "recipe", by="x").notes
    assert note not in emtrends(design, inference, "recipe", "x").notes


def test_trends_of_curves_and_of_expressions(table):
    fit, design, inference = model("angle ~ recipe * (x + I(x**2)) + np.log(z)", table)
    b = dict(zip(design.x_names, fit.beta))
    slope = emtrends(design, inference, "recipe", "x", at={"x": [1.0, 2.0]}, by="x").frame["estimate"]
    assert slope[0] == pytest.approx(b["x"] + 2 * b["I(x ** 2)"], rel=1e-7)
    assert emtrends(design, inference, "1", "np.log(z)").frame["estimate"][0] == pytest.approx(b["np.log(z)"], rel=1e-7)
    z = emtrends(design, inference, "1", "z").frame["estimate"][0]
    assert z == pytest.approx(b["np.log(z)"] / table["z"].mean(), rel=1e-6)
    with pytest.raises(ValueError, match="'recipe' is a factor: it has no slope"):
        emtrends(design, inference, "1", "recipe")
    with pytest.raises(ValueError, match="no covariate 'q'; it has x, z"):
        emtrends(design, inference, "1", "q")


def test_what_cannot_be_estimated_says_why(table):
    holes = table[~((table["recipe"] == "C") & (table["half"] == "high"))]
    _, design, inference = model("angle ~ recipe * half", holes)
    cells = emmeans(design, inference, "recipe * half")
    frame = cells.frame
    missing = (frame["recipe"] == "C") & (frame["half"] == "high")
    assert frame["estimate"].isna().tolist() == missing.tolist()
    (reason,) = (note for note in cells.notes if note.startswith("Not estimable"))
    assert "dropped as redundant: C, high" in reason
    assert any(name in reason for name in design.x_names)
    weighted = emmeans(design, inference, "recipe", weights="cells")
    assert not weighted.frame["estimate"].isna().any()
    flat = emmeans(design, inference, "recipe * half", weights="cells", at={"half": "high"})
    assert flat.frame["estimate"].isna().tolist() == [False, False, True]
    assert np.isnan(cells.contrasts("pairwise").frame["p"]).sum() == 5
    tests = joint_tests(design, inference)
    assert "(confounded)" in tests["term"].tolist()
    assert any("not all is estimable" in note for note in tests.attrs["notes"])


def test_interaction_contrasts_are_products(table):
    _, design, inference = model("angle ~ recipe * half", table)
    means = emmeans(design, inference, "recipe * half")
    products = means.contrasts(["pairwise", "consec"], interaction=True)
    assert products.keys.columns.tolist() == ["recipe_pairwise", "half_consec"]
    e = means.frame["estimate"].to_numpy()
    assert products.frame["estimate"][0] == pytest.approx((e[3] - e[4]) - (e[0] - e[1]))
    assert joint_tests(design, inference)["F"].iloc[-1] == pytest.approx(products.joint().F)


def test_joint_test_within_by(table):
    _, design, inference = model("angle ~ recipe * half", table)
    tests = emmeans(design, inference, "recipe", by="half").contrasts().joint()
    assert tests.columns.tolist() == ["half", "num_df", "den_df", "F", "p"]
    listed = joint_tests(design, inference, by="half")
    np.testing.assert_allclose(listed["F"], tests["F"])
    both = emmeans(design, inference, "recipe").contrasts()
    assert pytest.approx(both.joint().F) == both.joint(den_df="joint").F


def test_unknown_things_are_named(table):
    _, design, inference = model("angle ~ recipe * x", table)
    with pytest.raises(ValueError, match="no variable 'rezept' to take means at; it has recipe, x"):
        emmeans(design, inference, "rezept")
    with pytest.raises(ValueError, match="at: the fixed part has no variable 'y'; it has recipe, x"):
        emmeans(design, inference, "recipe", at={"y": 1})
    with pytest.raises(DataError, match="at: 'recipe' has no level 'D'; it has A, B, C"):
        emmeans(design, inference, "recipe", at={"recipe": "D"})
    with pytest.raises(ValueError, match="unknown weights 'none'; there are equal, proportional"):
        emmeans(design, inference, "recipe", weights="none")
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        emmeans(design, inference, "recipe", test=TestOptions(level=95))
    with pytest.raises(ValueError, match="delta must be at least 0"):
        emmeans(design, inference, "recipe").contrasts(delta=-1)
    with pytest.raises(ValueError, match="unknown side 'up'"):
        emmeans(design, inference, "recipe").contrasts(side="up")
    with pytest.raises(ValueError, match="max_degree must be a whole number from 1 on, not 0"):
        emmeans(design, inference, "recipe").contrasts("poly", max_degree=0)
    for values, said in (([], "no values"), (np.nan, "not finite"), ([1, np.inf], "not finite"), ([None], "missing")):
        with pytest.raises(ValueError, match=rf"at\['x'\] has .*{said}"):
            emmeans(design, inference, "recipe", at={"x": values})
    with pytest.raises(ValueError, match="there is no column 'half'"):
        emmeans(design, inference, "recipe").contrasts(by="half")


def test_tables_are_frames_and_print(table):
    _, design, inference = model("angle ~ recipe * half", table)
    means = emmeans(design, inference, "recipe", by="half")
    assert means.frame.columns.tolist() == [
        "recipe", "half", "estimate", "se", "df", "lower", "upper", "statistic", "p",
    ]  # fmt: skip
    pairs = means.contrasts()
    assert pairs.frame.columns.tolist()[:2] == ["contrast", "half"]
    text = str(pairs)
    assert "half = high:" in text
    assert "P value adjustment: tukey method for comparing a family of 3 estimates" in text
    assert pairs.to_markdown().splitlines()[0].startswith("| contrast | half | estimate | se |")
    assert pairs.to_latex().startswith(r"\begin{tabular}{ll")
    assert "<td style" in pairs.to_html()
    assert pairs._repr_html_() == pairs.to_html()
    assert pairs.frame.attrs["notes"] == pairs.notes


def test_a_frame_that_a_user_changes_does_not_change_the_table(table):
    _, design, inference = model("angle ~ recipe", table)
    means = emmeans(design, inference, "recipe")
    mine = means.frame
    mine.loc[0, "estimate"] = 0.0
    assert means.frame["estimate"][0] != 0.0


def test_transformed_response_is_said(table):
    _, design, inference = model("np.log(angle) ~ recipe", table)
    assert "Results are given on the scale of np.log(angle)" in emmeans(design, inference, "recipe").notes


def test_dunnett_says_that_it_is_an_approximation(table):
    _, design, inference = model("angle ~ recipe", table)
    notes = emmeans(design, inference, "recipe").contrasts("trt.vs.ctrl").notes
    assert any("mvt is exact" in note for note in notes)


def test_contrasts_of_contrasts_are_interaction_contrasts(table):
    _, design, inference = model("angle ~ recipe * half", table)
    means = emmeans(design, inference, "half | recipe")
    differences = means.contrasts("pairwise").contrasts("pairwise", by=None)
    products = emmeans(design, inference, "half * recipe").contrasts("pairwise", interaction=True)
    np.testing.assert_allclose(differences.frame["estimate"], products.frame["estimate"])
    assert differences.keys["contrast"][0] == "(high - low A) - (high - low B)"
    again = means.contrasts("pairwise").contrasts("pairwise", by="contrast")
    assert again.keys.columns.tolist() == ["contrast1", "contrast"]


def test_contrasts_by_the_names_of_means(table):
    _, design, inference = model("angle ~ recipe * temperature", table)
    means = emmeans(design, inference, "recipe")
    by_name = means.contrasts({"A vs. C": {"A": 1, "C": -1}}).frame["estimate"]
    np.testing.assert_allclose(by_name, means.contrasts({"A vs. C": [1, 0, -1]}).frame["estimate"])
    cells = emmeans(design, inference, "recipe * temperature")
    label, levels = ({"d": {("A", "175"): 1, ("B", "175"): -1}}, {"d": {"A temperature175": 1, "B temperature175": -1}})
    np.testing.assert_allclose(cells.contrasts(label).frame["estimate"], cells.contrasts(levels).frame["estimate"])
    with pytest.raises(ValueError, match="contrast 'd': there is no mean 'Z'"):
        means.contrasts({"d": {"Z": 1}})


def test_a_reference_level_that_is_a_number(table):
    _, design, inference = model("angle ~ C(number)", table.assign(number=table["temperature"].astype(int)))
    means = emmeans(design, inference, "number")
    for ref in (195, "195", 195.0, 2, "number195"):
        assert means.contrasts("trt.vs.ctrl", ref=ref).keys["contrast"][0] == "number175 - number195"
    several = means.contrasts("trt.vs.ctrl", ref=[175, 185])
    assert several.keys["contrast"][0] == "number195 - avg(number175,number185)"


@pytest.mark.parametrize("name", ["contrast", "estimate", "se", "df", "lower", "upper", "statistic", "p", "F", "term"])
def test_factors_with_the_names_of_columns(table, name):
    _, plain, inference = model("angle ~ recipe * half", table)
    _, named, other = model(f"angle ~ {name} * half", table.rename(columns={"recipe": name}))
    want, got = emmeans(plain, inference, "recipe").frame, emmeans(named, other, name).frame
    assert got[name].tolist() == ["A", "B", "C"]
    np.testing.assert_allclose(got.iloc[:, 1:].to_numpy(float), want.iloc[:, 1:].to_numpy(float))
    want = emmeans(plain, inference, "half", by="recipe").contrasts().frame
    pairs = emmeans(named, other, "half", by=name).contrasts()
    assert pairs.frame[name].tolist() == ["A", "B", "C"]
    np.testing.assert_allclose(pairs.frame.iloc[:, 2:].to_numpy(float), want.iloc[:, 2:].to_numpy(float))
    assert len(str(pairs).split(f"{name} = ")) == 4
    by = joint_tests(named, other, by=name)
    assert by.iloc[:, 0].tolist() == ["A", "B", "C"]
    assert emmeans(named, other, "half", by=name).contrasts().joint().iloc[:, 0].tolist() == ["A", "B", "C"]


def test_labelled_coefficients_are_matched_by_the_names_of_means(table):
    """Once by position: a Series in another order was another contrast."""
    means = emmeans(*model("angle ~ recipe", table)[1:], "recipe")
    want = means.contrasts({"d": [1, 0, -1]}).frame["estimate"]
    weights = pd.Series({"C": -1, "A": 1, "B": 0}, name="d")
    for given in (
        {"d": weights},
        {"d": weights[["A", "C"]]},
        weights.to_frame().T,
        weights,
        {"d": pd.Series([1, 0, -1])},
    ):
        np.testing.assert_allclose(means.contrasts(given).frame["estimate"], want)
    for bad, message in (
        ({"d": weights.rename({"A": "z"})}, "no mean 'z'"),
        ({"d": [1, np.nan, -1]}, "must be numbers"),
        ({"d": ["a", 1, 2]}, "must be numbers"),
        ({"d": {"A": "x"}}, "must be a number"),
    ):
        with pytest.raises(ValueError, match=message):
            means.contrasts(bad)


def test_a_factor_called_1_is_no_intercept(table):
    _, plain, inference = model("angle ~ recipe * half", table)
    _, named, other = model("angle ~ `1` * half", table.rename(columns={"recipe": "1"}))
    want = emmeans(plain, inference, ["recipe", "half"]).frame
    for specs in (["1", "half"], "`1` * half"):
        got = emmeans(named, other, specs).frame
        np.testing.assert_allclose(got["estimate"], want["estimate"])


def test_tukey_has_the_size_of_each_family(table):
    from scipy.stats import studentized_range

    inner = table["half"].str[0] + table["temperature"].where(table["half"] == "high", "1").astype(str)
    _, design, inference = model("angle ~ half / inner", table.assign(inner=inner))
    rows = emmeans(design, inference, "inner | half").contrasts().frame
    sizes = {"high": inner[table["half"] == "high"].nunique(), "low": 1}
    assert (rows["half"] == "high").all()
    right = studentized_range.sf(np.sqrt(2) * rows["statistic"].abs(), sizes["high"], rows["df"])
    np.testing.assert_allclose(rows["p"], right, atol=1e-7)


@pytest.mark.parametrize("expression", ["C(z > 1)", "C(np.where(z > 1, 'hi', 'lo'))", "C(temperature == '175')"])
def test_a_categorical_expression_is_a_factor(table, expression):
    own = table["z"] > 1 if "z" in expression else table["temperature"] == "175"
    column = table.assign(late=own.astype(int).astype(str))
    fits = [model(f"angle ~ {expression} * recipe + x", table), model("angle ~ C(late) * recipe + x", column)]
    (_, inline, one), (_, explicit, two) = fits
    np.testing.assert_allclose(
        emmeans(inline, one, "recipe").frame["estimate"], emmeans(explicit, two, "recipe").frame["estimate"]
    )
    got = sorted(emmeans(inline, one, expression).frame["estimate"])
    np.testing.assert_allclose(got, sorted(emmeans(explicit, two, "late").frame["estimate"]))
    assert sorted(joint_tests(inline, one)["F"]) == pytest.approx(sorted(joint_tests(explicit, two)["F"]))


def test_an_offset_moves_with_its_variable(table):
    data = table.assign(size=np.exp(table["known"]))
    fit, design, inference = model("angle ~ recipe + offset(np.log(size))", data)
    at = emmeans(design, inference, "recipe", at={"size": 100.0}).frame["estimate"]
    np.testing.assert_allclose(at, np.r_[0.0, fit.beta[1:]] + fit.beta[0] + np.log(100.0))
    usual = emmeans(design, inference, "recipe")
    assert usual.frame["estimate"][0] == pytest.approx(fit.beta[0] + data["known"].mean())
    assert any(note.startswith("Offset: ") for note in usual.notes)


def test_levels_given_as_text_are_taken_with_a_warning():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"a": np.tile([1, 2, 3], 20), "g": np.repeat(np.arange(10), 6)})
    data["y"] = data["a"] + rng.normal(size=10)[data["g"]] + rng.normal(size=60)
    data["b"] = pd.Categorical(data["a"])
    for formula, name in (("y ~ C(a) + (1 | g)", "a"), ("y ~ b + (1 | g)", "b")):
        fit = henderson.lmer(formula, data)
        with pytest.warns(henderson.ValueWarning, match="another type; taken by their text: '1' as 1, '3' as 3"):
            by_text = fit.emmeans(name, at={name: ["1", "3"]})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            by_number = fit.emmeans(name, at={name: [1, 3]})
        assert np.array_equal(by_text.frame["estimate"], by_number.frame["estimate"])


def test_options_of_contrasts_are_in_the_signature():
    fit = henderson.lmer("angle ~ recipe + temp + (1 | recipe:replicate)", datasets.load("cake"))
    means = fit.emmeans("recipe")
    assert list(means.contrasts("trt.vs.ctrl", ref="B").frame["contrast"]) == ["A - B", "C - B"]
    assert len(means.contrasts("poly", max_degree=1).frame) == 1
    assert list(means.pairs(reverse=True).frame["contrast"]) == list(means.contrasts("revpairwise").frame["contrast"])
    with pytest.raises(ValueError, match="'pairwise' do not take 'ref'"):
        means.contrasts("pairwise", ref="B")
    with pytest.raises(TypeError, match="refs"):
        means.contrasts("trt.vs.ctrl", refs="B")


@pytest.mark.parametrize("response", ["Reaction", "log(Reaction)"])
def test_a_trend_has_the_slope_of_the_offset(response):
    """As differences of marginal means have it: emmeans at two days, a day apart."""
    sleep = datasets.load("sleepstudy").assign(f=lambda d: list("ab") * 90)
    step = 3 if response == "Reaction" else 0.01
    fit = lmer(f"{response} ~ Days * f + offset({step} * Days) + (1 | Subject)", sleep)
    plain = lmer(f"{response} ~ Days * f + (1 | Subject)", sleep)
    found, want = (one.emtrends("f", "Days").frame for one in (fit, plain))
    np.testing.assert_allclose(found["estimate"], want["estimate"], rtol=1e-6)
    np.testing.assert_allclose(found["se"], want["se"], rtol=1e-6)
    means = fit.emmeans(["f", "Days"], at={"Days": [4, 5]}).frame["estimate"].to_numpy().reshape(2, 2)
    np.testing.assert_allclose(means[1] - means[0], found["estimate"], rtol=1e-6)
    if response != "Reaction":
        back, other = (one.emtrends("f", "Days", type="response").frame["estimate"] for one in (fit, plain))
        np.testing.assert_allclose(back, other, rtol=1e-5)


def test_levels_and_names_of_odd_kinds():
    """Levels that are tuples, numbers as text in other digits, a factor with a tilde in its name."""
    rng = np.random.default_rng(4)
    k = np.arange(48) % 3
    data = pd.DataFrame({"y": rng.normal(size=48), "g": np.repeat(range(8), 6), "k": k})
    wanted = henderson.lmer("y ~ factor(k) + (1 | g)", data).emmeans("k", at={"k": [2, 0]})
    pairs = np.empty(48, object)
    pairs[:] = [("a", int(i)) for i in k]
    for values, last, first in ((pairs, ("a", 2), ("a", 0)), (k / 2, 1.0, 0.0)):
        fit = henderson.lmer("y ~ factor(`k~1`) + (1 | g)", data.assign(**{"k~1": values}))
        means = fit.emmeans("k~1", at={"k~1": [last, first]})
        np.testing.assert_allclose(means.frame["estimate"], wanted.frame["estimate"])
        for one, other in ((last, first), (f"{last}", f"{first}")):
            difference = means.contrasts({"d": {one: 1, other: -1}}).frame["estimate"]
            np.testing.assert_allclose(difference, -np.diff(wanted.frame["estimate"]))
