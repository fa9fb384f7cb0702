"""Results in the hands of other packages: each test runs the real one."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from statsmodels.iolib.summary2 import summary_col

import henderson
from henderson.errors import DataError
from henderson.marginaleffects import wrap
from henderson.sklearn import MixedLMRegressor
from henderson.sources.frames import as_pandas

# marginaleffects differentiates predictions numerically
NUMERIC = 1e-3

SLEEP = henderson.datasets.load("sleepstudy")
X, Y = SLEEP[["Days", "Subject"]], SLEEP["Reaction"]


@pytest.fixture(scope="module")
def fit():
    return henderson.lmer("Reaction ~ Days + (Days | Subject)", SLEEP)


@pytest.fixture(scope="module")
def smaller():
    return henderson.lmer("Reaction ~ Days + (1 | Subject)", SLEEP)


def test_summary_col(fit, smaller):
    text = str(summary_col([fit, smaller], model_names=["a", "b"], info_dict={"N": lambda r: str(r.nobs)}))
    assert "10.4673" in text
    assert "(1.5458)" in text
    assert "(0.8042)" in text


def test_maketables(fit, smaller):
    import maketables

    table = maketables.ETable([fit, smaller]).df
    text = table.to_string()
    assert "10.467*** \\n (1.546)" in text
    assert "10.467*** \\n (0.804)" in text
    assert "180" in text
    assert fit.__maketables_stat__("aic") == pytest.approx(fit.aic)
    assert fit.__maketables_stat__("no such") is None


def test_marginaleffects(fit):
    from marginaleffects import avg_comparisons, avg_slopes, predictions, slopes

    model = wrap(fit, SLEEP)
    slope = avg_slopes(model, variables="Days")
    assert slope["estimate"][0] == pytest.approx(fit.params["Days"], rel=1e-6)
    assert slope["std_error"][0] == pytest.approx(fit.bse["Days"], rel=NUMERIC)
    assert len(slopes(model, variables="Days")) == 180
    step = avg_comparisons(model, variables={"Days": 2})
    assert step["estimate"][0] == pytest.approx(2 * fit.params["Days"], rel=1e-6)
    found = predictions(model, newdata=SLEEP.iloc[[0, 9]])
    want = fit.predict(SLEEP.iloc[[0, 9]], re="none", se=True, variance_uncertainty=False)
    np.testing.assert_allclose(found["estimate"], want["estimate"], rtol=1e-8)
    rows = np.array([[1.0, 0.0], [1.0, 9.0]])
    np.testing.assert_allclose(found["std_error"], fit.inference.se(rows), rtol=NUMERIC)
    with pytest.raises(ValueError, match="with_inference"):
        model.get_vcov("HC3")
    arrays = henderson.MixedLM(Y.to_numpy(), np.ones((180, 1)), SLEEP["Subject"].to_numpy()).fit()
    with pytest.raises(DataError, match="made by a formula"):
        wrap(arrays, SLEEP)


@parametrize_with_checks([MixedLMRegressor()])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_a_regressor_is_the_model(fit):
    model = MixedLMRegressor("Days + (Days | Subject)").fit(X, Y)
    np.testing.assert_allclose(model.predict(X), fit.fittedvalues, rtol=1e-8)
    assert (model.intercept_, model.coef_[0]) == pytest.approx(tuple(fit.params))
    population = clone(model).set_params(random=False).fit(X, Y)
    np.testing.assert_allclose(population.predict(X), fit.predict(), rtol=1e-8)
    new = pd.DataFrame({"Days": [3], "Subject": [999]})
    assert model.predict(new)[0] == pytest.approx(fit.params @ [1, 3])


def test_groups_of_cross_validation_and_pipelines():
    score = cross_val_score(MixedLMRegressor(groups="Subject"), X, Y, groups=SLEEP["Subject"], cv=GroupKFold(3))
    scaled = make_column_transformer(
        (StandardScaler(), ["Days"]), ("passthrough", ["Subject"]), verbose_feature_names_out=False
    ).set_output(transform="pandas")
    pipe = make_pipeline(scaled, MixedLMRegressor(groups="Subject"))
    again = cross_val_score(pipe, X, Y, groups=SLEEP["Subject"], cv=GroupKFold(3))
    np.testing.assert_allclose(score, again, rtol=1e-6)
    # the population's line, fitted without the fold's subjects
    train, test = next(GroupKFold(3).split(X, Y, SLEEP["Subject"]))
    line = henderson.lmer("Reaction ~ Days + (1 | Subject)", SLEEP.iloc[train]).predict(SLEEP.iloc[test])
    error = Y.iloc[test] - line
    assert score[0] == pytest.approx(1 - (error**2).sum() / ((Y.iloc[test] - Y.iloc[test].mean()) ** 2).sum())


def test_polars_in_a_regressor(fit):
    table = pl.from_pandas(X)
    model = MixedLMRegressor("Days + (Days | Subject)").fit(table, Y)
    np.testing.assert_allclose(model.predict(table), fit.fittedvalues, rtol=1e-8)


def test_columns_of_a_regressor_are_read_as_lmer_reads_them():
    """Levels of a polars Enum lost their order, and with it the coefficients; columns of pyarrow lost their names."""
    shift = pl.Series("shift", ["late", "early", "late"] * 60, dtype=pl.Enum(["late", "early"]))
    table = pl.from_pandas(SLEEP).with_columns(shift)
    right = henderson.lmer("Reaction ~ Days + shift + (1 | Subject)", table)
    for X in (table.drop("Reaction"), table.drop("Reaction").to_arrow(), as_pandas(table.drop("Reaction"))):
        model = MixedLMRegressor("Days + shift + (1 | Subject)").fit(X, Y)
        assert list(model.results_.params.index) == ["(Intercept)", "Days", "shift[T.early]"]
        np.testing.assert_allclose(model.coef_, right.params.iloc[1:], rtol=1e-10)
        np.testing.assert_allclose(model.predict(X), right.fittedvalues, rtol=1e-10)


def test_a_regressor_with_correlated_residuals_and_relatives():
    model = clone(MixedLMRegressor("Days", residual="ar1(Days | Subject)")).fit(X, Y)
    right = henderson.lmer("Reaction ~ Days", SLEEP, residual="ar1(Days | Subject)")
    np.testing.assert_allclose(model.coef_, right.params.iloc[1:], rtol=1e-10)
    np.testing.assert_allclose(model.predict(X), right.predict(SLEEP), rtol=1e-10)
    labels = SLEEP["Subject"].unique()
    kin = pd.DataFrame(0.3 + 0.7 * np.eye(len(labels)), labels, labels)
    related = clone(MixedLMRegressor(groups="Subject", relmat={"Subject": kin})).fit(X, Y)
    own = henderson.lmer("Reaction ~ Days + (1 | Subject)", SLEEP, relmat={"Subject": kin})
    np.testing.assert_allclose(related.predict(X), own.fittedvalues, rtol=1e-10)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (MixedLMRegressor(groups="School"), "groups='School' is no column of X; there are Days, Subject"),
        (MixedLMRegressor("Days"), "no random effects such as"),
        (MixedLMRegressor("log(rt) ~ Days + (1 | Subject)"), "a name for y, not 'log.rt.'"),
        (MixedLMRegressor("Days ~ 1 + (1 | Subject)"), "calls y 'Days', which is a column of X"),
    ],
)
def test_a_regressor_says_what_it_lacks(model, says):
    with pytest.raises(ValueError, match=says):
        model.fit(X, Y)


def test_a_response_in_backticks():
    model = MixedLMRegressor("`rt (ms)` ~ Days + (1 | Subject)").fit(X, Y)
    np.testing.assert_allclose(model.coef_, MixedLMRegressor("Days + (1 | Subject)").fit(X, Y).coef_)


def test_polars_in_polars_out(fit):
    table = pl.from_pandas(SLEEP)
    own = henderson.lmer("Reaction ~ Days + (Days | Subject)", table)
    out = table.with_columns(fit=own.fittedvalues, error=own.resid)
    np.testing.assert_allclose(out["fit"] + out["error"], out["Reaction"])
    np.testing.assert_allclose(out["fit"], fit.fittedvalues, rtol=1e-12)
    assert isinstance(own.augment(table), pl.DataFrame)
    assert isinstance(own.simulate(2, seed=1), pl.DataFrame)
    assert isinstance(own.tidy(backend="polars"), pl.DataFrame)
    assert isinstance(fit.fittedvalues, pd.Series)
    arrow = pa.Table.from_pandas(SLEEP)
    made = fit.augment(arrow)
    assert isinstance(made, pa.Table)
    assert made.column_names[:4] == ["Reaction", "Days", "Subject", ".fitted"]
    assert isinstance(fit.augment(table, backend="pyarrow"), pa.Table)
    assert isinstance(fit.glance(backend="pyarrow"), pa.Table)
    with pytest.raises(ValueError, match="backend must be one of pandas, polars, pyarrow, not 'spark'"):
        fit.glance(backend="spark")


@pytest.mark.parametrize("kind", [pl.DataFrame, pa.Table])
def test_tables_by_level_have_the_levels_as_index(fit, kind, tmp_path):
    table = pl.from_pandas(SLEEP) if kind is pl.DataFrame else pa.Table.from_pandas(SLEEP)
    own = henderson.lmer("Reaction ~ Days + (Days | Subject)", table)
    own.save(tmp_path / "own", remove_data=True)
    for one in (own, henderson.load(tmp_path / "own")):
        for name in ("ranef", "ranef_sd", "coef"):
            found, want = getattr(one, name)["Subject"], getattr(fit, name)["Subject"]
            pd.testing.assert_frame_equal(found, want, rtol=1e-6)
    crossed = henderson.lmer("strength ~ 1 + (1 | batch / cask)", pl.from_pandas(henderson.datasets.load("Pastes")))
    assert list(crossed.ranef["cask:batch"].columns) == ["(Intercept)"]


def test_columns_of_an_arrow_table_are_arrows(fit):
    table = pa.Table.from_pandas(SLEEP)
    own = henderson.lmer("Reaction ~ Days + (Days | Subject)", table)
    out = table.append_column("fit", own.fittedvalues).append_column("error", own.resid)
    np.testing.assert_allclose(np.add(out["fit"], out["error"]), SLEEP["Reaction"])
    assert isinstance(own.predict(se=True), pa.Table)
    assert isinstance(own.simulate(2, seed=1), pa.Table)
    np.testing.assert_allclose(own.predict(re="all"), fit.fittedvalues, rtol=1e-12)


def test_augment_of_rows_that_were_left_out():
    holes = SLEEP.assign(Reaction=SLEEP["Reaction"].where(SLEEP.index % 7 != 3))
    fit = henderson.lmer("Reaction ~ Days + (1 | Subject)", holes)
    out = fit.augment(holes)
    assert out.index.equals(holes.index[holes["Reaction"].notna()])
    np.testing.assert_allclose(out[".fitted"] + out[".resid"], out["Reaction"])
    np.testing.assert_allclose(pl.DataFrame(fit.augment(pl.from_pandas(holes)))[".fitted"], out[".fitted"])
    with pytest.raises(DataError, match="the data has 10 rows, the fit was made of 180"):
        fit.augment(holes.head(10))


def test_to_dict_is_json(fit):
    found = json.loads(json.dumps(fit.to_dict()))
    assert found["levels"] == {"Subject": 18}
    assert found["fixed"][1]["term"] == "Days"
    assert found["fixed"][1]["std.error"] == pytest.approx(fit.bse["Days"])
    assert found["model"]["REMLcrit"] == pytest.approx(fit.deviance)
    flat = henderson.lmer("Reaction ~ Days + (Days | Subject)", SLEEP, ddf="asymptotic").to_dict()
    assert flat["fixed"][0]["df"] is None
