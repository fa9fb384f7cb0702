"""Another response on the rows of a design: everything that does not know y stays as it is.

Of the cross-products only the products with y are summed again, in a working basis that differs in γ and y's scale:

    1. r = y − offset − mean − X̃γ for the γ at hand; δ = (X̃'X̃)⁻¹X̃'r makes it the least-squares one, and r'r − δ'X̃'r its
       sum of squares. Where most of r'r goes, digits go with it, and the step is made again.
    2. X̃'ỹ, ỹ'ỹ and Z̃'ỹ
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from henderson.contract.rows import Rows
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.by_level import LevelSums
from henderson.engine.sums.crossproducts import CrossProducts, codes_of, parts_of, sparse_columns
from henderson.engine.sums.gram import CHUNK

#: share of the sum of squares that a step may take away without being made again, and steps at most
LITTLE, STEPS = 0.99, 4


def with_response(
    cross: CrossProducts, blocks: Blocks, basis: Basis, chunks: Iterable[Rows]
) -> tuple[CrossProducts, Basis]:
    """Cross-products and basis of rows that differ from those summed in their response alone.

    Parameters
    ----------
    cross, blocks, basis
        Of the response before.
    chunks : iterable of Rows
        The same rows with another y; gone through several times.

    Raises
    ------
    DataError
        When X explains the response exactly.
    """
    basis = _least_squares(cross, basis, chunks)
    p = basis.p
    xy, zx, rx = cross.xy.copy(), cross.zx.copy(), cross.rx.copy()
    xy[:p, p], xy[p, p] = _products(basis, chunks)
    xy[p, :p] = xy[:p, p]
    sums = [LevelSums(block.q, 1, block.n_levels) for block in blocks.blocks]
    for rows in chunks:
        for part in parts_of(rows, blocks):
            _add(sums, blocks, basis, part)
    for k, (block, own) in enumerate(zip(blocks.blocks, sums)):
        if k == blocks.front:
            zx[:, p] = own.sums[:, 0]
        else:
            rx[blocks.offsets[k] : blocks.offsets[k] + block.size, p] = own.sums[:, 0].T.ravel()
    return replace(cross, xy=xy, zx=zx, rx=rx), basis


def _least_squares(cross: CrossProducts, basis: Basis, chunks: Iterable[Rows]) -> Basis:
    """Step 1."""
    p, gram = basis.p, cross.xy[: basis.p, : basis.p]
    if basis.ones.any():
        basis = replace(basis, y_mean=float(sum(rows.response.sum() for rows in chunks)) / cross.n)
    suspicious = False
    for _ in range(STEPS):
        xr, rr = _products(basis, chunks)
        delta = np.linalg.solve(gram, xr) if p else np.zeros(0)
        explained = float(delta @ xr)
        left = rr - explained
        if not left > 0 or not np.isfinite(left):
            left = rr * np.finfo(float).eps
        gamma, y_scale = basis.gamma + basis.y_scale * delta, basis.y_scale * float(np.sqrt(left / cross.n))
        basis = replace(basis, gamma=gamma, y_scale=y_scale)
        if explained <= LITTLE * rr:
            break
        suspicious = True
    if suspicious:
        basis.refuse_if_explained(cross.n * basis.y_scale**2, chunks, "the response")
    return basis


def _products(basis: Basis, chunks: Iterable[Rows]) -> tuple[np.ndarray, float]:
    """X̃'ỹ and ỹ'ỹ."""
    p, xr, rr = basis.p, np.zeros(basis.p), 0.0
    columns = np.empty((p + 1, CHUNK))
    for rows in chunks:
        for part in rows.chunks(CHUNK):
            own = columns[:, : part.n]
            basis.rows(part, own.T)
            xr += own[:p] @ own[p]
            rr += float(own[p] @ own[p])
    return xr, rr


def _add(sums: list[LevelSums], blocks: Blocks, basis: Basis, rows: Rows) -> None:
    """Add Z̃'ỹ of some rows."""
    y, Z = np.empty((1, rows.n)), [np.empty((block.q, rows.n)) for block in blocks.blocks]
    columns, start = np.empty((basis.p + 1, min(CHUNK, rows.n))), 0
    for part in rows.chunks(CHUNK):
        here = slice(start, start + part.n)
        basis.rows(part, columns[:, : part.n].T)
        y[0, here] = columns[-1, : part.n]
        for k, block in enumerate(blocks.blocks):
            basis.columns(part, block.terms, k, Z[k][:, here].T)
        start += part.n
    for block, own, z in zip(blocks.blocks, sums, Z):
        term = rows.terms[block.terms[0]]
        if term.codes is None:
            own.sums[0, 0] += sparse_columns(term, codes_of(term, block), z, block.n_levels).T @ y[0]
        else:
            own.add(codes_of(term, block), z, y)
