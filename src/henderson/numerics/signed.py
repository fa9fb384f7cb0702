"""Roots of symmetric matrices that need not be definite: K with K C K' = D, D of ones and minus ones.

C⁻¹ = K'DK, log|det C| = −2 log|det K|, and D has as many minus ones as C has negative eigenvalues (Sylvester's law of
inertia). Where C is definite K is the inverse of a Cholesky factor. Else, with the rows that are expected to be
negative first,

    C = [−N  B']     L_N = chol N,  L_P = chol (P + B N⁻¹ B'),  K = [L_N⁻¹                   ]
        [ B  P ]                                                    [L_P⁻¹ B N⁻¹       L_P⁻¹ ]

which is what a matrix with N and P positive definite has in any order (Vanderbei 1995), or by eigenvalues.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import blas

from henderson.numerics import lapack
from henderson.numerics.triangular import lower_inverse

FloatArray = np.ndarray

#: an eigenvalue, relative to the largest by size, that has no sign but by rounding
NEARLY_SINGULAR = 1e-8


@dataclass(frozen=True, eq=False)
class SignedRoot:
    """K and D of B matrices.

    Attributes
    ----------
    K : (B, w, w) array
    signs : (B, w) array
        The diagonals of D.
    log_det : float
        Σ log|det C|.
    """

    K: FloatArray
    signs: FloatArray
    log_det: float

    @property
    def negative(self) -> int:
        """Negative eigenvalues of all matrices."""
        return int(np.count_nonzero(self.signs < 0))

    @property
    def inverse(self) -> FloatArray:
        """C⁻¹ = K'DK, (B, w, w)."""
        if len(self.K) == 1:
            K, up = self.K[0], self.signs[0] > 0
            return np.asarray(K[up].T @ K[up] - K[~up].T @ K[~up])[None]
        return self.K.transpose(0, 2, 1) @ (self.signs[:, :, None] * self.K)


def signed_root(C: FloatArray, expected: FloatArray | None = None) -> SignedRoot:
    """The roots of symmetric matrices, lower triangles valid.

    Parameters
    ----------
    C : (B, w, w) array
    expected : (w,) array, optional
        Signs that the pivots of one large matrix are expected to have.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where a matrix is singular, or has an eigenvalue whose sign is lost in rounding.

    Examples
    --------
    >>> C = np.array([[[1.0, 2.0], [2.0, 1.0]]])
    >>> root = signed_root(C)
    >>> root.negative, float(np.exp(root.log_det)), (root.K @ C @ root.K.transpose(0, 2, 1)).round(12)[0].tolist()
    (1, 3.0..., [[-1.0, 0.0], [0.0, 1.0]])
    >>> root.inverse[0].round(12).tolist() == np.linalg.inv(C[0]).round(12).tolist()
    True
    """
    for sign in (1.0, -1.0):
        if ((sign * np.einsum("bii->bi", C)) > 0).all() and (found := _definite(sign * C)) is not None:
            return SignedRoot(found[0], np.full(C.shape[:2], sign), found[1])
    if len(C) == 1 and expected is not None and (quasi := _in_two(C[0], expected < 0)) is not None:
        return quasi
    values, vectors = np.linalg.eigh(C)
    size = np.abs(values)
    if not (size > NEARLY_SINGULAR * size.max(axis=1, initial=0.0)[:, None]).all():
        raise np.linalg.LinAlgError("the matrix is singular, or all but")
    K = vectors.transpose(0, 2, 1) / np.sqrt(size)[:, :, None]
    return SignedRoot(K, np.sign(values), float(np.log(size).sum()))


def _definite(C: FloatArray) -> tuple[FloatArray, float] | None:
    """L⁻¹ of each matrix and Σ log|C|; None where one is not positive definite."""
    try:
        if len(C) == 1:
            low = np.asfortranarray(np.tril(lapack.cholesky(C[0])))
            return lower_inverse(low)[None], 2.0 * float(np.log(low.diagonal()).sum())
        low = np.linalg.cholesky(C)
    except np.linalg.LinAlgError:
        return None
    return np.tril(np.linalg.inv(low)), 2.0 * float(np.log(np.einsum("bii->bi", low)).sum())


def _in_two(C: FloatArray, negative: np.ndarray) -> SignedRoot | None:
    """The root where the rows that are expected to be negative are, and what they leave of the others is positive."""
    if negative.all() or not negative.any():
        return None
    n, p = np.flatnonzero(negative), np.flatnonzero(~negative)
    first = _definite(-C[np.ix_(n, n)][None])
    if first is None:
        return None
    across = np.where(p[:, None] > n, C[np.ix_(p, n)], C[np.ix_(n, p)].T)  # B, from the lower triangle
    turned = across @ first[0][0].T  # B L_N⁻ᵀ
    second = _definite((C[np.ix_(p, p)] + turned @ turned.T)[None])
    if second is None:
        return None
    K = np.zeros(C.shape)
    K[: len(n), n] = first[0][0]
    K[len(n) :, p] = second[0][0]
    K[len(n) :, n] = blas.dgemm(1.0, second[0][0], turned @ first[0][0])
    signs = np.repeat([-1.0, 1.0], [len(n), len(p)])
    return SignedRoot(K[None], signs[None], first[1] + second[1])
