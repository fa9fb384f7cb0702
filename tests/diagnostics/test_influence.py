"""Influence against lme4's refits without each level or row (`oracles/influence.R`); one-step forms against algebra."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from henderson import DataError, MixedLM, datasets, lmer, mixedlm
from henderson.diagnostics import one_step
from henderson.engine import row_forms
from henderson.engine.many import deletions
from oracle_data import cases, frame, normal

# of a measure that is 1 or so: both searches end where the deviance is flat, and know variances to half the digits
MEASURE, VARIANCE = 2e-5, 2e-4
# lme4's own influence() refits with its default tolerances
LME4_INFLUENCE = 2e-3
ALGEBRA = 1e-8

CASES = cases("influence")
LEFT_OUT = [(case, k) for case in CASES for k in range(len(CASES[case]["without"]))]


def fitted(case):
    oracle = CASES[case]
    table = frame("influence", oracle["data"])
    return oracle, lmer(oracle["formula"], table, REML=oracle["reml"], weights=oracle["weights"])


def in_order(estimates, names):
    """fixef and vcov in the order of our names."""
    theirs = list(estimates["fixef"]["names"])
    order = [theirs.index(normal(name)) for name in names]
    return np.array(estimates["fixef"]["values"])[order], np.array(estimates["vcov"])[np.ix_(order, order)]


def variance(estimates, name):
    """The variance or covariance that an rvc column is of, in lme4's table."""
    table = estimates["varcov"]
    for group, one, two, value in zip(table["group"], table["var1"], table["var2"], table["value"]):
        if group == "Residual" and name == "sigma2":
            return value
        group = group.split(".")[0]  # lme4 numbers the terms on one factor
        name = normal(name)
        if two is None and name == f"var_{one}|{group}":
            return value
        if two is not None and name == f"cov_{two}.{one}|{group}":
            return value
    raise KeyError(name)


@pytest.mark.parametrize(("case", "k"), LEFT_OUT)
def test_exact_against_refits_by_lme4(case, k):
    oracle, fit = fitted(case)
    left = oracle["without"][k]
    by = None if left["by"] == "rows" else left["by"]
    table = fit.influence(by)
    table = table.iloc[left["rows"]] if by is None else table.set_axis(table.index.astype(str)).loc[left["levels"]]
    names = list(fit.params.index)
    beta, V = in_order(oracle["whole"], names)
    p = len(names)
    for (_, got), without in zip(table.iterrows(), left["fits"]):
        if len(without["fixef"]["names"]) < p:
            assert np.isnan(got["cooks"])
            continue
        own, own_V = in_order(without, names)
        delta = beta - own
        assert got["cooks"] == pytest.approx(delta @ np.linalg.solve(V, delta) / p, abs=MEASURE)
        assert got["mdffits"] == pytest.approx(delta @ np.linalg.solve(own_V, delta) / p, abs=MEASURE)
        assert got["covratio"] == pytest.approx(np.linalg.det(own_V) / np.linalg.det(V), rel=5e-4)
        assert got["covtrace"] == pytest.approx(abs(np.trace(np.linalg.solve(V, own_V)) - p), abs=5e-4)
        for name, change, size in zip(names, delta, np.sqrt(np.diag(own_V))):
            assert got[f"dfbetas[{name}]"] == pytest.approx(change / size, abs=MEASURE)
        for column in [c for c in table.columns if c.startswith("rvc[")]:
            whole, here = (variance(e, column[4:-1]) for e in (oracle["whole"], without))
            if abs(whole) > 1e-9:
                assert got[column] == pytest.approx(here / whole - 1, abs=VARIANCE * max(1.0, abs(here / whole)))


@pytest.mark.parametrize("case", CASES)
def test_leverage_is_lme4s(case):
    oracle, fit = fitted(case)
    assert fit.influence(exact=False)["leverage"].to_numpy() == pytest.approx(oracle["hat"], abs=1e-4)


def test_the_definitions_are_those_of_lme4():
    """But for the sign: lme4's are the estimate without the rows less that with them; those of R's `lm` the reverse."""
    oracle, fit = fitted("sleepstudy")
    table, want = fit.influence("Subject"), oracle["lme4"]
    shown = -np.array(want["dfbetas"])
    got = table[["dfbetas[(Intercept)]", "dfbetas[Days]"]].to_numpy()
    assert got == pytest.approx(shown, abs=LME4_INFLUENCE)


@pytest.mark.parametrize(
    ("formula", "data", "weights", "by"),
    [
        ("Reaction ~ Days + (Days | Subject)", "sleepstudy", None, "Subject"),
        ("y ~ f * x + (x | g)", "weighted", "w", "g"),
        ("y ~ A * B + (1 + A | subj) + (1 | item)", "crossed", None, "item"),
        ("strength ~ 1 + (1 | batch/cask)", "Pastes", None, "batch"),
    ],
)
@pytest.mark.parametrize("path", ["dense and Cholesky", "sparse and eigenvalues"])
def test_one_step_holds_the_variances(formula, data, weights, by, path, monkeypatch):
    """GLS without the rows, with V and σ of the fit: n × n algebra."""
    from reference import at_fit

    if path == "sparse and eigenvalues":
        monkeypatch.setattr(row_forms, "FEW_EFFECTS", 0)
        monkeypatch.setattr(one_step, "WELL_CONDITIONED", 2.0)
    table = frame("inference", data)
    fit = lmer(formula, table, weights=weights)
    engine, V = fit.engine, at_fit(fit.engine).V
    codes = pd.factorize(table[by], sort=True)[0]
    for groups, found in ((codes, fit.influence(by, exact=False)), (np.arange(fit.nobs), fit.influence(exact=False))):
        assert not [c for c in found.columns if c.startswith("rvc")]
        for i in (0, 2, len(found) - 1):
            left = groups != i
            inverse = np.linalg.inv(V[np.ix_(left, left)])
            x, y = engine.rows.X[left], engine.rows.y[left]
            phi = np.linalg.inv(x.T @ inverse @ x)
            delta = engine.beta - phi @ x.T @ inverse @ y
            p, cov = len(delta), engine.sigma**2 * phi
            row = found.iloc[i]
            assert row["cooks"] == pytest.approx(delta @ np.linalg.solve(engine.vcov, delta) / p, abs=ALGEBRA)
            assert row["mdffits"] == pytest.approx(delta @ np.linalg.solve(cov, delta) / p, abs=ALGEBRA)
            assert row["covratio"] == pytest.approx(np.linalg.det(cov) / np.linalg.det(engine.vcov), rel=1e-6)
            assert row.filter(like="dfbetas").to_numpy() == pytest.approx(delta / np.sqrt(np.diag(cov)), abs=1e-7)


def test_by_a_variable_of_the_fixed_part_and_by_labels():
    table = datasets.load("cake")
    fit = lmer("angle ~ temp + recipe + (1 | recipe:replicate)", table)
    by_name, by_labels = fit.influence("temp"), fit.influence(table["temp"])
    assert by_name.index.tolist() == sorted(table["temp"].unique())
    assert by_name.equals(by_labels)
    assert fit.influence(table["replicate"].to_numpy()).shape[0] == 15
    recipes = fit.influence("recipe")
    assert recipes.index.tolist() == ["A", "B", "C"]
    assert recipes["n"].tolist() == [90, 90, 90]
    assert "without A, B, C" in recipes.attrs["notes"][0]  # recipe's own coefficients are not estimable without a level
    nested = fit.influence("recipe:replicate")
    assert len(nested) == 45


def test_rows_with_missing_values_and_labels():
    table = datasets.load("sleepstudy").set_index(pd.Index([f"r{i}" for i in range(180)]))
    table.iloc[7, 0] = np.nan
    fit = lmer("Reaction ~ Days + (1 | Subject)", table)
    found = fit.influence()
    assert len(found) == 179
    assert "r7" not in found.index
    assert len(fit.influence(table["Subject"])) == 18
    assert len(fit.influence(table["Subject"].to_numpy())) == 18


def test_it_prints_and_says_how():
    fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    assert repr(fit.influence("Batch")).startswith("Influence by Batch (exact, variances estimated again)")
    assert "variances held" in repr(fit.influence("Batch", exact=False))
    assert "<table>" in fit.influence("Batch")._repr_html_()


def test_units_do_not_matter():
    table = datasets.load("sleepstudy")
    fit = lmer("Reaction ~ Days + (Days | Subject)", table)
    other = lmer(
        "r ~ hours + (hours | Subject)", table.assign(r=table["Reaction"] / 1e3, hours=table["Days"] * 24 + 5e4)
    )
    for name in ("cooks", "mdffits", "covratio", "leverage", "rvc[sigma2]"):
        assert other.influence("Subject")[name].to_numpy() == pytest.approx(fit.influence("Subject")[name], rel=2e-3)


def test_what_is_refused():
    fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    with pytest.raises(DataError, match=r"influence\(\): by='Subject' is not in the model, which has Batch"):
        fit.influence("Subject")
    with pytest.raises(DataError, match="by has 7 labels, 30 rows were fitted"):
        fit.influence(list("abcdefg"))
    with pytest.raises(DataError, match="one level"):
        fit.influence(["a"] * 30)
    with pytest.raises(DataError, match="missing labels"):
        fit.influence([None, *["a", "b"] * 14, "a"])
    with pytest.raises(ValueError, match="exact must be True or False"):
        fit.influence("Batch", exact="one-step")
    fit.remove_data()
    with pytest.raises(DataError, match=r"influence\(\)"):
        fit.influence("Batch")


def test_behind_statsmodels_door():
    table = datasets.load("sleepstudy")
    fit = lmer("Reaction ~ Days + (Days | Subject)", table)
    other = mixedlm("Reaction ~ Days", table, groups="Subject", re_formula="~Days").fit()
    assert other.influence("Subject")["cooks"].to_numpy() == pytest.approx(fit.influence("Subject")["cooks"], abs=1e-6)
    beside = mixedlm("Reaction ~ Days", table, groups=table["Subject"]).fit()
    assert len(beside.influence("Subject")) == 18
    held = mixedlm("Reaction ~ Days", table, groups="Subject").fit_regularized(alpha=1.0)
    with pytest.raises(DataError, match="given, held or penalised"):
        held.influence("Subject")


def test_groups_of_one_row_and_components_with_loadings():
    rng = np.random.default_rng(8)
    table = pd.DataFrame({"g": np.repeat(np.arange(12), 5), "a": np.tile(np.arange(5), 12)})
    table["y"] = rng.normal(size=12)[table["g"]] + rng.normal(size=60)
    twice = pd.concat([table, table.assign(y=table["y"] + rng.normal(size=60))])
    vc = mixedlm("y ~ 1", twice, groups="g", vc_formula={"a": "0 + C(a)"}).fit()
    found = vc.influence("g")
    assert len(found) == 12
    assert np.isfinite(found["cooks"]).all()


def test_a_nested_factor_by_its_name_in_any_order():
    fit = lmer("strength ~ 1 + (1 | batch/cask)", datasets.load("Pastes"))
    assert fit.influence("batch:cask").equals(fit.influence("cask:batch"))


def test_arrays_are_left_out_by_group():
    table = datasets.load("sleepstudy")
    x = np.column_stack([np.ones(180), table["Days"]])
    arrays = MixedLM(table["Reaction"].to_numpy(), x, groups=table["Subject"].to_numpy(), exog_re=x).fit()
    want = lmer("Reaction ~ Days + (Days | Subject)", table).influence("Subject")["cooks"]
    assert arrays.influence("Group")["cooks"].to_numpy() == pytest.approx(want.to_numpy(), abs=1e-6)


@pytest.mark.parametrize("exact", [True, False])
def test_crossed_levels_of_many_rows(exact):
    """Without one of 12 items: 16 rows each, or, as one set, the half of the table (cross-products once)."""
    table = frame("inference", "crossed")
    fit = lmer("y ~ A + B + (1 | subj) + (1 | item)", table)
    halves = (table["item"].cat.codes % 2).to_numpy()
    found = fit.influence(halves, exact)
    if exact:
        for half in (0, 1):
            other = lmer("y ~ A + B + (1 | subj) + (1 | item)", table[halves != half])
            delta = (fit.params - other.params) / other.bse
            assert found.filter(like="dfbetas").loc[half].to_numpy() == pytest.approx(delta.to_numpy(), abs=1e-5)
    else:
        assert np.isfinite(found["cooks"]).all()


def test_rows_print_with_their_labels():
    fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    lines = str(fit.influence(exact=False)).splitlines()
    assert lines[2].startswith("row ")
    assert lines[3].startswith("0 ")


def test_so_many_fits_that_they_take_hours_are_spared(monkeypatch):
    """More than so many fits one after another: variances are held, and the table says so; exact=True does them."""
    monkeypatch.setattr(deletions, "MANY", 3)
    monkeypatch.setattr(deletions, "batched_components", lambda fit, **options: None)  # no model is small
    fit = lmer("Yield ~ 1 + (1 | Batch)", datasets.load("Dyestuff"))
    spared, exact = fit.influence("Batch"), fit.influence("Batch", exact=True)
    assert "held at their estimates" in str(spared)
    assert "exact=True would fit the model 6 times" in str(spared)
    np.testing.assert_array_equal(spared["cooks"], fit.influence("Batch", exact=False)["cooks"])
    assert "rvc[sigma2]" in exact
    assert "rvc[sigma2]" not in spared
    with pytest.raises(ValueError, match="exact=True"):
        fit.plot.influence("Batch", "rvc[sigma2]")


def test_rows_may_have_labels_of_several_parts():
    table = datasets.load("Dyestuff")
    labels = pd.MultiIndex.from_arrays([np.arange(len(table)), table["Batch"]])
    fit = lmer("Yield ~ 1 + (1 | Batch)", table.set_axis(labels))
    assert fit.influence(exact=False).index.equals(labels)


def test_slopes_at_time_stamps():
    # the array engine whitened the columns of a slope by their inner products, which at 1e9 say nothing but the mean
    sleep = datasets.load("sleepstudy")
    near, far = (
        lmer("Reaction ~ Days + (Days | Subject)", sleep.assign(Days=sleep.Days * 100 + move)) for move in (0.0, 1e9)
    )
    for by, exact in (("Subject", True), ("Subject", False), (None, True)):
        one, two = (fit.influence(by, exact=exact) for fit in (near, far))
        np.testing.assert_allclose(two["cooks"], one["cooks"], rtol=1e-5, atol=1e-8)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_model_without_fixed_effects_has_influence_on_its_variances_alone():
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(5), 4)
    fit = lmer("y ~ 0 + (1 | g)", {"y": rng.normal(size=5)[g] + rng.normal(size=20), "g": g})
    found = fit.influence("g")
    assert found["cooks"].isna().all()
    assert np.isfinite(found.filter(like="rvc")).all(axis=None)
    assert len(found.filter(like="rvc").columns) == 2


def test_a_row_without_which_there_is_no_response_is_left_out_to_nothing():
    # a survey of the deviance without it sees no finite point, and the search for another minimum died on that
    g = [3, 1, 5, 5, 6, 2, 3, 0, 1, 5, 5, 2, 1, 0, 4, 3, 0, 3, 4, 1, 6]
    data = {"y": [0.0] * 20 + [1.0], "g": g, "w": [1e8, 1e8] + [1.0] * 19}
    found = lmer("y ~ 0 + (1 | g)", data, weights="w").influence()
    assert found.filter(like="rvc").iloc[-1].isna().all()
