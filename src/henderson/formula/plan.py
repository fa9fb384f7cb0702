"""What a model consists of: terms, factors, and the columns of the data that they use. No number is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from henderson.errors import FormulaError
from henderson.formula.bar_kinds import KINDS, is_ordered
from henderson.formula.bars import Bar, ParsedFormula, as_diagonal, label_bars, with_intercept
from henderson.formula.environment import Environment
from henderson.formula.evaluate import variables_of
from henderson.formula.residual import FITTED, ParsedResidual
from henderson.formula.terms import Term, plain_column, shown, written_terms
from henderson.formula.tokens import backticked, tokens, written
from henderson.sources.alignment import aligned
from henderson.sources.columns import Array, kind_of
from henderson.sources.grouping import one_grouping
from henderson.sources.table import Table, unknown_column

GIVEN = "given as {}"
"""Name of a column that was given as an array."""

#: kinds of columns whose values are times
ORDERED_KINDS = ("number", "number objects", "time")


@dataclass(frozen=True)
class Plan:
    """What a model consists of, before any number is read.

    `given` holds columns given as arrays by the name that the model knows them by; the others are the data's.
    `groups_column`, `offset_column` and `weights_column` hold the groups, the offset and the weights in new data: of a
    Series that was given, the column of its name.
    `weights` is such a name or an expression, `offset` such a name: a text given as offset is among `offsets`.
    `uses` has the columns of each factor. `residual` is the covariance of the residuals, when they have one.
    """

    response: str
    fixed: tuple[Term, ...]
    bars: tuple[tuple[Bar, tuple[Term, ...]], ...]
    components: tuple[tuple[str, tuple[Term, ...]], ...]
    offsets: tuple[str, ...]
    groups: Bar | None
    variables: tuple[str, ...]
    uses: Mapping[str, tuple[str, ...]]
    given: Mapping[str, Array]
    weights: str | None = None
    offset: str | None = None
    groups_column: str | None = None
    offset_column: str | None = None
    weights_column: str | None = None
    residual: ParsedResidual | None = None

    @property
    def factors(self) -> tuple[str, ...]:
        """All factors to evaluate."""
        terms = [*self.fixed, *(term for _, own in self.bars for term in own)]
        weights = [] if self.weights is None or self.weights in self.given else [self.weights]
        of_residual = () if self.residual is None else self.residual.numbers
        exprs = [self.response, *self.offsets, *weights, *of_residual, *(expr for term in terms for expr in term)]
        return tuple(dict.fromkeys(exprs))


def make_plan(
    parsed: ParsedFormula,
    table: Table,
    env: Environment,
    groups: Any,
    re_formula: str | None,
    vc_formula: Mapping[str, str] | None,
    weights: Any,
    offset: Any,
    residual: ParsedResidual | None = None,
) -> Plan:
    """The plan of a model.

    Parameters
    ----------
    parsed : ParsedFormula
    table : Table
    env : Environment
    groups, re_formula, vc_formula, weights, offset
        As for `design_from_formula`.
    residual : ParsedResidual, optional
    """
    groups, weights, offset = table.named(groups), table.named(weights), table.named(offset)
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
        name = _group_column(groups, table) if isinstance(groups, str) else "Group"
        key = name if isinstance(groups, str) else GIVEN.format("groups")
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
    if not bars and not vc_formula and residual is None:
        hint = f"; the words before a bar are {', '.join(KINDS)}" if "|" in parsed.fixed else ""
        raise FormulaError(
            f"no random effects: {parsed.text!r} has no term such as (1 | g), and groups is not given{hint}"
        )
    fixed = written_terms(_without_dot(parsed, table, bars, own))
    with_terms = tuple((bar, _varying(bar, table)) for bar in label_bars(bars))
    components = tuple((name, written_terms(_right_side(text))) for name, text in sorted((vc_formula or {}).items()))
    sums = [fixed, *(terms for _, terms in with_terms), *(terms for _, terms in components)]
    roles: dict[str, str] = {}
    for role, values in (("weights", weights), ("offset", offset)):
        if isinstance(values, str):
            roles[role] = as_expression(values, table)
        elif values is not None:
            roles[role] = GIVEN.format(role)
            given[roles[role]] = aligned(values, table.index, role, labelled=table.labelled)
    offsets = list(parsed.offsets)
    if roles.get("offset", "") not in {"", *given}:
        offsets.append(roles.pop("offset"))
    exprs = [parsed.response, *offsets, *(expr for terms in sums for term in terms for expr in term)]
    uses = {expr: variables_of(expr, table, env) for expr in dict.fromkeys(exprs)}
    variables = [name for own_names in uses.values() for name in own_names]
    for bar in [*bars, *([own] if own else [])]:
        for name in (*bar.group, *(() if bar.members is None else bar.members.weights)):
            if name not in given:
                variables += variables_of(backticked(name), table, env)
    if roles.get("weights", "") not in {"", *given}:
        uses[roles["weights"]] = variables_of(roles["weights"], table, env)
        variables += uses[roles["weights"]]
    if residual is not None:
        for name in residual.columns:
            variables += variables_of(backticked(name), table, env)
        for expr in residual.numbers:
            uses[expr] = variables_of(expr, table, env)
            variables += uses[expr]
        if FITTED in table and any(own.covariate == FITTED for own in residual.variance):
            raise FormulaError(
                f"{residual.label}: {FITTED} stands for the fitted values, and the data have a column of that name: "
                f"write `{FITTED}`, in backticks, for the column, or leave it out of the data"
            )
    return Plan(
        parsed.response,
        fixed,
        with_terms,
        components,
        tuple(offsets),
        own,
        tuple(dict.fromkeys(variables)),
        uses,
        given,
        roles.get("weights"),
        roles.get("offset"),
        groups_column,
        None if isinstance(offset, str) else _name_in_new_data(offset, given.get(GIVEN.format("offset")), table),
        None if isinstance(weights, str) else _name_in_new_data(weights, given.get(GIVEN.format("weights")), table),
        residual,
    )


def with_diagonal_bars(plan: Plan, is_factor: Callable[[str], bool]) -> Plan:
    """The plan with one diagonal term for what ``||`` took apart, where a factor is among it."""

    def has_factor(bar: Bar) -> bool:
        return any(is_factor(expr) for term in written_terms(bar.double) for expr in term)

    if not any(bar.double for bar, _ in plan.bars):
        return plan
    terms = {bar.columns: own for bar, own in plan.bars}
    bars = as_diagonal([bar for bar, _ in plan.bars], has_factor)
    return replace(plan, bars=tuple((bar, terms.get(bar.columns) or written_terms(bar.columns)) for bar in bars))


def _varying(bar: Bar, table: Table) -> tuple[Term, ...]:
    """Terms of a bar; a column of numbers is a factor where its values are the times of the effects."""
    terms = written_terms(bar.columns)
    if not is_ordered(bar.structure) or len(terms) != 1 or len(terms[0]) != 1:
        return terms
    plain = plain_column(terms[0][0])
    if plain is None or plain[1] or plain[0] not in table or kind_of(table[plain[0]]) not in ORDERED_KINDS:
        return terms
    return ((f"factor({terms[0][0]})",),)


def _name_in_new_data(given: Any, values: Array, table: Table) -> str | None:
    """The name of a Series that was given, unless the table's column of that name is another."""
    name = table.named(getattr(given, "name", None))
    if not isinstance(name, str):
        return None
    return name if name not in table or pd.Series(values).equals(pd.Series(table[name])) else None


def _group_column(text: str, table: Table) -> str:
    """The column that `groups` names, as a name, in backticks or as ``C(g)``."""
    if text in table:
        return text
    plain = plain_column(text)
    if plain is None:
        raise FormulaError(
            f"{unknown_column(text, table.names)}; groups names one column, write anything else as bars: "
            "(1 | a/b), (1 | a) + (1 | b)"
        )
    return plain[0]


def as_expression(text: str, table: Table) -> str:
    """What `weights` or `offset` says, as a formula has it: a column's name, or an expression such as ``1 / n``."""
    return backticked(text) if text in table else written(tokens(text))


def _without_dot(parsed: ParsedFormula, table: Table, bars: Iterable[Bar], own: Bar | None) -> str:
    """The fixed part with all columns not used otherwise in place of ``.``."""
    dots = [word for word in tokens(parsed.fixed) if word.kind == "name" and word.text == "." and not word.is_python]
    if not dots:
        return parsed.fixed
    used = {parsed.response, *(name for bar in [*bars, *([own] if own else [])] for name in bar.group)}
    others = [backticked(str(name)) for name in table.names if str(name) not in {shown(name) for name in used}]
    if not others:
        raise FormulaError(f"'.' stands for no column in {parsed.text!r}")
    text = parsed.fixed
    for dot in reversed(dots):
        text = f"{text[: dot.start]}({' + '.join(others)}){text[dot.end :]}"
    return text


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
