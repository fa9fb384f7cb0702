"""How tables write numbers: to the digit that the standard error vouches for, in any unit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from henderson import datasets, lmer, mixedlm
from henderson.tables.result_frame import ResultFrame
from henderson.tables.table import Table


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1.0, 1e6, 1e12])
def test_three_digits_of_the_standard_error_in_any_unit(unit):
    frame = pd.DataFrame({"estimate": [1.23456 * unit], "se": [0.0456789 * unit]}, index=pd.Index(["x"], name="term"))
    estimate, se = str(Table(frame)).split("\n")[1].split()[1:]
    assert float(se) == pytest.approx(0.0457 * unit, rel=1e-2)
    assert float(estimate) == pytest.approx(1.2346 * unit, rel=1e-4)


def test_rows_of_very_different_size_have_their_own_decimals():
    frame = pd.DataFrame({"lower": [10.0, 1.2e-9], "upper": [30.0, 2.4e-9]}, index=["a", "b"])
    text = str(Table(frame)).split("\n")
    assert text[1].split()[1:] == ["10.00", "30.00"]
    assert [float(cell) for cell in text[2].split()[1:]] == [1.2e-9, 2.4e-9]


def test_what_is_not_there_is_blank_and_p_is_never_zero():
    frame = pd.DataFrame(
        {"statistic": [np.nan, 31.5], "p": [np.nan, 0.0], "p_chibar": [1e-9, np.nan]}, index=["a", "b"]
    )
    text = str(Table(frame))
    assert "nan" not in text.lower()
    assert "0.0000" not in text
    assert "<0.0001" in text


def test_columns_called_like_numbers_are_written_as_they_are():
    frame = pd.DataFrame({"p": [1, 2], "estimate": [1.0, 2.0], "se": [0.1, 0.1], "p1": [1e-9, 0.5]})
    lines = str(Table(frame, by=("p",), keys=1)).split("\n")
    assert "p = 1:" in lines
    assert "<0.0001" in lines[2]


def test_every_table_of_results_is_one_kind():
    fit = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", datasets.load("cake"))
    tables = [
        fit.varcorr, fit.coef_table, fit.anova(), fit.conf_int(), fit.conf_int(method="wald"), fit.icc(), fit.rePCA(),
        fit.ranova(), fit.joint_tests(), fit.joint_tests(by="recipe"), fit.variance_errors(),
        fit.bootstrap(3, seed=1).summary(), fit.bootstrap(3, seed=1).interval(), fit.profile("sigma").interval(),
    ]  # fmt: skip
    for table in tables:
        assert isinstance(table, ResultFrame)
        assert table._repr_html_().startswith("<table>")
        assert table.to_markdown().count("\n| ") >= 1
        assert r"\toprule" in table.to_latex()
        assert "nan" not in str(table).lower()
        assert "0.0000" not in str(table).split()
        assert "index" not in table.reset_index().columns or isinstance(table.index, pd.RangeIndex)
    assert "recipe:replicate" in fit.ranef["recipe:replicate"].reset_index().columns


def test_a_summary_in_any_unit_shows_its_digits():
    data = datasets.load("Dyestuff").assign(Yield=lambda d: d["Yield"] * 1e-16)
    text = str(lmer("Yield ~ 1 + (1 | Batch)", data).summary())
    assert "4.951e-15" in text
    assert "1.764e-29" in text


def test_a_covariate_called_sigma_is_not_the_residual():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(range(10), 6), "sigma": rng.normal(size=60)})
    data["y"] = 5 + data["sigma"] + rng.normal(size=10)[data["g"]] + 0.1 * rng.normal(size=60)
    fit = lmer("y ~ sigma + (1 | g)", data)
    for method in ("wald", "profile"):
        table = fit.conf_int(method=method)
        assert list(table.index) == ["sd_(Intercept)|g", ".sigma", "(Intercept)", "sigma"]
        assert table.loc[".sigma", "upper"] < 0.2 < table.loc["sigma", "lower"]
    assert list(fit.conf_int(parameters="sigma").index) == ["sigma"]


@pytest.mark.parametrize("door", ["lmer", "mixedlm"])
def test_what_is_not_a_table_has_the_exports_of_one(door):
    data = datasets.load("sleepstudy")
    fit = lmer("Reaction ~ Days + (1 | Subject)", data)
    if door == "mixedlm":
        fit = mixedlm("Reaction ~ Days", data, groups="Subject").fit()
    tests = [fit.t_test("Days = 0"), fit.wald_test("Days = 0"), fit.wald_test_terms()]
    for shown in (fit.summary(), fit.r2(), fit.caic(), *tests):
        assert "<table" in shown.to_html() == shown._repr_html_()
        assert shown.to_markdown().count("| --") or "--:" in shown.to_markdown()
        assert r"\begin{tabular}" in shown.to_latex()
    for test in tests:
        assert "&lt;0.0001" in test.to_html()
    assert fit.r2() == (fit.r2().marginal, fit.r2().conditional)


def test_no_p_value_prints_as_zero():
    data = datasets.load("sleepstudy")
    fits = [lmer("Reaction ~ Days + (1 | Subject)", data), mixedlm("Reaction ~ Days", data, groups="Subject").fit()]
    for fit in fits:
        assert "<.001" in str(fit.t_test("Days = 0"))
        assert " 0.000 " not in str(fit.t_test("Days = 0")) + str(fit.summary())


def test_a_covariate_called_as_the_intercept_has_its_own_interval():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": np.repeat(range(8), 6), "x": rng.normal(size=48)})
    data["y"] = 1 + data["x"] + rng.normal(size=8)[data["g"]] + rng.normal(size=48)
    want = lmer("y ~ x + (1 | g)", data)
    got = lmer("y ~ `(Intercept)` + (1 | g)", data.rename(columns={"x": "(Intercept)"}))
    np.testing.assert_allclose(got.conf_int(), want.conf_int(), rtol=1e-8)
    np.testing.assert_allclose(got.conf_int(method="wald"), want.conf_int(method="wald"), rtol=1e-6)


def test_of_a_long_table_the_prompt_shows_both_ends():
    frame = ResultFrame({"estimate": np.arange(2000.0)}, index=pd.RangeIndex(2000, name="animal"))
    lines = repr(frame).splitlines()
    assert [line.split()[0] for line in (lines[1], lines[10], lines[11], lines[20])] == ["0", "9", "1990", "1999"]
    assert lines[-1] == "2,000 rows, of which the first and the last 10 are shown"
    assert frame._repr_html_().count("<tr>") < 30
    assert len(ResultFrame({"estimate": np.arange(500.0)}, index=frame.index[:500]).__repr__().splitlines()) == 501
    assert len(frame.to_markdown().splitlines()) > 2000
