"""Errors of predictions where the rest iterates: the forms of `row_errors` without matrices between effects.

With Ω = Z'V⁻¹Z and Y = Z'V⁻¹X a row (x, z) leaves of its effects ζ = (I − ΩG)z − YΦd, d = x − Y'Gz, and

    v = z'(G − GΩG)z + d'Φd      v_i = ζ'E_iζ      h = Σ ω_ik (E_iζ)'P(E_kζ),   P = Ω − YΦY'

Few rows are solved for, 1 + k right-hand sides each. For many, ζ'f = z'(I − GΩ)f − (Φd)'Y'f is read off one table for
each f, and with signs r on all effects (r_b those of block b, E rr' = I)

    v_i = E (ζ'r_b)(ζ'E_ir_b)      h = E Σ ω_ik (ζ'E_ir)(ζ'E_kPr)

v has its leading parts exactly (`engine.iterated_loads`); the same signs for all rows, so that the estimates are
quadratic forms in (x, z) too. The error of √v over the probes is kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from henderson.engine.factor.iterative.probed import signs
from henderson.engine.factor.iterative.rest import IterativeRest
from henderson.engine.factor.system import Factor
from henderson.engine.iterated_loads import IteratedLoads
from henderson.errors import ApproximationWarning, users_level
from henderson.numerics import small
from henderson.prediction.row_errors import ErrorKernels, Errors, Loads

FloatArray = np.ndarray
#: of every block (q, s, J)
Table = list[FloatArray]

#: rows that are solved for: beyond, probes cost less
FEW = 128
#: probes of what many rows ask, how many at once, and where their signs come from
PROBES, AT_ONCE, SEED = 64, 16, 2_000_003


@dataclass(frozen=True)
class MonteCarloError:
    """Standard errors of predictions' standard errors, relative to them.

    Attributes
    ----------
    rows : int
        That were estimated from probes.
    median, largest : float
    """

    rows: int
    median: float
    largest: float


class IteratedErrors:
    """What `ErrorKernels` is, by solves and probes.

    Parameters
    ----------
    factor : Factor
        At the estimates, its rest iterates.
    phi : (p, p) array
    omega : (k, k) array, or None
    scores : list of (q, J) arrays

    Attributes
    ----------
    errors : list of (m,) arrays
        Relative Monte-Carlo errors of the standard errors that probes gave since they were last asked for.
    """

    def __init__(self, factor: Factor, phi: FloatArray, omega: FloatArray | None, scores: list[FloatArray]) -> None:
        self.factor, self.phi = factor, phi
        self.omega = np.zeros((0, 0)) if omega is None else omega
        self.n_g = len(self.omega)
        self.blocks = factor.system.blocks
        zvc_front, zvc_rest = factor.zvc
        p = len(phi)
        self.Y = self.blocks.split(zvc_front[:, :p], zvc_rest[:, :p])
        self.moved = self._times_g(self.Y)
        self.by_score = self._along_parameters(scores) if self.n_g else []
        self.errors: list[FloatArray] = []

    def told(self) -> MonteCarloError | None:
        """What the probes' errors were, and forget them."""
        found = np.concatenate([np.zeros(0), *self.errors])
        self.errors = []
        return MonteCarloError(len(found), float(np.median(found)), float(found.max())) if len(found) else None

    def __call__(self, loads: Loads) -> Errors:
        """Errors of some rows."""
        if len(loads.x) > FEW:
            return self._by_probes(loads)
        parts = [self._by_solving(loads[start : start + AT_ONCE]) for start in range(0, len(loads.x), AT_ONCE)]
        if not parts:
            none = np.zeros((0, self.n_g))
            return Errors(np.zeros(0), none, np.zeros(0), none)
        return Errors(*(np.concatenate([getattr(one, name) for one in parts]) for name in Errors.__annotations__))

    def _by_solving(self, loads: Loads) -> Errors:
        """To the tolerance of conjugate gradients."""
        z, m = self._effects(loads), len(loads.x)
        moved = self._times_g(z)
        zeta = [own - image for own, image in zip(z, self.factor.marginal(moved))]
        d = loads.x - sum(np.einsum("amj,apj->mp", one, own) for one, own in zip(moved, self.Y))
        delta = d @ self.phi
        variance = sum(np.einsum("amj,amj->m", one, own) for one, own in zip(moved, zeta)) + (d * delta).sum(1)
        if not self.n_g:
            return Errors(variance, np.zeros((m, 0)), np.zeros(m), np.zeros((m, 0)))
        zeta = [own - np.einsum("apj,mp->amj", one, delta) for own, one in zip(zeta, self.Y)]
        along = self._along_parameters(zeta)  # E_iζ of rows side by side, (q, k m, J)
        gradient, moved_rows = np.empty((m, self.n_g)), np.empty((m, self.n_g))
        for i in range(self.n_g):
            here = slice(i * m, (i + 1) * m)
            gradient[:, i] = sum(np.einsum("amj,amj->m", one, own[:, here]) for one, own in zip(zeta, along))
            score = (own[:, i] for own in self.by_score)
            moved_rows[:, i] = sum(np.einsum("amj,aj->m", one, own) for one, own in zip(zeta, score))
        image = self._projected(along)
        added = np.zeros(m)
        for one, other in zip(along, image):
            left, right = (part.reshape(len(part), self.n_g, m, -1) for part in (one, other))
            added += np.einsum("ik,aimj,akmj->m", self.omega, left, right, optimize=True)
        return Errors(variance, gradient, np.maximum(added, 0.0), moved_rows)

    def _by_probes(self, loads: Loads) -> Errors:
        """Of many rows: by `PROBES` probes."""
        m = len(loads.x)
        d = loads.x - self._read(loads, self.moved)
        delta = d @ self.phi
        random, spread = self._conditional(loads)
        variance = random + (d * delta).sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            self.errors.append(np.where(variance > 0, spread / (2 * variance), 0.0))
        if not self.n_g:
            return Errors(variance, np.zeros((m, 0)), np.zeros(m), np.zeros((m, 0)))
        gradient, added = np.zeros((m, self.n_g)), np.zeros(m)
        for start in range(0, PROBES, AT_ONCE):
            r = self._signs(start)
            width = r[0].shape[1]
            along = self._ask(loads, delta, self._along_parameters(r)).reshape(m, self.n_g, width)  # ζ'E_ir
            image = self._ask(loads, delta, self._along_parameters(self._projected(r))).reshape(m, self.n_g, width)
            added += np.einsum("ik,mis,mks->m", self.omega, along, image, optimize=True)
            for b, block in enumerate(self.blocks.blocks):
                own = self._ask(loads, delta, [one if c == b else 0 * one for c, one in enumerate(r)])
                for i in block.g_parameters:
                    gradient[:, i] += np.einsum("ms,ms->m", own, along[:, i])
        moved = self._ask(loads, delta, self.by_score)
        return Errors(variance, gradient / PROBES, np.maximum(added / PROBES, 0.0), moved)

    def _conditional(self, loads: Loads) -> tuple[FloatArray, FloatArray]:
        """z'(G − GΩG)z, and its standard error over probes; (m,) each."""
        rest, codes = self.factor.rest, np.zeros(0, np.intp)
        assert isinstance(rest, IterativeRest)
        half = moved = np.zeros((0, len(loads.x)))
        if self.blocks.front is not None:
            codes = np.maximum(loads.level, 0)
            T = self.factor.front.T[:, :, codes]
            half = small.multiply(T, loads.front[:, None])[:, 0]
            moved = small.multiply(T.transpose(1, 0, 2), half[:, None])[:, 0]
        return IteratedLoads(codes, half, moved, loads.rest, rest).diagonal_and_error()

    def _ask(self, loads: Loads, delta: FloatArray, f: Table) -> FloatArray:
        """ζ'f of rows, (m, s)."""
        table = [own - one for own, one in zip(f, self._times_g(self.factor.marginal(f)))]
        square = sum(np.einsum("apj,asj->ps", one, own) for one, own in zip(self.Y, f))
        return self._read(loads, table) - delta @ square

    def _read(self, loads: Loads, table: Table) -> FloatArray:
        """z'f of rows, (m, s)."""
        width = table[0].shape[1]
        front, rest = self.blocks.join(table, [np.arange(width)] * len(table), width)
        out = np.asarray(loads.rest @ rest)
        if self.blocks.front is not None:
            out += np.einsum("am,asm->ms", loads.front, front[:, :, np.maximum(loads.level, 0)], optimize=True)
        return out

    def _effects(self, loads: Loads) -> Table:
        """z of rows as effects of every block, (q, m, J)."""
        m, blocks = len(loads.x), self.blocks
        front = np.zeros((0, m, 0))
        if blocks.front is not None:
            block = blocks.blocks[blocks.front]
            front = np.zeros((block.q, m, block.n_levels))
            known = np.flatnonzero(loads.level >= 0)
            front[:, known, loads.level[known]] = loads.front[:, known]
        return blocks.split(front, loads.rest.toarray().T)

    def _signs(self, start: int) -> Table:
        """Signs of some probes on all effects, (q, s, J) of every block."""
        blocks, width = self.blocks, min(AT_ONCE, PROBES - start)
        return [
            signs(block.size, width, SEED + 1000 * start + b).reshape(block.n_levels, block.q, width).transpose(1, 2, 0)
            for b, block in enumerate(blocks.blocks)
        ]

    def _along_parameters(self, f: Sequence[FloatArray]) -> Table:
        """E_if of all parameters side by side, (q, k s, J) of every block; of other blocks' parameters it is zero."""
        out = []
        for block, own in zip(self.blocks.blocks, f):
            own = own if own.ndim == 3 else own[:, None]
            found = np.zeros((block.q, self.n_g, own.shape[1], block.n_levels))
            for i, E in zip(block.g_parameters, block.layout.basis()):
                found[:, i] = small.left(E, own)
            out.append(found.reshape(block.q, -1, block.n_levels))
        return out

    def _projected(self, f: Table) -> Table:
        """Pf."""
        square = sum(np.einsum("apj,asj->ps", one, own) for one, own in zip(self.Y, f))
        less = self.phi @ square
        return [own - np.einsum("apj,ps->asj", one, less) for own, one in zip(self.factor.marginal(f), self.Y)]

    def _times_g(self, table: Table) -> Table:
        """G times a table."""
        return [small.left(lam @ lam.T, own) for lam, own in zip(self.factor.lam, table)]


def error_kernels(
    factor: Factor, phi: FloatArray, omega: FloatArray | None, scores: list[FloatArray]
) -> ErrorKernels | IteratedErrors:
    """What gives the errors of rows at a factor, as its rest is solved."""
    kind = IteratedErrors if factor.system.rest == "iterative" else ErrorKernels
    return kind(factor, phi, omega, scores)


def warn_of_probes(kernels: IteratedErrors) -> None:
    """Tell the Monte-Carlo error of what probes gave since it was last told."""
    told = kernels.told()
    if told is not None:
        warnings.warn(
            f"standard errors of {told.rows:,} predictions were estimated from {PROBES} probes, to {told.median:.1%} "
            f"in the median and {told.largest:.1%} at most; those of up to {FEW} rows at a time are solved for",
            ApproximationWarning,
            stacklevel=users_level(),
        )
