"""Small components, added up by pattern: steps 1 to 4 and 7 of `pieces`.

Every sum over the components of a pattern is linear in a small symmetric matrix (M, K'E_iK, …) against W, which is
summed once. The W of the columns of X does not depend on the response: those sums are matrix products. Arrays
(R, R, a, B): the batch last, so that operations on small matrices run over contiguous memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from henderson.engine.many.components import Shape
from henderson.engine.many.sums import Sums
from henderson.numerics import small

FloatArray = np.ndarray

#: components × roots that are worked on together: their small matrices fit the cache
TOGETHER = 4096
#: effects of a component up to which its matrices are inverted by their cofactors
DIRECT = 3


@dataclass(frozen=True)
class PatternProducts:
    """Sums of products over the components of a pattern, of B responses or of one for the whole batch.

    Attributes
    ----------
    xy : (p, R, R, a, B) array
        Of Z_c'WX and Z_c'Wy, symmetric in the effects.
    yy : (R, R, a, B) array
        Of Z_c'Wy with itself.
    """

    xy: FloatArray
    yy: FloatArray

    def __getitem__(self, index: np.ndarray) -> PatternProducts:
        return PatternProducts(self.xy[..., index], self.yy[..., index])

    @classmethod
    def of(cls, shape: Shape, zy: FloatArray) -> PatternProducts:
        """From zy (R, C, B)."""
        return cls(shape.effects_by_pattern(shape.zx, zy), shape.sum_patterns(np.einsum("rcb,scb->rscb", zy, zy)))


@dataclass(frozen=True)
class AtPatterns:
    """The components of one shape at B roots.

    Attributes
    ----------
    shape : Shape
    products : PatternProducts
    root : (Q, Q, B) array
    times : (a, B) array, or None
        How often each component counts (then every component is its own pattern); None: once.
    """

    shape: Shape
    products: PatternProducts
    root: FloatArray
    times: FloatArray | None

    @cached_property
    def count(self) -> FloatArray:
        """Components of each pattern, (a, B or 1)."""
        return self.shape.count[:, None] if self.times is None else self.times

    @cached_property
    def weight(self) -> FloatArray:
        """What W, being a sum already, is multiplied by."""
        return np.ones((1, 1)) if self.times is None else self.times

    @cached_property
    def slices(self) -> list[AtPatterns]:
        """The same, some patterns at a time."""
        n, step = len(self.shape.count), max(1, TOGETHER // self.root.shape[2])
        if n <= step:
            return [self]
        out = []
        for start in range(0, n, step):
            here = slice(start, start + step)
            shape, own = self.shape, self.products
            some = replace(shape, gram=shape.gram[..., here], count=shape.count[here], xx=shape.xx[..., here])
            products = PatternProducts(own.xy[..., here, :], own.yy[..., here, :])
            out.append(AtPatterns(some, products, self.root, None if self.times is None else self.times[here]))
        return out

    @cached_property
    def solved(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Steps 1 and 2: log|C| (a, B); M, K (R, R, a, B)."""
        lam = self.shape.gathered(self.root)[:, :, None]
        gram, diagonal = self.shape.gram[..., None], np.arange(self.shape.size)
        if self.shape.size <= DIRECT:
            return _solved_directly(gram, np.einsum("ru...,su...->rs...", lam, lam))
        c = _dot(lam.transpose(1, 0, 2, 3), _dot(gram, lam))
        c[diagonal, diagonal] += 1.0
        unit = np.zeros_like(c)
        unit[diagonal, diagonal] = 1.0
        # a member that strays to where C is not positive is not finite, and steps back
        with np.errstate(invalid="ignore", divide="ignore"):
            low = small.cholesky(c)
            h = _dot(small.solve_lower(low, unit), lam.transpose(1, 0, 2, 3))
        m = _dot(h.transpose(1, 0, 2, 3), h)
        k = -_dot(gram, m)
        k[diagonal, diagonal] += 1.0
        with np.errstate(invalid="ignore", divide="ignore"):
            log_det = 2 * np.log(low[diagonal, diagonal]).sum(0)
        return log_det, m, k

    @cached_property
    def n(self) -> FloatArray:
        """N, (R, R, a, B)."""
        n = _dot(self.solved[2], self.shape.gram[..., None])
        return (n + n.transpose(1, 0, 2, 3)) / 2

    def sums(self) -> Sums:
        """Steps 3 and 4."""
        return Sums.total([one._sums() for one in self.slices])

    def _sums(self) -> Sums:
        logdet, m, k = self.solved
        every = [m, *_between(self.shape.members, k)]
        if self.products.xy.shape[-1] == 1:  # one product of matrices for all of them
            batch = m.shape[-1]
            xx, xy, yy = self._against(np.concatenate([part * self.weight for part in every], axis=-1))
            places = [slice(i * batch, (i + 1) * batch) for i in range(len(every))]
            each = [(xx[..., here], xy[..., here], yy[..., here]) for here in places]
        else:
            each = [self._against(part * self.weight) for part in every]
        f_xx, f_xy, f_yy = each[0]
        d_xx, d_xy, d_yy = (np.array(part) for part in zip(*each[1:]))
        t1 = np.einsum("irs,rsb->ib", self.shape.members, self._counted(k))
        return Sums((logdet * self.count).sum(0), t1, f_xx, f_xy, f_yy, d_xx, d_xy, d_yy)

    def _counted(self, k: FloatArray) -> FloatArray:
        """Σ_a N as often as it counts, (R, R, B)."""
        if self.times is not None:
            return (self.n * self.count).sum(2)
        # N = KA and A does not know the root: products of matrices
        gram = self.shape.gram * self.shape.count
        r, _, a, batch = k.shape
        flat = gram.transpose(1, 0, 2).reshape(r, r * a)
        return np.stack([flat @ row.reshape(r * a, batch) for row in k])

    def second(self, beta: FloatArray, s_inverse: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Step 7: this shape's part of r²_ij, and of log|V|_ij (and log|S|_ij, where S⁻¹ is given)."""
        parts = [one._second(beta, s_inverse) for one in self.slices]
        return sum(r2 for r2, _ in parts), sum(logdet for _, logdet in parts)  # type: ignore[return-value]  # of arrays

    def _second(self, beta: FloatArray, s_inverse: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        k, n = self.solved[2], self.n
        right = -n * self.count
        if s_inverse is not None:
            right = right + 2 * self._conjugate(k, self._weighted(s_inverse))
        dd_r2 = 2 * self._traces(n, self._conjugate(k, self._residual(beta)))
        return dd_r2, self._traces(n, right)

    def x_form(self, v: FloatArray) -> FloatArray:
        """This shape's part of v'F2_ijv for v (p, B), X alone: (k, k, B)."""
        square = np.einsum("xb,yb->xyb", v, v)
        parts = [one._traces(one.n, one._conjugate(one.solved[2], one._weighted(square))) for one in self.slices]
        return np.sum(parts, axis=0)

    def _against(self, m: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """ΣMW for [X y], X and y apart."""
        p, xy, yy = len(self.shape.zx), self.products.xy, self.products.yy
        flat = m.reshape(-1, m.shape[-1])
        of_x = (self.shape.xx.reshape(p * p, len(flat)) @ flat).reshape(p, p, flat.shape[1])
        if xy.shape[-1] == 1:
            return of_x, xy.reshape(p, len(flat)) @ flat, yy.ravel() @ flat
        of_xy = np.einsum("xmb,mb->xb", xy.reshape(p, *flat.shape), flat)
        return of_x, of_xy, np.einsum("mb,mb->b", yy.reshape(flat.shape), flat)

    def _residual(self, beta: FloatArray) -> FloatArray:
        """W of e = y − Xβ, (R, R, a, B)."""
        square = self._weighted(np.einsum("xb,yb->xyb", beta, beta))
        return self.products.yy - 2 * np.einsum("xrsab,xb->rsab", self.products.xy, beta) + square

    def _weighted(self, weights: FloatArray) -> FloatArray:
        """Σ weights_xx' W_xx' for (p, p, B), symmetric, (R, R, a, B)."""
        p, batch, size = len(weights), weights.shape[-1], self.shape.gram.shape
        flat = self.shape.xx.reshape(p * p, self.shape.gram.size).T @ weights.reshape(p * p, batch)
        flat = flat.reshape(*size, batch)
        return (flat + flat.transpose(1, 0, 2, 3)) / 2

    def _conjugate(self, k: FloatArray, w: FloatArray) -> FloatArray:
        """KWK' as often as it counts."""
        return _dot(_dot(k, w), k.transpose(1, 0, 2, 3)) * self.weight

    def _traces(self, n: FloatArray, right: FloatArray) -> FloatArray:
        """Σ_a tr E_i N E_j R, (k, k, B)."""
        members = self.shape.members
        return np.einsum("irsab,jsrab->ijb", _times(members, n), _times(members, right))


def _solved_directly(gram: FloatArray, cov: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """log|C|, M and K of up to three effects, K = (I + AG)⁻¹ being the adjugate over the determinant |C|."""
    b = _dot(gram, cov)
    b[np.arange(len(b)), np.arange(len(b))] += 1.0
    # a member that strays to where C is not positive is not finite, and steps back
    with np.errstate(invalid="ignore", divide="ignore"):
        turned, det = adjugate(b)
        log_det, k = np.log(det), turned * (1 / det)
    return log_det, _dot(cov, k), k


def adjugate(b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Adjugate (R, R, …) and determinant (…) of matrices of one, two or three rows."""
    out = np.empty_like(b)
    if len(b) == 1:
        out[0, 0] = 1.0
    elif len(b) == 2:
        out[0, 0], out[1, 1], out[0, 1], out[1, 0] = b[1, 1], b[0, 0], -b[0, 1], -b[1, 0]
    else:
        for r in range(3):
            for c in range(3):
                # cofactor of (c, r): rows and columns taken cyclically have the sign in them
                i, j, u, v = (c + 1) % 3, (c + 2) % 3, (r + 1) % 3, (r + 2) % 3
                out[r, c] = b[i, u] * b[j, v] - b[i, v] * b[j, u]
    det = b[0, 0] * out[0, 0]
    for c in range(1, len(b)):
        det += b[0, c] * out[c, 0]
    return out, det


def _between(members: FloatArray, k: FloatArray) -> list[FloatArray]:
    """K'E_iK for every i, each (R, R, a, B)."""
    size = len(k)
    if size > DIRECT:
        return [_dot(k.transpose(1, 0, 2, 3), ek) for ek in _times(members, k)]
    out = []
    for member in members:
        if not member.any():  # of a term that no row of these components has
            out.append(np.zeros_like(k))
            continue
        part = np.empty_like(k)
        (first, *others) = np.argwhere(member)
        for u in range(size):
            for v in range(u, size):
                np.multiply(k[first[0], u], k[first[1], v], out=part[u, v])
                for r, s in others:
                    part[u, v] += k[r, u] * k[s, v]
                part[v, u] = part[u, v]
        out.append(part)
    return out


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Products of matrices (R, S, a, B) × (S, T, a, B)."""
    return np.einsum("rsab,stab->rtab", a, b)


def _times(members: FloatArray, m: FloatArray) -> FloatArray:
    """E_i m for every i, (k, R, R, a, B)."""
    k, r, _ = members.shape
    return (members.reshape(k * r, r) @ m.reshape(r, -1)).reshape(k, *m.shape)
