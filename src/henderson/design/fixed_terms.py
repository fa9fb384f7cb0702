"""The fixed part as tests and marginal means see it: terms, factors with levels, covariates with means, cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from henderson.design.cells import Cells, cells_of, two_values
from henderson.formula.coding import Part
from henderson.formula.evaluate import Columns, FactorSpec, Values
from henderson.formula.terms import shown
from henderson.sources.columns import kind_of, to_float
from henderson.sources.factors import encode


@dataclass(frozen=True)
class FixedTerms:
    """Terms of the fixed part, and the variables that they use: what marginal means and tests need of the rows.

    A variable is a column of the data, or a categorical expression such as ``C(year > 2021)`` that is all the formula
    says of its columns.

    Attributes
    ----------
    names : tuple of m str
        ``"Intercept"``, ``"a"``, ``"a:x"``.
    slices : tuple of m slices
        Columns of X of each term.
    factors : tuple of m tuples of str
        Factors of each term as written: ``("C(a)", "np.log(x)")``.
    variables : tuple of m tuples of str
        Variables that each term uses.
    levels : dict of str to pandas.Index
        Variables that are factors, in the order of their first use, with the levels that occur.
    means : dict of str to float
        The other variables, and those of the offset, with their means over the rows.
    ranges : dict of str to float
        Their largest value less their smallest.
    cells : Cells
        Combinations of the factors' levels, and of the values of covariates that have two.
    expressions : dict of str to tuple of str
        Variables that are expressions, with the columns that they use.
    offset : float
        Mean of the known part of the mean.
    offset_variables : tuple of str
        Columns that it is made of, where it can be made for other rows.
    """

    names: tuple[str, ...]
    slices: tuple[slice, ...]
    factors: tuple[tuple[str, ...], ...]
    variables: tuple[tuple[str, ...], ...]
    levels: Mapping[str, pd.Index]
    means: Mapping[str, float]
    ranges: Mapping[str, float]
    cells: Cells
    expressions: Mapping[str, tuple[str, ...]]
    offset: float = 0.0
    offset_variables: tuple[str, ...] = ()

    @property
    def assign(self) -> np.ndarray:
        """The term of each column of X, (p,)."""
        return np.repeat(np.arange(len(self.slices)), [part.stop - part.start for part in self.slices])


def fixed_terms(
    part: Part,
    values: Mapping[str, Values],
    columns: Columns,
    offset: np.ndarray | None = None,
    offset_variables: Sequence[str] = (),
) -> tuple[FixedTerms, dict[str, np.ndarray]]:
    """The terms of a fixed part, and the level of each row in its factors: variable → (n,) codes.

    Parameters
    ----------
    part : Part
    values : mapping of str to Values
        Of its factors.
    columns : mapping of str to (n,) arrays
        The data.
    offset : (n,) array, optional
        The known part of the mean.
    offset_variables : sequence of str
        Columns that it can be made of for other rows.

    A variable is a factor when it is not a number, or when it stands in a categorical factor such as ``C(x)``. A
    categorical expression is a variable by itself when it puts several values of its columns together and they occur
    nowhere else.
    """
    levels: dict[str, pd.Index] = {}
    codes: dict[str, np.ndarray] = {}
    expressions: dict[str, tuple[str, ...]] = {}
    for expr, spec in part.factors.items():
        own = values[expr].codes
        if spec.levels is None or own is None:
            continue
        named = _levels_of_column(spec, own, columns)
        if named is not None and spec.variables[0] not in levels:
            levels[spec.variables[0]], codes[spec.variables[0]] = named
        elif named is None and _alone(expr, part):
            levels[expr], codes[expr], expressions[expr] = spec.levels, own, spec.variables
    inside = {name for used in expressions.values() for name in used}
    plain = [name for name in part.variables if name not in inside]
    for name in part.variables:
        if name not in levels and kind_of(columns[name]) not in ("number", "time"):
            codes[name], levels[name] = encode(columns[name])
    numbers = {
        name: to_float(columns[name], name)
        for name in dict.fromkeys((*plain, *offset_variables))
        if name not in levels and kind_of(columns[name]) == "number"
    }
    uses = [_variables(term, part, expressions) for term in part.terms]
    order = [name for name in dict.fromkeys(v for use in uses for v in use) if name in levels]
    counted = {name: (codes[name], levels[name]) for name in order}
    for name in plain:
        if name in numbers and (found := two_values(numbers[name])) is not None:
            counted[name] = found
    terms = FixedTerms(
        tuple(":".join(map(shown, term)) or "Intercept" for term in part.terms),
        part.slices,
        part.terms,
        tuple(uses),
        {name: levels[name] for name in order},
        {name: float(column.mean()) for name, column in numbers.items()},
        {name: float(np.ptp(column)) for name, column in numbers.items() if len(column)},
        cells_of({name: index for name, (_, index) in counted.items()}, {name: c for name, (c, _) in counted.items()}),
        expressions,
        0.0 if offset is None else float(offset.mean()),
        tuple(offset_variables),
    )
    return terms, codes


def _variables(term: Sequence[str], part: Part, expressions: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Variables of a term, each once."""
    used = (name for expr in term for name in ((expr,) if expr in expressions else part.factors[expr].variables))
    return tuple(dict.fromkeys(used))


def _levels_of_column(spec: FactorSpec, codes: np.ndarray, columns: Columns) -> tuple[pd.Index, np.ndarray] | None:
    """Levels and codes of the one column that a categorical factor is, in the factor's order of levels; None for a
    factor of several columns, or one that puts several values of its column together."""
    assert spec.levels is not None
    if len(spec.variables) != 1:
        return None
    if spec.state is None:
        return spec.levels, codes
    own, found = encode(columns[spec.variables[0]])
    place = np.zeros(len(found), np.intp)
    place[own] = codes
    if not np.array_equal(place[own], codes) or len(np.unique(place)) < len(place) or len(place) != len(spec.levels):
        return None
    return found.take(np.argsort(place)), codes


def _alone(expr: str, part: Part) -> bool:
    """Whether no other factor uses the columns of one."""
    own = set(part.factors[expr].variables)
    return bool(own) and not any(own & set(spec.variables) for other, spec in part.factors.items() if other != expr)
