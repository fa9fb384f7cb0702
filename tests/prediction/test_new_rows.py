"""New rows, however groups, components and offsets were given: the predictions of the same `lmer` fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson import DataError, lmer, mixedlm

# two searches for one optimum: predictions follow the square root of their tolerance on the deviance
RTOL = 1e-6


@pytest.fixture(scope="module")
def data():
    table = henderson.datasets.load("sleepstudy")
    return table.assign(half=np.where(table.Days > 4, "b", "a"), off=np.arange(180) % 7, z=np.sqrt(table.Days + 1))


def new_rows(data):
    return data.iloc[[0, 12, 100, 99]]


@pytest.mark.parametrize(
    "groups",
    [
        lambda data: "Subject",
        lambda data: data["Subject"],
        lambda data: data[["Subject"]],
        lambda data: data["Subject"].iloc[::-1],
    ],
)
def test_groups_given_in_any_way(data, groups):
    want = lmer("Reaction ~ Days + (Days | Subject)", data).predict(new_rows(data), random=True)
    fit = mixedlm("Reaction ~ Days", data, groups=groups(data), re_formula="~Days").fit()
    np.testing.assert_allclose(fit.predict(new_rows(data), random=True), want, rtol=RTOL)


def test_nameless_groups_are_asked_for(data):
    want = lmer("Reaction ~ Days + (1 | Subject)", data).predict(new_rows(data), random=True)
    fit = mixedlm("Reaction ~ Days", data, groups=data["Subject"].to_numpy()).fit()
    with pytest.raises(DataError, match="groups="):
        fit.predict(new_rows(data), random=True)
    np.testing.assert_allclose(
        fit.predict(new_rows(data), random=True, groups=new_rows(data)["Subject"]), want, rtol=RTOL
    )


def test_a_series_of_another_name_is_not_looked_up_in_a_column_that_differs(data):
    shifted = (data["Subject"].astype(int) // 10).rename("Subject")
    fit = mixedlm("Reaction ~ Days", data, groups=shifted).fit()
    with pytest.raises(DataError, match="groups="):
        fit.predict(new_rows(data), random=True)
    found = fit.predict(new_rows(data), random=True, groups=shifted.loc[new_rows(data).index])
    np.testing.assert_allclose(found, np.asarray(fit.fittedvalues)[[0, 12, 100, 99]], rtol=1e-12)


COMPONENTS = {
    "a factor": {"half": "0 + C(half)"},
    "a covariate": {"slope": "0 + Days"},
    "a factor by a covariate": {"slope": "0 + C(half):Days"},
    "an expression": {"slope": "0 + np.log(Days + 1)"},
    "several columns": {"own": "0 + Days + z"},
    "two": {"half": "0 + C(half)", "slope": "0 + Days"},
    "an intercept and a factor": {"own": "C(half)"},
}


@pytest.mark.parametrize("vc", COMPONENTS.values(), ids=COMPONENTS)
@pytest.mark.parametrize("re_formula", [None, "1"])
def test_components_at_the_data_are_the_fitted_values(data, vc, re_formula):
    fit = mixedlm("Reaction ~ Days", data, groups=data["Subject"], re_formula=re_formula, vc_formula=vc).fit()
    rows = np.random.default_rng(0).permutation(180)[:70]
    found = fit.predict(data.iloc[rows], random=True)
    np.testing.assert_allclose(found, np.asarray(fit.fittedvalues)[rows], rtol=1e-10)


def test_components_are_lmers(data):
    want = lmer("Reaction ~ Days + (1 | Subject/half)", data).predict(new_rows(data), random=True)
    fit = mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="1", vc_formula={"half": "0 + C(half)"}).fit()
    np.testing.assert_allclose(fit.predict(new_rows(data), random=True), want, rtol=RTOL)


def test_effects_that_a_component_does_not_have(data):
    seen = data[(data.Subject != 308) | (data.half == "a")]
    fit = mixedlm("Reaction ~ Days", seen, groups="Subject", re_formula="1", vc_formula={"half": "0 + C(half)"}).fit()
    new = data.iloc[[9]]
    with pytest.raises(DataError, match="component 'half' has no effect for half 'b' in group 308"):
        fit.predict(new, random=True)
    group = fit.random_effects[308].iloc[0]
    found = fit.predict(new, random=True, new_levels="zero")
    np.testing.assert_allclose(found, fit.predict(new) + group, rtol=1e-12)
    with pytest.raises(DataError, match="'Subject' has the level 999 in row 0"):
        fit.predict(new.assign(Subject=999), random=True)
    unknown = fit.predict(new.assign(Subject=999), random=True, new_levels="zero")
    np.testing.assert_allclose(unknown, fit.predict(new))
    assert np.isnan(fit.predict(new.assign(half=None), random=True)).all()


def test_arrays_say_what_they_need(data):
    X = np.column_stack([np.ones(180), data["Days"]])
    fit = henderson.MixedLM(data["Reaction"].to_numpy(), X, data["Subject"].to_numpy(), exog_re=X).fit()
    want = lmer("Reaction ~ Days + (Days | Subject)", data).predict(new_rows(data), random=True)
    at = [0, 12, 100, 99]
    with pytest.raises(ValueError, match=r"give groups=.* and exog_re="):
        fit.predict(X[at], random=True)
    found = fit.predict(X[at], random=True, groups=data["Subject"].to_numpy()[at], exog_re=X[at])
    np.testing.assert_allclose(found, want, rtol=RTOL)
    with pytest.raises(DataError, match="'groups' has the level '308'"):
        fit.predict(X[at], random=True, groups=["308"] * 4, exog_re=X[at])


def test_arrays_with_an_intercept_need_labels_alone(data):
    X = np.column_stack([np.ones(180), data["Days"]])
    fit = henderson.MixedLM(data["Reaction"], X, data["Subject"]).fit()
    with pytest.raises(ValueError, match=r"give groups=, the label of each new row$"):
        fit.predict(X, random=True)
    for _ in range(2):
        found = fit.predict(X[[99, 0]], random=True, groups=data["Subject"].iloc[[99, 0]])
        want = lmer("Reaction ~ Days + (1 | Subject)", data).predict(data.iloc[[99, 0]], random=True)
        np.testing.assert_allclose(found, want, rtol=RTOL)
        fit.remove_data()


def test_columns_of_arrays_are_found_by_name(data):
    X = pd.DataFrame({"const": 1.0, "Days": data["Days"]})
    fit = henderson.MixedLM(data["Reaction"], X, data["Subject"]).fit()
    np.testing.assert_allclose(fit.predict(X[["Days", "const"]]), fit.predict(X))
    with pytest.raises(DataError, match="no column 'Days'"):
        fit.predict(X.rename(columns={"Days": "days"}))


@pytest.mark.parametrize(
    ("formula", "more"),
    [
        ("Reaction ~ Days + offset(off) + (Days | Subject)", {}),
        ("Reaction ~ Days + (Days | Subject)", {"offset": "off"}),
        ("Reaction ~ Days + (Days | Subject)", {"offset": "series"}),
    ],
)
def test_the_offset_is_part_of_the_mean(data, formula, more):
    more = {"offset": data["off"]} if more.get("offset") == "series" else more
    fit = lmer(formula, data, **more)
    # predict(m, newdata, re.form = NA) of lme4 1.1-31
    want = [248.4253069, 262.8942763, 249.4253069]
    np.testing.assert_allclose(fit.predict(data.iloc[[0, 11, 50]]), want, rtol=1e-8)
    np.testing.assert_allclose(np.asarray(fit.predict())[[0, 11, 50]], want, rtol=1e-8)


def test_an_offset_given_as_an_array_is_asked_for(data):
    fit = lmer("Reaction ~ Days + (Days | Subject)", data, offset=data["off"].to_numpy())
    with pytest.raises(DataError, match="offset="):
        fit.predict(data.head(3))
    want = np.asarray(fit.fittedvalues)[:3]
    np.testing.assert_allclose(fit.predict(data.head(3), random=True, offset=data["off"].head(3)), want, rtol=1e-12)


def test_what_has_no_part_in_the_model_is_refused(data):
    fit = lmer("Reaction ~ Days + (Days | Subject)", data)
    for role in ("groups", "offset", "exog_re"):
        with pytest.raises(ValueError, match=f"{role}= goes with a model"):
            fit.predict(data.head(2), random=True, **{role: [1, 2]})
    beside = mixedlm("Reaction ~ Days", data, groups="Subject").fit()
    found = beside.predict(data.head(2), random=True, groups=[309, 309])
    np.testing.assert_allclose(found, beside.predict(data.iloc[[10, 11]], random=True), rtol=1e-12)


def test_labels_of_a_component_of_another_type_are_said_so(data):
    numbered = data.assign(half=np.where(data.half == "a", 1, 2))
    fit = mixedlm("Reaction ~ Days", numbered, groups="Subject", vc_formula={"half": "0 + C(half)"}).fit()
    with pytest.raises(DataError, match=r"'half' has the level '1' \(str\) in row 0"):
        fit.predict(numbered.assign(half="1"), random=True, new_levels="zero")
    with pytest.raises(DataError, match="'half' has the level 3 in row 0"):
        fit.predict(numbered.assign(half=3), random=True)
    np.testing.assert_allclose(
        fit.predict(numbered.assign(half=3), random=True, new_levels="zero"), fit.predict(numbered)
    )


def test_dates_as_levels(data):
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(data.Subject.astype(int), unit="D")
    fit = lmer("Reaction ~ Days + (1 | day)", data.assign(day=day))
    want = np.asarray(fit.fittedvalues)[:1]
    first = day.iloc[0]
    for label in (first, first.to_pydatetime(), first.date(), str(first), first.to_datetime64()):
        np.testing.assert_allclose(fit.predict({"Days": [0], "day": [label]}, random=True), want, rtol=1e-12)
    for label in (first.tz_localize("UTC"), 308):
        with pytest.raises(DataError, match="'day' has the level"):
            fit.predict({"Days": [0], "day": [label]}, random=True, new_levels="zero")


def test_labels_of_another_type_are_said_so(data):
    fit = lmer("Reaction ~ Days + (Days | Subject)", data)
    new = new_rows(data).astype({"Subject": str})
    for new_levels in ("raise", "zero"):
        with pytest.raises(DataError, match=r"the level '308' \(str\) in row 0 and 3 more.* it knows 308, .*\(int\)"):
            fit.predict(new, random=True, new_levels=new_levels)
    as_float = new_rows(data).astype({"Subject": float})
    np.testing.assert_allclose(fit.predict(as_float, random=True), fit.predict(new_rows(data), random=True))


def test_levels_lost_to_missing_values_are_named(data):
    lost = data.astype({"Days": float})
    lost.loc[lost.Subject == 308, "Days"] = np.nan
    with pytest.raises(DataError, match="'Subject' has the level 308 in row 0 and 9 more"):
        lmer("Reaction ~ Days + (Days | Subject)", lost).predict(data, random=True)
    fit = lmer("Reaction ~ Days + (1 | Subject:half)", data[(data.Subject != 309) | (data.half == "b")])
    with pytest.raises(DataError, match="row 0 has a combination that the model does not know: Subject 309, half 'a'"):
        fit.predict(data[data.Subject == 309], random=True)


@pytest.mark.parametrize(
    ("g", "h"),
    [
        (["x:y", "x"] * 12, ["z"] * 8 + ["y:z"] * 8 + ["w"] * 8),
        ([1, "1", 2, "2"] * 6, list("pqr") * 8),
    ],
)
def test_levels_of_interactions_are_known_by_their_parts(g, h):
    y = np.random.default_rng(0).normal(size=24)
    table = {"y": y, "g": np.array(g, dtype=object), "h": np.array(h, dtype=object)}
    fit = lmer("y ~ 1 + (1 | g:h)", table)
    assert fit.ranef["g:h"].index.is_unique
    assert fit.ngrps["g:h"] == len(set(zip(g, h)))
    np.testing.assert_allclose(fit.predict(table, random=True), fit.fittedvalues, rtol=1e-12)
