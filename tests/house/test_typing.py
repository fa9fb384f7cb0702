"""Public names say what they take and return: no `Any`, nothing without a type, choices by name."""

from __future__ import annotations

import ast
import inspect
import re
import typing
from functools import cached_property
from pkgutil import resolve_name

import pandas as pd
import pytest

import henderson
from henderson.inference.covariances.registry import COV
from henderson.inference.ddf.registry import DDF
from henderson.means.multiplicity.adjust import ADJUSTMENTS, ALIASES, adjustment_name
from henderson.means.options import side_of
from henderson.typing import Adjust, Cov, Ddf, FrameLike, Side
from public_names import LISTED

#: what is handed on to optimisers, and statsmodels' positional forms
STATSMODELS_OWN = {"kwargs", "fit_kwargs", "args"}


def function_of(name: str) -> object:
    """What is called, or computes a property."""
    owner, _, member = f"henderson.{name}".rpartition(".")
    found = inspect.getattr_static(resolve_name(owner), member, None)
    found = resolve_name(f"henderson.{name}") if found is None else found
    if isinstance(found, property):
        return found.fget
    return found.func if isinstance(found, cached_property) else getattr(found, "__func__", found)


FUNCTIONS = sorted(name for name in LISTED if callable(function_of(name)))


def parts(annotation: ast.expr) -> typing.Iterator[str]:
    """What a type is one of; what containers hold is theirs to say."""
    if isinstance(annotation, ast.BinOp):
        yield from parts(annotation.left)
        yield from parts(annotation.right)
    else:
        yield ast.unparse(annotation)


def untyped(name: str) -> typing.Iterator[str]:
    """Parameters and returns of which the types say nothing."""
    function = function_of(name)
    is_class = inspect.isclass(function)
    if inspect.isclass(function):
        if "__init__" not in vars(function) or issubclass(function, Exception):
            return
        function = function.__init__
    signature = inspect.signature(function)
    said = {p.name: p.annotation for p in signature.parameters.values() if p.name not in ("self", "cls")}
    said |= {} if is_class else {"return": signature.return_annotation}
    for what, kind in said.items():
        if kind is inspect.Parameter.empty:
            yield f"{name}: {what}"
        elif what not in STATSMODELS_OWN and "Any" in parts(ast.parse(str(kind), mode="eval").body):
            yield f"{name}: {what}: {kind}"


def test_types_are_said():
    assert len(FUNCTIONS) > 200
    assert [one for name in FUNCTIONS for one in untyped(name)] == []


def without_literal(name: str) -> typing.Iterator[str]:
    """Options of which the docstring lists `{"a", "b"}`, and the type does not."""
    function = function_of(name)
    asked = re.split(r"(?:Returns|Attributes)\n---", inspect.getdoc(function) or "")[0]
    function = function.__init__ if inspect.isclass(function) else function
    known = vars(henderson.typing) | {"Literal": typing.Literal} | getattr(function, "__globals__", {})
    for names in re.findall(r"^([\w, ]+) : \{", asked, re.MULTILINE):
        for option in names.split(", "):
            kind = str(inspect.signature(function).parameters[option].annotation)
            if not any("Literal" in str(known[word]) for word in re.findall(r"\w+", kind) if word in known):
                yield f"{name}: {option}: {kind}"


def test_documented_choices_are_literals():
    assert [one for name in FUNCTIONS for one in without_literal(name)] == []


def words(kind: object) -> set[object]:
    return {one for part in (kind, *typing.get_args(kind)) for one in typing.get_args(part)}


def test_choices_are_those_there_are():
    assert set(DDF) <= words(Ddf)
    assert set(COV) <= words(Cov)
    assert {one.lower() for one in typing.get_args(Adjust)} == {*ADJUSTMENTS, *ALIASES}
    for one in typing.get_args(Adjust):
        assert adjustment_name(one) in ADJUSTMENTS
    assert {side_of(one) for one in typing.get_args(Side)} == {-1, 0, 1}


@pytest.mark.parametrize("make", ["pandas", "polars", "pyarrow"])
def test_tables_are_frames(make):
    columns = {"y": [1.0, 2.0, 4.0, 3.0], "g": list("aabb")}
    if make == "pandas":
        table = pd.DataFrame(columns)
    else:
        library = pytest.importorskip(make)
        table = library.DataFrame(columns) if make == "polars" else library.table(columns)
    assert isinstance(table, FrameLike)
    assert not isinstance(columns, FrameLike)
    assert henderson.lmer("y ~ 1 + (1 | g)", table).nobs == 4
