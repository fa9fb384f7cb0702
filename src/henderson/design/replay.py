"""New data → the columns of a design, coded as it was: levels, state of transforms, contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from henderson.contract.design import Design
from henderson.errors import DataError, FormulaError
from henderson.formula.coding import Part, fill
from henderson.formula.environment import Environment
from henderson.formula.evaluate import Columns, FactorSpec, replay
from henderson.sources.columns import find_missing, settle, to_array, to_float
from henderson.sources.frames import Table, read_table, unknown_column


@dataclass(frozen=True)
class NewColumns:
    """What a design's model says of new rows.

    Attributes
    ----------
    X : (m, p) float64 array
        NaN where a variable of the fixed part is missing.
    offset : (m,) float64 array
        Zero where the formula has none.
    codes : tuple of (m,) intp arrays
        Level of each row in each random term, −1 for a level that the design does not have, or a missing one.
    columns : tuple of (m, q) float64 arrays
        What varies, one array a random term.
    index : pandas.Index of length m
    complaints : tuple of str or None
        For each random term what to say of the rows whose level is not known; None when all are.
    other_types : tuple of bool
        Whether no level of a term can be known, since the labels are of another type than the model's.
    """

    X: np.ndarray
    offset: np.ndarray
    codes: tuple[np.ndarray, ...]
    columns: tuple[np.ndarray, ...]
    index: pd.Index
    complaints: tuple[str | None, ...] = ()
    other_types: tuple[bool, ...] = ()


def fixed_columns(design: Design, newdata: Any, contrasts: str | None = None) -> np.ndarray:
    """X for new rows.

    Parameters
    ----------
    design : Design
    newdata : table, as for `design_from_formula`; for a design made of arrays, an (m, p) array or DataFrame
    contrasts : {"sum", "treatment"}, optional
        Contrasts for all categorical factors in place of their own. The columns of each term stay where they
        are.

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
    >>> design = design_from_formula("y ~ a + (1 | g)", data)
    >>> fixed_columns(design, {"a": ["w"]}), fixed_columns(design, {"a": ["w"]}, "sum")
    (array([[1., 0., 1.]]), array([[ 1., -1., -1.]]))
    """
    if design.specs is None:
        return _given_columns(design, newdata)
    table = read_table(newdata)
    fixed = design.specs.fixed
    return _columns(fixed, table, design.specs.environment, _contrasts(fixed, contrasts))


def new_columns(design: Design, newdata: Any, *, random: bool = True) -> NewColumns:
    """X, offset, codes and columns for new rows.

    Parameters
    ----------
    design : Design
        Made by `design_from_formula`.
    newdata : table
    random : bool
        Whether the random terms are wanted too; their columns must be in `newdata` then.

    Returns
    -------
    NewColumns
    """
    specs = design.specs
    table = read_table(newdata)
    X = _columns(specs.fixed, table, specs.environment)
    offset = np.zeros(table.n)
    for spec in specs.offsets:
        offset = offset + _numeric(spec, table, specs.environment)
    if specs.offset_column is not None:
        offset = offset + to_float(table[specs.offset_column], specs.offset_column)
    codes: list[np.ndarray] = []
    columns: list[np.ndarray] = []
    complaints: list[str | None] = []
    other_types: list[bool] = []
    for spec, term in zip(specs.random, design.terms) if random else ():
        if spec.part is None or not spec.group:
            raise DataError(f"the term {term.label!r} cannot be made for new data: its groups are not a column")
        names = [name for name in spec.group if name not in table]
        if names:
            raise DataError(unknown_column(names[0], table.names))
        labels = {name: table[name] for name in spec.group}
        codes.append(spec.codes(labels))
        unknown = (codes[-1] < 0).any()
        complaints.append(spec.complaint(labels, codes[-1]) if unknown else None)
        other_types.append(bool(unknown) and spec.is_other_type(labels))
        columns.append(_columns(spec.part, table, specs.environment))
    return NewColumns(X, offset, tuple(codes), tuple(columns), table.index, tuple(complaints), tuple(other_types))


def _contrasts(part: Part, kind: str | None) -> dict[str, np.ndarray] | None:
    if kind is None:
        return None
    if kind not in ("sum", "treatment"):
        raise FormulaError(f"contrasts must be 'sum' or 'treatment', not {kind!r}")
    make = sum_contrasts if kind == "sum" else treatment_contrasts
    return {expr: make(len(spec.levels)) for expr, spec in part.factors.items() if spec.levels is not None}


def sum_contrasts(n_levels: int) -> np.ndarray:
    """(L, L − 1) contrasts that sum to zero, the last level −1 throughout."""
    return np.vstack([np.eye(n_levels - 1), -np.ones(n_levels - 1)])


def treatment_contrasts(n_levels: int) -> np.ndarray:
    """(L, L − 1) indicators of all levels but the first."""
    return np.eye(n_levels)[:, 1:]


def _columns(
    part: Part, table: Table, env: Environment, contrasts: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """Columns of a part, NaN in rows where a variable is missing."""
    out = np.full((table.n, len(part.names)), np.nan)
    columns, keep = _complete(part.variables, table)
    n = table.n if keep is None else len(keep)
    if n == 0:
        return out
    values = {expr: replay(spec, columns, n, env) for expr, spec in part.factors.items()}
    if keep is None:
        return fill(part, values, out, contrasts)
    out[keep] = fill(part, values, np.empty((n, out.shape[1])), contrasts)
    return out


def _complete(names: Sequence[str], table: Table) -> tuple[Columns, np.ndarray | None]:
    """The columns, in the rows where all are there (None: all rows)."""
    columns = {name: table[name] for name in names}
    missed = [found for values in columns.values() if (found := find_missing(values)) is not None]
    if not missed:
        return {name: settle(values) for name, values in columns.items()}, None
    keep = np.flatnonzero(~np.logical_or.reduce(missed))
    return {name: settle(values[keep]) for name, values in columns.items()}, keep


def _numeric(spec: FactorSpec, table: Table, env: Environment) -> np.ndarray:
    """A one-column factor of new rows."""
    out = np.full(table.n, np.nan)
    columns, keep = _complete(spec.variables, table)
    rows = np.arange(table.n) if keep is None else keep
    if len(rows):
        out[rows] = replay(spec, columns, len(rows), env).columns[0]
    return out


def _given_columns(design: Design, newdata: Any) -> np.ndarray:
    """X from arrays, for a design made of arrays."""
    if isinstance(newdata, pd.DataFrame):
        table = read_table(newdata)
        if all(name in table for name in design.x_names):
            return np.stack([to_float(to_array(table[name], name), name) for name in design.x_names], axis=1)
    array = np.asarray(newdata, np.float64)
    array = array.reshape(-1, len(design.x_names)) if array.ndim < 2 else array
    if array.ndim != 2 or array.shape[1] != len(design.x_names):
        raise DataError(f"new rows need the {len(design.x_names)} columns {', '.join(design.x_names)}")
    return array
