"""One component of the rest whose effects meet in groups (`groups`), each eliminated as a small matrix before the core.

    L_g = chol C_g      B_g = C_rg L_g⁻ᵀ      L_c = chol (C_cc − Σ_g B_g B_g')

and of C⁻¹, where C has entries, with Z = (L_cL_c')⁻¹ and Y_g = B_g L_g⁻¹ (Takahashi, Fagan and Chin 1973),

    (C⁻¹)_cc = Z      (C⁻¹)_rg = −Z_rr Y_g      (C⁻¹)_gg = (L_gL_g')⁻¹ + Y_g' Z_rr Y_g

All effects are scalar. Who asks for more of C⁻¹ gets all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy.linalg import blas, lapack

from henderson.engine.factor.groups import Groups
from henderson.engine.factor.places import ComponentColumns, Placement, scale_rows
from henderson.engine.factor.rest_dense import DenseComponent, mirrored
from henderson.numerics.triangular import inverse_of_factored

#: rows of a matrix that are met with their columns at a time
STRIPE = 128


class GroupedComponent(DenseComponent):
    """As `DenseComponent`, with groups.

    Parameters
    ----------
    place : ComponentColumns
    values : (nnz,) array
        S at the entries of the pattern.
    lam : sequence of (1, 1) arrays
    groups : Groups
    """

    t: np.ndarray

    def __init__(self, place: ComponentColumns, values: np.ndarray, lam: Sequence[np.ndarray], groups: Groups) -> None:
        self.groups, self.values = groups, values
        self._begin(place, lam)

    @cached_property
    def S(self) -> np.ndarray:  # type: ignore[override]  # made when asked for; the dense rest holds it
        """S in Fortran order, lower triangle valid."""
        out = np.zeros((len(self.t),) * 2, order="F")
        out[self.groups.row, self.groups.column] = self.values
        return out

    def _factor(self) -> None:
        groups = self.groups
        C, fronts = self._placed(self._scaled(self.values) + groups.on_diagonal)
        core = C.ravel(order="K")
        self.group_factors: list[tuple[np.ndarray, np.ndarray]] = []
        self.log_det = 0.0
        for (inner, below), square in zip(groups.fronts(fronts), groups.squares):
            L = _cholesky(inner)
            B = blas.dtrsm(1.0, L, below, side=1, lower=1, trans_a=1)
            core[square] -= (B @ B.T).ravel()
            self.group_factors.append((L, B))
            self.log_det += 2.0 * float(np.log(L.diagonal()).sum())
        self.core_factor = _cholesky(C)
        self.log_det += 2.0 * float(np.log(self.core_factor.diagonal()).sum())

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        """ΛAΛ of a matrix with the entries of S, at these."""
        return values * self.t[self.groups.row] * self.t[self.groups.column]

    def _placed(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A matrix with the entries of S: the core's (c, c), lower triangle valid, and the fronts."""
        groups, n = self.groups, len(self.groups.core)
        core, fronts = np.zeros((n, n), order="F"), np.zeros(groups.front_size)
        core.ravel(order="K")[groups.core_flat] = values[groups.in_core]
        fronts[groups.fronts_flat] = values[groups.in_fronts]
        return core, fronts

    def half(self, B: np.ndarray) -> np.ndarray:
        """L⁻¹Λ'B for the component's rows of B (size, k)."""
        groups, scaled = self.groups, scale_rows(self.shape, self.lam, B, True)
        left, out = scaled[groups.core], np.empty(scaled.shape)
        for own, rows, (L, below) in zip(groups.own, groups.rows, self.group_factors):
            out[own] = h = blas.dtrsm(1.0, L, scaled[own], lower=1)
            left[rows] -= below @ h
        out[groups.core] = blas.dtrsm(1.0, self.core_factor, left, lower=1)
        return out

    def spherical(self, H: np.ndarray) -> np.ndarray:
        """L⁻ᵀH."""
        groups, out = self.groups, np.empty(H.shape)
        out[groups.core] = core = blas.dtrsm(1.0, self.core_factor, H[groups.core], lower=1, trans_a=1)
        for own, rows, (L, below) in zip(groups.own, groups.rows, self.group_factors):
            out[own] = blas.dtrsm(1.0, L, H[own] - below.T @ core[rows], lower=1, trans_a=1)
        return out

    @cached_property
    def _turned(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(L_gL_g')⁻¹ and Y_g of each group."""
        halves = [(lapack.dtrtri(L, lower=1)[0], B) for L, B in self.group_factors]
        return [(K.T @ K, B @ K) for K, B in halves]

    @cached_property
    def _on_pattern(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """C⁻¹ of the core, its lower triangle; at the fronts; and its diagonal."""
        groups = self.groups
        Z, fronts = inverse_of_factored(self.core_factor), np.empty(groups.front_size)
        diagonal = np.empty(len(self.t))
        diagonal[groups.core] = Z.diagonal()
        core = Z.ravel(order="K")
        parts = zip(groups.own, groups.squares, self._turned, groups.fronts(fronts))
        for own, square, (inverse, Y), (inner, below) in parts:
            below[...] = -blas.dsymm(1.0, core[square].reshape(len(Y), -1).T, Y, lower=1)
            inner[...] = inverse - Y.T @ below
            diagonal[own] = inner.diagonal()
        return Z, fronts, diagonal

    def weights_at(self, place: Placement) -> np.ndarray:
        """W at the entries of the pattern."""
        groups, (Z, fronts, _) = self.groups, self._on_pattern
        out = np.empty(len(place.flat))
        out[groups.in_core] = Z.ravel(order="K")[groups.core_flat]
        out[groups.in_fronts] = fronts[groups.fronts_flat]
        return self._scaled(out)

    @property
    def inverse_diagonal(self) -> np.ndarray:
        """Of C⁻¹, (size,)."""
        return self._on_pattern[2]

    def _new_inverse(self) -> np.ndarray:
        """C⁻¹, Fortran order: with E = (Y_1 …) at the places of the core, −ZE between core and groups, and E'ZE more
        among these than each group's own (L_gL_g')⁻¹."""
        groups, Z = self.groups, mirrored(self._on_pattern[0])
        c, order = len(Z), np.argsort(np.concatenate([groups.core, *groups.own]))
        moved = self._met_by_groups(Z)
        out = np.empty((len(order),) * 2, order="F")
        out[:c, :c], out[c:, c:] = Z, self._among(moved)
        out[c:, :c] = -moved
        out[:c, c:] = -moved.T
        return np.asfortranarray(out[:, order].take(order, axis=0))

    def _met_by_groups(self, A: np.ndarray) -> np.ndarray:
        """E'A (a, k) over all a effects of groups, for A (c, k) in C order: Y_g'A_r of each."""
        return np.concatenate([Y.T @ A.take(rows, axis=0) for rows, (_, Y) in zip(self.groups.rows, self._turned)])

    def _among(self, moved: np.ndarray) -> np.ndarray:
        """C⁻¹ among the effects of groups, (a, a), from E'Z."""
        out, start = self._met_by_groups(np.ascontiguousarray(moved.T)), 0
        for inverse, _ in self._turned:
            part = slice(start, start + len(inverse))
            out[part, part] += inverse
            start = part.stop
        return out

    def weigh(self, B: np.ndarray) -> np.ndarray:
        """WB."""
        return self.back(self.half(B))

    def second_traces(self, values: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """tr C⁻¹AC⁻¹A, tr C⁻¹AC⁻¹P_k (b,) and tr C⁻¹P_kC⁻¹P_l (b, b) for A = ΛMΛ and the effects P_k of each block.

        `values` are M's at the entries of S. With T = [I 0; −E I], groups first, C⁻¹ = T' diag(D⁻¹, Z) T for
        D = diag(C_g), and A becomes TAT':

            V_g = A_rg − Y_gA_g between core and group,   A_cc − Σ_g (Y_gV_g' + V_gY_g' + Y_gA_gY_g') within the core
        """
        groups = self.groups
        Z, (core, fronts) = mirrored(self._on_pattern[0]), self._placed(self._scaled(values))
        moved = self._met_by_groups(Z)
        among, along = self._among(moved), np.empty(len(moved))
        flat, whole = core.ravel(order="K"), Z.ravel(order="K")
        square, start = 0.0, 0
        for rows, at, (own, Y), (inner, below) in zip(groups.rows, groups.squares, self._turned, groups.fronts(fronts)):
            part = slice(start, start + len(inner))
            start = part.stop
            inner = inner + np.tril(inner, -1).T
            V = below - Y @ inner
            half = Y @ (V + 0.5 * Y @ inner).T
            flat[at] -= (half + half.T).ravel()
            turned, between = own @ inner, V.T @ whole[at].reshape(len(V), -1) @ V
            square += float(np.vdot(turned, turned.T) + 2.0 * np.vdot(own, between))
            along[part] = np.einsum("ab,ba->a", turned, own) - 2.0 * np.einsum(
                "ab,ba->a", own, V.T @ moved[part, rows].T
            )
        X = Z @ mirrored(core)
        square += sum(float(np.vdot(X[i : i + STRIPE], X[:, i : i + STRIPE].T)) for i in range(0, len(X), STRIPE))
        along += (self._met_by_groups(X) * moved).sum(axis=1)
        label = np.zeros((len(self.t), len(self.shape.parts)))
        for k, (_, _, _, part) in enumerate(self.shape.slices()):
            label[part, k] = 1.0
        of_core, of_groups = label[groups.core], label[np.concatenate(groups.own)]
        mixed = of_groups.T @ (moved**2 @ of_core)
        squares = of_core.T @ (Z**2 @ of_core) + of_groups.T @ (among**2 @ of_groups) + mixed + mixed.T
        return square, of_core.T @ np.einsum("rc,rc->r", X, Z) + of_groups.T @ along, squares


def _cholesky(C: np.ndarray) -> np.ndarray:
    """L of a matrix in Fortran order, zeros above."""
    L, info = lapack.dpotrf(C, lower=1, clean=1)
    if info:
        raise np.linalg.LinAlgError(f"the mixed-model equations are not positive definite (pivot {info})")
    return L
