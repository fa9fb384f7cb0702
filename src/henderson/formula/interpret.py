"""An expression's tree and columns → its value.

Numbers are R's: integers and booleans are float64 in arithmetic and in functions of numbers, so that nothing
overflows or wraps. A number that is computed of a whole column (``mean(x)``, ``x.max()``, ``len(x)``) is
learned: new data get the one of the data that the model was fitted to.

Tested: tests/formula/test_interpret.py
"""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from henderson.errors import DataError, FormulaError
from henderson.formula import functions, rowwise, tree
from henderson.formula.categories import Category
from henderson.formula.environment import Environment
from henderson.sources.columns import Array, kind_of, to_array, to_float

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}
_FLOAT_LOOPS = ("d->d", "dd->d")


def evaluate(node: tree.Node, columns: Mapping[str, Array], env: Environment, state: dict[str, Any], expr: str) -> Any:
    """The value of an expression.

    Parameters
    ----------
    node : Node
    columns : mapping of str to (n,) arrays
        The columns that it uses.
    env : Environment
    state : dict
        What its functions learned; filled when it is empty.
    expr : str
        For messages.

    Raises
    ------
    FormulaError, DataError
        When it cannot be evaluated.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return _Interpreter(columns, env, state).value(node)
    except (FormulaError, DataError) as error:
        if expr in str(error):
            raise
        raise type(error)(f"{expr!r} cannot be evaluated: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, NameError, TypeError, ValueError) as error:
        message = re.sub(r"\x1b\[[\d;]*m|⧛|⧚", "", str(error)).strip().splitlines()
        raise FormulaError(f"{expr!r} cannot be evaluated: {message[0] if message else error!r}") from error


class _Interpreter:
    """One evaluation: columns, names and what was learned."""

    def __init__(self, columns: Mapping[str, Array], env: Environment, state: dict[str, Any]) -> None:
        self.columns, self.env, self.state = columns, env, state
        self._series: dict[str, pd.Series] = {}

    def value(self, node: tree.Node) -> Any:
        method = getattr(self, f"_{type(node).__name__.lower()}")
        return method(node)

    def column(self, name: str) -> pd.Series:
        if name not in self._series:
            values = self.columns[name]
            self._series[name] = pd.Series(values, index=pd.RangeIndex(len(values)), copy=False)
        return self._series[name]

    def _constant(self, node: tree.Constant) -> Any:
        return node.value

    def _name(self, node: tree.Name) -> Any:
        name = node.name
        if name in self.columns:
            return self.column(name)
        value = self.env.get(name)
        if value is not self.env.absent:
            return value
        if name in functions.CONSTANTS:
            return functions.CONSTANTS[name]
        found = functions.coding(name)
        if found is not None:
            return found
        value = self.env.builtin(name)
        if value is self.env.absent:
            raise FormulaError(f"{name!r} is no column")
        return value

    def _items(self, node: tree.Items) -> Any:
        values = [self.value(item) for item in node.items]
        return values if node.is_list else tuple(values)

    def _attribute(self, node: tree.Attribute) -> Any:
        self._only_open(f"attributes, such as {node.text}")
        return self._learned(node, lambda: getattr(self.value(node.value), node.name))

    def _subscript(self, node: tree.Subscript) -> Any:
        self._only_open("subscripts")
        return self.value(node.value)[self.value(node.index)]

    def _python(self, node: tree.Python) -> Any:
        self._only_open("Python's own grammar")
        names = {alias: self._python_name(name) for alias, name in node.names}
        return eval(compile(node.text, "<formula>", "eval"), names)

    def _python_name(self, name: str) -> Any:
        if name in self.columns:
            return widened(self.column(name))
        value = self.env.get(name)
        if value is self.env.absent:
            value = self.env.builtin(name)
        listed = functions.FUNCTIONS.get(name)
        if value is self.env.absent and listed is not None and not listed.learns:
            return listed.call
        if value is self.env.absent and functions.is_listed(name):
            raise FormulaError(f"{name}() does not go with lambda, for, if and slices in one expression")
        if value is self.env.absent:
            raise FormulaError(f"{name!r} is no column")
        return value

    def _only_open(self, what: str) -> None:
        if self.env.closed:
            raise FormulaError(f"this formula may use columns and listed functions only, not {what}")

    def _unary(self, node: tree.Unary) -> Any:
        operand = self.value(node.operand)
        if node.operator == "!":
            condition = rowwise.as_condition(operand, "what '!' is given")
            return (not condition) if isinstance(condition, bool) else ~condition
        operand = promoted(operand)
        return -operand if node.operator == "-" else +operand

    def _binary(self, node: tree.Binary) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if node.operator in ("&", "|"):
            both = [rowwise.as_condition(side, f"what {node.operator!r} is given") for side in (left, right)]
            return np.logical_and(*both) if node.operator == "&" else np.logical_or(*both)
        for side in (left, right):
            if isinstance(side, Category) or (np.ndim(side) == 1 and kind_of(to_array(side, "it")) == "category"):
                raise DataError(f"{node.operator!r} is for numbers, not for factors")
        if node.operator != "+" and isinstance(left, str | list | tuple) | isinstance(right, str | list | tuple):
            raise DataError(f"{node.operator!r} is for numbers; write c(1, 2) for a vector of numbers")
        if node.operator == "**" and isinstance(left, int):
            left = float(left)  # Python's integers have no end
        return _ARITHMETIC[node.operator](promoted(left), promoted(right))

    def _compare(self, node: tree.Compare) -> Any:
        values = [self.value(operand) for operand in node.operands]
        out: Any = None
        for symbol, left, right in zip(node.operators, values, values[1:]):
            one = _compared(symbol, left, right)
            out = one if out is None else np.logical_and(out, one)
        return out

    def _call(self, node: tree.Call) -> Any:
        return self._learned(node, lambda: self._called(node))

    def _called(self, node: tree.Call) -> Any:
        function = self._function(node.function)
        args = [self.value(arg) for arg in node.args]
        if isinstance(node.function, tree.Name) and node.function.name in functions.OF_LABELS:
            args = [self._whole(arg, value) for arg, value in zip(node.args, args)]
        keywords = [(name, self.value(value)) for name, value in node.keywords]
        if isinstance(function, functions.Function):
            named = functions.as_arguments(keywords)
            if function.numbers:
                args = [rowwise.number(arg, f"{node.text.split('(')[0]}()") for arg in args]
                named = {k: rowwise.number(v, k) if np.ndim(v) and k == "x" else v for k, v in named.items()}
            state = (self.state.setdefault(node.text, {}),) if function.learns else ()
            try:
                return function.call(*state, *args, **named)
            except TypeError as error:
                if "argument" not in str(error):
                    raise
                raise FormulaError(f"{node.text}: {re.sub(r'^.*?[(][)] ', '', str(error))}") from error
        named = dict(keywords)
        if isinstance(function, np.ufunc) and any(loop in function.types for loop in _FLOAT_LOOPS):
            return function(*(promoted(arg) for arg in args), **named)
        return function(*(widened(arg) for arg in args), **{k: widened(v) for k, v in named.items()})

    def _whole(self, node: tree.Node, value: Any) -> Any:
        """Arithmetic on columns of integers as integers where it is whole: labels are 1 and 2, not 1.0 and 2.0."""
        if not isinstance(node, tree.Binary | tree.Unary) or not _is_vector(value):
            return value
        parts = list(tree.walk(node))
        integers = all(
            pd.api.types.is_integer_dtype(self.columns[part.name].dtype)
            for part in parts
            if isinstance(part, tree.Name) and part.name in self.columns
        )
        numbers = np.asarray(value)
        divides = any(isinstance(part, tree.Binary) and part.operator == "/" for part in parts)
        if divides or not integers or numbers.dtype.kind != "f" or not (np.abs(numbers) < 2**53).all():
            return value
        whole = numbers.astype(np.int64)
        return whole if (whole == numbers).all() else value

    def _function(self, node: tree.Node) -> Any:
        if isinstance(node, tree.Attribute) and self.env.closed and node.value == tree.Name("np"):
            found = functions.FUNCTIONS.get(node.name)
            if found is not None and "np" not in self.columns:
                return found
        if not isinstance(node, tree.Name):
            return self.value(node)
        name = node.name
        value = self.env.function(name)
        if value is not self.env.absent:
            return value
        if name == "scale" and self.env.patsy:
            name = "standardize"
        if name in functions.FUNCTIONS:
            return functions.FUNCTIONS[name]
        coding = functions.coding(name)
        if coding is not None:
            return coding
        value = self.env.builtin(name)
        if value is self.env.absent:
            raise FormulaError(f"there is no function {name!r}")
        return value

    def _learned(self, node: tree.Call | tree.Attribute, compute: Callable[[], Any]) -> Any:
        """A number of whole columns, as it was when the model was fitted; anything else as it is now."""
        key = f"{node.text} ="
        if key in self.state:
            return self.state[key]
        value = compute()
        is_number = isinstance(value, int | float | np.number | np.bool_)
        if is_number and any(isinstance(part, tree.Name) and part.name in self.columns for part in tree.walk(node)):
            self.state[key] = value.item() if isinstance(value, np.generic) else value
        return value


def _is_vector(value: Any) -> bool:
    return isinstance(value, pd.Series | np.ndarray | pd.api.extensions.ExtensionArray) and value.ndim == 1


def promoted(value: Any) -> Any:
    """Integers and booleans as float64; everything else as it is."""
    if _is_vector(value):
        array = to_array(value, "a column")
        kind = kind_of(array)
        if kind == "bool" or (kind == "number" and not _is_float(array)):
            made = to_float(array, "a column")
            return pd.Series(made, index=value.index) if isinstance(value, pd.Series) else made
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
        return value.astype(np.float64)
    if isinstance(value, bool | np.bool_ | np.integer):
        return int(value)
    if isinstance(value, int) and abs(value) > 2**53:
        return float(value)
    return value


def widened(value: Any) -> Any:
    """Small integers as int64 (float64 beyond it), for functions that are not ours; everything else as it is."""
    if not _is_vector(value):
        return value
    array = to_array(value, "a column")
    if kind_of(array) != "number" or _is_float(array) or array.dtype == np.int64:
        return value
    numbers = array if isinstance(array, np.ndarray) else np.asarray(array.to_numpy())
    made = numbers.astype(np.float64 if numbers.dtype.kind == "u" and (numbers > 2**62).any() else np.int64)
    return pd.Series(made, index=value.index) if isinstance(value, pd.Series) else made


def _is_float(array: Array) -> bool:
    return pd.api.types.is_float_dtype(array.dtype) and isinstance(array.dtype, np.dtype) and array.dtype.itemsize >= 8


def _compared(symbol: str, left: Any, right: Any) -> Any:
    left, right = (rowwise.plain_values(side) if isinstance(side, Category) else side for side in (left, right))
    if symbol in ("in", "not in"):
        if np.ndim(left) == 0:
            raise FormulaError("on the left of %in% stands a column")
        chosen = [right] if np.ndim(right) == 0 else list(right)
        for value in chosen[:1]:
            _check_kinds(left, value)
        found = np.asarray(pd.Series(left).isin(chosen))
        return found if symbol == "in" else ~found
    _check_kinds(left, right)
    _check_kinds(right, left)
    found = _COMPARISONS[symbol](left, right)
    return found if np.ndim(found) == 0 else np.asarray(to_float(to_array(found, "a condition"), "a condition") == 1)


def _check_kinds(column: Any, value: Any) -> None:
    """A text is equal to no number: say so, where all rows would be False."""
    if not _is_vector(column) or np.ndim(value):
        return
    array = to_array(column, "a column")
    kind = kind_of(array)
    if kind == "category":
        kind = "text" if kind_of(array.categories.array) in ("text", "objects") else "number"
    is_text = isinstance(value, str)
    if (kind in ("number", "bool") and is_text) or (kind == "text" and isinstance(value, int | float | np.number)):
        holds = "numbers" if is_text else "text"
        raise FormulaError(f"a column that holds {holds} is compared with {value!r}")
