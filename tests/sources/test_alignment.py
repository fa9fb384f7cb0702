"""What has an index is matched by it, or refused: never by position where the labels disagree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars
import pytest

from henderson import DataError, MixedLM, lmer, mixedlm

N = 60
# rows in another order are summed in another order
RTOL = 1e-9


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(6), 10)
    x, w = rng.normal(size=N), rng.uniform(0.5, 3, N)
    return pd.DataFrame({"y": x + rng.normal(size=6)[g] + rng.normal(size=N), "x": x, "w": w, "g": g})


def shuffled(data, seed=0):
    return data.sample(frac=1, random_state=seed)


GIVEN = {
    "weights": (lambda t, s: lmer("y ~ x + (1 | g)", t, weights=s.w), {"weights": "w"}),
    "offset": (lambda t, s: lmer("y ~ x + (1 | g)", t, offset=s.w), {"offset": "w"}),
    "weights, groups": (lambda t, s: mixedlm("y ~ x", t, groups="g", weights=s.w).fit(), {"weights": "w"}),
    "groups": (lambda t, s: mixedlm("y ~ x", t, groups=s.g).fit(), {}),
    "a frame of groups": (lambda t, s: mixedlm("y ~ x", t, groups=s[["g"]]).fit(), {}),
    "a caller's vector": (lambda t, s: lmer("y ~ v + (1 | g)", t, env={"v": s.x}), {}),
    "a caller's group": (lambda t, s: lmer("y ~ x + (1 | v)", t, env={"v": s.g}), {}),
    "a caller's slope": (lambda t, s: lmer("y ~ x + (1 | g)", t[["y", "g"]], env={"x": s.x}), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", GIVEN)
def test_a_series_in_another_order_is_matched_by_label(name, data):
    call, more = GIVEN[name]
    want = lmer("y ~ x + (1 | g)", data, **more)
    for table, beside in ((shuffled(data), data), (data, shuffled(data)), (data.iloc[5:40], shuffled(data))):
        right = want if len(table) == N else lmer("y ~ x + (1 | g)", table, **more)
        np.testing.assert_allclose(call(table, beside).llf, right.llf, rtol=RTOL)


@pytest.mark.parametrize("name", GIVEN)
def test_labels_that_are_not_there_are_refused(name, data):
    call, _ = GIVEN[name]
    with pytest.raises(DataError, match=r"index of .* is not that of the data"):
        call(data.set_axis([f"r{k}" for k in range(N)]), data)


@pytest.mark.parametrize("name", GIVEN)
def test_labels_that_repeat(name, data):
    call, more = GIVEN[name]
    twice = data.set_axis(np.arange(N) // 2)
    want = lmer("y ~ x + (1 | g)", data, **more)
    np.testing.assert_allclose(call(twice, twice).llf, want.llf, rtol=RTOL)
    with pytest.raises(DataError, match="labels that repeat"):
        call(twice, shuffled(twice))


def test_arrays_are_in_the_tables_order(data):
    table = shuffled(data)
    want = lmer("y ~ x + (1 | g)", table, weights="w")
    for weights in (table.w.to_numpy(), table.w.tolist(), polars.Series(table.w.to_numpy()), table.w.array):
        np.testing.assert_allclose(lmer("y ~ x + (1 | g)", table, weights=weights).deviance, want.deviance, rtol=RTOL)


def test_tables_without_an_index_count_their_rows(data):
    want = lmer("y ~ x + (1 | g)", data, weights="w").deviance
    for table in (polars.from_pandas(data), {name: data[name].to_numpy() for name in data}):
        for weights in (data.w, shuffled(data).w, data.w.set_axis([f"r{k}" for k in range(N)])):
            np.testing.assert_allclose(lmer("y ~ x + (1 | g)", table, weights=weights).deviance, want, rtol=RTOL)


def test_series_of_a_dict_are_matched_by_label(data):
    want = lmer("y ~ x + (1 | g)", data).deviance
    mixed = {"y": data.y, "x": shuffled(data).x, "g": shuffled(data, 1).g}
    np.testing.assert_allclose(lmer("y ~ x + (1 | g)", mixed).deviance, want, rtol=RTOL)
    with pytest.raises(DataError, match="index of 'x' is not that of the data"):
        lmer("y ~ x + (1 | g)", {**mixed, "x": data.x.set_axis([f"r{k}" for k in range(N)])})


def test_subsets_are_matched_by_label(data):
    want = lmer("y ~ x + (1 | g)", data[data.x > 0]).deviance
    mask = shuffled(data).x > 0
    for table in (data, shuffled(data, 1), polars.from_pandas(data), dict(data.items())):
        np.testing.assert_allclose(lmer("y ~ x + (1 | g)", table, subset=mask).deviance, want, rtol=RTOL)
    with pytest.raises(DataError, match="index of 'subset' is not that of the data"):
        lmer("y ~ x + (1 | g)", data, subset=mask.iloc[:50])
    with pytest.raises(DataError, match="subset holds 0 and 1 for each row"):
        lmer("y ~ x + (1 | g)", data, subset=(data.x > 0).astype(int))
    gaps = mask.astype("boolean")
    gaps[mask.index[:3]] = pd.NA
    assert lmer("y ~ x + (1 | g)", data, subset=gaps).nobs == (mask.iloc[3:]).sum()


def test_queries_of_columns_with_nulls(data):
    counts = [None, *range(1, N)]
    want = lmer("y ~ x + (1 | g)", data.iloc[31:]).deviance
    for table in (
        data.assign(k=pd.array(counts, dtype="Int64")),
        polars.from_pandas(data).with_columns(k=polars.Series(counts)),
    ):
        np.testing.assert_allclose(lmer("y ~ x + (1 | g)", table, subset="k > 30").deviance, want, rtol=RTOL)


@pytest.mark.parametrize("role", ["exog", "groups", "exog_re"])
@pytest.mark.parametrize("other", ["reversed", "other labels"])
def test_arrays_with_indices_must_have_one(data, role, other):
    given = {"endog": data.y, "exog": data[["x"]], "groups": data.g, "exog_re": data[["x"]]}
    given[role] = given[role].iloc[::-1] if other == "reversed" else given[role].set_axis([f"r{k}" for k in range(N)])
    with pytest.raises(DataError, match=f"index of {role} is not that of endog"):
        MixedLM(**given)
    given["endog"] = data.y.to_numpy()
    if role == "groups":
        with pytest.raises(DataError, match="index of groups is not that of exog"):
            MixedLM(**given)


def test_new_rows_beside_which_a_series_is_given(data):
    fit = mixedlm("y ~ x", data, groups=data.g.to_numpy()).fit()
    want = np.asarray(fit.fittedvalues)[[50, 3, 20]]
    new = data.loc[[50, 3, 20]]
    np.testing.assert_allclose(fit.predict(new, random=True, groups=data.g), want, rtol=RTOL)
    np.testing.assert_allclose(fit.predict(new, random=True, groups=new.g.to_numpy()), want, rtol=RTOL)
    with pytest.raises(DataError, match="groups has 2 entries, the new data 3 rows"):
        fit.predict(new, random=True, groups=[1, 2])


def test_starting_values_by_name(data):
    model = mixedlm("y ~ x", data, groups="g", re_formula="~x")
    fit = model.fit()
    packed = fit.params
    backwards = packed.iloc[::-1]
    kept = model.fit(start_params=packed, do_cg=False)
    np.testing.assert_allclose(model.fit(start_params=backwards, do_cg=False).llf, kept.llf, rtol=RTOL)
    with pytest.raises(ValueError, match="invalid start_params: its index"):
        model.fit(start_params=packed.rename({"x": "z"}))


@pytest.mark.parametrize("start", ["a", ["a"], [None], {"a": 1}])
def test_starting_values_that_are_no_numbers(data, start):
    with pytest.raises(ValueError, match="start"):
        lmer("y ~ x + (1 | g)", data, start=start)
