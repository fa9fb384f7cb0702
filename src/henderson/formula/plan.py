"""What a model consists of: terms, factors, and the columns of the data that they use. No number is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from henderson.errors import FormulaError
from henderson.formula.bars import Bar, ParsedFormula, label_bars, with_intercept
from henderson.formula.environment import Environment
from henderson.formula.evaluate import variables_of
from henderson.formula.terms import Term, written_terms
from henderson.sources.alignment import aligned
from henderson.sources.columns import Array
from henderson.sources.frames import Table, unknown_column
from henderson.sources.grouping import one_grouping

GIVEN = "given as {}"
"""Name of a column that was given as an array."""


@dataclass(frozen=True)
class Plan:
    """What a model consists of, before any number is read.

    `given` holds columns given as arrays by the name that the model knows them by; the others are the data's.
    `groups_column` and `offset_column` hold the groups and the offset in new data: of a Series that was given, the
    column of its name.
    """

    response: str
    fixed: tuple[Term, ...]
    bars: tuple[tuple[Bar, tuple[Term, ...]], ...]
    components: tuple[tuple[str, tuple[Term, ...]], ...]
    offsets: tuple[str, ...]
    groups: Bar | None
    variables: tuple[str, ...]
    given: Mapping[str, Array]
    weights: str | None = None
    offset: str | None = None
    groups_column: str | None = None
    offset_column: str | None = None

    @property
    def factors(self) -> tuple[str, ...]:
        """All factors to evaluate."""
        terms = [*self.fixed, *(term for _, own in self.bars for term in own)]
        return tuple(dict.fromkeys([self.response, *self.offsets, *(expr for term in terms for expr in term)]))


def make_plan(
    parsed: ParsedFormula,
    table: Table,
    env: Environment,
    groups: Any,
    re_formula: str | None,
    vc_formula: Mapping[str, str] | None,
    weights: Any,
    offset: Any,
) -> Plan:
    """The plan of a model.

    Parameters
    ----------
    parsed : ParsedFormula
    table : Table
    env : Environment
    groups, re_formula, vc_formula, weights, offset
        As for `design_from_formula`.
    """
    bars, given = list(parsed.bars), {}
    own = groups_column = None
    if vc_formula is not None and not isinstance(vc_formula, Mapping):
        raise FormulaError(
            f"vc_formula must be a dict of names and formulas, such as {{'name': {str(vc_formula)!r}}}, "
            f"not {type(vc_formula).__name__}"
        )
    for name, text in (vc_formula or {}).items():
        if not (isinstance(name, str) and isinstance(text, str)):
            raise FormulaError(
                f"vc_formula must name formulas: {name!r} has {type(text).__name__}, not text such as '0 + C(a)'"
            )
    if re_formula is not None and not isinstance(re_formula, str):
        raise FormulaError(f"re_formula must be text such as '~ x', not {type(re_formula).__name__}")
    if groups is not None:
        groups = one_grouping(groups)
        if isinstance(groups, str) and groups not in table and re.search(r"[+/:*|(]", groups):
            raise FormulaError(
                f"{unknown_column(groups, table.names)}; groups names one column, write anything else as bars: "
                "(1 | a/b), (1 | a) + (1 | b)"
            )
        name = groups if isinstance(groups, str) else "Group"
        key = groups if isinstance(groups, str) else GIVEN.format("groups")
        if key != name:
            given[key] = aligned(groups, table.index, "groups", labelled=table.labelled)
        groups_column = name if key == name else _name_in_new_data(groups, given[key], table)
        own = Bar("1", (key,), name, label=name)
        if re_formula is not None:
            bars.append(replace(own, columns=with_intercept(_right_side(re_formula))))
        elif not vc_formula and not bars:
            bars.append(own)
        elif not vc_formula and all((name,) != bar.group for bar in bars):
            raise FormulaError(
                f"groups={name!r} has no part in {parsed.text!r}, which has bars: write (1 | {name}) there, or give "
                "re_formula or vc_formula"
            )
    elif re_formula is not None or vc_formula:
        raise FormulaError("re_formula and vc_formula need groups")
    if not bars and not vc_formula:
        raise FormulaError(f"no random effects: {parsed.text!r} has no term such as (1 | g), and groups is not given")
    fixed = written_terms(_without_dot(parsed, table, bars, own))
    with_terms = tuple((bar, written_terms(bar.columns)) for bar in label_bars(bars))
    components = tuple((name, written_terms(_right_side(text))) for name, text in sorted((vc_formula or {}).items()))
    sums = [fixed, *(terms for _, terms in with_terms), *(terms for _, terms in components)]
    exprs = [parsed.response, *parsed.offsets, *(expr for terms in sums for term in terms for expr in term)]
    variables = [name for expr in dict.fromkeys(exprs) for name in variables_of(expr, table, env)]
    for bar in [*bars, *([own] if own else [])]:
        for name in bar.group:
            if name not in given:
                variables += variables_of(f"`{name}`" if not name.isidentifier() else name, table, env)
    roles: dict[str, str] = {}
    for role, values in (("weights", weights), ("offset", offset)):
        if isinstance(values, str):
            roles[role] = values
            variables += variables_of(values, table, env)
        elif values is not None:
            roles[role] = GIVEN.format(role)
            given[roles[role]] = aligned(values, table.index, role, labelled=table.labelled)
    return Plan(
        parsed.response,
        fixed,
        with_terms,
        components,
        parsed.offsets,
        own,
        tuple(dict.fromkeys(variables)),
        given,
        roles.get("weights"),
        roles.get("offset"),
        groups_column,
        offset if isinstance(offset, str) else _name_in_new_data(offset, given.get(GIVEN.format("offset")), table),
    )


def _name_in_new_data(given: Any, values: Array, table: Table) -> str | None:
    """The name of a Series that was given, unless the table's column of that name is another."""
    name = getattr(given, "name", None)
    if not isinstance(name, str):
        return None
    return name if name not in table or pd.Series(values).equals(pd.Series(table[name])) else None


def _without_dot(parsed: ParsedFormula, table: Table, bars: Iterable[Bar], own: Bar | None) -> str:
    """The fixed part with all columns not used otherwise in place of ``.``."""
    dot = r"(?<![\w.)\]`])\.(?![\w.(\[`])"
    if not re.search(dot, parsed.fixed):
        return parsed.fixed
    used = {parsed.response, *(name for bar in [*bars, *([own] if own else [])] for name in bar.group)}
    others = [name if str(name).isidentifier() else f"`{name}`" for name in table.names if name not in used]
    if not others:
        raise FormulaError(f"'.' stands for no column in {parsed.text!r}")
    return re.sub(dot, f"({' + '.join(others)})", parsed.fixed)


def _right_side(text: str) -> str:
    """A formula without a response."""
    left, tilde, right = text.rpartition("~")
    if left.strip():
        raise FormulaError(f"{text!r} must not have a response")
    return right.strip() if tilde else text.strip()


def plain_name(name: str) -> str:
    """The role of a column that was given as an array; the name of any other."""
    return name.removeprefix(GIVEN.format(""))


def shown_name(name: str) -> str:
    """A name for messages."""
    return plain_name(name) if plain_name(name) != name else repr(name)
