"""Loadings of the factors of ``rr()`` and ``fa()`` terms, their specific variances and communalities.

Λ is defined up to a rotation. Shown are the principal axes of the common part, each effect in units of its standard
deviation: the strongest factor first, and of each factor the sign that makes the sum of its loadings positive.
"""

from __future__ import annotations

import pandas as pd

from henderson.covariance.factor_analytic import FactorStructure
from henderson.covariance.structures import structure_called
from henderson.design.variance_parameters import lme4_order
from henderson.engine.fit import Fit
from henderson.tables.digits import significant
from henderson.tables.grid import Grid
from henderson.tables.result_frame import ResultFrame


def loadings_frame(fit: Fit) -> pd.DataFrame:
    """Loadings in the units of the response, one row an effect, of every term with factors.

    Returns
    -------
    DataFrame
        Columns grp, effect, factor1, …, specific (its own variance, zero of reduced rank), communality (the factors'
        share of its variance). Empty without such a term.
    """
    rows = []
    for k in lme4_order(fit.design.terms):
        term, structure = fit.design.terms[k], structure_called(fit.design.terms[k].structure)
        if not isinstance(structure, FactorStructure):
            continue
        found = structure.factors(fit.sigma**2 * fit.lam[k] @ fit.lam[k].T)
        for name, loading, own, communality in zip(term.names, found.loadings, found.own, found.communality):
            axes = {f"factor{i + 1}": value for i, value in enumerate(loading)}
            label = term.label or term.group
            rows.append({"grp": label, "effect": name, **axes, "specific": own, "communality": communality})
    table = pd.DataFrame(rows)
    if len(rows):
        table = table[[name for name in table if name not in LAST] + LAST]
    return ResultFrame.of(table)


#: columns that follow the loadings
LAST = ["specific", "communality"]


def loadings_grid(loadings: pd.DataFrame) -> Grid:
    """The same as cells, a factor of levels named in its first row."""
    numbers = [str(name) for name in loadings if name not in ("grp", "effect")]
    columns = [significant(loadings[name].to_numpy(float), 4) for name in numbers]
    rows, previous = [], None
    for i, (grp, effect) in enumerate(zip(loadings["grp"], loadings["effect"])):
        cells = ["" if column[i] in ("nan", "NaN") else column[i] for column in columns]
        rows.append(("" if grp == previous else str(grp), str(effect), *cells))
        previous = grp
    return Grid(("Groups", "Name", *numbers), tuple(rows), (False, False, *[True] * len(numbers)))


def loadings_text(loadings: pd.DataFrame) -> str:
    """The same as lines of text."""
    grid = loadings_grid(loadings)
    lines = [
        " ".join(cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(row, grid.widths, grid.right))
        for row in (grid.header, *grid.rows)
    ]
    return "\n".join(f" {line}".rstrip() for line in lines)
