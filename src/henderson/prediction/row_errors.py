"""Errors of predictions row by row: quadratic forms in what a row loads on, from kernels that all rows share.

A row (x, z) is predicted by x'β̂ + z'b̂. With z_f its effects of level j of the front, z_r those of the rest,
t = z_r − a_j'M_jz_f, δ = Φd and kernels K of `rest_kernels`, tables of `fixed_tables`:

    v    = z'(G − GΩG)z + d'Φd               its error's variance over σ²
    v_i  = ζ'E_iζ  = q_i(z) − 2δ'c_i + δ'F_iδ      ∂v/∂g_i
    h    = Σ ω_ik (E_iζ)'(Z'PZ)(E_kζ) = q(z) − Σ ω_ik c_i'Φc_k − 2δ'g + δ'Y'Ω̃Yδ

h is tr(Aω) of Kackar and Harville (1984): A is the covariance of the prediction's derivatives along the parameters g, ω
that of their estimates. The forms in z alone are z_f'P_jz_f + 2z_f'L_jt + t'Kt, written out below as

    z_f'P*_jz_f + 2 z_f'L*_jz_r + z_r'Kz_r,   L*_j = L_j − M_ja_jK,   P*_j = P_j − 2L_ja_j'M_j + M_ja_jKa_j'M_j

            P_j                                    L_j                              K
    v       M_j                                    0                                W
    v_i     N_ij of the front's; else 0            −N_ija_jW of the front's         Y_i
    h       D'Ê_jD − Σ ω_ik N_ija_jWa_j'N_kj       −D'Ê_jDa_jW + Σ N_ija_jω_ikY_k   Γ
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from henderson.engine.factor.pattern_product import row_pairs
from henderson.engine.factor.system import Factor
from henderson.numerics import small
from henderson.prediction.fixed_tables import FixedTables, Table, fixed_tables
from henderson.prediction.rest_kernels import (
    RestKernels,
    RestMatrix,
    front_added,
    front_derivatives,
    rest_kernels,
)

FloatArray = np.ndarray

#: doubles of the products of a_j with all kernels that are in memory at once
AT_ONCE = 8_000_000
#: share of entries that are not zero, from which rows load on all effects of the rest
FULL = 0.2


@dataclass(frozen=True)
class Loads:
    """What m rows load on, in the working basis and the engine's order of levels.

    Attributes
    ----------
    x : (m, p) array
        Fixed-effects columns.
    level : (m,) intp array
        The front's level, −1 for none.
    front : (q, m) array
        Its columns; zero where there is no level.
    rest : (m, R) csr_array
    """

    x: FloatArray
    level: np.ndarray
    front: FloatArray
    rest: sparse.csr_array

    def __getitem__(self, rows: Any) -> Loads:
        return Loads(self.x[rows], self.level[rows], self.front[:, rows], sparse.csr_array(self.rest[rows]))


@dataclass(frozen=True)
class Errors:
    """Errors of m predictions, relative to σ².

    Attributes
    ----------
    variance : (m,) array
        v: with known variance parameters.
    gradient : (m, k) array
        ∂v/∂g; k = 0 when the parameters' uncertainty was not asked for.
    added : (m,) array
        h: what estimating the variance parameters adds.
    moved : (m, k) array
        ∂(x'β̂ + z'b̂)/∂g at these data, in the unit of the working response.
    """

    variance: FloatArray
    gradient: FloatArray
    added: FloatArray
    moved: FloatArray


class ErrorKernels:
    """All that is constant over rows.

    Parameters
    ----------
    factor : Factor
        At the estimates.
    phi : (p, p) array
        (X'V⁻¹X)⁻¹ of the working columns.
    omega : (k, k) array, or None
        Covariance of the G parameters in the working basis; None: variances alone.
    scores : list of (q, J) arrays
        Z_j'V⁻¹(y − Xβ̂) of every block.
    """

    def __init__(self, factor: Factor, phi: FloatArray, omega: FloatArray | None, scores: list[FloatArray]) -> None:
        self.factor, self.omega = factor, np.zeros((0, 0)) if omega is None else omega
        self.blocks = blocks = factor.system.blocks
        self.n_g, self.has_front = len(self.omega), blocks.front is not None
        self.rest: RestKernels | None = rest_kernels(factor, omega) if factor.system.has_rest else None
        self.fixed: FixedTables = fixed_tables(factor, phi, omega, scores)
        fixed = self.fixed
        self.tables = self._join([fixed.moved, *fixed.by_parameter, *_listed(fixed.added), *_listed(fixed.scores)])
        self.of_front: list[int] = []
        if blocks.front is not None:
            T = factor.front.T
            self.M = small.multiply(T.transpose(1, 0, 2), T)
            if omega is not None:
                self.of_front = blocks.blocks[blocks.front].g_parameters.tolist()
                self.N = dict(zip(self.of_front, front_derivatives(factor)))
                self.N_added = front_added(factor, omega)

    def _join(self, tables: list[Table]) -> tuple[FloatArray, FloatArray]:
        """Tables side by side: front (q, s p, J) and rest (R, s p)."""
        wide = [np.concatenate(parts, axis=1) for parts in zip(*tables)]
        width = wide[0].shape[1]
        return self.blocks.join(wide, [np.arange(width)] * len(wide), width)

    def __call__(self, loads: Loads) -> Errors:
        """Errors of some rows; they may come in any order, those of one level together are the fastest."""
        forms = self._forms(loads)
        phi, p, k = self.fixed.phi, loads.x.shape[1], self.n_g
        linear = np.asarray(loads.rest @ self.tables[1])
        if self.has_front:
            known = np.flatnonzero(loads.level >= 0)
            own = self.tables[0][:, :, loads.level[known]]
            linear[known] += np.einsum("am,asm->ms", loads.front[:, known], own, optimize=True)
        linear, by_score = linear[:, : linear.shape[1] - k], linear[:, linear.shape[1] - k :]
        linear = linear.reshape(len(loads.x), -1, p) if p else np.zeros((len(loads.x), k + 2, 0))
        d = loads.x - linear[:, 0]
        delta = d @ phi
        variance = forms[0] + (d * delta).sum(1)
        if not k:
            return Errors(variance, np.zeros((len(d), 0)), np.zeros(len(d)), np.zeros((len(d), 0)))
        c, g = linear[:, 1 : k + 1], linear[:, -1]
        gradient = forms[1 : k + 1].T - 2 * np.einsum("mip,mp->mi", c, delta)
        gradient += np.einsum("mp,ipq,mq->mi", delta, self.fixed.squares, delta, optimize=True)
        added = forms[-1] - 2 * (g * delta).sum(1) + ((delta @ self.fixed.square_added) * delta).sum(1)
        added -= np.einsum("mip,mip->m", np.einsum("ik,mkp->mip", self.omega, c, optimize=True), c @ phi)
        moved = by_score - delta @ self.fixed.square_scores
        return Errors(variance, gradient, np.maximum(added, 0.0), moved)

    def _forms(self, loads: Loads) -> FloatArray:
        """The forms in z alone: of v, v_i and h, (1, m) or (k + 2, m)."""
        out = np.zeros((self.n_g + 2 if self.n_g else 1, len(loads.x)))
        if self.rest is not None and loads.rest.nnz:
            self._add_rest(self.rest, loads.rest, out)
        if self.has_front:
            known = np.flatnonzero(loads.level >= 0)
            order = known[np.argsort(loads.level[known], kind="stable")]
            levels = loads.level[order]
            starts = np.flatnonzero(np.diff(levels, prepend=-1))
            step = self._levels_at_once()
            for first in range(0, len(starts), step):
                start = starts[first]
                stop = starts[first + step] if first + step < len(starts) else len(order)
                rows = order[start:stop]
                out[:, rows] += self._front_forms(loads[rows])
        return out

    def _levels_at_once(self) -> int:
        if self.rest is None or sparse.issparse(self.rest.W):
            return max(1, AT_ONCE // (len(self.M) ** 2 * (self.n_g + 2)))
        return max(1, AT_ONCE // (len(self.M) * len(self.rest.all) * self.blocks.n_rest))

    @staticmethod
    def _add_rest(kernels: RestKernels, rest: sparse.csr_array, out: FloatArray) -> None:
        """z_r'Kz_r of every kernel."""
        if rest.nnz > FULL * rest.shape[0] * rest.shape[1]:
            dense = rest.toarray()
            for form, K in zip(out, kernels.all):
                form += np.einsum("mr,mr->m", np.asarray(dense @ K), dense)
            return
        first, second, _ = row_pairs(rest.indptr)
        row = np.repeat(np.arange(rest.shape[0]), np.diff(rest.indptr))[first]
        one, other = rest.indices[first], rest.indices[second]
        value = rest.data[first] * rest.data[second] * np.where(first == second, 1.0, 2.0)
        for form, K in zip(out, kernels.all):
            form += np.bincount(row, value * _entries(K, one, other), len(form))

    def _front_forms(self, loads: Loads) -> FloatArray:
        """z_f'P*z_f + 2 z_f'L*z_r of rows that have a level of the front, sorted by it."""
        levels, at = np.unique(loads.level, return_inverse=True)
        z, M = loads.front, self.M[:, :, levels]
        N = {i: self.N[i][:, :, levels] for i in self.of_front}
        P = [M, *(N.get(i, np.zeros_like(M)) for i in range(self.n_g))]
        if self.n_g:
            P.append(self.N_added[:, :, levels])
        if self.rest is None:
            return np.array([_form(one, z, at) for one in P])
        a = [sparse.csr_array(one[levels]) for one in self.factor.system.cross.zr]
        rows = [[one @ K for one in a] for K in self.rest.all]  # a_jK
        inner = [_sandwich(one, a) for one in rows]  # a_jKa_j'
        mixed = {i: self._mixed(i, inner) for i in self.of_front}  # Σ_k ω_ik a_jY_ka_j'
        out = np.array([
            _form(self._whole(own, kernel, P, N, M, inner, mixed), z, at) for own, kernel in enumerate(inner)
        ])  # fmt: skip
        if loads.rest.nnz:
            self._add_mixed(loads, at, M, N, rows, out)
        return out

    def _mixed(self, i: int, by_kernel: list[FloatArray]) -> FloatArray:
        """Σ_k ω_ik of what the kernels Y_k have."""
        return np.tensordot(self.omega[i], np.array(by_kernel[1 : self.n_g + 1]), 1)

    def _whole(
        self,
        form: int,
        kernel: FloatArray,
        P: list[FloatArray],
        N: dict[int, FloatArray],
        M: FloatArray,
        inner: list[FloatArray],
        mixed: dict[int, FloatArray],
    ) -> FloatArray:
        """P*_j of one form, (q, q, levels); symmetric in the form that it is used in."""
        out = P[form] + small.congruence(M, kernel)
        if form - 1 in N:
            out = out + 2 * small.multiply(small.multiply(N[form - 1], inner[0]), M)
        elif form > self.n_g > 0:
            crossed = small.multiply(P[form], inner[0])
            for i, own in N.items():
                crossed = crossed - small.multiply(own, mixed[i])
                for k, other in N.items():
                    out = out - self.omega[i, k] * small.multiply(small.multiply(own, inner[0]), other)
            out = out + 2 * small.multiply(crossed, M)
        return out

    def _add_mixed(
        self,
        loads: Loads,
        at: np.ndarray,
        M: FloatArray,
        N: dict[int, FloatArray],
        rows: list[list[RestMatrix]],
        out: FloatArray,
    ) -> None:
        """2 z_f'L*z_r of every form."""
        row = np.repeat(np.arange(len(at)), np.diff(loads.rest.indptr))
        level, column, z = at[row], loads.rest.indices, loads.front
        found = [np.stack([_entries(one, level, column) for one in kernel]) for kernel in rows]  # (q, entries)
        twice = 2.0 * loads.rest.data
        own = _turn(M, z, at)[:, row]
        turned = {i: _turn(one, z, at)[:, row] for i, one in N.items()}
        for form, kernel in enumerate(found):
            value = -(own * kernel).sum(0)
            if form - 1 in N:
                value -= (turned[form - 1] * found[0]).sum(0)
            elif form > self.n_g > 0:
                value -= (_turn(self.N_added[:, :, loads.level], z)[:, row] * found[0]).sum(0)
                for i, one in turned.items():
                    value += (one * self._mixed(i, found)).sum(0)
            out[form] += np.bincount(row, twice * value, out.shape[1])


def _listed(table: Table | None) -> list[Table]:
    return [] if table is None else [table]


def _form(P: FloatArray, z: FloatArray, at: np.ndarray) -> FloatArray:
    """z'Pz of rows z (q, m) with their level's P (q, q, levels)."""
    return (z * _turn(P, z, at)).sum(0)


def _turn(P: FloatArray, z: FloatArray, at: np.ndarray | None = None) -> FloatArray:
    """Pz, (q, m)."""
    own = P if at is None else P[:, :, at]
    return np.einsum("abm,bm->am", own, z)


def _entries(matrix: RestMatrix, row: np.ndarray, column: np.ndarray) -> FloatArray:
    """Some entries of a dense or sparse matrix."""
    found = matrix[row, column]
    return found.toarray().ravel() if sparse.issparse(found) else np.asarray(found).ravel()


def _sandwich(rows: list[RestMatrix], a: list[sparse.csr_array]) -> FloatArray:
    """a_jKa_j', (q, q, levels), from a_jK."""
    q, n = len(a), a[0].shape[0]
    out = np.empty((q, q, n))
    for r, one in enumerate(rows):
        for s, other in enumerate(a):
            out[r, s] = np.asarray(other.multiply(one).sum(axis=1)).ravel()
    return (out + out.transpose(1, 0, 2)) / 2
