"""Sets of contrasts among k means, by name: `CONTRASTS`, and what users write themselves.

A set is a (c, k) matrix with a label for each row, and the multiplicity adjustment that suits it. The means are called
by their texts or by their levels (`labels.Labels`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import Any

import numpy as np
import pandas as pd

from henderson.arguments import number, shown
from henderson.arguments import whole as whole_number
from henderson.inference.contrast_rows import row_name
from henderson.means.labels import Labels, as_labels


@dataclass(frozen=True)
class ContrastSet:
    """Contrasts among k means.

    Attributes
    ----------
    coefficients : (c, k) array
    labels : tuple of c str
    adjust : str
        Default multiplicity adjustment.
    pairs : bool
        Whether these are all pairs: then Tukey's adjustment applies.
    """

    coefficients: np.ndarray
    labels: tuple[str, ...]
    adjust: str = "none"
    pairs: bool = False


def _difference(k: int, plus: int, minus: int) -> np.ndarray:
    row = np.zeros(k)
    row[plus], row[minus] = 1.0, -1.0
    return row


def _differences(labels: Labels, pairs: Sequence[tuple[int, int]], adjust: str, all_pairs: bool = False) -> ContrastSet:
    rows = np.array([_difference(len(labels), i, j) for i, j in pairs]).reshape(-1, len(labels))
    texts = labels.texts
    return ContrastSet(rows, tuple(f"{texts[i]} - {texts[j]}" for i, j in pairs), adjust, all_pairs)


def pairwise(labels: Labels, *, reverse: bool = False) -> ContrastSet:
    """All differences: the earlier minus the later (`reverse`: the later minus the earlier)."""
    k = len(labels)
    if reverse:
        return _differences(labels, [(j, i) for j in range(k) for i in range(j)], "tukey", True)
    return _differences(labels, [(i, j) for i in range(k) for j in range(i + 1, k)], "tukey", True)


def trt_vs_ctrl(labels: Labels, *, ref: Any = 0, reverse: bool = False) -> ContrastSet:
    """Every mean minus that of the control `ref`, or minus the average of several.

    `ref` is a level, a label or a place; or a list of them.
    """
    several = list(ref) if isinstance(ref, list | np.ndarray) else [ref]
    controls = [labels.position(one) for one in several]
    if not controls:
        raise ValueError("ref names no mean to compare with")
    texts, others = labels.texts, [i for i in range(len(labels)) if i not in controls]
    control = texts[controls[0]] if len(controls) == 1 else f"avg({','.join(texts[i] for i in controls)})"
    average = np.eye(len(labels))[controls].mean(0)
    rows = (np.eye(len(labels))[others] - average) * (-1.0 if reverse else 1.0)
    names = tuple(f"{control} - {texts[i]}" if reverse else f"{texts[i]} - {control}" for i in others)
    return ContrastSet(rows.reshape(-1, len(labels)) + 0.0, names, "dunnett")


def consec(labels: Labels, *, reverse: bool = False) -> ContrastSet:
    """Each mean minus the one before."""
    pairs = [(i + 1, i) for i in range(len(labels) - 1)]
    return _differences(labels, [(j, i) for i, j in pairs] if reverse else pairs, "mvt")


def mean_chg(labels: Labels) -> ContrastSet:
    """The mean of all after a place minus the mean of all before."""
    k = len(labels)
    rows = np.array([np.r_[np.full(i, -1 / i), np.full(k - i, 1 / (k - i))] for i in range(1, k)]).reshape(-1, k)
    return ContrastSet(rows, tuple(f"{labels.texts[i]}|{labels.texts[i + 1]}" for i in range(k - 1)), "mvt")


def eff(labels: Labels) -> ContrastSet:
    """Each mean minus the average of all."""
    k = len(labels)
    return ContrastSet(np.eye(k) - 1 / k, tuple(f"{text} effect" for text in labels.texts), "fdr")


def del_eff(labels: Labels) -> ContrastSet:
    """Each mean minus the average of the others."""
    k = len(labels)
    rows = (np.eye(k) * k - 1) / max(k - 1, 1)
    return ContrastSet(rows, tuple(f"{text} effect" for text in labels.texts), "fdr")


def identity(labels: Labels) -> ContrastSet:
    """The means themselves."""
    return ContrastSet(np.eye(len(labels)), labels.texts, "none")


_DEGREES = ("linear", "quadratic", "cubic", "quartic")


def poly(labels: Labels, *, max_degree: int = 6) -> ContrastSet:
    """Orthogonal polynomials in equally spaced scores, in the smallest whole numbers.

    Examples
    --------
    >>> poly(Labels(tuple("abcd"))).coefficients
    array([[-3., -1.,  1.,  3.],
           [ 1., -1., -1.,  1.],
           [-1.,  3., -3.,  1.]])
    """
    k = len(labels)
    degree = min(k - 1, whole_number(max_degree, "max_degree"))
    basis = [[Fraction(1)] * k]
    for power in range(1, degree + 1):
        row = [Fraction(2 * i - k + 1) ** power for i in range(k)]
        for earlier in basis:
            shared = sum((a * b for a, b in zip(row, earlier)), Fraction(0))
            weight = shared / sum((a * a for a in earlier), Fraction(0))
            row = [a - weight * b for a, b in zip(row, earlier)]
        whole = [int(a * lcm(*(b.denominator for b in row))) for a in row]
        basis.append([Fraction(a, gcd(*whole)) for a in whole])
    rows = np.array([[float(a) for a in row] for row in basis[1:]]).reshape(-1, k)
    names = tuple(_DEGREES[d] if d < 4 else f"degree {d + 1}" for d in range(degree))
    return ContrastSet(rows, names, "none")


#: name -> (labels of the means, options) to contrasts
CONTRASTS: dict[str, Callable[..., ContrastSet]] = {
    "pairwise": pairwise,
    "revpairwise": lambda labels, **options: pairwise(labels, reverse=True, **options),
    "trt.vs.ctrl": trt_vs_ctrl,
    "trt.vs.ctrl1": trt_vs_ctrl,
    "trt.vs.ctrlk": lambda labels, **options: trt_vs_ctrl(labels, ref=-1, **options),
    "poly": poly,
    "consec": consec,
    "mean_chg": mean_chg,
    "eff": eff,
    "del.eff": del_eff,
    "identity": identity,
}

#: other names
ALIASES = {"tukey": "pairwise", "dunnett": "trt.vs.ctrl"}


def contrast_set(method: Any, means: Labels | Sequence[str], **options: Any) -> ContrastSet:
    """Contrasts among means, by name or as written out.

    Parameters
    ----------
    method : str, mapping of str to k numbers or to {mean: number}, DataFrame with k columns, or (c, k) array
    means : Labels, or sequence of k str
        What the means are called.
    **options
        Of the named set: `ref` (trt.vs.ctrl), `reverse`, `max_degree` (poly).

    Raises
    ------
    ValueError
        An unknown name (the message lists those there are), or not one coefficient for each mean.

    Examples
    --------
    >>> contrast_set("trt.vs.ctrl", ["a", "b", "c"], ref="b").labels
    ('a - b', 'c - b')
    >>> contrast_set({"a vs rest": [1, -0.5, -0.5]}, ["a", "b", "c"]).coefficients
    array([[ 1. , -0.5, -0.5]])
    >>> contrast_set({"a vs c": {"a": 1, "c": -1}}, ["a", "b", "c"]).coefficients
    array([[ 1.,  0., -1.]])
    """
    labels = as_labels(means)
    if isinstance(method, str):
        name = ALIASES.get(method.lower(), method.lower())
        if name not in CONTRASTS:
            raise ValueError(f"unknown contrasts {method!r}; there are {', '.join(CONTRASTS)}")
        try:
            return CONTRASTS[name](labels, **options)
        except TypeError:
            raise ValueError(f"contrasts {name!r} do not take {', '.join(map(repr, options))}") from None
    if options:
        raise ValueError(f"contrasts that are written out do not take {', '.join(map(repr, options))}")
    return _written_out(method, labels)


def _written_out(method: Any, labels: Labels) -> ContrastSet:
    rows: Any
    k = len(labels)
    if isinstance(method, pd.DataFrame):
        method = dict(zip(map(str, method.index), (row for _, row in method.iterrows())))
    if isinstance(method, pd.Series) and not isinstance(method.index, pd.RangeIndex):
        method = {str(method.name or ""): method}
    if isinstance(method, Mapping):
        names, rows = [str(name) for name in method], [_row(name, row, labels) for name, row in method.items()]
    else:
        rows = np.atleast_2d(_numbers("row", method))
        names = [row_name(row, labels.texts) for row in rows] if rows.shape[1] == k else [""] * len(rows)
    for name, row in zip(names, rows):
        if np.shape(row) != (k,):
            raise ValueError(
                f"contrast {name or 'row'!r} has {np.size(row)} coefficients for {k} means: {', '.join(labels.texts)}"
            )
    return ContrastSet(np.asarray(rows, float).reshape(-1, k), tuple(names))


def _row(name: Any, given: Any, labels: Labels) -> Any:
    """Coefficients of one contrast that is written out: numbers, or numbers by the names of means."""
    if not isinstance(given, Mapping | pd.Series) or (
        isinstance(given, pd.Series) and isinstance(given.index, pd.RangeIndex)
    ):
        return _numbers(name, given)
    row = np.zeros(len(labels))
    for mean, value in given.items():
        try:
            row[labels.position(mean)] += number(value, "a coefficient")
        except ValueError as error:
            raise ValueError(f"contrast {str(name)!r}: {error}") from None
    return row


def _numbers(name: Any, given: Any) -> np.ndarray:
    """Finite coefficients."""
    try:
        found = np.asarray(given, float)
    except (TypeError, ValueError):
        found = np.array([np.nan])
    if not np.isfinite(found).all():
        raise ValueError(f"contrast {str(name)!r}: its coefficients must be numbers, not {shown(given)}")
    return found
