"""Variances and covariances of the random effects as a table, and as lme4 prints them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from henderson.covariance.structures import structure_called
from henderson.design.variance_parameters import lme4_order
from henderson.engine.fit import Fit
from henderson.engine.residual.fit import StructuredFit
from henderson.tables.digits import significant
from henderson.tables.grid import Grid
from henderson.tables.result_frame import ResultFrame

FloatArray = np.ndarray


def varcorr_frame(fit: Fit) -> pd.DataFrame:
    """Variances, then covariances column by column, of each term in lme4's order; the residual's variance last.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    DataFrame
        Columns grp, var1, var2, vcov, sdcor. Where residuals have a covariance structure, its natural parameters in
        place of the residual's variance, by name.
    """
    scale = fit.sigma**2
    rows: list[tuple[Any, ...]] = []
    for k in lme4_order(fit.design.terms):
        term, cov = fit.design.terms[k], scale * fit.covariances[k]
        with np.errstate(invalid="ignore"):
            sd = np.sqrt(np.diag(cov))
        label = term.label or term.group
        shown = structure_called(term.structure).display(term.names)
        rows += [(label, one.label, None, cov[one.row, one.row], sd[one.row]) for one in shown if one.kind == "sd"]
        for r, s in [(one.row, one.column) for one in shown if one.kind == "cor"]:
            size = sd[r] * sd[s]
            correlation = cov[r, s] / size if size > 0 else np.nan
            rows.append((label, term.names[s], term.names[r], cov[r, s], correlation))
    if isinstance(fit, StructuredFit):
        rows += residual_rows(fit)
    else:
        rows.append(("Residual", None, None, scale, np.sqrt(scale)))
    names = ["grp", "var1", "var2", "vcov", "sdcor"]
    table = pd.DataFrame(rows, columns=pd.Index(names), dtype=object)
    return ResultFrame.of(table.astype({"vcov": float, "sdcor": float}))


def residual_rows(fit: StructuredFit) -> list[tuple[Any, ...]]:
    """The parameters of a structure: variances with their standard deviations, covariances with the correlations that
    they make; what is neither (correlations, ranges, exponents) in sdcor alone, by name."""
    residual, term = fit.structure, fit.structure.term
    size = dict(zip(residual.names, fit.shown_psi))
    visits = [] if term.visits is None else [str(label) for label in term.visits]
    prefixes = [f"{label}: " for label in term.strata] or [""]
    of_visit = {f"{before}Var({one})": f"{before}{one}" for before in prefixes for one in visits}
    of_pair = {
        f"{before}Cov({one}, {two})": (f"{before}{one}", f"{before}{two}")
        for before in prefixes
        for one in visits
        for two in visits
    }
    variances: list[tuple[Any, ...]] = []
    others: list[tuple[Any, ...]] = []
    for name, kind, value in zip(residual.names, residual.kinds, fit.shown_psi):
        before = next((text for text in prefixes if name.startswith(text)), "")
        if kind == "variance":
            shown = None if name == "Var" else of_visit.get(name, name)
            variances.append(("Residual", shown, None, value, np.sqrt(value)))
        elif name in of_pair:
            one, two = of_pair[name]
            sd = np.sqrt(np.prod([size[f"{before}Var({visit.removeprefix(before)})"] for visit in (one, two)]))
            others.append(("Residual", two, one, value, value / sd))
        elif kind == "covariance":
            others.append(("Residual", name, None, value, value / size[f"{before}Var"]))
        else:
            others.append(("Residual", name, None, np.nan, value))
    return [*variances, *others]


def varcorr_grid(varcorr: pd.DataFrame) -> Grid:
    """Variances, standard deviations and correlations, one row an effect; a factor is named in its first.

    Correlations stand beside the second of their effects; where effects share a variance, beside that.
    """
    variances = varcorr[varcorr["var2"].isna()]
    correlations = varcorr[varcorr["var2"].notna()]
    header = ("Groups", "Name", "Variance", "Std.Dev.", *(["Corr"] if len(correlations) else []))
    rows, previous = [], None
    numbers = (significant(variances[column].to_numpy(float), 4) for column in ("vcov", "sdcor"))
    for grp, name, variance, sd in zip(variances["grp"], variances["var1"], *numbers):
        of_term = correlations[correlations["grp"] == grp]
        single = (variances["grp"] == grp).sum() == 1
        own = of_term if single else of_term[of_term["var2"] == name]
        cells = ["" if grp == previous else str(grp), name or "", variance, sd]
        cells[2:] = ["" if text in ("nan", "NaN") else text for text in cells[2:]]
        rows.append((*cells, " ".join(f"{value:.2f}".rjust(5) for value in own["sdcor"]))[: len(header)])
        previous = grp
    return Grid(header, tuple(rows), (False, False, True, True, False)[: len(header)])


def varcorr_text(varcorr: pd.DataFrame, columns: Sequence[str] = ()) -> str:
    """The same as lines of text, perhaps of some columns, headings at the left."""
    grid = varcorr_grid(varcorr)
    if columns:
        grid = grid.some(range(len(grid.rows)), [c for c, name in enumerate(grid.header) if name in columns])
    point = [max(map(len, cells)) for cells in zip(*grid.rows)]
    rows = [grid.header]
    for row in grid.rows:
        rows.append(tuple(cell.rjust(w) if right else cell for cell, w, right in zip(row, point, grid.right)))
    return "\n".join(" " + " ".join(cell.ljust(w) for cell, w in zip(row, grid.widths)) for row in rows)
