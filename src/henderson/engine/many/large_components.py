"""Large components (crossed factors), one by one: steps 1 to 4 and 7 of `pieces`.

With C = LL', G = Z'W[X y] and

    H = L⁻¹Λ'A    h = L⁻¹Λ'G    N = A − H'H    KG = Z'V⁻¹[X y] = G − H'h    G'MG = h'h

a component of R effects costs a Cholesky factor and a triangular solve for each member of the batch, with second
derivatives one product of R × R matrices more; all else costs R². Λ has few entries in a column, and E_i moves rows
and blanks others: both are products by indices. Arrays (B, R, …): the batch first, as LAPACK wants it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import blas, lapack

from henderson.engine.many.components import Shape
from henderson.engine.many.sums import Sums

FloatArray = np.ndarray


@dataclass(frozen=True)
class EffectProducts:
    """Z_c'Wy of B responses, or of one for the whole batch: zy (R, C, B)."""

    zy: FloatArray

    def __getitem__(self, index: np.ndarray) -> EffectProducts:
        return EffectProducts(self.zy[..., index])

    @classmethod
    def of(cls, shape: Shape, zy: FloatArray) -> EffectProducts:
        """From zy (R, C, B)."""
        return cls(zy)


@dataclass(frozen=True)
class Lost:
    """Cross-products of rows that are left out, P components of one shape for members of a batch.

    Attributes
    ----------
    component, member : (P,) int arrays
        Which component of the shape, and of which member; each pair once.
    gram : (P, R, R) array
        Z'WZ of the rows left out.
    zx : (P, R, p) array
    zy, whole_zy : (P, R) arrays
        Z'Wy of the rows left out, and of all rows of the component.
    """

    component: np.ndarray
    member: np.ndarray
    gram: FloatArray
    zx: FloatArray
    zy: FloatArray
    whole_zy: FloatArray

    def __getitem__(self, index: np.ndarray) -> Lost:
        place = np.full(max(int(self.member.max(initial=-1)), int(index.max(initial=-1))) + 1, -1)
        place[index] = np.arange(len(index))
        member = place[self.member]
        kept = member >= 0
        arrays = (self.component, member, self.gram, self.zx, self.zy, self.whole_zy)
        return Lost(*(array[kept] for array in arrays))


@dataclass(frozen=True)
class AtComponents:
    """The components of one shape at B roots; see `small_components.AtPatterns`."""

    shape: Shape
    products: EffectProducts
    root: FloatArray
    times: FloatArray | None
    lost: Lost | None = None

    @cached_property
    def each(self) -> list[AtComponent]:
        """Every component."""
        lam = np.ascontiguousarray(self.shape.gathered(self.root).transpose(2, 0, 1))
        moves = [Move.of(e) for e in self.shape.members]
        out = []
        for c in range(len(self.shape.pattern)):
            zx, zy = self.shape.zx[:, :, c].T, self.products.zy[:, c].T
            gram = self.shape.gram[:, :, self.shape.pattern[c]]
            if self.lost is not None:
                gram, zx, zy = _left(self.lost, c, len(lam), gram, zx, zy)
            out.append(AtComponent(gram, lam, zx, np.broadcast_to(zy, lam.shape[:2]), moves))
        return out

    def _weight(self, c: int) -> FloatArray | float:
        return 1.0 if self.times is None else self.times[self.shape.pattern[c]]

    def sums(self) -> Sums:
        """Steps 3 and 4."""
        parts = [one.sums() for one in self.each]
        if len(parts) == 1 and self.times is None:
            return parts[0]
        return Sums(*(
            sum(self._weight(c) * vars(part)[name] for c, part in enumerate(parts)) for name in vars(parts[0])
        ))  # fmt: skip

    def second(self, beta: FloatArray, s_inverse: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Step 7."""
        parts = [one.second(beta, s_inverse) for one in self.each]
        total = [self._weight(c) * np.stack(part) for c, part in enumerate(parts)]
        both = np.sum(total, axis=0)
        return both[0], both[1]

    def x_form(self, v: FloatArray) -> FloatArray:
        """v'F2_ijv for v (p, B), X alone: (k, k, B)."""
        return np.sum([self._weight(c) * one.x_form(v) for c, one in enumerate(self.each)], axis=0)


def _left(
    lost: Lost, c: int, batch: int, gram: FloatArray, zx: FloatArray, zy: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What each member of a batch has left of a component: (B, R, R), (B, R, p), (B, R)."""
    here = np.flatnonzero(lost.component == c)
    member = lost.member[here]
    gram, zx = np.repeat(gram[None], batch, 0), np.repeat(zx[None], batch, 0)
    zy = np.array(np.broadcast_to(zy, (batch, zy.shape[-1])))
    gram[member] -= lost.gram[here]
    zx[member] -= lost.zx[here]
    zy[member] -= lost.zy[here]
    return gram, zx, zy


@dataclass(frozen=True)
class Move:
    """E of zeros and ones with at most one one in a row: E m = blank · m[source]; `rows`: those with a one."""

    source: np.ndarray
    blank: FloatArray
    rows: np.ndarray

    @classmethod
    def of(cls, e: FloatArray) -> Move:
        return cls(e.argmax(1), e.max(1), np.flatnonzero(e.max(1)))

    def moved(self, m: FloatArray) -> FloatArray:
        """E m for m (B, R, u)."""
        return m[:, self.source] * self.blank[:, None]


class AtComponent:
    """One component at B roots lam (B, R, R), or as many of one size: gram (R, R) or (B, R, R), zx (R, p) or (B, R, p),
    zy (B, R)."""

    def __init__(self, gram: FloatArray, lam: FloatArray, zx: FloatArray, zy: FloatArray, moves: list[Move]) -> None:
        r, batch = gram.shape[-1], len(lam)
        self.g = np.concatenate([np.broadcast_to(zx, (batch, *zx.shape[-2:])), zy[:, :, None]], 2)
        both, self.logdet = np.empty((batch, r, r + self.g.shape[2])), np.empty(batch)
        entries, grams = _entries(lam), np.broadcast_to(gram, (batch, r, r))
        for b, out in enumerate(both):
            own = [(source, value[b, :, None]) for source, value in entries]
            self.logdet[b] = _solve_halves(grams[b], self.g[b], own, out)
        self.gram, self.h, self.hg = gram, both[:, :, :r], both[:, :, r:]
        self.kg = self.g - self.h.transpose(0, 2, 1) @ self.hg
        self.moves = moves

    @cached_property
    def n(self) -> FloatArray:
        """N, (B, R, R)."""
        return self.gram - self.h.transpose(0, 2, 1) @ self.h

    def trace(self, move: Move) -> FloatArray:
        """tr NE, (B,)."""
        at, of = move.rows, move.source[move.rows]
        left = self.h[:, :, at]
        right = left if np.array_equal(at, of) else self.h[:, :, of]
        return np.asarray(self.gram[..., at, of].sum(-1) - np.einsum("brs,brs->b", left, right))

    def sums(self) -> Sums:
        """Steps 3 and 4."""
        f = np.einsum("brx,bry->xyb", self.hg, self.hg)
        d = np.array([np.einsum("brx,bry->xyb", self.kg, e.moved(self.kg)) for e in self.moves])
        t1 = np.array([self.trace(e) for e in self.moves])
        return Sums(self.logdet, t1, f[:-1, :-1], f[:-1, -1], f[-1, -1], d[:, :-1, :-1], d[:, :-1, -1], d[:, -1, -1])

    def second(self, beta: FloatArray, s_inverse: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        e = (self.kg[:, :, -1] - np.einsum("brx,xb->br", self.kg[:, :, :-1], beta))[:, :, None]
        dd_logdet = -self._traces()
        if s_inverse is not None:
            half = _cholesky(np.ascontiguousarray(s_inverse.transpose(2, 0, 1)))
            dd_logdet = dd_logdet + 2 * self._quadratic(self.kg[:, :, :-1] @ half)
        return 2 * self._quadratic(e), dd_logdet

    def x_form(self, v: FloatArray) -> FloatArray:
        return self._quadratic(np.einsum("brx,xb->br", self.kg[:, :, :-1], v)[:, :, None])

    def _traces(self) -> FloatArray:
        """tr NE_iNE_j, (k, k, B)."""
        at = [(move.rows, move.source[move.rows]) for move in self.moves]
        out = np.empty((len(at), len(at), len(self.n)))
        for i, (row, source) in enumerate(at):
            for j, (other, its) in enumerate(at[: i + 1]):
                left, right = self.n[:, source[:, None], other], self.n[:, row[:, None], its]
                out[i, j] = out[j, i] = np.einsum("brs,brs->b", left, right)
        return out

    def _quadratic(self, u: FloatArray) -> FloatArray:
        """tr u'E_iNE_ju for u (B, R, m), (k, k, B)."""
        moved = [move.moved(u) for move in self.moves]
        return _pairs(moved, [self.n @ m for m in moved])


def _entries(lam: FloatArray) -> list[tuple[np.ndarray, FloatArray]]:
    """Λ (B, R, R), which has few entries in a column, in the same places at every root: their rows (R,), and (B, R)."""
    there = lam.any(axis=0)
    order, r = np.argsort(~there, axis=0, kind="stable"), np.arange(lam.shape[1])
    return [(order[e], lam[:, order[e], r]) for e in range(max(1, int(there.sum(axis=0).max())))]


def _solve_halves(
    gram: FloatArray, g: FloatArray, entries: list[tuple[np.ndarray, FloatArray]], out: FloatArray
) -> float:
    """[H h] of one root into `out` (R, R + p + 1), and log|C|: NaN where C is not positive definite."""
    r = len(gram)
    _turned(entries, gram, out[:, :r])
    _turned(entries, g, out[:, r:])
    c = _turned(entries, out[:, :r].T, np.empty((r, r)))
    c.reshape(-1)[:: r + 1] += 1.0
    low, fails = lapack.dpotrf(c.T, lower=1, clean=0, overwrite_a=1)  # LAPACK sees transposes, and works in place
    if fails:
        out[:] = np.nan
        return np.nan
    blas.dtrsm(1.0, low, out.T, side=1, lower=1, trans_a=1, overwrite_b=1)
    return 2.0 * float(np.log(low.diagonal()).sum())


def _turned(entries: list[tuple[np.ndarray, FloatArray]], m: FloatArray, out: FloatArray) -> FloatArray:
    """Λ'm for m (R, u), into `out`."""
    source, value = entries[0]
    np.multiply(m[source], value, out=out)
    for source, value in entries[1:]:
        out += m[source] * value
    return out


def _cholesky(c: FloatArray) -> FloatArray:
    """Lower factors; NaN where there is none."""
    try:
        return np.linalg.cholesky(c)
    except np.linalg.LinAlgError:
        out = np.full_like(c, np.nan)
        for b, one in enumerate(c):
            with suppress(np.linalg.LinAlgError):
                out[b] = np.linalg.cholesky(one)
        return out


def _pairs(left: list[FloatArray], right: list[FloatArray]) -> FloatArray:
    """Σ left_i right_j over all but the batch, (k, k, B)."""
    return np.array([[np.einsum("brs,brs->b", a, b) for b in right] for a in left])
