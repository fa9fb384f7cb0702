"""The fixed part as tests and marginal means see it: terms, factors with levels, covariates with means, cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    found = factor_variables(part, lambda expr: values[expr].codes, lambda _: columns)
    codes = {
        name: encode(columns[name])[0] if expr is None else _codes(values[expr]) for name, expr in found.made_of.items()
    }
    numbers = {
        name: to_float(columns[name], name)
        for name in numeric_variables(part, found, offset_variables, lambda name: kind_of(columns[name]))
    }
    counted = {name: (codes[name], found.levels[name]) for name in found.in_order(part)}
    for name in found.plain(part):
        if name in numbers and (two := two_values(numbers[name])) is not None:
            counted[name] = two
    cells = cells_of({n: index for n, (_, index) in counted.items()}, {n: c for n, (c, _) in counted.items()})
    terms = put_together(
        part,
        found,
        {name: float(column.mean()) for name, column in numbers.items()},
        {name: float(column.max() - column.min()) for name, column in numbers.items() if len(column)},
        cells,
        0.0 if offset is None else float(offset.mean()),
        tuple(offset_variables),
    )
    return terms, codes


def _codes(values: Values) -> np.ndarray:
    assert values.codes is not None
    return values.codes


@dataclass(frozen=True)
class FactorVariables:
    """Variables of the fixed part that are factors.

    Attributes
    ----------
    levels : dict of str to pandas.Index
    made_of : dict of str to str or None
        The categorical factor whose codes are the variable's; None: its column's own.
    expressions : dict of str to tuple of str
        Variables that are expressions, with the columns that they use.
    """

    levels: Mapping[str, pd.Index]
    made_of: Mapping[str, str | None]
    expressions: Mapping[str, tuple[str, ...]]

    def uses(self, part: Part) -> list[tuple[str, ...]]:
        """Variables of each term."""
        return [_variables(term, part, self.expressions) for term in part.terms]

    def in_order(self, part: Part) -> list[str]:
        """Those that the terms use, in the order of their first use."""
        return [name for name in dict.fromkeys(v for use in self.uses(part) for v in use) if name in self.levels]

    def plain(self, part: Part) -> list[str]:
        """Columns that are variables by themselves."""
        inside = {name for used in self.expressions.values() for name in used}
        return [name for name in part.variables if name not in inside]


def factor_variables(
    part: Part, codes: Callable[[str], np.ndarray | None], columns: Callable[[str], Columns]
) -> FactorVariables:
    """Which variables are factors, and their levels.

    Parameters
    ----------
    part : Part
    codes : callable
        Of a factor's text: its codes, None where it is not categorical.
    columns : callable
        Of a factor's text, or of a column's name: the columns that it uses, in rows that have each level.
    """
    levels: dict[str, pd.Index] = {}
    made_of: dict[str, str | None] = {}
    expressions: dict[str, tuple[str, ...]] = {}
    for expr, spec in part.factors.items():
        own = codes(expr)
        if spec.levels is None or own is None:
            continue
        named = _levels_of_column(spec, own, columns(expr))
        if named is not None and spec.variables[0] not in levels:
            levels[spec.variables[0]], made_of[spec.variables[0]] = named, expr
        elif named is None and _alone(expr, part):
            levels[expr], made_of[expr], expressions[expr] = spec.levels, expr, spec.variables
    for name in part.variables:
        if name not in levels and kind_of(columns(name)[name]) not in ("number", "time"):
            levels[name], made_of[name] = encode(columns(name)[name])[1], None
    return FactorVariables(levels, made_of, expressions)


def numeric_variables(
    part: Part, found: FactorVariables, offset_variables: Sequence[str], kind: Callable[[str], str]
) -> list[str]:
    """Variables that are numbers; `kind` says what a column holds."""
    return [
        name
        for name in dict.fromkeys((*found.plain(part), *offset_variables))
        if name not in found.levels and kind(name) == "number"
    ]


def put_together(
    part: Part,
    found: FactorVariables,
    means: Mapping[str, float],
    ranges: Mapping[str, float],
    cells: Cells,
    offset: float,
    offset_variables: tuple[str, ...],
) -> FixedTerms:
    """The terms, of what was found in the rows."""
    return FixedTerms(
        tuple(":".join(map(shown, term)) or "Intercept" for term in part.terms),
        part.slices,
        part.terms,
        tuple(found.uses(part)),
        {name: found.levels[name] for name in found.in_order(part)},
        means,
        ranges,
        cells,
        found.expressions,
        offset,
        offset_variables,
    )


def _variables(term: Sequence[str], part: Part, expressions: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Variables of a term, each once."""
    used = (name for expr in term for name in ((expr,) if expr in expressions else part.factors[expr].variables))
    return tuple(dict.fromkeys(used))


def _levels_of_column(spec: FactorSpec, codes: np.ndarray, columns: Columns) -> pd.Index | None:
    """Levels of the one column that a categorical factor is, in the factor's order of levels; None for a
    factor of several columns, or one that puts several values of its column together."""
    assert spec.levels is not None
    if len(spec.variables) != 1:
        return None
    if spec.state is None:
        return spec.levels
    own, found = encode(columns[spec.variables[0]])
    place = np.zeros(len(found), np.intp)
    place[own] = codes
    if not np.array_equal(place[own], codes) or len(np.unique(place)) < len(place) or len(place) != len(spec.levels):
        return None
    return found.take(np.argsort(place))


def _alone(expr: str, part: Part) -> bool:
    """Whether no other factor uses the columns of one."""
    own = set(part.factors[expr].variables)
    return bool(own) and not any(own & set(spec.variables) for other, spec in part.factors.items() if other != expr)
