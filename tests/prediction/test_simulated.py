"""Simulated responses: the first two moments of many draws against Xβ and ZGZ' + σ²W⁻¹, written out entry by entry."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import henderson
from henderson import DataError, lmer, mixedlm
from henderson.datasets import load

DRAWS = 20_000
# Monte-Carlo errors that a mean or a covariance may be off; one of 5 has a chance of 6e-7, a case has about 100
ERRORS = 5.0
SAME = 1e-10  # relative; the same streams, through arrays made again from a table

pytestmark = pytest.mark.filterwarnings("ignore")


def table() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 360
    d = pd.DataFrame({"s": rng.integers(0, 18, n), "i": rng.choice(list("abcdefg"), n), "x": rng.normal(size=n)})
    d["c"], d["w"], d["o"] = d.s // 3, rng.uniform(0.3, 3, n), rng.normal(size=n)
    d["y"] = d.o + d.x + rng.normal(size=18)[d.s] * (1 + d.x) + rng.normal(size=6)[d.c] + rng.normal(size=n)
    d["y"] += rng.normal(size=7)[d.i.map("abcdefg".index)]
    return d


DATA = table()
#: two rows of known levels, one level in two rows; then levels that are new, one of them twice
NEW = pd.DataFrame(
    {
        "s": [3, 3, 5, 100, 100, 101],
        "c": [1, 1, 1, 1, 1, 50],
        "i": ["a", "b", "a", "new", "a", "new"],
        "x": [0.5, -1.0, 2.0, 1.0, 0.0, -0.5],
        "w": [1.0, 2.0, 0.5, 0.7, 1.5, 3.0],
        "o": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    },
    index=list("uvwxyz"),
)
X = np.column_stack([np.ones(6), NEW.x])
ONE = np.ones((6, 1))
S, C, I, CS = NEW.s, NEW.c, NEW.i, list(zip(NEW.c, NEW.s))

#: model; its terms' columns and labels in the new rows, and which levels the fit knows; weights, offset
MODELS = {
    "slopes": (
        lambda d: lmer("y ~ x + (x | s)", d, weights="w", offset="o"),
        {"s": (X, S, set(range(18)))},
        NEW.w,
        NEW.o,
    ),
    "an expression's weights": (
        lambda d: lmer("y ~ x + offset(o) + (1 | s)", d, weights="1 / w"),
        {"s": (ONE, S, set(range(18)))},
        1 / NEW.w,
        NEW.o,
    ),
    "crossed": (
        lambda d: lmer("y ~ x + (1 | s) + (1 | i)", d),
        {"s": (ONE, S, set(range(18))), "i": (ONE, I, set("abcdefg"))},
        1.0,
        0.0,
    ),
    "nested": (
        lambda d: lmer("y ~ x + (1 | c / s)", d),
        {"s:c": (ONE, CS, {(s // 3, s) for s in range(18)}), "c": (ONE, C, set(range(6)))},
        1.0,
        0.0,
    ),
    "statsmodels' slopes": (
        lambda d: mixedlm("y ~ x", d, groups="s", re_formula="~x").fit(),
        {"s": (X, S, set(range(18)))},
        1.0,
        0.0,
    ),
    "components": (
        lambda d: mixedlm("y ~ x", d, groups="c", re_formula="~1", vc_formula={"s": "0 + C(s)"}).fit(),
        {"c": (ONE, C, set(range(6))), "c/s": (ONE, CS, {(s // 3, s) for s in range(18)})},
        1.0,
        0.0,
    ),
}


def close_to_moments(draws, mean, cov):
    """Means and covariances of the draws within their Monte-Carlo errors."""
    draws, d = np.asarray(draws), np.diag(cov)
    assert np.all(np.abs(draws.mean(axis=1) - mean) < ERRORS * np.sqrt(d / DRAWS))
    assert np.all(np.abs(np.cov(draws) - cov) < ERRORS * np.sqrt((np.outer(d, d) + cov**2) / DRAWS))


def moments(fit, terms, weights, offset, re):
    """Xβ + offset + Zb of levels that are not drawn, and what is drawn."""
    mean = X @ np.asarray(fit.fe_params) + offset
    cov = np.diag(np.broadcast_to(fit.sigma**2 / weights, 6).astype(float))
    for term, b, lam in zip(fit.design.terms, fit.engine.b, fit.engine.lam):
        Z, labels, known = terms[term.group]
        labels, G = list(labels), fit.sigma**2 * lam @ lam.T
        held = [re == "same" and label in known for label in labels]
        for i in range(6):
            if held[i]:
                mean[i] += Z[i] @ b[sorted(known).index(labels[i])]
            for j in range(6):
                cov[i, j] += Z[i] @ G @ Z[j] * (labels[i] == labels[j] and not held[i])
    return np.asarray(mean), cov


@pytest.mark.parametrize("re", ["new", "same"])
@pytest.mark.parametrize("name", MODELS)
def test_moments_of_new_rows(name, re):
    model, terms, weights, offset = MODELS[name]
    fit = model(DATA)
    mean, cov = moments(fit, terms, np.asarray(weights), np.asarray(offset), re)
    draws = fit.simulate(DRAWS, NEW, re=re, seed=8)
    assert draws.index.equals(NEW.index)
    assert draws.columns[[0, -1]].tolist() == ["sim_1", f"sim_{DRAWS}"]
    close_to_moments(draws, mean, cov)
    fit.remove_data()
    pd.testing.assert_frame_equal(fit.simulate(50, NEW, re=re, seed=8), draws.iloc[:, :50], rtol=SAME)


@pytest.mark.parametrize("name", MODELS)
def test_the_fits_own_rows_as_new_ones_are_the_same_draws(name):
    fit = MODELS[name][0](DATA)
    before = {re: fit.simulate(120, re=re, seed=5) for re in ("new", "same")}
    fit.remove_data()
    pd.testing.assert_frame_equal(fit.simulate(120, DATA, seed=5), before["new"], rtol=SAME)
    pd.testing.assert_frame_equal(fit.simulate(120, DATA, re="same", seed=5), before["same"], rtol=SAME, atol=1e-9)
    with pytest.raises(DataError, match=r"simulate\(\): this needs the rows"):
        fit.simulate(2, re="same")


def test_own_rows_at_the_modes():
    data = load("sleepstudy").iloc[::-1]
    fit = lmer("Reaction ~ Days + (Days | Subject)", data)
    draws = fit.simulate(4000, re="same", seed=2)
    assert draws.index.equals(data.index)
    z = (draws.mean(axis=1) - fit.fittedvalues) / fit.sigma * np.sqrt(4000)
    assert abs(z).max() < ERRORS
    # 4000 · 180 independent residuals: their variance is known to √(2/720000)
    ratio = float(draws.sub(fit.fittedvalues, axis=0).to_numpy().var()) / fit.sigma**2
    assert abs(ratio - 1) < ERRORS * np.sqrt(2 / 720_000)


def test_arrays():
    X, groups = np.column_stack([np.ones(len(DATA)), DATA.x]), DATA.s.to_numpy()
    fit = henderson.MixedLM(DATA.y.to_numpy(), X, groups, exog_re=X).fit()
    assert isinstance(fit.simulate(2, seed=1), np.ndarray)
    labelled = mixedlm("y ~ x", DATA, groups="s", re_formula="~x").fit()
    mean, cov = moments(labelled, {"s": (np.column_stack([np.ones(6), NEW.x]), S, set(range(18)))}, 1.0, 0.0, "same")
    fit.remove_data()
    new = np.column_stack([np.ones(6), NEW.x])
    draws = fit.simulate(DRAWS, new, groups=S, exog_re=new, re="same", seed=1)
    assert isinstance(draws, np.ndarray)
    close_to_moments(draws, mean, cov)
    with pytest.raises(ValueError, match="groups="):
        fit.simulate(2, new)


def test_weights_given_as_arrays_are_asked_for():
    fit = lmer("y ~ x + (1 | s)", DATA, weights=DATA.w.to_numpy())
    with pytest.raises(DataError, match="give weights="):
        fit.simulate(2, NEW)
    given = fit.simulate(3, NEW, weights=NEW.w.to_numpy(), seed=1)
    pd.testing.assert_frame_equal(fit.simulate(3, NEW, weights="w", seed=1), given)
    by_label = fit.simulate(3, NEW, weights=NEW.w.iloc[::-1], seed=1)
    pd.testing.assert_frame_equal(by_label, given)
    named = lmer("y ~ x + (1 | s)", DATA, weights=DATA.w)
    pd.testing.assert_frame_equal(named.simulate(3, NEW, seed=1), given)


@pytest.mark.parametrize("suffix", ["pickle", "henderson"])
def test_from_a_file(tmp_path, suffix):
    fit = MODELS["an expression's weights"][0](DATA)
    fit.save(tmp_path / f"fit.{suffix}", remove_data=True)
    again = henderson.load(tmp_path / f"fit.{suffix}")
    pd.testing.assert_frame_equal(again.simulate(3, NEW, seed=1), fit.simulate(3, NEW, seed=1), rtol=SAME)


def test_the_make_of_the_table():
    fit = MODELS["crossed"][0](DATA)
    wanted = fit.simulate(3, NEW, seed=1).to_numpy()
    plain = NEW.reset_index(drop=True)
    for made, kind in ((pl.from_pandas(plain), pl.DataFrame), (pa.Table.from_pandas(plain), pa.Table)):
        found = fit.simulate(3, made, seed=1)
        assert isinstance(found, kind)
        np.testing.assert_array_equal(np.column_stack([found["sim_1"], found["sim_3"]]), wanted[:, [0, 2]])
    columns = {name: NEW[name].to_numpy() for name in NEW}
    np.testing.assert_array_equal(fit.simulate(3, columns, seed=1), wanted)
    assert fit.simulate(0, NEW).shape == (6, 0)


def test_a_row_with_a_missing_covariate_has_no_response():
    fit = MODELS["components"][0](DATA)
    draws = fit.simulate(2, NEW.assign(x=[np.nan, *NEW.x[1:]]), seed=1)
    assert draws.isna().to_numpy().tolist() == [[True, True]] + [[False, False]] * 5


def test_labels_of_another_type_are_new_or_refused():
    fit = MODELS["slopes"][0](DATA)
    text = NEW.assign(s=NEW.s.astype(str))
    with pytest.raises(DataError, match=r"'s' has the level '3' \(str\)"):
        fit.simulate(2, text, re="same")
    assert fit.simulate(2, text, seed=1).notna().to_numpy().all()


def test_a_component_with_columns_of_its_own_in_each_group():
    fit = mixedlm("y ~ x", DATA, groups="c", vc_formula={"slope": "0 + np.exp(x)"}).fit()
    known = NEW.assign(c=1)
    draws, b = fit.simulate(DRAWS, known, re="same", seed=3), fit.engine.b[0][1, 0]
    mean = X @ np.asarray(fit.fe_params) + np.exp(NEW.x) * b
    close_to_moments(draws, mean, fit.sigma**2 * np.eye(6))
    with pytest.raises(DataError, match=r"50 in row 5.*product of columns"):
        fit.simulate(2, NEW)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n": -1}, ValueError, "n must be"),
        ({"n": 2.5}, ValueError, "n must be"),
        ({"n": True}, ValueError, "n must be"),
        ({"re": "all"}, ValueError, "re must be 'new' or 'same'"),
        ({"seed": "a"}, ValueError, "seed must be"),
        ({"seed": -1}, ValueError, "seed must be"),
        ({"newdata": 7}, ValueError, "newdata must be a table, not 7; a seed"),
        ({"newdata": None, "weights": [1.0]}, ValueError, "weights= goes with newdata="),
        ({"newdata": NEW.drop(columns="w")}, DataError, "no column 'w'"),
        ({"newdata": NEW.drop(columns="o")}, DataError, "no column 'o'"),
        ({"newdata": NEW.drop(columns="s")}, DataError, "no column 's'"),
        ({"newdata": NEW.assign(s=[3, None, 5, 7, 8, 9])}, DataError, "'s' is missing in row 1"),
        ({"newdata": NEW.iloc[:0]}, DataError, "no rows"),
        ({"newdata": np.ones((2, 2))}, ValueError, "need a table"),
        ({"weights": [1, 2]}, DataError, "weights has 2 entries, the new data 6"),
        ({"weights": [1, 1, 0, 1, 1, 1]}, DataError, "'weights' is 0 in row 2"),
        ({"weights": "W"}, DataError, "no column 'W'"),
        ({"groups": S}, ValueError, "groups= goes with"),
        ({"offset": S}, ValueError, "offset= goes with"),
        ({"exog_re": ONE}, ValueError, "exog_re= goes with"),
    ],
)
def test_bad_input_by_name(change, error, message):
    fit = MODELS["slopes"][0](DATA)
    with pytest.raises(error, match=message):
        fit.simulate(**{"n": 2, "newdata": NEW, **change})


def test_weights_of_a_model_without_any():
    with pytest.raises(ValueError, match="weights= goes with a model that has weights"):
        MODELS["crossed"][0](DATA).simulate(2, NEW, weights="w")
