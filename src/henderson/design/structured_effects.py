"""Effects whose order or distance counts in their covariance: the times of ``ar1(0 + t | g)``, from the levels of t.

Numbers and dates are times as they are: AR(1) counts them in steps, the largest of which all gaps are multiples, and in
continuous time any gaps will do. Categories are steps in their order, those that do not occur included. Text has no
order but the alphabet's; it is read as steps only where that is the order of the numbers in it, as in ``v1``, ``v2``.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd

from henderson.errors import DataError, FormulaError
from henderson.formula.bar_kinds import KINDS, is_ordered, is_timed, kind_of_structure
from henderson.formula.bars import Bar
from henderson.formula.coding import Part
from henderson.formula.evaluate import Columns, FactorSpec
from henderson.formula.terms import shown
from henderson.sources.columns import kind_of
from henderson.sources.dates import as_dates, days_from

#: a gap that differs by less from a whole number of steps, in steps, is one
WHOLE = 1e-6
#: steps that the smallest gap may be made of
FINEST = 60
_NUMBERED = re.compile(r"(\D*)(\d+(?:\.\d+)?)(\D*)")


def structured_effects(bar: Bar, part: Part, columns: Columns) -> tuple[str, Part]:
    """A bar's structure with the times of its effects, and what varies in it with these in the names.

    Parameters
    ----------
    bar : Bar
    part : Part
        What varies in it.
    columns : mapping of str to (n,) arrays

    Raises
    ------
    FormulaError
        When a structure that needs an order has anything but one factor, without the intercept.
    DataError
        When its levels have no order, or their times no common step.
    """
    if not is_ordered(bar.structure):
        return bar.structure, part
    word, _ = kind_of_structure(bar.structure)
    written = f"{word}({bar.columns} | {bar.name})"
    if () in part.terms and len(part.terms) == 2 and len(part.terms[1]) == 1:
        other = shown(part.terms[1][0])
        raise FormulaError(
            f"{written}: the effects of {word}() are those of the times alone; write {word}(0 + {other} | {bar.name})"
        )
    expr = part.terms[0][0] if len(part.terms) == 1 and len(part.terms[0]) == 1 else None
    levels = None if expr is None else part.factors[expr].levels
    if expr is None or levels is None:
        raise FormulaError(
            f"{written}: {word}() takes one factor or column of times, as in {word}(0 + visit | {bar.name})"
        )
    spec = part.factors[expr]
    times = _times(spec, columns, written, is_timed(bar.structure))
    part = replace(part, names=tuple(f"{shown(spec.levels_of or expr)}[{level}]" for level in levels))
    if is_timed(bar.structure):
        return f"{bar.structure}({_listed(times)})", part
    steps = _steps(times, written, shown(spec.levels_of or expr), bar.name)
    if np.array_equal(steps, np.arange(len(steps))):
        return bar.structure, part
    if KINDS[word].homogeneous == "homtoep":
        raise DataError(
            f"{written}: the times {_some(levels)} are not equally far apart; make an ordered pandas.Categorical "
            "of them, whose levels are one step each"
        )
    return f"{bar.structure}({_listed(steps)})", part


def _times(spec: FactorSpec, columns: Columns, written: str, timed: bool) -> np.ndarray:
    """When each level is, (L,) increasing; dates in days from the first, as SAS counts them."""
    levels = spec.levels
    assert levels is not None
    values = columns.get(spec.levels_of) if spec.levels_of is not None else None
    category = values is not None and kind_of(values) == "category"
    if timed or not category:
        if (dates := as_dates(levels)) is not None:
            return days_from(dates[:1], dates, spec.levels_of or spec.expr)
        if pd.api.types.is_numeric_dtype(levels) and not pd.api.types.is_bool_dtype(levels):
            check_times(written, shown(spec.levels_of or spec.expr), levels)
            times = levels.to_numpy(float)
            if (np.diff(times) <= 0).any():
                raise DataError(f"{written}: the times {_some(levels)} are not in increasing order")
            return times
    if timed:
        raise DataError(f"{written}: the times must be numbers, not {_some(levels)}")
    if category:
        return values.categories.get_indexer(levels).astype(float)  # type: ignore[union-attr]  # of a category column
    if spec.state is None and not pd.api.types.is_bool_dtype(levels) and not _is_numbered(levels):
        raise DataError(
            f"{written}: {spec.levels_of} is text, {_some(levels)}, and has no order but the alphabet's; make it an "
            "ordered pandas.Categorical, or numbers"
        )
    return np.arange(len(levels), dtype=float)


def check_times(written: str, name: str, levels: pd.Index) -> None:
    """Raise a `DataError` where one of the times of a series is infinite: it is no number of steps from another."""
    if pd.api.types.is_float_dtype(levels) and np.isinf(levels.to_numpy(float)).any():
        raise DataError(f"{written}: {name!r} is infinite somewhere; a time is a finite number, or missing")


def _is_numbered(levels: pd.Index) -> bool:
    """Whether labels are numbers with the same text around them, in increasing order."""
    found = [_NUMBERED.fullmatch(str(level)) for level in levels]
    if not all(found):
        return False
    parts = [one.groups() for one in found if one is not None]
    numbers = [float(number) for _, number, _ in parts]
    return len({(before, after) for before, _, after in parts}) == 1 and bool((np.diff(numbers) > 0).all())


def _steps(times: np.ndarray, written: str, name: str, group: str) -> np.ndarray:
    """Times in whole steps from the first, the step as large as can be."""
    if len(times) < 2:
        return np.zeros(len(times))
    since = times - times[0]
    least = np.diff(times).min()
    for parts in range(1, FINEST + 1):
        steps = since / (least / parts)
        if (np.abs(steps - np.round(steps)) < WHOLE * np.maximum(1.0, steps * 1e-3)).all():
            return np.round(steps)
    raise DataError(
        f"{written}: the gaps between the times of {name} are not multiples of one step; "
        f"ou(0 + {name} | {group}) takes any times"
    )


def _listed(numbers: np.ndarray) -> str:
    return ",".join(f"{float(one):.17g}" for one in numbers)


def _some(levels: pd.Index) -> str:
    shown_levels = ", ".join(map(str, levels[:4]))
    return shown_levels + (", …" if len(levels) > 4 else "")
