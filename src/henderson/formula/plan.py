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
    _check_texts(re_formula, vc_formula)
    given: dict[str, Array] = {}
    own, groups_column = (None, None) if groups is None else _bar_of_groups(groups, table, given)
    bars = _all_bars(parsed, own, re_formula, vc_formula)
    if not bars and not vc_formula and residual is None:
        hint = f"; the words before a bar are {', '.join(KINDS)}" if "|" in parsed.fixed else ""
        raise FormulaError(
            f"no random effects: {parsed.text!r} has no term such as (1 | g), and groups is not given{hint}"
        )
    fixed = written_terms(_without_dot(parsed, table, bars, own))
    with_terms = tuple((bar, _varying(bar, table)) for bar in label_bars(bars))
    components = tuple((name, written_terms(_right_side(text))) for name, text in sorted((vc_formula or {}).items()))
    roles = _roles(weights, offset, table, given)
    offsets = list(parsed.offsets)
    if roles.get("offset", "") not in {"", *given}:
        offsets.append(roles.pop("offset"))
    sums = [fixed, *(terms for _, terms in with_terms), *(terms for _, terms in components)]
    exprs = [parsed.response, *offsets, *(expr for terms in sums for term in terms for expr in term)]
    weight = [roles["weights"]] if roles.get("weights", "") not in {"", *given} else []
    in_bars = [name for bar in [*bars, *([own] if own else [])] for name in _names_in(bar) if name not in given]
    residual = None if residual is None else _with_dates(residual, table)
    in_residual = ((), ()) if residual is None else (residual.columns, residual.numbers)
    everywhere = (exprs, map(backticked, in_bars), weight, map(backticked, in_residual[0]), in_residual[1])
    used = [{expr: variables_of(expr, table, env) for expr in some} for some in everywhere]
    if residual is not None:
        _check_fitted(residual, table)
    return Plan(
        parsed.response,
        fixed,
        with_terms,
        components,
        tuple(offsets),
        own,
        tuple(dict.fromkeys(name for some in used for names in some.values() for name in names)),
        used[0] | used[2] | used[4],
        given,
        roles.get("weights"),
        roles.get("offset"),
        groups_column,
        None if isinstance(offset, str) else _name_in_new_data(offset, given.get(GIVEN.format("offset")), table),
        None if isinstance(weights, str) else _name_in_new_data(weights, given.get(GIVEN.format("weights")), table),
        residual,
    )


def _with_dates(residual: ParsedResidual, table: Table) -> ParsedResidual:
    """A time that is a column of dates as that column."""
    plain = plain_column(residual.places[0]) if residual.is_timed else None
    if plain is None or plain[1] or plain[0] not in table or kind_of(table[plain[0]]) != "time":
        return residual
    return replace(residual, places=(plain[0],), dated=True)


def _check_texts(re_formula: Any, vc_formula: Any) -> None:
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


def _bar_of_groups(groups: Any, table: Table, given: dict[str, Array]) -> tuple[Bar, str | None]:
    """The bar (1 | groups), and the column that holds the groups in new data; an array comes to those `given`."""
    groups = one_grouping(groups)
    if isinstance(groups, str):
        name = key = _group_column(groups, table)
        column: str | None = name
    else:
        name, key = "Group", GIVEN.format("groups")
        given[key] = aligned(groups, table.index, "groups", labelled=table.labelled)
        column = _name_in_new_data(groups, given[key], table)
    return Bar("1", (key,), name, label=name), column


def _all_bars(
    parsed: ParsedFormula, own: Bar | None, re_formula: str | None, vc_formula: Mapping[str, str] | None
) -> list[Bar]:
    """The formula's bars and that of the groups, which need a part: in a bar, `re_formula` or `vc_formula`."""
    bars = list(parsed.bars)
    if own is None:
        if re_formula is not None or vc_formula:
            raise FormulaError("re_formula and vc_formula need groups")
        return bars
    if re_formula is not None:
        return [*bars, replace(own, columns=with_intercept(_right_side(re_formula)))]
    if not vc_formula and not bars:
        return [own]
    if not vc_formula and all((own.name,) != bar.group for bar in bars):
        raise FormulaError(
            f"groups={own.name!r} has no part in {parsed.text!r}, which has bars: write (1 | {own.name}) there, or "
            "give re_formula or vc_formula"
        )
    return bars


def _roles(weights: Any, offset: Any, table: Table, given: dict[str, Array]) -> dict[str, str]:
    """What weights and offset, where there are such, are called; arrays come to those `given`."""
    roles: dict[str, str] = {}
    for role, values in (("weights", weights), ("offset", offset)):
        if isinstance(values, str):
            roles[role] = as_expression(values, table)
        elif values is not None:
            roles[role] = GIVEN.format(role)
            given[roles[role]] = aligned(values, table.index, role, labelled=table.labelled)
    return roles


def _names_in(bar: Bar) -> tuple[str, ...]:
    """Columns of a bar's groups."""
    return bar.group if bar.members is None else (*bar.group, *bar.members.weights)


def _check_fitted(residual: ParsedResidual, table: Table) -> None:
    if FITTED in table and any(own.covariate == FITTED for own in residual.variance):
        raise FormulaError(
            f"{residual.label}: {FITTED} stands for the fitted values, and the data have a column of that name: "
            f"write `{FITTED}`, in backticks, for the column, or leave it out of the data"
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
