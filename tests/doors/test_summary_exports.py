"""Exports of the summaries behind statsmodels' door: statsmodels' own have its cells, the others the same ones."""

from __future__ import annotations

import csv
import re
from html import unescape

import numpy as np
import pytest
from statsmodels.iolib import summary2
from statsmodels.iolib.table import SimpleTable

from henderson import mixedlm
from statsmodels_models import nba


@pytest.fixture(scope="module")
def fit():
    """A name with an underscore is one that LaTeX must have escaped."""
    return mixedlm("Points ~ min_played", nba().rename(columns={"Minutes": "min_played"}), groups="Team").fit()


def html_cells(text):
    """The cells of HTML tables, row by row."""
    rows = re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)
    return [[unescape(cell).strip() for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row)] for row in rows]


def latex_cells(text):
    """The cells of LaTeX tabulars, row by row."""
    lines = [line.removesuffix(r"\\") for line in text.splitlines() if line.endswith(r"\\")]
    plain = [re.sub(r"(?<=>) (?=\|)", "", line.replace("$", "")).replace(r"\_", "_") for line in lines]
    return [[cell.strip() for cell in line.split("&")] for line in plain]


def markdown_cells(text):
    """The cells of Markdown tables, row by row; rules and empty headers left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in rows if any(cell.strip(":-") for cell in row)]


def same_everywhere(ours, expected):
    assert html_cells(ours.as_html()) == html_cells(ours.to_html()) == expected
    assert latex_cells(ours.as_latex()) == latex_cells(ours.to_latex()) == expected
    assert latex_cells(ours.as_latex_tabular()) == expected
    assert markdown_cells(ours.as_markdown()) == markdown_cells(ours.to_markdown()) == expected
    assert list(csv.reader(ours.as_csv().splitlines())) == [[ours.title], *expected]


def test_a_summary(fit):
    ours, theirs = fit.summary(), summary2.Summary()
    theirs.add_array(ours.tables[0].to_numpy().tolist(), align="l")
    theirs.add_df(ours.tables[1])
    theirs.add_title(ours.title)
    expected = html_cells(theirs.as_html())
    assert [expected[0][3], expected[-2][0]] == ["Points", "min_played"]
    same_everywhere(ours, expected)
    assert latex_cells(theirs.as_latex()) == expected
    for mark in (r"\begin{center}", r"\caption{Mixed Linear Model Regression Results}", r"min\_played"):
        assert mark in ours.as_latex()
        assert mark in theirs.as_latex()


def test_tests(fit):
    """statsmodels' is a table of another kind, with `as_csv` and `as_latex_tabular`."""
    ours = fit.t_test(np.eye(2)).summary()
    frame = ours.tables[0]
    theirs = SimpleTable(frame.to_numpy().tolist(), list(frame.columns), list(frame.index), title=ours.title)
    expected = html_cells(theirs.as_html())
    assert expected[0] == ["", "coef", "std err", "z", "P>|z|", "[0.025", "0.975]"]
    assert [row[0] for row in expected[1:]] == ["c0", "c1"]
    same_everywhere(ours, expected)
    title, *rows = csv.reader(theirs.as_csv().splitlines())
    assert [title[0].strip(), *([cell.strip() for cell in row] for row in rows)] == [ours.title, *expected]
