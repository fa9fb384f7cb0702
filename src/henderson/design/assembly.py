"""The arrays of some rows of a model: response, columns, weights, offset; of a whole table, or of one part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from henderson.design import checks
from henderson.design.fixed_terms import FixedTerms
from henderson.design.known_term import KnownSpec
from henderson.design.membership_term import MembershipSpec
from henderson.design.random_terms import RandomSpec, columns_of
from henderson.design.specs import Specs
from henderson.design.variance_components import ComponentSpec
from henderson.errors import DataError
from henderson.formula.bars import Bar
from henderson.formula.coding import Part, copied, fill
from henderson.formula.environment import Environment
from henderson.formula.evaluate import Columns, FactorSpec, Values, as_number
from henderson.formula.plan import Plan, plain_name
from henderson.formula.terms import shown
from henderson.numerics.extents import ColumnExtents, Extents
from henderson.sources.columns import check_finite, to_float

Factors = Mapping[str, FactorSpec]
FactorValues = Mapping[str, Values]


def response_and_columns(
    plan: Plan, fixed: Part, factors: Factors, values: FactorValues, rows: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """y (n,) and X (n, p), which are finite; `rows` says where they are in the data."""
    y = one_column(plan.response, factors, values, "the response").copy()
    X = fill(fixed, values, np.empty((len(y), len(fixed.names)), order="F"))
    check_finite(y, [plan.response], rows)
    check_finite(X, fixed.names, rows)
    return y, X


def joined_columns(
    plan: Plan, fixed: Part, factors: Factors, values: FactorValues, rows: np.ndarray | None, extents: Extents
) -> tuple[np.ndarray, ColumnExtents]:
    """[X y] (n, p + 1), column after column, which is finite, and the extents of X."""
    y = one_column(plan.response, factors, values, "the response")
    both = np.empty((len(y), len(fixed.names) + 1), order="F")
    both[:, -1] = y
    X = fill(fixed, values, both[:, :-1])
    whole = ColumnExtents.of(X, copied(fixed, values), extents)
    if not extents.of(y).is_finite:
        check_finite(y, [plan.response], rows)
    if not whole.is_finite:
        check_finite(X, fixed.names, rows)
    return both, whole


def varying_columns(
    part: Part, values: FactorValues, X: np.ndarray, fixed: Part, rows: np.ndarray | None
) -> np.ndarray:
    """The columns of a bar (n, q), which are finite."""
    varying = columns_of(part, values, len(X), X, fixed)
    if not np.may_share_memory(varying, X):
        check_finite(varying, part.names, rows)
    return varying


def weights_of(
    plan: Plan, factors: Factors, values: FactorValues, columns: Columns, rows: np.ndarray | None
) -> np.ndarray | None:
    """The weights (n,), which are positive; None for a model without."""
    if plan.weights is None:
        return None
    name = plain_name(plan.weights)
    if plan.weights in plan.given:
        weights = to_float(columns[plan.weights], name).copy()
    else:
        weights = one_column(plan.weights, factors, values, "the weights").copy()
    checks.check_weights(weights, shown(name), rows)
    return weights


def offset_of(
    plan: Plan, factors: Factors, values: FactorValues, columns: Columns, rows: np.ndarray | None
) -> np.ndarray | None:
    """The known part of the mean (n,); None for a model without."""
    known = [one_column(expr, factors, values, "the offset") for expr in plan.offsets]
    if plan.offset is not None:
        known.append(to_float(columns[plan.offset], plain_name(plan.offset)))
    if not known:
        return None
    offset = np.sum(known, axis=0)
    check_finite(offset, ["offset"], rows)
    return np.asarray(offset)


def specs_of(
    plan: Plan,
    fixed: Part,
    random: Sequence[RandomSpec | ComponentSpec | KnownSpec | MembershipSpec],
    factors: Factors,
    env: Environment,
    group_levels: pd.Index | None,
    terms: FixedTerms | None,
) -> Specs:
    """How the design was made."""
    return Specs(
        fixed,
        tuple(random),
        tuple(factors[expr] for expr in plan.offsets),
        factors[plan.response],
        env,
        plan.groups.name if plan.groups else None,
        group_levels,
        terms,
        plan.offset_column,
        plan.offset is not None and plan.offset_column is None,
        plan.groups_column,
        factors.get(plan.weights) if plan.weights is not None else None,
        plan.weights_column,
    )


def columns_in_data(plan: Plan, bar: Bar) -> tuple[str, ...]:
    """Where the labels of a bar's groups are in new data; an empty name where they were given as a nameless array."""
    return (plan.groups_column or "",) if any(plain_name(name) != name for name in bar.group) else bar.group


def offset_variables(plan: Plan, factors: Factors) -> tuple[str, ...]:
    """Columns that make the offset of other rows; none where a part of it was given as an array."""
    if plan.offset != plan.offset_column:
        return ()
    used = [name for expr in plan.offsets for name in factors[expr].variables]
    return tuple(dict.fromkeys([*used, *([] if plan.offset is None else [plan.offset])]))


def one_column(expr: str, factors: Factors, values: FactorValues, role: str) -> np.ndarray:
    """Values of a factor that must be one numeric column, a condition being 0 and 1."""
    found = as_number(factors[expr], values[expr])
    if found is not None:
        return np.asarray(found, np.float64)
    if factors[expr].levels is not None:
        raise DataError(f"{role} {shown(expr)!r} is categorical, it must be numeric")
    raise DataError(f"{role} {expr!r} has {len(values[expr].columns)} columns, it must have one")
