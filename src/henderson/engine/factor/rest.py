"""The rest: what remains after the front, S = Z_r'V_f⁻¹Z_r (V_f: the front's effects only), in connected components.

With C = Λ'SΛ + I = LL' for each component, everything that a criterion needs is one of

    half(B) = L⁻¹Λ'B        solve(B) = ΛC⁻¹Λ'B        multiply(B) = SB        traces: Σ_j (SΛC⁻¹)_jj over levels

`Dense` holds one component and works through LAPACK; `Batched` holds many alike, levels last.
Components are alike when they have as many levels of each block; smaller ones are padded with effects that touch
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.linalg import blas, lapack

from henderson.engine.factor.front import invertible
from henderson.numerics import small


@dataclass(frozen=True)
class Shape:
    """Levels of each rest block in a component: (block's place in the rest, q, levels); effects in that order."""

    parts: tuple[tuple[int, int, int], ...]

    @property
    def size(self) -> int:
        """Effects of a component."""
        return sum(q * n for _, q, n in self.parts)

    def slices(self) -> list[tuple[int, int, int, slice]]:
        """(block, q, levels, effects) of each part."""
        out, start = [], 0
        for block, q, n in self.parts:
            out.append((block, q, n, slice(start, start + q * n)))
            start += q * n
        return out


def scale_rows(shape: Shape, lam: Sequence[np.ndarray], B: np.ndarray, transpose: bool) -> np.ndarray:
    """Λ'B (transpose) or ΛB for B (size, k), a new array in B's order."""
    out = np.empty_like(B)
    for block, q, n, part in shape.slices():
        if q == 1:
            np.multiply(B[part], lam[block][0, 0], out=out[part])
        else:
            matrix = lam[block].T if transpose else lam[block]
            out[part] = np.matmul(matrix, B[part].reshape(n, q, -1)).reshape(n * q, -1)
    return out


@lru_cache(maxsize=4)
def _lower(n: int) -> np.ndarray:
    """Which entries of an (n, n) matrix are below the diagonal or on it."""
    return np.tri(n, dtype=bool)


def mirrored(matrix: np.ndarray) -> np.ndarray:
    """A symmetric matrix from its lower triangle."""
    return np.where(_lower(len(matrix)), matrix, matrix.T)


@dataclass(frozen=True)
class Place:
    """Where components stand among the R columns of the rest, at every θ.

    Attributes
    ----------
    shape : Shape
    columns : (size,) int array, or (size, C)
        Columns of the one component, or of C components alike; R stands for padding.
    """

    shape: Shape
    columns: np.ndarray

    @property
    def is_batch(self) -> bool:
        """Whether there are many components, worked on levels last."""
        return self.columns.ndim == 2


class Dense:
    """One component at one θ; S in Fortran order, its lower triangle valid."""

    def __init__(self, place: Place, S: np.ndarray, lam: Sequence[np.ndarray]) -> None:
        self.shape, self.S, self.lam = place.shape, S, lam
        self._inverse: np.ndarray | None = None
        self.t: np.ndarray | None = None  # λ of every effect, where all are scalar
        if all(q == 1 for _, q, _ in self.shape.parts):
            self.t = np.concatenate([np.full(n, lam[block][0, 0]) for block, _, n in self.shape.parts])
            C = np.multiply(S, self.t, order="F")
            C *= self.t[:, None]
        else:
            half = scale_rows(self.shape, lam, self.full_S, True)
            C = np.asfortranarray(scale_rows(self.shape, lam, np.ascontiguousarray(half.T), True))
        C.ravel(order="K")[:: len(C) + 1] += 1.0
        self.L, info = lapack.dpotrf(C, lower=1, overwrite_a=1, clean=0)
        if info:
            raise np.linalg.LinAlgError(f"the mixed-model equations are not positive definite (pivot {info})")
        self.log_det = 2.0 * float(np.log(np.diag(self.L)).sum())

    def half(self, B: np.ndarray) -> np.ndarray:
        """L⁻¹Λ'B for the component's rows of B (size, k)."""
        scaled = np.asfortranarray(scale_rows(self.shape, self.lam, B, True))
        return blas.dtrsm(1.0, self.L, scaled, lower=1, overwrite_b=1)

    def back(self, H: np.ndarray) -> np.ndarray:
        """ΛL⁻ᵀH."""
        return scale_rows(self.shape, self.lam, self.spherical(H), False)

    def spherical(self, H: np.ndarray) -> np.ndarray:
        """L⁻ᵀH."""
        return blas.dtrsm(1.0, self.L, np.asfortranarray(H), lower=1, trans_a=1)

    def multiply(self, B: np.ndarray) -> np.ndarray:
        """SB."""
        return blas.dsymm(1.0, self.S, np.asfortranarray(B), lower=1)

    def inverse(self) -> np.ndarray:
        """C⁻¹, lower triangle valid, Fortran order."""
        if self._inverse is None:
            self._inverse, _ = lapack.dpotri(self.L, lower=1, overwrite_c=0)
        return self._inverse

    @cached_property
    def full_S(self) -> np.ndarray:
        """S with both triangles."""
        return mirrored(self.S)

    @cached_property
    def full_inverse(self) -> np.ndarray:
        """C⁻¹ with both triangles."""
        return mirrored(self.inverse())

    def weights(self) -> np.ndarray:
        """W = ΛC⁻¹Λ', lower triangle valid, as a flat Fortran array."""
        return self.scaled_inverse.ravel(order="F")

    @property
    def scaled_inverse(self) -> np.ndarray:
        """W = ΛC⁻¹Λ', Fortran order, lower triangle valid."""
        if self.t is not None:
            return self._scalar_parts[0]
        return self._block_weights

    @cached_property
    def _block_weights(self) -> np.ndarray:
        half = scale_rows(self.shape, self.lam, self.full_inverse, False)
        return np.asfortranarray(scale_rows(self.shape, self.lam, np.ascontiguousarray(half.T), False))

    @cached_property
    def _scalar_parts(self) -> tuple[np.ndarray, np.ndarray]:
        """W and the diagonal of C⁻¹ where all λ are scalar: C⁻¹ itself is scaled in place, it may be large."""
        W = lapack.dpotri(self.L, lower=1, overwrite_c=0)[0] if self._inverse is None else self._inverse.copy("F")
        diagonal = np.diag(W).copy()
        W *= self.t
        W *= np.asarray(self.t)[:, None]
        return W, diagonal

    def add_inverse_blocks(self, out: Sequence[np.ndarray]) -> None:
        """Add Σ_j (C⁻¹)_jj to the (q, q) of each block."""
        if self.t is not None:
            for block, _, _, part in self.shape.slices():
                out[block][...] += self._scalar_parts[1][part].sum()
            return
        K = self.inverse()
        for block, q, _, part in self.shape.slices():
            out[block][...] += _diagonal_blocks(K[part, part], q).sum(axis=0)

    def add_products(self, out: Sequence[np.ndarray], whole: Sequence[np.ndarray]) -> None:
        """Add Σ_j (SΛC⁻¹)_jj to each block's (q, q), and Σ_j (Z'V⁻¹Z)_jj to `whole`, without dividing by λ."""
        S, K = self.full_S, self.full_inverse
        LK = scale_rows(self.shape, self.lam, K, False)
        for block, q, n, part in self.shape.slices():
            rows = S[part].reshape(n, q, -1).transpose(1, 0, 2).reshape(q, -1)
            columns = LK[:, part].reshape(-1, n, q).transpose(2, 1, 0).reshape(q, -1)
            out[block][...] += rows @ columns.T
        H = blas.dtrsm(1.0, self.L, np.asfortranarray(scale_rows(self.shape, self.lam, S, True)), lower=1)
        for block, q, n, part in self.shape.slices():
            h = H[:, part].reshape(-1, n, q).transpose(2, 0, 1).reshape(q, -1)
            whole[block][...] += _diagonal_blocks(S[part, part], q).sum(axis=0) - h @ h.T


def _diagonal_blocks(matrix: np.ndarray, q: int) -> np.ndarray:
    """The (n, q, q) blocks on the diagonal of a matrix whose lower triangle is valid."""
    n = len(matrix) // q
    starts = np.arange(n) * q
    out = np.empty((n, q, q))
    for a in range(q):
        for b in range(a + 1):
            out[:, a, b] = out[:, b, a] = matrix[starts + a, starts + b]
    return out


class Batched:
    """Many components of one shape at one θ: S (m, m, C), levels last."""

    def __init__(self, place: Place, S: np.ndarray, lam: Sequence[np.ndarray]) -> None:
        self.shape, self.S, self.lam = place.shape, S, lam
        half = self._left(S, True)
        C = self._left(np.ascontiguousarray(half.transpose(1, 0, 2)), True)
        for a in range(len(C)):
            C[a, a] += 1.0
        self.L = small.cholesky(C)
        self.log_det = 2.0 * float(sum(np.log(self.L[a, a]).sum() for a in range(len(C))))

    def _left(self, B: np.ndarray, transpose: bool) -> np.ndarray:
        """Λ'B or ΛB for B (m, k, C)."""
        return scale_rows(self.shape, self.lam, B.reshape(len(B), -1), transpose).reshape(B.shape)

    def half(self, B: np.ndarray) -> np.ndarray:
        """L⁻¹Λ'B for B (m, k, C)."""
        return small.solve_lower(self.L, self._left(B, True))

    def spherical(self, H: np.ndarray) -> np.ndarray:
        """L⁻ᵀH."""
        return small.solve_upper(self.L, H.copy())

    def back(self, H: np.ndarray) -> np.ndarray:
        """ΛL⁻ᵀH."""
        return self._left(self.spherical(H), False)

    def multiply(self, B: np.ndarray) -> np.ndarray:
        """SB."""
        return small.multiply(self.S, B)

    def inverse(self) -> np.ndarray:
        """C⁻¹ (m, m, C)."""
        m = len(self.L)
        eye = np.zeros_like(self.L)
        eye[range(m), range(m)] = 1.0
        return small.solve_upper(self.L, small.solve_lower(self.L, eye))

    def weights(self) -> np.ndarray:
        """W = ΛC⁻¹Λ' as a flat array of (m, m, C)."""
        half = self._left(self.inverse(), False)
        return self._left(np.ascontiguousarray(half.transpose(1, 0, 2)), False).ravel()

    def add_inverse_blocks(self, out: Sequence[np.ndarray]) -> None:
        """As `Dense.add_inverse_blocks`; padding counts as C⁻¹ = I."""
        self._add_blocks(self.inverse(), out)

    def add_products(self, out: Sequence[np.ndarray], whole: Sequence[np.ndarray]) -> None:
        """As `Dense.add_products`."""
        self._add_blocks(small.multiply(self.S, self._left(self.inverse(), False)), out)
        H = self.half(self.S)
        self._add_blocks(self.S - small.multiply(np.ascontiguousarray(H.transpose(1, 0, 2)), H), whole)

    def _add_blocks(self, matrix: np.ndarray, out: Sequence[np.ndarray]) -> None:
        for block, q, n, part in self.shape.slices():
            for j in range(n):
                here = slice(part.start + j * q, part.start + (j + 1) * q)
                out[block][...] += matrix[here, here].sum(axis=2)


class Rest:
    """All components at one θ; vectors are (R, k) in the order of the rest's columns.

    Parameters
    ----------
    places : list of Place
    S : list of arrays
        S of each place.
    lam : list of (q, q)
    levels : list of int
        Levels of each rest block.
    n : int
        Rows of the data.
    """

    def __init__(
        self, places: list[Place], S: list[np.ndarray], lam: list[np.ndarray], levels: list[int], n: int
    ) -> None:
        self.places, self.lam, self.levels, self.n = places, lam, levels, n
        self.parts: list[Dense | Batched] = [
            Batched(place, one, lam) if place.is_batch else Dense(place, one, lam) for place, one in zip(places, S)
        ]
        self.n_effects = sum(len(one) * count for one, count in zip(lam, levels))
        self.log_det = sum(part.log_det for part in self.parts)

    @property
    def only(self) -> Dense:
        """The one dense component."""
        (part,) = self.parts
        assert isinstance(part, Dense)
        return part

    def gather(self, place: Place, B: np.ndarray) -> np.ndarray:
        """The place's rows of B (R, k): (size, k), or (m, k, C)."""
        if not place.is_batch:
            return B if len(self.places) == 1 else B[place.columns]
        padded = np.vstack([B, np.zeros((1, B.shape[1]))])
        return np.ascontiguousarray(padded[place.columns].transpose(0, 2, 1))

    def scatter(self, place: Place, local: np.ndarray, out: np.ndarray) -> None:
        """Put a place's rows back into `out` (R + 1, k); padding lands in the last row."""
        out[place.columns] = local.transpose(0, 2, 1) if place.is_batch else local

    def half(self, B: np.ndarray) -> list[np.ndarray]:
        """L⁻¹Λ'B, a component each."""
        return [part.half(self.gather(place, B)) for place, part in zip(self.places, self.parts)]

    def inner(self, H: list[np.ndarray]) -> np.ndarray:
        """H'H summed over components."""
        return sum(
            (h.T @ h if isinstance(part, Dense) else small.inner_sum(h) for part, h in zip(self.parts, H)),
            np.zeros((H[0].shape[1],) * 2),
        )

    def back(self, H: list[np.ndarray], spherical: bool = False) -> np.ndarray:
        """ΛL⁻ᵀH (or L⁻ᵀH), (R, k)."""
        out = np.zeros((self.n_effects + 1, H[0].shape[1]))
        for place, part, h in zip(self.places, self.parts, H):
            self.scatter(place, part.spherical(h) if spherical else part.back(h), out)
        return out[:-1]

    def multiply(self, B: np.ndarray) -> np.ndarray:
        """SB."""
        out = np.zeros((self.n_effects + 1, B.shape[1]))
        for place, part in zip(self.places, self.parts):
            self.scatter(place, part.multiply(self.gather(place, B)), out)
        return out[:-1]

    def unscale(self, B: np.ndarray) -> np.ndarray:
        """Λ⁻ᵀB, (R, k)."""
        shape = Shape(tuple((k, len(lam), n) for k, (lam, n) in enumerate(zip(self.lam, self.levels))))
        return scale_rows(shape, [np.linalg.inv(lam) for lam in self.lam], B, True)

    def divisible(self) -> list[bool]:
        """For each block whether formulas may divide by its λ."""
        return [invertible(lam, self.n / levels) for lam, levels in zip(self.lam, self.levels)]

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

    def level_weights(self) -> list[np.ndarray]:
        """The diagonal blocks of W = ΛC⁻¹Λ', (q, q, levels) for every block of the rest."""
        offsets = np.cumsum([0, *(len(lam) * n for lam, n in zip(self.lam, self.levels))])
        out = [np.zeros((len(lam), len(lam), n)) for lam, n in zip(self.lam, self.levels)]
        for place, part in zip(self.places, self.parts):
            for block, q, n, rows in place.shape.slices():
                if isinstance(part, Dense):
                    W = part.scaled_inverse[rows, rows]
                    level = (place.columns[rows][::q] - offsets[block]) // q
                    out[block][:, :, level] = _diagonal_blocks(W, q).transpose(1, 2, 0)
                    continue
                W = part.weights().reshape(part.S.shape)
                for j in range(n):
                    here = slice(rows.start + j * q, rows.start + (j + 1) * q)
                    columns = place.columns[here.start]
                    real = columns < self.n_effects
                    out[block][:, :, (columns[real] - offsets[block]) // q] = W[here, here][:, :, real]
        return out

    def _levels_with_padding(self) -> list[int]:
        levels = [0] * len(self.lam)
        for place in self.places:
            for block, _, n in place.shape.parts:
                levels[block] += n * (place.columns.shape[1] if place.is_batch else 1)
        return levels
