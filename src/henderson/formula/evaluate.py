"""One factor of a formula → its values, and what is needed to evaluate it again on new data.

A factor is a column (``x``), a column as categories (``C(x)``), or an expression (``np.log(x)``, ``poly(x,
2)``, ``C(x, contr.sum)``). The first two are read here; formulaic evaluates the others.
"""

from __future__ import annotations

import ast
import builtins
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError, FormulaError
from henderson.formula.environment import Environment
from henderson.formula.terms import plain_column
from henderson.sources.columns import Array, kind_of, to_float
from henderson.sources.factors import encode, match, unknown_levels
from henderson.sources.frames import to_frame, unknown_column

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
    spec : formulaic.ModelSpec, or None
        State of an expression's transforms; None for a plain column.
    """

    expr: str
    variables: tuple[str, ...]
    names: tuple[str, ...]
    levels: pd.Index | None = None
    contrasts: np.ndarray | None = None
    reduced_names: tuple[str, ...] = ()
    spans_intercept: bool = False
    spec: Any = None


@dataclass(frozen=True)
class Values:
    """A factor's values.

    Attributes
    ----------
    columns : tuple of (n,) arrays
        Columns of a numeric factor; empty for a categorical one.
    codes : (n,) intp array, or None
        Levels of a categorical factor.
    """

    columns: tuple[np.ndarray, ...] = ()
    codes: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> Values:
        """The values of some rows."""
        codes = None if self.codes is None else self.codes[rows]
        return Values(tuple(column[rows] for column in self.columns), codes)


def variables_of(expr: str, known: Any, env: Environment) -> tuple[str, ...]:
    """Columns of the data that `expr` uses.

    Parameters
    ----------
    expr : str
    known : Table
    env : Environment

    Raises
    ------
    FormulaError
        When a name is neither a column, nor a name of the caller's, nor one of formulaic's functions.
    """
    plain = plain_column(expr)
    if plain or expr in known:
        name = plain[0] if plain else expr
        if name not in known and env.vector(name) is env.absent:
            raise FormulaError(unknown_column(name, known.names))
        return (name,)
    names, functions = names_in(expr)
    for name in functions:
        value = env.get(name, called=True)
        if value is env.absent and not _is_function(name):
            raise FormulaError(unknown_column(name, known.names).replace("column", "column or function", 1))
        if not callable(value) and _is_function(name):
            env.drop(name)
    for name in names:
        if name not in known and env.get(name) is env.absent and not _is_function(name):
            raise FormulaError(unknown_column(name, known.names))
    return tuple(name for name in names if name in known)


def names_in(expr: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names that an expression uses as values, and those that it calls.

    Examples
    --------
    >>> names_in("log(x + k) * `my column` + sum([v for v in z]) + Q('w')")
    (('x', 'k', 'my column', 'z', 'w'), ('log', 'sum', 'Q'))
    """
    quoted: dict[str, str] = {}

    def hide(found: re.Match[str]) -> str:
        quoted[f"_quoted_{len(quoted)}"] = found[1]
        return f"_quoted_{len(quoted) - 1}"

    try:
        tree = ast.parse(re.sub(r"`([^`]+)`", hide, expr), mode="eval")
    except SyntaxError:
        if re.fullmatch(r"[^\W\d][\w.]*", expr):
            return (expr,), ()
        raise FormulaError(f"{expr!r} cannot be read as an expression") from None
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found: list[tuple[int, int, bool, str]] = []
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            name = quoted.get(node.id, node.id)
            found.append((node.lineno, node.col_offset, id(node) in called, name))
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.comprehension):
            bound.update(name.id for name in ast.walk(node.target) if isinstance(name, ast.Name))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Q":
            found += [
                (arg.lineno, arg.col_offset, False, str(arg.value))
                for arg in node.args
                if isinstance(arg, ast.Constant)
            ]
    names, functions = (
        tuple(dict.fromkeys(name for _, _, call, name in sorted(found) if call == calls and name not in bound))
        for calls in (False, True)
    )
    return names, functions


def _is_function(name: str) -> bool:
    from formulaic.transforms import TRANSFORMS

    return name in TRANSFORMS or hasattr(builtins, name)


def learn(expr: str, columns: Columns, env: Environment) -> tuple[FactorSpec, Values]:
    """Evaluate a factor for the first time.

    Parameters
    ----------
    expr : str
    columns : mapping of str to (n,) arrays
        The rows to use, without missing values.
    env : Environment
    """
    plain = plain_column(expr)
    if plain is None and expr in columns:
        plain = (expr, False)
    if plain is None:
        return _learn_expression(expr, columns, env)
    name, as_category = plain
    values = columns[name]
    kind = kind_of(values)
    if kind == "complex" or kind == "number objects" or (kind == "time" and not as_category):
        to_float(values, name)
    if kind == "number" and not as_category:
        return FactorSpec(expr, (name,), (expr,)), Values((to_float(values, name),))
    codes, levels = encode(values, repr(name))
    return _categorical(expr, (name,), levels), Values(codes=codes)


def _categorical(expr: str, variables: tuple[str, ...], levels: pd.Index, spec: Any = None) -> FactorSpec:
    """A treatment-coded factor."""
    return FactorSpec(
        expr,
        variables,
        tuple(f"{expr}[{level}]" for level in levels),
        levels,
        np.eye(len(levels))[:, 1:],
        tuple(f"{expr}[T.{level}]" for level in levels[1:]),
        True,
        spec,
    )


def replay(spec: FactorSpec, columns: Columns, n: int, env: Environment) -> Values:
    """Evaluate a factor on new data, with the levels and the transforms' state of the old.

    Raises
    ------
    DataError
        When a categorical factor has a level that it did not have.
    """
    if spec.spec is not None:
        return _replay_expression(spec, columns, n, env)
    values = columns[spec.variables[0]]
    if spec.levels is None:
        return Values((to_float(values, spec.variables[0]),))
    codes = match(values, spec.levels)
    if (codes < 0).any():
        raise DataError(unknown_levels(spec.variables[0], values, codes, spec.levels))
    return Values(codes=codes)


def _materialize(formula: Any, columns: Columns, n: int, env: Environment, expr: str) -> Any:
    """formulaic's model matrix; its errors by our names."""
    from formulaic.errors import FormulaicError

    from henderson.formula import booleans  # noqa: F401 - formulaic must know it, for a spec from a pickle too

    frame = to_frame(columns, n)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return formula.get_model_matrix(frame, context=env.used)
    except (
        FormulaicError,
        ArithmeticError,
        AttributeError,
        LookupError,
        NameError,
        TypeError,
        ValueError,
    ) as error:
        cause = error.__cause__ or error
        message = re.sub(r"\x1b\[[\d;]*m|⧛|⧚", "", str(cause)).strip().splitlines()
        raise FormulaError(f"{expr!r} cannot be evaluated: {message[0] if message else cause!r}") from error


def _learn_expression(expr: str, columns: Columns, env: Environment) -> tuple[FactorSpec, Values]:
    from formulaic import Formula, ModelSpec
    from formulaic.parser.types import Factor, Term

    from henderson.formula.booleans import Materializer

    def parts(intercept: bool) -> Any:
        terms = [Term([Factor("1", eval_method="literal")])] if intercept else []
        formula = Formula([*terms, Term([Factor(expr, eval_method="python")])])
        return ModelSpec(formula=formula, output="numpy", na_action="ignore", materializer=Materializer)

    variables = tuple(name for name in names_in(expr)[0] if name in columns)
    n = len(next(iter(columns.values())))
    used = {name: columns[name] for name in variables}
    matrix = _materialize(parts(False), used, n, env, expr)
    spec, array = matrix.model_spec, np.asarray(matrix)
    if array.dtype.kind in "cO":
        raise DataError(f"{expr!r} is not a real number in each row")
    names = tuple(str(name) for name in spec.column_names)
    state = next(iter(spec.factor_contrasts.values()), None)
    if state is None:
        if env.patsy and len(names) > 1:
            names = tuple(f"{expr}[{k}]" for k in range(len(names)))
        reduced = () if env.patsy else _materialize(parts(True), used, n, env, expr).model_spec.column_names[1:]
        spans = 0 < len(reduced) < len(names)
        factor = FactorSpec(expr, variables, names, reduced_names=tuple(reduced), spans_intercept=spans, spec=spec)
        return factor, Values(tuple(np.asarray(array, np.float64).T))
    reduced = _materialize(parts(True), used, n, env, expr).model_spec.column_names[1:]
    factor = FactorSpec(
        expr,
        variables,
        names,
        pd.Index(state.levels),
        np.asarray(state.get_coding_matrix(reduced_rank=True, sparse=False), np.float64),
        tuple(reduced),
        True,
        spec,
    )
    return factor, Values(codes=_codes(factor, array))


def _codes(spec: FactorSpec, array: np.ndarray) -> np.ndarray:
    """Levels of the rows of a full coding; −1 where a row is none of them."""
    assert spec.levels is not None
    state = next(iter(spec.spec.factor_contrasts.values()))
    coding = np.asarray(state.get_coding_matrix(reduced_rank=False, sparse=False), np.float64)
    distance = np.stack([np.abs(array - row).sum(axis=1) for row in coding], axis=1)
    codes = distance.argmin(axis=1)
    return np.where(distance[np.arange(len(codes)), codes] < 1e-9, codes, -1)


def _replay_expression(spec: FactorSpec, columns: Columns, n: int, env: Environment) -> Values:
    used = {name: columns[name] for name in spec.variables}
    array = np.asarray(_materialize(spec.spec, used, n, env, spec.expr), np.float64)
    if spec.levels is None:
        return Values(tuple(array.T))
    codes = _codes(spec, array)
    if (codes < 0).any():
        shown = ", ".join(str(level) for level in spec.levels[:12])
        raise DataError(f"{spec.expr!r} has a level which the model does not know; it knows {shown}")
    return Values(codes=codes)
