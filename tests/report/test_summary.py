"""The summary and the short text: HTML, Markdown and LaTeX say what the text says."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest

from henderson import datasets, lmer, mixedlm


@pytest.fixture(scope="module")
def fit():
    return lmer("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))


def words(text):
    """Numbers and names of a text, marks of HTML, Markdown and LaTeX left out."""
    text = html.unescape(re.sub(r"<(/?(p|br|table|caption|thead|tbody|tr|td|th)\b[^>]*)>", " ", text))
    return set(re.findall(r"-?\d+\.\d+(?:e-\d+)?|[A-Za-z(][A-Za-z)]+", text))


def test_html_and_markdown_say_what_the_text_says(fit):
    summary = fit.summary()
    said = words(str(summary)) - {"Correlation", "Fixed", "Effects", "Random", "effects", "Scaled", "residuals"}
    for other in (summary.as_html(), summary.as_markdown()):
        assert said <= words(other)
    assert words(repr(fit)) <= words(fit._repr_html_())
    assert r"\begin{tabular}" in summary.as_latex()


def test_a_result_shows_itself(fit):
    text = repr(fit)
    for part in ("REML", "Reaction ~ Days + (Days | Subject)", "1743.6", "24.740", "0.07", "Subject, 18", "10.47"):
        assert part in text
    assert "25.592" in repr(
        mixedlm("Reaction ~ Days", datasets.load("sleepstudy"), groups="Subject", re_formula="~Days").fit()
    )


def test_a_model_without_fixed_effects_has_a_summary_and_tables():
    """lme4 says the same words; every method that has no rows returns an empty table."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(8), 6)
    y = rng.normal(size=8)[g] + rng.normal(size=48)
    fit = lmer("y ~ 0 + (1 | g)", {"y": y, "g": g})
    assert "No fixed effect coefficients" in str(fit.summary())
    assert "No fixed effect coefficients" in fit.summary().as_html()
    assert "No fixed effect coefficients" in repr(fit)
    assert len(fit.params) == len(fit.bse) == len(fit.conf_int()) == len(fit.coef_table) == len(fit.anova()) == 0
    assert fit.cov_params().shape == (0, 0)
    assert "sd_(Intercept)|g" in fit.conf_int(method="wald").index
    assert str(fit.coef_table)
    assert str(fit.conf_int())
    assert fit.to_dict()["fixed"] == []
    assert len(fit.tidy("fixed")) == 0
