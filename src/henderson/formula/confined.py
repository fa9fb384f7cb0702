"""Expressions that come from a file: what they may use is decided before anybody evaluates them.

An open formula is a program (see `environment`). One in a file may use its columns, the listed functions, NumPy's and
`math`'s functions of elements, and methods of columns from a short list; nothing that could read, write or run.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

import numpy as np

from henderson.errors import DataError, FormulaError
from henderson.formula import functions, tree
from henderson.formula.expression import read

#: functions of Python's own
BUILTINS = frozenset(("abs", "bool", "float", "int", "len", "max", "min", "round", "sum"))
#: functions of modules, beside NumPy's ufuncs and all of `math`
OF_MODULES = frozenset((
    "abs", "clip", "cumsum", "cut", "diff", "digitize", "e", "interp", "isin", "max", "mean", "median", "min", "nan",
    "percentile", "pi", "qcut", "quantile", "round", "select", "std", "sum", "var", "where",
))  # fmt: skip
#: methods and properties of columns
METHODS = frozenset((
    "abs", "astype", "clip", "contains", "day", "dayofweek", "dayofyear", "dt", "endswith", "fillna", "hour", "isin",
    "isna", "lower", "max", "mean", "median", "min", "month", "notna", "quantile", "round", "startswith", "std", "str",
    "strip", "sum", "upper", "var", "weekday", "year",
))  # fmt: skip


def check_expression(expr: str, columns: Container[str], used: Container[str]) -> None:
    """Raise unless an expression uses only what an expression in a file may use.

    Parameters
    ----------
    expr : str
    columns : container of str
    used : container of str
        Names of the formula's environment, whose values were checked.

    Raises
    ------
    DataError
        Naming the culprit.

    Examples
    --------
    >>> check_expression("np.log(x + 1)", {"x"}, {"np"})
    >>> check_expression("x.to_pickle('file')", {"x"}, set())
    Traceback (most recent call last):
    ...
    henderson.errors.DataError: the expression "x.to_pickle('file')" uses 'to_pickle', which a model's file may not
    """
    try:
        found = next(_culprits(read(expr, columns, functions.DottedNames()), columns, used), None)
    except FormulaError as error:
        raise DataError(f"the expression {expr!r} is not one: {error}") from error
    if found is not None:
        raise DataError(f"the expression {expr!r} uses {found!r}, which a model's file may not")


def _culprits(root: tree.Node, columns: Container[str], used: Container[str]) -> Iterator[str]:
    for node in tree.walk(root):
        if isinstance(node, tree.Python):
            yield "Python's own grammar"
        elif isinstance(node, tree.Name):
            known = node.name in columns or node.name in used or functions.is_listed(node.name) or node.name == "np"
            if not (known or node.name in BUILTINS or _is_ufunc(node.name)):
                yield node.name
        elif isinstance(node, tree.Attribute):
            of_module = isinstance(node.value, tree.Name) and node.value.name not in columns
            is_math = of_module and isinstance(node.value, tree.Name) and node.value.name in ("math", "contr")
            fine = is_math or node.name in OF_MODULES or _is_ufunc(node.name) if of_module else node.name in METHODS
            if not fine or node.name.startswith("_"):
                yield node.name


def _is_ufunc(name: str) -> bool:
    return not name.startswith("_") and isinstance(getattr(np, name, None), np.ufunc)
