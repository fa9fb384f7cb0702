"""After a rank-deficient fit: what can be estimated is tested, and the rest is NaN and said."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import henderson


@pytest.fixture(scope="module", params=["lmer", "mixedlm"])
def fit(request):
    rng = np.random.default_rng(29)
    s = np.repeat(np.arange(12), 9)
    table = pd.DataFrame({"s": s, "A": rng.choice(list("ab"), 108), "B": rng.choice(list("cde"), 108)})
    table["y"] = rng.normal(size=12)[s] + rng.normal(size=108)
    table = table[~((table["A"] == "a") & (table["B"] == "e"))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if request.param == "lmer":
            return henderson.lmer("y ~ A*B + (1 | s)", table)
        return henderson.mixedlm("y ~ A*B", table, groups="s").fit()


def test_rows_are_tested_one_by_one(fit):
    with pytest.warns(henderson.ValueWarning, match="was dropped as redundant"):
        together = fit.t_test(np.eye(6))
    alone = [float(fit.t_test(np.eye(6)[[k]]).pvalue) for k in range(5)]
    np.testing.assert_allclose(together.pvalue[:5], alone)
    for column in (together.pvalue, together.sd, together.effect, together.df_denom):
        assert np.isnan(column[5]) or np.isinf(column[5])
    # a function of a dropped coefficient that is estimable: the difference of two cells that have data
    cells = fit.t_test(np.array([[0.0, 1, 0, 0, 0, 0]]))
    assert np.isfinite(cells.effect).all()


def test_terms_are_tested_with_what_is_left(fit):
    table = fit.wald_test_terms().table
    assert np.isfinite(table["pvalue"]).all()
    assert table.loc["A:B", "df_constraint"] == 1
    assert table.loc["B", "df_constraint"] == 2


def test_a_term_of_which_nothing_is_left():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"g": np.repeat(np.arange(8), 6), "x": rng.normal(size=48)}).assign(z=lambda d: 2 * d["x"])
    table["y"] = rng.normal(size=48)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = henderson.lmer("y ~ x + z + (1 | g)", table), henderson.mixedlm("y ~ x + z", table, groups="g").fit()
    for fitted in fits:
        tests = fitted.wald_test_terms().table
        assert np.isnan(tests.loc["z", "pvalue"])
        assert tests.loc["z", "df_constraint"] == 0
        assert np.isfinite(tests.loc["x", "pvalue"])


def test_rounding_does_not_make_a_row_not_estimable():
    rng = np.random.default_rng(1003)
    s = np.repeat(np.arange(12), 14)
    table = pd.DataFrame({"s": s, "A": rng.choice(list("abz"), 168), "B": rng.choice(list("cdef"), 168)})
    table["y"] = rng.normal(size=12)[s] + rng.normal(size=168)
    table = table[~((table["A"] == "a") & (table["B"] == "e")) & ~((table["A"] == "b") & (table["B"] == "f"))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = henderson.lmer("y ~ A*B + (1 | s)", table)
    inference = fitted.inference
    difference = np.zeros(12)
    difference[inference.names.index("B[T.d]")] = 1.0
    noise = 1e-17 * rng.normal(size=12)
    assert inference.estimable(difference + noise).tolist() == inference.estimable(difference).tolist()
    tests = fitted.joint_tests()
    assert not tests["F"].isna().any()


def test_predictions_where_there_are_no_data(fit):
    cells = pd.DataFrame([(a, b, 0) for a in "ab" for b in "cde"], columns=["A", "B", "s"])
    with pytest.warns(
        henderson.ValueWarning, match=r"not estimable: the prediction in row 2 needs A\[T.b\]:B\[T.e\], dropped"
    ):
        alone = fit.predict(cells)
    assert alone.isna().tolist() == [False, False, True, False, False, False]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not fit.predict(cells[~alone.isna()]).isna().any()
        assert np.array_equal(fit.predict(cells.drop(2)), alone.drop(2))
    with pytest.warns(henderson.ValueWarning, match="not estimable"):
        with_effects = fit.predict(cells, random=True)
    assert np.array_equal(with_effects.isna(), alone.isna())
    X = np.array([[1, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 1.0]])
    with pytest.warns(henderson.ValueWarning, match="not estimable"):
        assert np.isnan(fit.predict(X, transform=False)).any()


def test_predictions_do_not_depend_on_what_was_dropped():
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"s": np.repeat(np.arange(10), 6), "x": rng.normal(size=60)})
    table["z"] = 3 - 2 * table["x"]
    table["y"] = table["x"] + rng.normal(size=10)[table["s"]] + rng.normal(size=60)
    new = pd.DataFrame({"x": [0.5, 0.5], "z": [2.0, 1.0]})
    for formula in ("y ~ x + z + (1 | s)", "y ~ z + x + (1 | s)"):
        with pytest.warns(henderson.ValueWarning, match="dropped as linear combinations"):
            fit = henderson.lmer(formula, table)
        with pytest.warns(henderson.ValueWarning, match="not estimable: the prediction in row 1 needs"):
            found = fit.predict(new)
        assert found.isna().tolist() == [False, True]
        assert found[0] == pytest.approx(henderson.lmer("y ~ x + (1 | s)", table).predict(new)[0], rel=1e-8)


def test_bootstrap_intervals_leave_dropped_columns_out(fit):
    table = fit.conf_int(method="boot", n=50, seed=1, progress=False)
    dropped = [name for name, kept in zip(fit.design.x_names, fit.engine.kept) if not kept]
    assert len(dropped) == 1
    shown = table.reindex(dropped)
    assert shown.isna().to_numpy().all()
    kept = [name for name in fit.design.x_names if name not in dropped]
    assert np.isfinite(table.loc[kept].select_dtypes("number")).to_numpy().all()
