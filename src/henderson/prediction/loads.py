"""What rows load on, in the engine's terms: columns of the working basis, levels in its order, the front apart.

A level that the fit does not have has effects of its own: they add z'Gz to the variance of what is predicted, whose
derivative along a parameter g_i is z'E_iz (E_i = ∂G/∂g_i).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from henderson.contract.rows import Rows, TermRows
from henderson.design.replay import NewTerm
from henderson.engine.criterion import Criterion
from henderson.engine.sums.blocks import Block
from henderson.prediction.row_errors import Loads

FloatArray = np.ndarray


@dataclass(frozen=True)
class NewEffects:
    """What effects that the fit does not have add to each row, relative to σ².

    Attributes
    ----------
    variance : (m,) array
        Σ z'Gz over the row's new levels.
    gradient : (m, k) array
        ∂/∂g, of the working basis.
    """

    variance: FloatArray
    gradient: FloatArray


def loads_of(
    criterion: Criterion, lam: Sequence[FloatArray], X: FloatArray, terms: Sequence[NewTerm | None]
) -> tuple[Loads, NewEffects]:
    """The loads of m rows, and what new levels add.

    Parameters
    ----------
    criterion : Criterion
    lam : sequence of (q, q) arrays
        Working λ of each block.
    X : (m, p_all) array
    terms : sequence of NewTerm or None
        What each term of the design says of the rows; None for a term that has no part.
    """
    blocks, basis, m = criterion.blocks, criterion.basis, len(X)
    rows = Rows(np.zeros(m), X, _filled(criterion, terms, m))
    x = basis.combinations(X)
    level, front = np.full(m, -1), np.zeros((0 if blocks.front is None else blocks.blocks[blocks.front].q, m))
    entries: list[tuple[np.ndarray, np.ndarray, FloatArray]] = []
    fresh = NewEffects(np.zeros(m), np.zeros((m, blocks.n_g)))
    for k, block in enumerate(blocks.blocks):
        own = next((term for i in block.terms if (term := terms[i]) is not None), None)
        if own is None:
            continue
        z = np.empty((m, block.q))
        basis.columns(rows, block.terms, k, z)
        if own.loadings is not None:
            found = own.loadings.tocoo()
            row, column = found.coords[0], found.coords[1].astype(np.intp)
            value, is_new = found.data * z[row, 0], column == block.n_levels
            _add_new(fresh, block, lam[k], row[is_new], value[is_new, None])
            row, value, column = row[~is_new], value[~is_new], block.ranked(column[~is_new])
            if k == blocks.front:  # a component whose rows load on one effect each
                level[row], front[0, row] = column, value
            else:
                entries.append((row, blocks.offsets[k] + column, value))
            continue
        assert own.codes is not None
        known = np.flatnonzero(own.codes >= 0)
        new = np.flatnonzero(own.codes < 0)
        _add_new(fresh, block, lam[k], new, z[new])
        codes = block.ranked(own.codes[known])
        if k == blocks.front:
            level[known], front[:, known] = codes, z[known].T
        else:
            column = blocks.offsets[k] + codes[:, None] * block.q + np.arange(block.q)
            entries.append((np.repeat(known, block.q), column.ravel(), z[known].ravel()))
    shape = (m, blocks.n_rest)
    if not entries:
        return Loads(x, level, front, sparse.csr_array(shape)), fresh
    row, column, value = (np.concatenate(parts) for parts in zip(*entries))
    return Loads(x, level, front, sparse.csr_array((value, (row, column)), shape=shape)), fresh


def _filled(criterion: Criterion, terms: Sequence[NewTerm | None], m: int) -> tuple[TermRows, ...]:
    """Columns of every term; zeros where a term has no part."""
    sizes = {i: part.stop - part.start for block in criterion.blocks.blocks
             for i, part in zip(block.terms, block.layout.terms)}  # fmt: skip
    return tuple(
        TermRows(np.zeros(m, np.intp), np.zeros((m, sizes[i]))) if term is None else TermRows(term.codes, term.columns)
        for i, term in enumerate(terms)
    )


def _add_new(fresh: NewEffects, block: Block, lam: FloatArray, rows: np.ndarray, z: FloatArray) -> None:
    """Add effects of new levels, z (s, q), to the rows that have them."""
    if not len(rows):
        return
    np.add.at(fresh.variance, rows, ((z @ lam) ** 2).sum(1))
    basis = block.layout.basis()
    squares = np.einsum("sa,iab,sb->si", z, basis, z, optimize=True)
    for place, own in zip(block.g_parameters, squares.T):
        np.add.at(fresh.gradient[:, place], rows, own)
