"""New data → columns of a part of a formula, coded as those of the fit: levels, state of transforms, contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from henderson.formula.coding import Part, fill
from henderson.formula.environment import Environment
from henderson.formula.evaluate import Columns, FactorSpec, Values, as_number, replay
from henderson.sources.columns import check_finite, find_missing, settle
from henderson.sources.table import Table


def columns_of(
    part: Part,
    table: Table,
    env: Environment,
    codes: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Columns of a part, NaN in rows where a variable is missing.

    Raises
    ------
    DataError
        Naming a column that is infinite.
    """
    codes = codes or {}
    out = np.full((table.n, len(part.names)), np.nan)
    specs = {expr: spec for expr, spec in part.factors.items() if expr not in codes}
    columns, keep = complete(list(dict.fromkeys(v for spec in specs.values() for v in spec.variables)), table)
    n = table.n if keep is None else len(keep)
    if n == 0:
        return out
    values = {expr: replay(spec, columns, n, env) for expr, spec in specs.items()}
    values |= {expr: Values(codes=own if keep is None else own[keep]) for expr, own in codes.items()}
    found = fill(part, values, out if keep is None else np.empty((n, out.shape[1])))
    check_finite(found, part.names, keep, allow_nan=True)
    if keep is None:
        return found
    out[keep] = found
    return out


def complete(names: Sequence[str], table: Table) -> tuple[Columns, np.ndarray | None]:
    """The columns, in the rows where all are there (None: all rows)."""
    columns = {name: table[name] for name in names}
    missed = [found for values in columns.values() if (found := find_missing(values)) is not None]
    if not missed:
        return {name: settle(values) for name, values in columns.items()}, None
    keep = np.flatnonzero(~np.logical_or.reduce(missed))
    return {name: settle(values[keep]) for name, values in columns.items()}, keep


def numeric_column(spec: FactorSpec, table: Table, env: Environment) -> np.ndarray:
    """A one-column factor of new rows."""
    out = np.full(table.n, np.nan)
    columns, keep = complete(spec.variables, table)
    rows = np.arange(table.n) if keep is None else keep
    if len(rows):
        out[rows] = as_number(spec, replay(spec, columns, len(rows), env))
    return out
