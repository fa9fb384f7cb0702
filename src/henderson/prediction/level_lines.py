"""Lines of the levels of a grouping factor along a variable, without and with the level's own random effects.

    population(v) = mean over the level's rows of (x_i'β̂ + offset_i)           with the variable set to v in all of them
    own(v)        = mean over the level's rows of (x_i'β̂ + offset_i + Σ_k z_ik'b̂_k)

over the terms k whose levels the level lies in: those on the factor, and those on factors around it. Random effects of
other factors are at their mean, zero. Factors that vary within levels make lines of their own, as many as asked.

A model that was given as arrays, or whose random effects vary with columns that the fixed part does not have, cannot be
evaluated elsewhere than at its rows: there the means are over the rows that have a value of the variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.design.random_terms import RandomSpec
from henderson.design.replay import fixed_columns, varying_columns
from henderson.engine.fit import Fit
from henderson.inference.contrast_rows import needs_dropped
from henderson.inference.fit_moments import FitMoments

FloatArray = np.ndarray

#: values of a covariate at which a line is evaluated
POINTS = 25
#: rows of a level over which predictions are averaged
MOST_ROWS = 200
#: lines of a level, before factors are averaged over
MOST_SERIES = 6


@dataclass(frozen=True)
class Factor:
    """A grouping factor, or a variable with levels.

    Attributes
    ----------
    name : str
    codes : (n,) intp array
        Level of each row.
    levels : pandas.Index
    """

    name: str
    codes: np.ndarray
    levels: pd.Index

    def holds(self, values: np.ndarray) -> bool:
        """Whether values of the rows, (n,), are constant within each level."""
        first = np.zeros(len(self.levels), values.dtype)
        first[self.codes] = values
        return np.array_equal(first[self.codes], values)


@dataclass(frozen=True)
class Variable:
    """What lines are along.

    Attributes
    ----------
    name : str
    values : (n,) float array
        Numbers; or numbers of levels.
    levels : pandas.Index, or None
        None for a covariate.
    """

    name: str
    values: FloatArray
    levels: pd.Index | None = None


@dataclass(frozen=True)
class Line:
    """One line of one level.

    Attributes
    ----------
    series : int
        Which combination of the factors that tell a level's lines apart.
    x, population, own : (k,) arrays
    """

    series: int
    x: FloatArray
    population: FloatArray
    own: FloatArray


def grouping_factors(design: Design, rows: Rows) -> dict[str, Factor]:
    """Factors of random terms, and the groups given beside the formula, by name."""
    out: dict[str, Factor] = {}
    specs = design.specs
    if rows.groups is not None and specs is not None and specs.groups and specs.group_levels is not None:
        out[specs.groups] = Factor(specs.groups, rows.groups, specs.group_levels)
    for term, loads in zip(design.terms, rows.terms):
        if loads.codes is not None:
            out.setdefault(term.group, Factor(term.group, loads.codes, term.levels))
    if design.residual is not None and rows.residual is not None and design.residual.group:
        series = design.residual
        out.setdefault(series.group, Factor(series.group, rows.residual.codes, series.levels))
    return out


def variables(design: Design, rows: Rows) -> dict[str, Variable]:
    """Variables of the fixed part, by name; of a model given as arrays its columns that are not constant."""
    if design.specs is None:
        columns = {name: rows.X[:, k] for k, name in enumerate(design.x_names)}
        return {name: Variable(name, column) for name, column in columns.items() if np.ptp(column) > 0}
    terms = design.specs.terms
    out = {}
    for name in dict.fromkeys(name for use in terms.variables for name in use):
        if name in terms.levels:
            out[name] = Variable(name, rows.factors[name].astype(float), terms.levels[name])
        elif name in terms.means:
            out[name] = Variable(name, rows.columns[name].astype(float))
    return out


def best_variable(design: Design, rows: Rows, by: Factor) -> Variable:
    """What to draw lines along when nobody says: a covariate whose slope varies by level, else one that varies within
    levels, else such a factor, else any variable; and without variables the rows of each level in order."""
    known = variables(design, rows)
    specs = () if design.specs is None else design.specs.random
    slopes = {
        name
        for spec, term in zip(specs, rows.terms)
        if isinstance(spec, RandomSpec) and term.codes is not None and by.holds(term.codes)
        for name in spec.part.variables
    }

    def worth(one: Variable) -> tuple[bool, ...]:
        is_number = one.levels is None
        return (not by.holds(one.values), one.name in slopes, is_number, is_number and len(np.unique(one.values)) > 2)

    if known:
        return max(known.values(), key=worth)
    order = np.argsort(by.codes, kind="stable")
    starts = np.searchsorted(by.codes[order], by.codes[order])
    place = np.empty(rows.n)
    place[order] = np.arange(rows.n) - starts + 1
    return Variable(f"row of the {by.name}", place)


def series_factor(design: Design, rows: Rows, by: Factor, x: Variable, names: Sequence[str] | None) -> Factor:
    """Combinations of factors that make lines of their own: those named, or those that vary within levels, as long as
    there are few. One level with an empty name when there are none.

    Raises
    ------
    ValueError
        When a name is not a factor of the fixed part.
    """
    factors = {name: one for name, one in variables(design, rows).items() if one.levels is not None and name != x.name}
    for name in names or ():
        if name not in factors:
            raise ValueError(f"lines: {name!r} is not another factor of the fixed part; there are "
                             f"{', '.join(factors) or 'none'}")  # fmt: skip
    chosen: list[Variable] = []
    size = 1
    for one in factors.values() if names is None else [factors[name] for name in names]:
        assert one.levels is not None
        if names is None and (by.holds(one.values) or size * len(one.levels) > MOST_SERIES):
            continue
        chosen.append(one)
        size *= len(one.levels)
    codes, labels = np.zeros(rows.n, np.intp), [""]
    for one in chosen:
        assert one.levels is not None
        codes = codes * len(one.levels) + one.values.astype(np.intp)
        labels = [", ".join(filter(None, (label, f"{one.name} {level}"))) for label in labels for level in one.levels]
    present, codes = np.unique(codes, return_inverse=True)
    return Factor(", ".join(one.name for one in chosen), codes, pd.Index([labels[k] for k in present]))


def spread_levels(fit: Fit, by: Factor, most: int) -> np.ndarray:
    """Codes of at most so many levels, in order: spread evenly over the ranks of the factor's first effect."""
    if len(by.levels) <= most:
        return np.arange(len(by.levels))
    terms = zip(fit.design.terms, fit.b)  # known relationships have levels without rows, which a series has not
    own = [term.of_levels(b) for term, b in terms if term.group == by.name and len(term.levels) == len(by.levels)]
    order = np.argsort(own[0][:, 0], kind="stable") if own else np.arange(len(by.levels))
    return np.sort(order[np.linspace(0, len(order) - 1, most).round().astype(np.intp)])


def level_lines(fit: Fit, rows: Rows, by: Factor, levels: np.ndarray, x: Variable, series: Factor) -> list[list[Line]]:
    """Lines of some levels.

    Parameters
    ----------
    fit : Fit
    rows : Rows
    by : Factor
    levels : (m,) int array
        Codes of the levels wanted.
    x : Variable
    series : Factor

    Returns
    -------
    list of m lists of Line
    """
    around = [k for k, term in enumerate(rows.terms) if term.codes is not None and by.holds(term.codes)]
    evaluate = _anywhere if _can_move(fit.design, rows, around, x) else _at_rows
    span = float(x.values.min()), float(x.values.max())
    order = np.argsort(by.codes, kind="stable")
    ends = np.searchsorted(by.codes[order], np.arange(len(by.levels) + 1))
    out = []
    for level in levels:
        mine = np.sort(order[ends[level] : ends[level + 1]])
        found = []
        for k in np.unique(series.codes[mine]):
            here = mine[series.codes[mine] == k]
            found.append(Line(int(k), *evaluate(fit, rows, around, x, here, span)))
        out.append(found)
    return out


def _can_move(design: Design, rows: Rows, around: Sequence[int], x: Variable) -> bool:
    """Whether the model can be evaluated with other values of x."""
    specs = design.specs
    if specs is None or x.name not in variables(design, rows) or x.name in specs.terms.offset_variables:
        return False
    columns = {*rows.columns, *rows.factors}
    bars = [specs.random[k] for k in around]
    return all(isinstance(bar, RandomSpec) and columns.issuperset(bar.part.variables) for bar in bars)


def _anywhere(
    fit: Fit, rows: Rows, around: Sequence[int], x: Variable, here: np.ndarray, span: tuple[float, float]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """x, population and own of the rows `here`, with x moved over its range in them."""
    if x.levels is not None:
        points = np.unique(x.values[here])
    else:
        low, high = float(x.values[here].min()), float(x.values[here].max())
        points = np.linspace(*((low, high) if high > low else span), POINTS)
    some = here[np.linspace(0, len(here) - 1, min(len(here), MOST_ROWS)).astype(np.intp)]
    base, moved = np.tile(some, len(points)), np.repeat(points, len(some))
    table: dict[str, Any] = {name: np.asarray(column)[base] for name, column in rows.columns.items()}
    table |= {name: fit.design.specs.terms.levels[name].take(codes[base]) for name, codes in rows.factors.items()}
    codes: Mapping[str, np.ndarray] | None = None
    if x.levels is None:
        table[x.name] = moved
    else:
        table[x.name] = x.levels.take(moved.astype(np.intp))
        codes = {x.name: moved.astype(np.intp)} if x.name in fit.design.specs.terms.expressions else None
    mean = _estimable(fit, fixed_columns(fit.design, table, codes=codes)) + rows.known[base]
    effects = np.zeros(len(base))
    for k in around:
        codes_k = rows.terms[k].codes
        assert codes_k is not None
        effects += varying_columns(fit.design, k, table) @ fit.b[k][codes_k[here[0]]]
    population, own = (v.reshape(len(points), len(some)).mean(axis=1) for v in (mean, mean + effects))
    return points, population, own


def _estimable(fit: Fit, X: FloatArray) -> FloatArray:
    """Xβ̂, (m,); NaN where it is not estimable."""
    mean = X @ np.where(fit.kept, fit.beta, 0.0)
    if fit.kept.all():
        return mean
    moments, errors = FitMoments.of(fit), np.sqrt(np.diag(fit.vcov))
    needs = needs_dropped(X, moments.null_space, fit.kept, errors, moments.told)
    return np.where(needs.any(axis=1), np.nan, mean)


def _at_rows(
    fit: Fit, rows: Rows, around: Sequence[int], x: Variable, here: np.ndarray, span: tuple[float, float]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """x, population and own where the rows `here` are."""
    part = rows[here]
    mean = part.mean(fit.beta, fit.kept)
    own = mean + sum((part.terms[k].times(fit.b[k]) for k in around), np.zeros(len(here)))
    points, place = np.unique(x.values[here], return_inverse=True)
    count = np.bincount(place)
    return points, np.bincount(place, mean) / count, np.bincount(place, own) / count
