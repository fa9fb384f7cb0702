"""What a model consists of: terms, factors, and the columns of the data that they use. No number is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import FormulaError
from henderson.formula.bars import Bar, ParsedFormula, label_bars, with_intercept
from henderson.formula.environment import Environment
from henderson.formula.evaluate import variables_of
from henderson.formula.terms import Term, written_terms
from henderson.sources.alignment import aligned
from henderson.sources.columns import Array
from henderson.sources.frames import Table

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
    if re_formula is not None and not isinstance(re_formula, str):
        raise FormulaError(f"re_formula must be text such as '~ x', not {type(re_formula).__name__}")
    if groups is not None:
        groups = _one_grouping(groups)
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


def _one_grouping(groups: Any) -> Any:
    """`groups`, unless they are several."""
    names: list[Any] = []
    if isinstance(groups, str):
        return groups
    if isinstance(groups, list | tuple) and len(groups) < 10 and all(isinstance(name, str) for name in groups):
        names = list(groups)
    elif not isinstance(groups, list | tuple) and len(np.shape(groups)) == 2 and np.shape(groups)[1] != 1:
        names = list(getattr(groups, "columns", range(np.shape(groups)[1])))
    if len(names) > 1:
        a, b = (str(name) if isinstance(name, str) else f"g{k}" for k, name in enumerate(names[:2], 1))
        raise FormulaError(
            f"groups takes one grouping factor, not {len(names)}. Write bars: lmer('… + (1 | {a}) + (1 | {b})', data); "
            f"or, for {b} within {a}, groups={a!r} and vc_formula={{{b!r}: '0 + C({b})'}}"
        )
    return groups.iloc[:, 0] if isinstance(groups, pd.DataFrame) else groups


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
