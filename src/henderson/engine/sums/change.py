"""Cross-products in another basis: [X̃ ỹ] = [X̃₀ ỹ₀]K and Z̃ = Z̃₀R, so that sums over rows need not be made again.

With 1 = X̃₀w₀, w₀ = scale₀ w (shifts are zero where w is not):

    X̃ = (X − shift)/scale = X̃₀ (scale₀/scale + w₀ ((shift₀ − shift)/scale)')
    ỹ = (s₀ỹ₀ + (ȳ₀ − ȳ)X̃₀w₀ + X̃₀γ₀ − X̃γ)/s
    R = T₀⁻¹T

No large numbers are subtracted from each other: differences of shifts, not shifts, are in K.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.linalg import solve_triangular

from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.numerics.distinct import distinct
from henderson.numerics.small import slices

FloatArray = np.ndarray


def columns_between(old: Basis, new: Basis) -> FloatArray:
    """K, (p + 1, p + 1), between two bases that keep the same columns and mix none."""
    p = old.p
    one = old.scale * old.ones
    K = np.zeros((p + 1, p + 1))
    K[:p, :p] = np.diag(old.scale / new.scale) + np.outer(one, (old.shift - new.shift) / new.scale)
    K[:p, p] = ((old.y_mean - new.y_mean) * one + old.gamma - K[:p, :p] @ new.gamma) / new.y_scale
    K[p, p] = old.y_scale / new.y_scale
    return K


def roots_between(old: Basis, new: Basis) -> list[FloatArray]:
    """R of every block."""
    return [solve_triangular(one, other) for one, other in zip(old.roots, new.roots)]


def in_basis(cross: CrossProducts, blocks: Blocks, old: Basis, new: Basis) -> CrossProducts:
    """Cross-products summed in one basis as they are in another.

    Parameters
    ----------
    cross : CrossProducts
        In `old`.
    blocks : Blocks
    old, new : Basis
        Both plain: no column is a combination of others.
    """
    K = columns_between(old, new)
    turns = roots_between(old, new)
    xy = K.T @ cross.xy @ K
    zz, zx = cross.zz, cross.zx
    if blocks.front is not None:
        R = turns[blocks.front]
        zz = both(zz, R, R)
        zx = both(zx, R, K)
    zr, rr, rx = cross.zr, cross.rr, cross.rx
    if blocks.rest:
        wide = sparse.csr_array(
            sparse.block_diag(
                [sparse.kron(sparse.eye_array(blocks.blocks[k].n_levels), turns[k]) for k in blocks.rest], format="csr"
            )
        )
        rr = sparse.csr_array(wide.T @ rr @ wide)
        rr.sort_indices()
        rx = wide.T @ rx @ K
        if zr:
            R = turns[blocks.front]  # type: ignore[index]  # there is a front where zr is not empty
            if all(block.q == 1 for block in blocks.blocks):
                zr = [_scaled(zr[0], R[0, 0] * wide.diagonal())]
            else:
                zr = _mixed([sparse.csr_array(one @ wide) for one in zr], R)
    return replace(cross, xy=(xy + xy.T) / 2, zz=zz, zx=zx, zr=zr, rr=rr, rx=np.asarray(rx))


def both(stack: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """left' S_j right of every level, (a, b, J)."""
    (q, a), (m, b), n_levels = left.shape, right.shape, stack.shape[2]
    out = np.empty((a, b, n_levels))
    for part in slices(n_levels, (q + 2 * a) * m + a * b):
        half = (left.T @ stack[:, :, part].reshape(q, -1)).reshape(a, m, -1)
        np.matmul(right.T, half, out=out[:, :, part])
    return out


def _scaled(one: sparse.csr_array, by: FloatArray) -> sparse.csr_array:
    """Columns multiplied by numbers (R,); the pattern is not copied."""
    data = by[one.indices]
    data *= one.data
    return sparse.csr_array((data, one.indices, one.indptr), shape=one.shape)


def _mixed(parts: list[sparse.csr_array], R: FloatArray) -> list[sparse.csr_array]:
    """Σ_b R_ba parts_b for each a, all on one pattern: that of every entry of any part."""
    indptr, indices, data = _on_one_pattern(parts)
    return [
        sparse.csr_array((column, indices, indptr), shape=parts[0].shape) for column in np.tensordot(R, data, (0, 0))
    ]


def _on_one_pattern(parts: list[sparse.csr_array]) -> tuple[np.ndarray, np.ndarray, FloatArray]:
    """Row starts and columns of a pattern that holds every part's, and the parts' entries there, (q, entries).

    Products of sparse matrices leave out entries that are zero: where a slope's covariate is zero on all rows of a
    pair of levels, and the intercept is not.
    """
    for one in parts:
        one.sort_indices()
    first = parts[0]
    if all(np.array_equal(one.indptr, first.indptr) and np.array_equal(one.indices, first.indices) for one in parts):
        return first.indptr, first.indices, np.stack([one.data for one in parts])
    n, across = first.shape
    keys = [np.repeat(np.arange(n), np.diff(one.indptr)) * across + one.indices for one in parts]
    union = distinct(np.concatenate(keys))
    data = np.zeros((len(parts), len(union)))
    for own, key, one in zip(data, keys, parts):
        own[np.searchsorted(union, key)] = one.data
    indptr = np.searchsorted(union, np.arange(n + 1) * across)
    return indptr, union % across, data
