"""Products of the columns of [Z X y] summed once for each class of entries of R⁻¹: what these weigh.

With T = [Z c], c = [X̃ ỹ], rows times √w, and a class e of entries that are one number f_e at every ψ (`cliques`)

    S_e = Σ_i T_i'T_i over rows i of a class        S_e = Σ_ij (T_i'T_j + T_j'T_i) over pairs        T'R⁻¹T = Σ f_e S_e

so that a likelihood at other parameters is a linear combination and no pass over the rows. Each series lies within one
level of the front, hence its part of S is block-diagonal; the rest's is dense. All of one S is one row of an array
(`triangles` has the order of a triangle):

    [ Z_f'Z_f (q, q, J) | Z_f'c (q, m, J) | Z_f'Z_r (J, q, R) | Z_r'Z_r (a triangle) | Z_r'c (R, m) | c'c (m, m) ]
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from functools import cached_property

import numpy as np

from henderson.contract.rows import Rows
from henderson.covariance.layout import consecutive
from henderson.engine.residual.cliques import Alike, Coefficients
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import CHUNK, codes_of
from henderson.numerics import small, triangles
from henderson.numerics.scatter import Places, add_product

FloatArray = np.ndarray
IntArray = np.ndarray

#: which of the parts of one S are Z_f'Z_r and Z_r'Z_r
ZR, RR = 2, 3
#: rows that are summed at a time: what is made of them stays in the cache
PIECE = 1 << 13


@dataclass(frozen=True)
class Shape:
    """Sizes: effects of a level of the front, its levels, effects of the rest, columns of c.

    Attributes
    ----------
    q, J, R, m : int
    """

    q: int
    J: int
    R: int
    m: int

    @classmethod
    def of(cls, blocks: Blocks, m: int) -> Shape:
        """Of a model's blocks."""
        front = None if blocks.front is None else blocks.blocks[blocks.front]
        return cls(front.q if front else 0, front.n_levels if front else 0, blocks.n_rest, m)

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the parts of one S."""
        q, J, R, m = self.q, self.J, self.R, self.m
        return (q, q, J), (q, m, J), (J, q, R), (triangles.size(R),), (R, m), (m, m)

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Where the parts lie in its row."""
        return consecutive([int(np.prod(shape)) for shape in self.shapes])

    @property
    def size(self) -> int:
        """Numbers of one S."""
        return self.places[-1].stop

    def parts(self, flat: FloatArray) -> Parts:
        """Views of a row (or of several, (..., size))."""
        return Parts(*(flat[..., at].reshape(*flat.shape[:-1], *own) for at, own in zip(self.places, self.shapes)))


@dataclass(frozen=True)
class Parts:
    """The parts of T'AT, or of several, with an axis before the others.

    Attributes
    ----------
    zz : (q, q, J) array
    zx : (q, m, J) array
    zr : (J, q, R) array
    rr : (R (R + 1) / 2,) array
        The lower triangle, as `triangles` has it.
    rx : (R, m) array
    xx : (m, m) array
    """

    zz: FloatArray
    zx: FloatArray
    zr: FloatArray
    rr: FloatArray
    rx: FloatArray
    xx: FloatArray

    def times(self, v: Vectors) -> Vectors:
        """T'AT v of parts of several A, (E, ...), and k vectors: E k vectors, those of one A together."""
        E, J, q, R = self.zr.shape
        m, k = v.fixed.shape
        zr = self.zr.reshape(E, J * q, R)
        front = np.einsum("eabj,bkj->aekj", self.zz, v.front) + np.einsum("eamj,mk->aekj", self.zx, v.fixed)
        front += (zr @ v.rest).reshape(E, J, q, k).transpose(2, 0, 3, 1)
        rest = zr.transpose(0, 2, 1) @ v.front_rows + self.rx @ v.fixed
        for own, triangle in zip(rest, self.rr if R else ()):
            own += triangles.times(triangle, v.rest)
        fixed = np.einsum("eamj,akj->emk", self.zx, v.front) + self.rx.transpose(0, 2, 1) @ v.rest + self.xx @ v.fixed
        return Vectors(
            front.reshape(q, E * k, J),
            rest.transpose(1, 0, 2).reshape(R, E * k),
            fixed.transpose(1, 0, 2).reshape(m, E * k),
        )


@dataclass(frozen=True)
class Vectors:
    """k vectors with an entry for each column of T.

    Attributes
    ----------
    front : (q, k, J) array
    rest : (R, k) array
    fixed : (m, k) array
    """

    front: FloatArray
    rest: FloatArray
    fixed: FloatArray

    @property
    def front_rows(self) -> FloatArray:
        """The front level by level, (J q, k)."""
        q, k, J = self.front.shape
        return self.front.transpose(2, 0, 1).reshape(J * q, k)

    def inner(self, other: Vectors) -> FloatArray:
        """Inner products with others, (k, l)."""
        return small.gram(self.front, other.front) + self.rest.T @ other.rest + self.fixed.T @ other.fixed

    def blocks(self, other: Vectors) -> FloatArray:
        """Inner products with several sets of k vectors, one set after the other, (E, k, k)."""
        k = self.fixed.shape[1]
        return self.inner(other).reshape(k, -1, k).transpose(1, 0, 2)

    def combined(self, weights: FloatArray) -> Vectors:
        """Combinations of the vectors, weights (k, r)."""
        return Vectors(np.einsum("akj,kr->arj", self.front, weights), self.rest @ weights, self.fixed @ weights)


@dataclass(frozen=True)
class CliqueSums:
    """The sums of all classes.

    Attributes
    ----------
    shape : Shape
    flat : (E, size) array
    """

    shape: Shape
    flat: FloatArray

    @cached_property
    def parts(self) -> Parts:
        """The parts of all."""
        return self.shape.parts(self.flat)

    @classmethod
    def of(cls, alike: Alike, rows: Rows, blocks: Blocks, basis: Basis) -> CliqueSums:
        """From the rows."""
        shape = Shape.of(blocks, basis.p + 1)
        out = cls(shape, np.zeros((alike.n_classes, shape.size)))
        index = np.int32 if out.flat.size < 2**31 else np.int64
        columns = _columns(rows, blocks, basis, index)
        first, sums = 0, []
        for own in alike.entries:
            sums.append(Sums(shape, out.flat[first : first + own.n_classes], own.row == own.column))
            first += own.n_classes
        longest = max(rows.n, *(len(some) for some in alike.rows if some is not None))  # both rows of a pair, say
        for start in range(0, longest, PIECE):
            part, at = slice(start, start + PIECE), dict[int, Columns]()
            for own, to in zip(alike.entries, sums):
                for k in (own.row, own.column):
                    if k not in at:
                        at[k] = columns.at(part if (some := alike.rows[k]) is None else some[part])
                to.add(at[own.row], at[own.column], None if own.classes is None else own.classes[part].astype(index))
        for to in sums:
            to.close()
        return out

    def at(self, weights: FloatArray) -> FloatArray:
        """Σ weights_e S_e, (..., size), for weights (..., E)."""
        return weights @ self.flat

    def along(self, f: Coefficients) -> tuple[CliqueSums, Coefficients]:
        """The sums of which derivatives in ψ are made, and how: themselves."""
        return self, f

    def times(self, v: Vectors) -> Vectors:
        """S_e v of every class for k vectors v, E k vectors, those of a class together."""
        return self.parts.times(v)


@dataclass(frozen=True)
class RowSums:
    """The same where hardly two entries are the same number: rows and pairs are weighed and summed at each ψ.

    Derivatives in ψ are then made of the sums that the entries' own first and second ones weigh.

    Attributes
    ----------
    shape : Shape
    entries : list of (Columns, Columns, slice)
        Columns of T at the entries' rows and at those of their columns (the same on the diagonal), and which classes
        these are, one an entry.
    """

    shape: Shape
    entries: list[tuple[Columns, Columns, slice]]

    @classmethod
    def of(cls, alike: Alike, rows: Rows, blocks: Blocks, basis: Basis) -> RowSums:
        """From the rows."""
        shape, first, entries = Shape.of(blocks, basis.p + 1), 0, []
        columns = _columns(rows, blocks, basis, np.int32 if shape.size < 2**31 else np.int64)
        at = [columns if some is None else columns.at(some) for some in alike.rows]
        for own in alike.entries:
            entries.append((at[own.row], at[own.column], slice(first, first + own.n_classes)))
            first += own.n_classes
        return cls(shape, entries)

    def at(self, weights: FloatArray) -> FloatArray:
        """Σ weights_e S_e, (..., size), for weights (..., E)."""
        out = np.zeros((*weights.shape[:-1], self.shape.size))
        for where in np.ndindex(weights.shape[:-1]):
            for left, right, classes in self.entries:
                found = np.zeros((1, self.shape.size))
                sums, w = Sums(self.shape, found, left is right), weights[where][classes]
                for start in range(0, len(w), PIECE):
                    part = slice(start, start + PIECE)
                    sums.add(left.at(part).weighed(w[part]), right.at(part), None)
                sums.close()
                out[where] += found[0]
        return out

    def along(self, f: Coefficients) -> tuple[CliqueSums, Coefficients]:
        """Σ ∂_a f_e S_e and Σ ∂_ab f_e S_e, a ≥ b, as classes, and derivatives in ψ of what is before them."""
        r = len(f.first)
        a, b = np.tril_indices(r)
        E = r + len(a)
        second = np.zeros((r, r, E))
        second[a, b, np.arange(r, E)] = second[b, a, np.arange(r, E)] = 1.0
        flat = self.at(np.concatenate([f.first, f.second[a, b]]))
        return CliqueSums(self.shape, flat), replace(f, first=np.eye(r, E), second=second)


@dataclass(frozen=True)
class Columns:
    """The columns of T at some rows.

    Attributes
    ----------
    c : (n, m) array
    level : (n,) int array
        Of the front.
    front : (n, q) array
        Z of the front.
    effects : (n, s) int array
        The columns of the rest on which a row loads.
    loads : (n, s) array
        How.
    """

    c: FloatArray
    level: IntArray
    front: FloatArray
    effects: IntArray
    loads: FloatArray

    def weighed(self, w: FloatArray) -> Columns:
        """Each row times a number."""
        w = w[:, None]
        return replace(self, c=self.c * w, front=self.front * w, loads=self.loads * w)

    def at(self, rows: IntArray | slice) -> Columns:
        """Of some of the rows."""
        all_of = (self.c, self.level, self.front, self.effects, self.loads)
        return Columns(*(own[rows] if isinstance(rows, slice) else own.take(rows, axis=0) for own in all_of))


def _columns(rows: Rows, blocks: Blocks, basis: Basis, index: type[np.integer]) -> Columns:
    """Of all rows."""
    n, front, of_front = rows.n, blocks.front, 0 if blocks.front is None else blocks.blocks[blocks.front].q
    order = [*([] if front is None else [front]), *blocks.rest]
    places = consecutive([blocks.blocks[k].q for k in order])
    codes = {k: codes_of(rows.terms[blocks.blocks[k].terms[0]], blocks.blocks[k]).astype(index) for k in order}
    c, Z = np.empty((n, basis.p + 1)), np.empty((n, places[-1].stop if places else 0))
    effects, start = np.empty((n, Z.shape[1] - of_front), index), 0
    for part in rows.chunks(CHUNK):
        here = slice(start, start + part.n)
        basis.rows(part, c[here])
        for k, place in zip(order, places):
            basis.columns(part, blocks.blocks[k].terms, k, Z[here, place])
        start += part.n
    for k, place in zip(order, places):
        if k != front:
            q, own = blocks.blocks[k].q, slice(place.start - of_front, place.stop - of_front)
            effects[:, own] = blocks.offsets[k] + codes[k][:, None] * q + np.arange(q, dtype=index)
    level = np.zeros(n, index) if front is None else codes[front]
    return Columns(c, level, Z[:, :of_front], effects, Z[:, of_front:])


class Sums:
    """Sums of the products of some entries' rows and columns, by class.

    Parameters
    ----------
    shape : Shape
    flat : (U, size) array
        Zeros; changed in place.
    diagonal : bool
        Whether the rows of the entries are those of their columns.
    """

    def __init__(self, shape: Shape, flat: FloatArray, diagonal: bool) -> None:
        self.shape, self.flat, self.diagonal, self.parts = shape, flat, diagonal, shape.parts(flat)
        U, q, J, R, m = len(flat), shape.q, shape.J, shape.R, shape.m
        self.zz, self.zx, self.rx = np.zeros((U * J * q, q)), np.zeros((U * J * q, m)), np.zeros((U * R, m))

    def add(self, left: Columns, right: Columns, classes: IntArray | None) -> None:
        """Add Σ T_left'T_right of some entries, both rows of each in one level of the front, and their classes."""
        q, J, R, places = self.shape.q, self.shape.J, self.shape.R, self.shape.places
        both = [(left, right)] if self.diagonal else [(left, right), (right, left)]
        own = left.level[:, None] * q + np.arange(q, dtype=left.level.dtype)
        if q:
            where = _by_class(classes, own, J * q)
            add_product(self.zz, where, left.front, right.front)
            for one, other in both:
                add_product(self.zx, where, one.front, other.c)
        for one, other in both if R else ():
            add_product(self.rx, _by_class(classes, one.effects, R), one.loads, other.c)
            for z, row in zip(one.front.T, own.T):
                for v, effect in zip(other.loads.T, other.effects.T):
                    self._put(places[ZR].start + row * R + effect, z, v, classes)
        for k, (v, effect) in enumerate(zip(left.loads.T, left.effects.T)):
            for w, other_effect in list(zip(right.loads.T, right.effects.T))[: k + 1 if self.diagonal else None]:
                self._put(places[RR].start + triangles.places(R, effect, other_effect), v, w, classes)
        self._add_fixed(left.c, right.c, classes)

    def _put(self, place: IntArray, left: FloatArray, right: FloatArray, classes: IntArray | None) -> None:
        """Add products to places of the sums."""
        flat = self.flat.reshape(-1)
        Places.of(_by_class(classes, place, self.shape.size), flat.size).add(flat, left, right)

    def _add_fixed(self, left: FloatArray, right: FloatArray, classes: IntArray | None) -> None:
        """Σ c_left'c_right of columns (n, m)."""
        if classes is None:
            self.parts.xx[0] += left.T @ right
            return
        order = np.argsort(classes.astype(np.min_scalar_type(len(self.flat))), kind="stable")  # few bits: by counting
        ends = np.searchsorted(classes[order], np.arange(len(self.flat) + 1))
        for own, start, stop in zip(self.parts.xx, ends, ends[1:]):
            own += left.take(order[start:stop], axis=0).T @ right.take(order[start:stop], axis=0)

    def close(self) -> None:
        """Put the sums by level where they belong, and what stands above the diagonal below it."""
        parts, U, (q, J, R, m) = self.parts, len(self.flat), astuple(self.shape)
        parts.zz[...] = self.zz.reshape(U, J, q, q).transpose(0, 2, 3, 1)
        parts.zx[...] = self.zx.reshape(U, J, q, m).transpose(0, 2, 3, 1)
        parts.rx[...] = self.rx.reshape(U, R, m)
        if not self.diagonal:
            parts.rr[:, triangles.diagonal(R)] *= 2.0
            for both in (parts.zz, parts.xx):
                both += both.swapaxes(1, 2).copy()


def _by_class(classes: IntArray | None, place: IntArray, size: int) -> IntArray:
    """Places from 0 to size − 1, (n,) or (n, k), those of each class after those of the one before."""
    return place if classes is None else classes.reshape(-1, *[1] * (place.ndim - 1)) * size + place
