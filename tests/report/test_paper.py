"""Models side by side for a paper: what is in the cells, and that the formats are whole."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import henderson
from henderson.report.paper import p_text, paper_table

SLEEP = henderson.datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def fits():
    return [
        henderson.lmer("Reaction ~ Days + (Days | Subject)", SLEEP),
        henderson.lmer("Reaction ~ 1 + (1 | Subject)", SLEEP),
    ]


def cells(fits, **options) -> pd.DataFrame:
    grid = paper_table(fits, **options).grid
    return pd.DataFrame([row[1:] for row in grid.rows], index=[row[0] for row in grid.rows])


def test_apa(fits):
    table = cells(fits)
    assert table.loc["Days", 0] == "10.47 [7.21, 13.73], t(17.0) = 6.77, p < .001"
    assert table.loc["Days", 1] == ""
    assert table.loc["SD Days, Subject", 0] == "5.92"
    assert table.loc["Corr (Intercept), Days, Subject", 0] == ".07"
    assert table.loc["N (Subject)"].tolist() == ["18", "18"]
    assert table.loc["R² (marginal)"].tolist() == [".28", ".00"]


def test_journal(fits):
    assert cells(fits, style="journal").loc["Days", 0] == "10.47*** (1.55)"
    assert cells(fits, style="journal", uncertainty="ci").loc["Days", 0] == "10.47*** [7.21, 13.73]"
    assert cells(fits, ddf="z").loc["Days", 0].endswith("z = 6.77, p < .001")


@pytest.mark.parametrize("p", [0.0, 1e-300, 1e-4, 0.00099, 0.001, 0.0499, 0.05, 0.5, 0.9996, 1.0])
def test_p_is_never_zero_nor_one(p):
    assert re.fullmatch(r"p (= \.\d{3}|< \.001|> \.999)", p_text(p))
    assert "0.0000" not in p_text(p)


def test_labels(fits):
    table = cells(fits, labels={"Days": "Days of deprivation", "(Intercept)": "Start", "Subject": "Person"})
    assert {"Days of deprivation", "Start", "SD Days of deprivation, Person", "N (Person)"} <= set(table.index)
    with pytest.raises(ValueError, match="labels names 'Dayz', which is nothing in the models"):
        cells(fits, labels={"Dayz": "x"})


def test_a_product_has_the_labels_of_its_factors():
    cake = henderson.datasets.load("cake")
    fit = henderson.lmer("angle ~ recipe * temp + (1 | replicate)", cake.assign(temp=cake["temperature"].astype(float)))
    table = cells([fit], labels={"recipe[T.B]": "Recipe B", "temp": "Heat", "recipe[T.C]:temp": "C in the oven"})
    assert {"Recipe B", "Recipe B × Heat", "recipe[T.C]", "C in the oven"} <= set(table.index)


def test_formats(fits):
    markdown = henderson.table(fits, names=["Slopes", "Null"], title="Sleep")
    widths = {line.count("|") for line in markdown.splitlines() if line.startswith("|")}
    assert widths == {4}
    latex = henderson.table(fits, output="latex", title="Sleep & more")
    assert latex.count(r"\begin{") == latex.count(r"\end{")
    assert r"\caption{Sleep \& more}" in latex
    assert "$R^2$ (marginal)" in latex
    columns = {line.count(" & ") for line in latex.splitlines() if line.endswith(r"\\") and "multicolumn" not in line}
    assert columns == {2}
    html = henderson.table(fits, output="html", title="Sleep")
    for text in ("Days", "Fixed effects", "Random effects", "p &lt; .001", "Sleep"):
        assert text in html or text.replace("&lt;", "<") in html


def test_a_singular_fit_and_units():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", henderson.SingularMatrixWarning)
        flat = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff2"))
    assert cells(flat).loc["SD (Intercept), Batch", 0] == "0.00"
    tiny = henderson.lmer("y ~ Days + (1 | Subject)", SLEEP.assign(y=SLEEP["Reaction"] * 1e-6))
    estimate = cells(tiny).loc["Days", 0].split(" ")[0]
    assert float(estimate) == pytest.approx(tiny.params["Days"], rel=1e-3)
    assert np.isfinite(float(cells(tiny).loc["SD residual", 0]))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"style": "nature"}, "style must be one of apa, journal, not 'nature'"),
        ({"output": "docx"}, "output must be one of markdown, latex, html, not 'docx'"),
        ({"names": ["one"]}, "1 names for 2 models"),
        ({"uncertainty": "sd"}, "uncertainty must be 'ci' or 'se'"),
    ],
)
def test_errors(fits, options, says):
    with pytest.raises(ValueError, match=says):
        henderson.table(fits, **options)
    with pytest.raises(ValueError, match="there is no model"):
        henderson.table([])
    with pytest.raises(ValueError, match="made of results, not of int"):
        henderson.table([3])


def test_residual_covariances_in_a_paper():
    fev = henderson.datasets.load("fev")
    formula = "FEV1 ~ ARMCD * AVISIT"
    fits = [henderson.mmrm(f"{formula} + {name}(AVISIT | USUBJID)", fev) for name in ("us", "ar1")]
    text = henderson.table(fits, labels={"USUBJID": "patient", "VIS1": "week 1"})
    rows = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:-1]] for row in text.splitlines()
            if row.count("|") == 4}  # fmt: skip
    sd = np.sqrt(np.diag(fits[0].residual_cov()))
    assert rows["SD week 1, residual"] == [f"{sd[0]:.2f}", ""]
    assert rows["SD residual"] == ["", f"{fits[1].sigma:.2f}"]
    assert rows["Corr week 1, VIS2, residual"][0] == f"{fits[0].residual_cov(correlation=True).iloc[0, 1]:.2f}"[1:]
    assert rows["N (patient)"] == ["197", "197"]
    assert "ICC (adjusted)" not in rows  # there are no random effects
    assert r"us(AVISIT \| USUBJID)" in text
    many = henderson.mmrm("BCVA_CHG ~ ARMCD + us(AVISIT | USUBJID)", henderson.datasets.load("bcva"))
    assert "SD VIS01, residual" not in henderson.table([many])


def test_correlations_of_names_with_dots():
    """A treatment coded factor's effect, recipe[T.B], was taken apart at its own dot."""
    fit = henderson.lmer("angle ~ recipe + (recipe | replicate)", henderson.datasets.load("cake"))
    text = henderson.table([fit], labels={"recipe[T.B]": "Recipe B"}, output="markdown")
    assert "| Corr Recipe B, recipe[T.C], replicate |" in text


def test_models_of_both_doors_and_of_residual_structures():
    # intercepts of the doors are one row; what a later model has more stands where it stands there; criteria that
    # count other things are said to
    data = henderson.datasets.load("sleepstudy")
    fits = [
        henderson.lmer("Reaction ~ Days + (1 | Subject)", data),
        henderson.mixedlm("Reaction ~ Days", data, groups="Subject", re_formula="~Days").fit(),
        henderson.mmrm("Reaction ~ Days + ar1(Days | Subject)", data),
    ]
    text = henderson.table(fits, style="journal")
    names = [row.split("|")[1].strip() for row in text.splitlines() if row.count("|") == 5]
    assert names[:4] == ["", ":--", "Fixed effects", "(Intercept)"]
    assert "Intercept" not in names
    sd = [name for name in names if name.startswith(("SD", "Corr"))]
    assert sd[:4] == ["SD (Intercept), Subject", "Corr (Intercept), Days, Subject", "SD Days, Subject", "SD residual"]
    assert "AIC and BIC: Model 3 counts variance parameters alone, as SAS does." in text
    assert "AIC and BIC:" not in henderson.table(fits[:2])
    assert "| Const |" in henderson.table(fits[::-1], labels={"(Intercept)": "Const"})
