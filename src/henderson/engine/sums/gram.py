"""Inner products of the fixed columns and the response about their means: what the basis is chosen by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from henderson.contract.rows import Rows

#: rows of one pass through the cache
CHUNK = 1 << 14
#: a mean that is no more than so many standard deviations does no harm
MILD = 3.0


def _constant_column(chunks: Iterable[Rows]) -> tuple[int, float]:
    """Index and value of the first column that is one nonzero number; −1 and 1 when there is none."""
    first = next(iter(chunks)).X
    if len(first):
        for j in np.flatnonzero((first[0] == first[-1]) & (first[0] != 0)).tolist():
            value = float(first[0, j])
            if all((rows.X[:, j] == value).all() for rows in chunks):
                return j, value
    return -1, 1.0


def gram_of(chunks: Iterable[Rows], shift: np.ndarray, y_mean: float) -> np.ndarray:
    """[X − shift, y − offset − y_mean]'W[…], (p + 1, p + 1)."""
    out = np.zeros((len(shift) + 1,) * 2)
    for rows in chunks:
        quick = _quick_gram(rows, shift, y_mean) if rows.weights is None and rows.n > 4 * CHUNK else None
        out += sum(part.T @ part for part in centred([rows], shift, y_mean)) if quick is None else quick
    return out


def _quick_gram(rows: Rows, shift: np.ndarray, y_mean: float) -> np.ndarray | None:
    """The same of one chunk without weights, X in one product; None when digits would be lost.

    y − y_mean is made in parts: of all rows it would be as much new memory, which the system clears first, as y."""
    n, p = rows.X.shape
    out, y_sum = np.zeros((p + 1, p + 1)), 0.0
    out[:-1, :-1] = rows.X.T @ rows.X
    for part in rows.chunks(CHUNK):
        y = part.response - y_mean
        out[:-1, -1] += part.X.T @ y
        out[-1, -1] += y @ y
        y_sum += float(y.sum())
    raw, sums = np.diag(out).copy(), np.append(rows.X.sum(axis=0), y_sum)
    s = np.append(shift, 0.0)
    out[-1, :-1] = out[:-1, -1]
    out += n * np.outer(s, s) - np.outer(s, sums) - np.outer(sums, s)
    return out if (np.diag(out) > raw / (1 + MILD**2) / 2).all() else None  # little was taken away: nothing is lost


def centred(
    chunks: Iterable[Rows], shift: np.ndarray, y_mean: float, dtype: type[np.floating] = np.float64
) -> Iterator[np.ndarray]:
    """√w [X − shift, y − offset − y_mean], in parts that fit the cache."""
    for chunk in chunks:
        for rows in chunk.chunks(CHUNK):
            out = np.empty((rows.n, len(shift) + 1), dtype)
            np.subtract(rows.X, shift, out=out[:, :-1], dtype=dtype)
            np.subtract(rows.response, y_mean, out=out[:, -1], dtype=dtype)
            if rows.weights is not None:
                out *= np.sqrt(rows.weights)[:, None]
            yield out


def _far_where_not_zero(chunks: Iterable[Rows]) -> np.ndarray:
    """Whether the entries of a column that are not zero vary, little beside what they are, (p,) bool: a covariate far
    from zero within one level of a factor, all but proportional to the level's indicator."""
    low, high = np.inf, -np.inf
    for rows in chunks:
        is_zero = rows.X == 0
        low = np.minimum(low, np.where(is_zero, np.inf, rows.X).min(axis=0, initial=np.inf))
        high = np.maximum(high, np.where(is_zero, -np.inf, rows.X).max(axis=0, initial=-np.inf))
    return (low < high) & (np.abs(low / 2 + high / 2) > MILD * (high / 2 - low / 2))


def constant_in(chunks: Iterable[Rows], n: int) -> tuple[np.ndarray, np.ndarray, float]:
    """w with Xw = 1, the means of the columns of X and that of y − offset; zeros where there is nothing to move.

    The constant is a column, or a sum of columns of which every coefficient is a whole number (the levels of a factor).
    """
    constant, value = _constant_column(chunks)
    p = next(iter(chunks)).X.shape[1]
    w = np.zeros(p)
    sums, y_sum = sum(rows.X.sum(axis=0) for rows in chunks), float(sum(rows.response.sum() for rows in chunks))
    if constant >= 0:
        w[constant] = 1.0 / value
        return w, sums / n, y_sum / n
    with np.errstate(over="ignore", invalid="ignore"):  # columns of 1e200 are not far from zero: they are large
        squares = sum((rows.X**2).sum(axis=0) for rows in chunks)
        y_square = float(sum(rows.response @ rows.response for rows in chunks))
        far = np.append(n * squares - sums**2, n * y_square - y_sum**2) < np.append(sums, y_sum) ** 2 / MILD**2
    if far.any() and p:
        gram = sum(rows.X.T @ rows.X for rows in chunks)
        near = np.flatnonzero(~far[:-1] & ~_far_where_not_zero(chunks))
        size = np.sqrt(np.where(squares > 0, squares, 1.0))[near]
        inner = gram[np.ix_(near, near)] / np.outer(size, size)
        w[near] = np.round(np.linalg.lstsq(inner, sums[near] / size, rcond=1e-13)[0] / size)
        if all((rows.X @ w == 1.0).all() for rows in chunks):
            return w, sums / n, y_sum / n
    return np.zeros(p), np.zeros(p), 0.0
