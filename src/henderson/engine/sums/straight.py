"""Columns made straight: where some are all but combinations of earlier ones, their residuals take their place.

Inner products square the condition number, and a square of a covariate far from zero, or a slope on a time stamp, is
all but a combination of the columns before it. With W (n, p) the columns, scaled to unit length, W = W̃M with M upper
triangular and W̃ well conditioned. Column by column, S the columns kept so far:

1. pivot 1 − g'G⁻¹g, G = W̃_S'W̃_S, g = W̃_S'w. Above SAFE its rounding does not matter: w̃ = w
2. below, the coefficients c = G⁻¹g are refined on the rows, in extended precision: r = w − W̃_S c, c += G⁻¹W̃_S'r
3. the pivot is |r|², measured. Below the tolerance the column is redundant; else w̃ = r/|r|
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from henderson.numerics.lapack import cholesky, solve

FloatArray = np.ndarray

#: squared length of what the earlier columns leave of a column of unit length, above which inner products tell it
SAFE = 1e-4


@dataclass(frozen=True)
class Straight:
    """What makes columns straight.

    Attributes
    ----------
    kept : (p,) bool array
        Columns that are not redundant.
    mix : (p, p) longdouble array
        M over all columns; the identity for those that stay as they are. Of a redundant one, above its diagonal, what
        it is of those kept.
    gram : (p, p) array
        W̃'W̃ over the columns kept (rows and columns of the others mean nothing).
    is_plain : bool
        Whether every column kept stays as it is.
    """

    kept: np.ndarray
    mix: FloatArray
    gram: FloatArray
    is_plain: bool

    def unmix(self) -> FloatArray:
        """M⁻¹ over the columns kept, longdouble."""
        return upper_inverse(self.mix[np.ix_(self.kept, self.kept)])


def straighten(
    columns: Callable[[], Iterator[FloatArray]], gram: FloatArray, tolerance: Callable[[int], float]
) -> Straight:
    """Make columns straight.

    Parameters
    ----------
    columns : callable
        Iterates over the rows of W in parts (m, p), in longdouble, anew at every call.
    gram : (p, p) array
        W'W: a unit diagonal, or zero for columns that are to be left out.
    tolerance : callable
        Length of a column's residual from which it counts.
    """
    p = len(gram)
    gram, mix, kept = gram.copy(), np.eye(p, dtype=np.longdouble), np.zeros(p, bool)
    if all_safe(gram):
        return Straight(~kept, mix, gram, True)
    for j in range(p):
        if not gram[j, j] > 0:
            continue
        S = np.flatnonzero(kept)
        c = solve(gram[np.ix_(S, S)], gram[S, j])
        if gram[j, j] - gram[S, j] @ c > SAFE:
            kept[j] = True
            continue
        unmix = upper_inverse(mix[np.ix_(S, S)])
        refined = c.astype(np.longdouble)
        for _ in range(2):
            refined += np.linalg.solve(
                gram[np.ix_(S, S)], _products(columns, S, unmix, j, refined)[:-1][S].astype(float)
            )
        found = _products(columns, S, unmix, j, refined)
        length, mix[S, j] = np.sqrt(found[-1]), refined
        if length <= tolerance(j):
            continue
        kept[j], mix[j, j] = True, length
        gram[j] = gram[:, j] = (found[:-1] / length).astype(float)
        gram[j, j] = 1.0
    own = np.ix_(kept, kept)
    return Straight(kept, mix, gram, bool((mix[own] == np.eye(p)[own]).all()))


def all_safe(gram: FloatArray) -> bool:
    """Whether no pivot is below SAFE: they are the squares of a Cholesky factor's diagonal."""
    try:
        return bool((cholesky(gram).diagonal() ** 2 > SAFE).all())
    except np.linalg.LinAlgError:
        return False


def _products(
    columns: Callable[[], Iterator[FloatArray]], S: np.ndarray, unmix: FloatArray, j: int, c: FloatArray
) -> FloatArray:
    """r'W̃_S (at S), r'W (at the other columns) and, last, r'r of the residual r = w_j − W̃_S c, (p + 1,) longdouble."""
    p = 0
    total: FloatArray = np.zeros(0, np.longdouble)
    for W in columns():
        straight = W[:, S] @ unmix
        r = W[:, j] - straight @ c
        here = r @ W
        here[S] = r @ straight
        total = np.append(here, r @ r) + (total if p else 0)
        p = W.shape[1]
    return total


def upper_inverse(R: FloatArray) -> FloatArray:
    """R⁻¹ of an upper triangular matrix, in its own precision."""
    p = len(R)
    out = np.zeros_like(R)
    for j in range(p):
        out[j, j] = 1 / R[j, j]
        out[:j, j] = -(out[:j, :j] @ R[:j, j]) * out[j, j]
    return out
