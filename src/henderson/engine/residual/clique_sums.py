"""Products of the columns of [Z X y] summed once for each entry of a clique's precision: what R⁻¹ weighs.

With T = [Z c], c = [X̃ ỹ], rows times √w, and κ running over the cliques of class u,

    S_u,ab = Σ_κ T_κa'T_κb (+ T_κb'T_κa for a ≠ b)        T'R⁻¹T = Σ s_u (C_u⁻¹)_ab S_u,ab

so that a likelihood at other parameters is a linear combination and no pass over the rows. Each series lies within one
level of the front, hence its part of S is block-diagonal; the rest's is dense. All of one S is one row of an array:

    [ Z_f'Z_f (q, q, J) | Z_f'c (q, m, J) | Z_f'Z_r (J, q, R) | Z_r'Z_r (R, R) | Z_r'c (R, m) | c'c (m, m) ]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from henderson.contract.rows import Rows
from henderson.covariance.layout import consecutive
from henderson.engine.residual.cliques import Cliques
from henderson.engine.sums.basis import Basis
from henderson.engine.sums.blocks import Blocks
from henderson.engine.sums.crossproducts import codes_of, working_columns
from henderson.numerics import small

FloatArray = np.ndarray


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
        """Inner products, (k, k)."""
        return small.gram(self.front, other.front) + self.rest.T @ other.rest + self.fixed.T @ other.fixed

    def combined(self, weights: FloatArray) -> Vectors:
        """Combinations of the vectors, weights (k, r)."""
        return Vectors(np.einsum("akj,kr->arj", self.front, weights), self.rest @ weights, self.fixed @ weights)


@dataclass(frozen=True)
class CliqueSums:
    """The sums of all entries.

    Attributes
    ----------
    shape : Shape
    flat : (E, size) array
    """

    shape: Shape
    flat: FloatArray

    @classmethod
    def of(cls, cliques: tuple[Cliques, ...], rows: Rows, blocks: Blocks, basis: Basis) -> CliqueSums:
        """From the rows."""
        c, Z = working_columns(rows, blocks, basis)
        codes = [codes_of(rows.terms[block.terms[0]], block) for block in blocks.blocks]
        shape = Shape.of(blocks, len(c))
        out = cls(shape, np.zeros((sum(own.n_entries for own in cliques), shape.size)))
        columns = Columns(
            np.zeros(0, np.intp) if blocks.front is None else codes[blocks.front],
            [] if blocks.front is None else list(Z[blocks.front]),
            [
                (blocks.offsets[k] + codes[k] * blocks.blocks[k].q + a, Z[k][a])
                for k in blocks.rest
                for a in range(blocks.blocks[k].q)
            ],
            list(c),
        )
        first = 0
        for own in cliques:
            n, unit = own.n_distinct, own.batch.unit_of
            at = [columns.at(rows) for rows in own.batch.rows.T]
            for e, a, b in own.entries:
                some = Classes(unit, shape.parts(out.flat[first + e : first + own.n_entries : n]))
                some.add(at[a], at[b])
            first += own.n_entries
        return out

    def at(self, weights: FloatArray) -> FloatArray:
        """Σ weights_e S_e, (..., size), for weights (..., E)."""
        return weights @ self.flat

    def times(self, v: Vectors) -> Vectors:
        """S_e v of every entry for k vectors v, E k vectors, those of an entry together."""
        return self.shape.parts(self.flat).times(v)


@dataclass(frozen=True)
class Columns:
    """The columns of T at some rows.

    Attributes
    ----------
    level : (n,) int array
        Of the front, if there is one.
    front : list of q (n,) arrays
    rest : list of pairs of (n,) arrays
        Column of the rest on which a row loads, and how.
    c : list of m (n,) arrays
    """

    level: np.ndarray
    front: list[FloatArray]
    rest: list[tuple[np.ndarray, FloatArray]]
    c: list[FloatArray]

    def at(self, rows: np.ndarray) -> Columns:
        """Of other rows."""
        return Columns(
            self.level[rows] if len(self.level) else self.level,
            [z[rows] for z in self.front],
            [(place[rows], v[rows]) for place, v in self.rest],
            [one[rows] for one in self.c],
        )


@dataclass(frozen=True)
class Classes:
    """One entry of the sums of each class.

    Attributes
    ----------
    unit : (B,) int array
        Class of each clique, in order.
    parts : Parts
        Theirs, (U, ...).
    """

    unit: np.ndarray
    parts: Parts

    def add(self, left: Columns, right: Columns) -> None:
        """Add Σ T_left'T_right, and its transpose where the rows differ; both are in one level."""
        parts, (_, _, q, R) = self.parts, self.parts.zr.shape
        both = [(left, right)] if left is right else [(left, right), (right, left)]
        for one, other in both:
            for a, z in enumerate(one.front):
                for b, c in enumerate(other.c):
                    self._put(parts.zx[:, a, b], one.level, z * c)
                for place, v in other.rest:
                    self._put(parts.zr, (one.level * q + a) * R + place, z * v)
            for place, v in one.rest:
                for b, c in enumerate(other.c):
                    self._put(parts.rx[:, :, b], place, v * c)
        for a, z in enumerate(left.front):
            for b, other_z in enumerate(right.front):
                self._put(parts.zz[:, a, b], left.level, z * other_z)
        for place, v in left.rest:
            for other_place, other_v in right.rest:
                self._put(parts.rr, place * R + other_place, v * other_v)
        self._put_fixed(np.array(left.c), np.array(right.c))
        if left is not right:
            for of_both in (parts.zz, parts.rr, parts.xx):
                of_both += of_both.swapaxes(1, 2).copy()

    def _put_fixed(self, left: FloatArray, right: FloatArray) -> None:
        """Add Σ c_left c_right' of columns (m, B) to each class's."""
        ends = np.searchsorted(self.unit, np.arange(len(self.parts.xx) + 1))
        for u, (start, stop) in enumerate(pairwise(ends)):
            self.parts.xx[u] += left[:, start:stop] @ right[:, start:stop].T

    def _put(self, into: FloatArray, place: np.ndarray, values: FloatArray) -> None:
        """Add values to places of each class's array `into` (U, ...)."""
        size = into[0].size
        place = place if len(into) == 1 else self.unit * size + place
        into += np.bincount(place, values, into.size).reshape(into.shape)
