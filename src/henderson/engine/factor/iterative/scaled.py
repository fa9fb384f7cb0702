"""C = Λ'SΛ + I scaled by its own diagonal blocks, at one θ; products only.

    P = blockdiag(C) = LL',   Ã = L⁻¹CL⁻ᵀ        Ã y = L⁻¹(Λ'SΛ q + q),  q = L⁻ᵀy

Some directions are slow: those that the front can make too, constants before all. With orthonormal U of them

    M = U'ÃU        B = Ã − ÃU M⁻¹ (ÃU)'          log|Ã| = log|M| + log|B| on what is orthogonal to U
    Ã⁻¹b = UM⁻¹U'b + (I − UM⁻¹(ÃU)') B⁺(b − ÃUM⁻¹U'b)

and what is left of crossed effects is close to the identity: its eigenvalues lie about one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from scipy import sparse

from henderson.engine.factor.iterative.levels import LevelBlocks, block_matrix, spread, times
from henderson.engine.factor.iterative.pairs import Pairs
from henderson.numerics import lapack, small
from henderson.numerics.lazy import lazy

FloatArray = np.ndarray


class Images(NamedTuple):
    """What a product Ãy passes through.

    Attributes
    ----------
    q : (R, k) array
        L⁻ᵀy.
    s : (R, k) array
        SΛq.
    h : (J q_f, k) array
        A Λq, of the front.
    """

    q: FloatArray
    s: FloatArray
    h: FloatArray


class Scaled:
    """Ã at one θ.

    Parameters
    ----------
    pairs : Pairs
    M : (q_f, q_f, J) array
        λ_fC_j⁻¹λ_f' of the front's levels.
    lam : list of (q, q)
        λ of the rest's blocks.
    """

    def __init__(self, pairs: Pairs, M: FloatArray, lam: Sequence[FloatArray]) -> None:
        self.pairs, self.M = pairs, M
        self.lam = spread(lam, [n for _, n in pairs.sizes])
        self.own: LevelBlocks = [own - part for own, part in zip(pairs.own, pairs.diagonals(M))]
        self.low: LevelBlocks = []
        self.inverse: LevelBlocks = []
        self.log_det = 0.0
        for one, S in zip(lam, self.own):
            P = small.symmetric(one, S)
            diagonal = small.diagonals(P)
            diagonal += 1.0
            low = small.cholesky(P)
            eye = np.zeros_like(low)
            small.diagonals(eye)[...] = 1.0
            self.low.append(low)
            self.inverse.append(small.solve_lower(low, eye))
            self.log_det += small.log_det(low)

    def images(self, y: FloatArray) -> Images:
        """What Ãy passes through."""
        q = times(self.inverse, y, transpose=True)
        return Images(q, *self.schur_times(times(self.lam, q)))

    def schur_times(self, B: FloatArray) -> tuple[FloatArray, FloatArray]:
        """S B, and A B."""
        return self.pairs.schur_times(self.M, B)

    def product(self, images: Images) -> FloatArray:
        """Ãy of what it passes through, (R, k)."""
        inner = times(self.lam, images.s, transpose=True)
        inner += images.q
        return times(self.inverse, inner)

    def matrix(self) -> sparse.csr_array:
        """C, where few of its entries are not zero (`Pairs.are_few`)."""
        S, lam, A = self.pairs.rr, block_matrix(self.lam), self.pairs.by_front
        if self.pairs.q:
            S = S - A.T @ (block_matrix([self.M]) @ A)
        return sparse.csr_array(lam.T @ S @ lam + sparse.eye_array(self.pairs.n_rest))


class Sided(Protocol):
    """C scaled from both sides to a matrix with a unit diagonal, Ã."""

    def images(self, y: FloatArray) -> Images:
        """What Ãy passes through."""

    def product(self, images: Images) -> FloatArray:
        """Ãy of what it passes through, (R, k)."""


class Projected:
    """B = Ã − ÃU M⁻¹ (ÃU)' with U the slow directions.

    Parameters
    ----------
    sided : Sided
        Ã.
    slow : (R, r) array
        U, orthonormal columns.
    """

    def __init__(self, sided: Sided, slow: FloatArray) -> None:
        self.sided, self.U = sided, slow
        self.images_u = sided.images(slow)
        self.AU = sided.product(self.images_u)
        inner = slow.T @ self.AU
        self.M = (inner + inner.T) / 2
        low = lapack.cholesky(self.M)
        self.M_inverse = lapack.inverse_lower(low).T @ lapack.inverse_lower(low)
        self.log_det = 2.0 * float(np.log(low.diagonal()).sum())
        self.trace = slow.shape[1] - float(np.vdot(self.M_inverse, self.AU.T @ self.AU))  # of B − I

    def without_slow(self, y: FloatArray) -> FloatArray:
        """y − UM⁻¹(ÃU)'y, which Ã sends to what is orthogonal to U."""
        return y - self.U @ (self.M_inverse @ (self.AU.T @ y))

    def orthogonal(self, y: FloatArray) -> FloatArray:
        """y − UU'y."""
        return y - self.U @ (self.U.T @ y)

    def product(self, y: FloatArray) -> tuple[Images, FloatArray]:
        """What By passes through, and By, for y orthogonal to U."""
        images = self.sided.images(self.without_slow(y))
        return images, self.sided.product(images)


class Deflated(Projected):
    """The same of C scaled by its own diagonal blocks, with what the derivatives need."""

    def __init__(self, scaled: Scaled, slow: FloatArray) -> None:
        super().__init__(scaled, slow)
        self.scaled = scaled

    @lazy
    def slow_part(self) -> tuple[Images, FloatArray]:
        """d(log|M| + tr(B − I)) = tr(Y_U dÃ): the images of F = [U ÃU], and K with Y_U = FKF'."""
        inverse, zero = self.M_inverse, np.zeros_like(self.M)
        K = np.block([[inverse + inverse @ (self.AU.T @ self.AU) @ inverse, -inverse], [-inverse, zero]])
        both = (np.concatenate(pair, axis=1) for pair in zip(self.images_u, self.scaled.images(self.AU)))
        return Images(*both), K
