"""Sets of contrasts among k means, by name: `CONTRASTS`, and what users write themselves.

A set is a (c, k) matrix with a label for each row, and the multiplicity adjustment that suits it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import Any

import numpy as np
import pandas as pd


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


def _differences(
    labels: Sequence[str], pairs: Sequence[tuple[int, int]], adjust: str, all_pairs: bool = False
) -> ContrastSet:
    rows = np.array([_difference(len(labels), i, j) for i, j in pairs]).reshape(-1, len(labels))
    return ContrastSet(rows, tuple(f"{labels[i]} - {labels[j]}" for i, j in pairs), adjust, all_pairs)


def pairwise(labels: Sequence[str], *, reverse: bool = False) -> ContrastSet:
    """All differences: the earlier minus the later (`reverse`: the later minus the earlier)."""
    k = len(labels)
    if reverse:
        return _differences(labels, [(j, i) for j in range(k) for i in range(j)], "tukey", True)
    return _differences(labels, [(i, j) for i in range(k) for j in range(i + 1, k)], "tukey", True)


def _position(ref: Any, labels: Sequence[str]) -> int:
    """A mean given by its place (negative: from the end) or its label."""
    if isinstance(ref, int | np.integer) and not isinstance(ref, bool):
        if -len(labels) <= ref < len(labels):
            return int(ref) % len(labels)
    elif str(ref) in labels:
        return list(labels).index(str(ref))
    raise ValueError(f"there is no mean {ref!r} to compare with; there are {', '.join(labels)}")


def trt_vs_ctrl(labels: Sequence[str], *, ref: Any = 0, reverse: bool = False) -> ContrastSet:
    """Every mean minus that of the control `ref`, a place or a label."""
    control = _position(ref, labels)
    pairs = [(i, control) for i in range(len(labels)) if i != control]
    return _differences(labels, [(j, i) for i, j in pairs] if reverse else pairs, "dunnett")


def consec(labels: Sequence[str], *, reverse: bool = False) -> ContrastSet:
    """Each mean minus the one before."""
    pairs = [(i + 1, i) for i in range(len(labels) - 1)]
    return _differences(labels, [(j, i) for i, j in pairs] if reverse else pairs, "mvt")


def mean_chg(labels: Sequence[str]) -> ContrastSet:
    """The mean of all after a place minus the mean of all before."""
    k = len(labels)
    rows = np.array([np.r_[np.full(i, -1 / i), np.full(k - i, 1 / (k - i))] for i in range(1, k)]).reshape(-1, k)
    return ContrastSet(rows, tuple(f"{labels[i]}|{labels[i + 1]}" for i in range(k - 1)), "mvt")


def eff(labels: Sequence[str]) -> ContrastSet:
    """Each mean minus the average of all."""
    k = len(labels)
    return ContrastSet(np.eye(k) - 1 / k, tuple(f"{label} effect" for label in labels), "fdr")


def del_eff(labels: Sequence[str]) -> ContrastSet:
    """Each mean minus the average of the others."""
    k = len(labels)
    rows = (np.eye(k) * k - 1) / max(k - 1, 1)
    return ContrastSet(rows, tuple(f"{label} effect" for label in labels), "fdr")


def identity(labels: Sequence[str]) -> ContrastSet:
    """The means themselves."""
    return ContrastSet(np.eye(len(labels)), tuple(labels), "none")


_DEGREES = ("linear", "quadratic", "cubic", "quartic")


def poly(labels: Sequence[str], *, max_degree: int = 6) -> ContrastSet:
    """Orthogonal polynomials in equally spaced scores, in the smallest whole numbers.

    Examples
    --------
    >>> poly(list("abcd")).coefficients
    array([[-3., -1.,  1.,  3.],
           [ 1., -1., -1.,  1.],
           [-1.,  3., -3.,  1.]])
    """
    k = len(labels)
    degree = min(k - 1, max_degree)
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


def contrast_set(method: Any, labels: Sequence[str], **options: Any) -> ContrastSet:
    """Contrasts among means, by name or as written out.

    Parameters
    ----------
    method : str, mapping of str to k numbers, DataFrame with k columns, or (c, k) array
    labels : sequence of k str
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
    """
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


def _written_out(method: Any, labels: Sequence[str]) -> ContrastSet:
    rows: Any
    if isinstance(method, pd.DataFrame):
        names, rows = [str(name) for name in method.index], method.to_numpy(float)
    elif isinstance(method, Mapping):
        names, rows = [str(name) for name in method], list(method.values())
    else:
        rows = np.atleast_2d(np.asarray(method, float))
        names = [_written(row, labels) for row in rows] if rows.shape[1] == len(labels) else [""] * len(rows)
    for name, row in zip(names, rows):
        if np.shape(row) != (len(labels),):
            raise ValueError(
                f"contrast {name or 'row'!r} has {np.size(row)} coefficients for {len(labels)} means: "
                + ", ".join(labels)
            )
    return ContrastSet(np.asarray(rows, float).reshape(-1, len(labels)), tuple(names))


def _written(row: np.ndarray, labels: Sequence[str]) -> str:
    """``"a - 0.5*b"`` for a row of numbers."""
    text = ""
    for value, label in zip(row, labels):
        if value:
            size = "" if abs(value) == 1 else f"{abs(value):.4g}*"
            sign = "-" if value < 0 else "+"
            text += (f" {sign} " if text else sign.replace("+", "")) + size + label
    return text or "0"
