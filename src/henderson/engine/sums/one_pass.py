"""Rows summed in one pass: in a basis guessed from the first of them, then turned into the one that all of them give.

The basis needs means and inner products of all rows, and sums are made in a basis. So (1) the first rows give a guess
(the columns as they are, where that loses no more than a digit: a pass then need not turn them), (2) all rows are
summed in it, (3) from these sums the basis is computed that `Basis.of` finds in several passes, and (4) the sums are
turned into it (`change`). That loses digits only where the guess was bad: where a pivot of the sums, scaled to a unit
diagonal, is below `SAFE` — a mean that wandered by many standard deviations, columns all but dependent — nothing is
returned, and the rows are to be gone through as if in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from henderson.contract.design import Design
from henderson.contract.rows import Rows
from henderson.covariance.structures import structure_called
from henderson.engine.sums.basis import Basis, plain_basis, varies
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.change import in_basis
from henderson.engine.sums.crossproducts import CrossProducts
from henderson.engine.sums.gram import CHUNK
from henderson.engine.sums.straight import Straight, all_safe
from henderson.engine.sums.whitening import whitening
from henderson.numerics.extents import ColumnExtents, Extents
from henderson.numerics.lapack import cholesky
from henderson.numerics.matrices import block_diagonal

FloatArray = np.ndarray

#: least squared pivot of sums scaled to a unit diagonal: of three digits that are lost, thirteen are left
SAFE = 1e-3
#: least squared pivot of the first rows from which columns are summed as they are
PLAIN = 0.01


@dataclass
class Totals:
    """What is summed beside the cross-products.

    Attributes
    ----------
    n : int
    x, low, high : (p,) arrays
        Sums, smallest and largest entries of the columns of X.
    y : float
        Sum of y − offset.
    grams : list of (q, q) arrays
        Σ z_i z_i' of each random term.
    """

    n: int
    x: FloatArray
    low: FloatArray
    high: FloatArray
    y: float
    grams: list[FloatArray]

    @classmethod
    def none(cls, design: Design) -> Totals:
        """Of no rows."""
        p = len(design.x_names)
        grams = [np.zeros((term.n_columns, term.n_columns)) for term in design.terms]
        return cls(0, np.zeros(p), np.full(p, np.inf), np.full(p, -np.inf), 0.0, grams)

    def __add__(self, other: Totals) -> Totals:
        """Of both."""
        return Totals(
            self.n + other.n,
            self.x + other.x,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.y + other.y,
            [one + more for one, more in zip(self.grams, other.grams)],
        )

    def add(self, rows: Rows) -> None:
        """Add rows."""
        x = ColumnExtents.of(rows.X, [None] * rows.X.shape[1], Extents()) if rows.extents is None else rows.extents
        self.n += rows.n
        self.x += x.total
        self.low, self.high = np.minimum(self.low, x.low), np.maximum(self.high, x.high)
        self.y += sum(float(part.response.sum()) for part in rows.chunks(CHUNK if rows.offset is not None else rows.n))
        for k, term in enumerate(rows.terms):
            self.grams[k] += term.gram()


class OnePass(NamedTuple):
    """Rows that were summed once.

    Attributes
    ----------
    cross : CrossProducts or None
        In `basis`; None where the rows must be gone through again.
    basis : Basis or None
    totals : Totals
    """

    cross: CrossProducts | None
    basis: Basis | None
    totals: Totals


def in_exact_basis(design: Design, blocks: Blocks, guess: Basis, cross: CrossProducts, totals: Totals) -> OnePass:
    """Steps 3 and 4: sums in the guess, turned into the basis that all rows give."""
    basis = exact_basis(design, blocks, guess, cross, totals)
    return OnePass(None if basis is None else in_basis(cross, blocks, guess, basis), basis, totals)


def guessed(design: Design, rows: Rows, blocks: Blocks, intercept: int) -> Basis:
    """Step 1: means, spreads and least squares of some rows; columns that do not vary there as they are."""
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by name
        return _guessed(design, rows, blocks, intercept)


def _guessed(design: Design, rows: Rows, blocks: Blocks, intercept: int) -> Basis:
    X, y = rows.X, rows.response
    ones = np.zeros(X.shape[1])
    ones[intercept] = 1.0
    if _may_stay(np.column_stack([X, y])) and all(
        _may_stay(rows.terms[i].columns) for block in blocks.blocks for i in block.terms
    ):
        p = X.shape[1]
        roots = tuple(np.eye(block.q) for block in blocks.blocks)
        every, nothing = np.ones(p, bool), np.zeros(p)
        return Basis(every, nothing, np.ones(p), None, ones, 0.0, nothing, 1.0, roots, (False,) * len(roots))
    shift = np.where(ones == 0, X.mean(axis=0), 0.0)
    spread = np.sqrt(np.square(X - shift).mean(axis=0))
    scale = np.where((spread > 1e-9 * np.abs(shift)) & (spread > 0), spread, 1.0)
    shift = np.where(scale == spread, shift, 0.0)
    y_mean = float(y.mean())
    unit = (X - shift) / scale
    gamma = np.linalg.lstsq(unit.T @ unit, unit.T @ (y - y_mean), rcond=1e-8)[0]
    left = float(np.sqrt(np.square(y - y_mean - unit @ gamma).mean()))
    every = np.ones(len(ones), bool)
    found = [_guessed_root(design, rows, block.terms) for block in blocks.blocks]
    roots, extended = tuple(root for root, _ in found), tuple(is_extended for _, is_extended in found)
    return Basis(every, shift, scale, None, ones, y_mean, gamma, left if left > 0 else 1.0, roots, extended)


def _may_stay(columns: FloatArray) -> bool:
    """Whether sums of squares of columns as they are would tell them apart with all but a digit."""
    with np.errstate(over="ignore"):
        return _has_digits(columns.T @ columns, least=PLAIN)


def _guessed_root(design: Design, rows: Rows, terms: tuple[int, ...]) -> tuple[FloatArray, bool]:
    """T of a block, whitening some rows; where they do not tell its columns apart, what gives them unit length."""
    columns = [rows.terms[i].columns for i in terms]
    sizes = [np.sqrt(np.square(own).mean(axis=0)) for own in columns]
    if all((size > 0).all() for size in sizes):
        with np.errstate(all="ignore"):
            root, extended = whitening(design, [rows], terms)
        white = np.hstack(columns).astype(np.longdouble) @ root
        norms = np.sqrt(np.square(white).mean(axis=0).astype(float))
        if (
            np.isfinite(norms).all()
            and (norms > 0).all()
            and _has_digits((white.T @ white).astype(float), terms, design)
        ):
            return root, extended
    return np.diag(np.concatenate([1 / np.where(size > 0, size, 1.0) for size in sizes])), False


def exact_basis(design: Design, blocks: Blocks, guess: Basis, cross: CrossProducts, totals: Totals) -> Basis | None:
    """Step 3: the basis of all rows; None where the sums do not tell."""
    n, p = totals.n, guess.p
    if not _has_digits(cross.xy):
        return None
    means, y_mean = totals.x / n, totals.y / n
    all_shift = np.where(guess.ones == 0, means, 0.0)
    one = guess.scale * guess.ones
    L = np.zeros((p + 1, p + 1))
    L[:p, :p] = np.diag(guess.scale) + np.outer(one, guess.shift - all_shift)
    L[:p, p], L[p, p] = guess.gamma + (guess.y_mean - y_mean) * one, guess.y_scale
    gram = L.T @ cross.xy @ L
    norms, mass = np.sqrt(gram.diagonal())[:-1], float(guess.ones @ gram[:-1, :-1] @ guess.ones)  # X ones = 1
    if not varies(norms, all_shift, mass).all():
        return None
    inner = gram[:-1, :-1] / (norms[:, None] * norms)
    if not all_safe(inner):
        return None
    roots = []
    for k, block in enumerate(blocks.blocks):
        whole = _gram_of_block(cross, blocks, k)
        if not _has_digits(whole, block.terms, design):
            return None
        parts = [
            structure_called(design.terms[i].structure).whiten(whole[part, part] / n)
            for i, part in zip(block.terms, block.layout.terms)
        ]
        roots.append(guess.roots[k] @ block_diagonal(parts))
    straight = Straight(np.ones(p, bool), np.eye(p, dtype=np.longdouble), inner, True)
    basis, is_sure = plain_basis(
        n, mass, guess.ones, all_shift, norms, y_mean, gram, straight, tuple(roots), guess.extended
    )
    return basis if is_sure else None


def _gram_of_block(cross: CrossProducts, blocks: Blocks, k: int) -> FloatArray:
    """Σ_j Z̃_j'Z̃_j of a block, (q, q)."""
    if k == blocks.front:
        return cross.zz.sum(axis=2)
    block = blocks.blocks[k]
    places = blocks.offsets[k] + block.q * np.arange(block.n_levels)
    out = np.empty((block.q, block.q))
    for a in range(block.q):
        for b in range(block.q):
            out[a, b] = np.asarray(cross.rr[places + a, places + b]).sum()
    return out


def _has_digits(
    gram: FloatArray, terms: tuple[int, ...] = (), design: Design | None = None, least: float = SAFE
) -> bool:
    """Whether sums tell all columns apart with digits to spare; of a block: those of each of its terms."""
    if design is not None:
        ends = np.cumsum([0, *(design.terms[i].n_columns for i in terms)])
        return all(_has_digits(gram[a:b, a:b], least=least) for a, b in pairwise(ends))
    size = np.sqrt(gram.diagonal())
    if not (size > 0).all() or not np.isfinite(size).all():
        return False
    try:
        return bool((cholesky(gram / (size[:, None] * size)).diagonal() ** 2 > least).all())
    except np.linalg.LinAlgError:
        return False
