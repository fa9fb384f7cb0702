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
from itertools import pairwise, product

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
    """The parts of T'AT.

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
        """T'AT v."""
        J, q, R = self.zr.shape
        rows, zr = v.front_rows, self.zr.reshape(J * q, R)
        front = small.multiply(self.zz, v.front) + np.einsum("amj,mk->akj", self.zx, v.fixed)
        return Vectors(
            front + (zr @ v.rest).reshape(J, q, v.rest.shape[1]).transpose(1, 2, 0),
            zr.T @ rows + self.rr @ v.rest + self.rx @ v.fixed,
            np.einsum("amj,akj->mk", self.zx, v.front) + self.rx.T @ v.rest + self.xx @ v.fixed,
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

    @classmethod
    def joined(cls, several: list[Vectors]) -> Vectors:
        """All vectors of several."""
        return cls(
            np.concatenate([one.front for one in several], axis=1),
            np.concatenate([one.rest for one in several], axis=1),
            np.concatenate([one.fixed for one in several], axis=1),
        )


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
        left, right, counts = _pairs(cliques)
        entry = np.repeat(np.arange(len(counts)), counts)
        shape = Shape.of(blocks, len(c))
        q, J, R, m = shape.q, shape.J, shape.R, shape.m
        out = cls(shape, np.zeros((len(counts), shape.size)))
        parts = shape.parts(out.flat)
        rest = [
            (blocks.offsets[k] + codes[k] * blocks.blocks[k].q + a, Z[k][a])
            for k in blocks.rest
            for a in range(blocks.blocks[k].q)
        ]
        of_rest = [(place[right], values[right]) for place, values in rest]
        if blocks.front is not None:
            level, z = codes[blocks.front][left], Z[blocks.front]
            zl, zr, cr = z[:, left], z[:, right], c[:, right]
            _put(parts.zz, entry, [((a * q + b) * J + level, zl[a] * zr[b]) for a, b in product(range(q), repeat=2)])
            _put(
                parts.zx,
                entry,
                [((a * m + b) * J + level, zl[a] * cr[b]) for a, b in product(range(q), range(m))],
            )
            _put(parts.zr, entry, [((level * q + a) * R + at, zl[a] * v) for a in range(q) for at, v in of_rest])
        cl = c[:, left]
        for place, values in rest:
            here, v = place[left], values[left]
            _put(parts.rr, entry, [(here * R + at, v * w) for at, w in of_rest])
            for b in range(m):
                _put(parts.rx, entry, [(here * m + b, v * c[b][right])])
        ends = np.concatenate([[0], np.cumsum(counts)])
        for e, (start, stop) in enumerate(pairwise(ends)):
            parts.xx[e] = cl[:, start:stop] @ c[:, right[start:stop]].T
        return out

    def at(self, weights: FloatArray) -> FloatArray:
        """Σ weights_e S_e, (..., size), for weights (..., E)."""
        return weights @ self.flat


def _pairs(cliques: tuple[Cliques, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows a and b of every clique that an entry's sum is made of, entry after entry; and how many an entry has."""
    left, right, counts = [], [], []
    for own in cliques:
        ends = np.concatenate([[0], np.cumsum(own.batch.counts)])
        for start, stop in pairwise(ends):
            at = own.batch.rows[start:stop]
            for a, b in zip(*np.tril_indices(own.batch.n)):
                both = a != b
                left += [at[:, a], at[:, b]] if both else [at[:, a]]
                right += [at[:, b], at[:, a]] if both else [at[:, a]]
                counts.append(len(at) * (1 + both))
    return np.concatenate(left), np.concatenate(right), np.array(counts)


def _put(into: FloatArray, entry: np.ndarray, pieces: list[tuple[np.ndarray, FloatArray]]) -> None:
    """Add values to places of each entry's part `into` (E, …), several pieces of one length."""
    if not pieces:
        return
    size = into[0].size
    index = np.concatenate([place for place, _ in pieces]) + np.tile(entry * size, len(pieces))
    sums = np.bincount(index, np.concatenate([values for _, values in pieces]), len(into) * size)
    into += sums.reshape(into.shape)
