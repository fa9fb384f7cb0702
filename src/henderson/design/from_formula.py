"""A table and a formula become a `Design` and its `Rows`: everything the engine needs, and nothing about θ.

The steps of `design_from_formula`:

1. Take the formula apart (`formula`), and each part into terms and factors (`terms`).
2. Fetch the columns that are used, keep the rows of `subset`, drop rows with missing values in any of them.
3. Evaluate every factor once (`evaluate`), and put the columns together (`coding`).
4. Number the levels of the groups (`factors`), and make the random terms.
5. Check (`checks`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from henderson.contract.design import Design, RandomTerm
from henderson.contract.rows import Rows, TermRows
from henderson.design import checks
from henderson.design.assembly import (
    columns_in_data,
    offset_of,
    offset_variables,
    one_column,
    response_and_columns,
    specs_of,
    varying_columns,
    weights_of,
)
from henderson.design.constraints import constrained
from henderson.design.fixed_terms import fixed_terms
from henderson.design.intercept import LME4, STATSMODELS, spelled
from henderson.design.known_term import KnownSpec, Relations, check_relmat, known_term, refuse_relmat
from henderson.design.membership_term import MembershipSpec, membership_term
from henderson.design.random_terms import Groups, RandomSpec, random_term
from henderson.design.residual_checks import check_residual
from henderson.design.residual_term import residual_term
from henderson.design.structured_effects import structured_effects
from henderson.design.variance_components import ComponentSpec, component
from henderson.errors import DataError, FormulaError
from henderson.formula.bars import Bar, parse
from henderson.formula.coding import Part, make_part
from henderson.formula.environment import Env, Environment, capture, environment
from henderson.formula.evaluate import FactorSpec, Values, is_plain, learn
from henderson.formula.plan import Plan, make_plan, shown_name, with_diagonal_bars
from henderson.formula.residual import parse_residual
from henderson.formula.terms import shown
from henderson.sources.alignment import aligned
from henderson.sources.columns import Array, check_finite, find_missing, settle
from henderson.sources.frames import make_of, read_table
from henderson.sources.subset import find_rows
from henderson.sources.table import Table


def design_from_formula(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    missing: str = "drop",
    groups: Any = None,
    re_formula: str | None = None,
    vc_formula: Mapping[str, str] | None = None,
    contrasts: Mapping[str, Any] | None = None,
    env: Env | Environment = 0,
    order: Literal["degree", "patsy"] = "degree",
    strict: bool = True,
    check_identified: checks.Reaction = "raise",
    doublevert: Literal["diag_special", "split"] = "diag_special",
    relmat: Mapping[str, Any] | None = None,
    residual: str | None = None,
    fix: Mapping[str, Any] | None = None,
    same: Sequence[Any] | None = None,
    bound: bool = True,
) -> tuple[Design, Rows]:
    """The design of a model given by a formula, and its rows.

    Parameters
    ----------
    formula : str
        ``"y ~ x + (x | g)"``: lme4's bars for random effects, formulaic's language for all else.
    data : pandas or polars DataFrame, pyarrow Table, dict of arrays
    weights, offset : str or (n,) array, optional
        Column or values, one for each row of `data`. An `offset` adds to those in the formula.
    subset : optional
        Rows to use: booleans, labels or positions, or a query such as ``"x > 3"``.
    missing : {"drop", "raise"}
        What to do with rows where a variable used is missing (``"none"`` is ``"raise"``).
    groups : str or (n,) array, optional
        Grouping factor for `re_formula` and `vc_formula`. Without either of them, and without bars in the
        formula, a random intercept.
    re_formula : str, optional
        Covariates whose coefficients vary by group: one unstructured term.
    vc_formula : mapping of str to str, optional
        Variance components within the groups, in the order of their names.
    contrasts : mapping, optional
        Contrasts of factors by name: ``{"a": "sum"}``, or a matrix with a row for each level. What the formula
        says (``C(a, Treatment)``) goes before.
    env : mapping, int or "closed"
        Names for functions and variables that the data do not have, or the number of frames above the caller
        in which to look for them. ``"closed"``: columns and listed functions only.
    order : {"degree", "patsy"}
        Order of the terms of the fixed part: by degree, or patsy's (categorical terms first). Patsy's brings
        its `scale` (population standard deviation), its names of splines' columns (from 0) and its spelling of the
        intercept along.
    strict : bool
        Refuse terms with as many effects as rows, as lme4 does.
    check_identified : {"raise", "warn", "ignore"}
        What to do about such terms, and about those with as many levels as rows.
    doublevert : {"diag_special", "split"}
        What ``(f || g)`` is with a factor f: ``diag(f | g)``, or ``(1 | g) + (0 + f | g)``.
    relmat : mapping, optional
        Known relationships of the levels of a factor, by its name: see `henderson.covariance.relationship`.
    residual : str, optional
        Covariance of the residuals within a series: ``"ar1(visit | patient)"``; see `henderson.formula.residual`.
    fix, same, bound
        Variances that are held, equal, or not bounded by zero: see `henderson.design.constraints`.

    Returns
    -------
    Design, Rows

    Raises
    ------
    FormulaError
        When the formula cannot be read or evaluated, or uses a name that is not known.
    DataError
        When the data do not fit the model; the message names the column or term.

    Examples
    --------
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0, 5.0, 4.0], "x": [0, 1, 2, 0, 1, 2], "g": list("aaabbb")}
    >>> design, rows = design_from_formula("y ~ x + (1 | g)", data)
    >>> rows.X.shape, design.x_names
    ((6, 2), ('(Intercept)', 'x'))
    >>> term, = design.terms
    >>> term.group, rows.terms[0].codes.tolist(), term.levels.tolist(), term.names
    ('g', [0, 0, 0, 1, 1, 1], ['a', 'b'], ('(Intercept)',))
    """
    if missing not in ("drop", "raise", "none"):
        raise DataError(f"missing must be 'drop', 'raise' or 'none', not {missing!r}")
    if check_identified not in get_args(checks.Reaction):
        raise ValueError(f"check_identified must be 'raise', 'warn' or 'ignore', not {check_identified!r}")
    if doublevert not in ("diag_special", "split"):
        raise ValueError(f"doublevert must be 'diag_special' or 'split', not {doublevert!r}")
    if contrasts is not None and not isinstance(contrasts, Mapping):
        raise FormulaError(
            f"contrasts is a dict of factors and their contrasts, as in {{'a': 'sum'}}, not {type(contrasts).__name__}"
        )
    parsed = parse(formula)
    table = read_table(data)
    names = environment(capture(env), patsy=order == "patsy")
    series = None if residual is None else parse_residual(residual)
    plan = make_plan(parsed, table, names, groups, re_formula, vc_formula, weights, offset, series)
    rows = find_rows(subset, table, data)
    fetched = _fetch(plan, table, names)
    source = _Source(fetched, rows if names.patsy else None, names, dict(contrasts or {}))
    columns, kept, n_missing = _complete(fetched, rows, missing)
    factors, values, columns, kept, more = _evaluate(plan, source, columns, kept, missing)
    checks.check_contrasts(source.contrasts, factors)
    if doublevert == "diag_special":
        plan = with_diagonal_bars(plan, lambda expr: factors[expr].levels is not None)
    related = check_relmat(relmat, tuple(bar for bar, _ in plan.bars))
    design, made = _assemble(plan, columns, factors, values, kept, order, names, related)
    names.forget()
    made = replace(made, index=table.index if kept is None else table.index[kept], positions=kept, make=make_of(data))
    specs = replace(design.specs, make=made.make)
    design = replace(design, n_missing=n_missing + more, formula=formula, specs=specs)
    design = spelled(design, STATSMODELS if order == "patsy" else LME4)
    design, made = constrained(design, made, fix, same, bound)
    checks.check_design(design, made, strict=strict, check_identified=check_identified)
    if design.residual is not None and not design.residual.is_plain:
        check_residual(design, made)
    return design, made


#: a random term, its rows, and what replays it
_Made = tuple[RandomTerm, TermRows, RandomSpec | ComponentSpec | KnownSpec | MembershipSpec]


@dataclass(frozen=True)
class _Source:
    """What factors are learned from.

    Attributes
    ----------
    columns : dict of str to (n,) arrays
        All rows of the data.
    rows : (m,) intp array, or None
        Rows that expressions learn from where their own columns are there. None: all of the data, also those that
        `subset` leaves out or that are missing otherwise, as in R's model frame.
    env : Environment
    contrasts : dict
    """

    columns: dict[str, Array]
    rows: np.ndarray | None
    env: Environment
    contrasts: dict[str, Any]

    def learn(self, expr: str, uses: tuple[str, ...], kept: dict[str, Array], rows: np.ndarray | None) -> Any:
        """A factor's spec and its values in the kept `rows` (None: all), whose columns are `kept`."""
        if rows is None or is_plain(expr, kept) or not uses:
            return learn(expr, kept, self.env, contrasts=self.contrasts)
        own = {name: self.columns[name] for name in uses}
        missed = [found for values in own.values() if (found := find_missing(values)) is not None]
        there = np.arange(len(next(iter(own.values())))) if self.rows is None else np.unique(self.rows)
        if missed:
            there = there[~np.logical_or.reduce(missed)[there]]
        own = {name: settle(values[there]) for name, values in own.items()}
        return learn(expr, own, self.env, keep=np.searchsorted(there, rows), contrasts=self.contrasts)


def _fetch(plan: Plan, table: Table, env: Environment) -> dict[str, Array]:
    """Step 2: the columns used, all rows of them."""
    columns = {}
    for name in plan.variables:
        own = name in table
        columns[name] = table[name] if own else aligned(env.get(name), table.index, name, labelled=table.labelled)
    columns.update(plan.given)
    for name, values in columns.items():
        if len(values) != table.n:
            raise DataError(f"{shown_name(name)} has {len(values)} entries, the data {table.n} rows")
    return columns


def _complete(
    fetched: dict[str, Array], rows: np.ndarray | None, missing: str
) -> tuple[dict[str, Array], np.ndarray | None, int]:
    """Step 2: the columns in the rows kept (rows None: all of the data), and how many were missing."""
    columns = dict(fetched) if rows is None else {name: values[rows] for name, values in fetched.items()}
    missed = {name: found for name, values in columns.items() if (found := find_missing(values)) is not None}
    if not missed:
        return {name: settle(values) for name, values in columns.items()}, rows, 0
    if missing != "drop":
        counts = ", ".join(f"{shown_name(name)} ({found.sum()})" for name, found in missed.items())
        raise DataError(f"missing values in {counts}")
    keep = np.flatnonzero(~np.logical_or.reduce(list(missed.values())))
    n = len(next(iter(missed.values())))
    if not len(keep):
        raise DataError(f"no row is complete: {', '.join(shown_name(name) for name in missed)} have missing values")
    return (
        {name: settle(values[keep]) for name, values in columns.items()},
        keep if rows is None else rows[keep],
        n - len(keep),
    )


def _evaluate(
    plan: Plan, source: _Source, columns: dict[str, Array], rows: np.ndarray | None, missing: str
) -> tuple[dict[str, FactorSpec], dict[str, Values], dict[str, Array], np.ndarray | None, int]:
    """Step 3: every factor's values. Rows on which an expression has no value are missing rows too."""
    learned = {expr: source.learn(expr, plan.uses[expr], columns, rows) for expr in plan.factors}
    factors = {expr: spec for expr, (spec, _) in learned.items()}
    values = {expr: found for expr, (_, found) in learned.items()}
    undefined = {
        expr: lost
        for expr, found in values.items()
        if factors[expr].state is not None and (lost := found.missing) is not None
    }
    if not undefined:
        return factors, values, columns, rows, 0
    if missing != "drop":
        raise DataError("not a number in some rows: " + ", ".join(repr(expr) for expr in undefined))
    lost = np.logical_or.reduce(list(undefined.values()))
    keep = np.flatnonzero(~lost)
    if not len(keep):
        raise DataError("not a number in any row: " + ", ".join(repr(expr) for expr in undefined))
    checks.warn_undefined({expr: int(own.sum()) for expr, own in undefined.items()})
    columns = {name: column[keep] for name, column in columns.items()}
    rows = keep if rows is None else rows[keep]
    factors, values, columns, rows, _ = _evaluate(plan, source, columns, rows, missing)
    return factors, values, columns, rows, int(lost.sum())


def _assemble(
    plan: Plan,
    columns: dict[str, Array],
    factors: dict[str, FactorSpec],
    values: dict[str, Values],
    rows: np.ndarray | None,
    order: str,
    env: Environment,
    related: Relations,
) -> tuple[Design, Rows]:
    """Steps 3 and 4: the arrays."""
    fixed = make_part(plan.fixed, factors, order=order)
    y, X = response_and_columns(plan, fixed, factors, values, rows)
    n = len(y)
    if order != "patsy":
        checks.check_levels(fixed)
    weights = weights_of(plan, factors, values, columns, rows)
    groups = Groups(columns)
    several = any(bar.name in related and len(make_part(own, factors).names) > 1 for bar, own in plan.bars)
    related = replace(related, wide=several)
    random: list[_Made] = []
    for bar, own in plan.bars:
        part = make_part(own, factors)
        if not part.names:
            raise FormulaError(f"nothing varies in ({bar.columns} | {bar.name})")
        varying = varying_columns(part, values, X, fixed, rows)
        if bar.members is not None:
            refuse_relmat(related, bar.name)
            random.append(membership_term(bar, part, varying, columns))
        elif bar.name in related:
            in_data = columns_in_data(plan, bar)
            random.append(known_term(bar, part, varying, columns, related, weights, in_data))
        else:
            random.append(_plain_term(plan, bar, part, varying, columns, groups))
    own_groups = groups[plan.groups.group] if plan.groups else None
    for name, component_terms in plan.components:
        assert plan.groups is not None
        assert own_groups is not None
        in_data = (plan.groups_column or "",)
        random.append(component(name, plan.groups.name, component_terms, columns, own_groups, env, in_data))
    offset = offset_of(plan, factors, values, columns, rows)
    series = None
    if plan.residual is not None:
        numbers = {
            expr: one_column(expr, factors, values, f"in {plan.residual.label},") for expr in plan.residual.numbers
        }
        check_finite(np.column_stack([y, *numbers.values()])[:, 1:], list(numbers), rows)
        series = residual_term(plan.residual, columns, numbers, factors, groups, n)
    found, codes_of = fixed_terms(fixed, values, columns, offset, offset_variables(plan, factors))
    places = [(name, fixed.place_of(name)) for name in fixed.variables]
    specs = specs_of(
        plan, fixed, [spec for _, _, spec in random], factors, env, None if own_groups is None else own_groups[1], found
    )
    if series is not None:
        specs = replace(specs, residual=series.spec)
    design = Design(
        tuple(term for term, _, _ in random),
        fixed.names,
        shown(plan.response),
        n,
        weighted=weights is not None,
        has_offset=offset is not None,
        specs=specs,
        residual=None if series is None else series.term,
    )
    made = Rows(
        y,
        X,
        tuple(own for _, own, _ in random),
        weights,
        offset,
        columns={name: X[:, at] if at is not None else columns[name] for name, at in places if name not in codes_of},
        factors=codes_of,
        groups=None if own_groups is None else own_groups[0],
        residual=None if series is None else series.rows,
    )
    return design, made


def _plain_term(
    plan: Plan, bar: Bar, part: Part, varying: np.ndarray, columns: dict[str, Array], groups: Groups
) -> _Made:
    """A bar whose levels are independent."""
    codes, levels = groups[bar.group]
    structure, part = structured_effects(bar, part, columns)
    term = random_term(bar.name, bar.label, levels, part.names, structure)
    spec = RandomSpec(columns_in_data(plan, bar), part, term.levels, groups.crossings.get(bar.group))
    return term, TermRows(codes, varying), spec
