"""Variances that settle from many starts at once, each by a step that never lowers the likelihood.

With V_f = ∂V/∂log σ_f² of each stratum f, u = Py and T = P (REML) or V⁻¹ (ML), and of each term, its effects' columns
Z_j of level j, M = Σ_j Z_j'TZ_j, N = Σ_j Z_j'uu'Z_j,

    σ_f² ← σ_f² (u'V_fu / tr TV_f)^a         G ← M^{-½} (M^{½} G N G M^{½})^{½} M^{-½}

a = 1 where rows are independent and that is reweighted least squares, else ½: minorisations, of variances (Zhou, Hu,
Qiao, Cho and Lange 2019) and of matrices. A G that has a structure is multiplied by a number alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from henderson.contract.rows import Rows
from henderson.covariance.layout import Layout
from henderson.engine.residual.model import BlockModel

FloatArray = np.ndarray

#: turns in which strata settle, the first of which all take, the lowest that go on, and steps of a turn
TURNS, ALL, KEPT, STEPS = 18, 6, 10, 6
#: the most that a standard deviation changes in a step, and over all
MOST, LIMIT = 1e3, 1e5
#: logarithm of standard deviations that are the same; those, the median one, that are next to none
SAME, NEXT_TO_NONE = 0.1, 1e-3
#: doubles of the covariances that are inverted at once
AT_ONCE = 1 << 21
#: tr TV_f that is none; what is added to variances so that V, by itself, and M have an inverse
NOTHING, RIDGE, TINY = 1e-9, 1e-11, 1e-300


@dataclass(frozen=True)
class Settled:
    """Where variances have come to.

    Attributes
    ----------
    factors : (s, k) array
        What the standard deviations of strata are times.
    G : tuple of (s, q, q) arrays
        Of each term.
    deviance : (s,) array
    """

    factors: FloatArray
    G: tuple[FloatArray, ...]
    deviance: FloatArray

    def __getitem__(self, some: np.ndarray | slice) -> Settled:
        return Settled(self.factors[some], tuple(one[some] for one in self.G), self.deviance[some])

    @classmethod
    def joined(cls, parts: list[Settled]) -> Settled:
        """One after another."""
        G = tuple(np.concatenate(each) for each in zip(*(part.G for part in parts)))
        return cls(np.concatenate([one.factors for one in parts]), G, np.concatenate([one.deviance for one in parts]))


@dataclass(frozen=True)
class Effects:
    """A term's rows.

    Attributes
    ----------
    z : (n, q) array
        Columns in the working basis, times √w.
    level : (n, J) array
        Ones where a row is of a level.
    layout : Layout
    """

    z: FloatArray
    level: FloatArray
    layout: Layout

    def kernel(self, rows: np.ndarray, G: FloatArray) -> FloatArray:
        """ZGZ' of blocks of rows (B, b) for G (s, q, q): (s, B, b, b)."""
        z, same = self.z[rows], self.same(rows)
        return (z @ G[:, None] @ z.transpose(0, 2, 1)) * same

    def same(self, rows: np.ndarray) -> FloatArray:
        """Ones where two rows of a block are of one level, (B, b, b)."""
        level = self.level[rows]
        return level @ level.transpose(0, 2, 1)

    def sums(self, rows: np.ndarray, T: FloatArray) -> FloatArray:
        """Σ Z_j'TZ_j over the blocks, of T (s, B, b, b): (s, q, q)."""
        z = self.z[rows]
        return (z.transpose(0, 2, 1) @ (T * self.same(rows)) @ z).sum(axis=1)

    def step(self, G: FloatArray, M: FloatArray, u: FloatArray) -> FloatArray:
        """The next G, of M and u (s, n)."""
        B = self.level.T @ (u[:, :, None] * self.z)
        N = B.transpose(0, 2, 1) @ B
        q = self.layout.q
        if self.layout.n_g < q * (q + 1) // 2:
            size = _ratio(np.einsum("sab,sba->s", N, G), np.einsum("sab,sba->s", M, G))
            return G * np.sqrt(size)[:, None, None]
        M = M + (RIDGE * np.einsum("saa->s", M) + TINY)[:, None, None] * np.eye(q)
        root, inverse = _powers(M)
        return inverse @ _powers(root @ G @ N @ G @ root)[0] @ inverse


@dataclass(frozen=True)
class Settling:
    """A model whose strata settle.

    Attributes
    ----------
    c : (n, p + 1) array
        [X y] of the working basis, times √w.
    blocks : tuple of ((B, b) intp array, (B, b, b) array)
        Rows of independent blocks of one size, and the residuals' part of V there where all factors are one.
    effects : tuple of Effects
    strata : (n, k) array
        Ones where a row is of a stratum.
    diagonal : bool
        Whether V is.
    reml : bool
    constant : float
        What is not in log|V| + log|X'V⁻¹X| + y'Py.
    """

    c: FloatArray
    blocks: tuple[tuple[np.ndarray, FloatArray], ...]
    effects: tuple[Effects, ...]
    strata: FloatArray
    diagonal: bool
    reml: bool
    constant: float

    @classmethod
    def of(cls, model: BlockModel, rows: Rows, psi: FloatArray, codes: np.ndarray, k: int) -> Settling:
        """At (G, ψ); `codes` (n,) of k strata."""
        c = np.empty((rows.n, model.p + 1))
        model.basis.rows(rows, c)
        diagonal = not model.layouts and model.residual.structure.memory == 0
        blocks = []
        for part in model.parts:
            own, at = model.residual_cov(psi, part.batch)[part.batch.unit_of], part.batch.rows
            if diagonal:
                own, at = np.einsum("bii->bi", own).reshape(-1, 1, 1), at.reshape(-1, 1)
            blocks.append((at, own))
        root = np.sqrt(rows.unit_weights)[:, None]
        effects = tuple(
            Effects(root * (term.columns @ T), _ones(term.codes), layout)
            for term, T, layout in zip(rows.terms, model.roots, model.layouts)
        )
        return cls(c, tuple(blocks), effects, _ones(codes, k), diagonal, model.reml, model.constant)

    @cached_property
    def sds(self) -> FloatArray:
        """Root mean variances of strata, NaN where one has no rows, (k,)."""
        v = np.empty(len(self.c))
        for at, own in self.blocks:
            v[at] = np.einsum("bii->bi", own)
        with np.errstate(invalid="ignore"):
            return np.sqrt(v @ self.strata / self.strata.sum(axis=0))

    @property
    def work(self) -> int:
        """Cubes of the blocks' rows, and rows times strata, about what a step costs."""
        return sum(own.size * own.shape[-1] for _, own in self.blocks) + self.strata.size

    def settled(self, at: Settled) -> Settled:
        """After TURNS, those that have not come back to the optimum or to each other, the lowest first."""
        at_once = max(1, AT_ONCE // sum(own.size for _, own in self.blocks))
        for turn in range(TURNS):
            at = at if turn < ALL else at[:KEPT]
            parts = []
            for i in range(0, len(at.factors), at_once):
                part = at[i : i + at_once]
                for _ in range(STEPS):
                    part = self._step(part)
                parts.append(part)
            if parts:
                at = self._apart(Settled.joined(parts))
        return at

    def _apart(self, at: Settled) -> Settled:
        """Those that have not come back to where all factors are one; one of those that are the same, the lowest.

        Standard deviations that are next to none are the same.
        """
        none = NEXT_TO_NONE * float(np.nanmedian(self.sds))
        logs, back = np.log(np.fmax(self.sds * at.factors, none)), np.log(np.fmax(self.sds, none))
        kept: list[int] = []
        for i in np.argsort(at.deviance, kind="stable").tolist():
            same = np.abs(logs[kept] - logs[i]).max(axis=1) < SAME
            if np.abs(logs[i] - back).max() > SAME and not same.any():
                kept.append(i)
        return at[np.array(kept, np.intp)]

    def _step(self, at: Settled) -> Settled:
        """One step of each; the deviance is that before it."""
        X, y, p, s = self.c[:, :-1], self.c[:, -1], self.c.shape[1] - 1, len(at.factors)
        sd = at.factors @ self.strata.T
        F, log_det, found = np.zeros((s, p + 1, p + 1)), np.zeros(s), []
        for rows, R in self.blocks:
            scale = sd[:, rows]
            own = scale[..., :, None] * R * scale[..., None, :]
            V = own + sum(effects.kernel(rows, G) for effects, G in zip(self.effects, at.G))
            T, logs = _inverse(V)
            TC = T @ self.c[rows]
            log_det += logs.sum(axis=1)
            F += self.c[rows].reshape(-1, p + 1).T @ TC.reshape(s, -1, p + 1)
            found.append((rows, own, T, TC[..., :-1]))
        A = F[:, :p, :p]
        beta = np.linalg.solve(A, F[:, :p, p:])[..., 0]
        e = y - beta @ X.T
        deviance = log_det + F[:, p, p] - (beta * F[:, :p, p]).sum(axis=1) + self.constant
        if self.reml:
            deviance += np.linalg.slogdet(A)[1]
        u, squares, left = np.empty_like(e), np.empty_like(e), np.empty_like(e)
        M = [np.zeros_like(G) for G in at.G]
        for rows, own, T, TX in found:
            u[:, rows] = (T @ e[:, rows, None])[..., 0]
            if self.reml:
                T -= TX @ np.linalg.solve(A[:, None], TX.transpose(0, 1, 3, 2))
            squares[:, rows] = u[:, rows] * (own @ u[:, rows, None])[..., 0]
            left[:, rows] = np.einsum("sbij,sbij->sbi", T, own)
            for one, effects in zip(M, self.effects):
                one += effects.sums(rows, T)
        ratio = _ratio(squares @ self.strata, left @ self.strata) ** (0.5 if self.diagonal else 0.25)
        factors = np.clip(at.factors * np.clip(ratio, 1 / MOST, MOST), 1 / LIMIT, LIMIT)
        G = tuple(effects.step(own, one, u) for effects, own, one in zip(self.effects, at.G, M))
        return Settled(factors, G, deviance)


def _inverse(V: FloatArray) -> tuple[FloatArray, FloatArray]:
    """V⁻¹ and log|V|, (s, B, b, b) and (s, B)."""
    if V.shape[-1] == 1:
        return 1 / V, np.log(V[..., 0, 0])
    V = V + RIDGE * np.einsum("sbii->sbi", V)[..., None] * np.eye(V.shape[-1])
    return np.linalg.inv(V), np.linalg.slogdet(V)[1]


def _ones(codes: np.ndarray | None, k: int = 0) -> FloatArray:
    """Ones at codes, (n, k)."""
    assert codes is not None
    return (codes[:, None] == np.arange(k or codes.max() + 1)).astype(float)


def _ratio(one: FloatArray, other: FloatArray) -> FloatArray:
    """Their ratio; one where effects leave nothing, or it is not known."""
    with np.errstate(all="ignore"):
        out = one / other
    return np.where(np.isfinite(out) & (out > 0) & (other > NOTHING), out, 1.0)


def _powers(A: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A^½ and A^{-½} of semidefinite matrices (s, q, q); what is zero but for rounding is taken as that."""
    values, vectors = np.linalg.eigh(A)
    values = np.maximum(values, RIDGE * values[:, -1:] + TINY)
    root = np.sqrt(values)[:, None, :]
    return (vectors * root) @ vectors.transpose(0, 2, 1), (vectors / root) @ vectors.transpose(0, 2, 1)
