"""The reference grid of marginal means: every combination of the factors' levels, and the model's columns there.

Covariates are at their means; those with two values are at both, as if factors (so does emmeans). The rows of the grid
go through the model's own formula, so transformed covariates, splines and interactions need no special care. All that
it needs of the data is in `FixedTerms`, so it can be made when the rows are gone.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from henderson.arguments import shown
from henderson.contract.design import Design
from henderson.design.cells import Cells
from henderson.design.fixed_terms import FixedTerms
from henderson.design.replay import fixed_columns, known_part
from henderson.errors import DataError, FormulaError, ValueWarning
from henderson.formula.evaluate import replay
from henderson.formula.tokens import bare
from henderson.means.nesting import nesting
from henderson.means.variables import find_variable
from henderson.sources.columns import to_array
from henderson.sources.factors import match, plain_label

#: a grid with more rows than this is refused
MOST_ROWS = 200_000
#: the smaller of a covariate's range and what is taken from its mean, relative to the other, below which that is lost
#: beside the range, or outside of the data
SHORT = 1e-6
#: smallest distance of two values of a covariate, relative to its mean; a power of two is taken, which is exact
LEAST = 2.0**-40
TINY = float(np.finfo(float).tiny)


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
    offset : (m,) array
        Known part of the mean: its average over the data, or, where `at` says something of it, what it is there.
    counts : (m,) array
        Rows of the data in each cell of `factors`.
    factors : tuple of str
        Variables with levels, and covariates with two values.
    terms : tuple of frozenset of str
        Variables of each term of the fixed part.
    nested : dict of str to tuple of str
        Factors within which a factor is nested.
    expressions : dict of str to tuple of str
        Variables that are categorical expressions, with the columns that they use.
    """

    values: Mapping[str, pd.Index]
    codes: Mapping[str, np.ndarray]
    X: np.ndarray
    offset: np.ndarray
    counts: np.ndarray
    factors: tuple[str, ...]
    terms: tuple[frozenset[str], ...]
    nested: Mapping[str, tuple[str, ...]]
    expressions: Mapping[str, tuple[str, ...]]

    @property
    def frame(self) -> pd.DataFrame:
        """The grid as a table."""
        return frame_of(self.values, self.codes)

    @property
    def possible(self) -> np.ndarray:
        """Rows in which nested factors stand within the levels that they belong to, (m,) bool."""
        possible = np.ones(len(self.X), bool)
        for inner, around in self.nested.items():
            together = [name for name in (inner, *around) if name in self.factors]
            if len(together) > 1:
                possible &= self.totals(together) > 0
        return possible

    def totals(self, names: Sequence[str]) -> np.ndarray:
        """Rows of the data that have the levels of some factors that each row of the grid has, (m,)."""
        key, size = keys_of(self.codes, self.values, names, len(self.X))
        return np.bincount(key, self.counts, minlength=size)[key]


def keys_of(
    codes: Mapping[str, np.ndarray], values: Mapping[str, pd.Index], names: Sequence[str], n: int
) -> tuple[np.ndarray, int]:
    """One number, (n,) intp, for each combination of `names`, the first varying fastest; and how many there can be."""
    key, size = np.zeros(n, np.intp), 1
    for name in names:
        key, size = key + size * codes[name], size * len(values[name])
    return key, size


def frame_of(values: Mapping[str, pd.Index], codes: Mapping[str, np.ndarray], n: int | None = None) -> pd.DataFrame:
    """Variables as columns; of `n` rows, else as many as there are codes."""
    n = max((len(code) for code in codes.values()), default=1) if n is None else n
    columns = {name: values[name].take(code) for name, code in codes.items() if name in values}
    return pd.DataFrame(columns, index=pd.RangeIndex(n))


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


def reference_grid(design: Design, at: Mapping[str, Any] | None = None, *, spread: float = 0.0) -> ReferenceGrid:
    """The reference grid of a design.

    Parameters
    ----------
    design : Design
        Made from a formula.
    at : mapping of str to values, optional
        Values of some variables: levels of a factor, numbers for a covariate, also one of the offset alone.
    spread : float
        Covariates with more than two values are at their mean minus and plus this, unless it is zero (see `_around`).

    Raises
    ------
    ValueError
        When `at` names a variable that the model does not have.
    DataError
        When `at` names a level that is not there.
    """
    terms = model_terms(design)
    fixed = list(dict.fromkeys(v for uses in terms.variables for v in uses))
    chosen_at = _chosen(values_at(at), design, fixed)
    moved = any(name in terms.offset_variables for name in chosen_at)
    names = list(dict.fromkeys([*fixed, *terms.offset_variables])) if moved else fixed
    values: dict[str, pd.Index] = {}
    for name in names:
        chosen = chosen_at.get(name)
        known = terms.cells.values.get(name)
        if name in terms.levels:
            values[name] = terms.levels[name] if chosen is None else _levels(chosen, terms.levels[name], name)
        elif chosen is not None:
            values[name] = chosen
        elif known is not None:
            values[name] = known
        elif name in terms.means:
            mean, around = terms.means[name], _around(terms, name, spread if name in fixed else 0.0)
            values[name] = pd.Index([mean - around, mean + around] if around else [mean])
        else:
            raise ValueError(f"{name!r} is neither a factor nor a number; give its values in at")
    return _grid(design, terms, values, moved)


def _around(terms: FixedTerms, name: str, spread: float) -> float:
    """What is taken from and added to a covariate's mean: `spread`, but where that is lost beside the mean or the range
    a small part of these, and where the covariate's range is nothing beside it the range."""
    if not spread:
        return 0.0
    size = terms.ranges.get(name, spread)
    least = float(2.0 ** np.ceil(np.log2(max(LEAST * abs(terms.means[name]), SHORT * size, TINY))))
    return max(size if 0 < size < SHORT * spread else spread, least)


def values_at(at: Any) -> Mapping[str, Any]:
    """What `at` says, nothing when it is None.

    Raises
    ------
    ValueError
        When it is no mapping.
    """
    if at is None:
        return {}
    if not isinstance(at, Mapping):
        raise ValueError(f"at is a dict of variables and their values, as in {{'x': [0, 1]}}, not {shown(at)}")
    return at


def _chosen(at: Mapping[str, Any], design: Design, fixed: Sequence[str]) -> dict[str, pd.Index]:
    """`at` by the names of variables, each value once; values of the column of an expression are taken through it."""
    terms = model_terms(design)
    names = list(dict.fromkeys([*fixed, *terms.offset_variables]))
    out = {}
    for given, values in at.items():
        name = find_variable(given, names, terms.expressions)
        if name is None:
            raise ValueError(f"at: the fixed part has no variable {given!r}; it has {', '.join(fixed) or 'none'}")
        listed = values if pd.api.types.is_list_like(values) else [values]
        chosen = pd.Index(to_array(listed, f"at[{given!r}]"), tupleize_cols=False)
        if not len(chosen):
            raise ValueError(f"at[{given!r}] has no values")
        if chosen.hasnans or (chosen.dtype.kind == "f" and not np.isfinite(chosen).all()):
            raise ValueError(f"at[{given!r}] has values that are missing or not finite")
        if terms.expressions.get(name) == (bare(given),):
            chosen = _through(design, name, bare(given), chosen)
        out[name] = chosen.unique()
    return out


def _through(design: Design, expression: str, column: str, chosen: pd.Index) -> pd.Index:
    """The levels of a categorical expression at values of its column; or `chosen`, when these are its levels."""
    spec = design.specs.fixed.factors[expression]
    if not pd.api.types.is_numeric_dtype(chosen) or pd.api.types.is_bool_dtype(chosen):
        return chosen
    try:
        codes = replay(spec, {column: chosen.to_numpy()}, len(chosen), design.specs.environment).codes
    except (DataError, FormulaError):
        return chosen
    return chosen if codes is None or (codes < 0).any() else spec.levels.take(codes)


def _levels(chosen: pd.Index, levels: pd.Index, name: str) -> pd.Index:
    where = levels.get_indexer(chosen)
    by_text = bool((where < 0).any())
    if by_text:
        text = {str(level): k for k, level in enumerate(levels)}
        where = np.array([text.get(str(level), -1) for level in chosen])
    if (where < 0).any():
        shown = ", ".join(str(level) for level in levels[:12])
        raise DataError(f"at: {name!r} has no level {chosen[int(np.argmin(where))]!r}; it has {shown}")
    found = levels.take(where)
    if by_text:
        pairs = ", ".join(f"{plain_label(a)!r} as {plain_label(b)!r}" for a, b in zip(chosen[:6], found))
        warnings.warn(
            f"at: the levels of {name!r} are of another type; taken by their text: {pairs}", ValueWarning, stacklevel=2
        )
    return found


def _grid(design: Design, terms: FixedTerms, values: dict[str, pd.Index], moved: bool) -> ReferenceGrid:
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
    known = known_codes(design, terms, values, codes)
    others = {name: values[name] for name in needed_beside(design, known) if name in values}
    X = fixed_columns(design, frame_of(others, codes, n), codes=known) if values else None
    uses = tuple(frozenset(use) for use in terms.variables)
    counts, factors = _counts(terms.cells, values, codes, n)
    several = [name for name in values if len(values[name]) > 1]
    return ReferenceGrid(
        values,
        codes,
        np.ones((1, len(design.x_names))) if X is None else X,
        known_part(design, frame_of(values, codes)) if moved else np.full(n, terms.offset),
        counts,
        factors,
        uses,
        nesting(several, uses, _within(terms.cells, values, factors)),
        terms.expressions,
    )


def expression_codes(
    terms: FixedTerms, values: Mapping[str, pd.Index], codes: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Levels of the variables that are expressions, for each row of a grid: (m,) codes over the model's levels."""
    return {name: terms.levels[name].get_indexer(values[name])[codes[name]] for name in terms.expressions}


def known_codes(
    design: Design, terms: FixedTerms, values: Mapping[str, pd.Index], codes: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The same of the factors that are variables, too: their levels are looked up once, not row by row."""
    out = expression_codes(terms, values, codes)
    for name, spec in design.specs.fixed.factors.items():
        if spec.levels is not None and spec.state is None and name in values:
            place = match(values[name].array, spec.levels)
            if (place >= 0).all():
                out[name] = place[codes[name]]
    return out


def needed_beside(design: Design, known: Mapping[str, np.ndarray]) -> set[str]:
    """Variables of the fixed part's factors whose codes are not known."""
    factors = design.specs.fixed.factors.items()
    return {variable for name, spec in factors if name not in known for variable in spec.variables}


def places_in(labels: pd.Index, others: pd.Index) -> np.ndarray:
    """Where labels stand among others, −1 for those that are not there."""
    return np.arange(len(labels)) if labels is others else others.get_indexer(labels)


def _within(cells: Cells, values: Mapping[str, pd.Index], factors: Sequence[str]) -> Cells:
    """The cells with the grid's values of some factors."""
    inside = np.ones(len(cells.counts), bool)
    for name in factors:
        inside &= (places_in(cells.values[name], values[name]) >= 0)[cells.codes[name]]
    return Cells(
        {name: cells.values[name] for name in factors},
        {name: cells.codes[name][inside] for name in factors},
        cells.counts[inside],
    )


def _counts(
    cells: Cells, values: Mapping[str, pd.Index], codes: Mapping[str, np.ndarray], n: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Rows of the data in each row of the grid, (n,), and the factors of which the grid has values that occur."""
    factors = [
        name for name in values if name in cells.values and (places_in(values[name], cells.values[name]) >= 0).all()
    ]
    places = {name: places_in(cells.values[name], values[name])[cells.codes[name]] for name in factors}
    inside = np.ones(len(cells.counts), bool)
    for place in places.values():
        inside &= place >= 0
    where, size = keys_of({name: place[inside] for name, place in places.items()}, values, factors, int(inside.sum()))
    key, _ = keys_of(codes, values, factors, n)
    return np.bincount(where, cells.counts[inside], minlength=size)[key].astype(float), tuple(factors)
