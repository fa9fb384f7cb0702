"""The rest where variances may be negative, G = λJλ': C = Λ'SΛ + J, KCK' = D (`numerics.signed`), and

    half(B) = KΛ'B     inner = H'DH     back(H) = ΛK'DH     W = ΛC⁻¹Λ' = (S + G⁻¹)⁻¹     C⁻¹ = K'DK

in the place of what `Rest` has of a Cholesky factor; S − SWS = Λ⁻ᵀ(I − JC⁻¹)JΛ⁻¹.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from henderson.engine.factor.places import ComponentColumns, ComponentShape, scale_rows
from henderson.engine.factor.rest import ExactRest
from henderson.engine.factor.rest_batched import BatchedComponents
from henderson.engine.factor.rest_dense import DenseComponent
from henderson.numerics import small
from henderson.numerics.signed import signed_root

FloatArray = np.ndarray


def _signs_of(shape: ComponentShape, signs: Sequence[FloatArray]) -> FloatArray:
    """J of a component's effects, (size,)."""
    return np.concatenate([np.zeros(0), *(np.tile(signs[block], n) for block, _, n in shape.parts)])


class SignedComponent(DenseComponent):
    """As `DenseComponent`.

    Parameters
    ----------
    signs : sequence of (q,) arrays
        J of every block of the rest.
    """

    def __init__(
        self, place: ComponentColumns, S: FloatArray, lam: Sequence[FloatArray], signs: Sequence[FloatArray]
    ) -> None:
        self.J = _signs_of(place.shape, signs)
        super().__init__(place, S, lam)

    def _factor(self) -> None:
        half = scale_rows(self.shape, self.lam, self.full_S, True)
        C = scale_rows(self.shape, self.lam, np.ascontiguousarray(half.T), True)
        C.ravel()[:: len(C) + 1] += self.J
        self.root = signed_root(C[None], self.J)
        self.log_det = self.root.log_det
        #: negative eigenvalues more than J has
        self.excess = self.root.negative - int(np.count_nonzero(self.J < 0))

    def half(self, B: FloatArray) -> FloatArray:
        """KΛ'B."""
        return self.root.K[0] @ scale_rows(self.shape, self.lam, B, True)

    def spherical(self, H: FloatArray) -> FloatArray:
        """JK'DH, which `back` divides by J again."""
        return self.J[:, None] * (self.root.K[0].T @ (self.root.signs[0][:, None] * H))

    def back(self, H: FloatArray) -> FloatArray:
        """ΛK'DH."""
        return scale_rows(self.shape, self.lam, self.J[:, None] * self.spherical(H), False)

    def inner(self, H: FloatArray) -> FloatArray:
        """H'DH."""
        return np.asarray(H.T @ (self.root.signs[0][:, None] * H))

    def _new_inverse(self) -> FloatArray:
        return np.asfortranarray(self.root.inverse[0])


class SignedComponents(BatchedComponents):
    """As `BatchedComponents`; `signs` as in `SignedComponent`."""

    def __init__(
        self, place: ComponentColumns, S: FloatArray, lam: Sequence[FloatArray], signs: Sequence[FloatArray]
    ) -> None:
        self.shape, self.S, self.lam, self.J = place.shape, S, lam, _signs_of(place.shape, signs)
        half = self._left(S, True)
        C = self._left(np.ascontiguousarray(half.transpose(1, 0, 2)), True)
        diagonal = small.diagonals(C)
        diagonal += self.J[:, None]
        self.root = signed_root(np.ascontiguousarray(C.transpose(2, 0, 1)))
        self.log_det = self.root.log_det
        self.excess = self.root.negative - int(np.count_nonzero(self.J < 0)) * S.shape[2]
        self.K = np.ascontiguousarray(self.root.K.transpose(1, 2, 0))
        self.D = np.ascontiguousarray(self.root.signs.T)[:, None]

    def half(self, B: FloatArray) -> FloatArray:
        """KΛ'B for B (m, k, C)."""
        return small.multiply(self.K, self._left(B, True))

    def spherical(self, H: FloatArray) -> FloatArray:
        """JK'DH."""
        return self.J[:, None, None] * small.multiply(self.K.transpose(1, 0, 2), self.D * H)

    def back(self, H: FloatArray) -> FloatArray:
        """ΛK'DH."""
        return self._left(self.J[:, None, None] * self.spherical(H), False)

    def inner(self, H: FloatArray) -> FloatArray:
        """H'DH summed over the components, (k, k)."""
        return small.gram(H, self.D * H)

    def inverse(self) -> FloatArray:
        """C⁻¹ (m, m, C)."""
        return np.ascontiguousarray(self.root.inverse.transpose(1, 2, 0))


class SignedRest(ExactRest):
    """See `Rest`.

    Parameters
    ----------
    places, S, lam, levels, n
        As of `ExactRest`.
    signs : list of (q,) arrays
        J of every block of the rest.
    """

    has_root = False
    parts: list[SignedComponent | SignedComponents]  # type: ignore[assignment]  # of their own kind

    def __init__(
        self,
        places: list[ComponentColumns],
        S: list[FloatArray],
        lam: list[FloatArray],
        signs: list[FloatArray],
        levels: list[int],
        n: int,
    ) -> None:
        self.places, self.lam, self.signs, self.levels, self.n = places, lam, signs, levels, n
        self.parts = [
            (SignedComponents if place.is_batch else SignedComponent)(place, one, lam, signs)
            for place, one in zip(places, S)
        ]
        self.n_effects = sum(len(one) * count for one, count in zip(lam, levels))
        self.log_det = sum(part.log_det for part in self.parts)
        self.excess = sum(part.excess for part in self.parts)

    def traces(self) -> tuple[list[FloatArray], list[FloatArray]]:
        """Σ_j (SΛC⁻¹J)_jj and Σ_j (Z'V⁻¹Z)_jj for every block, (q, q) each."""
        if all(self.divisible()):
            first = [np.zeros_like(lam) for lam in self.lam]
            for part in self.parts:
                part.add_inverse_blocks(first)
            second = []
            for lam, J, levels, inverse in zip(self.lam, self.signs, self._levels_with_padding(), first):
                root = np.linalg.inv(lam)
                second.append(root.T @ (levels * np.diag(J) - J[:, None] * inverse * J) @ root)
        else:
            second = [np.zeros_like(lam) for lam in self.lam]
            for place, S, W in zip(self.places, self.schur_stacks(), self.weight_stacks()):
                told = S - S @ W @ S
                for block, q, n, rows in place.shape.slices():
                    level = rows.start + np.arange(n)[:, None] * q + np.arange(q)
                    second[block] += told[:, level[:, :, None], level[:, None, :]].sum(axis=(0, 1))
        return [one @ lam for one, lam in zip(second, self.lam)], second
