"""Products of the columns of [Z X y] summed once for each class of entries of R⁻¹: what these weigh.

With T = [Z c], c = [X̃ ỹ], rows times √w, and a class e of entries that are one number f_e at every ψ (`cliques`)

    S_e = Σ_i T_i'T_i over rows i of a class        S_e = Σ_ij (T_i'T_j + T_j'T_i) over pairs        T'R⁻¹T = Σ f_e S_e

so that a likelihood at other parameters is a linear combination and no pass over the rows. Each series lies within one
level of the front, hence its part of S is block-diagonal; the rest's is dense. All of one S is one row of an array:

    [ Z_f'Z_f (q, q, J) | Z_f'c (q, m, J) | Z_f'Z_r (J, q, R) | Z_r'Z_r (R, R) | Z_r'c (R, m) | c'c (m, m) ]
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from henderson.contract.rows import Rows
from henderson.covariance.layout import consecutive
from henderson.engine.residual.cliques import Alike
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.by_level import LevelSums
from henderson.engine.sums.crossproducts import codes_of, working_columns
from henderson.numerics import small
from henderson.numerics.scatter import Places

FloatArray = np.ndarray
IntArray = np.ndarray

#: which of the parts of one S are Z_f'Z_r and Z_r'Z_r
ZR, RR = 2, 3


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
        return (q, q, J), (q, m, J), (J, q, R), (R, R), (R, m), (m, m)

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
    rr : (R, R) array
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
        rest = zr.transpose(0, 2, 1) @ v.front_rows + self.rr @ v.rest + self.rx @ v.fixed
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
        c, Z = working_columns(rows, blocks, basis)
        shape = Shape.of(blocks, len(c))
        out = cls(shape, np.zeros((alike.n_classes, shape.size)))
        index = np.int32 if out.flat.size < 2**31 else np.int64
        codes = [codes_of(rows.terms[block.terms[0]], block).astype(index) for block in blocks.blocks]
        columns = Columns(
            c,
            np.zeros(rows.n, index) if blocks.front is None else codes[blocks.front],
            np.empty((0, rows.n)) if blocks.front is None else Z[blocks.front],
            [Effects(blocks.offsets[k], blocks.blocks[k].n_levels, codes[k], Z[k]) for k in blocks.rest],
        )
        used = {k for own in alike.entries for k in (own.row, own.column)}
        at = {k: columns if (some := alike.rows[k]) is None else columns.at(some) for k in used}
        first = 0
        for own in alike.entries:
            last = first + own.n_classes
            classes = None if own.classes is None else own.classes.astype(index)
            Sums(shape, out.flat[first:last], classes).add(at[own.row], at[own.column])
            first = last
        return out

    def at(self, weights: FloatArray) -> FloatArray:
        """Σ weights_e S_e, (..., size), for weights (..., E)."""
        return weights @ self.flat

    def times(self, v: Vectors) -> Vectors:
        """S_e v of every class for k vectors v, E k vectors, those of a class together."""
        return self.parts.times(v)


@dataclass(frozen=True)
class Effects:
    """A block of the rest at some rows.

    Attributes
    ----------
    first, n_levels : int
        The first of its columns, and how many levels have as many as there are loadings.
    codes : (n,) int array
    Z : (q, n) array
        Z'.
    """

    first: int
    n_levels: int
    codes: IntArray
    Z: FloatArray

    @property
    def place(self) -> slice:
        """Its columns of the rest."""
        return slice(self.first, self.first + self.n_levels * len(self.Z))

    @property
    def each(self) -> list[tuple[IntArray, FloatArray]]:
        """The columns on which the rows load, (n,), and how, (n,)."""
        return [(self.first + self.codes * len(self.Z) + a, z) for a, z in enumerate(self.Z)]


@dataclass(frozen=True)
class Columns:
    """The columns of T at some rows.

    Attributes
    ----------
    c : (m, n) array
    level : (n,) int array
        Of the front.
    front : (q, n) array
        Z' of the front.
    rest : list of Effects
    """

    c: FloatArray
    level: IntArray
    front: FloatArray
    rest: list[Effects]

    def at(self, rows: IntArray) -> Columns:
        """Of other rows."""
        return Columns(
            self.c.take(rows, axis=1),
            self.level[rows],
            self.front.take(rows, axis=1),
            [replace(own, codes=own.codes[rows], Z=own.Z.take(rows, axis=1)) for own in self.rest],
        )

    @cached_property
    def effects(self) -> list[tuple[IntArray, FloatArray]]:
        """The columns of the rest on which the rows load, and how."""
        return [each for own in self.rest for each in own.each]


@dataclass(frozen=True)
class Sums:
    """Sums of the products of some entries' rows and columns, by class.

    Attributes
    ----------
    shape : Shape
    flat : (U, size) array
        Zeros; changed in place.
    classes : (B,) int array, or None
        The class of each entry; None where there is one.
    """

    shape: Shape
    flat: FloatArray
    classes: IntArray | None

    def add(self, left: Columns, right: Columns) -> None:
        """Add Σ T_left'T_right, and its transpose where the rows differ; both are in one level of the front."""
        parts, (q, J, R, m) = self.shape.parts(self.flat), astuple(self.shape)
        both = [(left, right)] if left is right else [(left, right), (right, left)]
        if q:
            parts.zx[...] = self._by_level(J, [(left.level, one.front, other.c) for one, other in both])
            parts.zz[...] = self._by_level(J, [(left.level, left.front, right.front)])
        for one, other in both:
            for a, z in enumerate(one.front):
                for effect, v in other.effects:
                    self._put(ZR, (one.level * q + a) * R + effect, z, v)
        for k, block in enumerate(left.rest):
            of_rest = self._by_level(
                block.n_levels, [(one.rest[k].codes, one.rest[k].Z, other.c) for one, other in both]
            )
            parts.rx[:, block.place] = of_rest.transpose(0, 3, 1, 2).reshape(len(self.flat), -1, m)
        for effect, v in left.effects:
            for other_effect, other_v in right.effects:
                self._put(RR, effect * R + other_effect, v, other_v)
        self._put_fixed(parts.xx, left.c, right.c)
        if left is not right:
            for of_both in (parts.zz, parts.rr, parts.xx):
                of_both += of_both.swapaxes(1, 2).copy()

    def _by_class(self, place: IntArray, size: int) -> IntArray:
        """Places from 0 to size − 1, those of each class after those of the one before."""
        return place if self.classes is None else self.classes * size + place

    def _by_level(self, n_levels: int, pairs: list[tuple[IntArray, FloatArray, FloatArray]]) -> FloatArray:
        """Σ z c' of levels, Z' and columns, (U, q, m, J)."""
        (_, Z, c), U = pairs[0], len(self.flat)
        found = LevelSums(len(Z), len(c), U * n_levels)
        for level, Z, c in pairs:
            found.add(self._by_class(level, n_levels), Z, c)
        return found.sums.reshape(len(Z), len(c), U, n_levels).transpose(2, 0, 1, 3)

    def _put(self, part: int, place: IntArray, left: FloatArray, right: FloatArray) -> None:
        """Add products to places of a part of the sums."""
        size = self.shape.size
        at = self._by_class(self.shape.places[part].start + place, size)
        Places.of(at, len(self.flat) * size).add(self.flat.reshape(-1), left, right)

    def _put_fixed(self, xx: FloatArray, left: FloatArray, right: FloatArray) -> None:
        """Σ c_left c_right' of columns (m, B)."""
        if self.classes is None:
            xx[0] = left @ right.T
            return
        order = np.argsort(self.classes, kind="stable")
        ends = np.searchsorted(self.classes[order], np.arange(len(xx) + 1))
        same, left = left is right, left.take(order, axis=1)
        right = left if same else right.take(order, axis=1)
        for own, (start, stop) in zip(xx, pairwise(ends)):
            own[...] = left[:, start:stop] @ right[:, start:stop].T
