"""Another response on the rows of a design: everything that does not know y stays as it is.

Of the cross-products only the products with y are summed again, in a working basis that differs in γ and y's scale:

    1. r = y − offset − mean − X̃γ for the γ at hand; δ = (X̃'X̃)⁻¹X̃'r makes it the least-squares one, and r'r − δ'X̃'r its
       sum of squares. Where most of r'r goes, digits go with it, and the step is made again.
    2. X̃'ỹ, ỹ'ỹ and Z̃'ỹ

Rows are read part by part (`InParts`); of few, X̃ and Z̃ are made once, and serve every response (`AtOnce`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy import sparse

from henderson.contract.rows import Rows
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.by_level import LevelSums
from henderson.engine.sums.crossproducts import CrossProducts, codes_of, parts_of, sparse_columns, working_columns
from henderson.engine.sums.extremes import refuse_extremes
from henderson.engine.sums.gram import CHUNK
from henderson.numerics.lapack import solve

#: share of the sum of squares that a step may take away without being made again, and steps at most
LITTLE, STEPS = 0.99, 4
#: entries of X̃ and Z̃ up to which they are kept
FEW = 200_000


class WithResponse(Protocol):
    """Rows with another response."""

    @property
    def rows(self) -> Iterable[Rows]:
        """As chunks."""

    def products(self, basis: Basis) -> tuple[np.ndarray, float]:
        """X̃'ỹ and ỹ'ỹ."""

    def totals(self, basis: Basis) -> list[np.ndarray]:
        """Z̃'ỹ of every block, (q, J)."""


def with_response(
    cross: CrossProducts, blocks: Blocks, basis: Basis, other: WithResponse
) -> tuple[CrossProducts, Basis]:
    """Cross-products and basis of rows that differ from those summed in their response alone.

    Parameters
    ----------
    cross, blocks, basis
        Of the response before.
    other : WithResponse
        The same rows with another y.

    Raises
    ------
    DataError
        When X explains the response exactly.
    """
    basis = _least_squares(cross, basis, other)
    p = basis.p
    xy, zx, rx = cross.xy.copy(), cross.zx.copy(), cross.rx.copy()
    xy[:p, p], xy[p, p] = other.products(basis)
    xy[p, :p] = xy[:p, p]
    for k, (block, own) in enumerate(zip(blocks.blocks, other.totals(basis))):
        if k == blocks.front:
            zx[:, p] = own
        else:
            rx[blocks.offsets[k] : blocks.offsets[k] + block.size, p] = own.T.ravel()
    return replace(cross, xy=xy, zx=zx, rx=rx), basis


def _least_squares(cross: CrossProducts, basis: Basis, other: WithResponse) -> Basis:
    """Step 1."""
    gram = cross.xy[: basis.p, : basis.p]
    if basis.ones.any():
        y_mean = float(sum(rows.response.sum() for rows in other.rows)) / cross.n
        basis = basis.with_response(y_mean, basis.gamma, basis.y_scale)
    suspicious = False
    _refuse_extreme(other.rows)
    for _ in range(STEPS):
        xr, rr = other.products(basis)
        delta = solve(gram, xr)
        explained = float(delta @ xr)
        left = rr - explained
        if rr == 0:
            basis.refuse_if_explained(0.0, other.rows, "the response")
        if not left > 0 or not np.isfinite(left):
            left = rr * np.finfo(float).eps
        gamma, y_scale = basis.gamma + basis.y_scale * delta, basis.y_scale * float(np.sqrt(left / cross.n))
        basis = basis.with_response(basis.y_mean, gamma, y_scale)
        if explained <= LITTLE * rr:
            break
        suspicious = True
    if suspicious:
        basis.refuse_if_explained(cross.n * basis.y_scale**2, other.rows, "the response")
    return basis


def _refuse_extreme(chunks: Iterable[Rows]) -> None:
    """Refuse a response that is too large or too small to be squared."""
    size = np.array([max(float(np.abs(rows.response).max()) for rows in chunks)])
    with np.errstate(over="ignore"):
        square = size**2
    refuse_extremes(["the response"], square, [size[None]])


@dataclass(frozen=True)
class InParts:
    """Rows in chunks, gone through several times."""

    rows: Iterable[Rows]
    blocks: Blocks

    def products(self, basis: Basis) -> tuple[np.ndarray, float]:
        """See `WithResponse`."""
        p, xr, rr = basis.p, np.zeros(basis.p), 0.0
        columns = np.empty((p + 1, CHUNK))
        for rows in self.rows:
            for part in rows.chunks(CHUNK):
                own = columns[:, : part.n]
                basis.rows(part, own.T)
                xr += own[:p] @ own[p]
                rr += float(own[p] @ own[p])
        return xr, rr

    def totals(self, basis: Basis) -> list[np.ndarray]:
        """See `WithResponse`."""
        sums = [LevelSums(block.q, 1, block.n_levels) for block in self.blocks.blocks]
        for rows in self.rows:
            for part in parts_of(rows, self.blocks):
                _add(sums, self.blocks, basis, part)
        return [own.sums[:, 0] for own in sums]


@dataclass(frozen=True)
class Columns:
    """What no response changes of few rows.

    Attributes
    ----------
    x : (p, n) array
        √w X̃.
    z : tuple of (J q, n) csr arrays
        √w Z̃' of every block, effect by effect within levels.
    root_weights : (n,) array, or None
    """

    x: np.ndarray
    z: tuple[sparse.csr_array, ...]
    root_weights: np.ndarray | None

    @classmethod
    def of(cls, rows: Rows, blocks: Blocks, basis: Basis) -> Columns | None:
        """Of all rows of a design; None where they are many."""
        if rows.n * (basis.p + sum(block.q for block in blocks.blocks)) > FEW:
            return None
        columns, Z = working_columns(rows, blocks, basis)
        z = []
        for block, own in zip(blocks.blocks, Z):
            term = rows.terms[block.terms[0]]
            z.append(sparse.csr_array(sparse_columns(term, codes_of(term, block), own, block.n_levels).T))
        weights = None if rows.weights is None else np.sqrt(rows.weights)
        return cls(np.ascontiguousarray(columns[:-1]), tuple(z), weights)


@dataclass(frozen=True)
class AtOnce:
    """All rows of a design, with the columns that were made for another response."""

    all_rows: Rows
    columns: Columns

    @property
    def rows(self) -> Iterable[Rows]:
        """See `WithResponse`."""
        return [self.all_rows]

    def products(self, basis: Basis) -> tuple[np.ndarray, float]:
        """See `WithResponse`."""
        y = self._response(basis)
        return self.columns.x @ y, float(y @ y)

    def totals(self, basis: Basis) -> list[np.ndarray]:
        """See `WithResponse`."""
        y = self._response(basis)
        return [(own @ y).reshape(-1, root.shape[0]).T for own, root in zip(self.columns.z, basis.roots)]

    def _response(self, basis: Basis) -> np.ndarray:
        """√w ỹ, (n,)."""
        y = self.all_rows.response - basis.y_mean
        if self.columns.root_weights is not None:
            y *= self.columns.root_weights
        y -= basis.gamma @ self.columns.x
        y *= 1.0 / basis.y_scale
        return y


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
