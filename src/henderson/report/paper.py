"""`table`: models side by side, as a paper prints them.

One column a model. Rows: fixed effects with their interval or standard error, standard deviations and correlations of
the random effects, ICC and R², sample sizes by level, and the criteria. Cells are text (`paper_table`); Markdown, LaTeX
and plain HTML are written from them here, HTML by great_tables where it is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from henderson.design.intercept import LME4, STATSMODELS, other_spelling
from henderson.diagnostics.measures import aic, bic, icc, r2
from henderson.inference.choose import infer
from henderson.inference.fit_moments import fit_of
from henderson.inference.inference import Inference
from henderson.report.tidy import records, tidy
from henderson.tables.grid import Grid, merged
from henderson.typing import Ddf, Fitted

STYLES = ("apa", "journal")
OUTPUTS = ("markdown", "latex", "html")
#: numbers of a residual covariance above which its name alone is shown
MOST_RESIDUAL = 12
#: methods of degrees of freedom that are called by names
METHODS = {"satterthwaite": "Satterthwaite", "kenward-roger": "Kenward–Roger"}


@dataclass(frozen=True)
class PaperTable:
    """A table of models as text.

    Attributes
    ----------
    grid : Grid
        The first column names the rows.
    sections : tuple of (int, str)
        Before which row a section of what name begins.
    title : str
    notes : tuple of str
    """

    grid: Grid
    sections: tuple[tuple[int, str], ...]
    title: str
    notes: tuple[str, ...]

    def by_section(self) -> Iterator[tuple[str, tuple[tuple[str, ...], ...]]]:
        """Each section's name and its rows."""
        starts = [*(start for start, _ in self.sections), len(self.grid.rows)]
        for (start, name), end in zip(self.sections, starts[1:]):
            yield name, self.grid.rows[start:end]

    def with_sections(self) -> Grid:
        """The cells with a row for each section's name."""
        blank = ("",) * (len(self.grid.header) - 1)
        rows = [row for name, own in self.by_section() for row in ((name, *blank), *own)]
        return Grid(self.grid.header, tuple(rows), self.grid.right)


def table(
    models: Fitted | Sequence[Fitted],
    *,
    style: Literal["apa", "journal"] = "apa",
    output: Literal["markdown", "latex", "html"] = "markdown",
    labels: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
    uncertainty: Literal["ci", "se"] | None = None,
    level: float = 0.95,
    title: str = "",
    ddf: Ddf | None = None,
) -> str:
    """Models side by side, as a paper prints them.

    Parameters
    ----------
    models : results or sequence of results
    style : {"apa", "journal"}
        "apa": estimates with intervals, exact p-values without a leading zero, correlations likewise. "journal":
        estimates with standard errors in parentheses and stars.
    output : {"markdown", "latex", "html"}
        HTML is great_tables' (``pip install henderson[tables]``).
    labels : mapping, optional
        What to write for the names of coefficients, effects and groups: ``{"Days": "Days of deprivation"}``.
    names : sequence of str, optional
        Heads of the columns; by default Model 1, Model 2, …
    uncertainty : {"ci", "se"}, optional
        By default the style's.
    level : float
        Of the intervals.
    title : str
    ddf : str, optional
        Degrees of freedom; by default each model's own.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        For another style or output, labels of nothing in the models, or another number of names than of models.

    Examples
    --------
    >>> import henderson
    >>> fit = henderson.lmer("Reaction ~ Days + (Days | Subject)", henderson.datasets.load("sleepstudy"))
    >>> print(henderson.table(fit, labels={"Days": "Days of deprivation"}))
    |  | Model 1 |
    | :-- | --: |
    | Fixed effects |  |
    | (Intercept) | 251.41 [237.01, 265.80], t(17.0) = 36.84, p < .001 |
    | Days of deprivation | 10.47 [7.21, 13.73], t(17.0) = 6.77, p < .001 |
    | Random effects |  |
    | SD (Intercept), Subject | 24.74 |
    | Corr (Intercept), Days of deprivation, Subject | .07 |
    | SD Days of deprivation, Subject | 5.92 |
    | SD residual | 25.59 |
    | Fit |  |
    | ICC (adjusted) | .72 |
    | R² (marginal) | .28 |
    | R² (conditional) | .80 |
    | N (rows) | 180 |
    | N (Subject) | 18 |
    | AIC | 1755.6 |
    | BIC | 1774.8 |
    <BLANKLINE>
    95% confidence intervals; t tests with Satterthwaite degrees of freedom; REML.
    """
    made = paper_table(
        models, style=style, labels=labels, names=names, uncertainty=uncertainty, level=level, title=title, ddf=ddf
    )
    if output not in OUTPUTS:
        raise ValueError(f"output must be one of {', '.join(OUTPUTS)}, not {output!r}")
    if output == "markdown":
        return made.with_sections().markdown(made.title, made.notes).replace(".  ", ".")
    return _latex(made) if output == "latex" else _html(made)


def paper_table(
    models: Any,
    *,
    style: str = "apa",
    labels: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
    uncertainty: Literal["ci", "se"] | None = None,
    level: float = 0.95,
    title: str = "",
    ddf: Ddf | None = None,
) -> PaperTable:
    """The cells of `table`."""
    results = list(models) if isinstance(models, list | tuple) else [models]
    if not results:
        raise ValueError("there is no model to make a table of")
    for one in results:
        if not hasattr(one, "inference"):
            raise ValueError(f"a table is made of results, not of {type(one).__name__}")
    if style not in STYLES:
        raise ValueError(f"style must be one of {', '.join(STYLES)}, not {style!r}")
    uncertainty = uncertainty or ("ci" if style == "apa" else "se")
    if uncertainty not in ("ci", "se"):
        raise ValueError(f"uncertainty must be 'ci' or 'se', not {uncertainty!r}")
    heads = list(names) if names is not None else [f"Model {k + 1}" for k in range(len(results))]
    if len(heads) != len(results):
        raise ValueError(f"{len(heads)} names for {len(results)} models")
    fits = [fit_of(one) for one in results]
    inferences = [one.inference if ddf is None else infer(fit, ddf=ddf) for one, fit in zip(results, fits)]
    label = _Labels(labels or {}, fits)
    columns = [_cells(one, fit, inference, style, uncertainty, level, label)
               for one, fit, inference in zip(results, fits, inferences)]  # fmt: skip
    rows: list[tuple[str, ...]] = []
    sections: list[tuple[int, str]] = []
    for section in ("Fixed effects", "Random effects", "Fit"):
        keys = merged([list(column[section]) for column in columns])
        if keys:
            sections.append((len(rows), section))
        rows += [(key, *(column[section].get(key, "") for column in columns)) for key in keys]
    grid = Grid(("", *heads), tuple(rows), (False, *[True] * len(heads)))
    notes = (_note(fits, inferences, style, uncertainty, level), *_criteria_note(fits, heads))
    return PaperTable(grid, tuple(sections), title, notes)


def _note(fits: Sequence[Any], inferences: Sequence[Inference], style: str, uncertainty: str, level: float) -> str:
    said = f"{level:.4g}".rstrip("0")
    shown = (
        f"{100 * float(said):.4g}% confidence intervals" if uncertainty == "ci" else "Standard errors in parentheses"
    )
    methods = ", ".join(dict.fromkeys(METHODS.get(one.ddf, one.ddf) for one in inferences))
    kinds = ", ".join(dict.fromkeys("REML" if fit.reml else "ML" for fit in fits))
    stars = "; * p < .05, ** p < .01, *** p < .001" if style == "journal" else ""
    return f"{shown}; t tests with {methods} degrees of freedom; {kinds}{stars}."


def _criteria_note(fits: Sequence[Any], heads: Sequence[str]) -> tuple[str, ...]:
    """What to say where AIC and BIC do not count the same in all models, and so compare nothing."""
    alone = [head for head, fit in zip(heads, fits) if fit.penalty.parameters < fit.n_parameters]
    if len(alone) in (0, len(fits)):
        return ()
    several = "count" if len(alone) > 1 else "counts"
    return (f"AIC and BIC: {', '.join(alone)} {several} variance parameters alone, as SAS does.",)


class _Labels:
    """What the user calls things; a name that no model has is an error. Intercepts are spelled as in the first."""

    def __init__(self, given: Mapping[str, str], fits: Sequence[Any]) -> None:
        known = {name for fit in fits for name in fit.design.x_names}
        known |= {name for fit in fits for term in fit.design.terms for name in (*term.names, term.group, term.label)}
        for residual in (fit.design.residual for fit in fits):
            visits = () if residual is None or residual.visits is None else map(str, residual.visits)
            known |= set() if residual is None else {residual.group, *visits}
        every = (name for one in fits for name in (*one.design.x_names, *sum((t.names for t in one.design.terms), ())))
        self.intercept = next((name for name in every if name in (LME4, STATSMODELS)), LME4)
        for name in given:
            if name not in known:
                raise ValueError(f"labels names {name!r}, which is nothing in the models; there are {_sorted(known)}")
        self.given = given

    def __call__(self, name: str) -> str:
        """The label; of a product whose factors have some, theirs."""
        if name in (LME4, STATSMODELS) and name not in self.given:
            name = other_spelling(name) if other_spelling(name) in self.given else self.intercept
        parts = name.split(":")
        if name in self.given or not any(part in self.given for part in parts):
            return self.given.get(name, name)
        return " × ".join(self.given.get(part, part) for part in parts)


def _sorted(names: set[str]) -> str:
    return ", ".join(sorted(name for name in names if name))


def _cells(
    results: Any,
    fit: Any,
    inference: Inference,
    style: str,
    uncertainty: str,
    level: float,
    label: Callable[[str], str],
) -> dict[str, dict[str, str]]:
    """Text of every row of one model, by section."""
    fixed = {}
    for row in records(tidy(fit, inference, "fixed", conf_int=True, level=level)):
        fixed[label(row["term"])] = estimate_text(row, style, uncertainty)
    random = {}
    of_residuals = None if fit.design.residual is None or fit.design.residual.is_plain else fit.design.residual
    if of_residuals is not None:
        random["Residuals"] = of_residuals.label
    pars = records(tidy(fit, inference, "ran_pars"))
    if of_residuals is not None and sum(row["group"] == "Residual" for row in pars) > MOST_RESIDUAL:
        pars = [row for row in pars if row["group"] != "Residual"]
    known = {row["term"].removeprefix("sd__") for row in pars}
    for row in pars:
        value = row["estimate"]
        is_correlation = row["term"].startswith("cor__")
        random[_random_name(row, label, known)] = _correlation(value) if is_correlation else _rounded(value, value)
    shares = r2(fit)
    of_icc = icc(fit)["icc"].to_dict() if fit.design.terms or of_residuals is None else {}
    levels = {term.group: term.n_levels for term in fit.design.terms}
    if of_residuals is not None and of_residuals.group:
        levels.setdefault(of_residuals.group, of_residuals.n_series)
    measures = {
        "ICC (adjusted)": _correlation(float(of_icc.get("adjusted", np.nan))),
        "R² (marginal)": _correlation(shares.marginal),
        "R² (conditional)": _correlation(shares.conditional),
        "N (rows)": str(fit.n),
        **{f"N ({label(group)})": str(n) for group, n in levels.items()},
        "AIC": f"{aic(fit):.1f}",
        "BIC": f"{bic(fit):.1f}",
    }
    return {"Fixed effects": fixed, "Random effects": random, "Fit": {k: v for k, v in measures.items() if v}}


def _two(text: str, known: Collection[str]) -> list[str]:
    """The two names that a dot joins; names have dots of their own, ``cond[T.b]``."""
    parts = text.split(".")
    pairs = ([".".join(parts[:k]), ".".join(parts[k:])] for k in range(1, len(parts)))
    return next((pair for pair in pairs if pair[0] in known and pair[1] in known), [text])


def _random_name(row: Mapping[str, Any], label: Callable[[str], str], known: Collection[str]) -> str:
    """A parameter in the user's words; `known` are the names of all that have a standard deviation."""
    kind, _, rest = row["term"].partition("__")
    if row["group"] == "Residual":
        if rest == "Observation":
            return "SD residual"
        if not rest:
            return f"{kind}, residual"
        named = label(rest) if kind == "sd" else ", ".join(map(label, _two(rest, known)))
        return f"{'SD' if kind == 'sd' else 'Corr'} {named}, residual"
    if kind == "sd":
        return f"SD {label(rest)}, {label(row['group'])}"
    return f"Corr {', '.join(map(label, _two(rest, known)))}, {label(row['group'])}"


def estimate_text(row: Mapping[str, Any], style: str, uncertainty: str) -> str:
    """One coefficient: ``10.467 [7.206, 13.729], t(17.0) = 6.77, p < .001`` or ``10.467*** (1.546)``."""
    se = row["std.error"]
    estimate = _rounded(row["estimate"], se)
    shown = (
        f"[{_rounded(row['conf.low'], se)}, {_rounded(row['conf.high'], se)}]"
        if uncertainty == "ci"
        else f"({_rounded(se, se)})"
    )
    if style == "journal":
        return f"{estimate}{_stars(row['p.value'])} {shown}"
    if not np.isfinite(row["p.value"]):
        return f"{estimate} {shown}"
    df = row["df"]
    test = f"z = {row['statistic']:.2f}" if np.isinf(df) else f"t({df:.1f}) = {row['statistic']:.2f}"
    return f"{estimate} {shown}, {test}, {p_text(row['p.value'])}"


def p_text(p: float) -> str:
    """A p-value as APA writes it, never zero.

    Examples
    --------
    >>> p_text(0.04321), p_text(1e-9), p_text(0.9999)
    ('p = .043', 'p < .001', 'p > .999')
    """
    if p < 0.001:
        return "p < .001"
    return "p > .999" if p > 0.9995 else f"p = {p:.3f}".replace("0.", ".", 1)


def _stars(p: float) -> str:
    return "*" * sum(p < limit for limit in (0.05, 0.01, 0.001))


def _rounded(value: float, se: float) -> str:
    """A number to the third digit of its standard error's size (the second decimal at most coarse)."""
    if not np.isfinite(value):
        return "–"
    size = abs(se) if np.isfinite(se) and se else abs(value)
    places = 2 if not size else int(np.clip(3 - np.ceil(np.log10(size) + 1e-12), 0, 8))
    return f"{value:.{max(places, 2)}f}" if size < 100 else f"{value:.{max(places, 1)}f}"


def _correlation(value: float) -> str:
    """Two decimals without the zero that could not be another digit: .07, −.53."""
    if not np.isfinite(value):
        return ""
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if abs(value) < 0.995 else text


def _latex(made: PaperTable) -> str:
    """A floating table with booktabs' rules, the sections in italics, the notes below."""
    from henderson.tables.grid import escaped

    def line(cells: Sequence[str]) -> str:
        return " & ".join(_math(escaped(cell)) for cell in cells) + r" \\"

    grid = made.grid
    lines = [r"\begin{table}", r"\centering"]
    lines += [rf"\caption{{{escaped(made.title)}}}"] if made.title else []
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(grid.header) - 1)}}}", r"\toprule", line(grid.header), r"\midrule"]
    for k, (name, rows) in enumerate(made.by_section()):
        lines += [r"\addlinespace"] if k else []
        lines.append(rf"\multicolumn{{{len(grid.header)}}}{{l}}{{\textit{{{name}}}}} \\")
        lines += [r"\quad " + line(row) for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip\footnotesize {_math(escaped(note))}" for note in made.notes]
    return "\n".join([*lines, r"\end{table}"])


def _math(text: str) -> str:
    return text.replace("R²", "$R^2$").replace("–", "--")


def _html(made: PaperTable) -> str:
    """great_tables' HTML."""
    try:
        from great_tables import GT
    except ImportError as error:
        raise ImportError("HTML tables need great_tables: pip install henderson[tables]") from error
    rows = [(name, *row) for name, own in made.by_section() for row in own]
    columns = ["section", "row", *(f"m{k}" for k in range(1, len(made.grid.header)))]
    frame = pd.DataFrame(rows, columns=pd.Index(columns))
    heads = {name: head or " " for name, head in zip(columns[1:], made.grid.header)}
    out = GT(frame, rowname_col="row", groupname_col="section").cols_label(
        {name: head for name, head in heads.items() if name != "row"}
    )
    out = out.cols_align("right", columns=[name for name in heads if name != "row"])
    if made.title:
        out = out.tab_header(title=made.title)
    for note in made.notes:
        out = out.tab_source_note(note)
    return str(out.as_raw_html())
