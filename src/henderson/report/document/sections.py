"""The sections of a report, each a function of the results that returns HTML; `SECTIONS` has their order."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.design.variance_parameters import lme4_order, shown, variance_parameters
from henderson.means.grid import model_terms, reference_grid
from henderson.report.document.code import code_of
from henderson.report.document.page import Section, paragraph, scrolled, text
from henderson.report.document.pictures import pictures
from henderson.report.document.words import equation, in_words, residual_words
from henderson.report.notes import notes_of
from henderson.report.varcorr import varcorr_grid
from henderson.tables.digits import four_digits
from henderson.tables.table import Table
from henderson.version import __version__

#: levels up to which a factor's means are listed, and up to which all pairs of them are compared
MOST_MEANS, MOST_PAIRED = 30, 8
DDF_WORDS = {
    "satterthwaite": "Satterthwaite's",
    "kenward-roger": "Kenward and Roger's",
    "asymptotic": "infinite (z and χ² tests)",
}


def model(results: Any) -> str:
    """The model in words and in mathematics."""
    formula = f"<pre>{text(results.design.formula)}</pre>" if results.design.formula else ""
    words = " ".join(in_words(results.engine))
    return formula + paragraph(words) + equation(results.design)


def data(results: Any) -> str:
    """Rows used and left out, the response, the grouping factors."""
    design, y = results.design, results.engine.observed_for("report()").y
    lost = design.n_missing
    said = f"{design.n:,} rows were used. " + (
        f"{lost:,} of {design.n + lost:,} rows ({lost / (design.n + lost):.1%}) have a missing value in a variable of "
        "the model and were left out."
        if lost
        else "No row has a missing value in a variable of the model."
    )
    numbers = {"mean": y.mean(), "sd": y.std(ddof=1), "min": y.min(), "median": np.median(y), "max": y.max()}
    response = pd.DataFrame(
        {"response": [design.y_name]} | {name: [four_digits(float(v))] for name, v in numbers.items()}
    )
    terms = groups_of(design)
    groups = pd.DataFrame({"grouping factor": list(terms), "levels": list(terms.values())})
    groups["rows per level"] = [design.n / n for n in terms.values()]
    return (
        paragraph(said)
        + scrolled(Table(response, "The response", keys=1).to_html())
        + scrolled(Table(groups, "The groups (rows per level: mean)", keys=1).to_html())
    )


def groups_of(design: Design) -> dict[str, int]:
    """Grouping factors in lme4's order, and that of the residuals' series, with their numbers of levels."""
    out = {design.terms[k].group: design.terms[k].n_levels for k in lme4_order(design.terms)}
    if design.residual is not None and design.residual.group:
        out.setdefault(design.residual.group, design.residual.n_series)
    return out


def estimates(results: Any) -> str:
    """The fixed effects, and how well the model fits."""
    said = (
        "An estimate is the change in the mean of the response when the variable goes up by one, or against the "
        "reference level of a factor, all else equal. Its standard error (se) and the 95 % limits (lower, upper) say "
        "how precisely it is known; p is the probability of a statistic at least as far from 0 if there were no effect."
    )
    if not len(results.design.x_names):
        return paragraph("The model has no fixed effects.")
    notes = "".join(paragraph("Note: " + note, "soft") for note in notes_of(results.engine))
    return paragraph(said) + scrolled(results.coef_table.to_html()) + notes + scrolled(_criteria(results))


def _criteria(results: Any) -> str:
    fit = results.engine
    r2 = results.r2()
    rows = {
        "REML criterion" if fit.reml else "deviance (−2 log-likelihood)": f"{fit.deviance:.2f}",
        "AIC": f"{results.aic:.2f}",
        "BIC": f"{results.bic:.2f}",
        "R², fixed effects (marginal)": f"{r2.marginal:.3f}",
        "R², fixed and random effects (conditional)": f"{r2.conditional:.3f}",
    }
    return Table(pd.DataFrame({"measure": list(rows), "value": list(rows.values())}), "Fit").to_html()


def random_effects(results: Any) -> str:
    """Variances, standard deviations and correlations."""
    said = (
        "How much the levels of each factor differ: the standard deviation is in the units of the response (of a "
        "slope: per unit of its variable). The residual is what differs from row to row within them."
    )
    residual = results.design.residual
    if residual is not None and not residual.is_plain:
        parts = [paragraph(said)] if results.design.terms else []
        parts.append(paragraph(residual_words(residual)))
        parts.append(scrolled(varcorr_grid(results.varcorr).html()))
        parts.append(scrolled(variance_table(results).to_html()))
        return "\n".join(parts)
    return paragraph(said) + scrolled(varcorr_grid(results.varcorr).html())


def variance_table(results: Any) -> Table:
    """The covariance parameters with their limits."""
    found = results.conf_int(method="wald", parameters="theta_")
    parameters = variance_parameters(results.design)
    psi = results.engine.shown_psi[None]
    lam = [(one @ one.T)[None] for one in results.engine.lam]
    values = shown(parameters, lam, np.array([results.engine.sigma]), psi)[0]
    names = [one.name for one in parameters]
    limits = found.reindex(names).to_numpy(float)
    frame = pd.DataFrame({"parameter": names, "estimate": values, "lower": limits[:, 0], "upper": limits[:, 1]})
    return Table(frame, "Covariance parameters with 95 % limits", keys=1)


def tests(results: Any) -> str:
    """F tests of the terms."""
    ddf = results.inference.ddf
    said = f"Degrees of freedom: {DDF_WORDS.get(ddf, ddf)}. Standard errors: {results.inference.cov_type}."
    table = results.anova()
    if not len(table):
        return paragraph("The fixed part has no terms beside the intercept, so there is nothing to test.")
    more = "Each line asks whether a term of the fixed part has any effect (type III)."
    return paragraph(f"{more} {said}") + scrolled(table.to_html())


def means(results: Any) -> str:
    """Marginal means of each factor of the fixed part, and what its levels differ by."""
    design = results.design
    if design.specs is None:
        return paragraph("The model was given as arrays: its columns have no factors that means could be of.")
    known = model_terms(design).levels
    factors = [name for name in reference_grid(design).values if name in known]
    if not factors:
        return paragraph("The fixed part has no factors, so there are no means to compare.")
    parts = [paragraph("Means that the model expects at each level, the other variables averaged or at their means.")]
    for name in factors:
        parts.append(f"<h3>{text(name)}</h3>")
        n = len(known[name])
        if n > MOST_MEANS:
            parts.append(paragraph(f"{n:,} levels are too many to list."))
            continue
        found = results.emmeans([name])
        parts.append(scrolled(found.to_html()))
        if 1 < n <= MOST_PAIRED:
            parts.append(scrolled(found.contrasts("pairwise").to_html()))
    return "\n".join(parts)


def checks(results: Any) -> str:
    """What a reviewer asks, with verdicts and advice."""
    items = []
    for answer in results.check().answers:
        advice = f"<br>→ {text(answer.advice)}" if answer.advice else ""
        head = f'<span class="status">{text(answer.status)}</span><b>{text(answer.question)}</b>'
        items.append(f'<li class="{text(answer.status)}">{head}<br>{text(answer.verdict)}{advice}</li>')
    return f'<ul class="checks">{"".join(items)}</ul>'


def code(results: Any) -> str:
    """What fits the model again."""
    found = code_of(results)
    if not found:
        return paragraph("The model was given as arrays, and is fitted again from the same ones.")
    return f"<pre><code>{text(found)}</code></pre>"


def versions(results: Any) -> str:
    """Versions of what computed this, and how to cite it."""
    import scipy

    named = {"henderson": __version__, "Python": platform.python_version(), "NumPy": np.__version__}
    named |= {"SciPy": scipy.__version__, "pandas": pd.__version__}
    table = Table(pd.DataFrame({"software": list(named), "version": list(named.values())}))
    cited = f"Henderson {__version__}: mixed-effects models for Python."
    return scrolled(table.to_html()) + paragraph("Please cite: " + cited)


#: anchor, title, and what writes it
SECTIONS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("model", "The model", model),
    ("data", "Data", data),
    ("estimates", "Estimates", estimates),
    ("random", "Random effects", random_effects),
    ("tests", "Tests", tests),
    ("means", "Means and contrasts", means),
    ("pictures", "Pictures", pictures),
    ("checks", "Checks", checks),
    ("code", "Code", code),
    ("versions", "Versions and citation", versions),
)


def sections(results: Any) -> list[Section]:
    """All of them, in order."""
    titles = {name: title for name, title, _ in SECTIONS}
    residual = results.design.residual
    if residual is not None and not residual.is_plain:
        titles["random"] = "Random effects and residuals" if results.design.terms else "Residuals"
    return [Section(name, titles[name], write(results)) for name, _, write in SECTIONS]
