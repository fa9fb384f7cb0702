"""The effect of a variable of the fixed part: marginal means along it, and the rows of the data behind them.

Along a factor the means are at its levels, along a covariate at values over its range in the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.errors import NotAvailable
from henderson.means.comparable import EMMeans
from henderson.means.grid import model_terms, reference_grid, values_at
from henderson.means.series import panels_of, series_of
from henderson.means.specs import variable
from henderson.plots.effects import Along, Panel, Raw

#: points of a line along a covariate
POINTS = 60
#: values of a covariate by which means are split: its mean, and a standard deviation to either side
SPLIT = (-1.0, 0.0, 1.0)


@dataclass(frozen=True)
class Effect:
    """Means along a variable.

    Attributes
    ----------
    means : EMMeans
    panels : tuple of Panel
        A panel for each combination of the variables in `panels`; in it a series for each of those in `by`.
    along : Along
        The variable.
    title : str
        What tells the series apart.
    """

    means: EMMeans
    panels: tuple[Panel, ...]
    along: Along
    title: str


def effect(
    design: Design,
    rows: Rows | None,
    means_of: Callable[[Sequence[str], Mapping[str, Any]], EMMeans],
    specs: str,
    *,
    by: str | Sequence[str] | None,
    panels: str | Sequence[str] | None,
    at: Mapping[str, Any] | None,
    data: bool,
) -> Effect:
    """Means along a variable of the fixed part.

    Parameters
    ----------
    design : Design
    rows : Rows, or None
        The rows, where they are there.
    means_of : callable
        Marginal means of some variables, at values of some of them.
    specs : str
        A factor, or a covariate: then means are taken at values over its range.
    by : str or sequence of str, optional
        Variables whose combinations are the series; a covariate is at its mean and a standard deviation to either side.
    panels : str or sequence of str, optional
        Variables whose combinations have a panel each, likewise.
    at : mapping of str to values, optional
        As for `emmeans`.
    data : bool
        Whether the data are wanted; needs the rows.
    """
    grid = reference_grid(design, at)
    x = variable(specs, grid)
    own, apart = (_variables(one, grid) for one in (by, panels))
    for option, named in (("by", own), ("panels", apart)):
        if x in named:
            raise ValueError(f"{option}: {x!r} is what the means are along; {option} is for other variables")
    if both := [name for name in apart if name in own]:
        raise ValueError(f"panels: {both[0]!r} is in by, too; it tells either series or panels apart")
    names = own + apart
    chosen = dict(values_at(at))
    given = {variable(name, grid) for name in chosen}
    if _is_covariate(design, x) and x not in given:
        chosen[x] = np.linspace(*_range(rows, x), POINTS)
    for name in names:
        if _is_covariate(design, name) and name not in given and len(grid.values[name]) == 1:
            chosen[name] = _split(rows, name)
    means = means_of([x, *names], chosen)
    levels = None if _is_covariate(design, x) else list(pd.unique(means.keys[x]))
    y: np.ndarray | None = None
    if data:
        assert rows is not None
        scale = None if means.way is None else means.way.in_use(means.test)
        y = rows.y if scale is None else replace(scale, sd=0.0).back(rows.y)
    title = ""
    shown: list[Panel] = []
    for heading, here in panels_of(means, apart):
        series, title = series_of(means, x, levels, here, apart)
        raw = None
        if rows is not None and y is not None:
            raw = _raw(design, rows, y, means.keys.iloc[here], x, levels)
        shown.append(Panel(heading, series, raw))
    return Effect(means, tuple(shown), Along(x, levels), title)


def _variables(names: str | Sequence[str] | None, grid: Any) -> list[str]:
    """Variables by their names in the grid, each once."""
    asked = [names] if isinstance(names, str) else list(names or ())
    return list(dict.fromkeys(variable(name, grid) for name in asked))


def _is_covariate(design: Design, name: Any) -> bool:
    return name not in model_terms(design).levels


def _range(rows: Rows | None, name: str) -> tuple[float, float]:
    """The least and the largest value of a covariate."""
    column = _column(rows, name, "range")
    return float(column.min()), float(column.max())


def _split(rows: Rows | None, name: str) -> np.ndarray:
    """The values of a covariate by which means are split."""
    column = _column(rows, name, "spread")
    return column.mean() + np.array(SPLIT) * column.std(ddof=1)


def _column(rows: Rows | None, name: str, what: str) -> np.ndarray:
    """A covariate's values; `what` of them is said to be unknown when the rows are gone."""
    if rows is None:
        raise NotAvailable(
            f"plot.effects(): the {what} of {name!r} is not known without the rows of the data, which were removed by "
            f"remove_data(); give at={{{name!r}: values}}"
        )
    return rows.columns[name].astype(float)


def _raw(design: Design, rows: Rows, y: np.ndarray, keys: pd.DataFrame, x: str, levels: Sequence[Any] | None) -> Raw:
    """The rows whose x and whose others are among those of the means; beside a covariate that has more values than the
    means are taken at, a row belongs to no series."""
    place = _places(design, rows, x, levels)
    there, series = np.isfinite(place), np.zeros(rows.n, np.intp)
    others = keys[[str(name) for name in keys.columns if name != x]].drop_duplicates()
    if any(_is_covariate(design, name) and name not in model_terms(design).cells.values for name in others):
        return Raw(place[there], y[there], np.full(int(there.sum()), -1))
    if len(others.columns):
        values = {name: list(pd.unique(others[name])) for name in others}
        own = np.array([_places(design, rows, name, values[name]) for name in others])
        of_series = np.array([pd.Index(values[name]).get_indexer(pd.Index(others[name])) for name in others], float)
        same = (own[:, :, None] == of_series[:, None, :]).all(axis=0)
        series, there = same.argmax(axis=1), there & same.any(axis=1)
    return Raw(place[there], y[there], series[there])


def _places(design: Design, rows: Rows, name: Any, values: Sequence[Any] | None) -> np.ndarray:
    """The rows' values of a covariate, or which of some values each has (NaN: none of them), (n,)."""
    if values is None:
        return rows.columns[name].astype(float)
    levels = model_terms(design).levels.get(name)
    if levels is None:
        found = pd.Index(values).get_indexer(pd.Index(rows.columns[name].astype(float)))
    else:
        found = pd.Index(values).get_indexer(levels)[rows.factors[name]]
    return np.where(found < 0, np.nan, found)
