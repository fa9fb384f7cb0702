"""A summary that reads like lme4's, or with degrees of freedom like lmerTest's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from henderson.design.variance_parameters import lme4_order
from henderson.diagnostics.measures import aic, bic
from henderson.report.coefficients import (
    coefficient_grid,
    coefficient_text,
    correlation_grid,
    correlation_text,
    lines_of,
)
from henderson.report.loadings import loadings_frame, loadings_grid, loadings_text
from henderson.report.notes import notes_of
from henderson.report.varcorr import varcorr_frame, varcorr_grid, varcorr_text
from henderson.tables.digits import significant
from henderson.tables.exports import SummaryExports
from henderson.tables.grid import Grid, escaped

if TYPE_CHECKING:
    from henderson.engine.fit import Fit
    from henderson.inference.inference import Inference

FloatArray = np.ndarray

#: fixed effects above which their correlations are left out, as in lme4
MAX_CORRELATED = 12


@dataclass(frozen=True, eq=False)
class Lme4Summary(SummaryExports):
    """Parts of the summary, and the text they make.

    Attributes
    ----------
    title, formula : str
    criteria : str
        REML criterion, or AIC, BIC, log-likelihood.
    scaled_residuals : (5,) array, or None
        Minimum, quartiles, maximum of the residuals over σ.
    varcorr : DataFrame
    counts : str
    coefficients : DataFrame
        Estimate, Std. Error, [df,] t or z value, [p].
    correlations : DataFrame, or None
        Of the fixed effects.
    notes : tuple of str
    variances : str
        Heading of the variances.
    loadings : DataFrame, or None
        Of terms with common factors.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Yield ~ 1 + (1 | Batch)", henderson.datasets.load("Dyestuff"))
    >>> print(fit.summary().as_text().splitlines()[0])
    Linear mixed model fit by REML. t-tests use Satterthwaite's method
    """

    title: str
    formula: str
    criteria: str
    scaled_residuals: FloatArray | None
    varcorr: pd.DataFrame
    counts: str
    coefficients: pd.DataFrame
    correlations: pd.DataFrame | None
    notes: tuple[str, ...]
    variances: str = "Random effects"
    loadings: pd.DataFrame | None = None

    @classmethod
    def of(cls, fit: Fit, inference: Inference, correlation: bool | None = None) -> Lme4Summary:
        """The summary of a fit.

        Parameters
        ----------
        fit : Fit
        inference : Inference
            Of its fixed effects.
        correlation : bool, optional
            Whether to show correlations of the fixed effects; by default when there are 2 to 12.
        """
        names = inference.names
        kept = inference.kept
        table = inference.t_test(np.eye(len(names))[kept])
        shown = [name for name, keep in zip(names, kept) if keep]
        known = np.flatnonzero(~np.isnan(np.diag(inference.known_cov)))
        several = 1 < len(known) <= MAX_CORRELATED if correlation is None else correlation and len(known) > 1
        correlations = _correlations(inference, known) if several else None
        return cls(
            _title(fit, inference),
            fit.design.formula,
            criteria_of(fit),
            fit.residual_quantiles,
            varcorr_frame(fit),
            counts_of(fit),
            _coefficients(table, shown),
            correlations,
            (*map(str, table.attrs.get("notes", ())), *notes_of(fit)),
            variances_of(fit),
            found if len(found := loadings_frame(fit)) else None,
        )

    @property
    def tables(self) -> list[pd.DataFrame]:
        """Variances and fixed effects."""
        return [self.varcorr, self.coefficients]

    def as_text(self) -> str:
        """The summary as text."""
        parts = [f"{self.title}\nFormula: {self.formula}", self.criteria]
        if self.scaled_residuals is not None:
            parts.append("Scaled residuals: \n" + quantile_text(self.scaled_residuals))
        parts.append(f"{self.variances}:\n" + varcorr_text(self.varcorr) + "\n" + self.counts)
        if self.loadings is not None:
            parts.append("Factor loadings:\n" + loadings_text(self.loadings))
        parts.append("Fixed effects:\n" + coefficient_text(self.coefficients))
        if self.correlations is not None:
            parts.append("Correlation of Fixed Effects:\n" + correlation_text(self.correlations))
        if self.notes:
            parts.append("\n".join(self.notes))
        return "\n\n".join(parts)

    def _grids(self) -> list[tuple[str, Grid]]:
        """What the text says in columns: heading and cells of each part."""
        parts = [(self.variances, varcorr_grid(self.varcorr))]
        if self.loadings is not None:
            parts.append(("Factor loadings", loadings_grid(self.loadings)))
        if len(self.coefficients):
            parts.append(("Fixed effects", coefficient_grid(self.coefficients)))
        if self.scaled_residuals is not None:
            parts.insert(0, ("Scaled residuals", quantile_grid(self.scaled_residuals)))
        if self.correlations is not None:
            parts.append(("Correlation of Fixed Effects", correlation_grid(self.correlations)))
        return parts

    @property
    def _tail(self) -> tuple[str, ...]:
        none = () if len(self.coefficients) else (coefficient_text(self.coefficients),)
        return (self.counts, *none, *self.notes)

    def as_html(self) -> str:
        """The summary as HTML: what the text says, in the same digits."""
        import html

        head = html.escape(f"{self.title}\nFormula: {self.formula}\n{self.criteria}").replace("\n", "<br/>\n")
        tail = "<br/>\n".join(html.escape(text) for text in self._tail)
        tables = "\n".join(grid.html(title) for title, grid in self._grids())
        return f"<p>{head}</p>\n{tables}\n<p>{tail}</p>"

    def as_markdown(self) -> str:
        """The summary as Markdown."""
        tables = [grid.markdown(title) for title, grid in self._grids()]
        head = [f"**{self.title}**", f"Formula: `{self.formula}`", self.criteria.replace("\n", "  \n")]
        return "\n\n".join([*head, *tables, *self._tail])

    def as_latex(self) -> str:
        """The summary as one floating LaTeX table: random and fixed effects with booktabs' rules, the rest as notes."""
        wanted = (self.variances, "Factor loadings", "Fixed effects")
        tables = [
            f"\\smallskip\n\\textit{{{title}}}\\par\\smallskip\n{with_minus_signs(grid.latex())}"
            for title, grid in self._grids()
            if title in wanted
        ]
        notes = [escaped(" ".join(text.split())) for text in (self.criteria, *self._tail)]
        head = f"\\caption{{{escaped(self.title)}: \\texttt{{{escaped(self.formula)}}}}}"
        foot = "\\par\\smallskip\n\\footnotesize " + " \\\\\n".join(notes)
        return "\n".join(["\\begin{table}", "\\centering", head, "\n\\par\n".join(tables), foot, "\\end{table}"])

    def _repr_html_(self) -> str:
        return self.as_html()

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return self.as_text()


def with_minus_signs(latex: str) -> str:
    """LaTeX whose negative numbers have a minus, not a hyphen; p's column is called p.

    Examples
    --------
    >>> print(with_minus_signs("a-b & -0.53 & 1.2e-05"))
    a-b & $-$0.53 & 1.2e-05
    """
    signed = re.sub(r"(?<=[& ] )-(?=[\d.])|(?<=& )-(?=[\d.])|(?<=^)-(?=[\d.])", "$-$", latex, flags=re.MULTILINE)
    return re.sub(r"Pr\(\$>\$\$\|\$(\w)\$\|\$\)", "$p$", signed)


def _correlations(inference: Inference, which: np.ndarray) -> pd.DataFrame:
    """Correlations of some estimates, by their positions."""
    cov, names = inference.known_cov[np.ix_(which, which)], [inference.names[j] for j in which]
    size = np.sqrt(np.diag(cov))
    return pd.DataFrame(cov / size[:, None] / size, index=names, columns=names)


def variances_of(fit: Fit) -> str:
    """Heading of the variances: what the random effects are, and the structure of the residuals."""
    residual = fit.design.residual
    if residual is None or residual.is_plain:
        return "Random effects"
    return f"Random effects, and residuals {residual.label}" if fit.design.terms else f"Residuals, {residual.label}"


def title_of(fit: Fit) -> str:
    """What was fitted how."""
    kind = "Linear mixed model" if fit.design.terms or fit.design.residual is None else "Model for repeated measures"
    return f"{kind} fit by {'REML' if fit.reml else 'maximum likelihood'}"


def _title(fit: Fit, inference: Inference) -> str:
    title = title_of(fit)
    names = {
        "satterthwaite": "Satterthwaite's method",
        "satterthwaite-sas": "Satterthwaite's method as in SAS",
        "kenward-roger": "Kenward-Roger's method",
        "kenward-roger-linear": "Kenward-Roger's method without second derivatives",
    }
    if inference.ddf != "asymptotic":
        title += f". t-tests use {names.get(inference.ddf, inference.ddf + ' degrees of freedom')}"
    if inference.cov_type not in ("model", "kenward-roger", "kenward-roger-linear"):
        title += f". Standard errors: {inference.cov_type}"
    return title


def criteria_of(fit: Fit) -> str:
    """The REML criterion, or AIC, BIC and what belongs to a likelihood."""
    if fit.reml:
        return f"REML criterion at convergence: {fit.deviance:.1f}"
    df_resid = fit.n - fit.n_parameters
    values = [aic(fit), bic(fit), -fit.deviance / 2, fit.deviance]
    names = ["AIC", "BIC", "logLik", "deviance", "df.resid"]
    text = [f"{value:.1f}" for value in values] + [f"{df_resid:.0f}"]
    widths = [max(len(name), len(value)) for name, value in zip(names, text)]
    lines = (" ".join(cell.rjust(w + 1) for cell, w in zip(row, widths)) for row in (names, text))
    return "\n".join(lines)


def counts_of(fit: Fit) -> str:
    """Numbers of rows and of levels."""
    design = fit.design
    levels = {design.terms[k].group: design.terms[k].n_levels for k in lme4_order(design.terms)}
    if design.residual is not None and design.residual.group:
        levels.setdefault(design.residual.group, design.residual.n_series)
    groups = "; ".join(f"{name}, {n}" for name, n in levels.items())
    n = design.n_missing
    missing = f" ({n} row{'s' * (n > 1)} with missing values left out)" if n else ""
    return f"Number of obs: {design.n}{missing}, groups:  {groups}"


def _coefficients(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """lme4's columns; df and p when there are degrees of freedom, p for z tests."""
    finite = np.isfinite(table["df"]).any()
    letter = "t" if finite or table["df"].isna().any() else "z"
    columns = {"Estimate": table["estimate"], "Std. Error": table["se"]}
    if letter == "t":
        columns["df"] = table["df"]
    columns[f"{letter} value"] = table["statistic"]
    columns[f"Pr(>|{letter}|)"] = table["p"]
    return pd.DataFrame({name: column.to_numpy() for name, column in columns.items()}, index=pd.Index(names))


def quantile_grid(values: FloatArray) -> Grid:
    """Minimum, quartiles and maximum, to four digits."""
    largest = np.abs(values).max()
    text = significant(np.round(values, int(5.5 - np.log10(largest)) if largest > 0 else 5), 4)
    return Grid(("Min", "1Q", "Median", "3Q", "Max"), (tuple(text),), (True,) * 5)


def quantile_text(values: FloatArray) -> str:
    """The same as lines of text."""
    return "\n".join(line + " " for line in lines_of(quantile_grid(values)).split("\n"))
