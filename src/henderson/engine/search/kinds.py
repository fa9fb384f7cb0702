"""Which levels of the front are alike, and the sums of their products: a survey looks at kinds of levels.

W_A = Σ_j a_j ⊗ a_j over the levels with one A = Z_j'Z_j, a_j = Z_j'[Z_r X y]
"""

from __future__ import annotations

import numpy as np

from henderson.engine.sums.crossproducts import CrossProducts

FloatArray = np.ndarray

#: levels of a scalar front that are kept apart; with more, those whose A agree to a percent are one
APART = 400
#: percents that numbers of 16 bits hold; levels from which kinds are told apart without putting levels in order, and
#: columns up to which their products are then summed one by one
PERCENTS, MANY, NARROW = 1 << 16, 20_000, 8


def kinds_of(
    cross: CrossProducts, *, apart: bool, zr: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The distinct A (q, q, a), how many levels have each (a,), and the W_A, (q(q + 1)/2 a, M²).

    Parameters
    ----------
    cross : CrossProducts
    apart : bool
        Whether every level is a kind of its own, where telling them apart costs more than it saves.
    zr : (J, q, R) array, optional
        Z_j'Z_r, where they stand in one array already.
    """
    q, _, n_levels = cross.zz.shape
    if not apart and q == 1 and len(cross.rx) + cross.p + 1 <= NARROW and n_levels > MANY:
        kind, first, count = _kinds(cross.zz[0, 0])
        return np.ascontiguousarray(cross.zz[:, :, first]), count, _products_by_kind(_front_columns(cross, zr), kind)
    if apart:
        count = np.ones(n_levels, np.intp)
        return cross.zz, count, _products(_front_columns(cross, zr), np.arange(n_levels))
    order, starts = _alike(cross.zz)
    zz, count = np.ascontiguousarray(cross.zz[:, :, order[starts]]), np.diff(starts, append=n_levels)
    return zz, count, _products(_front_columns(cross, zr)[order], starts)


def _front_columns(cross: CrossProducts, zr: FloatArray | None = None) -> FloatArray:
    """a_j = Z_j'[Z_r X y] of the levels of the front, (J, q, M)."""
    q, m, n_levels = cross.zx.shape
    R = len(cross.rx)
    out = np.empty((n_levels, q, R + m))
    out[:, :, R:] = cross.zx.transpose(2, 0, 1)
    if zr is not None:
        out[:, :, :R] = zr
        return out
    for row, one in enumerate(cross.zr):
        out[:, row, :R] = one.toarray()
    return out


def _kinds(zz: FloatArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of scalar A (J,): the kind of each level, those that agree to a percent, a level of each (a,), and how many have
    it; no level is moved."""
    key = _percents(zz)
    low = key.min()
    if np.ptp(key) < PERCENTS:
        place = (key - low).astype(np.intp)
    else:
        place = np.unique(key, return_inverse=True)[1].reshape(-1)
    all_counts = np.bincount(place)
    there = np.flatnonzero(all_counts)
    number, first = np.zeros(len(all_counts), np.intp), np.zeros(len(all_counts), np.intp)
    number[there] = np.arange(len(there))
    first[place[::-1]] = np.arange(len(zz))[::-1]
    return number[place], first[there], all_counts[there]


def _products_by_kind(a: FloatArray, kind: np.ndarray) -> FloatArray:
    """The same as `_products` of one effect a level, (a, M²)."""
    columns = [np.ascontiguousarray(a[:, 0, c]) for c in range(a.shape[2])]
    out = np.empty((int(kind.max()) + 1, len(columns), len(columns)))
    for c, one in enumerate(columns):
        for d in range(c + 1):
            out[:, c, d] = out[:, d, c] = np.bincount(kind, one * columns[d])
    return out.reshape(len(out), -1)


def _percents(zz: FloatArray) -> FloatArray:
    """log A in percents, (J,)."""
    return np.round(100 * np.log(np.maximum(zz, 1e-300)))


def _products(a: FloatArray, starts: np.ndarray) -> FloatArray:
    """Sums of a_j ⊗ a_j over the levels from each start to the next, (q(q + 1)/2 a, M²)."""
    n_levels, q, M = a.shape
    r, s = np.nonzero(np.tri(q)) if q > 1 else (slice(None), slice(None))
    if len(starts) < n_levels / 4:
        flat = a.reshape(n_levels, q * M)
        squares = np.stack([one.T @ one for one in np.split(flat, starts[1:])]).reshape(-1, q, M, q, M)
        out = squares.transpose(1, 3, 0, 2, 4)[r, s].reshape(-1, len(starts), M, M)
    else:
        effects = a.transpose(1, 0, 2)
        out = effects[r][:, :, :, None] * effects[s][:, :, None]
        out = np.add.reduceat(out, starts, axis=1) if len(starts) < n_levels else out
    if q > 1:
        differ = r != s
        out[differ] += out[differ].swapaxes(2, 3)
    return out.reshape(-1, M * M)


def _alike(zz: FloatArray) -> tuple[np.ndarray, np.ndarray]:
    """Levels sorted so that those with one A stand together (J,), and where each kind begins (a,)."""
    q, _, n_levels = zz.shape
    if not n_levels:
        return np.zeros(0, int), np.zeros(0, int)
    flat = zz.reshape(q * q, n_levels)
    if q == 1 and n_levels > APART:
        key = _percents(flat[0])
        if np.ptp(key) < PERCENTS:  # numbers of 16 bits are put in order without comparing them
            key = (key - key.min()).astype(np.uint16)
    else:
        key = np.round(np.sqrt(np.arange(2.0, q * q + 2)) @ flat / np.abs(flat).max(), 9)
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    return order, np.append(0, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1)
