"""Random columns whitened within each term, so that λ = I is a natural size in any units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from henderson.contract.design import Design
from henderson.contract.rows import Rows, TermRows
from henderson.covariance.structure import Structure
from henderson.covariance.structures import structure_called
from henderson.engine.sums.extremes import refuse_extremes
from henderson.engine.sums.gram import CHUNK
from henderson.engine.sums.straight import straighten
from henderson.errors import DataError
from henderson.numerics.lapack import eigen
from henderson.numerics.matrices import block_diagonal

#: least eigenvalue of the inner products of a term's unit columns, below which they are made straight on the rows
WELL = 1e-5
#: length of what is left of a unit column, below which it is a combination of the others: rounding of the columns
ROUNDING = 1e-13


def whitening(design: Design, chunks: Iterable[Rows], terms: tuple[int, ...]) -> tuple[np.ndarray, bool]:
    """T (q, q), upper triangular within each term, with (Z T)'W(Z T)/n = I where the structure leaves G free; and
    whether Z T needs more digits than Z'Z has."""
    roots, extended = [], False
    n = sum(rows.n for rows in chunks)
    for i in terms:
        term = design.terms[i]
        gram = np.zeros((term.n_columns, term.n_columns))
        for chunk in chunks:
            for rows in chunk.chunks(n if term.loaded else CHUNK):
                with np.errstate(over="ignore", invalid="ignore"):
                    gram += _weighted_gram(rows.terms[i], rows.weights)
        gram /= n
        refuse_extremes(term.names, gram.diagonal(), (rows.terms[i].columns for rows in chunks))
        scale = np.sqrt(gram.diagonal())
        if not (scale > 0).all():
            name = term.names[int(np.argmin(scale))]
            raise DataError(f"the column {name!r} of the random-effects term on {term.group!r} is all zero")
        structure = structure_called(term.structure)
        if term.n_columns > 1 and structure.any_order and not _is_well(gram, scale):
            root = _straight_root(chunks, i, gram, np.sqrt(n) * scale, structure)
            extended = extended or root is not None
            roots.append(structure.whiten(gram) if root is None else root)
        else:
            roots.append(structure.whiten(gram))
    return block_diagonal(roots), extended


def _is_well(gram: np.ndarray, scale: np.ndarray) -> bool:
    """Whether a Gram matrix tells all of its columns apart."""
    return bool(eigen(gram / (scale[:, None] * scale))[0][0] > WELL)


def _straight_root(
    chunks: Iterable[Rows], term: int, gram: np.ndarray, norms: np.ndarray, structure: Structure
) -> np.ndarray | None:
    """T of a term one of whose columns is all but a combination of the others; None when it is one."""

    def columns() -> Iterator[np.ndarray]:
        for rows in (part for chunk in chunks for part in chunk.chunks(CHUNK)):
            Z = rows.terms[term].columns.astype(np.longdouble) / norms
            yield Z if rows.weights is None else Z * np.sqrt(rows.weights)[:, None]

    n = sum(rows.n for rows in chunks)
    found = straighten(columns, gram * n / np.outer(norms, norms), lambda _: ROUNDING)
    if not found.kept.all():
        return None
    turned = found.unmix() / norms[:, None] * np.sqrt(n)
    return np.asarray(turned @ structure.whiten(found.gram), float)


def _weighted_gram(term: TermRows, weights: np.ndarray | None) -> np.ndarray:
    """Σ_i w_i z_i z_i', (q, q)."""
    if weights is None:
        return term.gram()
    if term.loadings is not None:
        return np.array([[float(term.loadings.multiply(term.loadings).sum(axis=1) @ weights)]])
    return (term.columns * weights[:, None]).T @ term.columns
