"""`Inference` and the hypotheses of an analysis of variance: definitions, invariance, dropped columns, messages."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import henderson
import reference
from henderson.inference import COV, DDF, coef_table, f_test, infer, t_test
from henderson.inference.anova.anova import anova, hypotheses
from henderson.inference.contrast_rows import independent_rows
from henderson.inference.ddf.satterthwaite import satterthwaite
from henderson.inference.fit_moments import FitMoments
from henderson.inference.information import coordinates, curvature, hessian_theta


def crossed(seed: int = 4, n: int = 90) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "a": generator.choice(list("uvw"), n, p=[0.5, 0.3, 0.2]),
            "b": generator.choice(["lo", "hi"], n),
            "x": generator.normal(1, 1, n),
            "g": generator.integers(0, 9, n),
            "h": generator.integers(0, 7, n),
        }
    )
    effects = generator.normal(size=9)[table["g"]] + generator.normal(size=7)[table["h"]]
    table["y"] = table["x"] * (1 + 0.3 * (table["a"] == "v")) + effects + generator.normal(size=n)
    return table


@pytest.fixture(scope="module")
def fit():
    return henderson.lmer("y ~ a * x + b + (x | g) + (1 | h)", crossed()).engine


def deviance_at(data, theta, log_rho, sigma2, reml):
    """−2 log (restricted) likelihood at θ and σ² e^{log ρ}, by n × n algebra."""
    _, information, r2, v = reference.solve(data, theta)
    n, p = data.rows.X.shape
    s = sigma2 * np.exp(log_rho)
    value = np.linalg.slogdet(v)[1] + n * np.log(2 * np.pi * s) + r2 / s
    if reml:
        value += np.linalg.slogdet(information)[1] - p * np.log(2 * np.pi * s)
    return value


@pytest.mark.parametrize("reml", [True, False])
def test_hessian_of_the_deviance(reml):
    fit = henderson.lmer("y ~ x + (x | g) + (1 | h)", crossed(), REML=reml).engine
    fitted = FitMoments(fit)
    exact = hessian_theta(fitted, curvature(fitted), coordinates(fit.design, fit.lam))
    k, step = len(fit.theta), 1e-4
    # ρ of the room is linear, here it is a logarithm: they agree where the gradient vanishes
    point = np.append(fit.theta, 0.0)

    def value(at):
        return deviance_at(fit, at[:k], at[k], fit.sigma**2, reml)

    numeric = np.empty((k + 1, k + 1))
    for i, one in enumerate(np.eye(k + 1) * step):
        for j, two in enumerate(np.eye(k + 1) * step):
            corners = value(point + one + two) - value(point + one - two) - value(point - one + two)
            numeric[i, j] = (corners + value(point - one - two)) / (4 * step**2)
    np.testing.assert_allclose(exact, numeric, rtol=2e-4, atol=2e-4 * np.abs(numeric).max())


@pytest.mark.parametrize("slopes", [None, "~x"])
def test_joint_information_is_statsmodels_covariance(slopes):
    table = crossed()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the slopes end at the boundary
        result = henderson.mixedlm("y ~ a * x", table, groups="g", re_formula=slopes).fit()
    np.testing.assert_allclose(
        infer(result, cov="hessian", ddf="asymptotic").cov, np.asarray(result.cov_params())[:6, :6], rtol=1e-8
    )


def test_units_do_not_matter(fit):
    table = crossed()
    scaled = table.assign(y=table["y"] * 1e6, x=table["x"] * 1e-4)
    other = henderson.lmer("y ~ a * x + b + (x | g) + (1 | h)", scaled).engine
    for ddf in ("satterthwaite", "kenward-roger"):
        ours, theirs = (anova(one, 3, infer(one, ddf=ddf)) for one in (fit, other))
        np.testing.assert_allclose(ours, theirs, rtol=2e-6)


def test_standard_errors_do_without_the_curvature(monkeypatch):
    """bse, cov_params() and tvalues computed Satterthwaite's df, too: of InstEval a quarter of the fit's time."""
    asked = []
    monkeypatch.setitem(DDF, "satterthwaite", lambda fitted: asked.append(1) or satterthwaite(fitted))
    results = henderson.lmer("y ~ a * x + b + (x | g) + (1 | h)", crossed())
    se, t, cov = results.bse, results.tvalues, results.cov_params()
    assert not asked
    table = results.coef_table
    assert asked == [1]
    for found, known in ((se, table["se"]), (t, table["statistic"]), (np.sqrt(np.diag(cov)), table["se"])):
        np.testing.assert_array_equal(found, known)


def test_what_is_kept_of_an_inference_has_its_method(fit):
    """Whether degrees of freedom were asked for before or not: what makes them holds rows, and cannot be pickled."""
    early = infer(fit)
    late = pickle.loads(pickle.dumps(infer(fit)))
    rows = np.eye(len(early.names))
    for other in (late, early.settled()):
        assert "make" not in other.__dict__
        np.testing.assert_array_equal(other.df(rows), early.df(rows))
        assert other.notes == early.notes


def test_calendar_years():
    table = crossed()
    years = table.assign(x=table["x"] + 2000, y=table["y"] + 1e4)
    formula = "y ~ a + x + (1 | g) + (1 | h)"
    for ddf in ("satterthwaite", "kenward-roger"):
        ours, theirs = (
            coef_table(infer(henderson.lmer(formula, data), ddf=ddf)).iloc[1:].drop(columns=["lower", "upper"])
            for data in (table, years)
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("kind", [2, 3])
def test_contrasts_do_not_matter(kind):
    table = crossed()
    plain = henderson.lmer("y ~ a * b + a * x + (1 | g)", table).anova(kind)
    summed = henderson.lmer("y ~ C(a, contr.sum) * C(b, contr.helmert) + C(a, contr.sum) * x + (1 | g)", table).anova(
        kind
    )
    summed.index = [name.replace("C(a, contr.sum)", "a").replace("C(b, contr.helmert)", "b") for name in summed.index]
    np.testing.assert_allclose(summed.loc[plain.index, ["num_df", "F"]], plain[["num_df", "F"]], rtol=1e-6)
    # Satterthwaite's df of several rows depend on their scaling; type III takes it from the levels, not the contrasts
    if kind == 3:
        np.testing.assert_allclose(summed.loc[plain.index], plain, rtol=1e-6)


def test_type_three_is_equality_of_marginal_means(fit):
    rows = hypotheses(fit, 3)
    names = list(fit.design.x_names)
    expected = pd.DataFrame(0.0, index=range(1), columns=names)
    expected[["x", "a[T.v]:x", "a[T.w]:x"]] = [[1, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(rows["x"], expected, atol=1e-10)
    assert rows["a"].shape == (2, len(names))


def test_type_three_with_empty_cells():
    # what lmerTest's show_tests prints for this layout: 0.5 where both levels are seen, 0.25 towards the hole
    generator = np.random.default_rng(1)
    cells = [(a, b, c) for a in "123" for b in "12" for c in "12" if not (a == "3" and b == "2")]
    table = pd.DataFrame([cells[k] for k in generator.integers(0, len(cells), 120)], columns=list("ABC"))
    table["g"], table["y"] = np.arange(120) % 6, generator.normal(size=120)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = henderson.lmer("y ~ A * B * C + (1 | g)", table).engine
    rows = pd.DataFrame(np.vstack([hypotheses(fit, 3)[name] for name in ("A", "C", "A:C")]), columns=fit.design.x_names)
    assert rows.loc[0, "A[T.2]:B[T.2]"] == pytest.approx(0.5)
    assert rows.loc[1, "A[T.2]:B[T.2]"] == pytest.approx(0.25)
    assert rows.loc[1, "A[T.2]:B[T.2]:C[T.2]"] == pytest.approx(0.125)
    np.testing.assert_allclose(
        rows.loc[2, ["A[T.2]:C[T.2]", "A[T.3]:C[T.2]", "B[T.2]:C[T.2]"]].astype(float),
        [13 / 35, 9 / 35, 16 / 35],
        rtol=1e-6,
    )


def test_dropped_columns_are_named():
    table = crossed().assign(x2=lambda d: 2 * d["x"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = henderson.lmer("y ~ x + a * x2 + (1 | g)", table)
    inference = result.inference
    coefficients = coef_table(inference)
    assert "x2" not in coefficients.index
    assert coefficients.attrs["notes"] == ("dropped as redundant: x2",)
    tested = t_test(inference, "x = 1, x2 = 0, x + 2*x2 = 1")
    assert tested["p"].isna().tolist() == [False, True, False]
    assert "x2 was dropped as redundant: x2 = 0" in tested.attrs["notes"][0]
    with pytest.warns(henderson.ValueWarning, match="x2 was dropped"):
        assert np.isnan(f_test(inference, "x2 = 0").p)
    assert result.t_test("x = 1").pvalue == pytest.approx(tested["p"].iloc[0])
    assert result.pvalues["x"] == pytest.approx(coefficients.loc["x", "p"])
    for kind in (1, 2, 3):
        table = anova(result, kind, inference)
        assert table.loc["x2", "num_df"] == 0
        assert table["p"].isna().tolist() == [False, False, True, False]
        assert any("x2" in note for note in table.attrs["notes"])


def test_dependent_rows_count_once(fit):
    inference = infer(fit, ddf="kenward-roger")
    rows = np.eye(len(inference.names))[1:3]
    once, twice = inference.f_test(rows), inference.f_test(np.vstack([rows, rows.sum(0)]))
    np.testing.assert_allclose(once, twice, rtol=1e-9)
    with pytest.raises(ValueError, match="contradict"):
        independent_rows(np.vstack([rows, rows[:1]]), np.array([0.0, 0.0, 1.0]), np.ones(rows.shape[1]))


def test_one_row_is_the_square_of_t(fit):
    for ddf in DDF:
        if ddf in ("between-within", "satterthwaite-sas"):  # of subjects, of weighted residuals with `us`
            continue
        inference = infer(fit, ddf=ddf)
        row = np.arange(1.0, len(inference.names) + 1)
        f, t = inference.f_test(row, 2.0), inference.t_test(row, 2.0).iloc[0]
        assert pytest.approx(t["statistic"] ** 2) == f.F
        assert f.den_df == pytest.approx(t["df"])
        assert f.p == pytest.approx(t["p"])


def test_kenward_roger_of_2009_is_that_of_1997_where_covariances_are_linear(fit):
    first, second = (infer(fit, ddf=ddf) for ddf in ("kenward-roger", "kenward-roger-2009"))
    np.testing.assert_array_equal(first.cov, second.cov)
    np.testing.assert_array_equal(first.df(np.eye(7)), second.df(np.eye(7)))


def test_sas_own_satterthwaite_is_refused_where_its_df_are_not_known(fit):
    with pytest.raises(ValueError, match="weights with an unstructured covariance"):
        infer(fit, ddf="satterthwaite-sas")


def test_methods_are_listed_when_unknown(fit):
    with pytest.raises(ValueError, match=", ".join(DDF)):
        infer(fit, ddf="exact")
    with pytest.raises(ValueError, match=", ".join(COV)):
        infer(fit, cov="robust")
    with pytest.raises(ValueError, match="there are 1, 2, 3"):
        anova(fit, 4)
    with pytest.raises(ValueError, match="goes with cov='kenward-roger'"):
        infer(fit, ddf="kenward-roger", cov="model")
    with pytest.raises(ValueError, match="REML"):
        infer(henderson.lmer("y ~ x + (1 | g)", crossed(), REML=False), ddf="kenward-roger")
    with pytest.raises(ValueError, match="one number per fixed effect"):
        infer(fit).f_test(np.eye(3))


def test_default_pairs():
    result = henderson.lmer("y ~ x + (1 | g)", crossed())
    assert (result.inference.ddf, result.inference.cov_type) == ("satterthwaite", "model")
    assert result.with_inference(ddf="kenward-roger").inference.cov_type == "kenward-roger"
    assert result.with_inference(cov="kenward-roger").inference.ddf == "kenward-roger"
    assert result.with_inference(cov="CR2").inference.ddf == "satterthwaite"
    door = henderson.mixedlm("y ~ x", crossed(), groups="g").fit()
    assert (door.inference.ddf, door.inference.cov_type) == ("asymptotic", "hessian")


def test_singular_fits_keep_to_what_is_estimated():
    # a variance at zero: the linear model's tests
    table = crossed()
    table["y"] = table["x"] + np.random.default_rng(0).normal(size=len(table))
    table["y"] -= table.groupby("g")["y"].transform("mean") - table["y"].mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = henderson.lmer("y ~ x + (1 | g)", table)
    assert result.engine.theta[0] == 0
    np.testing.assert_allclose(result.inference.df(np.eye(2)), 88, rtol=1e-9)


def test_anova_of_arrays_takes_columns():
    table = crossed()
    x = np.column_stack([np.ones(len(table)), table["x"], table["b"] == "hi"]).astype(float)
    arrays = henderson.MixedLM(table["y"].to_numpy(), x, table["g"].to_numpy()).fit()
    formula = henderson.mixedlm("y ~ x + b", table.assign(b=x[:, 2]), groups="g").fit()
    for kind in (1, 2, 3):
        np.testing.assert_allclose(arrays.anova(kind), formula.anova(kind), rtol=1e-8)


def test_design_is_all_that_counts(fit):
    # the same rows in another order
    order = np.random.default_rng(1).permutation(90)
    other = henderson.lmer("y ~ a * x + b + (x | g) + (1 | h)", crossed().iloc[order]).engine
    for kind in (1, 2, 3):
        np.testing.assert_allclose(anova(fit, kind), anova(other, kind), rtol=1e-6)
    assert replace(fit, theta=fit.theta).design is fit.design


def test_between_within_takes_factors_as_the_terms_stand():
    """Two factors vary within subjects: the second gets what subject by it adds to subject by the first. Which came
    first was a matter of the hashes of their names, and so of the process."""
    rng = np.random.default_rng(11)
    s = np.repeat(np.arange(8), 12)
    one, two = rng.choice(list("abc"), 96), rng.choice(list("uv"), 96, p=[0.8, 0.2])
    y = rng.normal(size=8)[s] + rng.normal(size=96)
    for first, second in zip("ADGKQW", "ZXVTBE"):
        fit = henderson.lmer(f"y ~ {first} + {second} + (1 | s)", {"y": y, "s": s, first: one, second: two})
        by = [np.eye(8)[s]]
        ranks = [np.linalg.matrix_rank(np.column_stack([fit.model.exog, *by]))]
        for codes in (np.unique(one, return_inverse=True)[1], np.unique(two, return_inverse=True)[1]):
            by.append(np.eye(24)[3 * s + codes])
            ranks.append(np.linalg.matrix_rank(np.column_stack([fit.model.exog, *by])))
        assert fit.anova(ddf="between-within")["den_df"].tolist() == np.diff(ranks).tolist()


@pytest.mark.parametrize("formula", ["y ~ 0 + (1 | g)", "y ~ 0 + (x | g) + (1 | h)"])
def test_models_without_fixed_effects_have_empty_tables(formula):
    rng = np.random.default_rng(2)
    g, h, x = np.repeat(np.arange(8), 6), np.tile(np.arange(6), 8), rng.normal(size=48)
    data = pd.DataFrame(
        {"g": g, "h": h, "x": x, "y": rng.normal(size=8)[g] + rng.normal(size=6)[h] + rng.normal(size=48)}
    )
    fit = henderson.lmer(formula, data)
    for ddf in ("satterthwaite", "kenward-roger", "containment", "residual"):
        assert fit.with_inference(ddf=ddf).coef_table.empty
    if "h" not in formula:
        assert fit.with_inference(cov="CR2").coef_table.empty
    found = fit.get_prediction(data.head(3), random=True)
    np.testing.assert_allclose(found.to_frame()["estimate"], fit.fittedvalues[:3])
