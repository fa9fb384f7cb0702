"""The text of a residual covariance and the columns it names → `ResidualTerm`, `ResidualRows`, and their replay."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.residual import ResidualRows, ResidualTerm, VarianceTerm
from henderson.covariance.residual.structures import RESIDUAL_STRUCTURES
from henderson.design.random_terms import Groups
from henderson.design.structured_effects import check_times
from henderson.errors import DataError, ValueWarning, users_level
from henderson.formula.evaluate import Columns, FactorSpec
from henderson.formula.residual import FITTED, ParsedResidual
from henderson.sources.columns import Array
from henderson.sources.dates import Dates, as_dates, days_from
from henderson.sources.factors import Crossing, match

_NUMBER = re.compile(r"(\d+)")

#: share of the median gap between times below which gaps are rounding errors
NO_GAP = 1e-6


@dataclass(frozen=True)
class Labels:
    """How columns become codes of a factor.

    Attributes
    ----------
    columns : tuple of str
        Columns whose combinations are its levels; none: each row is a level.
    levels : pandas.Index
    crossing : Crossing or None
        How combinations of several columns are numbered.
    """

    columns: tuple[str, ...]
    levels: pd.Index
    crossing: Crossing | None = None

    def codes(self, columns: Columns, n: int) -> np.ndarray:
        """Levels of rows, −1 for one that is not known, (n,)."""
        if not self.columns:
            return np.arange(n)
        if self.crossing is None:
            return match(columns[self.columns[0]], self.levels)
        return self.crossing.codes([match(columns[name], own) for name, own in zip(self.columns, self.crossing.parts)])


@dataclass(frozen=True)
class Days:
    """Dates as times.

    Attributes
    ----------
    column : str
    first : DatetimeIndex or TimedeltaIndex of length 1
        From which days are counted.
    """

    column: str
    first: Dates

    @classmethod
    def of(cls, column: str, values: Array) -> Days:
        """From the first date of a column without missing values."""
        dates = as_dates(values)
        if dates is None:
            raise DataError(f"{column!r} holds times of the day, which have no date; give dates, or numbers")
        return cls(column, dates[[int(dates.argmin())]])

    def times(self, columns: Columns) -> np.ndarray:
        """Days, (n,)."""
        return days_from(self.first, columns[self.column], self.column)


@dataclass(frozen=True)
class ResidualSpec:
    """How rows of new data find their places in series.

    Attributes
    ----------
    series : Labels
    visits, strata : Labels or None
    places : tuple of FactorSpec or Days
        Times or coordinates.
    variance : tuple of Labels, FactorSpec or None
        Strata or covariate of each variance function; None for the fitted values.
    """

    series: Labels
    visits: Labels | None
    strata: Labels | None
    places: tuple[FactorSpec | Days, ...]
    variance: tuple[Labels | FactorSpec | None, ...]


@dataclass(frozen=True)
class Made:
    """A residual covariance of a design."""

    term: ResidualTerm
    rows: ResidualRows
    spec: ResidualSpec


def residual_term(
    parsed: ParsedResidual,
    columns: Columns,
    numbers: Mapping[str, np.ndarray],
    factors: Mapping[str, FactorSpec],
    groups: Groups,
    n: int,
) -> Made:
    """The residual covariance of a design.

    Parameters
    ----------
    parsed : ParsedResidual
    columns : mapping of str to (n,) arrays
        Columns of the data.
    numbers : mapping of str to (n,) float64 arrays
        Times, coordinates and covariates.
    factors : mapping of str to FactorSpec
        What they were learned as.
    groups : Groups
        Codes of columns.
    n : int
        Number of rows.
    """
    strata = _factor(parsed.stratum, groups) if parsed.stratum else None
    codes, series = _series(parsed, groups, n)
    visits = None
    places: tuple[FactorSpec | Days, ...] = ()
    if parsed.has_visits:
        where, visits = _visits(parsed, columns, groups)
    elif parsed.dated:
        days = Days.of(parsed.places[0], columns[parsed.places[0]])
        where, places = days.times(columns)[:, None], (days,)
    else:
        places = tuple(factors[expr] for expr in parsed.places)
        where = np.column_stack([numbers[expr] for expr in parsed.places]) if parsed.places else np.empty((n, 0))
    covariates: list[np.ndarray] = []
    terms: list[VarianceTerm] = []
    specs: list[Labels | FactorSpec | None] = []
    for own in parsed.variance:
        if own.kind == "ident":
            own_codes, labels = _factor(own.columns, groups)
            covariates.append(own_codes)
            terms.append(VarianceTerm(own.kind, own.covariate, labels.levels))
            specs.append(labels)
        else:
            fitted = own.covariate == FITTED
            covariates.append(np.ones(n) if fitted else numbers[own.covariate])
            terms.append(VarianceTerm(own.kind, own.covariate))
            specs.append(None if fitted else factors[own.covariate])
    term = ResidualTerm(
        parsed.structure,
        ":".join(series.columns),
        series.levels,
        tuple(f"days of {name}" for name in parsed.places) if parsed.dated else parsed.places,
        None if visits is None else visits.levels,
        ":".join(parsed.stratum),
        pd.RangeIndex(0) if strata is None else strata[1].levels,
        tuple(terms),
        parsed.label,
    )
    rows = ResidualRows(codes, where, None if strata is None else strata[0], tuple(covariates))
    if RESIDUAL_STRUCTURES[parsed.structure].places == "time":
        term = replace(term, unit=_smallest_gap(rows))
    return Made(term, rows, ResidualSpec(series, visits, None if strata is None else strata[1], places, tuple(specs)))


def _smallest_gap(rows: ResidualRows) -> float:
    """The smallest gap between times of a series; one where there is none."""
    order = rows.order
    gaps = np.diff(rows.where[order, 0])[np.diff(rows.codes[order]) == 0]
    gaps = gaps[gaps > 0]
    return float(gaps[gaps > NO_GAP * np.median(gaps)].min()) if len(gaps) else 1.0


def _factor(names: tuple[str, ...], groups: Groups) -> tuple[np.ndarray, Labels]:
    codes, levels = groups[names]
    return codes, Labels(names, levels, groups.crossings.get(names))


def _series(parsed: ParsedResidual, groups: Groups, n: int) -> tuple[np.ndarray, Labels]:
    """Series: patients, or patients within strata where a label of one stands for another in each stratum."""
    if not parsed.group:
        return np.arange(n), Labels((), pd.RangeIndex(n))
    if parsed.stratum:
        nested = _factor((*parsed.stratum, *(name for name in parsed.group if name not in parsed.stratum)), groups)
        if len(nested[1].levels) > len(groups[parsed.group][1]):
            return nested
    return _factor(parsed.group, groups)


def _visits(parsed: ParsedResidual, columns: Columns, groups: Groups) -> tuple[np.ndarray, Labels]:
    """Visits in order: of the categories; of the values of numbers; of text the natural order, "V2" before "V10"."""
    codes, labels = _factor(parsed.places, groups)
    check_times(parsed.label, parsed.places[0], labels.levels)
    if len(parsed.places) > 1 or isinstance(columns[parsed.places[0]].dtype, pd.CategoricalDtype):
        return codes, labels
    texts = labels.levels.tolist()
    if not all(isinstance(level, str) for level in texts):
        return codes, labels
    order = sorted(range(len(texts)), key=lambda k: _natural(texts[k]))
    if order == list(range(len(texts))):
        return codes, labels
    levels = labels.levels[order]
    if RESIDUAL_STRUCTURES[parsed.structure].ordered:
        warnings.warn(
            f"{parsed.label}: the visits {parsed.places[0]!r} are text, taken in the order {', '.join(levels)}; make "
            "the column categorical for another",
            ValueWarning,
            stacklevel=users_level(),
        )
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    return rank[codes], Labels(labels.columns, levels)


def _natural(text: str) -> list[Any]:
    """A key by which numbers in texts count as numbers."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _NUMBER.split(text) if part]
