"""Factors that a formula makes: ``C()``, ``factor()``, ``relevel()``, ``cut()``, ``interaction()``.

Each learns its levels once; new data get codes among those. Contrasts are formulaic's.

Tested: tests/formula/test_categories.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from henderson.arguments import shown
from henderson.errors import DataError, FormulaError
from henderson.sources.columns import to_array
from henderson.sources.factors import cross, encode, match

State = dict[str, Any]


@dataclass(frozen=True)
class Category:
    """A factor's values.

    Attributes
    ----------
    codes : (n,) intp array
        −1 where a row has none of the levels.
    levels : pandas.Index of length L
    coding : object
        What `coding_of` reads; None for treatment contrasts.
    unknown : object
        A value that is none of the levels, for the message; None when there is none.
    """

    codes: np.ndarray
    levels: pd.Index
    coding: Any = None
    unknown: Any = None


@dataclass(frozen=True)
class Coding:
    """Contrasts of a factor with L levels.

    Attributes
    ----------
    matrix : (L, k) array
    reduced : tuple of k str
        Ends of the names of its columns: ``"[T.b]"``.
    full : tuple of str
        Ends of the names of the columns of the factor coded in full.
    """

    matrix: np.ndarray
    reduced: tuple[str, ...]
    full: tuple[str, ...]


_NAMES = {
    "treatment": "TreatmentContrasts",
    "sas": "SASContrasts",
    "sum": "SumContrasts",
    "helmert": "HelmertContrasts",
    "poly": "PolyContrasts",
    "diff": "DiffContrasts",
    "sdif": "DiffContrasts",
}


def coding_named(name: str) -> Any:
    """formulaic's contrasts of a name such as ``"sum"``, ``"contr.sum"`` or ``"Sum"``; None for no name of one."""
    from formulaic.transforms import contrasts

    known = _NAMES.get(name.lower().removeprefix("contr."))
    return None if known is None else getattr(contrasts, known)


def treatment(levels: pd.Index) -> Coding:
    """Treatment contrasts, the first level the reference."""
    names = [str(level) for level in levels]
    return Coding(
        np.eye(len(levels))[:, 1:], tuple(f"[T.{name}]" for name in names[1:]), tuple(f"[{name}]" for name in names)
    )


def coding_of(given: Any, levels: pd.Index, expr: str) -> Coding:
    """The contrasts that `given` means for a factor with these levels.

    Parameters
    ----------
    given : None, str, class or object of contrasts, dict of weights, (L, k) array
        None means treatment; texts are the names that `coding_named` knows.
    levels : pandas.Index of length L
    expr : str
        For messages.
    """
    if given is None:
        return treatment(levels)
    if hasattr(given, "code_without_intercept"):  # patsy's
        own = given() if isinstance(given, type) else given
        reduced, full = own.code_without_intercept(list(levels)), own.code_with_intercept(list(levels))
        return Coding(np.asarray(reduced.matrix, float), tuple(reduced.column_suffixes), tuple(full.column_suffixes))
    from formulaic.transforms.contrasts import Contrasts, CustomContrasts

    contrasts = coding_named(given) if isinstance(given, str) else given
    if callable(contrasts) and not isinstance(contrasts, Contrasts):
        contrasts = _made(contrasts)
    if isinstance(contrasts, pd.DataFrame):
        own = _by_level(contrasts, levels, expr)
        contrasts = {name: column.to_numpy() for name, column in own.items()}
    if isinstance(contrasts, dict | np.ndarray | list | tuple):
        matrix = np.column_stack(list(contrasts.values())) if isinstance(contrasts, dict) else np.asarray(contrasts)
        matrix = np.atleast_1d(matrix)[:, None] if matrix.ndim < 2 else matrix
        if matrix.dtype.kind not in "fiub" or matrix.ndim != 2 or len(matrix) != len(levels):
            raise FormulaError(
                f"the contrasts of {expr!r} have {len(matrix)} rows, it has {len(levels)} levels: "
                + ", ".join(str(level) for level in levels[:12])
            )
        names = [str(name) for name in contrasts] if isinstance(contrasts, dict) else None
        contrasts = CustomContrasts(matrix.astype(float), names=names)
    if not isinstance(contrasts, Contrasts):
        raise FormulaError(
            f"the contrasts of {expr!r} are {shown(given)}; they can be Treatment, Sum, Helmert, Poly, Diff, R's "
            "contr.sum and so on, or a matrix with a row for each level"
        )
    listed = levels.tolist()
    try:
        matrix = np.asarray(contrasts.get_coding_matrix(listed, reduced_rank=True, sparse=False), float)
    except ValueError as error:
        raise FormulaError(f"{expr!r}: {error}; it has the levels {', '.join(map(str, listed[:12]))}") from error
    ends = []
    for reduced_rank in (True, False):
        form = contrasts.get_factor_format(listed, reduced_rank=reduced_rank)
        fields = contrasts.get_coding_column_names(listed, reduced_rank=reduced_rank)
        ends.append(tuple(form.format(name="", field=field) for field in fields))
    return Coding(matrix, ends[0], ends[1])


def _by_level(contrasts: pd.DataFrame, levels: pd.Index, expr: str) -> pd.DataFrame:
    """The rows in the order of the levels where they have labels; rows that are only numbered are in that order."""
    if isinstance(contrasts.index, pd.RangeIndex):
        return contrasts
    places = _places(levels.tolist(), contrasts.index)
    if len(contrasts) != len(levels) or (places < 0).any():
        raise FormulaError(
            f"the contrasts of {expr!r} have rows called {', '.join(map(str, contrasts.index[:12]))}; "
            f"it has the levels {', '.join(map(str, levels[:12]))}"
        )
    return contrasts.iloc[places]


def _made(contrasts: Callable[..., Any]) -> Any:
    """What ``Treatment`` makes when it is called; Python's own ``sum`` is Sum; None for what makes nothing."""
    is_python = getattr(contrasts, "__module__", "") in ("builtins", "numpy")
    maker = coding_named(getattr(contrasts, "__name__", "")) if is_python else contrasts
    try:
        return None if maker is None else maker()
    except TypeError:  # it wants arguments, so that it is no contrasts
        return None


def as_category(values: Any, state: State, levels: Sequence[Any] | None = None, coding: Any = None) -> Category:
    """Codes of `values`: among `levels`, or those learned, or those that occur.

    A `Category` keeps its coding unless another is given.
    """
    if isinstance(values, Category):
        if levels is None:
            state.setdefault("levels", values.levels)
            return Category(
                values.codes, values.levels, coding if coding is not None else values.coding, values.unknown
            )
        values = pd.Categorical.from_codes(values.codes, values.levels)
    array = to_array(values, "a factor")
    if "levels" not in state:
        state["levels"] = encode(array, "a factor")[1] if levels is None else _index(levels, array)
        state["chosen"] = levels is not None
    known = state["levels"]
    codes = match(array, known)
    bad = np.flatnonzero(codes < 0)
    unknown = array[int(bad[0])] if len(bad) and not state.get("chosen") else None
    return Category(codes, known, coding, unknown)


def _places(wanted: Sequence[Any], levels: pd.Index) -> np.ndarray:
    """Where `wanted` are among the levels, by value or, as R has them, by their text; −1 where they are not."""
    places = levels.get_indexer(pd.Index(list(wanted)))
    texts = pd.Index([str(level) for level in levels])
    if (places < 0).any() and texts.is_unique:
        by_text = texts.get_indexer(pd.Index([str(label) for label in wanted]))
        places = np.where(places < 0, by_text, places)
    return np.asarray(places)


def _index(levels: Iterable[Any], array: Any) -> pd.Index:
    index = pd.Index(list(levels))
    if not index.is_unique:
        raise FormulaError(f"the level {index[index.duplicated()][0]!r} is given twice")
    if (match(array, index) < 0).all():
        own = encode(array, "a factor")[1]
        places = _places(index, own)
        if (places >= 0).any():  # R's levels are text
            known = own.to_numpy(dtype=object)
            return pd.Index([known[at] if at >= 0 else label for at, label in zip(places, index)]).infer_objects()
        shown = ", ".join(repr(level) for level in pd.unique(np.asarray(array, dtype=object))[:6])
        raise DataError(f"none of the levels {', '.join(map(repr, index[:6]))} occurs; there are {shown}")
    return index


def categories(state: State, data: Any, contrasts: Any = None, *, levels: Any = None) -> Category:
    """``C(x)``, ``C(x, Sum)``, ``C(x, levels=[...])``."""
    if isinstance(contrasts, bool | int | float | np.number):
        raise FormulaError(
            f"the second argument of C() is {contrasts!r}; it is a coding such as Sum or Treatment(reference='b')"
        )
    return as_category(data, state, levels, contrasts)


def factor(state: State, x: Any, levels: Any = None, labels: Any = None, *, ordered: bool = False) -> Category:
    """R's ``factor(x, levels=, labels=, ordered=)``."""
    made = as_category(x, state, levels)
    coding = "poly" if ordered else made.coding
    if labels is None:
        return Category(made.codes, made.levels, coding, made.unknown)
    named = [str(label) for label in np.atleast_1d(np.asarray(labels, dtype=object))]
    if len(named) != len(made.levels):
        raise FormulaError(f"factor() has {len(made.levels)} levels and {len(named)} labels")
    index = pd.Index(list(dict.fromkeys(named)))
    return Category(np.where(made.codes < 0, -1, index.get_indexer(pd.Index(named))[made.codes]), index, coding)


def relevel(state: State, x: Any, ref: Any) -> Category:
    """R's ``relevel(x, ref)``: `ref` becomes the first level."""
    made = as_category(x, state)
    place = _places([ref], made.levels)[0]
    if place < 0:
        raise FormulaError(f"relevel() has no level {ref!r}; there are {', '.join(map(repr, made.levels[:12]))}")
    order = np.r_[place, np.delete(np.arange(len(made.levels)), place)].astype(int)
    rank = np.argsort(order)
    return Category(np.where(made.codes < 0, -1, rank[made.codes]), made.levels[order], made.coding, made.unknown)


def interaction(state: State, *factors: Any, sep: str = ".", drop: bool = True) -> Category:
    """R's ``interaction(a, b)``: the combinations that occur, the first factor varying fastest."""
    if not factors:
        raise FormulaError("interaction() needs columns")
    del drop  # levels that do not occur are left out of a model anyway
    made = [as_category(values, state.setdefault(f"factor {k}", {})) for k, values in enumerate(factors)]
    backwards = [(one.codes, one.levels) for one in reversed(made)]
    is_known = np.logical_and.reduce([one.codes >= 0 for one in made])
    if "crossing" not in state:
        state["crossing"] = cross([(codes[is_known], levels) for codes, levels in backwards])[1]
        state["sep"] = sep
    crossing, sep = state["crossing"], state["sep"]
    codes = crossing.codes([codes for codes, _ in backwards])
    members = list(zip(*reversed(crossing.members)))
    texts = [sep.join(str(one.levels[at]) for one, at in zip(made, member)) for member in members]
    if len(set(texts)) < len(texts):
        texts = [sep.join(repr(one.levels[at]) for one, at in zip(made, member)) for member in members]
    bad = next((one.unknown for one in made if one.unknown is not None), None)
    strange = np.flatnonzero(is_known & (codes < 0))
    if bad is None and len(strange):
        bad = sep.join(str(one.levels[one.codes[strange[0]]]) for one in made)
    return Category(codes, pd.Index(texts), None, bad)


def cut(
    state: State,
    x: Any,
    breaks: Any,
    labels: Any = None,
    include_lowest: bool = False,
    right: bool = True,
    dig_lab: int = 3,
    ordered_result: bool = False,
) -> Category | np.ndarray:
    """R's ``cut(x, breaks, labels=, include.lowest=, right=)``; a number of `breaks` makes equal widths."""
    x = np.asarray(x, np.float64)
    if "breaks" not in state:
        state["breaks"] = _breaks(x[np.isfinite(x)], breaks)
    edges = state["breaks"]
    codes = np.searchsorted(edges, x, side="left" if right else "right") - 1
    if include_lowest:
        codes = np.where(x == (edges[0] if right else edges[-1]), 0 if right else len(edges) - 2, codes)
    codes = np.where((codes < 0) | (codes >= len(edges) - 1) | np.isnan(x), -1, codes)
    if labels is False:
        return np.where(codes < 0, np.nan, codes + 1.0)
    if labels is None or labels is True:
        labels = _intervals(edges, int(dig_lab), right, include_lowest)
    index = pd.Index([str(label) for label in np.atleast_1d(np.asarray(labels, dtype=object))])
    if len(index) != len(edges) - 1:
        raise FormulaError(f"cut() makes {len(edges) - 1} intervals and has {len(index)} labels")
    return Category(codes.astype(np.intp), index, "poly" if ordered_result else None)


def _breaks(x: np.ndarray, breaks: Any) -> np.ndarray:
    edges = np.sort(np.atleast_1d(np.asarray(breaks, np.float64)))
    if len(edges) > 1:
        if (np.diff(edges) == 0).any():
            raise FormulaError("the breaks of cut() are not distinct")
        return edges
    n = int(edges[0])
    if not 2 <= n <= max(len(x), 1000) or n != edges[0]:
        raise FormulaError(f"cut() needs two intervals or more (and no more than rows), not {edges[0]:g}")
    low, high = float(x.min()), float(x.max())
    width = high - low
    if width == 0:
        width = abs(low)
        return np.linspace(low - width / 1000, high + width / 1000, n + 1)
    edges = np.linspace(low, high, n + 1)
    edges[[0, -1]] = low - width / 1000, high + width / 1000
    return edges


def _intervals(edges: np.ndarray, digits: int, right: bool, include_lowest: bool) -> list[str]:
    """R's labels: as many significant digits as tell the breaks apart."""
    for n_digits in range(digits, max(12, digits) + 1):
        text = [f"{edge:.{n_digits}g}" for edge in edges]
        if len(set(text)) == len(text):
            break
    left, end = ("(", "]") if right else ("[", ")")
    labels = [f"{left}{a},{b}{end}" for a, b in pairwise(text)]
    if include_lowest:
        k = 0 if right else -1
        labels[k] = "[" + labels[k][1:] if right else labels[k][:-1] + "]"
    return labels
