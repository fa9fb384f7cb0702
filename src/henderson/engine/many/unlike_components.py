"""Small components of which hardly two are alike, for many responses: steps 1 to 4 and 7 of `pieces`, by scores.

There is nothing to add up by pattern, and W = zz' of one component has R² numbers where the scores z = Z_c'Wy have R.
With t = Kz, the component's part of Z'V⁻¹y, and T = KZ_c'WX

    z'Mz = z'Gt      F_i: T'E_iT, T'E_it, t'E_it      r²_ij: t_e'E_iNE_jt_e, t_e = K(z − Z_c'WXβ)

The sums over components with what no response changes are products of matrices; E_i, which is constant, comes after the
sums. Arrays (…, C, B): the batch last, so that operations run over contiguous memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from henderson.engine.many.components import Shape
from henderson.engine.many.small_components import DIRECT, adjugate
from henderson.engine.many.sums import Sums

FloatArray = np.ndarray

#: components × roots that are worked on together: their arrays fit the cache
TOGETHER = 8192
#: components of a pattern, on average, from which sums by pattern are the less work
ALIKE = 4


@dataclass(frozen=True)
class Places:
    """Symmetric matrices by their entries on and above the diagonal, U = R(R + 1)/2 of them, and E_i among them.

    Attributes
    ----------
    upper : list of (int, int)
        Row and column of each.
    members : (k, R, R) array
        E_i.
    once : (k, U) array
        tr E_iN of a matrix by its entries.
    twice : (k k, U U) array
        tr E_iNE_jR of two, by the products of their entries.
    """

    upper: list[tuple[int, int]]
    members: FloatArray
    once: FloatArray
    twice: FloatArray

    @classmethod
    def of(cls, members: FloatArray) -> Places:
        """Of the E_i."""
        k, size, _ = members.shape
        upper = [(r, s) for r in range(size) for s in range(r, size)]
        where = np.zeros((size, size), int)
        for place, (r, s) in enumerate(upper):
            where[r, s] = where[s, r] = place
        once, twice = np.zeros((k, len(upper))), np.zeros((k, k, len(upper), len(upper)))
        for r, s in np.ndindex(size, size):
            once[:, where[r, s]] += members[:, r, s]
            for u, v in np.ndindex(size, size):
                twice[:, :, where[s, u], where[v, r]] += members[:, r, s][:, None] * members[:, u, v]
        return cls(upper, members, once, twice.reshape(k * k, -1))


@dataclass(frozen=True)
class ScoreProducts:
    """Z_c'W[X y] of a shape's C components and B responses.

    Attributes
    ----------
    gram : (R, R, C) array
        Z_c'WZ_c.
    zx : (p, R, C) array
    xx : (p, p, R, R, C) array
        zx of each pair of columns and effects, multiplied.
    zy : (R, C, B) array
    places : Places
    """

    gram: FloatArray
    zx: FloatArray
    xx: FloatArray
    zy: FloatArray
    places: Places

    def __getitem__(self, index: np.ndarray) -> ScoreProducts:
        return replace(self, zy=self.zy[..., index])

    @classmethod
    def of(cls, shape: Shape, zy: FloatArray) -> ScoreProducts:
        """From zy (R, C, B)."""
        xx = np.einsum("xrc,ysc->xyrsc", shape.zx, shape.zx)
        return cls(shape.gram[..., shape.pattern], shape.zx, xx, zy, Places.of(shape.members))

    @classmethod
    def suit(cls, shape: Shape, batch: int) -> bool:
        """Whether a shape's components are few effects, and unlike, and the responses many."""
        return batch > 1 and shape.size <= DIRECT and len(shape.pattern) < ALIKE * len(shape.count)


@dataclass(frozen=True)
class AtUnlike:
    """The components of one shape at B roots.

    Attributes
    ----------
    shape : Shape
    products : ScoreProducts
    root : (Q, Q, B) array
    """

    shape: Shape
    products: ScoreProducts
    root: FloatArray

    @cached_property
    def slices(self) -> list[AtSome]:
        """The components, some at a time."""
        own, root = self.products, self.shape.gathered(self.root)
        cov = np.einsum("rub,sub->rsb", root, root)
        n, step = own.zy.shape[1], max(1, TOGETHER // root.shape[2])
        return [
            AtSome(
                own.places,
                cov,
                own.gram[..., here],
                np.ascontiguousarray(own.zx[..., here]),
                np.ascontiguousarray(own.xx[..., here]),
                own.zy[:, here],
            )
            for here in (slice(start, start + step) for start in range(0, n, step))
        ]

    def sums(self) -> Sums:
        """Steps 3 and 4."""
        return Sums.total([one.sums() for one in self.slices])

    def second(self, beta: FloatArray, s_inverse: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Step 7: this shape's part of r²_ij, and of log|V|_ij (and log|S|_ij, where S⁻¹ is given)."""
        parts = [one.second(beta, s_inverse) for one in self.slices]
        return sum(r2 for r2, _ in parts), sum(logdet for _, logdet in parts)  # type: ignore[return-value]  # of arrays

    def x_form(self, v: FloatArray) -> FloatArray:
        """This shape's part of v'F2_ijv for v (p, B), X alone: (k, k, B)."""
        return np.sum([one.x_form(v) for one in self.slices], axis=0)


@dataclass(frozen=True)
class AtSome:
    """Some components of a shape at B roots.

    Attributes
    ----------
    places : Places
    cov : (R, R, B) array
        G.
    gram, zx, xx, zy
        See `ScoreProducts`.
    """

    places: Places
    cov: FloatArray
    gram: FloatArray
    zx: FloatArray
    xx: FloatArray
    zy: FloatArray

    @cached_property
    def size(self) -> int:
        """R."""
        return len(self.gram)

    @cached_property
    def solved(self) -> tuple[FloatArray, FloatArray]:
        """log|C| (C, B) and K = (I + AG)⁻¹ (R, R, C, B): the adjugate over the determinant."""
        size, batch = self.size, self.cov.shape[-1]
        b = np.empty((size, size, self.gram.shape[-1], batch))
        for r in range(size):
            for s in range(size):
                np.matmul(self.gram[r].T, self.cov[:, s], out=b[r, s])
            b[r, r] += 1.0
        # a member that strays to where C is not positive is not finite, and steps back
        with np.errstate(invalid="ignore", divide="ignore"):
            k, det = adjugate(b)
            k *= 1 / det
            return np.log(det), k

    @cached_property
    def n(self) -> FloatArray:
        """N = KA, its R(R + 1)/2 entries on and above the diagonal, (…, C, B)."""
        k, A = self.solved[1], self.gram[..., None]
        out = np.empty((len(self.upper), *k.shape[2:]))
        for place, (r, s) in zip(out, self.upper):
            np.multiply(k[r, 0], A[0, s], out=place)
            for u in range(1, self.size):
                place += k[r, u] * A[u, s]
        return out

    @property
    def upper(self) -> list[tuple[int, int]]:
        """Places on and above the diagonal."""
        return self.places.upper

    @cached_property
    def t(self) -> FloatArray:
        """Kz of the response, (R, C, B)."""
        return self._turned(self.zy)

    def _turned(self, z: FloatArray) -> FloatArray:
        """Kz, (R, C, B)."""
        k, out = self.solved[1], np.empty(z.shape)
        for r in range(self.size):
            np.multiply(k[r, 0], z[0], out=out[r])
            for s in range(1, self.size):
                out[r] += k[r, s] * z[s]
        return out

    def sums(self) -> Sums:
        """Steps 3 and 4."""
        (log_det, k), p, batch = self.solved, len(self.zx), self.cov.shape[-1]
        size, E, t, z = self.size, self.places.members, self.t, self.zy
        flat_x, flat_xx = _flat(self.zx, 1), _flat(self.xx, 2)
        m = np.empty_like(k)  # M = GK
        for r, s in self.upper:
            np.multiply(self.cov[r, 0], k[0, s], out=m[r, s])
            for u in range(1, size):
                m[r, s] += self.cov[r, u] * k[u, s]
            m[s, r] = m[r, s]
        f_xx = (flat_xx @ m.reshape(-1, batch)).reshape(p, p, batch)
        gt = np.empty_like(t)  # Mz
        for r in range(size):
            np.multiply(self.cov[r, 0], t[0], out=gt[r])
            for s in range(1, size):
                gt[r] += self.cov[r, s] * t[s]
        f_xy, f_yy = flat_x @ gt.reshape(-1, batch), _inner(z.reshape(-1, batch), gt.reshape(-1, batch))
        d_xx, d_xy, d_yy = (np.zeros((len(E), *shape, batch)) for shape in ((p, p), (p,), ()))
        used, product = np.abs(E).sum(axis=0) > 0, np.empty_like(k)
        for r, s in self.upper:
            if not used[r, s]:
                continue
            for u in range(size):
                np.multiply(k[r, u], k[s], out=product[u])
            xx = (flat_xx @ product.reshape(-1, batch)).reshape(p, p, batch)
            xy = flat_x @ (k[r] * t[s]).reshape(-1, batch)
            yy = _inner(t[r], t[s])
            if r != s:
                xx, yy = xx + xx.transpose(1, 0, 2), 2 * yy
                xy += flat_x @ (k[s] * t[r]).reshape(-1, batch)
            for i in np.flatnonzero(E[:, r, s]):
                weight = E[i, r, s]
                d_xx[i] += weight * xx
                d_xy[i] += weight * xy
                d_yy[i] += weight * yy
        return Sums(log_det.sum(0), self.places.once @ self.n.sum(axis=1), f_xx, f_xy, f_yy, d_xx, d_xy, d_yy)

    def second(self, beta: FloatArray, s_inverse: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """See `AtUnlike.second`."""
        flat = _flat(self.zx, 1).T
        t = self._turned(self.zy - (flat @ beta).reshape(self.zy.shape))
        of_e = self._traces(np.stack([t[r] * t[s] for r, s in self.upper]))
        right = -self.n
        if s_inverse is not None:
            right += 2 * self._conjugate(s_inverse)
        return 2 * of_e, self._traces(right)

    def x_form(self, v: FloatArray) -> FloatArray:
        """See `AtUnlike.x_form`."""
        flat = _flat(self.zx, 1).T
        t = self._turned((flat @ v).reshape(self.zy.shape[0], -1, v.shape[1]))
        return self._traces(np.stack([t[r] * t[s] for r, s in self.upper]))

    def _conjugate(self, weights: FloatArray) -> FloatArray:
        """K (Σ weights_xx' z_x z_x'') K' for (p, p, B), on and above the diagonal, (…, C, B)."""
        k, size = self.solved[1], self.size
        w = (_flat(self.xx, 2).T @ _flat(weights, 2)).reshape(k.shape)
        out, row = np.empty((len(self.upper), *k.shape[2:])), np.empty_like(k[0])
        for place, (r, s) in enumerate(self.upper):
            if s == r:  # the row of Kw
                for v in range(size):
                    np.multiply(k[r, 0], w[0, v], out=row[v])
                    for u in range(1, size):
                        row[v] += k[r, u] * w[u, v]
            np.multiply(row[0], k[s, 0], out=out[place])
            for v in range(1, size):
                out[place] += row[v] * k[s, v]
        return out

    def _traces(self, right: FloatArray) -> FloatArray:
        """Σ_c tr E_iNE_jR for symmetric R, on and above the diagonal (…, C, B): (k, k, B)."""
        sums = np.array([_inner(one, other) for one in self.n for other in right])
        k = len(self.places.members)
        return (self.places.twice @ sums).reshape(k, k, -1)


def _flat(array: FloatArray, leading: int) -> FloatArray:
    """The first axes as one, and the others, (a, b); a may be zero where there are no fixed effects."""
    return array.reshape(math.prod(array.shape[:leading]), math.prod(array.shape[leading:]))


def _inner(one: FloatArray, other: FloatArray) -> FloatArray:
    """Inner products of the columns of (m, B) and (m, B), (B,)."""
    return np.einsum("mb,mb->b", one, other)
