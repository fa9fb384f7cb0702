"""Variances and covariances of the random effects as a table, and as lme4 prints them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from henderson.covariance.structures import structure_called
from henderson.design.variance_parameters import lme4_order
from henderson.engine.fit import Fit
from henderson.report.digits import significant

FloatArray = np.ndarray


def varcorr_frame(fit: Fit) -> pd.DataFrame:
    """Variances, then covariances column by column, of each term in lme4's order; the residual's variance last.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    DataFrame
        Columns grp, var1, var2, vcov, sdcor.
    """
    scale = fit.sigma**2
    rows: list[tuple[Any, ...]] = []
    for k in lme4_order(fit.design.terms):
        term, cov = fit.design.terms[k], scale * fit.lam[k] @ fit.lam[k].T
        sd = np.sqrt(np.diag(cov))
        label = term.label or term.group
        entries = [(one.row, one.column) for one in structure_called(term.structure).display(term.names)]
        rows += [(label, term.names[r], None, cov[r, r], sd[r]) for r, s in entries if r == s]
        for r, s in entries:
            if r != s:
                size = sd[r] * sd[s]
                correlation = cov[r, s] / size if size > 0 else np.nan
                rows.append((label, term.names[s], term.names[r], cov[r, s], correlation))
    rows.append(("Residual", None, None, scale, np.sqrt(scale)))
    names = ["grp", "var1", "var2", "vcov", "sdcor"]
    table = pd.DataFrame(rows, columns=pd.Index(names), dtype=object)
    return table.astype({"vcov": float, "sdcor": float})


def varcorr_text(varcorr: pd.DataFrame) -> str:
    """Variances, standard deviations and correlations, one line an effect."""
    variances = varcorr[varcorr["var2"].isna()]
    correlations = varcorr[varcorr["var2"].notna()]
    header = ["Groups", "Name", "Variance", "Std.Dev.", *(["Corr"] if len(correlations) else [])]
    rows, previous = [header], None
    numbers = (significant(variances[column].to_numpy(float), 4) for column in ("vcov", "sdcor"))
    for grp, name, variance, sd in zip(variances["grp"], variances["var1"], *numbers):
        own = correlations[(correlations["grp"] == grp) & (correlations["var2"] == name)]
        cells = ["" if grp == previous else str(grp), name or "", variance, sd]
        rows.append([*cells, " ".join(f"{value:.2f}".rjust(5) for value in own["sdcor"])][: len(header)])
        previous = grp
    widths = [max(len(row[c]) for row in rows) for c in range(len(header))]
    for row in rows[1:]:
        point = [max(len(cell[c]) for cell in rows[1:]) for c in (2, 3)]
        row[2:4] = [row[2].rjust(point[0]), row[3].rjust(point[1])]
    return "\n".join(" " + " ".join(cell.ljust(w) for cell, w in zip(row, widths)) for row in rows)
