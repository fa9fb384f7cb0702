"""`predict` with uncertainty: closed forms, the other tables of the same fit, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, stats

import henderson
from henderson import DataError, lmer, mixedlm

# closed forms and the engine's equations are two ways to the same optimum
RTOL = 1e-6


@pytest.fixture(scope="module")
def dyestuff():
    data = henderson.datasets.load("Dyestuff")
    return data, lmer("Yield ~ 1 + (1 | Batch)", data)


@pytest.fixture(scope="module")
def sleepstudy():
    data = henderson.datasets.load("sleepstudy")
    return data, lmer("Reaction ~ Days + (Days | Subject)", data)


def test_a_balanced_layout_with_one_factor(dyestuff):
    """μ̂ + b̂_i is ȳ + k(ȳ_i − ȳ), k = nσ_b²/(nσ_b² + σ²), and its error has variance σ²(k + (1 − k)/J)/n."""
    _, fit = dyestuff
    J, n, s2, sb2 = 6, 5, fit.sigma**2, fit.varcorr["vcov"][0]
    k = n * sb2 / (n * sb2 + s2)
    new = {"Batch": ["A", "F", "new"]}
    found = fit.predict(new, re="all", se=True, new_levels="population", variance_uncertainty=False)
    known, mean = s2 * (k + (1 - k) / J) / n, (n * sb2 + s2) / (n * J)
    np.testing.assert_allclose(found["se"] ** 2, [known, known, mean + sb2], rtol=RTOL)
    assert np.isinf(found["df"]).all()
    again = fit.predict(new, re="all", interval="prediction", new_levels="population", variance_uncertainty=False)
    np.testing.assert_allclose(again["se"] ** 2 - found["se"] ** 2, s2, rtol=RTOL)
    np.testing.assert_allclose(again["upper"] - again["estimate"], 1.959963985 * again["se"], rtol=1e-8)


def test_what_estimated_variances_add_in_a_balanced_layout(dyestuff):
    """b̂ moves with k alone: E(∂/∂k)² = E(ȳ_i − ȳ)² = (1 − 1/J)(nσ_b² + σ²)/n, and k = 1 − MSE/MSA, whose variance is
    (1 − k)² (2/(J(n − 1)) + 2/(J − 1)) by the delta method."""
    _, fit = dyestuff
    J, n, s2, sb2 = 6, 5, fit.sigma**2, fit.varcorr["vcov"][0]
    k = n * sb2 / (n * sb2 + s2)
    added = (1 - 1 / J) * (n * sb2 + s2) / n * (1 - k) ** 2 * (2 / (J * (n - 1)) + 2 / (J - 1))
    se = [
        fit.predict({"Batch": ["C"]}, re="all", se=True, variance_uncertainty=known, ddf=ddf)["se"][0]
        for known, ddf in ((False, None), (True, "satterthwaite"), (True, "KR"))
    ]
    np.testing.assert_allclose([se[1] ** 2 - se[0] ** 2, se[2] ** 2 - se[0] ** 2], [added, 2 * added], rtol=1e-5)


def half_width(m: float, df: float, less: float, least: float, level: float = 0.95) -> float:
    """x with E[2Φ(x/√v) − 1] = level, v = max(m df/χ² − less, least), by quadrature over the density of χ²."""

    def short(x: float) -> float:
        def covered(chi: float) -> float:
            v = max(m * df / chi - less, least)
            return float(stats.chi2.pdf(chi, df) * (2 * stats.norm.cdf(x / np.sqrt(v)) - 1))

        bend = m * df / (less + least)
        return integrate.quad(covered, 0, bend)[0] + integrate.quad(covered, bend, np.inf)[0] - level

    return float(optimize.brentq(short, 1e-3 * np.sqrt(m), 1e3 * np.sqrt(m)))


@pytest.mark.parametrize(("name", "level"), [("Dyestuff", 0.95), ("Dyestuff", 0.8), ("Dyestuff2", 0.95)])
def test_limits_of_a_new_level_in_a_balanced_layout(name, level):
    """A new level's mean has variance σ_b² (1 + 1/J) + σ²/(nJ) = aE(MSA) − bE(MSE), of which MSA has J − 1 degrees of
    freedom: what is estimated as a difference, or as zero, has limits by what it might be."""
    data = henderson.datasets.load(name)
    fit = lmer("Yield ~ 1 + (1 | Batch)", data)
    J, n = 6, 5
    groups = data.groupby("Batch")["Yield"]
    msa, mse = n * groups.mean().var(), groups.var().mean()
    a, b = (1 + 1 / J) / n, 1 / n
    if name == "Dyestuff2":  # MSA < MSE, and the fit takes both for one
        msa = mse = data["Yield"].var()
    variance = a * msa - b * mse if name == "Dyestuff" else mse / (n * J)
    found = fit.predict({"Batch": ["new"]}, re="all", se=True, new_levels="population", level=level).iloc[0]
    np.testing.assert_allclose(found["se"], np.sqrt(variance), rtol=1e-5)
    # V by the expected information: at zero of σ_b² (1 + 1/J) + σ²/(nJ), whose estimate is not held at zero
    spread = 2 * ((a * msa) ** 2 / (J - 1) + (b * mse) ** 2 / (J * (n - 1)))
    m = np.sqrt(spread * (J - 1) / 2)
    want = half_width(m, J - 1, m - variance, mse / (n * J), level)
    np.testing.assert_allclose(
        [found["estimate"] - found["lower"], found["upper"] - found["estimate"]], want, rtol=1e-3
    )
    np.testing.assert_allclose(stats.t.ppf((1 + level) / 2, found["df"]) * found["se"], want, rtol=1e-3)


def test_degrees_of_freedom_in_a_balanced_layout(dyestuff):
    """A new observation's variance is a sum of mean squares: Satterthwaite's own case."""
    data, fit = dyestuff
    J, n = 6, 5
    groups = data.groupby("Batch")["Yield"]
    msa, mse = n * groups.mean().var(), groups.var().mean()
    a, b = (1 + 1 / J) / n, 1 - 1 / n
    want = (a * msa + b * mse) ** 2 / ((a * msa) ** 2 / (J - 1) + (b * mse) ** 2 / (J * (n - 1)))
    found = fit.predict({"Batch": ["new"]}, re="all", se=True, new_levels="population")
    seen = fit.predict({"Batch": ["new"]}, re="all", interval="prediction", new_levels="population")
    np.testing.assert_allclose(seen[["se", "df"]].iloc[0], [np.sqrt(a * msa + b * mse), want], rtol=1e-5)
    # a new observation of a level that exists no more: all is new, with terms left out, too
    alone = fit.predict({"Batch": ["new"]}, interval="prediction")
    both = fit.predict({"Batch": ["new"]}, re="all", interval="prediction", new_levels="population")
    pd.testing.assert_frame_equal(alone, both, rtol=1e-9)
    np.testing.assert_allclose(alone["se"] ** 2, found["se"] ** 2 + fit.sigma**2, rtol=1e-6)


@pytest.mark.parametrize("ddf", ["satterthwaite", "KR", "asymptotic", "residual", "containment"])
def test_a_mean_is_that_of_the_other_tables(sleepstudy, ddf):
    _, fit = sleepstudy
    means = fit.emmeans("Days", at={"Days": [0, 3, 12]}, ddf=ddf).frame
    found = fit.predict({"Days": [0, 3, 12]}, se=True, ddf=ddf)
    for name in ("estimate", "se", "df", "lower", "upper"):
        np.testing.assert_allclose(found[name], means[name], rtol=1e-9, err_msg=name)


def test_a_row_that_has_no_effect_is_the_mean():
    data = henderson.datasets.load("sleepstudy")
    fit = lmer("Reaction ~ Days + (0 + Days | Subject)", data)
    rows = data.iloc[[0, 10]]
    found = fit.predict(rows, re="all", se=True, ddf="KR")
    np.testing.assert_allclose(found["se"], fit.predict(rows, se=True, ddf="KR")["se"], rtol=1e-8)


def test_terms_are_chosen_as_in_the_formula_or_by_their_factor():
    data = henderson.datasets.load("Penicillin")
    fit = lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", data)
    rows = data.head(7)
    some = fit.predict(rows, re=["(1 | sample)"], se=True)
    for other in ("sample", ["sample"], "(1|sample)", "1 | sample", ["( 1 | sample )"]):
        pd.testing.assert_frame_equal(fit.predict(rows, re=other, se=True), some)
    np.testing.assert_allclose(some["estimate"], fit.fixef.iloc[0] + fit.ranef["sample"].loc[rows["sample"]].iloc[:, 0])
    both = fit.predict(rows, re=["(1 | sample)", "plate"], se=True)
    pd.testing.assert_frame_equal(both, fit.predict(rows, re="all", se=True))
    # the factor that is not in need not be there, unless a new observation has its effect
    without = rows.drop(columns="plate")
    pd.testing.assert_frame_equal(fit.predict(without, re="sample", se=True), some)
    wide = fit.predict(without, re="sample", interval="prediction")
    alone = fit.predict(without, re="sample", se=True, variance_uncertainty=False)["se"]
    known = fit.predict(without, re="sample", interval="prediction", variance_uncertainty=False)["se"]
    plate = fit.varcorr.set_index("grp")["vcov"]["plate"]
    np.testing.assert_allclose(known**2 - alone**2, plate + fit.sigma**2, rtol=RTOL)
    assert (wide["se"] > known).all()


def test_terms_with_slopes_and_nested_factors_by_their_text():
    data = henderson.datasets.load("sleepstudy")
    fit = lmer("Reaction ~ Days + (Days || Subject)", data)
    np.testing.assert_allclose(fit.predict(re="(Days || Subject)"), fit.fittedvalues)
    np.testing.assert_allclose(fit.predict(re="Subject"), fit.fittedvalues)
    slopes = fit.predict(re=["(0 + Days | Subject)"]) - fit.predict()
    np.testing.assert_allclose(slopes + fit.predict(re="(1 | Subject)"), fit.fittedvalues)
    nested = lmer("strength ~ 1 + (1 | batch/cask)", henderson.datasets.load("Pastes"))
    np.testing.assert_allclose(nested.predict(re=["(1 | batch/cask)"]), nested.fittedvalues)
    own = nested.predict(re=["(1 | batch:cask)"])
    np.testing.assert_allclose(own, nested.predict(re="(1 | cask:batch)"))
    np.testing.assert_allclose(own + nested.predict(re="batch") - nested.predict(), nested.fittedvalues)


def test_bad_input_is_named_before_any_work(sleepstudy):
    data, fit = sleepstudy
    rows = data.head(2)
    for options, message in (
        ({"re": ["(1 | item)"]}, r"no random term '\(1 \| item\)'; there are '\(Days \| Subject\)'"),
        ({"re": "(item | Subject)"}, "no random term"),
        ({"re": "some"}, "no random term 'some'"),
        ({"re": ["(1 | "]}, "is no random term"),
        ({"re": [1]}, "1 is no random term"),
        ({"re": True}, "re must be 'all', 'none' or a list"),
        ({"re": "none", "random": True}, "does not go with re='none'"),
        ({"se": "yes"}, "se must be True or False"),
        ({"interval": "both"}, "interval must be"),
        ({"level": 95}, "level must be between 0 and 1"),
        ({"new_levels": "skip"}, "new_levels must be"),
        ({"ddf": "satan", "se": True}, "unknown ddf"),
        ({"variance_uncertainty": "yes"}, "variance_uncertainty must be"),
        ({"re": "all", "se": True, "ddf": "containment"}, "counts degrees of freedom of fixed effects only"),
        ({"exog": data}, "give one of them"),
        ({"interval": "prediction", "weights": [1, 2]}, "has weights; this one has none"),
    ):
        with pytest.raises(ValueError, match=message):
            fit.predict(rows, **options)
    with pytest.raises(ValueError, match="the model's: with_inference"):
        fit.with_inference(cov="CR2").predict(rows, re="all", se=True)
    with pytest.raises(DataError, match="no column 'Days'"):
        fit.predict(rows[["Subject"]], se=True)
    with pytest.raises(DataError, match="no column 'Subject'"):
        fit.predict(rows[["Days"]], re="all", se=True)
    for new_levels in ("raise", "population"):
        with pytest.raises(DataError, match=r"the level '308' \(str\) in row 0"):
            fit.predict(rows.astype({"Subject": str}), re="all", se=True, new_levels=new_levels)


def test_tables_are_of_the_make_of_the_new_data(sleepstudy):
    import polars as pl
    import pyarrow as pa

    data, fit = sleepstudy
    rows = data.iloc[[3, 20]].set_index(pd.Index(["a", "b"]))
    want = fit.predict(rows, re="all", se=True)
    assert list(want.columns) == ["estimate", "se", "df", "lower", "upper"]
    assert list(want.index) == ["a", "b"]
    for made, kind in ((pl.from_pandas(rows), pl.DataFrame), (pa.Table.from_pandas(rows), pa.Table)):
        found = fit.predict(made, re="all", se=True)
        assert isinstance(found, kind)
        np.testing.assert_allclose(found.to_pandas(), want)
    frame = pl.from_pandas(rows)
    np.testing.assert_allclose(frame.with_columns(fit=fit.predict(frame, re="all"))["fit"], want["estimate"])
    assert fit.predict({"Days": [1], "Subject": [308]}, se=True).index.tolist() == [0]


def test_without_new_data_it_is_of_the_rows_that_were_fitted(sleepstudy):
    data, _ = sleepstudy
    shuffled = data.sample(frac=1, random_state=0)
    again = lmer("Reaction ~ Days + (Days | Subject)", shuffled)
    found = again.predict(re="all", se=True)
    assert found.index.equals(shuffled.index)
    pd.testing.assert_frame_equal(found, again.predict(shuffled, re="all", se=True))
    np.testing.assert_allclose(found["estimate"], again.fittedvalues)


def test_statsmodels_door_has_the_same(sleepstudy):
    data, fit = sleepstudy
    door = mixedlm("Reaction ~ Days", data, groups=data["Subject"], re_formula="~Days").fit()
    rows = data.iloc[[0, 33]]
    options = {"re": "all", "se": True, "ddf": "satterthwaite"}
    np.testing.assert_allclose(door.predict(rows, **options), fit.predict(rows, **options), rtol=1e-5)
    np.testing.assert_allclose(door.predict(exog=rows), fit.predict(rows), rtol=1e-6)
    own = door.predict(rows, se=True)
    assert np.isinf(own["df"]).all()
    np.testing.assert_allclose(own["se"].iloc[0], door.bse["Intercept"], rtol=1e-8)
    X = np.column_stack([np.ones(180), data["Days"]])
    arrays = henderson.MixedLM(data["Reaction"].to_numpy(), X, data["Subject"].to_numpy(), exog_re=X).fit()
    given = {"groups": data["Subject"].to_numpy()[[0, 33]], "exog_re": X[[0, 33]]}
    found = arrays.predict(X[[0, 33]], **given, **options)
    np.testing.assert_allclose(found, fit.predict(rows, **options), rtol=1e-5)


def test_it_serves_after_the_rows_were_let_go(sleepstudy):
    data, _ = sleepstudy
    fit = lmer("Reaction ~ Days + (Days | Subject)", data)
    rows = data.iloc[[0, 33]].assign(Subject=[308, 999])
    options = {"re": "all", "interval": "prediction", "new_levels": "population"}
    want = fit.predict(rows, **options)
    fit.remove_data()
    pd.testing.assert_frame_equal(fit.predict(rows, **options), want, rtol=1e-9)
    with pytest.raises(DataError, match=r"predict\(\) without new data"):
        fit.predict(re="all", se=True)


def test_components_have_the_errors_of_the_same_bars(sleepstudy):
    data = sleepstudy[0].assign(half=np.where(sleepstudy[0].Days > 4, "b", "a"))
    fit = lmer("Reaction ~ Days + (1 | Subject/half)", data)
    door = mixedlm(
        "Reaction ~ Days", data, groups=data["Subject"], re_formula="1", vc_formula={"half": "0 + C(half)"}
    ).fit()
    rows = data.iloc[[0, 12, 100]]
    for new, options in (
        (rows, {"re": "all", "se": True}),
        (rows, {"re": "all", "interval": "prediction", "ddf": "KR"}),
        (rows.assign(Subject=999), {"re": "all", "se": True, "new_levels": "population"}),
        (rows, {"interval": "prediction"}),
    ):
        options = {"ddf": "satterthwaite", **options}
        np.testing.assert_allclose(door.predict(new, **options), fit.predict(new, **options), rtol=1e-5)
    some = door.predict(rows, re="half", se=True, ddf="satterthwaite")
    np.testing.assert_allclose(some, fit.predict(rows, re="(1 | half:Subject)", se=True), rtol=1e-5)
    # several columns: a row loads on several effects
    several = mixedlm("Reaction ~ Days", data, groups="Subject", vc_formula={"own": "0 + Days + np.sqrt(Days)"}).fit()
    own = several.predict(re="all", se=True)
    np.testing.assert_allclose(own["estimate"], several.fittedvalues)
    pd.testing.assert_frame_equal(several.predict(data, re="all", se=True), own)


@pytest.mark.parametrize("ddf", ["satterthwaite", "KR"])
def test_a_variance_of_zero_leaves_the_residual_alone(ddf):
    """But for what it might have been: Var(τ̂²) = 2/n² (λ²/(J − 1) + σ⁴/J(n − 1)), λ = σ² here, and the mode of a level
    has the derivative n (ȳ_A − ȳ) along τ²/σ² at zero."""
    data = henderson.datasets.load("Dyestuff2")
    fit = lmer("Yield ~ 1 + (1 | Batch)", data)
    assert fit.is_singular
    found = fit.predict({"Batch": ["A", "new"]}, re="all", interval="prediction", new_levels="population", ddf=ddf)
    y = data["Yield"]
    np.testing.assert_allclose(found["estimate"], y.mean(), rtol=1e-9)
    known = 2 / 5 * (1 - 1 / 6) * (1 / 5 + 1 / 24) if ddf == "satterthwaite" else 0.0
    np.testing.assert_allclose(found["se"] ** 2, y.var() * (1 + 1 / len(y) + np.array([known, 0.0])), rtol=1e-6)
    np.testing.assert_allclose(found["df"], len(y) - 1, rtol=1e-6)


def test_a_part_of_a_term_is_its_columns_with_the_effects_of_the_whole(sleepstudy):
    """lme4's re.form = ~(1 | Subject) of (Days | Subject): what is predicted is x'β + b_0, and its error that of it."""
    data, fit = sleepstudy
    part, slopes = fit.predict(re="(1 | Subject)", se=True), fit.predict(re=["(0 + Days | Subject)"])
    b = fit.ranef["Subject"].loc[data["Subject"], "(Intercept)"].to_numpy()
    np.testing.assert_allclose(part["estimate"], fit.predict() + b, rtol=1e-12)
    np.testing.assert_allclose(slopes + b, fit.fittedvalues, rtol=1e-12)
    pd.testing.assert_frame_equal(
        fit.predict(re=["(1 | Subject)", "(0 + Days | Subject)"], se=True), fit.predict(re="all", se=True)
    )
    at_zero = data.assign(Days=0)
    pd.testing.assert_frame_equal(
        fit.predict(at_zero, re="(1 | Subject)", se=True), fit.predict(at_zero, re="all", se=True), rtol=1e-9
    )
    assert fit.predict(re="(1 | Subject)", se=True).attrs["notes"][0] == "Random effects: (1 | Subject)"
    door = mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit()
    np.testing.assert_allclose(door.predict(re="(1 | Subject)"), part["estimate"], rtol=1e-6)
    with pytest.raises(ValueError, match=r"is a part of .* the effects of a level come together"):
        fit.predict(re="(1 | Subject)", interval="prediction")
    factor = lmer("score ~ Machine + (Machine | Worker)", henderson.datasets.load("Machines"))
    worker = factor.ranef["Worker"]
    own = factor.predict({"Machine": ["B"], "Worker": [3]}, re="(1 | Worker)") - factor.predict({"Machine": ["B"]})
    np.testing.assert_allclose(own, worker.loc[3, "(Intercept)"], rtol=1e-9)


def test_rows_that_lack_a_variable_have_no_prediction(sleepstudy):
    _, fit = sleepstudy
    new = pd.DataFrame({"Days": [1, np.nan, 2], "Subject": [308, 308, 309]})
    found = fit.predict(new, re="all", se=True)
    assert found.isna().all(axis=1).tolist() == [False, True, False]
    pd.testing.assert_frame_equal(found.iloc[[0, 2]], fit.predict(new.iloc[[0, 2]], re="all", se=True), rtol=1e-12)


def test_weights_of_new_rows_are_of_their_own_error(sleepstudy):
    data = sleepstudy[0].assign(w=1 + sleepstudy[0].Days % 3)
    fit = lmer("Reaction ~ Days + (Days | Subject)", data, weights="w")
    rows = data.iloc[[0, 12]]
    plain = fit.predict(rows.drop(columns="w"), re="all", se=True, variance_uncertainty=False)
    options = {"re": "all", "interval": "prediction", "variance_uncertainty": False}
    for found, w in (
        (fit.predict(rows, **options), rows["w"]),
        (fit.predict(rows.drop(columns="w"), weights=[2, 5], **options), [2, 5]),
        (fit.predict(**options).iloc[[0, 12]], rows["w"]),
    ):
        np.testing.assert_allclose(found["se"] ** 2 - plain["se"] ** 2, fit.sigma**2 / np.asarray(w), rtol=1e-8)
    with pytest.raises(DataError, match="no column 'w'"):
        fit.predict(rows.drop(columns="w"), **options)


def test_a_covariate_far_from_zero_keeps_the_digits(sleepstudy):
    data, fit = sleepstudy
    later = lmer("Reaction ~ year + (year | Subject)", data.assign(year=2000 + data.Days))
    found = later.predict(data.assign(year=2000 + data.Days).head(5), re="all", se=True)
    np.testing.assert_allclose(found, fit.predict(data.head(5), re="all", se=True), rtol=1e-5)


def test_without_cross_products_errors_are_refused_and_estimates_are_not(sleepstudy, tmp_path):
    data, _ = sleepstudy
    fit = lmer("Reaction ~ Days + (1 | Subject)", data)
    fit.save(tmp_path / "fit.henderson", remove_data=True, crossproducts=False)
    light = henderson.load(tmp_path / "fit.henderson")
    rows = data.head(3)
    np.testing.assert_allclose(light.predict(rows, re="all"), fit.predict(rows, re="all"))
    np.testing.assert_allclose(light.predict(rows, se=True), fit.predict(rows, se=True), rtol=1e-9)
    with pytest.raises(DataError, match=r"standard errors of predictions .* crossproducts=True"):
        light.predict(rows, re="all", se=True)


def test_a_table_says_what_is_in_it(sleepstudy):
    data, fit = sleepstudy
    rows = data.head(2)
    notes = fit.predict(rows, re="all", interval="prediction", ddf="KR").attrs["notes"]
    assert notes == (
        "Random effects: (Days | Subject)",
        "Limits of new observations at level 0.95, by degrees of freedom: kenward-roger",
    )
    plain = fit.predict(rows, se=True, level=0.9, variance_uncertainty=False).attrs["notes"]
    assert plain[0] == "Random effects: none"
    assert plain[1].endswith("at level 0.9, by the normal distribution, the variances taken as known")


def test_a_model_without_fixed_effects(dyestuff):
    data, _ = dyestuff
    fit = lmer("Yield ~ 0 + (1 | Batch)", data.assign(Yield=data["Yield"] - 1500))
    s2, sb2 = fit.sigma**2, fit.varcorr["vcov"][0]
    new = {"Batch": ["A", "new"]}
    found = fit.predict(new, re="all", se=True, new_levels="population", variance_uncertainty=False)
    np.testing.assert_allclose(found["se"] ** 2, [1 / (1 / sb2 + 5 / s2), sb2], rtol=RTOL)
    both = fit.predict(new, re="all", se=True, new_levels="population")
    assert both["se"][0] > found["se"][0]
    np.testing.assert_allclose(both["se"][1], found["se"][1], rtol=RTOL)  # nothing is estimated in 0 + b


def test_limits_of_many_new_rows_are_those_of_few():
    """Many rows' limits start from a guess through the solutions of some: the equation that is solved is the same."""
    fit = lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    new = pd.DataFrame({"Days": np.linspace(-5.0, 30.0, 5000), "Subject": 999})
    options = {"re": "all", "se": True, "new_levels": "population"}
    many, few = fit.predict(new, **options).iloc[::500], fit.predict(new.iloc[::500], **options)
    assert np.allclose(many.to_numpy(), few.to_numpy(), rtol=1e-6)
