"""The rest: what remains of the random effects when the front is eliminated, S = Z_r'V_f⁻¹Z_r.

V_f = W⁻¹ + Z_fG_fZ_f' holds the front's effects only. In lme4's paper (Bates et al. 2015) the Cholesky factor of the
mixed-model equations has the blocks

    [ L_ZZ        ]     L_ZZ of the spherical random effects u, L_XZ between them and β, L_X of β
    [ L_XZ'  L_X  ]

Here L_ZZ is itself in two: the front's levels (many, small) and the rest. With Λ the rest's relative covariance factor

    C = Λ'SΛ + I = LL'      W = ΛC⁻¹Λ' = (S + (ΛΛ')⁻¹)⁻¹

L is L_ZZ's last block, and everything that a criterion needs is one of

    half(B) = L⁻¹Λ'B     back(H) = ΛL⁻ᵀH     multiply(B) = SB     traces: Σ_j (SΛC⁻¹)_jj     sandwich: a_j W a_j'

For `y ~ 1 + (1 | subject) + (1 | item)` with 500 subjects and 20 items the front is the subjects and S is 20 × 20,

    S_ii' = [i = i'] n_i − Σ_j n_ji n_ji' / (n_j + 1/λ²),   n_ji the rows of subject j on item i, λ the subjects'

Items that share no subject are apart in S: those are its components. `ExactRest` holds each as a dense matrix, or many
that are alike as a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from scipy import sparse

from henderson.engine.factor.front import MILD, invertible
from henderson.engine.factor.groups import Groups
from henderson.engine.factor.places import ComponentColumns, ComponentShape, Placement, scale_rows
from henderson.engine.factor.rest_batched import BatchedComponents
from henderson.engine.factor.rest_dense import DenseComponent
from henderson.engine.factor.rest_grouped import GroupedComponent


class Rest(Protocol):
    """What the equations need of the rest at one θ; R effects, vectors (R, k) in the order of the rest's columns.

    `System` asks nothing else, so a rest that iterates instead of factoring stands behind the same methods: `half` then
    returns what `back` and `inner` need (the solution and its right-hand side), and W comes from probes.

    Attributes
    ----------
    log_det : float
        log|C|.
    has_root : bool
        Whether `half` is L⁻¹Λ'B itself, so that sums of squares can be made of it.
    """

    log_det: float
    has_root: bool

    def half(self, B: np.ndarray) -> list[np.ndarray]:
        """L⁻¹Λ'B, in the rest's own form."""

    def inner(self, H: list[np.ndarray]) -> np.ndarray:
        """H'H = B'WB, (k, k)."""

    def back(self, H: list[np.ndarray], spherical: bool = False) -> np.ndarray:
        """ΛL⁻ᵀH = WB (or L⁻ᵀH), (R, k)."""

    def multiply(self, B: np.ndarray) -> np.ndarray:
        """SB, (R, k)."""

    def unscale(self, B: np.ndarray) -> np.ndarray:
        """Λ⁻ᵀB, (R, k)."""

    def divisible(self, floor: float = MILD) -> list[bool]:
        """For each block whether formulas may divide by its λ (see `front.invertible`)."""

    def traces(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Σ_j (SΛC⁻¹)_jj and Σ_j (Z'V⁻¹Z)_jj for every block, (q, q) each."""

    def borrowed_sum(self) -> np.ndarray | None:
        """Σ_j D_j a_j W a_j'D_j' over the front, (q, q), of a rest that knows it; else the product forms it."""

    def level_weights(self) -> list[np.ndarray]:
        """The diagonal blocks of W, (q, q, levels) for every block of the rest."""

    def weigh(self, B: np.ndarray) -> np.ndarray:
        """WB, (R, k)."""

    def weigh_rows(self, slices: Iterable[sparse.csr_array]) -> Iterator[np.ndarray]:
        """Slices of sparse rows (m, R) times W, (m, R), one after another."""

    def trace_with(self, M: np.ndarray) -> float:
        """tr WM for symmetric M (R, R), lower triangle valid."""

    def weights_on(self, where: Sequence[Placement], size: int) -> np.ndarray:
        """W at the places of a pattern, (size,)."""

    def weight_stacks(self) -> list[np.ndarray]:
        """W of the components of every place, new arrays (C, m, m)."""

    def schur_stacks(self) -> list[np.ndarray]:
        """S of the components of every place, (C, m, m)."""


class ExactRest:
    """Cholesky factors of all components at one θ (see `Rest`).

    Parameters
    ----------
    places : list of ComponentColumns
    S : list of arrays
        S of each place.
    lam : list of (q, q)
    levels : list of int
        Levels of each rest block.
    n : int
        Rows of the data.
    groups : list of Groups or None, optional
        Of each place, where its effects meet in groups.
    """

    has_root = True

    def __init__(
        self,
        places: list[ComponentColumns],
        S: list[np.ndarray],
        lam: list[np.ndarray],
        levels: list[int],
        n: int,
        groups: Sequence[Groups | None] | None = None,
    ) -> None:
        self.places, self.lam, self.levels, self.n = places, lam, levels, n
        self.parts: list[DenseComponent | BatchedComponents] = [
            _component(place, one, lam, meet) for place, one, meet in zip(places, S, groups or [None] * len(places))
        ]
        self.n_effects = sum(len(one) * count for one, count in zip(lam, levels))
        self.log_det = sum(part.log_det for part in self.parts)

    def _gather(self, place: ComponentColumns, B: np.ndarray) -> np.ndarray:
        """The place's rows of B (R, k): (size, k), or (m, k, C)."""
        if not place.is_batch:
            return B if len(self.places) == 1 else B[place.columns]
        padded = np.vstack([B, np.zeros((1, B.shape[1]))])
        return np.ascontiguousarray(padded[place.columns].transpose(0, 2, 1))

    def _scatter(self, place: ComponentColumns, local: np.ndarray, out: np.ndarray) -> None:
        """Put a place's rows back into `out` (R + 1, k); padding lands in the last row."""
        out[place.columns] = local.transpose(0, 2, 1) if place.is_batch else local

    def half(self, B: np.ndarray) -> list[np.ndarray]:
        """L⁻¹Λ'B, a component each."""
        return [part.half(self._gather(place, B)) for place, part in zip(self.places, self.parts)]

    def inner(self, H: list[np.ndarray]) -> np.ndarray:
        """H'H summed over components."""
        return sum((part.inner(h) for part, h in zip(self.parts, H)), np.zeros((H[0].shape[1],) * 2))

    def back(self, H: list[np.ndarray], spherical: bool = False) -> np.ndarray:
        """ΛL⁻ᵀH (or L⁻ᵀH), (R, k)."""
        out = np.zeros((self.n_effects + 1, H[0].shape[1]))
        for place, part, h in zip(self.places, self.parts, H):
            self._scatter(place, part.spherical(h) if spherical else part.back(h), out)
        return out[:-1]

    def multiply(self, B: np.ndarray) -> np.ndarray:
        """SB."""
        out = np.zeros((self.n_effects + 1, B.shape[1]))
        for place, part in zip(self.places, self.parts):
            self._scatter(place, part.multiply(self._gather(place, B)), out)
        return out[:-1]

    def unscale(self, B: np.ndarray) -> np.ndarray:
        """Λ⁻ᵀB, (R, k)."""
        shape = ComponentShape(tuple((k, len(lam), n) for k, (lam, n) in enumerate(zip(self.lam, self.levels))))
        return scale_rows(shape, [np.linalg.inv(lam) for lam in self.lam], B, True)

    def divisible(self, floor: float = MILD) -> list[bool]:
        """For each block whether formulas may divide by its λ."""
        return [invertible(lam, self.n / levels, floor) for lam, levels in zip(self.lam, self.levels)]

    def traces(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Σ_j (SΛC⁻¹)_jj and Σ_j (Z'V⁻¹Z)_jj for every block, (q, q) each."""
        first = [np.zeros_like(lam) for lam in self.lam]
        second = [np.zeros_like(lam) for lam in self.lam]
        if all(self.divisible()):  # SΛC⁻¹ = Λ⁻ᵀ(I − C⁻¹), Z'V⁻¹Z = Λ⁻ᵀ(I − C⁻¹)Λ⁻¹
            for part in self.parts:
                part.add_inverse_blocks(first)
            levels = self._levels_with_padding()
            for k, lam in enumerate(self.lam):
                inverse = np.linalg.inv(lam)
                first[k] = inverse.T @ (levels[k] * np.eye(len(lam)) - first[k])
                second[k] = first[k] @ inverse
            return first, second
        for part in self.parts:
            part.add_products(first, second)
        return first, second

    def borrowed_sum(self) -> None:
        """Left to the product."""
        return None

    def level_weights(self) -> list[np.ndarray]:
        """The diagonal blocks of W, (q, q, levels) for every block of the rest."""
        offsets = np.cumsum([0, *(len(lam) * n for lam, n in zip(self.lam, self.levels))])
        out = [np.zeros((len(lam), len(lam), n)) for lam, n in zip(self.lam, self.levels)]
        for place, part in zip(self.places, self.parts):
            part.put_level_weights(place, offsets, out)
        return out

    def weigh(self, B: np.ndarray) -> np.ndarray:
        """WB, (R, k)."""
        out = np.zeros((self.n_effects + 1, B.shape[1]))
        for place, part in zip(self.places, self.parts):
            self._scatter(place, part.weigh(self._gather(place, B)), out)
        return out[:-1]

    def weigh_rows(self, slices: Iterable[sparse.csr_array]) -> Iterator[np.ndarray]:
        """Slices of sparse rows (m, R) times W, one after another; of a rest in one dense piece."""
        W = self._one.full_W()
        return (np.asarray(rows @ W) for rows in slices)

    def trace_with(self, M: np.ndarray) -> float:
        """tr WM for symmetric M (R, R), lower triangle valid; of a rest in one dense piece."""
        return self._one.trace_with(M)

    def weights_on(self, where: Sequence[Placement], size: int) -> np.ndarray:
        """W at the places of a pattern, (size,)."""
        out = np.empty(size)
        for part, place in zip(self.parts, where):
            out[place.entries] = part.weights_at(place)
        return out

    def weight_stacks(self) -> list[np.ndarray]:
        """W of the components of every place, new arrays (C, m, m)."""
        return [part.weight_stack() for part in self.parts]

    def inverse_diagonal(self) -> np.ndarray:
        """Of C⁻¹, (R,); of a rest in one dense piece."""
        return self._one.inverse_diagonal

    def schur_stacks(self) -> list[np.ndarray]:
        """S of the components of every place, (C, m, m)."""
        return [part.schur_stack() for part in self.parts]

    @property
    def dense_weights(self) -> np.ndarray:
        """W, (R, R) in Fortran order, lower triangle valid; of a rest in one dense piece."""
        return self._one.W

    @property
    def _one(self) -> DenseComponent:
        (part,) = self.parts
        if not isinstance(part, DenseComponent):
            raise TypeError("the rest is not in one dense piece")
        return part

    def _levels_with_padding(self) -> list[int]:
        levels = [0] * len(self.lam)
        for place in self.places:
            for block, _, n in place.shape.parts:
                levels[block] += n * (place.columns.shape[1] if place.is_batch else 1)
        return levels


def _component(
    place: ComponentColumns, S: np.ndarray, lam: list[np.ndarray], groups: Groups | None
) -> DenseComponent | BatchedComponents:
    if place.is_batch:
        return BatchedComponents(place, S, lam)
    return DenseComponent(place, S, lam) if groups is None else GroupedComponent(place, S, lam, groups)


def grouped(rest: Rest) -> GroupedComponent | None:
    """The one component of a rest, where its effects meet in groups."""
    parts = rest.parts if isinstance(rest, ExactRest) else []
    return parts[0] if len(parts) == 1 and isinstance(parts[0], GroupedComponent) else None
