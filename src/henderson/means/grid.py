"""The reference grid of marginal means, and averages over it.

The grid holds every combination of the factors' levels, with covariates at their means (those with two
values: at both, as if factors; so does emmeans). Its rows go through the model's own formula, so transformed
covariates, splines and interactions need no special care. A marginal mean is a weighted average of rows of X;
a trend is a difference of two of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.design.fixed_terms import FixedTerms
from henderson.design.replay import fixed_columns
from henderson.engine.fit import Fit
from henderson.formula.terms import plain_column

#: a grid with more rows than this is refused
MOST_ROWS = 200_000

WEIGHTS = ("equal", "proportional", "cells", "outer", "flat")


@dataclass(frozen=True)
class ReferenceGrid:
    """All combinations of the values of the variables; the first varies fastest.

    Attributes
    ----------
    values : dict of str to pandas.Index
        Values of each variable.
    codes : dict of str to (m,) intp array
        Which value each row has.
    X : (m, p) array
        The model's columns.
    offset : float
        Known part of the mean: its average over the data.
    counts : (m,) array, or None
        Rows of the data in each cell of `factors`; None where the design does not know.
    factors : tuple of str
        Variables with levels, and covariates with two values.
    terms : tuple of frozenset of str
        Variables of each term of the fixed part.
    nested : dict of str to tuple of str
        Factors within which a factor is nested.
    """

    values: Mapping[str, pd.Index]
    codes: Mapping[str, np.ndarray]
    X: np.ndarray
    offset: float
    counts: np.ndarray | None
    factors: tuple[str, ...]
    terms: tuple[frozenset[str], ...]
    nested: Mapping[str, tuple[str, ...]]

    @property
    def frame(self) -> pd.DataFrame:
        """The grid as a table."""
        return frame_of(self.values, self.codes)


def frame_of(values: Mapping[str, pd.Index], codes: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Variables as columns."""
    n = max((len(code) for code in codes.values()), default=1)
    return pd.DataFrame({name: values[name].take(code) for name, code in codes.items()}, index=pd.RangeIndex(n))


def model_terms(design: Design) -> FixedTerms:
    """The fixed part's terms.

    Raises
    ------
    ValueError
        When the model was given as arrays.
    """
    terms = getattr(design.specs, "terms", None)
    if terms is None:
        raise ValueError("marginal means need a model given by a formula: this one was given as arrays")
    return terms


def covariate_values(fit: Fit, name: str) -> np.ndarray | None:
    """A covariate over the rows of the data, where it is a column of X by itself."""
    if name in fit.design.x_names:
        return fit.rows.X[:, fit.design.x_names.index(name)]
    return None


def reference_grid(
    fit: Fit, at: Mapping[str, Any] | None = None, *, keep_values: int = 2, spread: float = 0.0
) -> ReferenceGrid:
    """The reference grid of a fit.

    Parameters
    ----------
    fit : Fit
        Of a model made from a formula.
    at : mapping of str to values, optional
        Values of some variables: levels of a factor, numbers for a covariate.
    keep_values : int
        Covariates with at most this many values are kept at each of them rather than at their mean.
    spread : float
        The other covariates are at their mean minus and plus this, unless it is zero.

    Raises
    ------
    ValueError
        When `at` names a variable that the fixed part does not have.
    DataError
        When `at` names a level that is not there.
    """
    terms, at = model_terms(fit.design), dict(at or {})
    names = list(dict.fromkeys(v for uses in terms.variables for v in uses))
    unknown = [name for name in at if name not in names]
    if unknown:
        raise ValueError(f"at: the fixed part has no variable {unknown[0]!r}; it has {', '.join(names) or 'none'}")
    values: dict[str, pd.Index] = {}
    data_codes: dict[str, np.ndarray | None] = {}
    for name in names:
        chosen = pd.Index(np.atleast_1d(np.asarray(at[name]))) if name in at else None
        if name in terms.levels:
            values[name] = terms.levels[name] if chosen is None else _levels(chosen, terms.levels[name], name)
            codes = fit.rows.factors.get(name)
            found = values[name].get_indexer(terms.levels[name])
            data_codes[name] = None if codes is None else found[codes]
            continue
        observed = covariate_values(fit, name)
        kept = _few(observed, keep_values) if observed is not None else None
        if kept is not None and len(kept) > 1:
            values[name] = kept if chosen is None else chosen
            if observed is not None and (chosen is None or chosen.isin(kept).all()):
                data_codes[name] = values[name].get_indexer(pd.Index(observed))
        elif chosen is not None:
            values[name] = chosen
        elif name in terms.means:
            mean = terms.means[name]
            values[name] = pd.Index([mean - spread, mean + spread] if spread else [mean])
        else:
            raise ValueError(f"{name!r} is neither a factor nor a number; give its values in at")
    return _grid(fit, terms, values, data_codes)


def _levels(chosen: pd.Index, levels: pd.Index, name: str) -> pd.Index:
    from henderson.errors import DataError

    where = levels.get_indexer(chosen)
    if (where < 0).any():
        text = {str(level): k for k, level in enumerate(levels)}
        where = np.array([text.get(str(level), -1) for level in chosen])
    if (where < 0).any():
        shown = ", ".join(str(level) for level in levels[:12])
        raise DataError(f"at: {name!r} has no level {chosen[int(np.argmin(where))]!r}; it has {shown}")
    return levels.take(where)


def _few(observed: np.ndarray, most: int) -> pd.Index | None:
    """The sorted values of a column that has at most `most` of them."""
    if len(observed) > 4096 and len(np.unique(observed[:4096])) > most:
        return None
    found = np.unique(observed)
    return pd.Index(found) if len(found) <= most else None


def _grid(
    fit: Fit, terms: FixedTerms, values: dict[str, pd.Index], data_codes: dict[str, np.ndarray | None]
) -> ReferenceGrid:
    from henderson.errors import DataError

    sizes = [len(index) for index in values.values()]
    n = int(np.prod(sizes, dtype=float)) if sizes else 1
    if n > MOST_ROWS:
        shape = " × ".join(f"{size} {name}" for name, size in zip(values, sizes))
        raise DataError(f"the reference grid would have {n} rows ({shape}); fix some variables with at")
    codes: dict[str, np.ndarray] = {}
    each = 1
    for name, size in zip(values, sizes):
        codes[name] = np.tile(np.repeat(np.arange(size), each), n // (each * size))
        each *= size
    frame = frame_of(values, codes)
    X = fixed_columns(fit.design, frame) if len(frame.columns) else np.ones((1, len(fit.design.x_names)))
    return ReferenceGrid(
        values,
        codes,
        X,
        float(np.mean(fit.rows.known)),
        _counts(values, codes, data_codes),
        tuple(name for name in values if name in data_codes),
        tuple(frozenset(uses) for uses in terms.variables),
        _nesting(terms, fit.rows.factors),
    )


def _counts(
    values: Mapping[str, pd.Index],
    codes: Mapping[str, np.ndarray],
    data_codes: Mapping[str, np.ndarray | None],
) -> np.ndarray | None:
    """Rows of the data in each cell of the factors, one number for each row of the grid."""
    cell: Any = 0
    data_cell: Any = 0
    inside: Any = True
    size = 1
    for name, own in data_codes.items():
        if own is None:
            return None
        cell = cell + size * codes[name]
        data_cell = data_cell + size * own
        inside = inside & (own >= 0)
        size *= len(values[name])
    if not data_codes:
        return np.ones(max((len(code) for code in codes.values()), default=1))
    return np.bincount(data_cell[inside], minlength=size)[cell].astype(float)


def _nesting(terms: FixedTerms, codes: Mapping[str, np.ndarray]) -> dict[str, tuple[str, ...]]:
    """Factors that occur only in terms with another, and whose levels occur each within one level of it."""
    uses = [frozenset(u) for u in terms.variables]
    nested: dict[str, tuple[str, ...]] = {}
    for inner in terms.levels:
        around = [
            outer
            for outer in terms.levels
            if outer != inner
            and all(outer in use for use in uses if inner in use)
            and inner in codes
            and outer in codes
            and _is_within(codes[inner], codes[outer], len(terms.levels[inner]))
        ]
        if around:
            nested[inner] = tuple(around)
    return nested


def _is_within(inner: np.ndarray, outer: np.ndarray, n_inner: int) -> bool:
    of_inner = np.zeros(n_inner, dtype=np.intp)
    of_inner[inner] = outer
    return bool(np.array_equal(of_inner[inner], outer)) and len(np.unique(outer)) > 1


@dataclass(frozen=True)
class Margins:
    """Averages over a grid.

    Attributes
    ----------
    frame : DataFrame with r rows
        Values of the variables that are not averaged over.
    rows : (r, p) array
        Averages of the grid's X.
    averaged : tuple of str
        Factors averaged over.
    """

    frame: pd.DataFrame
    rows: np.ndarray
    averaged: tuple[str, ...]


def margins(grid: ReferenceGrid, specs: Sequence[str], weights: str = "equal", X: np.ndarray | None = None) -> Margins:
    """Average a grid over all variables but `specs`.

    Parameters
    ----------
    grid : ReferenceGrid
    specs : sequence of str
        Variables to keep; the first varies fastest in the result.
    weights : {"equal", "proportional", "cells", "outer", "flat"}
        The same for every combination averaged over; in proportion to its frequency in the data; to its
        frequency together with that of `specs`; the product of the frequencies of its levels; the same for
        each that occurs with `specs`.
    X : (m, p) array, optional
        In place of the grid's own.

    Returns
    -------
    Margins
        Rows whose weights are all zero are NaN.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"unknown weights {weights!r}; there are {', '.join(WEIGHTS)}")
    X = grid.X if X is None else X
    key, size = np.zeros(len(X), dtype=np.intp), 1
    for name in specs:
        key += size * grid.codes[name]
        size *= len(grid.values[name])
    averaged = [name for name in grid.factors if name not in specs]
    weight = _weights(grid, averaged, specs, weights)
    possible = np.ones(len(X), bool) if not grid.nested else _possible(grid)
    order = np.argsort(key, kind="stable")
    weight = (weight * possible)[order]
    starts = np.searchsorted(key[order], np.arange(size))
    total = np.add.reduceat(weight, starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        rows = np.add.reduceat(weight[:, None] * X[order], starts, axis=0) / total[:, None]
    present = np.bincount(key[possible], minlength=size) > 0
    values = {name: grid.values[name] for name in specs}
    codes, each = {}, 1
    for name in specs:
        codes[name] = (np.arange(size) // each % len(grid.values[name]))[present]
        each *= len(grid.values[name])
    frame = frame_of(values, codes)
    return Margins(frame, rows[present], tuple(name for name in averaged if len(grid.values[name]) > 1))


def _weights(grid: ReferenceGrid, averaged: Sequence[str], specs: Sequence[str], kind: str) -> np.ndarray:
    n = len(grid.X)
    if kind == "equal" or not averaged:
        return np.ones(n)
    if grid.counts is None:
        raise ValueError(f"weights={kind!r} need the factors of every row of the data, which this model does not keep")
    if kind == "cells":
        return _totals(grid, grid.factors) * 1.0
    if kind == "flat":
        return (_totals(grid, grid.factors) > 0) * 1.0
    if kind == "outer":
        return np.prod([_totals(grid, [name]) for name in averaged], axis=0)
    return _totals(grid, averaged)


def _totals(grid: ReferenceGrid, names: Sequence[str]) -> np.ndarray:
    """Counts summed over all factors but `names`, for each row of the grid."""
    assert grid.counts is not None
    key, size = np.zeros(len(grid.X), dtype=np.intp), 1
    for name in names:
        key += size * grid.codes[name]
        size *= len(grid.values[name])
    return np.bincount(key, grid.counts, minlength=size)[key]


def _possible(grid: ReferenceGrid) -> np.ndarray:
    """Cells in which nested factors stand within the level that they belong to, (m,) bool."""
    possible = np.ones(len(grid.X), bool)
    for inner, around in grid.nested.items():
        for outer in around:
            possible &= _totals(grid, [inner, outer]) > 0
    return possible


def split_specs(
    specs: str | Iterable[str], by: str | Iterable[str] | None, grid: ReferenceGrid
) -> tuple[list[str], list[str]]:
    """Variables of ``"A * B"``, ``["A", "B"]``, ``"A | B"``, and those of `by`.

    Raises
    ------
    ValueError
        When a name is not a variable of the fixed part.
    """
    if isinstance(specs, str) and "|" in specs:
        if by is not None:
            raise ValueError("give by, or | in specs, not both")
        specs, _, by = specs.partition("|")
    first = [_variable(name, grid) for name in _names(specs)]
    second = [_variable(name, grid) for name in _names(by or ())]
    return [name for name in dict.fromkeys(first) if name not in second], list(dict.fromkeys(second))


def _names(specs: str | Iterable[str]) -> list[str]:
    if isinstance(specs, str):
        found = [piece.strip() for piece in re.split(r"[*:+,]", specs.strip().lstrip("~"))]
    else:
        found = [str(name) for name in specs]
    return [name for name in found if name not in ("", "1")]


def _variable(name: str, grid: ReferenceGrid) -> str:
    plain = plain_column(name)
    inner = plain[0] if plain else name
    if inner not in grid.values:
        known = ", ".join(grid.values) or "none"
        raise ValueError(f"the fixed part has no variable {name!r} to take means at; it has {known}")
    return inner
