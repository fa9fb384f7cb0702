"""New data → the columns of a design, coded as it was: levels, state of transforms, contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.design.checks import check_weights
from henderson.design.from_arrays import given_columns
from henderson.design.new_columns import columns_of, numeric_column
from henderson.design.new_terms import NewTerm, Wanted, all_new, new_term
from henderson.design.variance_components import ComponentSpec
from henderson.errors import DataError
from henderson.sources.alignment import aligned
from henderson.sources.columns import Array, to_float
from henderson.sources.frames import read_table
from henderson.sources.table import Table


@dataclass(frozen=True)
class NewColumns:
    """What a design's model says of new rows.

    Attributes
    ----------
    X : (m, p) float64 array
        NaN where a variable of the fixed part is missing.
    offset : (m,) float64 array
        Zero where the formula has none.
    terms : tuple of NewTerm or None
        None for those that are not wanted.
    index : pandas.Index of length m
    """

    X: np.ndarray
    offset: np.ndarray
    terms: tuple[NewTerm | None, ...]
    index: pd.Index


def fixed_columns(
    design: Design,
    newdata: Any,
    codes: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """X for new rows.

    Parameters
    ----------
    design : Design
    newdata : table, as for `design_from_formula`; for a design made of arrays, an (m, p) array or DataFrame
    codes : mapping of str to (m,) intp arrays, optional
        Levels of some categorical factors, by their text, in place of what `newdata` says.

    Returns
    -------
    (m, p) float64 array
        NaN where a variable is missing.

    Raises
    ------
    DataError
        When a column is not there, or a factor has a level that the design does not have.

    Examples
    --------
    >>> from henderson.design.from_formula import design_from_formula
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0, 5.0, 4.0], "a": list("uvwuvw"), "g": list("aaabbb")}
    >>> design, _ = design_from_formula("y ~ a + (1 | g)", data)
    >>> fixed_columns(design, {"a": ["w"]})
    array([[1., 0., 1.]])
    """
    if design.specs is None:
        return given_columns(newdata, design.x_names, "exog")
    return columns_of(design.specs.fixed, read_table(newdata), design.specs.environment, codes)


def known_part(design: Design, newdata: Any) -> np.ndarray:
    """The known part of the mean for new rows, (m,): the formula's offsets and the column given as `offset`.

    Zero where the offset was given as an array, which says nothing of new rows.
    """
    table, specs = read_table(newdata), design.specs
    known = np.zeros(table.n)
    for spec in specs.offsets:
        known = known + numeric_column(spec, table, specs.environment)
    if specs.offset_column is not None:
        known = known + to_float(table[specs.offset_column], specs.offset_column)
    return known


def new_weights(design: Design, newdata: Any, weights: Any = None) -> np.ndarray | None:
    """Prior weights of new rows, (m,); None for a model that has none.

    Parameters
    ----------
    design : Design
        Made by `design_from_formula`.
    newdata : table
    weights : str or (m,) array_like, optional
        A column of `newdata`, or values. By default what the model's weights were, a column or an expression.

    Raises
    ------
    DataError
        When they are not there, or not positive.
    """
    specs = design.specs
    if not design.weighted:
        return None
    table = read_table(newdata)
    name = weights if isinstance(weights, str) else specs.weights_column if weights is None else None
    if name is not None:
        found = to_float(table[name], name)
    elif weights is not None:
        name, found = "weights", to_float(_beside(weights, table, "weights"), "weights")
    elif specs.weights is not None:
        name, found = specs.weights.expr, numeric_column(specs.weights, table, specs.environment)
    else:
        raise DataError("the weights were given as an array: give weights=, those of the new rows")
    check_weights(found, name)
    return found


def response_of(design: Design, newdata: Any) -> np.ndarray:
    """The response of new rows, (m,); NaN where it is missing."""
    return numeric_column(design.specs.response, read_table(newdata), design.specs.environment)


def variables_of(design: Design) -> tuple[str, ...]:
    """Columns of which the rows of a design are made, its response's and its groups' too."""
    specs = design.specs
    names = [*specs.response.variables, *specs.fixed.variables]
    for spec in specs.random:
        names += [*spec.group, *(spec.variables if isinstance(spec, ComponentSpec) else spec.part.variables)]
    for one in (*specs.offsets, *([] if specs.weights is None else [specs.weights])):
        names += one.variables
    names += [name for name in (specs.offset_column, specs.weights_column) if name is not None]
    return tuple(dict.fromkeys(names))


def new_columns(
    design: Design, newdata: Any, wanted: Sequence[Wanted] = (), *, groups: Any = None, offset: Any = None
) -> NewColumns:
    """X, offset and random terms for new rows.

    Parameters
    ----------
    design : Design
        Made by `design_from_formula`.
    newdata : table
    wanted : sequence of {"known", "new", None}
        What is wanted of each random term: its levels and columns; its columns alone, all levels taken for new; nothing
        (also of terms that are not listed). What is not wanted need not be in `newdata`.
    groups : (m,) array_like, optional
        Labels of the groups, when these were given as an array.
    offset : (m,) array_like, optional
        The known part of the mean, when it was given as an array.

    Returns
    -------
    NewColumns
    """
    specs = design.specs
    _check_beside(specs, groups, offset)
    table = read_table(newdata)
    env = specs.environment
    known = known_part(design, table)
    if specs.offset_given and offset is None:
        raise DataError("the offset was given as an array: give offset=, its values in the new rows")
    if offset is not None:
        known = known + to_float(_beside(offset, table, "offset"), "offset")
    labels = None if groups is None else _beside(groups, table, "groups")
    given = {} if labels is None else {specs.group_column or "": labels}
    terms: list[NewTerm | None] = []
    for spec, term, which in zip(specs.random, design.terms, wanted):
        if which == "new":
            terms.append(all_new(spec, term.n_levels, table, env))
        else:
            terms.append(None if which is None else new_term(spec, term.n_levels, table, env, given))
    return NewColumns(columns_of(specs.fixed, table, env), known, tuple(terms), table.index)


def _check_beside(specs: Any, groups: Any, offset: Any) -> None:
    """What is given beside a table must be what the model was given so."""
    if groups is not None and specs.groups is None:
        raise ValueError("groups= goes with a model whose groups were given beside the formula; here columns are read")
    if offset is not None and not specs.offset_given:
        raise ValueError("offset= goes with a model whose offset was given as an array; here it is read from the table")


def _beside(values: Any, table: Table, role: str) -> Array:
    found = aligned(values, table.index, role, labelled=table.labelled)
    if len(found) != table.n:
        raise DataError(f"{role} has {len(found)} entries, the new data {table.n} rows")
    return found


def varying_columns(design: Design, k: int, newdata: Any) -> np.ndarray:
    """The columns of a random term that is a bar, for new rows of any level, (m, q)."""
    return columns_of(design.specs.random[k].part, read_table(newdata), design.specs.environment)
