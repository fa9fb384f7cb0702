"""A summary as LaTeX is one table that a paper can include."""

from __future__ import annotations

import henderson
from henderson.report.summary import with_minus_signs


def test_one_floating_table_with_everything_inside():
    fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    latex = fit.summary().as_latex()
    assert latex.startswith("\\begin{table}\n\\centering\n\\caption{")
    assert latex.endswith("\\end{table}")
    assert latex.count("\\begin{") == latex.count("\\end{") == 3
    for text in ("251.405 & 6.825 & 17.00 & 36.838", "$p$", "Number of obs: 180, groups: Subject, 18"):
        assert text in latex


def test_negative_numbers_have_a_minus():
    penicillin = henderson.datasets.load("Penicillin")
    fit = henderson.lmer("y ~ 1 + (1 | plate)", penicillin.assign(y=-penicillin["diameter"]))
    assert "(Intercept) & $-$22.9722" in fit.summary().as_latex()
    assert with_minus_signs("a - b & x-1 & -2") == "a - b & x-1 & $-$2"
