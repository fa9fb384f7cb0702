"""Roots of covariance matrices: lower triangular λ with λλ' = G, also where G is singular or not quite semidefinite."""

from __future__ import annotations

import numpy as np

from henderson.numerics.lapack import cholesky, eigen, triangle

FloatArray = np.ndarray


def factor_of(cov: FloatArray) -> FloatArray:
    """Lower triangular λ, diagonal ≥ 0, with λλ' = the nearest positive semidefinite matrix to `cov`.

    Examples
    --------
    >>> factor_of(np.array([[4.0, 2.0], [2.0, 1.0]]))
    array([[2., 0.],
           [1., 0.]])
    """
    try:
        return cholesky(cov)
    except np.linalg.LinAlgError:
        values, vectors = eigen((cov + cov.T) / 2)
        return triangular(vectors * np.sqrt(np.maximum(values, 0.0)))


def semidefinite_root(cov: FloatArray) -> FloatArray:
    """λ with λλ' = cov; ValueError where `cov` has a negative eigenvalue (beyond rounding)."""
    values = np.linalg.eigvalsh(cov)
    if values.size and values[0] < -1e-8 * max(float(values[-1]), 1e-300):
        raise ValueError(f"a covariance of random effects is not positive semidefinite: eigenvalue {values[0]:.3g}")
    return factor_of(cov)


def signed_root(cov: FloatArray) -> tuple[FloatArray, FloatArray]:
    """λ (q, q) and J of ones and minus ones (q,) with λJλ' = cov, which need not be semidefinite.

    Examples
    --------
    >>> lam, signs = signed_root(np.diag([-4.0, 9.0]))
    >>> lam.tolist(), signs.tolist()
    ([[2.0, 0.0], [0.0, 3.0]], [-1.0, 1.0])
    """
    values, vectors = eigen((cov + cov.T) / 2)
    return vectors * np.sqrt(np.abs(values)), np.where(values < 0, -1.0, 1.0)


def triangular(root: FloatArray) -> FloatArray:
    """Lower triangular λ, diagonal ≥ 0, with λλ' = root root' (root (q, k); may be singular)."""
    r = triangle(root.T)
    lam = np.zeros((len(root), len(root)))
    lam[:, : r.shape[0]] = r.T
    lam *= np.where(lam.diagonal() < 0, -1.0, 1.0)
    size = np.abs(lam).max(axis=1, initial=0.0, keepdims=True)  # each row in its own unit
    lam[np.abs(lam) < 1e-15 * np.maximum(size, 1e-300)] = 0.0
    return lam
