"""One factor of a formula → its values, and what is needed to evaluate it again on new data.

A factor is a column (``x``), a column as categories (``C(x)``), or an expression (``log(x)``, ``poly(x, 2)``,
``C(x, Sum)``). Columns are read here; expressions are `interpret`'s, and what their functions learned is the
factor's `state`.

Tested: tests/formula/test_evaluate.py
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError, FormulaError
from henderson.formula import functions, tree
from henderson.formula.bar_kinds import KINDS
from henderson.formula.categories import Category, as_category, coding_of
from henderson.formula.environment import Environment
from henderson.formula.expression import read
from henderson.formula.interpret import evaluate
from henderson.formula.terms import plain_column, shown
from henderson.sources.columns import Array, check_fine, find_missing, kind_of, to_array, to_float
from henderson.sources.factors import compress, encode, match, unknown_levels
from henderson.sources.table import unknown_column

Columns = Mapping[str, Array]


@dataclass(frozen=True)
class FactorSpec:
    """How to evaluate one factor.

    Attributes
    ----------
    expr : str
    variables : tuple of str
        Columns of the data that it uses.
    names : tuple of str
        Names of its columns when it is coded in full.
    levels : pandas.Index of length L, or None
        Levels of a categorical factor.
    contrasts : (L, k) array, or None
        Columns of a categorical factor whose mean is spanned elsewhere in the formula.
    reduced_names : tuple of k str
    spans_intercept : bool
        Whether the full columns add up to a constant: then they are reduced next to an intercept.
    state : dict, or None
        What an expression's functions learned; None for a plain column.
    levels_of : str or None
        The column whose values the levels are.
    """

    expr: str
    variables: tuple[str, ...]
    names: tuple[str, ...]
    levels: pd.Index | None = None
    contrasts: np.ndarray | None = None
    reduced_names: tuple[str, ...] = ()
    spans_intercept: bool = False
    state: dict[str, Any] | None = None
    levels_of: str | None = None

    def is_column(self, name: str) -> bool:
        """Whether its values are the numbers of the data's column `name`."""
        return self.state is None and self.levels is None and self.variables == (name,)


@dataclass(frozen=True)
class Values:
    """A factor's values.

    Attributes
    ----------
    columns : tuple of (n,) arrays
        Columns of a numeric factor; empty for a categorical one.
    codes : (n,) intp array, or None
        Levels of a categorical factor; −1 where it has none.
    """

    columns: tuple[np.ndarray, ...] = ()
    codes: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> Values:
        """The values of some rows."""
        codes = None if self.codes is None else self.codes[rows]
        return Values(tuple(column[rows] for column in self.columns), codes)

    @property
    def missing(self) -> np.ndarray | None:
        """Rows without a value; None when all have one."""
        if self.codes is not None:
            missed = self.codes < 0
            return missed if missed.any() else None
        each = [found for column in self.columns if (found := find_missing(column)) is not None]
        return np.logical_or.reduce(each) if each else None


def variables_of(expr: str, known: Any, env: Environment) -> tuple[str, ...]:
    """Columns of the data that `expr` uses, and vectors of the caller's that stand for columns.

    Parameters
    ----------
    expr : str
    known : Table
    env : Environment

    Raises
    ------
    FormulaError
        When a name is neither a column, nor a name of the caller's, nor one of the listed functions.
    """
    plain = plain_column(expr)
    if plain and (plain[0] in known or "." not in plain[0] or "`" in expr):
        name = plain[0]
        if name not in known and env.vector(name) is env.absent:
            raise FormulaError(_unknown(name, known))
        return (name,)
    node = read(expr, known, functions.DottedNames())
    names, called = tree.names_in(node)
    for name in called:
        if env.function(name) is env.absent and not functions.is_listed(name) and env.builtin(name) is env.absent:
            if name in functions.REFUSED:
                raise FormulaError(f"there is no {name}() here: {functions.REFUSED[name]}")
            said = unknown_column(name, known.names).replace("column", "column or function", 1)
            structures = f"; the words before a bar are {', '.join(KINDS)}" if "|" in expr else ""
            raise FormulaError(said + structures)
    used = []
    for name in names:
        if name in known or _is_column_like(env.vector(name), known.n):
            used.append(name)
        elif name == "np" and env.closed and _only_listed(node):
            continue
        elif env.get(name) is env.absent and not functions.is_listed(name) and env.builtin(name) is env.absent:
            dotted = [part.text for part in tree.walk(node) if isinstance(part, tree.Attribute)]
            raise FormulaError(_unknown(next((text for text in dotted if text.startswith(f"{name}.")), name), known))
    return tuple(used)


def _only_listed(node: tree.Node) -> bool:
    """Whether NumPy is used for listed functions only, ``np.log(x)``."""
    called = [part.function for part in tree.walk(node) if isinstance(part, tree.Call)]
    listed = [f for f in called if isinstance(f, tree.Attribute) and f.value == tree.Name("np")]
    n_uses = sum(part == tree.Name("np") for part in tree.walk(node))
    return len(listed) == n_uses and all(f.name in functions.FUNCTIONS for f in listed)


def _unknown(name: str, known: Any) -> str:
    if name in functions.CONSTANTS:
        return f"{name!r} is a number, not a column: write I({name} * x)"
    if "." in name and name.replace(".", "").isidentifier():
        return unknown_column(name, known.names)
    hint = f" (names with spaces or signs stand in backticks: `{name}`)" if not name.isidentifier() else ""
    return unknown_column(name, known.names) + hint


def _is_column_like(value: Any, n: int) -> bool:
    return isinstance(value, np.ndarray | pd.Series | pd.api.extensions.ExtensionArray) and np.shape(value) == (n,)


def is_plain(expr: str, columns: Collection[str]) -> bool:
    """Whether `expr` is a column, as it is or as categories."""
    plain = plain_column(expr)
    return plain is not None and plain[0] in columns


def learn(
    expr: str,
    columns: Columns,
    env: Environment,
    *,
    keep: np.ndarray | None = None,
    contrasts: Mapping[str, Any] | None = None,
) -> tuple[FactorSpec, Values]:
    """Evaluate a factor for the first time.

    Parameters
    ----------
    expr : str
    columns : mapping of str to (n,) arrays
        The rows to learn from, without missing values.
    env : Environment
    keep : (m,) integer array, optional
        The rows to return, all by default.
    contrasts : mapping, optional
        Contrasts of categorical factors, by column or by the factor's text.
    """
    plain = plain_column(expr)
    if plain is None or not is_plain(expr, columns):
        return _learn_expression(expr, columns, env, keep, contrasts or {})
    name, as_category_ = plain
    values = columns[name] if keep is None else columns[name][keep]
    kind = kind_of(values)
    if kind == "complex" or (kind in ("number objects", "time") and not as_category_):
        to_float(values, name)
    if kind == "number" and not as_category_:
        check_fine(values, name)
        return FactorSpec(expr, (name,), (shown(expr),)), Values((to_float(values, name),))
    codes, levels = encode(values, repr(name))
    spec = FactorSpec(expr, (name,), (), levels, levels_of=name)
    return _coded(spec, None, contrasts or {}), Values(codes=codes)


def _coded(spec: FactorSpec, coding: Any, contrasts: Mapping[str, Any]) -> FactorSpec:
    """A categorical factor with its contrasts: those written in the formula, or else those asked for."""
    assert spec.levels is not None
    if coding is None:
        coding = contrasts.get(spec.expr, contrasts.get(spec.levels_of or ""))
    made = coding_of(coding, spec.levels, spec.expr)
    name = shown(spec.expr)
    return replace(
        spec,
        names=tuple(name + end for end in made.full),
        contrasts=made.matrix,
        reduced_names=tuple(name + end for end in made.reduced),
        spans_intercept=True,
    )


def replay(spec: FactorSpec, columns: Columns, n: int, env: Environment) -> Values:
    """Evaluate a factor on new data, with the levels and the state of the old.

    Raises
    ------
    DataError
        When a categorical factor has a level that it did not have.
    """
    if spec.state is not None:
        return _replay_expression(spec, columns, n, env)
    values = columns[spec.variables[0]]
    if spec.levels is None:
        return Values((to_float(values, spec.variables[0]),))
    codes = match(values, spec.levels)
    if (codes < 0).any():
        raise DataError(unknown_levels(spec.variables[0], values, codes, spec.levels))
    return Values(codes=codes)


def as_number(spec: FactorSpec, values: Values) -> np.ndarray | None:
    """The one column of numbers that a factor is, (n,), a condition being 0 and 1; None when it is not one."""
    if spec.levels is not None:
        if not all(isinstance(level, bool | np.bool_) for level in spec.levels):
            return None
        return spec.levels.to_numpy(dtype=np.float64)[values.codes]
    return values.columns[0] if len(values.columns) == 1 else None


def _learn_expression(
    expr: str, columns: Columns, env: Environment, keep: np.ndarray | None, contrasts: Mapping[str, Any]
) -> tuple[FactorSpec, Values]:
    n = len(next(iter(columns.values())))
    node = read(expr, columns, functions.DottedNames())
    variables = tuple(name for name in tree.names_in(node)[0] if name in columns)
    state: dict[str, Any] = {}
    found = _result(evaluate(node, {name: columns[name] for name in variables}, env, state, expr), n, expr, state)
    if isinstance(found, Category):
        codes, levels = found.codes if keep is None else found.codes[keep], found.levels
        is_known = codes >= 0
        own, present = compress(codes[is_known], len(levels))
        codes = codes.copy()
        codes[is_known] = own
        spec = FactorSpec(expr, variables, (), levels[present], state=state, levels_of=_levels_of(node, variables))
        return _coded(spec, found.coding, contrasts), Values(codes=codes)
    for name in variables:
        check_fine(columns[name], name)
    names = tuple(f"{expr}{end}" for end in found.ends)
    if env.patsy and len(names) > 1:
        names = tuple(f"{expr}[{k}]" for k in range(len(names)))
    spans = found.spans_intercept and not env.patsy
    spec = FactorSpec(
        expr, variables, names, reduced_names=names[1:] if spans else (), spans_intercept=spans, state=state
    )
    values = Values(tuple(found.columns))
    return spec, values if keep is None else values.take(keep)


def _replay_expression(spec: FactorSpec, columns: Columns, n: int, env: Environment) -> Values:
    assert spec.state is not None
    used = {name: columns[name] for name in spec.variables}
    node = read(spec.expr, used, functions.DottedNames())
    found = _result(evaluate(node, used, env, spec.state, spec.expr), n, spec.expr, spec.state)
    if spec.levels is None:
        if isinstance(found, Category) or len(found.columns) != len(spec.names):
            raise DataError(
                f"{spec.expr!r} is not what it was when the model was made: {len(spec.names)} numbers a row"
            )
        return Values(tuple(found.columns))
    if not isinstance(found, Category):
        raise DataError(f"{spec.expr!r} was a factor when the model was made, and is not in the new data")
    position = spec.levels.get_indexer(found.levels)
    codes = np.where(found.codes < 0, -1, np.append(position, -1)[found.codes])
    if (codes < 0).any():
        at = int(np.flatnonzero(codes < 0)[0])
        bad = found.levels[found.codes[at]] if found.codes[at] >= 0 else found.unknown
        known = ", ".join(str(level) for level in spec.levels[:12])
        has = "no level" if bad is None else f"the level {bad!r}, which the model does not know,"
        raise DataError(f"{spec.expr!r} has {has} in row {at}; the model knows {known}")
    return Values(codes=codes.astype(np.intp))


def _levels_of(node: tree.Node, variables: Collection[str]) -> str | None:
    """The column whose values the levels of a factor are: that of ``C(x, Sum)``, ``relevel(factor(x), 'b')``."""
    while isinstance(node, tree.Call) and isinstance(node.function, tree.Name) and node.args:
        if node.function.name not in ("C", "factor", "as.factor", "as_factor", "relevel", "ordered", "I"):
            return None
        if len(node.args) > 2 or any(name == "labels" for name, _ in node.keywords):
            return None
        node = node.args[0]
    return node.name if isinstance(node, tree.Name) and node.name in variables else None


@dataclass(frozen=True)
class _Numbers:
    """Columns of an expression, ends of their names, and whether they add up to a constant."""

    columns: list[np.ndarray]
    ends: tuple[str, ...]
    spans_intercept: bool = False


def _result(value: Any, n: int, expr: str, state: dict[str, Any]) -> Category | _Numbers:
    """An expression's value as a factor: categories, or columns of numbers."""
    metadata = getattr(value, "__formulaic_metadata__", None)
    value = getattr(value, "__wrapped__", value)
    if value is None:
        raise FormulaError(f"{expr!r} has no value (None): does the function return something?")
    if isinstance(value, Category):
        _check_length(len(value.codes), n, expr)
        return value
    if isinstance(value, Mapping | pd.DataFrame):
        fields = [str(field) for field in value]
        arrays = [_numbers(value[field], n, expr) for field in value]
        spans = bool(metadata is not None and metadata.spans_intercept)
        return _Numbers(arrays, tuple(f"[{field}]" for field in fields), spans)
    if isinstance(value, np.ndarray) and value.ndim == 2:
        fields = (
            list(metadata.column_names) if metadata is not None and metadata.column_names else [*range(value.shape[1])]
        )
        return _Numbers([_numbers(column, n, expr) for column in value.T], tuple(f"[{field}]" for field in fields))
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return _Numbers([np.full(n, float(value))], ("",))
    if isinstance(value, str | bytes) or np.ndim(value) != 1:
        raise FormulaError(f"{expr!r} is {type(value).__name__}, not a value for each row")
    array = to_array(value, expr)
    _check_length(len(array), n, expr)
    kind = kind_of(array)
    if kind in ("bool", "text", "category", "objects"):
        return as_category(array, state.setdefault("the factor itself", {}))
    return _Numbers([_numbers(array, n, expr)], ("",))


def _numbers(values: Any, n: int, expr: str) -> np.ndarray:
    array = to_array(values, expr)
    _check_length(len(array), n, expr)
    if kind_of(array) not in ("number", "bool"):
        raise DataError(f"{expr!r} is not a real number in each row")
    return to_float(array, expr)


def _check_length(found: int, n: int, expr: str) -> None:
    if found != n:
        raise FormulaError(f"{expr!r} has {found} values, the data {n} rows")
