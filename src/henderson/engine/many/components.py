"""A design taken apart: components of effects that share no row, and among them those that look alike.

The likelihood needs from a component c only A = Z_c'WZ_c and, summed over components with the same A (a *pattern*),
the products of the columns of Z_c'W[X y] with each other:

    Σ_c [X y]'WZ_c M Z_c'W[X y]   is linear in   W_a = Σ_{c in a} vec(Z_c'W[X y]) vec(Z_c'W[X y])'

for any M that depends on A alone. A balanced study has one pattern, whatever its number of subjects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from henderson.contract.design import Design, RandomTerm
from henderson.contract.rows import Rows, TermRows, indicator_columns
from henderson.covariance.layout import Layout, layout_of
from henderson.covariance.structures import structure_called
from henderson.engine.sums.whitening import whitening

FloatArray = np.ndarray

#: components with more effects are not added up by pattern
SMALL = 6


@dataclass(frozen=True)
class Shape:
    """The components with the same numbers of levels of each term.

    Attributes
    ----------
    gram : (R, R, a) array
        A = Z_c'WZ_c of each of the a patterns.
    count : (a,) array
        Components of each pattern.
    pattern : (C,) int array
        Pattern of each component.
    label : (C,) int array
        Number of each component in the whole design.
    place : (R, R) int array
        Where an element of the covariance of the component's effects is found in that of one level of every term,
        (Q, Q) raveled; Q² where it is zero.
    members : (k, R, R) array
        ∂(covariance of the effects)/∂g_i.
    zx : (p, R, C) array
        Z_c'WX, X in the orthonormal basis.
    xx : (p, p, R, R, a) array
        Sums of their products within patterns (empty where components are large).
    rows : (R C, n) csr_array
        Turns a weighted response into the Z_c'Wy, effect by effect.
    """

    gram: FloatArray
    count: FloatArray
    pattern: np.ndarray
    label: np.ndarray
    place: np.ndarray
    members: FloatArray
    zx: FloatArray
    xx: FloatArray
    rows: sparse.csr_array

    @property
    def size(self) -> int:
        """R, effects of one component."""
        return len(self.place)

    @property
    def is_large(self) -> bool:
        """Whether the components are taken one by one."""
        return self.size > SMALL

    def gathered(self, matrices: FloatArray) -> FloatArray:
        """The matrices of a component's effects from those of one level of every term: (Q, Q, B) → (R, R, B)."""
        batch = matrices.shape[2]
        padded = np.concatenate([matrices.reshape(-1, batch), np.zeros((1, batch))])
        return np.ascontiguousarray(padded[self.place])

    def sum_patterns(self, components: FloatArray) -> FloatArray:
        """Sums over the components of each pattern: (..., C, B) → (..., a, B)."""
        return _sum_patterns(components, self.pattern)

    def effects_by_pattern(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Σ_{c in a} left_c right_c' for (u, R, C) and (R, C, B), symmetric in the effects: (u, R, R, a, B)."""
        u, r, _ = left.shape
        n_patterns, batch = len(self.count), right.shape[2]
        if n_patterns == len(self.pattern):
            order = np.argsort(self.pattern)
            out = np.einsum("urc,scb->urscb", left[:, :, order], right[:, order])
        else:
            out = np.empty((u, r, r, n_patterns, batch))
            for a in range(n_patterns):
                here = self.pattern == a
                many = int(here.sum())
                wide = np.ascontiguousarray(right[:, here]).transpose(1, 0, 2).reshape(many, r * batch)
                out[:, :, :, a] = (left[:, :, here].reshape(u * r, many) @ wide).reshape(u, r, r, batch)
        return (out + out.transpose(0, 2, 1, 3, 4)) / 2


@dataclass(frozen=True)
class Components:
    """A design as the batch computations see it.

    Attributes
    ----------
    shapes : tuple of Shape
    layout : Layout
        All terms of the design, one after another: Q effects, k = n_g parameters.
    basis : (Q, Q) array
        T: the effects of a level in the basis used here are T⁻¹ times the user's (block diagonal by term).
    x_basis : (p, p) array
        Upper triangular: W^½ X = orthonormal @ x_basis.
    x : (n, p) array
        The orthonormal columns.
    root_weights : (n,) array
    offset : (n,) array
    log_weights : float
    """

    shapes: tuple[Shape, ...]
    layout: Layout
    basis: FloatArray
    x_basis: FloatArray
    x: FloatArray
    root_weights: FloatArray
    offset: FloatArray
    log_weights: float

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.x)

    @property
    def p(self) -> int:
        """Columns of X."""
        return self.x.shape[1]

    @property
    def largest(self) -> int:
        """Effects of the largest component."""
        return max(s.size for s in self.shapes)

    def doubles(self) -> int:
        """Numbers that one response of a batch needs in memory."""
        small = sum(
            len(s.count) * s.size**2 * (self.p + 2 * self.layout.n_g + 10) for s in self.shapes if not s.is_large
        )
        return self.n + small + sum(len(s.count) * s.size**2 * 8 for s in self.shapes if s.is_large)


def n_components(design: Design, rows: Rows) -> int:
    """Number of groups of rows that share no random effect."""
    return int(_labels(design, rows)[0].max()) + 1


def effects_of_components(design: Design, rows: Rows) -> np.ndarray:
    """Number of effects of each component."""
    labels, _ = _labels(design, rows)
    sizes = np.concatenate([np.full(t.n_levels, t.n_columns) for t in design.terms])
    return np.bincount(labels, weights=sizes).astype(int)


def component_of_rows(design: Design, rows: Rows) -> np.ndarray:
    """Component of each row, (n,)."""
    labels, starts = _labels(design, rows)
    for term, start in zip(rows.terms, starts):
        if term.codes is not None:
            return labels[start + term.codes]
    first = rows.terms[0].given_loadings
    return labels[first.indices[np.minimum(first.indptr[:-1], len(first.indices) - 1)]]


def components(
    design: Design, rows: Rows, kept: np.ndarray, *, whiten: bool = True, separate: bool = False
) -> Components:
    """Take a design apart.

    Parameters
    ----------
    design : Design
    rows : Rows
    kept : (p,) bool array
        Columns of X to use; they must be linearly independent.
    whiten : bool
        Choose a basis in which the columns of an unstructured term are orthonormal over an average level; else the
        columns are only scaled.
    separate : bool
        Do not add up components that look alike (each then can have a weight of its own).
    """
    root_weights = np.sqrt(rows.unit_weights)
    x_basis: FloatArray
    x, x_basis = linalg.qr(rows.X[:, kept] * root_weights[:, None], mode="economic", check_finite=False)
    layout = layout_of(design.terms)
    turned = _bases(design, rows, whiten)
    bases = [basis for basis, _ in turned]
    labels, starts = _labels(design, rows)
    z = sparse.hstack(
        [_columns(own, t.n_levels, *b, root_weights) for own, t, b in zip(rows.terms, design.terms, turned)],
        format="csr",
    )
    # owner, term row and level of every column of z
    owner = np.concatenate([np.repeat(labels[s : s + t.n_levels], t.n_columns) for t, s in zip(design.terms, starts)])
    row = np.concatenate([np.tile(np.arange(q.start, q.stop), t.n_levels) for t, q in zip(design.terms, layout.terms)])
    level = np.concatenate([np.repeat(s + np.arange(t.n_levels), t.n_columns) for t, s in zip(design.terms, starts)])
    shapes = tuple(_shapes(z, x, owner, row, level, layout, separate))
    basis = linalg.block_diag(*bases)
    return Components(shapes, layout, basis, x_basis, x, root_weights, rows.known, rows.log_weights)


def scales_of(design: Design, grams: Sequence[FloatArray]) -> FloatArray:
    """Units of the effects that make an average level's sum of squares one, (Q,); `grams` Σ z_i z_i' of each term."""
    sizes = [np.diag(gram) / term.n_levels for term, gram in zip(design.terms, grams)]
    return np.concatenate([1 / np.sqrt(np.where(size > 0, size, 1.0)) for size in sizes])


def _bases(design: Design, rows: Rows, whiten: bool) -> list[tuple[FloatArray, bool]]:
    """T of each term: upper triangular with T'ĀT = I, or diagonal, Ā = the average of Z_j'WZ_j; and whether Z T needs
    more digits than Z'Z has: a slope on a covariate far from zero."""
    root_weights, found = np.sqrt(rows.unit_weights), []
    for i, (term, own) in enumerate(zip(design.terms, rows.terms)):
        if whiten and own.codes is not None and term.n_columns > 1:
            root, extended = whitening(design, [rows], (i,))
            found.append((root * np.sqrt(term.n_levels / rows.n), extended))
        else:
            found.append((_basis(term, own, root_weights), False))
    return found


def _labels(design: Design, rows: Rows) -> tuple[np.ndarray, list[int]]:
    """Component of every level, terms one after another, and where each term's levels start."""
    design.refuse_related("what takes a design apart (scaled residuals, resampling of cases)")
    starts = np.concatenate([[0], np.cumsum([t.n_levels for t in design.terms])])
    first = design.terms[0]
    if not first.loaded and all(t.group == first.group for t in design.terms):
        return np.tile(np.arange(first.n_levels), len(design.terms)), list(starts[:-1])
    incidence = sparse.hstack([own.incidence(t.n_levels) for own, t in zip(rows.terms, design.terms)], format="csr")
    _, labels = sparse.csgraph.connected_components(incidence.T @ incidence, directed=False)
    return labels, list(starts[:-1])


def _columns(
    term: TermRows, n_levels: int, basis: FloatArray, extended: bool, root_weights: FloatArray
) -> sparse.csr_array:
    """W^½ Z of a term in the basis, (n, J q), the q effects of a level side by side."""
    if term.codes is None:
        return sparse.csr_array(term.given_loadings.multiply(root_weights[:, None] * basis[0, 0]))
    columns = term.columns.astype(np.longdouble) if extended else term.columns
    return indicator_columns(term.codes, (columns @ basis).astype(float) * root_weights[:, None], n_levels)


def _basis(term: RandomTerm, rows: TermRows, root_weights: FloatArray) -> FloatArray:
    """Diagonal T of one term with a unit diagonal of T'ĀT."""
    if rows.codes is None:
        mean = rows.given_loadings.multiply(root_weights[:, None]).power(2).sum() / term.n_levels
        return np.array([[1 / np.sqrt(mean if mean > 0 else 1.0)]])
    columns = rows.columns * root_weights[:, None]
    mean_gram = columns.T @ columns / term.n_levels
    return structure_called(term.structure).whiten(mean_gram, correlate=False)


def _shapes(
    z: sparse.csr_array,
    x: FloatArray,
    owner: np.ndarray,
    row: np.ndarray,
    level: np.ndarray,
    layout: Layout,
    separate: bool,
) -> list[Shape]:
    order = np.lexsort((row, level, owner))
    edges = np.flatnonzero(np.diff(owner[order], prepend=-1))
    pieces = np.split(order, edges[1:])
    # level number within the component, so that components whose columns match get one key
    by_signature: dict[bytes, list[int]] = {}
    for c, piece in enumerate(pieces):
        relative = np.unique(level[piece], return_inverse=True)[1]
        by_signature.setdefault(np.array([row[piece], relative]).tobytes(), []).append(c)
    zt = sparse.csr_array(z.T)
    gram = sparse.csr_array(zt @ z) if len(pieces) > 1 else None
    out = []
    for members in by_signature.values():
        columns = np.array([pieces[c] for c in members])  # (C, R)
        n_here, r = columns.shape
        if gram is None:
            grams = (zt @ z).toarray()[np.ix_(columns[0], columns[0])][:, :, None]
        else:
            left = np.repeat(columns, r, axis=1).ravel()
            right = np.tile(columns, (1, r)).ravel()
            grams = np.asarray(gram[left, right]).reshape(n_here, r, r).transpose(1, 2, 0)
        first, pattern = _alike(grams, separate or r > SMALL)
        rows = zt[columns.T.ravel()]
        place = _place(row[columns[0]], level[columns[0]], layout)
        zx = np.ascontiguousarray((rows @ x).reshape(r, n_here, -1).transpose(2, 0, 1))
        out.append(Shape(
            gram=np.ascontiguousarray(grams[:, :, first]),
            count=np.bincount(pattern).astype(float),
            pattern=pattern,
            label=np.array(members),
            place=place,
            members=_members(place, layout),
            zx=zx,
            xx=_products(zx, pattern) if r <= SMALL else np.empty(0),
            rows=sparse.csr_array(rows),
        ))  # fmt: skip
    return out


def _products(zx: FloatArray, pattern: np.ndarray) -> FloatArray:
    return _sum_patterns(np.einsum("xrc,ysc->xyrsc", zx, zx)[..., None], pattern)[..., 0]


def _sum_patterns(components: FloatArray, pattern: np.ndarray) -> FloatArray:
    order = np.argsort(pattern, kind="stable")
    starts = np.flatnonzero(np.diff(pattern[order], prepend=-1))
    return np.add.reduceat(components[..., order, :], starts, axis=-2)


def _alike(grams: FloatArray, separate: bool) -> tuple[np.ndarray, np.ndarray]:
    """First component of each pattern, and the pattern of each component, equal to twelve digits."""
    n = grams.shape[2]
    if separate:
        return np.arange(n), np.arange(n)
    flat = grams.reshape(-1, n).T
    rounded = np.round(flat / max(np.abs(flat).max(), np.finfo(float).tiny), 12) + 0.0
    _, first, pattern = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    return first, pattern.reshape(-1)


def _place(row: np.ndarray, level: np.ndarray, layout: Layout) -> np.ndarray:
    """Effects of one level of one term have the term's covariance; others none."""
    q = layout.q
    return np.where(level[:, None] == level, row[:, None] * q + row, q * q)


def _members(place: np.ndarray, layout: Layout) -> FloatArray:
    padded = np.concatenate([layout.basis().reshape(layout.n_g, -1), np.zeros((layout.n_g, 1))], axis=1)
    return padded[:, place]
