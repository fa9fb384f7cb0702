"""A summary that reads like lme4's, or with degrees of freedom like lmerTest's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from henderson.design.variance_parameters import lme4_order
from henderson.diagnostics.measures import aic, bic, n_parameters
from henderson.engine.boundary import is_singular
from henderson.prediction.fitted import scaled_residuals
from henderson.report.digits import p_text, significant
from henderson.report.varcorr import varcorr_frame, varcorr_text
from henderson.tables.aligned import Summary

if TYPE_CHECKING:
    from henderson.engine.fit import Fit
    from henderson.inference.inference import Inference

FloatArray = np.ndarray

#: fixed effects above which their correlations are left out, as in lme4
MAX_CORRELATED = 12


@dataclass(frozen=True)
class Lme4Summary:
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
        correlation = 1 < len(shown) <= MAX_CORRELATED if correlation is None else correlation and len(shown) > 1
        cov = inference.cov[np.ix_(kept, kept)]
        size = np.sqrt(np.diag(cov))
        correlations = pd.DataFrame(cov / size[:, None] / size, index=shown, columns=shown) if correlation else None
        return cls(
            _title(fit, inference),
            fit.design.formula,
            _criteria(fit),
            _scaled_residuals(fit),
            varcorr_frame(fit),
            _counts(fit),
            _coefficients(table, shown),
            correlations,
            _notes(fit, table),
        )

    @property
    def tables(self) -> list[pd.DataFrame]:
        """Variances and fixed effects."""
        return [self.varcorr, self.coefficients]

    def as_text(self) -> str:
        """The summary as text."""
        parts = [f"{self.title}\nFormula: {self.formula}", self.criteria]
        if self.scaled_residuals is not None:
            parts.append("Scaled residuals: \n" + _quantile_text(self.scaled_residuals))
        parts.append("Random effects:\n" + varcorr_text(self.varcorr) + "\n" + self.counts)
        parts.append("Fixed effects:\n" + coefficient_text(self.coefficients))
        if self.correlations is not None:
            parts.append("Correlation of Fixed Effects:\n" + _correlation_text(self.correlations))
        if self.notes:
            parts.append("\n".join(self.notes))
        return "\n\n".join(parts)

    def as_html(self) -> str:
        """The summary as HTML."""
        import html

        head = html.escape(f"{self.title}\nFormula: {self.formula}\n{self.criteria}").replace("\n", "<br/>\n")
        tail = "<br/>\n".join(html.escape(text) for text in (self.counts, *self.notes))
        tables = [self.varcorr.to_html(index=False, na_rep=""), self.coefficients.to_html()]
        return f"<p>{head}</p>\n{tables[0]}\n{tables[1]}\n<p>{tail}</p>"

    def as_latex(self) -> str:
        """The variances and the fixed effects as LaTeX tables."""
        summary = Summary(title=self.title, extra_txt=[self.counts, *self.notes])
        shown = self.varcorr.assign(var1=self.varcorr["var1"].fillna(""), var2=self.varcorr["var2"].fillna(""))
        summary.add_df(shown, index=False)
        summary.add_df(self.coefficients)
        return summary.as_latex()

    def _repr_html_(self) -> str:
        return self.as_html()

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return self.as_text()


def _title(fit: Fit, inference: Inference) -> str:
    how = "REML" if fit.reml else "maximum likelihood"
    title = f"Linear mixed model fit by {how}"
    names = {"satterthwaite": "Satterthwaite's method", "kenward-roger": "Kenward-Roger's method"}
    if inference.ddf != "asymptotic":
        title += f". t-tests use {names.get(inference.ddf, inference.ddf + ' degrees of freedom')}"
    if inference.cov_type not in ("model", "kenward-roger"):
        title += f". Standard errors: {inference.cov_type}"
    return title


def _criteria(fit: Fit) -> str:
    if fit.reml:
        return f"REML criterion at convergence: {_digits(fit.deviance, 1)}"
    df_resid = fit.n - n_parameters(fit)
    values = [aic(fit), bic(fit), -fit.deviance / 2, fit.deviance]
    names = ["AIC", "BIC", "logLik", "deviance", "df.resid"]
    text = [_digits(value, 1) for value in values] + [f"{df_resid:.0f}"]
    widths = [max(len(name), len(value)) for name, value in zip(names, text)]
    lines = (" ".join(cell.rjust(w + 1) for cell, w in zip(row, widths)) for row in (names, text))
    return "\n".join(lines)


def _scaled_residuals(fit: Fit) -> FloatArray | None:
    return np.quantile(scaled_residuals(fit), [0, 0.25, 0.5, 0.75, 1]) if fit.has_rows else None


def _counts(fit: Fit) -> str:
    design = fit.design
    levels = {design.terms[k].group: design.terms[k].n_levels for k in lme4_order(design.terms)}
    groups = "; ".join(f"{name}, {n}" for name, n in levels.items())
    n = design.n_missing
    missing = f" ({n} row{'s' * (n > 1)} with missing values left out)" if n else ""
    return f"Number of obs: {design.n}{missing}, groups:  {groups}"


def _notes(fit: Fit, table: pd.DataFrame) -> tuple[str, ...]:
    notes = [str(note) for note in table.attrs.get("notes", ())]
    if dropped := [name for name, kept in zip(fit.design.x_names, fit.kept) if not kept]:
        notes.append(f"fixed-effects columns dropped as redundant: {', '.join(dropped)}")
    if is_singular(fit):
        notes.append("boundary (singular) fit: a combination of random effects has no variance")
    if not fit.optimum.converged:
        notes.append(f"the optimum is not certified: {fit.optimum.message}")
    return tuple(notes)


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


def _digits(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}"


def _quantile_text(values: FloatArray) -> str:
    names = ["Min", "1Q", "Median", "3Q", "Max"]
    largest = np.abs(values).max()
    text = significant(np.round(values, int(5.5 - np.log10(largest)) if largest > 0 else 5), 4)
    width = [max(len(name), len(value)) for name, value in zip(names, text)]
    return "\n".join(" ".join(cell.rjust(w) for cell, w in zip(row, width)) + " " for row in (names, text))


def coefficient_text(table: pd.DataFrame) -> str:
    """Estimates and their errors to common decimals, t to three, p to three digits."""
    estimates = table[["Estimate", "Std. Error"]].to_numpy()
    sizes = np.abs(estimates[np.isfinite(estimates) & (estimates != 0)])
    smallest = int(np.floor(np.log10(sizes.min()))) if len(sizes) else 0
    text = significant(np.round(estimates.ravel(), max(1, 3 - smallest)), 4)
    columns: dict[str, list[str]] = {"Estimate": text[::2], "Std. Error": text[1::2]}
    for name in map(str, table.columns[2:]):
        values = table[name].to_numpy(float)
        if name == "df":
            columns[name] = [f"{value:.2f}" for value in values]
        elif name.startswith("Pr"):
            columns[name] = [p_text(value) for value in values]
        else:
            columns[name] = significant(np.round(values, 3), 4)
    widths = [max(len(name), *map(len, cells)) for name, cells in columns.items()]
    stub = max(map(len, table.index))
    lines = [" " * stub + " " + " ".join(name.rjust(w) for name, w in zip(columns, widths))]
    for i, label in enumerate(table.index):
        cells = [column[i].rjust(w) for column, w in zip(columns.values(), widths)]
        lines.append(str(label).ljust(stub) + " " + " ".join(cells))
    return "\n".join(lines)


def abbreviate(name: str, length: int = 6) -> str:
    """A shorter name: brackets go, then small vowels, then small letters, each from the right.

    Examples
    --------
    >>> abbreviate("(Intercept)"), abbreviate("Machine[T.B]"), abbreviate("service[T.1]")
    ('(Intr)', 'MachnB', 'servc1')
    """
    name = name.replace("[T.", "").replace("[", "").replace("]", "")
    for letters in ("aeiou", "abcdefghijklmnopqrstuvwxyz"):
        for i in range(len(name) - 1, 0, -1):
            if len(name) > length and name[i] in letters and name[i - 1].isalnum():
                name = name[:i] + name[i + 1 :]
    return name


def _correlation_text(correlations: pd.DataFrame) -> str:
    names = [str(name) for name in correlations.index]
    short = [abbreviate(name) for name in names]
    stub, numbers = max(map(len, short[1:])), correlations.to_numpy(float)
    lines = [" " * stub + " " + " ".join(name.rjust(6) for name in short[:-1])]
    for i in range(1, len(names)):
        cells = [f"{value:.3f}".rjust(6) for value in numbers[i, :i]]
        lines.append(short[i].ljust(stub) + " " + " ".join(cells))
    return "\n".join(lines)
