"""`drop1` and `step` against lmerTest's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from henderson import DataError, datasets, lmer, mixedlm
from henderson.inference.comparison.without_term import without_term
from oracle_data import cases, frame, load_oracle, normal

# F is a ratio of estimates that both searches know to 1e-6 or so; df are derivatives by variances
F, DF, RATIO = 1e-4, 2e-3, 1e-4

DROPPED = {name: case for name, case in cases("inference").items() if case.get("drop1")}
STEPS = cases("step")


def fitted(case, listing):
    return lmer(case["formula"], frame(listing, case["data"]), REML=case["reml"], weights=case["weights"])


def order_of(name):
    """A term's factors, in whatever order."""
    return ":".join(sorted(normal(name).replace(" ", "").split(":")))


@pytest.mark.parametrize("name", DROPPED)
def test_drop1_is_lmertests(name):
    case = DROPPED[name]
    fit = fitted(case, "inference")
    for ddf, want in case["drop1"].items():
        if "error" in want or (case["weights"] and ddf == "kenward-roger"):  # pbkrtest forgets the weights
            continue
        got = fit.drop1(ddf=ddf)
        assert sorted(map(order_of, got.index)) == sorted(map(order_of, want["term"]))
        got.index = [order_of(term) for term in got.index]
        for term, num_df, den_df, f in zip(want["term"], want["num_df"], want["den_df"], want["F"]):
            if num_df is None or f is None:
                continue
            row = got.loc[order_of(term)]
            assert row["num_df"] == num_df
            assert row["F"] == pytest.approx(f, rel=F, abs=F)
            assert row["den_df"] == pytest.approx(den_df, rel=DF)


def assert_same_random(got, want):
    """The same effects eliminated in the same order, and the same kept, by their statistics."""
    theirs = sorted((int(number or 0), x) for number, x in zip(want["eliminated"][1:], want["statistic"][1:]))
    ours = sorted(zip(got["eliminated"].astype(int), got["statistic"]))
    assert [number for number, _ in ours] == [number for number, _ in theirs]
    assert [x for _, x in ours] == pytest.approx([x for _, x in theirs], abs=RATIO * 10)


@pytest.mark.parametrize("name", STEPS)
def test_step_is_lmertests(name):
    case = STEPS[name]
    fit = fitted(case, "step")
    for ddf in ("satterthwaite", "kenward-roger"):
        want = case.get(ddf)
        if want is None or "error" in want or (case["weights"] and ddf == "kenward-roger"):
            continue
        got = fit.step(ddf=ddf)
        assert_same_random(got.random.iloc[1:], want["random"])
        fixed = want["fixed"]
        if fixed is None:
            continue
        order = {order_of(term): i for i, term in enumerate(fixed["term"])}
        assert {order_of(term) for term in got.fixed.index} == set(order)
        for term, row in got.fixed.iterrows():
            i = order[order_of(term)]
            assert row["eliminated"] == (fixed["eliminated"][i] or 0)
            assert row["num_df"] == fixed["num_df"][i]
            assert row["F"] == pytest.approx(fixed["F"][i], rel=F, abs=F)
            assert row["den_df"] == pytest.approx(fixed["den_df"][i], rel=DF)


def test_the_listing_has_eliminations():
    """Else the test above would compare nothing."""
    found = [want["fixed"]["eliminated"] for case in STEPS.values() if (want := case["satterthwaite"]).get("fixed")]
    assert sum(bool(number) for numbers in found for number in numbers if number) >= 5
    assert load_oracle("step")["versions"]["lmerTest"]


@pytest.mark.parametrize(
    ("formula", "term", "less"),
    [
        ("y ~ A * B + (1 | subj) + (1 | item)", "A:B", "y ~ A + B + (1 | subj) + (1 | item)"),
        ("y ~ 0 + A + B + (1 | subj)", "A", "y ~ 0 + B + (1 | subj)"),
        ("y ~ A + B + (1 + A | subj)", "A", "y ~ B + (1 + A | subj)"),
    ],
)
def test_the_model_without_a_term_is_the_one_written_without_it(formula, term, less):
    table = frame("inference", "crossed")
    fit = lmer(formula, table)
    design, rows = without_term(fit.design, fit.engine.rows, term)
    want = lmer(less, table).engine
    assert design.x_names == want.design.x_names
    assert np.abs(rows.X - want.rows.X).max() < 1e-12
    assert design.specs.terms.names == want.design.specs.terms.names
    assert dict(design.specs.terms.means) == dict(want.design.specs.terms.means)
    assert sorted(design.specs.terms.cells.counts) == sorted(want.design.specs.terms.cells.counts)


def test_the_model_found_is_a_model():
    """Tests, means and predictions of the model that is left are those of the same model, fitted at once."""
    table = frame("inference", "cake")
    found = lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", table).step()
    assert found.formula == "angle ~ temperature + (1 | recipe:replicate)"
    want = lmer(found.formula, table)
    assert found.model.params.to_dict() == pytest.approx(want.params.to_dict())
    assert found.model.anova().equals(want.anova()) or np.allclose(found.model.anova(), want.anova())
    assert found.model.predict(table.iloc[:4]).tolist() == pytest.approx(want.predict(table.iloc[:4]).tolist())
    one, other = (results.emmeans("temperature").frame["estimate"] for results in (found.model, want))
    assert one.tolist() == pytest.approx(other.tolist())


def test_what_may_not_be_dropped_and_what_is_kept():
    fit = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", datasets.load("cake"))
    with pytest.raises(ValueError, match="'recipe' cannot be dropped; terms that no other contains are: recipe:temp"):
        fit.drop1("recipe")
    assert fit.drop1("recipe:temp").index.tolist() == ["recipe:temp"]
    assert fit.step(keep="recipe:temp").fixed["eliminated"].to_dict() == {"recipe:temp": 0}
    assert fit.step(keep=["recipe"]).fixed["eliminated"].to_dict() == {"recipe:temp": 1, "recipe": 0, "temp": 0}
    assert fit.step(reduce_fixed=False).fixed["eliminated"].to_dict() == {"recipe:temp": 0}
    with pytest.raises(ValueError, match="keep has 'height'"):
        fit.step(keep="height")
    with pytest.raises(ValueError, match="alpha_fixed must be between 0 and 1"):
        fit.step(alpha_fixed=5)
    fit.remove_data()
    with pytest.raises(DataError, match=r"step\(\)"):
        fit.step()
    assert fit.drop1().index.tolist() == ["recipe:temp"]


def test_the_last_random_term_stays():
    fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff2"))
    found = fit.step()
    assert found.random["eliminated"].tolist() == [0, 0]
    assert "is the last random term and stays" in repr(found)


def test_behind_statsmodels_door_and_for_arrays():
    table = datasets.load("sleepstudy").assign(noise=np.random.default_rng(1).normal(size=180))
    other = mixedlm("Reaction ~ Days + noise", table, groups="Subject", re_formula="~Days").fit()
    found = other.step(ddf="satterthwaite")
    assert found.fixed["eliminated"].to_dict() == {"noise": 1, "Days": 0}
    fit = lmer("Reaction ~ Days + (Days | Subject)", table)
    assert found.model.deviance == pytest.approx(fit.deviance, abs=1e-6)
    assert isinstance(found._repr_html_(), str)
    assert isinstance(found.fixed, pd.DataFrame)


def test_drop1_with_containment():
    fit = lmer("yield ~ nitro + Variety + (1 | Block/Variety)", frame("inference", "oats"), ddf="containment")
    assert fit.drop1()["den_df"].to_dict() == pytest.approx(fit.anova(2)["den_df"].to_dict())
