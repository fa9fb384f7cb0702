"""Expressions whose value in a row depends on that row alone, once they have learned: what parts of a table need.

A function that learns (``scale``, ``poly``, ``mean``) learns from all rows, and what it learned is used row by row.
The listed functions and NumPy's functions of elements are known to be like that; of a function of the caller's, an
attribute or a subscript nobody knows, and it is refused rather than computed part by part.

Tested: tests/formula/test_by_rows.py
"""

from __future__ import annotations

from collections.abc import Container
from typing import Literal

import numpy as np

from henderson.errors import FormulaError
from henderson.formula import functions, tree
from henderson.formula.environment import Environment
from henderson.formula.expression import read

#: what an expression learns from: nothing, which labels there are, or all values
Learns = Literal["nothing", "labels", "values"]

#: functions of a whole column whose value is one number
AGGREGATES = frozenset(("mean", "median", "sd", "std", "var", "min", "max", "sum", "quantile", "amin", "amax", "ptp"))


def learns_from(expr: str, columns: Container[str], env: Environment) -> Learns:
    """What an expression learns from.

    Parameters
    ----------
    expr : str
    columns : container of str
    env : Environment

    Raises
    ------
    FormulaError
        When its value in a row may depend on other rows.

    Examples
    --------
    >>> env = Environment({})
    >>> [learns_from(text, {"x", "a"}, env) for text in ("log(x)", "C(a, Sum)", "poly(x, 2)")]
    ['nothing', 'labels', 'values']
    """
    found: Learns = "nothing"
    root = read(expr, columns, functions.DottedNames())
    called = {id(node.function) for node in tree.walk(root) if isinstance(node, tree.Call)}
    for node in tree.walk(root):
        own: Learns = "nothing"
        if isinstance(node, tree.Subscript | tree.Python):
            raise _refusal(expr, "a subscript" if isinstance(node, tree.Subscript) else "Python's own grammar")
        if isinstance(node, tree.Attribute) and not (id(node) in called or _is_of_numpy(node, columns)):
            raise _refusal(expr, node.text)
        if isinstance(node, tree.Call):
            own = _called(node, expr, columns, env)
        if own != "nothing" and found != "values":
            found = own
    return found


def _called(node: tree.Call, expr: str, columns: Container[str], env: Environment) -> Learns:
    function = node.function
    if isinstance(function, tree.Attribute):
        is_ufunc = isinstance(getattr(np, function.name, None), np.ufunc)
        if not _is_of_numpy(function, columns) or not (is_ufunc or function.name in AGGREGATES):
            if isinstance(function.value, tree.Name) and function.value.name == "contr":
                return "nothing"
            raise _refusal(expr, f"{function.text}()")
        return "nothing" if is_ufunc else "values"
    if not isinstance(function, tree.Name):
        raise _refusal(expr, "a function that is computed")
    name = function.name
    own = env.function(name)
    if own is not env.absent:
        if isinstance(own, np.ufunc):
            return "nothing"
        raise _refusal(expr, f"the function {name}()")
    if name in functions.FUNCTIONS:
        if name in functions.OF_LABELS:
            return "labels"
        return "values" if functions.FUNCTIONS[name].learns or name in AGGREGATES else "nothing"
    if functions.is_listed(name) or isinstance(env.builtin(name), np.ufunc):
        return "nothing"
    raise _refusal(expr, f"the function {name}()")


def _is_of_numpy(node: tree.Attribute, columns: Container[str]) -> bool:
    return node.value == tree.Name("np") and "np" not in columns


def _refusal(expr: str, what: str) -> FormulaError:
    return FormulaError(
        f"{expr!r} uses {what}, whose value in one row may depend on other rows; the rows are read in parts: make a "
        "column of it, or use the listed functions (log, scale, poly, ns, …)"
    )
